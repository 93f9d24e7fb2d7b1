"""Complexity: of which kind a request is, told by the caller or guessed by rule of thumb.

Owns the kinds and the guess. It looks at what is asked, not at how well anybody answers; how often it is right on the
labelled questions of our own is printed by `tests/policies/complexity_score.py`.
"""

from __future__ import annotations

import re
from typing import Any

from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.parts import Image, Text
from trunkline.vocabulary.requests import Request

KINDS = ("simple", "vision", "reasoning", "default")
TAG = "complexity:"
"""A caller's tag that says it: `complexity:reasoning`."""

LONG = 4000
"""Letters of a question beyond which it is not simple."""
SHORT = 400

REASONING = re.compile(
    r"\b(prove|proof|derive|theorem|step[- ]by[- ]step|reason(?:ing)? through|trade-?offs?|root cause|debug|refactor"
    r"|optimi[sz]e|complexity of|algorithm|integral|equation|probability|how many ways|constraints?|plan (?:a|the|out)"
    r"|design (?:a|an|the)|architect(?:ure)?|compare and contrast|evaluate|analy[sz]e|why does .+ fail|deadlock|race"
    r" condition|contradict\w*|puzzle|riddle|logic(?:al)?|strategy)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"```|\bdef \w+\(|\bclass \w+[:({]|#include\b|\bSELECT\b.+\bFROM\b|=>|;\s*$", re.MULTILINE)
MATHS = re.compile(r"\d\s*[-+*/^=]\s*\d.*[-+*/^=]|[∑∫√≤≥∂π]|\b[xyz]\s*=\s*|\\frac")


def complexity(call: Call) -> tuple[str, str]:
    """The kind of a call, and why."""
    for tag in call.rules.tags:
        if tag.startswith(TAG) and tag[len(TAG) :] in KINDS:
            return tag[len(TAG) :], "the caller says so"
    request: Any = call.request
    return classified(request) if isinstance(request, Request) else ("default", "it is no conversation")


def classified(request: Request) -> tuple[str, str]:
    """The kind of a request, guessed, and what gave it away."""
    last: list[str] = []
    for message in request.messages:
        if any(isinstance(part, Image) for part in message.parts):
            return "vision", "it has a picture"
        if message.role == "user":
            last = [part.text for part in message.parts if isinstance(part, Text)]
    if request.settings.reasoning is not None:
        return "reasoning", "it asks for thinking"
    asked = "\n".join(last)
    for pattern, what in (
        (REASONING, "the words of its question"),
        (CODE, "the code in it"),
        (MATHS, "the sums in it"),
    ):
        if pattern.search(asked) is not None:
            return "reasoning", what
    if request.tools:
        return "default", "it has tools"
    if len(asked) > LONG:
        return "default", "its question is long"
    if len(asked) <= SHORT:
        return "simple", "its question is short"
    return "default", "nothing stands out"
