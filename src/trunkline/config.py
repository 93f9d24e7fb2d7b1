"""Configuration: one YAML file, then the environment, then arguments; the later word wins.

Owns the shape of `trunkline.yaml`, what its `${VAR}` and `file:` mean, and complaints that name file, line and remedy.
Everything wrong is reported at once. Reading calls no one; what it says is turned into targets by `snapshot`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Struct

from trunkline.providers.catalog import CATALOG, Catalog
from trunkline.providers.mock import MockAnswer
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.facts import Unsupported

FILE = "trunkline.yaml"
"""Read from the working directory unless TRUNKLINE_CONFIG or an argument names another."""

BUILT_IN_MODEL = "local"


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: unknown keys are mistakes."""


class TargetConfig(_Section, frozen=True):
    """A name that callers may ask for, and what stands behind it."""

    model: str
    """`provider/model`."""
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    options: dict[str, str] = {}


class ProviderConfig(_Section, frozen=True):
    """Changes to a provider's row, or with `like` a new provider that is spoken to as that one is."""

    like: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    options: dict[str, str] = {}


class PriceConfig(_Section, frozen=True):
    """A model's price in US dollars per million tokens, as text so that it stays exact."""

    input: str | float
    output: str | float = "0"
    cache_read: str | float | None = None
    cache_write: str | float | None = None


class GatewayConfig(_Section, frozen=True):
    """Where the gateway listens. It has no keys yet, so only loopback addresses are allowed."""

    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    max_body: int = 32 * 2**20
    """The largest request body, in bytes."""


class Config(_Section, frozen=True):
    """Everything that can be said in `trunkline.yaml`."""

    model: str | None = None
    """The default model: a target's name or `provider/model`."""
    embedding_model: str | None = None
    targets: dict[str, TargetConfig] = {}
    providers: dict[str, ProviderConfig] = {}
    prices: dict[str, PriceConfig] = {}
    """Prices by `provider/model`, where the built-in facts are wrong or silent."""
    mock: dict[str, list[MockAnswer]] = {}
    """Scripts of the mock provider, by the model's name after `mock/`."""
    gateway: GatewayConfig = GatewayConfig()
    timeout: float = 600.0
    """Seconds for a whole call."""
    retries: int = 2
    on_unsupported: Unsupported = "warn"


class Mistake(Struct, frozen=True):
    """Something wrong in the file: where, and what to change."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{at}{self.path}: {self.message}" if self.path else f"{at}{self.message}"


def load(path: str | Path | None = None, env: Mapping[str, str] | None = None) -> Config:
    """The configuration: the file (an argument, else TRUNKLINE_CONFIG, else ./trunkline.yaml if it is there), then the
    environment. Raises ConfigurationError that lists every mistake."""
    env = os.environ if env is None else env
    config, mistakes = examine(path, env)
    if mistakes:
        raise ConfigurationError("\n".join(str(mistake) for mistake in mistakes))
    return config


def examine(path: str | Path | None, env: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    """The configuration and every mistake in it: what `trunkline check` prints."""
    found = _find(path, env)
    if found is None:
        return _with_environment(Config(), env)
    try:
        text = found.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Config(), [Mistake(str(found), 0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}")]
    config, mistakes = parse(text, str(found), env)
    config, more = _with_environment(config, env)
    return config, mistakes + more


def _find(path: str | Path | None, env: Mapping[str, str]) -> Path | None:
    named = path or env.get("TRUNKLINE_CONFIG")
    if named:
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def parse(text: str, file: str, env: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    """Read the file's text. Where there are mistakes, the configuration is what could be understood."""
    reading = _Reading(file, env)
    try:
        node = cast("Any", yaml.compose(text, Loader=_Loader))  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Config(), [Mistake(file, mark.line + 1 if mark else 0, "", f"no valid YAML: {error.problem}")]
    value: Any = reading.plain(node, "") if node is not None else {}
    config = reading.struct(Config, value, "")
    if config is not None:
        reading.meaning(config)
    return config or Config(), sorted(reading.mistakes, key=lambda mistake: mistake.line)


_Loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class _Reading:
    """One pass over the file: lines by path, plain values, and the mistakes on the way."""

    def __init__(self, file: str, env: Mapping[str, str]) -> None:
        self.file = file
        self.env = env
        self.lines: dict[str, int] = {}
        self.mistakes: list[Mistake] = []

    def wrong(self, path: str, message: str) -> None:
        line = self.lines.get(path) or self.lines.get(path.rpartition(".")[0], 0)
        self.mistakes.append(Mistake(self.file, line, path, message))

    def plain(self, node: Any, path: str) -> Any:
        """A node as a plain value, variables filled in, its line noted."""
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            pairs = cast("list[tuple[Any, Any]]", node.value)
            return {str(key.value): self.plain(value, _join(path, str(key.value))) for key, value in pairs}
        if isinstance(node, yaml.SequenceNode):
            items = cast("list[Any]", node.value)
            return [self.plain(item, f"{path}[{at}]") for at, item in enumerate(items)]
        if node.tag != _TEXT:  # a number, a boolean, null
            return cast("Any", _Loader("").construct_object(node))  # pyright: ignore[reportUnknownMemberType]
        return self._filled(node.value, path)

    def _filled(self, text: str, path: str) -> Any:
        """`${VAR}` and `${VAR:-default}` from the environment."""

        def value_of(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if (value := self.env.get(name)) is not None:
                return value
            if default is None:
                self.wrong(path, f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
            return default or ""

        return _VARIABLE.sub(value_of, text)

    def struct(self, kind: Any, value: Any, path: str) -> Any:
        """`value` as a section, checked key by key so that one mistake does not hide the next."""
        if not isinstance(value, dict):
            self.wrong(path, f"must be a mapping of {', '.join(kind.__struct_fields__)}")
            return None
        hints, values = get_type_hints(kind), dict[str, Any]()
        for key, entry in cast("dict[str, Any]", value).items():
            where = _join(path, key)
            if key not in hints:
                self.wrong(where, f"unknown key '{key}'{_suggestion(key, kind.__struct_fields__)}")
            elif (checked := self._checked(hints[key], entry, where)) is not _BAD:
                values[key] = checked
        try:
            return cast("Any", msgspec.convert(values, kind))
        except msgspec.ValidationError as error:
            missing = re.search(r"missing required field `(\w+)`", str(error))
            if missing is None or missing[1] not in value:
                self.wrong(path, f"{missing[1]} is missing" if missing else str(error))
            return None

    def _checked(self, hint: Any, value: Any, path: str) -> Any:
        if isinstance(hint, type) and issubclass(hint, Struct):
            return _or_bad(self.struct(hint, value, path))
        if get_origin(hint) is dict and value is not None and isinstance(value, dict):
            inner = get_args(hint)[1]
            entries = cast("dict[str, Any]", value).items()
            read = {key: self._checked(inner, entry, _join(path, key)) for key, entry in entries}
            return {key: entry for key, entry in read.items() if entry is not _BAD}
        if get_origin(hint) is list and isinstance(value, list):
            inner = get_args(hint)[0]
            read_list = [
                self._checked(inner, entry, f"{path}[{at}]") for at, entry in enumerate(cast("list[Any]", value))
            ]
            return [entry for entry in read_list if entry is not _BAD]
        try:
            return cast("Any", msgspec.convert(value, hint, strict=not isinstance(value, str) or str in _options(hint)))
        except msgspec.ValidationError:
            self.wrong(path, f"must be {_words_for(hint)}, not {value!r}")
            return _BAD

    def meaning(self, config: Config) -> None:
        """What the shapes cannot say: names that must exist, addresses that must be given."""
        catalog = catalog_of(config, self.wrong)
        for name, target in config.targets.items():
            provider, slash, model = target.model.partition("/")
            path = f"targets.{name}.model"
            if provider not in catalog:
                self.wrong(path, f"unknown provider '{provider}'{_suggestion(provider, catalog.names())}")
            elif not slash or not model:
                self.wrong(path, f"'{target.model}' names no model: write {provider}/<model>")
        for key, section in (("targets", config.targets), ("providers", config.providers)):
            for name, entry in section.items():
                if entry.base_url is not None and not _ADDRESS.match(entry.base_url):
                    self.wrong(f"{key}.{name}.base_url", f"'{entry.base_url}' is no http:// or https:// address")
        if config.gateway.host not in LOOPBACK:
            self.wrong("gateway.host", f"must be a loopback address ({', '.join(LOOPBACK)}) while there are no keys")


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def catalog_of(config: Config, wrong: Callable[[str, str], None] | None = None) -> Catalog:
    """The catalog with the configuration's changes and additions."""
    rows = CATALOG
    for name, entry in config.providers.items():
        like = entry.like or name
        if like not in rows:
            if wrong is not None:
                hint = _suggestion(like, rows.names()) or "; a new provider needs 'like: openai-compatible'"
                wrong(f"providers.{name}", f"unknown provider '{like}'{hint}")
            continue
        row = rows[like]
        changes: dict[str, Any] = {"name": name, "headers": {**row.headers, **entry.headers}}
        changes["options"] = {**row.options, **entry.options}
        if entry.base_url is not None:
            changes["base_url"] = entry.base_url.rstrip("/")
        if entry.like is not None:
            changes["key_env"] = f"{name.upper().replace('-', '_')}_API_KEY" if row.key_env else None
        rows = rows.with_rows(msgspec.structs.replace(row, **changes))
    return rows


def schema() -> dict[str, Any]:
    """The JSON schema of `trunkline.yaml`, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Config)}


_ENVIRONMENT: Mapping[str, tuple[str, type]] = {
    "TRUNKLINE_MODEL": ("model", str),
    "TRUNKLINE_EMBEDDING_MODEL": ("embedding_model", str),
    "TRUNKLINE_TIMEOUT": ("timeout", float),
    "TRUNKLINE_RETRIES": ("retries", int),
}
"""Variables that overrule the file."""

_GATEWAY_ENVIRONMENT: Mapping[str, tuple[str, type]] = {
    "TRUNKLINE_HOST": ("host", str),
    "TRUNKLINE_PORT": ("port", int),
    "TRUNKLINE_WORKERS": ("workers", int),
}


def _with_environment(config: Config, env: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    mistakes: list[Mistake] = []

    def said(table: Mapping[str, tuple[str, type]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for variable, (name, kind) in table.items():
            if text := env.get(variable):
                try:
                    values[name] = kind(text)
                except ValueError:
                    mistakes.append(Mistake("environment", 0, variable, f"must be {_words_for(kind)}, not '{text}'"))
        return values

    gateway = msgspec.structs.replace(config.gateway, **said(_GATEWAY_ENVIRONMENT))
    return msgspec.structs.replace(config, gateway=gateway, **said(_ENVIRONMENT)), mistakes


_TEXT = "tag:yaml.org,2002:str"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_ADDRESS = re.compile(r"https?://[^/\s]+")
_BAD = object()


def _or_bad(value: Any) -> Any:
    return _BAD if value is None else value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _suggestion(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


def _words_for(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(value) for value in get_args(hint))
    words = [
        _WORDS.get(get_origin(option) or option, str(option)) for option in _options(hint) if option is not type(None)
    ]
    return " or ".join(words)
