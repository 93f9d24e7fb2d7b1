"""Relay: a call's answer, as an HTTP response.

Owns the moment at which headers go out, the watch for a client that leaves, and the way a broken stream ends. Knows no
path and no provider; the dialect writes whatever does not pass through.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from trunkline.compose import Engine
from trunkline.providers.flow import guarded
from trunkline.vocabulary.calls import Answer, Call
from trunkline.vocabulary.errors import ServiceError, TrunklineError
from trunkline.vocabulary.protocols import Dialect, StreamingDialect

from .array import CONTENT_TYPE, WAITING, JsonArray
from .reading import Receive

logger = logging.getLogger("trunkline.gateway")

Send = Callable[[dict[str, Any]], Awaitable[None]]

HOLD_SECONDS = 10.0
"""How long headers wait for the first content, so that a fallback stays invisible; then comments keep proxies awake."""
WATCH_AFTER_SECONDS = 0.02
"""When to begin to watch for a client that leaves: most answers are faster, and a watch costs a task."""

JSON = (b"content-type", b"application/json")
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


async def relay(
    engine: Engine, call: Call, dialect: Dialect, receive: Receive, send: Send, *, array: bool = False
) -> None:
    """Answer a call. A client that leaves cancels it, streamed or not. `array`: a stream is read as a JSON array."""
    watch = _Watch(receive)
    try:
        if call.stream:
            await _Streamed(engine, call, dialect, send, JsonArray() if array else None).run()  # pyright: ignore[reportArgumentType]
        else:
            await _whole(engine, call, dialect, send)
    except asyncio.CancelledError:
        if not watch.left:
            raise
        task = asyncio.current_task()
        assert task is not None, "a request is always handled in a task"
        task.uncancel()
    finally:
        watch.end()


async def refuse(error: TrunklineError, dialect: Dialect, send: Send, call: Call | None = None) -> None:
    """Answer with an error in the caller's dialect."""
    refused = dialect.error_to_wire(error)
    headers = [(name.encode(), value.encode()) for name, value in refused.headers.items()]
    if call is not None:
        headers += _course(call)
    await respond(refused.status, refused.body, headers, send)


async def respond(status: int, body: bytes, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    """A whole response."""
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _whole(engine: Engine, call: Call, dialect: Dialect, send: Send) -> None:
    told: list[tuple[bytes, bytes]] = [JSON]
    try:
        answer = await engine.step(call)
        if answer.passes and answer.body is not None:
            body = answer.body
        else:
            with guarded:
                body = msgspec.json.encode(dialect.reply_to_wire(answer.whole()))
            if getattr(answer.whole(), "estimated", False):
                told.append((b"x-trunkline-estimated", b"true"))
    except TrunklineError as error:
        await refuse(error, dialect, send, call)
        return
    await respond(200, body, [*told, *_told(call, answer)], send)


def _told(call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
    """What the headers say of an answer: the provider's limits and request id, who answered, what could not be said."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    if answer.request_id is not None and "x-request-id" not in answer.headers:
        headers.append((b"x-request-id", answer.request_id.encode()))
    headers += _course(call)
    headers.append((b"x-trunkline-target", answer.target.name.encode("ascii", "replace")))
    if answer.loss and call.rules.on_unsupported == "warn":
        headers.append((b"x-trunkline-loss", ", ".join(lost.field for lost in answer.loss).encode("ascii", "replace")))
    return headers


def _course(call: Call) -> list[tuple[bytes, bytes]]:
    """What the headers say of a call's way, whether it was answered or not."""
    headers = [(b"x-trunkline-id", call.id.encode())]
    if len(call.attempts) != 1 or call.rules.explain:
        headers.append((b"x-trunkline-attempts", str(len(call.attempts)).encode()))
    if call.rules.explain:
        headers.append((b"x-trunkline-route", msgspec.json.encode(call.decided)))
    return headers


class _Streamed:
    """One streamed response."""

    def __init__(
        self, engine: Engine, call: Call, dialect: StreamingDialect, send: Send, array: JsonArray | None
    ) -> None:
        self._engine = engine
        self._array = array
        self._call = call
        self._dialect = dialect
        self._send = send
        self._started = False

    async def run(self) -> None:
        try:
            answer = await self._held(self._engine.step(self._call))
        except TrunklineError as error:
            await self._fail(error)
            return
        try:
            await self._start(_told(self._call, answer))
            await self._pass_on(answer)
        except TrunklineError as error:
            await self._fail(error)
        except Exception:  # a mistake of ours: the caller must not take what came for the whole answer
            logger.exception("the stream of %s failed", self._call.id)
            await self._fail(unexpected())
        finally:
            answer.abandon()

    async def _pass_on(self, answer: Answer) -> None:
        if answer.chunks is not None:
            async for chunk in answer.chunks:
                await self._body(chunk)
        elif answer.events is not None:
            encoder = self._dialect.encoder(self._call.request)
            async for events in answer.events:
                with guarded:
                    written = encoder.encode(events)
                await self._body(written)
        await self._body(b"", more=False)

    async def _held(self, step: Awaitable[Answer]) -> Answer:
        """Wait for the first content; after `HOLD_SECONDS` the headers go out and comments follow."""
        loop = asyncio.get_running_loop()
        murmur: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal murmur
            murmur = loop.create_task(self._murmur())

        timer = loop.call_later(HOLD_SECONDS, begin)
        try:
            return await step
        finally:
            timer.cancel()
            if murmur is not None:
                murmur.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await murmur

    async def _murmur(self) -> None:
        await self._start([(b"x-trunkline-id", self._call.id.encode())])
        while True:
            await self._written(WAITING if self._array is not None else b": waiting\n\n")
            await self._engine.runtime.clock.sleep(HOLD_SECONDS)

    async def _start(self, headers: list[tuple[bytes, bytes]]) -> None:
        if not self._started:
            self._started = True
            stream = STREAM_HEADERS if self._array is None else (CONTENT_TYPE, *STREAM_HEADERS[1:])
            await self._send({"type": "http.response.start", "status": 200, "headers": [*stream, *headers]})

    async def _body(self, data: bytes, *, more: bool = True) -> None:
        if self._array is not None:
            data = self._array.feed(data) + (b"" if more else self._array.close())
        await self._written(data, more=more)

    async def _written(self, data: bytes, *, more: bool = True) -> None:
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _fail(self, error: TrunklineError) -> None:
        """Before the headers an error has a status; after them it is the stream's last word, and no end."""
        if not self._started:
            await refuse(error, self._dialect, self._send, self._call)
            return
        await self._body(self._dialect.broken(error))
        await self._body(b"", more=False)


class _Watch:
    """Waits for the client to leave, and then cancels the task that serves it."""

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self._receive = receive
        self._served = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)

    def end(self) -> None:
        """The answer is out: nothing to watch for."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._until_left())

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        assert self._served is not None, "a request is always handled in a task"
        self._served.cancel()


def unexpected() -> TrunklineError:
    """What a caller hears of a mistake of ours; the log has the rest."""
    return ServiceError(
        "the gateway failed to handle this request; its log says why", status=500, code="internal_error"
    )
