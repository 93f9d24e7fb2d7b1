"""Strategies on a mix of fast and slow targets: how long calls take."""

from __future__ import annotations

from course import entry, route
from msgspec import Struct

from .world import Server, World, around, mean, printed, quantile

CALLS, RATE = 4000, 18.0
SERVERS = {
    "fast-1": Server(around(0.4), at_once=8),
    "fast-2": Server(around(0.4), at_once=8),
    "slow-1": Server(around(1.6), at_once=8),
    "slow-2": Server(around(1.6), at_once=8),
}
"""The fast ones make 20 answers a second at the most, the slow ones 5: a quarter of the calls nearly fills those."""
COMPARED = ("simple-shuffle", "round-robin", "least-busy", "lowest-latency")


class Seen(Struct):
    """Seconds, and the share of the calls that a fast target answered."""

    mean: float
    p50: float
    p95: float
    fast: float


def run(strategy: str) -> Seen:
    """Calls by one strategy."""
    world = World(dict(SERVERS))
    calls = world.simulate(world.poisson(route(entry(*SERVERS, strategy=strategy)), RATE, CALLS))
    fast = sum(call.target.name.startswith("fast") for call in calls)
    return Seen(mean(world.seconds), quantile(world.seconds, 0.5), quantile(world.seconds, 0.95), fast / CALLS)


def table() -> str:
    """The figures in words."""
    rows = []
    for strategy in COMPARED:
        seen = run(strategy)
        rows.append((strategy, f"{seen.mean:.2f}", f"{seen.p50:.2f}", f"{seen.p95:.2f}", f"{seen.fast:.0%}"))
    title = f"Strategies: two targets of 0.4 s and two of 1.6 s, 8 answers at a time each, {RATE:g} calls a second"
    return printed(title, ("strategy", "mean s", "p50 s", "p95 s", "by the fast"), rows)
