"""The soak (`make soak`): very many calls with random faults through the whole engine, and what they leave behind.

Every policy is on: routes of three targets in three dialects, each strategy in turn; limits of payers who change their
names with every call, of owners, routes, targets and accounts; budgets, the cache, hedging, adaptive targets, retries,
deadlines. Some callers leave. Memory must stay flat and nothing may be held in the end.

python tests/chaos/soak.py [calls] [--seed n] [--at-once n]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import resource
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import msgspec
from loopless import Loopless

from trunkline import AsyncClient
from trunkline.config import Config
from trunkline.runtime import Runtime
from trunkline.state.caches import MemoryCache
from trunkline.state.lines import POLL
from trunkline.testing import FakeClock
from trunkline.vocabulary.buckets import nanos
from trunkline.vocabulary.calls import Answer, Call, Record
from trunkline.vocabulary.errors import TrunklineError

WARM_UP, GROWTH = 0.2, 0.05
"""The share of the calls after which memory may grow no more than by that share."""

MIX = {
    **dict.fromkeys(("429-seconds=2", "429", "500", "503", "529", "408", "html-502"), 0.004),
    **dict.fromkeys(("reset", "unheard", "reset-after", "cut-after", "cut-after=2", "cut=100", "no-end"), 0.004),
    **dict.fromkeys(("malformed", "malformed=2", "error-in-200", "error-in-200=2", "html-200", "empty"), 0.004),
    **dict.fromkeys(("stall", "stall=2", "wrong-type"), 0.001),
    **dict.fromkeys(("400", "context", "policy", "404"), 0.002),
    **dict.fromkeys(("401", "quota"), 0.0002),
}
"""What goes wrong, and in which share of the attempts."""

CACHE_BYTES = 200_000
"""So few that answers are forgotten, too."""

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "lowest-latency",
    "lowest-cost",
    "most-headroom",
    "round-robin",
    "ordered",
)
TARGETS = {"chat": "groq/m", "messages": "anthropic/m", "gemini": "google/m"}


def configuration() -> Config:
    """All policies on."""
    limits = {"rpm": 1_000_000, "tpm": 100_000_000, "concurrency": 8}
    own = {"api_key": "sk-test", "buckets": ["account"], **limits}
    said: dict[str, Any] = {
        "targets": {name: {"model": model, "adaptive": name == "gemini", **own} for name, model in TARGETS.items()},
        "routes": {
            f"r{at}": {"targets": [*TARGETS], "strategy": strategy, "rpm": 10_000_000}
            for at, strategy in enumerate((*STRATEGIES, "prompt-cache"))
        },
        "buckets": {"account": {"concurrency": 20}},
        "payers": {
            "*": {"rpm": 1000, "tpm": 1_000_000, "concurrency": 4, "owner": "everybody"},
            **{f"known-{at}": {"budget": {"usd": 1_000_000, "per": "hour"}} for at in range(20)},
        },
        "owners": {"everybody": {"budget": {"usd": 1_000_000, "per": "ever"}}},
        "prices": {model: {"input": 1, "output": 2} for model in TARGETS.values()},
        "cache": {"scope": "owner", "seconds": 300},
        "queue": {"length": 50, "seconds": 60},
        "retries": 2,
        "attempts": 5,
        "timeout": 60,
        "timeouts": {"first_content": 10, "idle": 10, "throughput": 1},
    }
    return msgspec.convert(said, Config, strict=False)


class Soak:
    """Calls of every sort, as the dice say."""

    def __init__(self, seed: int) -> None:
        self.alive = _alive()
        """Those of others: not ours to count."""
        self.dice = random.Random(seed)
        self.clock = FakeClock()
        self.clock.slept = deque(maxlen=10)  # pyright: ignore[reportAttributeAccessIssue] a test would keep them all
        self.wire = Loopless(self.clock, MIX, seed, latency=0.05)
        self.runtime = Runtime(
            clock=self.clock,
            transports={"http": self.wire},
            sinks=[self.note],
            store=MemoryCache(self.clock, CACHE_BYTES),
        )
        self.client = AsyncClient(configuration(), env={}, runtime=self.runtime)
        self.ends: Counter[str] = Counter()
        self.attempts = 0
        self.begun = self.records = self.stalls = self.unended = self.cost = 0

    def note(self, record: Record) -> None:
        """A call is over."""
        self.records += 1
        self.attempts += len(record.attempts)
        self.unended += any(attempt.outcome is None for attempt in record.attempts)
        if record.owner is not None:
            self.cost += sum(nanos(attempt.cost) for attempt in record.attempts if attempt.cost is not None)
        hedged = any(attempt.hedge for attempt in record.attempts)
        self.ends["cached" if record.cached else record.error or record.outcome] += 1
        self.ends["hedged"] += hedged

    async def run(self, calls: int, at_once: int) -> None:
        """Make so many calls, so many at a time."""
        todo = iter(range(calls))

        async def work() -> None:
            for number in todo:
                await self.one(number)

        self.tasks = asyncio.all_tasks()
        pulse = asyncio.create_task(self.pulse())
        await asyncio.gather(*(work() for _ in range(at_once)))
        pulse.cancel()
        await asyncio.wait([pulse])

    async def pulse(self) -> None:
        """Turn the hands where all calls wait for each other: what would be a wait of a quarter second is counted."""
        before = -1
        while True:
            if before == self.wire.count:
                self.stalls += 1
                self.clock.advance(POLL)
            before = self.wire.count
            await asyncio.sleep(0.05)

    async def one(self, number: int) -> None:
        """One call; one in thirty is cancelled on its way."""
        asking = self.asked(number)
        if self.dice.random() > 0.03:
            await asking
            return
        task = asyncio.ensure_future(asking)
        for _ in range(self.dice.randrange(12)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def asked(self, number: int) -> None:
        """A call of some sort; whatever it ends with is noted by its record."""
        self.begun += 1
        dice = self.dice
        known = dice.random() < 0.2
        rules: dict[str, Any] = {
            "payer": f"known-{dice.randrange(20)}" if known else f"payer-{number}",
            "tags": [f"tag-{number}"] if dice.random() < 0.05 else [],
            "cache": dice.random() < 0.2,
            "priority": dice.randrange(3),
            "max_tokens": 50,
        }
        if dice.random() < 0.2:
            rules["hedge"] = {"after": 0.05, "share": 0.5}
        if dice.random() < 0.05:
            rules["fallbacks"] = [f"r{dice.randrange(8)}", *dice.sample([*TARGETS], 2)]
        prompt = f"Question {dice.randrange(50) if dice.random() < 0.5 else number}?"
        try:
            if dice.random() < 0.5:
                await self.client.complete(prompt, f"r{dice.randrange(8)}", **rules)
            else:
                await self._streamed(prompt, rules)
        except TrunklineError:
            return

    async def _streamed(self, prompt: str, rules: dict[str, Any]) -> None:
        leaves = self.dice.random() < 0.1
        async with self.client.stream(prompt, f"r{self.dice.randrange(8)}", **rules) as stream:
            async for _ in stream:
                if leaves:
                    return

    def held(self) -> list[str]:
        """What is still held though no call is under way."""
        state, runtime = self.runtime.state, self.runtime
        found = {
            "reservations": len(state._open),  # pyright: ignore[reportAttributeAccessIssue]
            "slots and reserved money": sum(getattr(one, "held", 0) for one in state._counters.values()),  # pyright: ignore[reportAttributeAccessIssue]
            "places in lines": len(runtime.lines.waiting),
            "attempts in flight": sum(runtime.board[name].in_flight for name in runtime.board),
            "connections": self.wire.open,
            "alarms": len(self.clock._alarms),
            "tasks": len(asyncio.all_tasks() - self.tasks),
            "records of attempts without an end": self.unended,
            "records too few": self.begun - self.records,
            "nanodollars spent that no record tells of": self._spent() - self.cost,
        }
        alive = _alive() - self.alive
        return [f"{count} {what}" for what, count in {**found, **alive}.items() if count]

    def _spent(self) -> int:
        return self.runtime.state._counters["owner:everybody:money:ever"].spent  # pyright: ignore[reportAttributeAccessIssue]

    def sizes(self) -> str:
        """How much is kept: for the eye."""
        runtime = self.runtime
        counters = len(runtime.state._counters)  # pyright: ignore[reportAttributeAccessIssue]
        return f"{counters} counters, {runtime.store.bytes // 1000} kB of answers"  # pyright: ignore[reportAttributeAccessIssue]


def _alive() -> Counter[str]:
    """How many calls and answers somebody holds."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, Call | Answer))


def rss() -> float:
    """Megabytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def soak(calls: int, seed: int, at_once: int) -> int:
    """Run, print a line for each tenth, and judge."""
    random.seed(seed)
    world = Soak(seed)
    seen: list[float] = []
    calls -= calls % 20
    print(f"{'calls':>9} {'RSS MB':>7} {'calls/s':>8}")
    for tenth in range(10):
        began = time.perf_counter()
        for width in (at_once, at_once // 3):  # where calls wait for slots, and where some are free
            await world.run(calls // 20, width)
        seconds = time.perf_counter() - began
        gc.collect()
        seen.append(rss())
        print(
            f"{(tenth + 1) * (calls // 10):9} {seen[-1]:7.1f} {calls // 10 / seconds:8.0f}  {world.sizes()}", flush=True
        )
    for _ in range(20):
        await asyncio.sleep(0)
    warm = seen[int(WARM_UP * 10) - 1]
    growth = max(seen[int(WARM_UP * 10) :]) / warm - 1
    held = world.held()
    ends = ", ".join(f"{count} {end}" for end, count in world.ends.most_common())
    print(f"{world.records} records, {world.attempts} attempts: {ends}")
    faults = world.wire.count - world.wire.met["ok"]
    print(f"faults met: {faults} of {world.wire.count}; times at which everybody waited: {world.stalls}")
    print(f"memory after the first {WARM_UP:.0%}: {growth:+.1%}; held in the end: {', '.join(held) or 'nothing'}")
    await world.client.close()
    return 1 if growth >= GROWTH or held else 0


def main() -> int:
    """1 where memory grew, something is held, or a record is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", nargs="?", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=32, help="calls under way at a time")
    options = parser.parse_args()
    return asyncio.run(soak(options.calls, options.seed, options.at_once))


if __name__ == "__main__":
    sys.exit(main())
