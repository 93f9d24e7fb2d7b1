"""Similar: the answer to nearly the same question.

Owns what must be equal all the same (who shares, what stands behind the name, every setting, and the whole conversation
before the last question), how near two questions must be, and what is remembered of them. It judges by vectors, which
see words and not logic: two questions that differ in a negation are near. So it is off unless asked for, and its
threshold is high.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.calls import Call, Clock
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.requests import Request

Embed = Callable[[str, str | None], Awaitable[Sequence[float]]]
"""A question as a vector of length 1, and who pays for it."""
KeyOf = Callable[[Call], str]
"""What makes two calls the same, beside the question."""

PATIENCE = 5.0
"""Seconds for a question's vector: the call itself is not to wait for long."""
MOST_GROUPS = 1_000
MOST_QUESTIONS = 200
"""How many questions of one conversation's prefix are remembered: each is compared."""
MOST_NEAR = 3
"""How many answers are looked for: the nearest may be forgotten already."""


class Near(Struct, frozen=True):
    """What is known of a question."""

    keys: Sequence[str]
    """Where the answers to those near it lie, the nearest first: as far as they are kept still."""
    remember: Callable[[], None]
    """Its own answer is kept: those who ask nearly the same later may have it."""


class _Asked(Struct, frozen=True):
    vector: Sequence[float]
    key: str
    until: float


class Similar:
    """Remembers questions by vector. `await similar(call, key)` gives those that are near enough."""

    def __init__(self, embed: Embed, key_of: KeyOf, clock: Clock, threshold: float, seconds: float) -> None:
        self._embed = embed
        self._key_of = key_of
        self._clock = clock
        self._threshold = threshold
        self._seconds = seconds
        self._lock = threading.Lock()
        self._groups: OrderedDict[str, list[_Asked]] = OrderedDict()

    async def __call__(self, call: Call, key: str) -> Near | None:
        """The questions near a call's, whose own answer lies under `key`; None where it cannot be compared."""
        split = _split(call)
        if split is None:
            return None
        before, question = split
        try:
            async with self._clock.deadline(self._clock.now() + PATIENCE):
                vector = await self._embed(question, call.rules.payer)
        except (TrunklineError, TimeoutError):  # without vectors nothing is near
            return None
        name = sha256(self._key_of(before).encode()).hexdigest()
        now = self._clock.now()
        asked = [one for one in self._groups.get(name, ()) if one.until > now and one.key != key]
        scored = sorted(((_product(vector, one.vector), one.key) for one in asked), reverse=True)
        keys = [key for score, key in scored if score >= self._threshold]
        return Near(keys[:MOST_NEAR], lambda: self._remember(name, _Asked(vector, key, now + self._seconds)))

    def _remember(self, name: str, asked: _Asked) -> None:
        now = self._clock.now()
        with self._lock:
            others = [one for one in self._groups.get(name, ()) if one.until > now and one.key != asked.key]
            self._groups[name] = [*others[-MOST_QUESTIONS + 1 :], asked]
            self._groups.move_to_end(name)
            if len(self._groups) > MOST_GROUPS:
                self._groups.popitem(last=False)


def _split(call: Call) -> tuple[Call, str] | None:
    """The call without its last question, and that question; None where it is no plain text."""
    request: Any = call.request
    if not isinstance(request, Request) or not request.messages:
        return None
    last = request.messages[-1]
    if last.role != "user" or not last.parts or not all(isinstance(part, Text) for part in last.parts):
        return None
    return call.asking(replace(request, messages=request.messages[:-1])), last.text


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=False))


def normal(vector: Sequence[float]) -> list[float]:
    """A vector of length 1."""
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]
