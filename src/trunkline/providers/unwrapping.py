"""Unwrapping: an answer whose stream comes wrapped in another framing, as the plain stream that its dialect reads.

Bedrock sends Anthropic's events inside its own binary frames; `wire/grammar/unwrapped.py` knows both. Here it is put
between the connection and whoever reads it.
"""

from __future__ import annotations

from trunkline.vocabulary.protocols import Receiving
from trunkline.wire.grammar.unwrapped import Unwrapped

from .between import Between


class Unwrapping(Between):
    """A response whose pieces are unwrapped as they come; a refusal is not wrapped, and read as it is."""

    def __init__(self, receiving: Receiving) -> None:
        super().__init__(receiving)
        self._unwrapped: Unwrapped | None = Unwrapped()

    async def more(self) -> bytes | None:
        """The next events."""
        while self._unwrapped is not None:
            piece = await self._receiving.more()
            if piece is None:
                rest, self._unwrapped = self._unwrapped.close(), None
                return rest or None
            if plain := self._unwrapped.feed(piece):
                return plain
        return None
