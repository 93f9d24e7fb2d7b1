"""A small HTTP/1.1 server on the loopback: what the upstreams of this room stand on.

Owns connections: reading requests, sending what it is told, piece by piece, and breaking off where it is told to. Knows
no API. An answer that waits for nothing goes out in one write, without a task or a timer: a soak test sends a million.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, cast

import msgspec
from msgspec import Struct

from trunkline.clock import SystemClock
from trunkline.portal import portal
from trunkline.vocabulary.calls import Clock

BACKLOG = 1024
"""Connections that may wait to be taken: a test opens many at once, and one that is turned away tries again a second
later."""


class Told(Struct, frozen=True, kw_only=True):
    """What to answer to one request.

    A `content-length`, a `transfer-encoding` or a `connection: close` among the headers is taken at its word; else one
    piece is sent with its length, and everything else chunked.
    """

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
    endless: bool = False
    """Send the last piece again and again, until the client leaves."""
    reset: bool = False
    """Where the connection breaks, break it with a reset (RST), not with an end (FIN)."""


class Served(Struct):
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    gone: bool = False
    """The client left before the answer was complete."""
    came_at: float = 0.0
    """The clock's `now()` when the whole request was there."""
    left_at: float | None = None
    """The clock's `now()` when it was noticed that the client had left early."""

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


Met = TypeVar("Met", bound=Served)
"""What an upstream keeps of a request."""


class Upstream(Generic[Met]):
    """A server on the loopback. `async with` starts it on the running loop; in a test without a loop `with` does, on
    the loop of the synchronous clients. A subclass says what is answered."""

    keeps: type[Met] = cast("type[Met]", Served)

    def __init__(self, *, port: int = 0, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.connections = 0
        """How many connections were ever opened."""
        self._port = port
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()

    def tell(self, asked: Met) -> Told:
        """What to answer."""
        raise NotImplementedError

    def admits(self) -> bool:
        """Whether a connection is let in; one that is not is reset at once."""
        return True

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        assert self._server is not None, "use it as a context manager"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._line, "127.0.0.1", self._port, backlog=BACKLOG)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "entered before it is left"
        self._server.close()
        playing = [line.drop() for line in [*self._lines]]
        await asyncio.gather(*filter(None, playing), return_exceptions=True)
        await asyncio.sleep(0)  # noqa: TID251 a turn of the loop, no wait: in it the sockets are closed

    def __enter__(self) -> Self:
        return portal().run(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        portal().run(self.__aexit__())

    def _line(self) -> _Line:
        return _Line(self, self._lines)


_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: the socket is closed with a reset."""


class _Line(asyncio.Protocol):
    """One connection: a request, its answer, and so on."""

    _transport: asyncio.Transport

    def __init__(self, upstream: Upstream[Any], lines: set[_Line]) -> None:
        self._upstream = upstream
        self._lines = lines
        self._heard = bytearray()
        self._asked: Served | None = None
        """The request whose answer is under way."""
        self._playing: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        """Comes true when the client has read enough for more to be sent."""

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._lines.add(self)
        self._upstream.connections += 1
        if not self._upstream.admits():
            self._break(reset=True)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        self._listen()

    def eof_received(self) -> bool:
        if self._asked is not None:  # until it is answered, a client can only leave
            self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.discard(self)
        self._left()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- a request ---

    def _listen(self) -> None:
        """Take the requests that are complete; one that came early waits until its forerunner is answered."""
        while self._asked is None and not self._transport.is_closing():
            heard = self._heard
            end = heard.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = heard[:end].decode("latin-1").split("\r\n")
            headers: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            over = end + 4 + int(headers.get("content-length", "0"))
            if len(heard) < over:
                return
            body = bytes(heard[end + 4 : over])
            del heard[:over]
            method, path, _ = first.split(" ", 2)
            asked = self._upstream.keeps(method, path, headers, body, came_at=self._upstream.clock.now())
            self._answer(asked, self._upstream.tell(asked))

    def _answer(self, asked: Served, told: Told) -> None:
        """Say what is told: at once where nothing is to be waited for."""
        if told.delay or told.gap or told.hang or told.endless:
            self._asked = asked
            self._playing = asyncio.get_running_loop().create_task(self._play(told))
        elif told.silent:
            self._break(reset=told.reset)
        else:
            chunked = _chunked(told)
            self._transport.write(_head(told, chunked) + b"".join([_piece(one, chunked) for one in told.pieces]))
            self._end(told, chunked)

    async def _play(self, told: Told) -> None:
        clock, transport = self._upstream.clock, self._transport
        if told.delay:
            await clock.sleep(told.delay)
        if told.silent:
            self._over()
            self._break(reset=told.reset)
            return
        chunked = _chunked(told)
        transport.write(_head(told, chunked))
        for at, piece in enumerate(_again(told.pieces) if told.endless else told.pieces):
            if at and told.gap:
                await clock.sleep(told.gap)
            elif told.endless:
                await asyncio.sleep(0)  # noqa: TID251 a turn of the loop, no wait: others are served too
            transport.write(_piece(piece, chunked))
            if self._room is not None:
                await self._room
        if told.hang:
            await asyncio.get_running_loop().create_future()
        self._over()
        self._end(told, chunked)
        self._listen()

    def _over(self) -> None:
        self._asked = self._playing = None

    def _end(self, told: Told, chunked: bool) -> None:
        if told.cut or told.reset:
            self._break(reset=told.reset)
        elif chunked:
            self._transport.write(b"0\r\n\r\n")
        elif told.headers.get("connection") == "close":
            self._transport.close()

    # --- an end ---

    def _break(self, *, reset: bool) -> None:
        """Close with a reset, which overtakes what the kernel has not sent; or quietly, when all of it has gone out."""
        if reset:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        else:
            self._transport.close()

    def _left(self) -> None:
        """The client is gone, before its answer was complete."""
        if self._asked is not None:
            self._asked.gone, self._asked.left_at = True, self._upstream.clock.now()
        self.drop()

    def drop(self) -> asyncio.Task[None] | None:
        """Say no more, and close at once. Gives what was still saying something."""
        playing = self._playing
        self._over()
        self._transport.abort()
        if playing is not None:
            playing.cancel()
        return playing


def _chunked(told: Told) -> bool:
    for name, value in told.headers.items():
        if name == "transfer-encoding":
            return True
        if name == "content-length" or (name == "connection" and value == "close"):
            return False
    return len(told.pieces) != 1 or told.cut or told.reset or told.hang or told.endless


def _head(told: Told, chunked: bool) -> bytes:
    lines = [f"HTTP/1.1 {told.status} Told", *(f"{name}: {value}" for name, value in told.headers.items())]
    if chunked and "transfer-encoding" not in told.headers:
        lines.append("transfer-encoding: chunked")
    elif not chunked and len(told.pieces) == 1 and not {"content-length", "connection"} & told.headers.keys():
        lines.append(f"content-length: {len(told.pieces[0])}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _piece(piece: bytes, chunked: bool) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece) if chunked and piece else piece


def _again(pieces: Sequence[bytes]) -> Iterable[bytes]:
    return itertools.chain(pieces, itertools.repeat(pieces[-1]))
