"""What strict structured output and strict tools take of JSON Schema, in chat completions and in the Responses API.

A schema of another form is refused with `strict`, and taken as a hint without it: so `strict` is said only of those
that fit.
"""

from __future__ import annotations

from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.tools import ResponseFormat, Schema, Tool
from trunkline.wire.grammar import schemas
from trunkline.wire.grammar.schemas import Takes

STRICT = Takes(
    known=frozenset({
        "$schema", "$defs", "$ref", "definitions", "type", "title", "description", "enum", "const", "anyOf",
        "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
        "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    }),
    closed=True,
    complete=True,
    recursive=True,
    page="https://platform.openai.com/docs/guides/structured-outputs",
)  # fmt: skip
"""Its page's "Supported schemas"."""


def strict_form(form: ResponseFormat, losses: list[Loss], *, own: bool) -> bool | None:
    """What to say of an answer's `strict`: to callers of other APIs, who do not know the word, a form is binding."""
    if form.strict is None and not own:
        return schemas.fits(form.schema or {}, STRICT) or None
    return _strict(form.strict, form.schema, "response_format", losses, own=own)


def strict_tool(tool: Tool, losses: list[Loss], *, own: bool) -> bool | None:
    """What to say of a tool's `strict`."""
    return _strict(tool.strict, tool.parameters, f"tools.{tool.name}", losses, own=own)


def _strict(said: bool | None, schema: Schema | None, where: str, losses: list[Loss], *, own: bool) -> bool | None:
    if not said or own or schemas.fits(schema or {}, STRICT):
        return said
    losses.append(Loss(f"{where}.strict", "its schema is not of the form to which the API holds a model", "range"))
    return None
