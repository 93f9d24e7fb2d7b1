"""Stored: an answer that is kept, and the store that keeps it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Stored(Struct, frozen=True):
    """An answer as it is kept: the bytes that a target said, and which target that was."""

    target: str
    dialect: str
    streamed: bool
    body: bytes
    """A whole body, or a stream's from its first byte to its last."""


class Store(Protocol):
    """Where answers lie, by key, for some seconds."""

    async def get(self, key: str, /) -> bytes | None:
        """What lies there; None where nothing does, or where it is too slow to be of use."""
        ...

    def put(self, key: str, value: bytes, seconds: float, /) -> None:
        """Keep it for so long. Nobody waits for it."""
        ...

    async def close(self) -> None:
        """Close the running loop's connections; safe to call again."""
        ...
