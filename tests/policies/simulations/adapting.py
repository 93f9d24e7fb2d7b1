"""Adaptive concurrency: how many calls are refused by a target that bears only so many, with and without."""

from __future__ import annotations

import asyncio
from collections import deque

from course import entry, route, target
from msgspec import Struct

from .world import Server, World, around, printed

CALLERS, BEARS = 40, 12
SECONDS = 300.0
PAUSE = 1.0
"""Seconds after which a caller whose call failed comes again."""


class Seen(Struct):
    """What came of it."""

    answered: int
    refused: int
    """Attempts that met a 429."""
    failed: int
    """Calls that their callers saw fail."""
    per_second: float


def run(*, adaptive: bool) -> Seen:
    """Callers who ask one after the other, more of them than the target bears."""
    world = World({"t": Server(around(1.0), refuses_above=BEARS)}, queue_seconds=1000.0)
    on = route(entry(target("t", adaptive=adaptive)))

    async def caller() -> None:
        while world.clock.now() < end:
            failed = world.failed
            await world.made(on, retries=3)
            if world.failed > failed:
                await world.clock.sleep(PAUSE)

    async def all_of_them() -> None:
        deque(await asyncio.gather(*(caller() for _ in range(CALLERS))), maxlen=0)

    end = world.clock.now() + SECONDS
    world.simulate(all_of_them())
    return Seen(len(world.seconds), world.refused, world.failed, len(world.seconds) / SECONDS)


def table() -> str:
    """The figures in words."""
    rows = []
    for adaptive in (False, True):
        seen = run(adaptive=adaptive)
        share = seen.refused / (seen.refused + seen.answered)
        rows.append(
            ("on" if adaptive else "off", str(seen.answered), str(seen.refused), f"{share:.1%}", str(seen.failed))
        )
    title = f"Adaptive concurrency: {CALLERS} callers, a target that bears {BEARS} at once, {SECONDS:g} seconds"
    return printed(title, ("adaptive", "answered", "refused with 429", "of attempts", "calls that failed"), rows)
