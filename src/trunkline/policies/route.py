"""Route: which target of a pool is asked first, and which then.

Owns the strategies: each is one function that puts the candidates of an entry in order. Who is a candidate at all is
`candidates`' business. A strategy knows the call, the candidates' figures and chance; it waits for nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from trunkline.state.figures import Figures
from trunkline.vocabulary.routes import Member, Target

from .affinity import by_affinity, opening
from .complexity import complexity
from .standing import Sight, Standing

Strategy = Callable[[list[Standing], Sight], list[Standing]]


def ordered(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """As they are listed."""
    return candidates


def round_robin(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """Each in turn."""
    turn = sight.board.turns[sight.entry.name]
    sight.board.turns[sight.entry.name] = turn + 1
    start = turn % len(candidates)
    return candidates[start:] + candidates[:start]


def simple_shuffle(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """By chance, in proportion to their weights, else to their requests or tokens a minute."""
    weights = weights_of([standing.member for standing in candidates])
    for standing, weight in zip(candidates, weights, strict=True):
        # Efraimidis and Spirakis: the order of these keys is that of drawing by weight without putting back
        standing.score = -(random.random() ** (1 / weight)) if weight > 0 else 1.0  # noqa: S311
    return _by_score(candidates)


def least_busy(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """Those with the fewest attempts under way first; between equals by chance."""
    for standing in candidates:
        standing.score = standing.figures.in_flight
    ordered = _by_score(candidates)
    least, equal = ordered[0].score, 1
    while equal < len(ordered) and ordered[equal].score == least:
        equal += 1
    first = int(random.random() * equal)  # noqa: S311
    ordered[0], ordered[first] = ordered[first], ordered[0]
    return ordered


def lowest_latency(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """Those that answer fastest first, counting those who wait there already. Who is unknown is taken for twice as fast
    as the fastest: it is tried, but by a few at a time."""
    random.shuffle(candidates)
    latencies = [standing.figures.latency(sight.now) for standing in candidates]
    unknown = min(filter(None, latencies), default=1.0) / 2
    for standing, seconds in zip(candidates, latencies, strict=True):
        standing.score = (seconds or unknown) * (standing.figures.in_flight + 1)
    return _by_score(candidates)


def lowest_cost(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """The cheapest first; those without a known price last."""
    for standing in candidates:
        money = standing.worst.nanos if standing.worst is not None else None
        standing.score = money / 1e9 if money is not None else float("inf")
    return _by_score(candidates)


def most_headroom(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """Those first that have the largest share of their limits left: as their providers say, else as we counted."""
    random.shuffle(candidates)
    for standing in candidates:
        standing.score = -headroom(standing.target, standing.figures, sight.now)
    return _by_score(candidates)


def by_complexity(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """The target that the entry names for this kind of request first, then the others."""
    kind, why = complexity(sight.call)
    named = sight.entry.options.get(kind) or sight.entry.options.get("default")
    sight.because = f"{kind}: {why}"
    for standing in candidates:
        standing.score = 0.0 if standing.target.name == named else 1.0
    return _by_score(candidates)


def prompt_cache(candidates: list[Standing], sight: Sight) -> list[Standing]:
    """Where the conversation's beginning has been before, unless that target is much busier than the others."""
    sight.because = "its beginning"
    return by_affinity(candidates, opening(sight.call))


STRATEGIES: Mapping[str, Strategy] = {
    "ordered": ordered,
    "simple-shuffle": simple_shuffle,
    "round-robin": round_robin,
    "least-busy": least_busy,
    "lowest-latency": lowest_latency,
    "lowest-cost": lowest_cost,
    "most-headroom": most_headroom,
    "by-complexity": by_complexity,
    "prompt-cache": prompt_cache,
}
"""By the name that a configuration gives them."""


def weights_of(members: Sequence[Member]) -> list[float]:
    """Their shares: as weighed; where none is, in proportion to what they may take; else equal."""
    if any(member.weight is not None for member in members):
        return [1.0 if member.weight is None else member.weight for member in members]
    for measure in ("requests", "tokens"):
        limits = [_limit(member.target, measure) for member in members]
        if any(limits):
            return [float(limit or 1) for limit in limits]
    return [1.0] * len(members)


def headroom(target: Target, figures: Figures, now: float) -> float:
    """The share of a target's limits that is left, from 0 to 1; 1 where it has none."""
    if figures.headroom is not None and now < figures.headroom_until:
        return figures.headroom
    used = {"requests": figures.attempts.sum(now), "tokens": figures.tokens.sum(now), "slots": figures.in_flight}
    shares = [
        1 - used[bucket.measure] / bucket.limit
        for bucket in target.buckets
        if bucket.measure in used and bucket.period is None
    ]
    return min(shares, default=1.0)


def _limit(target: Target, measure: str) -> int | None:
    limits = [bucket.limit for bucket in target.buckets if bucket.measure == measure and bucket.period is None]
    return min(limits, default=None)


def _by_score(candidates: list[Standing]) -> list[Standing]:
    return sorted(candidates, key=_score)


_score: Callable[[Standing], Any] = attrgetter("score")
