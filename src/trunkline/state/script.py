"""The script: `counters.lua`, run by the server.

Owns that the server has it, and how a claim is said to it. Knows no rule of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal

from msgspec.msgpack import Encoder

from trunkline.vocabulary.buckets import Claim

from .counters import part_of
from .link import Link, Rejected

_TEXT = Path(__file__).with_name("counters.lua").read_bytes()
_SHA = sha1(_TEXT, usedforsecurity=False).hexdigest()
_encode = Encoder().encode

WireClaim = tuple[str, str, str, int | str, int, int]
"""Key, kind, measure, span, limit, amount."""


def wire(claim: Claim) -> list[WireClaim]:
    """A claim as the script reads it."""
    amounts = claim.amounts
    return [
        (one.key, *_kind(one.measure, one.period, one.seconds), one.limit, amounts[one.measure])
        for one in claim.buckets
    ]


def _kind(measure: str, period: str | None, seconds: float) -> tuple[str, str, int | str]:
    if measure == "slots":
        return "slots", measure, 0
    return ("window", measure, part_of(seconds)) if period is None else ("budget", measure, period)


class Script:
    """The script with its hub: the key whose hash tag all others share."""

    def __init__(self, prefix: str) -> None:
        self._hub = f"{{{prefix}}}"

    async def run(self, link: Link, what: Literal["reserve", "post"], question: Sequence[Any]) -> Any:
        """One round trip; two where the server has forgotten the script. Raises Unreachable or Rejected."""
        packed = _encode(question)
        try:
            return await link.ask(self._hub, "EVALSHA", _SHA, 1, self._hub, what, packed)
        except Rejected as error:
            if not error.unknown_script:
                raise
        return await link.ask(self._hub, "EVAL", _TEXT, 1, self._hub, what, packed)
