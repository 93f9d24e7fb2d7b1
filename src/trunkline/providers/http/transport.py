"""The HTTP transport: what the engine holds, and a pool of connections for each event loop that sends.

Owns which loop has which pool, and what becomes of them when a transport is dropped or the process forks. The HTTP
library costs 130 ms to import, so it is imported with the first pool: the first request pays, not the first client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from trunkline.vocabulary.protocols import Receiving, Sending

if TYPE_CHECKING:
    from .pool import Pool

CONNECT_SECONDS = 10.0


class HttpTransport:
    """HTTP/1.1 over pooled connections. Loop-agnostic: each loop that sends gets a pool, which closes with it."""

    def __init__(self, connect_seconds: float = CONNECT_SECONDS) -> None:
        self._connect_seconds = connect_seconds
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._lock = threading.Lock()
        _TRANSPORTS.add(self)
        weakref.finalize(self, _close_all, self._pools).atexit = False

    async def send(self, request: Sending) -> Receiving:
        """Send, and wait for the answer's head."""
        pool = self._pools.get(asyncio.get_running_loop()) or await self._open_pool()
        return await pool.send(request)

    async def close(self) -> None:
        """Close the pool of the running loop; those of other loops close with their loops."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            await pool.close()

    async def _open_pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        new_pool = await asyncio.to_thread(_pool_class)  # the import would hold the loop up
        with self._lock:
            for other in [other for other in self._pools if other.is_closed()]:
                del self._pools[other]
            pool = self._pools.get(loop) or new_pool(self._connect_seconds, self._pools)
            self._pools[loop] = pool
        await pool.open()
        return pool

    def leave_to_parent(self) -> None:
        """In a forked child: the parent's sockets are not ours. Left alone, for closing them would say goodbye."""
        _LEFT_TO_THE_PARENT.append(dict(self._pools))
        self._pools.clear()
        self._lock = threading.Lock()


def _pool_class() -> type[Pool]:
    from .pool import Pool

    return Pool


def _close_all(pools: dict[asyncio.AbstractEventLoop, Pool]) -> None:
    """A transport was dropped without being closed: each pool closes in its own loop, where that still runs."""
    for loop, pool in list(pools.items()):
        with contextlib.suppress(RuntimeError):  # that loop is closed
            loop.call_soon_threadsafe(lambda loop=loop, pool=pool: loop.create_task(pool.close()))


_TRANSPORTS: weakref.WeakSet[HttpTransport] = weakref.WeakSet()
_LEFT_TO_THE_PARENT: list[object] = []
"""Keeps a forked child from collecting, and so from closing, the connections that its parent still uses."""


def _forked() -> None:
    for transport in _TRANSPORTS:
        transport.leave_to_parent()


if sys.platform != "win32":  # where processes do not fork
    os.register_at_fork(after_in_child=_forked)
