"""What the API takes of JSON Schema, where it holds the model to it (structured outputs, strict tools)."""

from __future__ import annotations

from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar import schemas
from trunkline.wire.grammar.schemas import Takes

TAKES = Takes(
    refused=frozenset({
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties", "oneOf",
    }),
    highest={"minItems": 1},
    closed=True,
    page="https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html",
)  # fmt: skip
"""Limits on numbers and texts are refused, and objects must be closed, whoever made the model."""


def fit(schema: Json, where: str, losses: list[Loss]) -> Json:
    """The schema as far as the API takes it."""
    return schemas.fit(schema, TAKES, where, losses)
