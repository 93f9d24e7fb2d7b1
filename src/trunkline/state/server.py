"""Server: where a Redis or Valkey server is, how long it may take, and the library that speaks its protocol.

Owns what is used of redis-py, and which of its errors mean what. Importing that takes 0.3 s, so a thread does it at the
first question. Knows no event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from trunkline.vocabulary.calls import Clock

Node = tuple[tuple[str, Any], ...]
"""A member of a cluster: its host and its port."""


class Connection(Protocol):
    """What is used of redis-py's connections."""

    async def connect(self) -> None: ...
    async def can_read(self) -> bool: ...
    async def send_command(self, *words: str | bytes | int) -> None: ...
    async def read_response(self) -> Any: ...
    async def disconnect(self, nowait: bool = False) -> None: ...


class Library:
    """Redis-py, and how it makes a connection to the server of a URL."""

    def __init__(self, url: str) -> None:
        import redis.asyncio.connection as connections
        import redis.crc as crc
        import redis.exceptions as exceptions

        settings = cast("dict[str, Any]", connections.parse_url(url))
        self._make = cast("Callable[..., Connection]", settings.pop("connection_class", connections.Connection))
        self._settings = {
            **settings,
            "protocol": 2,
            "driver_info": None,  # two questions less for each connection
            "socket_timeout": None,  # the question's own deadline holds
            "socket_connect_timeout": None,
        }
        self.failures = (exceptions.RedisError, OSError, EOFError)
        self.answers = exceptions.ResponseError
        """An error that the server said: the connection is good."""
        self.moved = exceptions.MovedError
        self.unknown_script = exceptions.NoScriptError
        self.passing = (
            exceptions.ReadOnlyError,
            exceptions.OutOfMemoryError,
            exceptions.ClusterDownError,
            exceptions.MasterDownError,
            exceptions.TryAgainError,
            exceptions.AskError,  # and with it MovedError
            exceptions.NoPermissionError,
        )
        """What it says when it cannot do now what it can do at other times."""
        self.slot_of = cast("Callable[[bytes], int]", crc.key_slot)

    def connection(self, node: Node | None) -> Connection:
        """A connection that is not open yet; `node`: to this member of the cluster."""
        return self._make(**self._settings) if node is None else self._make(**self._settings | dict(node))


class Server:
    """Where the server is, and how long it may take."""

    def __init__(self, url: str, clock: Clock, timeout: float, meanwhile: str) -> None:
        self.url, self.clock, self.timeout, self.meanwhile = url, clock, timeout, meanwhile
        self._library: Library | None = None

    async def library(self) -> Library:
        """Redis-py, imported where no loop waits for it."""
        if self._library is None:
            self._library = await asyncio.to_thread(Library, self.url)
        return self._library

    @property
    def name(self) -> str:
        """For the log: a URL may hold a password."""
        parts = urlsplit(self.url)
        return parts.hostname or parts.path
