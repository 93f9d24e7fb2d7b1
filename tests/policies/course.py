"""A course on which calls run: targets that answer as a test says, on a clock that the test turns, without a
network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from trunkline.models.cost import Tariff
from trunkline.policies.attempts import attempts
from trunkline.policies.means import Means
from trunkline.state.figures import Board
from trunkline.state.lines import Lines
from trunkline.state.memory import MemoryState
from trunkline.testing import FakeClock
from trunkline.vocabulary.buckets import Bucket, Buckets, Claim, Granted
from trunkline.vocabulary.calls import Answer, Call, Outcome
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.routes import Entry, Member, Route, Target
from trunkline.vocabulary.rules import Rules
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.usage import Usage

PROMPT = "Which way to the station?"
USED = Usage(input=10, output=5)


class Said(Struct, frozen=True, kw_only=True):
    """What a target does with one attempt: fail, or answer after some seconds."""

    error: TrunklineError | None = None
    after: float = 0.0
    usage: Usage | None = USED
    stream: bool = False


OK = Said()


def target(name: str, *buckets: Bucket, model: str | None = None, **more: Any) -> Target:
    return Target(name=name, provider="p", model=model or name, base_url="http://x", buckets=Buckets(buckets), **more)


def entry(*targets: Target | str, name: str = "e", strategy: str = "ordered", **options: Any) -> Entry:
    made = tuple(Member(each if isinstance(each, Target) else target(each)) for each in targets)
    return Entry(name=name, members=made, strategy=strategy, options=options)


def route(*entries: Entry, **more: Any) -> Route:
    return Route(name="r", entries=entries, **more)


def bucket(name: str, measure: Any, limit: int, **more: Any) -> Bucket:
    return Bucket(name=name, measure=measure, limit=limit, **more)


class Course:
    """`course.script["a"]` is what target `a` does, attempt by attempt, the last thing again and again."""

    def __init__(
        self,
        *,
        buckets: Iterable[Bucket] = (),
        prices: Mapping[str, str] | None = None,
        clock: FakeClock | None = None,
        **more: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.state = MemoryState(self.clock)
        self.board = Board()
        self.lines = Lines()
        self.script: dict[str, list[Said]] = {}
        self.asked: list[str] = []
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.answers: list[Answer] = []
        self.on_ask: Callable[[Call], None] = lambda call: None
        self._prices = prices or {}
        own = tuple(buckets)
        self.means = Means(
            route_of=lambda call: call.route,
            buckets_of=lambda call, on: Buckets((*own, *on.buckets)),
            price=self._price,
            tariff=self._tariff,
            priced=lambda target: "2026-11-20",
            state=self.state,
            board=self.board,
            lines=self.lines,
            clock=self.clock,
            **more,
        )
        self.run = attempts(self.means)(self._step)

    def call(
        self, on: Route, *, stream: bool = False, most: int | None = 10, prompt: str = PROMPT, **rules: Any
    ) -> Call:
        made = Rules(**{"retries": 0, **rules})
        first = on.entries[0].members[0].target
        return Call(
            operation="chat",
            model=on.name,
            target=first,
            rules=made,
            route=on,
            stream=stream,
            request=Request(model="r", messages=(said("user", prompt),), settings=Settings(max_tokens=most)),
            at=self.clock.wall(),
            started=self.clock.now(),
            deadline=None if made.timeout is None else self.clock.now() + made.timeout,
        )

    async def ask(self, on: Route, **how: Any) -> Call:
        """Make a call; raises what it raises."""
        call = self.call(on, **how)
        await self.run(call)
        return call

    async def free(self, bucket: Bucket) -> int:
        """How much of a bucket could be reserved now."""
        low, high = 0, bucket.limit
        while low < high:
            amount = (low + high + 1) // 2
            granted = await self.state.reserve(Claim(Buckets([bucket]), {bucket.measure: amount}))
            if isinstance(granted, Granted):
                self.state.settle(granted.reservations[0], None)
                low = amount
            else:
                high = amount - 1
        return low

    async def _step(self, call: Call) -> Answer:
        name = call.target.name
        self.asked.append(name)
        self.on_ask(call)
        script = self.script.get(name, [OK])
        said = script.pop(0) if len(script) > 1 else script[0]
        self.running[name] = self.running.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.running[name])
        try:
            if said.after:
                await self._pass(said.after)
            if said.error is not None:
                raise said.error
        finally:
            self.running[name] -= 1
        answer = Answer(
            target=call.target,
            dialect="openai_chat",
            headers={},
            request_id="req",
            whole=None if call.stream else lambda _: None,
        )
        answer.cost = self._price(call.target, said.usage, None)
        self.answers.append(answer)
        if not call.stream:
            answer.end(Outcome(kind="finished", usage=said.usage, finish="stop"))
        return answer

    async def _pass(self, seconds: float) -> None:
        """Wait until the clock has been turned: not by this."""
        done = asyncio.Event()
        stop = self.clock.alarm(self.clock.now() + seconds, done.set)
        try:
            await done.wait()
        finally:
            stop()

    def _tariff(self, target: Target) -> Tariff:
        rate = self._prices.get(target.name)
        pico = None if rate is None else int(Decimal(rate) * 10**12)
        return Tariff(100, () if pico is None else ((0, pico, pico),))

    def _price(self, target: Target, usage: Usage | None, tier: str | None) -> Decimal | None:
        rate = self._prices.get(target.name)
        if rate is None or usage is None:
            return None
        return Decimal(rate) * usage.total_tokens


async def turns(count: int = 20) -> None:
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
