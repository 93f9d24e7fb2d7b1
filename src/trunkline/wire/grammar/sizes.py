"""Sizes: how long an answer may be and how many are wanted, read off a request's words without reading the rest.

Owns where the APIs say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from trunkline.vocabulary.requests import Words

from .fields import an_object

MOST = ("max_completion_tokens", "max_tokens", "max_output_tokens")
ANSWERS = ("n",)
INSIDE: Mapping[str, tuple[str, str]] = {
    "generationConfig": ("maxOutputTokens", "candidateCount"),
    "generation_config": ("max_output_tokens", "candidate_count"),
    "inferenceConfig": ("maxTokens", ""),
    "options": ("num_predict", ""),
}
"""Objects that hold them, in the APIs that have them one floor down."""


def asked_for(words: Words) -> tuple[int | None, int | None]:
    """The most tokens of an answer, and the number of answers; None where the caller does not say."""
    most, answers = _first(words.fields, MOST), _first(words.fields, ANSWERS)
    for place, (inner_most, inner_answers) in INSIDE.items():
        if place in words.fields:
            inside = an_object(_decoded(words.fields[place]))
            most = most or _count(inside.get(inner_most))
            answers = answers or _count(inside.get(inner_answers))
    return most, answers


def _first(fields: Mapping[str, Raw], keys: Iterable[str]) -> int | None:
    return next((count for key in keys if key in fields and (count := _count(_decoded(fields[key])))), None)


def _decoded(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError:  # whoever reads the request says so
        return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
