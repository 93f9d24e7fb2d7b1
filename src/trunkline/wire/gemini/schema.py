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
from trunkline.wire.grammar import schemas
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.schemas import Takes

TAKES = Takes(
    known=frozenset({
        "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
        "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties",
        "required", "propertyOrdering",
    }),
    lone_references=True,
    recursive=True,
    page="https://ai.google.dev/api/generate-content",
)  # fmt: skip
"""What holds the model (its page's `responseJsonSchema`). Other keywords are refused, or have no effect."""


def fit(schema: Json, where: str, losses: list[Loss]) -> Json:
    """The schema of an answer as far as the API holds the model to it."""
    return schemas.fit(schema, TAKES, where, losses)


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
