"""Trial: one call in a world of its own, by a program or through the gateway, and what came of it.

Owns the world: an upstream on the loopback with its script, a route in front of it with limits and budgets of every
sort, and one clock for all, which nobody waits for. Knows no rule: what should come of it is `expected`'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec import Struct
from ways import ROUTE, Way

from trunkline import AsyncClient
from trunkline.compose import Engine
from trunkline.config import Config
from trunkline.gateway.app import App
from trunkline.runtime import Runtime
from trunkline.testing import ChaosServed, ChaosUpstream, FakeClock, Told
from trunkline.vocabulary.buckets import nanos
from trunkline.vocabulary.calls import Record
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.replies import Accumulator

TARGETS = ("one", "two")
PAYER = "ann"
PATIENCE = 2.0
"""Seconds of the clock for the first content, and between two pieces of a stream."""


class Came(Struct, kw_only=True):
    """What came of a call."""

    error: TrunklineError | None = None
    """What a program caught; what a caller of the gateway reads in the answer."""
    text: str = ""
    """What was said, or had been said before it broke."""
    target: str | None = None
    """Who said so."""
    finish: str | None = None
    record: Record
    records: int
    asked: int
    """Requests that reached the upstream, or were turned away at its door."""
    paths: set[str]
    """Where they were asked."""
    held: str = ""
    """What is still held though the call is over."""
    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""


class Listening(ChaosUpstream):
    """An upstream that keeps what it was told to answer last."""

    told = Told()

    def tell(self, asked: ChaosServed) -> Told:
        """The answer."""
        self.told = super().tell(asked)
        return self.told


class World:
    """An engine, its upstream, and the records that it wrote."""

    def __init__(self, engine: Engine, client: AsyncClient, upstream: Listening, clock: FakeClock) -> None:
        self.engine = engine
        self.client = client
        self.upstream = upstream
        self.clock = clock
        self.records: list[Record] = []
        self.heard: Callable[[], object] = _nothing
        """Called when a piece of a stream has been read."""


def _nothing() -> None:
    """Nobody wants to know."""


def configuration(url: str, way: Way, *, targets: int, retries: int, same: bool) -> dict[str, Any]:
    """A route of some targets, of different models or the same, each with limits; a payer with limits and budgets."""
    limits = {"rpm": 100, "tpm": 1_000_000, "concurrency": 1}
    names = TARGETS[:targets]
    models = {name: f"{way.provider}/{way.models[0 if same else at]}" for at, name in enumerate(names)}
    own = {"base_url": url + way.base, "api_key": "sk-test", **limits}
    return {
        "targets": {name: {"model": model, **own} for name, model in models.items()},
        "routes": {ROUTE: {"targets": [*names], "strategy": "ordered", **limits}},
        "payers": {PAYER: {**limits, "budget": {"usd": 10, "per": "ever"}}},
        "prices": {model: {"input": 1, "output": 2} for model in models.values()},
        "retries": retries,
        "timeout": 20,
        "timeouts": {"first_content": PATIENCE, "idle": PATIENCE},
    }


@asynccontextmanager
async def world(
    faults: Sequence[str], way: Way, *, targets: int, retries: int, same: bool = False, waits: str = "", **said: Any
):
    """A world for one call. `waits`: for what a fault waits until a deadline passes, its first content (`first`) or
    what should follow that (`more`): the hands are turned when the request has come, or a piece has been read."""
    clock = FakeClock()

    def later() -> None:
        asyncio.get_running_loop().call_soon(clock.advance, PATIENCE + 1)

    async with Listening(faults, clock=clock, **said) as upstream:
        config = msgspec.convert(configuration(upstream.url, way, targets=targets, retries=retries, same=same), Config)
        runtime = Runtime(clock=clock, sinks=[lambda record: there.records.append(record)])
        client = AsyncClient(config, env={}, runtime=runtime)
        there = World(client._engine, client, upstream, clock)
        if waits == "first":
            upstream.each = lambda asked: later() if asked.fault != "ok" else None
        if waits == "more":
            there.heard = later
        try:
            yield there
        finally:
            await client.close()


async def by_program(there: World, way: Way) -> Came:
    """A program asks."""
    came: dict[str, Any] = {}
    try:
        if way.stream:
            await _read(there, came)
        elif way.dialect.operation == "chat":
            reply = await there.client.complete("Hello", ROUTE, payer=PAYER, max_tokens=50)
            came |= {"text": reply.text, "target": reply.target, "finish": reply.finish}
        else:
            vectors = await there.client.embed(["a", "b"], ROUTE, payer=PAYER)
            came |= {"text": str(len(vectors.vectors)), "target": vectors.target}
    except TrunklineError as error:
        came |= {"error": error}
        if error.partial is not None:
            came |= {"text": error.partial.text, "target": error.partial.target}
    return _came(there, came)


async def _read(there: World, came: dict[str, Any]) -> None:
    stream = there.client.stream("Hello", ROUTE, payer=PAYER, max_tokens=50)
    async for _ in stream:
        there.heard()
    reply = stream.reply
    came |= {"text": reply.text, "target": reply.target, "finish": reply.finish}


async def by_gateway(there: World, way: Way) -> Came:
    """A caller of the gateway asks; what he hears is read by his dialect."""
    path, _, query = way.path.partition("?")
    headers = {"host": "127.0.0.1", "content-type": "application/json", "x-trunkline-payer": PAYER}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asked = [{"type": "http.request", "body": msgspec.json.encode(way.body)}]
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        told.append(message)
        if message.get("more_body"):
            there.heard()

    with patch("trunkline.gateway.app.Listing"):  # the list of models takes longer than the call
        app = App(there.engine)
    await app(scope, receive, send)
    head, body = told[0], b"".join(message["body"] for message in told[1:])
    assert not told[-1].get("more_body"), "the answer has an end"
    came: dict[str, Any] = {
        "status": head["status"],
        "headers": {name.decode(): value.decode() for name, value in head["headers"]},
        "body": body,
    }
    came["target"] = came["headers"].get("x-trunkline-target")
    return _came(there, came | read(way, came["status"], came["headers"], body))


def read(way: Way, status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """What a caller makes of the gateway's answer."""
    if status >= 400:
        return {"error": way.dialect.error_from_wire(status, headers, body)}
    if not way.stream:
        reply = way.dialect.reply_from_wire(msgspec.json.decode(body))
        if way.dialect.operation == "embeddings":
            return {"text": str(len(reply.vectors))}
        return {"text": reply.text, "finish": reply.finish}
    gathered, decoder, error = Accumulator(), way.dialect.decoder(), None  # pyright: ignore[reportAttributeAccessIssue]
    try:
        for line in body.splitlines(keepends=True):
            gathered.add(decoder.feed(line))
        gathered.add(decoder.close())
    except TrunklineError as broken:
        error = broken
    reply = gathered.reply()
    return {"text": reply.text, "finish": reply.finish, "error": error}


DOORS = {"library": by_program, "gateway": by_gateway, "across": by_gateway}
"""Who asks. Through the gateway an answer passes as it comes; `across`, it is translated from another API."""


def _came(there: World, came: dict[str, Any]) -> Came:
    upstream = there.upstream
    return Came(
        **came,
        record=there.records[-1],
        records=len(there.records),
        asked=len(upstream.served) + upstream.refused,
        paths={asked.path.partition("?")[0] for asked in upstream.served},
        held=held(there),
    )


def held(there: World) -> str:
    """What is held though nothing is under way, or counted though it was not used; nothing, as it should be."""
    runtime, record = there.engine.runtime, there.records[-1]
    state, found = runtime.state, []
    if state._open:
        found.append(f"{len(state._open)} reservations")
    if runtime.lines.waiting:
        found.append("places in lines")
    found += [f"{name} in flight" for name in runtime.board if runtime.board[name].in_flight]
    for key, counter in state._counters.items():
        if getattr(counter, "held", 0):
            found.append(f"{counter.held} of {key}")
    for name in {attempt.target for attempt in record.attempts}:
        made = sum(attempt.target == name for attempt in record.attempts)
        if (counted := state._counters[f"target:{name}:requests:60"].taken) != made:
            found.append(f"{counted} requests at {name} instead of {made}")
    spent = state._counters[f"payer:{PAYER}:money:ever"].spent
    tokens = sum(attempt.usage.total_tokens for attempt in record.attempts if attempt.usage is not None)
    if record.usage is not None or record.outcome == "error":
        if spent != nanos(record.cost or 0):
            found.append(f"{spent} nanodollars instead of {record.cost}")
        if (counted := state._counters[f"payer:{PAYER}:tokens:60"].taken) != tokens:
            found.append(f"{counted} tokens instead of {tokens}")
    return ", ".join(found)
