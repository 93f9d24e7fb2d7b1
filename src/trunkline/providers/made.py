"""Made: a response that came over no network, but was made on this machine."""

from __future__ import annotations

from collections.abc import Mapping


class Made:
    """A response that is all there. See `vocabulary.protocols.Receiving`."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": "application/json", **(headers or {})}
        self._body: bytes | None = body

    async def read(self) -> bytes:
        """All of it."""
        return self._body or b""

    async def more(self) -> bytes | None:
        """All of it, and then nothing."""
        body, self._body = self._body, None
        return body

    def release(self) -> None:
        """Nothing is open."""
