"""What the API takes of JSON Schema, where it holds the model to it (structured outputs, strict tools).

Objects must be closed, and limits on numbers, lengths and counts are refused
(docs.anthropic.com/en/docs/build-with-claude/structured-outputs, "JSON Schema limitations").
"""

from __future__ import annotations

from typing import Any, cast

from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss

_REFUSED = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties",
})  # fmt: skip

_NAMED = frozenset({"properties", "$defs", "definitions"})
"""Keywords under which schemas stand by name: there a name that looks like a keyword is none."""


def fit(schema: Json, where: str, losses: list[Loss]) -> Json:
    """The schema as far as the API takes it."""
    lost: set[str] = set()
    fitted = _fit(schema, lost)
    losses += [Loss(f"{where}.{keyword}", "the API cannot hold the model to it", "range") for keyword in sorted(lost)]
    return fitted


def _fit(schema: Json, lost: set[str]) -> Json:
    fitted: Json = {}
    for key, value in schema.items():
        if key in _REFUSED or (key == "minItems" and value > 1):
            lost.add(key)
        elif key in _NAMED and isinstance(value, dict):
            named = cast("Json", value)
            fitted[key] = {name: _inside(one, lost) for name, one in named.items()}
        elif key not in {"enum", "const", "default", "examples"}:
            fitted[key] = _inside(value, lost)
        else:
            fitted[key] = value
    if "oneOf" in fitted and "anyOf" not in fitted:
        fitted["anyOf"] = fitted.pop("oneOf")
    if fitted.get("type") == "object" or "properties" in fitted:
        if fitted.get("additionalProperties", False) is not False:
            lost.add("additionalProperties")
        fitted["additionalProperties"] = False
    return fitted


def _inside(value: Any, lost: set[str]) -> Any:
    if isinstance(value, dict):
        return _fit(cast("Json", value), lost)
    if isinstance(value, list):
        return [_inside(one, lost) for one in cast("list[Any]", value)]
    return value
