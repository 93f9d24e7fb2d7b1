"""Choosing: which faults a request meets, and how long its answer takes.

Owns the script, the seeded mix and the seeded latency. The same seed gives the same faults in the order in which
requests arrive, whatever the latency. Knows no request: what a caller asks for itself comes first, and is not counted.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, repeat

from trunkline.vocabulary.errors import ConfigurationError

from .faults import NOTHING, Chosen, chosen


class Choices:
    """One decision after another; the next can be seen before it is taken."""

    def __init__(self, decisions: Iterator[Chosen]) -> None:
        self._decisions = decisions
        self._next: Chosen | None = None

    def see(self) -> Chosen:
        """What the next request meets."""
        if self._next is None:
            self._next = next(self._decisions)
        return self._next

    def take(self) -> Chosen:
        """The same, and it is the next one's turn."""
        taken = self.see()
        self._next = None
        return taken


def scripted(script: Sequence[str]) -> Choices:
    """One after another, the last again and again; nothing where nothing is said."""
    said = [chosen(one) for one in script] or [NOTHING]
    return Choices(chain(said, repeat(said[-1])))


def mixed(mix: Mapping[str, float], seed: int) -> Choices:
    """Each with its probability, between 0 and 1; what is left of 1 goes well."""
    bounds = list(accumulate(mix.values()))
    if min(mix.values(), default=0) < 0 or (bounds and bounds[-1] > 1 + 1e-9):
        raise ConfigurationError("the shares of a mix are from 0 to 1, and 1 at most together", param="mix")
    outcomes = [*(chosen(said) for said in mix), NOTHING]
    dice = random.Random(seed)  # noqa: S311 no secret
    return Choices(outcomes[min(bisect(bounds, dice.random()), len(mix))] for _ in repeat(None))


def latencies(median: float, tail: float, seed: int) -> Iterator[float]:
    """Seconds before the head: always the same, or with `tail` (sigma) a lognormal distribution around the median."""
    if not tail or not median:
        return repeat(median)
    dice = random.Random(seed)  # noqa: S311 no secret
    return (dice.lognormvariate(math.log(median), tail) for _ in repeat(None))
