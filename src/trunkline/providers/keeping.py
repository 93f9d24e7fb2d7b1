"""Keeping: a response whose bytes are kept as they come, and one that was kept."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.vocabulary.protocols import Receiving

from .between import Between


class Keeping(Between):
    """A response that is being read, and what has come of it so far."""

    def __init__(self, receiving: Receiving) -> None:
        super().__init__(receiving)
        self.kept: list[bytes] = []

    async def more(self) -> bytes | None:
        """The next bytes."""
        piece = await self._receiving.more()
        if piece is not None:
            self.kept.append(piece)
        return piece


class Kept:
    """A response that came before."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    async def read(self) -> bytes:
        """The whole body."""
        return self._body or b""

    async def more(self) -> bytes | None:
        """All of it at once, then nothing."""
        body, self._body = self._body, None
        return body

    def release(self) -> None:
        """Nothing is held."""
