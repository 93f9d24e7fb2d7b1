"""Stores for the tests: memory, and a real Valkey server; both by a clock that the test turns.

The script runs on the server as it is, but for the line in which it asks the server for the time. Tests of the server's
own time, of leases and of processes use it unchanged.
"""

import asyncio
import itertools
import os
import signal
from contextlib import asynccontextmanager, contextmanager

from trunkline.state import script
from trunkline.state.memory import MemoryState
from trunkline.state.redis import RedisState
from trunkline.testing import FakeClock
from trunkline.vocabulary.buckets import Bucket, Buckets, Claim

FAR = 4_000_000_000.0
"""In 2096: what the script lets expire by the test's clock does not expire by the server's."""
_prefixes = itertools.count()

THE_TIME = b"local time = call('TIME')"
assert script._TEXT.count(THE_TIME) == 1
TURNED = script._TEXT.replace(THE_TIME, b"local time = {tonumber(ARGV[3]), tonumber(ARGV[4])}")


class TurnedScript(script.Script):
    """The script by the test's clock."""

    def __init__(self, prefix, clock):
        super().__init__(prefix)
        self.clock = clock

    async def run(self, link, what, question):
        second, micro = divmod(round(self.clock.wall() * 1e6), 1_000_000)
        packed = script._encode(question)
        return await link.ask(self._hub, "EVAL", TURNED, 1, self._hub, what, packed, second, micro)


class World:
    """A state, its clock, and how to wait until it has counted what was posted."""

    def __init__(self, state, clock):
        self.state, self.clock = state, clock
        self.settle, self.seed = state.settle, state.seed

    async def reserve(self, *claims, target=None):
        await self.told()
        return await self.state.reserve(*claims, target=target)

    async def pass_time(self, seconds):
        await self.told()
        self.clock.advance(seconds)

    async def told(self):
        for mailbox in getattr(self.state, "_mailboxes", {}).values():
            mailbox.send()
            if mailbox._sending is not None:
                await mailbox._sending


def claim(amount=1, *, measure="requests", limit=10, name="payer:alice", **how):
    return Claim(Buckets([Bucket(name=name, measure=measure, limit=limit, **how)]), {measure: amount})


def together(*claims):
    """Several claims as one; what they take of one measure is the same."""
    amounts = {}
    for one in claims:
        for measure, amount in one.amounts.items():
            assert amounts.setdefault(measure, amount) == amount
    return Claim(Buckets(bucket for one in claims for bucket in one.buckets), amounts)


ALL_BUT_MONEY = together(claim(limit=100), claim(50, measure="tokens", limit=100), claim(measure="slots", limit=1))
EVERYTHING = together(ALL_BUT_MONEY, claim(60, measure="money", limit=100, period="ever"))
"""A second one does not fit."""


def prefix():
    return f"test-{next(_prefixes)}"


def turned_redis(url, clock, **how):
    state = RedisState(url, clock, prefix=prefix(), timeout=5.0, **how)
    state._script = TurnedScript(state._script._hub.strip("{}"), clock)
    return state


@asynccontextmanager
async def world_of(kind, server):
    clock = FakeClock(wall=FAR)
    state = MemoryState(clock) if kind == "memory" else turned_redis(server.connection_url, clock)
    yield World(state, clock)
    await state.close()


@contextmanager
def paused(server):
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server._process.pid, signal.SIGCONT)


@asynccontextmanager
async def closing(*states):
    try:
        yield states
    finally:
        for state in states:
            await state.close()


async def until(true, seconds=5.0):
    """Wait on a real process or socket, bounded."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
