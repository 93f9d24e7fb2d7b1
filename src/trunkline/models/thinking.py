"""Thinking: how a family of models wants to be told how hard to think.

No source of facts says it, and the APIs refuse the wrong form: so the families stand here, each with the page that says
so. A model of none of them is asked by its dialect's older form, or as its abilities (`facts.py`) allow.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct


class Thinking(Struct, frozen=True, kw_only=True):
    """What a family takes."""

    pattern: str
    """The model's name without its provider's prefix, from the start."""
    adaptive: bool = False
    """An effort in words, and the model decides; a number of tokens is refused or on its way out."""
    least: int = 0
    """The fewest tokens of thinking: above 0 it cannot be told not to think."""
    page: str


FAMILIES = (
    Thinking(pattern=r"gemini-[3-9]", adaptive=True, page="ai.google.dev/gemini-api/docs/thinking#thinking-levels"),
    Thinking(pattern=r"gemini-2\.5-pro", least=128, page="ai.google.dev/gemini-api/docs/thinking#set-budget"),
    Thinking(
        pattern=r"claude-(opus|sonnet|haiku)-(4-[6-9]|[5-9])|claude-[a-z]+-[5-9]",
        adaptive=True,
        page="docs.anthropic.com/en/docs/build-with-claude/adaptive-thinking",
    ),
)

UNKNOWN = Thinking(pattern="", page="")
"""A model of no family that is listed."""


@lru_cache(512)
def thinking(model: str) -> Thinking:
    """What the model's family takes. Resellers' prefixes (`us.anthropic.`, `google/`) are looked past."""
    name = re.split(r"[/.](?=claude|gemini)", model)[-1]
    return next((family for family in FAMILIES if re.match(family.pattern, name)), UNKNOWN)
