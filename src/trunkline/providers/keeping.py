"""Keeping: a response whose bytes are kept as they come, and one that was kept."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.vocabulary.protocols import Receiving


class Keeping:
    """A response that is being read, and what has come of it so far."""

    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving
        self.kept: list[bytes] = []

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._receiving.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers."""
        return self._receiving.headers

    async def read(self) -> bytes:
        """The whole body."""
        return await self._receiving.read()

    async def more(self) -> bytes | None:
        """The next bytes."""
        piece = await self._receiving.more()
        if piece is not None:
            self.kept.append(piece)
        return piece

    def release(self) -> None:
        """Give the connection up."""
        self._receiving.release()


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
