"""A world of servers: how long each takes, how many it bears, and the calls that come to it.

Everything happens on a clock of its own, in the order of its times, as fast as it can be computed; chance is seeded.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from math import inf
from typing import Any

from course import USED, Course, turns
from msgspec import Struct

from trunkline.testing import FakeClock
from trunkline.vocabulary.calls import Answer, Call, Outcome
from trunkline.vocabulary.errors import RateLimitError, ServiceError, TrunklineError
from trunkline.vocabulary.routes import Route

SEED = 20_261_120


class EventClock(FakeClock):
    """A clock on which sleepers sleep side by side: `play` moves the hands from one alarm to the next."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._off: set[int] = set()

    def alarm(self, when: float | None, ring: Callable[[], object], *, exact: bool = True) -> Callable[[], object]:
        """Calls `ring` when the hands pass `when`, unless the function it gives back is called before."""
        number = next(self._numbers)
        if when is not None:
            heapq.heappush(self._queue, (when, number, ring))
        return lambda: self._off.add(number)

    async def sleep(self, seconds: float) -> None:
        """Wait, while others go on."""
        over = asyncio.Event()
        stop = self.alarm(self.now() + seconds, over.set)
        try:
            await over.wait()
        finally:
            stop()

    async def play(self, until: Callable[[], bool]) -> None:
        """Move the hands until something is true."""
        await turns(30)
        while not until():
            when, number, ring = heapq.heappop(self._queue)
            if number in self._off:
                self._off.discard(number)
                continue
            self.advance(max(0.0, when - self.now()))
            ring()
            await turns(12)


class Server(Struct):
    """How one target behaves."""

    seconds: Callable[[random.Random], float]
    """How long an answer takes, once it is being made."""
    at_once: float = inf
    """How many answers it makes at a time; others wait for their turn."""
    refuses_above: float = inf
    """With so many under way it refuses any more."""
    fails: float = 0.0
    """The share of calls that it fails."""


class World(Course):
    """Servers by name, and the calls that were made."""

    def __init__(self, servers: dict[str, Server], **more: Any) -> None:
        super().__init__(clock=EventClock(), **more)
        self.servers = servers
        self.chance = random.Random(SEED)
        random.seed(SEED)
        self.seconds: list[float] = []
        """How long each call took that was answered."""
        self.failed = 0
        self.refused = 0
        """Attempts that were refused because there were too many."""
        self.under_way = dict.fromkeys(servers, 0)
        self.peaks = dict.fromkeys(servers, 0)
        self._waiting: dict[str, deque[asyncio.Event]] = {name: deque() for name in servers}
        self._making = dict.fromkeys(servers, 0)

    async def made(self, on: Route, **how: Any) -> Call:
        """Make a call and note how long it took."""
        call, began = self.call(on, **how), self.clock.now()
        try:
            await self.run(call)
            self.seconds.append(self.clock.now() - began)
        except TrunklineError:
            self.failed += 1
        return call

    async def poisson(self, on: Route, rate: float, count: int, **how: Any) -> list[Call]:
        """So many calls, at random times."""
        tasks: list[asyncio.Task[Call]] = []
        for _ in range(count):
            await self.clock.sleep(self.chance.expovariate(rate))
            tasks.append(asyncio.create_task(self.made(on, **how)))
        return list(await asyncio.gather(*tasks))

    def simulate(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Play a story to its end."""

        async def told() -> Any:
            story = asyncio.create_task(what)
            await self.clock.play(story.done)
            return await story

        return asyncio.run(told())

    async def _step(self, call: Call) -> Answer:
        name = call.target.name
        server = self.servers[name]
        if self.under_way[name] >= server.refuses_above:
            self.refused += 1
            raise RateLimitError("too many at once")
        self.under_way[name] += 1
        self.peaks[name] = max(self.peaks[name], self.under_way[name])
        try:
            await self._turn(name, server)
            try:
                await self.clock.sleep(server.seconds(self.chance))
            finally:
                self._next(name)
        finally:
            self.under_way[name] -= 1
        if self.chance.random() < server.fails:
            raise ServiceError("it broke")
        answer = Answer(target=call.target, dialect="x", headers={}, request_id=None, whole=lambda _: None)
        answer.end(Outcome(kind="finished", usage=USED, finish="stop"))
        return answer

    async def _turn(self, name: str, server: Server) -> None:
        """Wait until fewer answers are being made than it makes at a time."""
        if self._making[name] >= server.at_once:
            turn = asyncio.Event()
            self._waiting[name].append(turn)
            try:
                await turn.wait()
            except asyncio.CancelledError:
                if turn.is_set():
                    self._next(name)
                else:
                    self._waiting[name].remove(turn)
                raise
        else:
            self._making[name] += 1

    def _next(self, name: str) -> None:
        if self._waiting[name]:
            self._waiting[name].popleft().set()
        else:
            self._making[name] -= 1


def around(median: float, spread: float = 0.3) -> Callable[[random.Random], float]:
    """Answers that take about so long, a few of them much longer."""
    return lambda chance: median * chance.lognormvariate(0, spread)


def quantile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def mean(values: Sequence[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def printed(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a terminal."""
    lines = [head, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    told = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([title, "", *(f"  {line}" for line in told), ""])
