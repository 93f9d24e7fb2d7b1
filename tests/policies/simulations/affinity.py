"""Prompt-cache affinity: how many turns of conversations stay where their beginning is cached."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from math import ceil

from course import entry, route
from msgspec import Struct

from trunkline.policies.affinity import BOUND, FEW
from trunkline.vocabulary.calls import Answer, Call
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.routes import Route

from .world import Server, World, around, mean, printed

CONVERSATIONS, TURNS = 400, 8
THINKS = 10.0
"""Seconds, about, between an answer and the next question."""


class Seen(Struct):
    """What came of it."""

    stayed: float
    """The share of the turns, but for the first, that went where the one before had gone."""
    over: int
    """How often a target was given a call beyond its bound."""
    busiest: float
    """What the busiest target had to answer, compared with an even share."""


class Talks(World):
    """Conversations that begin at random times."""

    over = 0

    async def begin(self, targets: int, rate: float, strategy: str) -> list[list[str]]:
        """All conversations: whom each of their turns asked."""
        on = route(entry(*(f"t{at}" for at in range(targets)), strategy=strategy))
        talks: list[asyncio.Task[list[str]]] = []
        for at in range(CONVERSATIONS):
            await self.clock.sleep(self.chance.expovariate(rate))
            talks.append(asyncio.create_task(self._talk(on, f"Question {at}")))
        return list(await asyncio.gather(*talks))

    async def _talk(self, on: Route, first: str) -> list[str]:
        asked: list[str] = []
        messages = [said("system", "You are a guide."), said("user", first)]
        for _ in range(TURNS):
            call = self.call(on).asking(Request(model="r", messages=tuple(messages)))
            await self.run(call)
            asked.append(call.target.name)
            messages += [said("assistant", "Well …"), said("user", "And then?")]
            await self.clock.sleep(self.chance.expovariate(1 / THINKS))
        return asked

    async def _step(self, call: Call) -> Answer:
        loads = [self.board[name].in_flight for name in self.servers]
        bound = max(FEW, ceil(BOUND * sum(loads) / len(loads)))  # the call is among them already
        self.over += self.board[call.target.name].in_flight > bound
        return await super()._step(call)


def run(strategy: str = "prompt-cache", targets: int = 6, rate: float = 1.0) -> Seen:
    """So many targets, so many new conversations a second."""
    world = Talks({f"t{at}": Server(around(2.0)) for at in range(targets)})
    talks = world.simulate(world.begin(targets, rate, strategy))
    pairs = [(before, after) for talk in talks for before, after in pairwise(talk)]
    stayed = mean([before == after for before, after in pairs])
    answered = Counter(asked for talk in talks for asked in talk)
    return Seen(stayed, world.over, max(answered.values()) / (CONVERSATIONS * TURNS / targets))


LOADS = (0.1, 0.5, 1.0, 2.0)


def table() -> str:
    """The figures in words."""
    rows = []
    for strategy in ("prompt-cache", "simple-shuffle"):
        for rate in LOADS if strategy == "prompt-cache" else LOADS[2:3]:
            seen = run(strategy, rate=rate)
            under_way = rate * TURNS * 2.1
            rows.append((strategy, f"{under_way:.0f}", f"{seen.stayed:.1%}", str(seen.over), f"{seen.busiest:.2f}"))
    title = f"Prompt-cache affinity: {CONVERSATIONS} conversations of {TURNS} turns on 6 targets"
    return printed(
        title, ("strategy", "under way", "turns that stayed", "beyond the bound", "busiest / even share"), rows
    )
