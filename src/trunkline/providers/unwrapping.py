"""Unwrapping: an answer whose stream comes wrapped in another framing, as the plain stream that its dialect reads.

Bedrock sends Anthropic's events inside its own binary frames; `wire/grammar/unwrapped.py` knows both. Here it is put
between the connection and whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.vocabulary.protocols import Receiving
from trunkline.wire.grammar.unwrapped import Unwrapped


class Unwrapping:
    """A response whose pieces are unwrapped as they come."""

    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving
        self._unwrapped: Unwrapped | None = Unwrapped()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._receiving.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers."""
        return self._receiving.headers

    async def read(self) -> bytes:
        """The whole body, as it came: refusals are not wrapped."""
        return await self._receiving.read()

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

    def release(self) -> None:
        """Give the connection up."""
        self._receiving.release()
