"""Hedging on a heavy tail: what it does to the slowest calls, and what it costs."""

from __future__ import annotations

import random

from course import entry, route
from msgspec import Struct

from trunkline.vocabulary.rules import Hedge

from .world import Server, World, around, printed, quantile

CALLS, RATE = 4000, 20.0
SLOW_SHARE, SLOWER = 0.03, 15.0
"""Three in a hundred answers take fifteen times as long."""
SHARE = 0.1


class Seen(Struct):
    """What came of it. Seconds, and shares of the calls."""

    p50: float
    p99: float
    longest: float
    hedged: float
    extra: float
    """Rivals, for each call: what is paid in addition at the most, for a loser is cancelled."""
    failed: float


def heavy(chance: random.Random) -> float:
    seconds = around(0.6)(chance)
    return seconds * SLOWER if chance.random() < SLOW_SHARE else seconds


def run(hedge: Hedge | None, fails: float = 0.0) -> Seen:
    """Calls to two targets."""
    world = World({name: Server(heavy, fails=fails) for name in "ab"})
    calls = world.simulate(world.poisson(route(entry("a", "b", strategy="simple-shuffle")), RATE, CALLS, hedge=hedge))
    hedged = sum(any(attempt.hedge for attempt in call.attempts) for call in calls)
    extra = sum(attempt.hedge for call in calls for attempt in call.attempts)
    return Seen(
        quantile(world.seconds, 0.5),
        quantile(world.seconds, 0.99),
        max(world.seconds),
        hedged / CALLS,
        extra / CALLS,
        world.failed / CALLS,
    )


def table() -> str:
    """The figures in words."""
    shown = {
        "off": run(None),
        "on": run(Hedge(share=SHARE)),
        "on, 20 % of attempts fail": run(Hedge(share=SHARE), fails=0.2),
    }
    rows = [
        (name, f"{one.p50:.2f}", f"{one.p99:.2f}", f"{one.longest:.2f}", f"{one.hedged:.1%}", f"{one.extra:.1%}")
        for name, one in shown.items()
    ]
    title = f"Hedging: {SLOW_SHARE:.0%} of answers take {SLOWER:g} times as long; at most {SHARE:.0%} are hedged"
    return printed(title, ("hedging", "p50 s", "p99 s", "longest s", "hedged", "more attempts"), rows)
