"""Affinity: the turns of a conversation go where its beginning is cached, as long as that target is not overrun.

Owns what counts as a conversation's beginning, and the bounded load: highest random weight among the targets, none of
which takes more than `BOUND` times its share of what is under way, or `FEW`. Nothing is remembered, so that processes
agree without asking each other, and a conversation that had to go elsewhere comes back.
"""

from __future__ import annotations

from hashlib import blake2b
from math import ceil
from typing import Any

import msgspec

from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.requests import Request

from .standing import Standing

BOUND = 2.0
"""What is under way at a target varies by about the square root of its mean: with a bound of 1.25 a third of the turns
of quiet conversations had to move (`tests/policies/simulations/affinity.py`), with 2 one in twenty."""
FEW = 4
"""So few under way are no load at all."""


def opening(call: Call) -> bytes:
    """What stays the same in every turn of a conversation: its cache key, else its tools, system prompt and first
    question."""
    request: Any = call.request
    if not isinstance(request, Request):
        return msgspec.json.encode(request)
    if request.settings.prompt_cache_key is not None:
        return request.settings.prompt_cache_key.encode()
    first = next((at for at, message in enumerate(request.messages) if message.role == "user"), 0)
    return msgspec.json.encode([request.tools, [message.parts for message in request.messages[: first + 1]]])


def by_affinity(candidates: list[Standing], beginning: bytes) -> list[Standing]:
    """The candidates in the order in which this beginning prefers them; the overrun ones last."""
    under_way = sum(standing.figures.in_flight for standing in candidates)
    most = max(FEW, ceil(BOUND * (under_way + 1) / len(candidates)))
    for standing in candidates:
        weight = blake2b(beginning, digest_size=6, key=standing.target.name.encode()[:64]).digest()
        preference = 1 - int.from_bytes(weight, "big") / 2**48
        standing.score = preference + (1 if standing.figures.in_flight >= most else 0)
    return sorted(candidates, key=lambda standing: standing.score or 0.0)
