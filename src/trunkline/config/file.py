"""The file's text: from YAML to structs, with every mistake and the place where it stands.

Owns `${VAR}`, the lines, and the wording of complaints. Knows no key of `trunkline.yaml`: the structs of `config` say
what may stand where. What `${VAR}` stands for is never quoted in a complaint: it may be a key.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Meta, Struct

from trunkline.vocabulary.errors import ConfigurationError

T = TypeVar("T", bound=Struct)

ENVIRONMENT = "environment"
"""Stands for a file's name in complaints about variables."""


class Mistake(Struct, frozen=True):
    """Something wrong in the configuration: where, and what to change."""

    file: str
    line: int
    """0 where there is no line: the environment, a configuration given as values."""
    path: str
    message: str

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{at}{self.path}: {self.message}" if self.path else f"{at}{self.message}"


class Place(Struct, frozen=True):
    """Where something was said, and what it is called there."""

    file: str
    line: int
    name: str


class Reading:
    """One pass over a configuration: what was said where, and the mistakes on the way."""

    def __init__(self, file: str, env: Mapping[str, str]) -> None:
        self._file = file
        self._env = env
        self._places: dict[str, Place] = {}
        self._mistakes: list[Mistake] = []

    # -- mistakes ------------------------------------------------------------------------------------------------------

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes, from the top of the file down."""
        return sorted(self._mistakes, key=lambda mistake: mistake.line)

    def wrong(self, path: str, message: str) -> None:
        """Something is wrong with the value at `path`, or with the lack of one there."""
        said = path
        while said and said not in self._places:
            said = said.rpartition(".")[0]
        place = self._places.get(said, Place(self._file, 0, path))
        self._mistakes.append(Mistake(place.file, place.line, place.name if said == path else path, message))

    @contextmanager
    def complaining(self, path: str) -> Generator[None]:
        """What the body refuses is a mistake at `path`."""
        try:
            yield
        except ConfigurationError as error:
            self.wrong(path, error.message)

    def said(self, path: str) -> bool:
        """Whether something stands at `path`, right or wrong."""
        return path in self._places

    # -- values from elsewhere -----------------------------------------------------------------------------------------

    def variable(self, name: str, text: str, hint: Any, path: str) -> Any:
        """The value that a variable gives to `path`, or BAD."""
        self._places[path] = Place(ENVIRONMENT, 0, name)
        return self._fitting(text, text, hint, path)

    def wrong_variable(self, name: str, message: str) -> None:
        """A variable is wrong that says nothing about any path."""
        self._mistakes.append(Mistake(ENVIRONMENT, 0, name, message))

    # -- the file ------------------------------------------------------------------------------------------------------

    def read(self, text: str, kind: type[T]) -> T | None:
        """The file's text as a struct; None where it could not be understood."""
        try:
            root = cast("Any", yaml.compose(text, Loader=_Loader))  # pyright: ignore[reportUnknownMemberType]
            if root is None or _is_null(root):
                return kind()
            self._look_over(root, "", ())
            return self._struct(kind, root, "", default=None)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 0
            hint = next((hint for problem, hint in _HINTS if problem in f"{error.problem}"), "")
            self._mistakes.append(Mistake(self._file, line, "", f"no valid YAML: {error.problem}{hint}"))
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._mistakes.append(Mistake(self._file, line, "", f"no valid YAML: {error.reason}"))
        return None

    def _look_over(self, node: Any, path: str, inside: tuple[Any, ...]) -> None:
        """What YAML lets pass and nobody means: a key said twice, a key that is no word, an alias that holds itself."""
        if any(node is outer for outer in inside):
            raise yaml.MarkedYAMLError(problem=f"'{path}' contains itself", problem_mark=node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            for entry in cast("list[Any]", node.value):
                self._look_over(entry, path, (*inside, node))
        if not isinstance(node, yaml.MappingNode):
            return
        lines: dict[str, int] = {}
        for key, entry in cast("list[tuple[Any, Any]]", node.value):
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key.start_mark)
            name, line = cast("str", key.value), _line(key)
            where = _join(path, name)
            if name in lines:
                self._mistakes.append(Mistake(self._file, line, where, f"is said twice, first in line {lines[name]}"))
            lines.setdefault(name, line)
            self._look_over(entry, where, (*inside, node))

    def _struct(self, kind: type[T], node: Any, path: str, default: Any) -> Any:
        """A mapping as a section, checked key by key so that one mistake does not hide the next."""
        names = keys_of(kind)
        self._places.setdefault(path, Place(self._file, _line(node), path))
        if not isinstance(node, yaml.MappingNode):
            self.wrong(path, f"must be a mapping of {', '.join(names)}, not {_described(node)}")
            return default
        hints, values, broken = get_type_hints(kind, include_extras=True), dict[str, Any](), set[str]()
        for key, entry, where in self._entries(node, path):
            if key not in hints:
                self.wrong(where, f"unknown key '{key}'{suggestion(key, names)}")
            elif not _is_null(entry):  # an empty value is as good as none
                value = self._value(hints[key], entry, where)
                values.update({key: value} if value is not BAD else {})
                broken.update({key} if value is BAD else set())
        missing = [field.name for field in msgspec.structs.fields(kind) if field.required and field.name not in values]
        for name in missing:
            if name not in broken:
                self.wrong(path, f"{name} is missing")
        return default if missing else kind(**values)

    def _value(self, hint: Any, node: Any, path: str) -> Any:
        """A node as what `hint` wants, or BAD."""
        wanted = _bare(hint)
        kind = get_origin(wanted) or wanted
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._struct(kind, node, path, default=BAD)
        if wanted is Any:
            return self._anything(node, path)
        if isinstance(kind, type) and issubclass(kind, Mapping) and isinstance(node, yaml.MappingNode):
            inner = get_args(wanted)[1]
            read = {key: self._value(inner, entry, where) for key, entry, where in self._entries(node, path)}
            return {key: value for key, value in read.items() if value is not BAD}
        if kind is list and isinstance(node, yaml.SequenceNode):
            read_list = [self._value(get_args(wanted)[0], entry, where) for entry, where in self._items(node, path)]
            return [value for value in read_list if value is not BAD]
        if not isinstance(node, yaml.ScalarNode) or _is_null(node):
            self.wrong(path, f"must be {_words_for(hint)}, not {_described(node)}")
            return BAD
        as_text = wanted is str or wanted is Decimal  # `1.10` and `2024-10-21` are not numbers and dates here
        value = self.filled(node.value, path) if node.tag == _TEXT or as_text else _constructed(node)
        return BAD if value is BAD else self._fitting(value, cast("str", node.value), hint, path)

    def _fitting(self, value: Any, written: str, hint: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError:
            self.wrong(path, f"must be {_words_for(hint)}, not '{written}'")
            return BAD

    def _anything(self, node: Any, path: str) -> Any:
        """A node as plain JSON."""
        if isinstance(node, yaml.MappingNode):
            return {key: self._anything(entry, where) for key, entry, where in self._entries(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._anything(entry, where) for entry, where in self._items(node, path)]
        return _constructed(node) if node.tag in _JSON_TAGS else self.filled(node.value, path)

    def _entries(self, node: Any, path: str) -> Iterator[tuple[str, Any, str]]:
        """Key, value and path of each entry of a mapping, `<<: *other` merged in, its line noted."""
        _Loader("").flatten_mapping(node)
        entries: dict[str, Any] = {key.value: (key, entry) for key, entry in node.value}
        for name, (key, entry) in entries.items():
            where = _join(path, name)
            self._places[where] = Place(self._file, _line(key), where)
            yield name, entry, where

    def _items(self, node: Any, path: str) -> Iterator[tuple[Any, str]]:
        for at, entry in enumerate(node.value):
            where = f"{path}[{at}]"
            self._places[where] = Place(self._file, _line(entry), where)
            yield entry, where

    def filled(self, text: str, path: str) -> Any:
        """`${VAR}` and `${VAR:-default}` from the environment, or BAD; `$${` is a plain `${`."""
        before = len(self._mistakes)

        def value_of(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if match[0] == "$${":
                return "${"
            if name is None:
                self.wrong(
                    path, "a '${' begins a variable: write ${VAR} or ${VAR:-default}, or $${ for the text itself"
                )
            elif default is not None:
                return self._env.get(name) or default
            elif name in self._env:
                return self._env[name]
            else:
                self.wrong(path, f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
            return ""

        filled = _VARIABLE.sub(value_of, text)
        return filled if len(self._mistakes) == before else BAD


BAD: Any = object()
"""Stands for a value that was complained about."""

_HINTS = (
    ("cannot start any token", "; indent with spaces, not tabs, and put text that begins with @, ` or % in quotes"),
    ("tab character", "; indent with spaces"),
    ("mapping values are not allowed", "; text with ': ' in it needs quotes, and sister keys the same indentation"),
    ("expected ',' or", "; a bracket is not closed"),
    ("unexpected end of stream", "; a quote is not closed"),
)
"""What mostly lies behind YAML's own complaints."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
_JSON_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")


def keys_of(kind: type[Struct]) -> list[str]:
    """The keys of a section: its own, then those that it shares with other sections."""
    own = kind.__annotations__
    return sorted(kind.__struct_fields__, key=lambda name: name not in own)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean …?` for a word that is nearly known, else what there is."""
    names = list(known)
    close = get_close_matches(word, names, n=1)
    return f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(names)}"


def _line(node: Any) -> int:
    return cast("int", node.start_mark.line) + 1


def _constructed(node: Any) -> Any:
    """A scalar as YAML reads it where that is a number, a boolean or null; else its text."""
    return _Loader("").construct_object(node) if node.tag in _JSON_TAGS else node.value


def _is_null(node: Any) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _described(node: Any) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "empty" if _is_null(node) else f"'{node.value}'"
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _bare(hint: Any) -> Any:
    """A hint without its notes, and without None."""
    while get_origin(hint) in (Annotated, Union, UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        if get_origin(hint) is not Annotated and len(options) > 1:
            return hint
        hint = options[0]
    return hint


_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    dict: "a mapping",
    Mapping: "a mapping",
    list: "a list",
}


def _words_for(hint: Any) -> str:
    """What a value must be, in words; a type with limits brings its own."""
    while get_origin(hint) in (Annotated, Union, UnionType):
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Meta) and note.extra:
                return str(note.extra["words"])
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return " or ".join(str(value) for value in get_args(hint))
    return _WORDS.get(get_origin(hint) or hint, str(hint))
