"""Settings tables and careful reading: how a dialect's JSON is taken apart and put together.

Owns the table that maps a setting to its key over there, read both ways, and the checks whose messages name the field
to mend. Knows no API: each dialect brings its own table.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, NoReturn, cast

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import CacheMark, ToolCall
from trunkline.vocabulary.protocols import Json, Seen, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Words
from trunkline.vocabulary.settings import Settings


class Field(Struct, frozen=True):
    """One setting and what it is called over there. `encode` and `decode` translate its value."""

    attribute: str
    wire: str
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    optional: bool = False
    """Only servers whose row `accepts` the key understand it."""


TAKEN_FOR_GRANTED: Mapping[str, Any] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "metadata": {},
    "parallel_tool_calls": True,
    "store": False,
    "service_tier": "auto",
}
"""What every API does unasked: a target without the setting loses nothing."""


def read(table: Iterable[Field], body: Json) -> Settings:
    """Take the table's keys out of `body` and give the settings they say. An explicit null is as good as absent."""
    values: Json = {}
    for entry in table:
        value = body.pop(entry.wire, None)
        if value is not None:
            values[entry.attribute] = entry.decode(value) if entry.decode else value
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise _complaint(error, {entry.attribute: entry.wire for entry in table}) from None


def write(
    table: tuple[Field, ...], settings: Settings, facts: Facts, body: Json, *, own: bool = False
) -> tuple[Loss, ...]:
    """Put the settings into `body`; what the table (or the target) has no key for is lost. `own`: a caller of this API
    said them."""
    by_attribute = _by_attribute(table)
    lost: list[Loss] = []
    said = zip(Settings.__struct_fields__, _values(settings), strict=True)
    for attribute, value in [each for each in said if each[1] is not None]:
        entry = by_attribute.get(attribute)
        if entry is None or (entry.optional and not own and entry.wire not in facts.quirks.accepts):
            if value != TAKEN_FOR_GRANTED.get(attribute):
                lost.append(Loss(attribute, "the target has no such setting"))
        else:
            body[entry.wire] = entry.encode(value) if entry.encode else value
    return tuple(lost)


_values: Callable[[Settings], tuple[Any, ...]] = attrgetter(*Settings.__struct_fields__)
_tables: dict[int, tuple[tuple[Field, ...], dict[str, Field]]] = {}
"""By a table's identity: itself, so that this stays its own, and its fields by attribute. Dialects have a handful."""


def _by_attribute(table: tuple[Field, ...]) -> dict[str, Field]:
    known = _tables.get(id(table))
    if known is None:
        known = _tables[id(table)] = table, {entry.attribute: entry for entry in table}
    return known[1]


def apply_quirks(body: Json, facts: Facts) -> tuple[Loss, ...]:
    """Drop, rename and fill in top-level keys as the target's row declares."""
    quirks = facts.quirks
    lost = tuple(Loss(key, "the target rejects it", "target") for key in quirks.drop if body.pop(key, None) is not None)
    for key in quirks.omit:
        body.pop(key, None)
    for ours, theirs in quirks.rename.items():
        if ours in body:
            body[theirs] = body.pop(ours)
    for key, value in quirks.defaults.items():
        body.setdefault(key, value)
    return lost


def words_to_wire(words: Words, facts: Facts, addressed: Iterable[str] = ()) -> Written:
    """The caller's own words for a target that speaks their dialect: every value that no edit names keeps its bytes.
    `addressed` stand in the address."""
    body: Json = {**words.fields, "model": facts.model}
    for key in addressed:
        body.pop(key, None)
    lost = apply_quirks(body, facts)
    return Written(body, lost)


def said(extra: Mapping[str, Any]) -> Json:
    """Unknown keys, without the notes of the reader (`~…`)."""
    return {key: value for key, value in extra.items() if not key.startswith("~")}


def unread(body: bytes) -> Seen:
    """The glance of a dialect whose answers are small: they are read whole."""
    return Seen()


def foreign(extra: Mapping[str, Any], spoken: str | None, dialect: str) -> tuple[Json, tuple[Loss, ...]]:
    """The unknown keys that may be written back, and those that are lost because another dialect spoke them."""
    if spoken is None or spoken == dialect:
        return dict(extra), ()
    why = "it has no meaning in the target's API"
    return {}, tuple(Loss(key, why, "extra") for key in extra if not key.startswith("~"))


def cache_from_wire(body: Json) -> CacheMark | None:
    """The mark up to which the prompt is to be cached, taken out of a part or a tool. Anthropic's word, which some
    servers of other dialects take too (docs.anthropic.com and openrouter.ai/docs, prompt caching)."""
    mark = body.pop("cache_control", None)
    return CacheMark(an_object(mark).get("ttl")) if mark else None


def mark_cache(wire: Json, cache: CacheMark | None) -> None:
    """Write the mark, if there is one."""
    if cache is not None:
        wire["cache_control"] = {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})


def text_at(source: Json, key: str, where: str = "") -> str:
    """`source[key]`, removed from `source`: it must be there and be a string."""
    path = _path(where, key)
    return as_text(_required(source, key, path), path)


def maybe_text_at(source: Json, key: str, where: str = "") -> str | None:
    """`source[key]`, removed from `source`: a string, if it is there."""
    value = source.pop(key, None)
    return None if value is None else as_text(value, _path(where, key))


def object_at(source: Json, key: str, where: str = "") -> Json:
    """`source[key]`, removed from `source`: it must be there and be an object. A copy: it may be taken apart."""
    path = _path(where, key)
    return as_object(_required(source, key, path), path)


def array_at(source: Json, key: str, where: str = "") -> list[Any]:
    """`source[key]`, removed from `source`: it must be there and be an array."""
    path = _path(where, key)
    return as_array(_required(source, key, path), path)


def as_text(value: Any, path: str) -> str:
    """`value` if it is a string; else an error that names the field."""
    return value if isinstance(value, str) else _refuse(value, "a string", path)


def as_flag(value: Any, path: str) -> bool:
    """`value` if it is a boolean, False for null; else an error that names the field."""
    return value if isinstance(value, bool) else False if value is None else _refuse(value, "a boolean", path)


def as_object(value: Any, path: str) -> Json:
    """A copy of `value` if it is an object; else an error that names the field."""
    return dict(cast("Json", value)) if isinstance(value, dict) else _refuse(value, "an object", path)


def as_array(value: Any, path: str) -> list[Any]:
    """`value` if it is an array; else an error that names the field."""
    return cast("list[Any]", value) if isinstance(value, list) else _refuse(value, "an array", path)


def as_count(value: Any, path: str) -> int:
    """`value` if it is an integer; else an error that names the field."""
    return value if isinstance(value, int) and not isinstance(value, bool) else _refuse(value, "an integer", path)


def a_text(value: Any) -> str | None:
    """`value` if it is a string, else None: for words that may or may not be there."""
    return value if isinstance(value, str) else None


def an_object(value: Any) -> Json:
    """`value` if it is an object, else an empty one: for words of a provider that may or may not be there."""
    return cast("Json", value) if isinstance(value, dict) else {}


UNREADABLE = "INVALID_JSON"
"""Where the text of arguments stands that are no object (docs.anthropic.com, …/fine-grained-tool-streaming)."""


def arguments_of(call: ToolCall) -> Json:
    """A call's arguments as an object; none at all is an empty one. Text that is none (cut, or garbled by the model) is
    not thrown away, nor is a whole conversation refused for what a model once wrote."""
    try:
        value: Any = msgspec.json.decode(call.arguments) if call.arguments.strip() else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = None
    return cast("Json", value) if isinstance(value, dict) else {UNREADABLE: call.arguments}


def plain_text(data: str) -> str | None:
    """The text that base64 `data` holds; None where it holds none."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _required(source: Json, key: str, path: str) -> Any:
    if key not in source:
        raise InvalidRequestError(f"{path} is missing", param=path, code="missing_required_parameter")
    return source.pop(key)


def _refuse(value: Any, wanted: str, path: str) -> NoReturn:
    got = next((word for kind, word in _WORDS.items() if isinstance(value, kind)), "something else")
    raise InvalidRequestError(f"{path} must be {wanted}, not {got}", param=path, code="invalid_type")


_WORDS: Mapping[type, str] = {
    bool: "a boolean",  # before int, which it is too
    str: "a string",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _complaint(error: msgspec.ValidationError, names: Mapping[str, str]) -> InvalidRequestError:
    """msgspec's complaint with the caller's own name for the field."""
    what, _, path = str(error).partition(" - at `$.")
    name, dot, rest = path.rstrip("`").partition(".")
    field = names.get(name, name) + dot + rest
    return InvalidRequestError(f"{field}: {what[:1].lower()}{what[1:]}", param=field, code="invalid_type")
