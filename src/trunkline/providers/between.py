"""Between: a response that is handed on by whoever stands between the connection and the reader.

Owns what such a one leaves as it is: everything. What it does to the pieces of a stream is said by who needs it
(`keeping`, `unwrapping`), or by `Begun`.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.vocabulary.protocols import Receiving


class Between:
    """A response, handed on. See `vocabulary.protocols.Receiving`."""

    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._receiving.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers."""
        return self._receiving.headers

    async def read(self) -> bytes:
        """The whole body, as it came."""
        return await self._receiving.read()

    async def more(self) -> bytes | None:
        """The next bytes; None at the end."""
        return await self._receiving.more()

    def release(self) -> None:
        """Give the connection up."""
        self._receiving.release()


class Begun(Between):
    """A response whose first bytes somebody has read already."""

    def __init__(self, receiving: Receiving, begun: bytes) -> None:
        super().__init__(receiving)
        self._begun = begun

    async def more(self) -> bytes | None:
        """The first bytes again, then the next."""
        begun, self._begun = self._begun, b""
        return begun or await super().more()
