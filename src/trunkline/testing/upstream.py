"""An upstream on the loopback: real HTTP over a real socket, answering as a test tells it.

Owns a small HTTP/1.1 server and what it was asked. Knows no API: a test says which bytes come back, when, and where the
connection breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import Struct

from trunkline.portal import portal


class Told(Struct, frozen=True, kw_only=True):
    """What to answer to one request."""

    status: int = 200
    headers: Mapping[str, str] = {}
    pieces: Sequence[bytes] = ()
    """The body; several pieces are sent one after another, chunked."""
    gap: float = 0.0
    """Seconds between two pieces."""
    delay: float = 0.0
    """Seconds before the head."""
    cut: bool = False
    """Break the connection after the last piece instead of ending the body."""
    silent: bool = False
    """Break the connection without a head."""
    hang: bool = False
    """Send the pieces, then nothing more, and keep the connection open."""


class Served(Struct):
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    gone: bool = False
    """The client left before the answer was complete."""

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


def reply(status: int = 200, body: Any = None, *, delay: float = 0.0, **headers: str) -> Told:
    """A whole JSON answer, after `delay` seconds; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else msgspec.json.encode(body if body is not None else {})
    return Told(status=status, headers={"content-type": "application/json", **named}, pieces=(content,), delay=delay)


def stream(*events: Any, done: bool = True, **how: Any) -> Told:
    """A server-sent stream of JSON events, one piece each; `done` ends it as chat completions do."""
    pieces = [
        b"data: " + (event if isinstance(event, bytes) else msgspec.json.encode(event)) + b"\n\n" for event in events
    ]
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces, **how)


class FakeUpstream:
    """`async with FakeUpstream([reply(429), reply(200, HELLO)]) as upstream`: answers in order, the last one again and
    again; or a function of the request. `upstream.url` is its address, `upstream.served` what it was asked.

    In a test without a loop, `with` does: the upstream then lives on the loop of the synchronous clients.
    """

    def __init__(self, script: Sequence[Told] | Callable[[Served], Told]) -> None:
        self._script = script
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self.served: list[Served] = []
        self.connections = 0
        """How many connections were ever opened."""

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        assert self._server is not None, "use it as a context manager"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "entered before it is left"
        self._server.close()
        for task in list(self._handlers):
            task.cancel()
        for writer in list(self._connections):
            writer.close()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def __enter__(self) -> Self:
        return portal().run(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        portal().run(self.__aexit__())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served in a task"
        self._handlers.add(task)
        self._connections.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                ahead: bytes | None = b""
                while ahead is not None:
                    ahead = await self._answer(reader, writer, ahead)
        finally:
            self._handlers.discard(task)
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ahead: bytes) -> bytes | None:
        """One request and its answer. Gives what the client has said of its next request; None when that is over."""
        asked = await _read(reader, ahead)
        if asked is None:
            return None
        self.served.append(asked)
        answering = asyncio.ensure_future(_write(writer, self._next(asked)))
        listening = asyncio.ensure_future(reader.read(1))  # until it is answered, a client can only leave
        try:
            await asyncio.wait({listening, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and listening.result() == b"":
                asked.gone = True
                return None
            goes_on = await answering
            return await listening or None if goes_on else None
        finally:
            answering.cancel()
            listening.cancel()
            await asyncio.gather(answering, listening, return_exceptions=True)

    def _next(self, asked: Served) -> Told:
        if callable(self._script):
            return self._script(asked)
        return self._script[min(len(self.served), len(self._script)) - 1]


async def _read(reader: asyncio.StreamReader, ahead: bytes) -> Served | None:
    try:
        head = ahead + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Served(method, path, headers, body)


async def _write(writer: asyncio.StreamWriter, told: Told) -> bool:
    """Send what was told; whether the connection may go on."""
    if told.delay:
        await asyncio.sleep(told.delay)  # noqa: TID251 real time on a real socket
    if told.silent:
        return False
    chunked = len(told.pieces) != 1 or told.cut or told.hang
    headers = {**told.headers, **({"transfer-encoding": "chunked"} if chunked else {})}
    if not chunked:
        headers["content-length"] = str(len(told.pieces[0]))
    lines = [f"HTTP/1.1 {told.status} Told", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    for at, piece in enumerate(told.pieces):
        if at and told.gap:
            await asyncio.sleep(told.gap)  # noqa: TID251 real time on a real socket
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        await writer.drain()
    if told.hang:
        await asyncio.Event().wait()
    if told.cut:
        return False
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True
