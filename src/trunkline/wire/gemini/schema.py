"""JSON Schema here: what the API takes of it, and its own older form, a part of OpenAPI's.

`parametersJsonSchema` of a function takes any schema as a hint. `responseJsonSchema` holds the model to it and knows
the keywords below (ai.google.dev/api/generate-content, GenerationConfig). `parameters` and `responseSchema` are in the
older form, whose types are in capitals (ai.google.dev/api/caching, Schema).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.fields import an_object

KNOWN = frozenset({
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
    "propertyOrdering",
})  # fmt: skip
"""What holds the model. Other keywords are left out: some are refused, none has an effect."""

_SAYS_NOTHING = frozenset(
    {"$schema", "$comment", "default", "deprecated", "examples", "readOnly", "writeOnly", "strict"}
)
"""Keywords that hold nobody: nothing is lost without them."""

_NAMED = frozenset({"properties", "$defs"})
"""Keywords under which schemas stand by name: there a name that looks like a keyword is none."""

_LISTED = frozenset({"anyOf", "oneOf", "prefixItems"})


def fit(schema: Json, where: str, losses: list[Loss]) -> Json:
    """The schema of an answer as far as the API holds the model to it."""
    lost: set[str] = set()
    fitted = _fit(schema, lost)
    losses += [Loss(f"{where}.{keyword}", "the API cannot hold the model to it", "range") for keyword in sorted(lost)]
    return fitted


def _fit(schema: Json, lost: set[str]) -> Json:
    if "$ref" in schema:  # beside which nothing else may stand
        lost.update(schema.keys() - KNOWN - _SAYS_NOTHING - {"definitions"})
        schema = {key: value for key, value in schema.items() if key[:1] == "$" or key == "definitions"}
    fitted: Json = {}
    for key, value in schema.items():
        match key:
            case "definitions":
                fitted["$defs"] = {name: _inside(one, lost) for name, one in an_object(value).items()}
            case "$ref":
                fitted[key] = value.replace("#/definitions/", "#/$defs/") if isinstance(value, str) else value
            case "const":
                fitted["enum"] = [value]
            case "allOf" if isinstance(value, list) and len(cast("list[Any]", value)) == 1:
                fitted |= _fit(an_object(value[0]), lost)
            case _ if key in _NAMED:
                fitted[key] = {name: _inside(one, lost) for name, one in an_object(value).items()}
            case "items" | "additionalProperties":
                fitted[key] = _inside(value, lost)
            case _ if key in _LISTED and isinstance(value, list):
                fitted[key] = [_inside(one, lost) for one in cast("list[Any]", value)]
            case _ if key in KNOWN:
                fitted[key] = value
            case _ if key not in _SAYS_NOTHING:
                lost.add(key)
            case _:
                pass
    return fitted


def _inside(value: Any, lost: set[str]) -> Any:
    return _fit(cast("Json", value), lost) if isinstance(value, dict) else value


_TYPES: Mapping[Any, str] = {
    1: "string",
    2: "number",
    3: "integer",
    4: "boolean",
    5: "array",
    6: "object",
    7: "null",
}
"""The older form's types by number, for callers whose JSON has numbers for words."""

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""64-bit counts, which protobuf's JSON writes as strings."""

_OLDER = frozenset({"nullable", "example", "propertyOrdering"})


def from_openapi(schema: Json) -> Json:
    """The older form as JSON Schema; the very same object where they do not differ."""
    plain: Json = {}
    for key, value in schema.items():
        match key:
            case "type":
                kind = value.lower() if isinstance(value, str) else _TYPES.get(value) if _hashable(value) else None
                if kind != "type_unspecified":
                    plain[key] = kind or value
            case "properties" | "$defs" | "defs":
                plain[key] = {name: _from_openapi(one) for name, one in an_object(value).items()}
            case "items" | "additionalProperties":
                plain[key] = _from_openapi(value)
            case "anyOf" | "prefixItems" if isinstance(value, list):
                plain[key] = [_from_openapi(one) for one in cast("list[Any]", value)]
            case "format" if value == "enum":
                pass
            case _ if key in _COUNTS and isinstance(value, str) and value.isdecimal():
                plain[key] = int(value)
            case _ if key not in _OLDER:
                plain[key] = value
            case _:
                pass
    if schema.get("nullable") is True and isinstance(kind := plain.get("type"), str):
        plain["type"] = [kind, "null"]
    return schema if plain == schema else plain


def _from_openapi(value: Any) -> Any:
    return from_openapi(cast("Json", value)) if isinstance(value, dict) else value


def _hashable(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
