"""Links: the connections of event loops to one Redis or Valkey server.

Owns connecting, one deadline for each question, and the breaker: who asks a server that has failed three times in a
row is told so at once, while somebody looks in the background whether it is back. Knows no script and no key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from importlib.util import find_spec
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import ConfigurationError

from . import forks
from .server import Connection, Library, Node, Server

logger = logging.getLogger("trunkline")

FAILURES = 3
"""After so many in a row nobody waits for the server any more."""
KNOCK_SECONDS = 1.0
"""How often it is then tried again, in the background."""
BUSY_SECONDS = 0.005
"""An alarm that rings so late rang in a loop that was busy."""
CONNECTIONS = 16
"""At most, for each event loop: the server does one thing at a time."""
REDIRECTS = 3
"""To how many members of a cluster one question is put, each of which may name another."""


_TOLD: set[str] = set()
"""The servers of which the log has been told that they are away."""


class Unreachable(Exception):
    """The server did not answer in time, or could not do what it was asked."""


class Rejected(Exception):
    """The server answered that the command itself is wrong."""

    def __init__(self, said: str, *, unknown_script: bool) -> None:
        super().__init__(said)
        self.unknown_script = unknown_script


_Links = dict[asyncio.AbstractEventLoop, "Link"]


class Links:
    """A link for each event loop that asks; it closes with its loop."""

    def __init__(self, url: str, clock: Clock, timeout: float, meanwhile: str) -> None:
        """`meanwhile` says, for the log, what happens while the server does not answer."""
        if find_spec("redis") is None:
            raise ConfigurationError("Redis needs a package that is not installed: pip install 'trunkline[redis]'")
        if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise ConfigurationError("the address of Redis begins with redis://, rediss:// or unix://")
        self._server = Server(url, clock, timeout, meanwhile)
        self._links: _Links = {}
        self._lock = threading.Lock()
        forks.watch(self)
        weakref.finalize(self, _close_all, self._links).atexit = False

    def here(self) -> Link:
        """The running loop's link."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None:
            with self._lock:
                for other in [other for other in self._links if other.is_closed()]:
                    del self._links[other]
                link = self._links.setdefault(loop, Link(self._server, self._links))
        return link

    async def close(self) -> None:
        """Close the running loop's link; safe to call again."""
        link = self._links.get(asyncio.get_running_loop())
        if link is not None:
            await link.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the parent's sockets are not ours."""
        _LEFT_TO_THE_PARENT.append(dict(self._links))
        self._links.clear()
        self._lock = threading.Lock()


class Link:
    """The connections of one event loop, and whether it is worth asking over them."""

    def __init__(self, server: Server, siblings: _Links) -> None:
        self._server = server
        self._clock = server.clock
        self._siblings = siblings
        self._library: Library | None = None
        self._idle: dict[Node | None, list[Connection]] = {}
        self._nodes: dict[int, Node] = {}
        """Which member of a cluster holds a slot, as far as one has said so."""
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._failures = 0
        self.away = False
        """The server does not answer, and is not waited for."""
        self._ended = False
        self.asked = 0
        """How many questions went to the server."""
        self.on_return: list[Callable[[], object]] = []
        self.on_end: list[Callable[[], Awaitable[object]]] = []
        self._stop_knocking: Callable[[], object] = _nothing
        self._knocking: asyncio.Task[None] | None = None
        self._watch = self._until_the_loop_ends()
        self._watched = False

    async def ask(self, key: str, *words: str | bytes | int) -> Any:
        """One question about one key, and its answer. Raises Unreachable, when the server has not answered within the
        timeout, or Rejected. Many that ask at once stand in line, for it is not the server that is slow then; when it
        is, they are told with the first."""
        if self.away:
            raise Unreachable
        library = self._library or await self._open()
        async with self._room:
            if self.away:
                raise Unreachable
            return await self._ask(library, key, words)

    async def _ask(self, library: Library, key: str, words: tuple[str | bytes | int, ...]) -> Any:
        try:
            with _Deadline(self._clock, self._server.timeout):
                answer = await self._exchange(library, key, words)
        except library.answers as error:
            if not isinstance(error, library.passing):
                raise Rejected(str(error), unknown_script=isinstance(error, library.unknown_script)) from error
            self._failed()
            raise Unreachable from error
        except (TimeoutError, *library.failures) as error:
            self._failed()
            raise Unreachable from error
        self._failures = 0
        return answer

    async def _exchange(self, library: Library, key: str, words: tuple[str | bytes | int, ...]) -> Any:
        for _ in range(REDIRECTS):
            node = self._nodes.get(library.slot_of(key.encode())) if self._nodes else None
            try:
                return await self._over(library, node, words)
            except library.moved as error:
                self._nodes[error.slot_id] = (("host", str(error.host)), ("port", int(error.port)))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        raise Unreachable

    async def _connection(self, library: Library, node: Node | None) -> Connection:
        """One that is idle and was not closed by the server meanwhile, or a new one."""
        idle = self._idle.setdefault(node, [])
        while idle:
            connection = idle.pop()
            if not await connection.can_read():  # what could be read is its end
                return connection
            await connection.disconnect(nowait=True)
        connection = library.connection(node)
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _over(self, library: Library, node: Node | None, words: tuple[str | bytes | int, ...]) -> Any:
        connection = await self._connection(library, node)
        self.asked += 1
        try:
            await connection.send_command(*words)
            answer = await connection.read_response()
        except library.answers:
            await self._put_back(node, connection)
            raise
        except BaseException:  # its answer may still come: nobody else may read it
            await connection.disconnect(nowait=True)
            raise
        await self._put_back(node, connection)
        return answer

    async def _put_back(self, node: Node | None, connection: Connection) -> None:
        """For the next question, if the link was not closed meanwhile."""
        if self._ended:
            await connection.disconnect(nowait=True)
        else:
            self._idle[node].append(connection)

    def _failed(self) -> None:
        self._failures += 1
        self._nodes.clear()  # a member of the cluster may be gone
        if self._failures >= FAILURES and not self.away:
            self.away = True
            again = self._server.url in _TOLD  # another client of this process has said so
            _TOLD.add(self._server.url)
            level = logging.INFO if again else logging.WARNING
            logger.log(level, "the Redis server at %s does not answer; %s", self._server.name, self._server.meanwhile)
            self._knock_later()

    def _knock_later(self) -> None:
        self._stop_knocking = self._clock.alarm(self._clock.now() + KNOCK_SECONDS, self._knock)

    def _knock(self) -> None:
        self._knocking = asyncio.get_running_loop().create_task(self._try_again())

    async def _try_again(self) -> None:
        try:
            await self._ask(await self._open(), "", ("PING",))
        except (Unreachable, Rejected):
            self._knock_later()
            return
        self.away = False
        _TOLD.discard(self._server.url)
        logger.warning("the Redis server at %s answers again", self._server.name)
        for tell in self.on_return:
            tell()

    async def _open(self) -> Library:
        """Begin to watch the loop: at its end `asyncio.run` finishes open async generators, and so closes this link."""
        library = await self._server.library()
        if not self._watched:
            self._watched = True
            await anext(self._watch)
        self._library = library
        return library

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._shut()

    async def close(self) -> None:
        """Say what is still to be said, and close every connection; safe to call again."""
        if not self._watched:
            self._forget()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closing it at this moment
            await self._watch.aclose()

    def _forget(self) -> None:
        self._siblings.pop(asyncio.get_running_loop(), None)

    async def _shut(self) -> None:
        for last in self.on_end:
            await last()
        self._forget()
        self._stop_knocking()
        if self._knocking is not None:
            self._knocking.cancel()
        self._ended = self.away = True  # whoever still holds this link is not to open it again
        for connection in [connection for idle in self._idle.values() for connection in idle]:
            await connection.disconnect(nowait=True)
        self._idle.clear()


class _Deadline:
    """Ends its body with TimeoutError when the server has taken too long. It begins when whoever else is ready has had
    his turn. If the loop was busy when it ends, that is not the server's fault: the time is given once more, and what
    has come by then is read first."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._struck = self._over = self._extended = False
        self._stop: Callable[[], object] = _nothing

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a deadline is set inside a task"
        self._task = task
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        if not self._over:
            self._when = self._clock.now() + self._seconds
            self._stop = self._clock.alarm(self._when, self._late)

    def _late(self) -> None:
        if self._over:
            return
        if self._clock.now() - self._when > BUSY_SECONDS and not self._extended:
            self._extended = True
            self._begin()
        else:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._strike)

    def _strike(self) -> None:
        if not self._over:
            self._struck = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._stop()
        if self._struck and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error


def _nothing() -> None:
    """There is no alarm to switch off."""


def _close_all(links: _Links) -> None:
    """Nobody asks any more: each link closes in its own loop, where that still runs."""
    for loop, link in list(links.items()):
        with contextlib.suppress(RuntimeError):  # that loop is closed
            loop.call_soon_threadsafe(lambda loop=loop, link=link: loop.create_task(link.close()))


_LEFT_TO_THE_PARENT: list[object] = []
"""Keeps a forked child from collecting, and so from closing, the connections that its parent still uses."""
