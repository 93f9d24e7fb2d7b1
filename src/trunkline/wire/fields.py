"""Settings tables and careful reading: how a dialect's JSON is taken apart and put together.

Owns the table that maps a setting to its key over there, read both ways, and the checks whose messages name the field
to mend. Knows no API: each dialect brings its own table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Settings

T = TypeVar("T")


class Field(Struct, frozen=True):
    """One setting and what it is called over there. `encode` and `decode` translate its value."""

    attribute: str
    wire: str
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    optional: bool = False
    """Only servers whose row `accepts` the key understand it."""


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


def write(table: Iterable[Field], settings: Settings, facts: Facts, body: Json) -> tuple[Loss, ...]:
    """Put the settings into `body`; what the table (or the target) has no key for is lost."""
    by_attribute = {entry.attribute: entry for entry in table}
    lost: list[Loss] = []
    for attribute in Settings.__struct_fields__:
        value = getattr(settings, attribute)
        if value is None:
            continue
        entry = by_attribute.get(attribute)
        if entry is None or (entry.optional and entry.wire not in facts.quirks.accepts):
            lost.append(Loss(attribute, "the target has no such setting"))
        else:
            body[entry.wire] = entry.encode(value) if entry.encode else value
    return tuple(lost)


def apply_quirks(body: Json, facts: Facts) -> tuple[Loss, ...]:
    """Drop, rename and fill in top-level keys as the target's row declares."""
    quirks = facts.quirks
    lost = tuple(Loss(key, "the target rejects it") for key in quirks.drop if body.pop(key, None) is not None)
    for ours, theirs in quirks.rename.items():
        if ours in body:
            body[theirs] = body.pop(ours)
    for key, value in quirks.defaults.items():
        body.setdefault(key, value)
    return lost


def foreign(extra: Mapping[str, Any], spoken: str | None, dialect: str) -> tuple[Json, tuple[Loss, ...]]:
    """The unknown keys that may be written back, and those that are lost because another dialect spoke them."""
    if spoken is None or spoken == dialect:
        return dict(extra), ()
    return {}, tuple(Loss(key, "it has no meaning in the target's API") for key in extra)


def take(source: Json, key: str, kind: type[T], where: str = "") -> T:
    """`source[key]`, removed from `source`, if it is a `kind`; else an error that names the field."""
    path = f"{where}.{key}" if where else key
    if key not in source:
        raise InvalidRequestError(f"{path} is missing", param=path, code="missing_required_parameter")
    return expect(source.pop(key), kind, path)


def expect(value: Any, kind: type[T], path: str) -> T:
    """`value` if it is a `kind`; else an error that names the field."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted, got = _WORDS.get(kind, kind.__name__), _WORDS.get(type(value), type(value).__name__)
        raise InvalidRequestError(f"{path} must be {wanted}, not {got}", param=path, code="invalid_type")
    return value


_WORDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
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
