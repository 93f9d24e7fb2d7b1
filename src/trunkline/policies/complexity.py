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
SHORT = 80
"""Letters up to which a question without any sign is simple: what is longer is sent to the middle rather than too
low."""
NUMBERS, WORDY = 3, 400
"""So many quantities in a question of so many letters are a sum in words."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


SIGNS = (
    (
        "reasoning",
        "the words of its question",
        _words(
            r"prove|proof|show that|derive|theorem|step[- ]by[- ]step|work out|closed form|recurrence",
            r"trade-?offs?|pros and cons|compare and contrast|critique|evaluate|analy[sz]e|contradict\w*|implications",
            r"root cause|debug|refactor|optimi[sz]e|complexity of|algorithm|deadlock|race condition|stack trace|bug",
            r"hangs?|crash(?:es|ed)?|leaks?|off by one|migrate",
            r"integral|equation|probability|how many ways|constraints?|puzzle|riddle|logic(?:al)?|what would happen",
            r"plan (?:a|an|the|out)|schedule|design (?:a|an|the)|architect",
            r"(?:which|what) .{3,60} (?:best|better|cheaper)|(?:cheaper|better|faster) to",
            r"explain why|why (?:is|are|do|does|did|would|will) .+",
            r"beweis\w*|schritt für schritt|démontr\w*|étape par étape|demuestr\w*|paso a paso",
        ),
    ),
    (
        "reasoning",
        "the code in it",
        re.compile(r"```|\bdef \w+\(|\bclass \w+[:({]|#include\b|\bSELECT\b.{1,300}\bFROM\b|=>|;\s*$", re.MULTILINE),
    ),
    (
        "reasoning",
        "the sums in it",
        re.compile(r"\d\s*[-+*/^=]\s*\d.{0,300}[-+*/^=]|[∑∫√≤≥∂π]|\b[xyz]\s*=\s*|\\frac"),
    ),
    (
        "default",
        "it wants a text",
        re.compile(
            r"(?:^|[.!?:]\s+)(?:please |now |can you |could you )?(?:write|draft|compose|summari[sz]e|rewrite"
            r"|paraphrase|turn (?:this|these|the)|suggest|brainstorm|create|generate|describe|explain|outline|escrib\w+"
            r"|schreib\w*|verfass\w*|écri\w+|rédig\w+|give me (?:a|an) (?:week|list|menu|recipe|outline)\b"
            r"|translate (?:this|the following) (?:article|text|letter|page))\b",
            re.IGNORECASE,
        ),
    ),
)
"""What gives a kind away, the strongest sign first."""
QUANTITY = _words(
    r"\d[\d.,:]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|thrice|half|double|dozen|exactly"
)
CONDITION = re.compile(r"^(?:if|given|suppose|assume)\b.+,", re.IGNORECASE)


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
    for kind, why, pattern in SIGNS:
        if pattern.search(asked) is not None:
            return kind, why
    if request.tools:
        return "default", "it has tools"
    if len(asked) > LONG:
        return "default", "its question is long"
    if len(asked) <= WORDY and CONDITION.search(asked) is not None:
        return "reasoning", "the condition in it"
    if len(asked) <= WORDY and len(QUANTITY.findall(asked)) >= NUMBERS:
        return "reasoning", "the numbers in it"
    return ("simple", "its question is short") if len(asked) <= SHORT else ("default", "nothing stands out")
