"""Figures: what this process has seen of each target lately: how fast, how busy, how often it failed.

Owns counts and their age. Knows no rule: what a figure means is decided in `policies/`. They are this process' own;
what all processes must agree on (limits, budgets, rests) is in the store.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque

SLICE, SLICES = 10.0, 6
"""The last minute, in slices of ten seconds."""
KEPT = 200
"""Of how many answers the speed and the length are kept."""
HALF_LIFE = 10.0
"""After so many seconds an observed latency counts half, and so does none at all: an idle target is tried again."""
MOST_TARGETS = 10_000
MOST_ORIGINS = 10_000


class Rolling:
    """The last values of something, and their quantiles."""

    __slots__ = ("_fresh", "_sorted", "_values")

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=KEPT)
        self._sorted: list[float] = []
        self._fresh = 0

    def add(self, value: float) -> None:
        """One more; the oldest falls out."""
        self._values.append(value)
        self._fresh += 1

    def __len__(self) -> int:
        return len(self._values)

    def quantile(self, share: float) -> float | None:
        """The value that this share of them does not exceed; None where there are fewer than 20. Up to 9 of the latest
        may not be in it yet: sorting is not done for each."""
        if len(self._values) < 20:
            return None
        if self._fresh >= 10 or not self._sorted:
            self._sorted, self._fresh = sorted(self._values), 0
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]


class Slices:
    """Counts of the last minute."""

    __slots__ = ("_at", "_before", "_counts", "_here")

    def __init__(self) -> None:
        self._at = 0
        self._here = 0
        """In the slice under way."""
        self._counts = [0] * SLICES
        """In each of those before it."""
        self._before = 0
        """Their sum."""

    def add(self, count: int, now: float) -> None:
        """Count more."""
        if int(now / SLICE) != self._at:
            self._turn(now)
        self._here += count

    def sum(self, now: float) -> int:
        """All of the last minute."""
        if int(now / SLICE) != self._at:
            self._turn(now)
        return self._before + self._here

    def _turn(self, now: float) -> None:
        at, counts = int(now / SLICE), self._counts
        if at <= self._at:  # a thread that read the clock earlier
            return
        counts[self._at % SLICES] = self._here
        for gone in range(max(self._at + 1, at - SLICES + 1), at + 1):
            counts[gone % SLICES] = 0
        self._at, self._here, self._before = at, 0, sum(counts)


class Figures:
    """One target, as this process sees it."""

    __slots__ = (
        "_failed",
        "_latency",
        "_latency_at",
        "allowance",
        "allowance_at",
        "attempts",
        "ceiling",
        "ceiling_at",
        "first_contents",
        "headroom",
        "headroom_at",
        "headroom_until",
        "hedged",
        "in_a_row",
        "in_flight",
        "outputs",
        "rests",
        "tokens",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.in_a_row = 0
        """Failures since the last success."""
        self.rests = 0
        """Rests since the last success."""
        self.attempts = Slices()
        self.hedged = Slices()
        """Attempts here that were slow, so that another target was asked beside them."""
        self.tokens = Slices()
        self.first_contents = Rolling()
        """Seconds to the first content, or to a whole answer."""
        self.outputs = Rolling()
        """Tokens of whole answers."""
        self.headroom: float | None = None
        """The share of its limits that the provider said was left, until `headroom_until`."""
        self.headroom_until, self.headroom_at = 0.0, -1.0
        self.ceiling: float | None = None
        """How many attempts at once are learned to be well (`policies/adapt.py`)."""
        self.ceiling_at = 0.0
        self.allowance: float | None = None
        """Retries that may still be made (`policies/storm.py`)."""
        self.allowance_at = 0.0
        self._failed = Slices()
        self._latency = 0.0
        self._latency_at = 0.0

    def succeeded(self, now: float, seconds: float) -> None:
        """An attempt had its first content, or its whole answer, after `seconds`."""
        self.in_a_row = self.rests = 0
        self.attempts.add(1, now)
        self.first_contents.add(seconds)
        if seconds >= self._latency:  # no need to see how far that has faded
            self._latency, self._latency_at = seconds, now
        else:
            self._observe(seconds, now)

    def failed(self, now: float, seconds: float) -> None:
        """An attempt failed, through the target's fault."""
        self.in_a_row += 1
        self.attempts.add(1, now)
        self._failed.add(1, now)
        self._observe(max(seconds, self._latency), now)  # a quick refusal is no speed

    def lately(self, now: float) -> tuple[int, int]:
        """Failures and attempts of the last minute."""
        return self._failed.sum(now), self.attempts.sum(now)

    def latency(self, now: float) -> float:
        """Seconds: a mean in which peaks count at once and fade with time; 0.0 where nothing is known any more."""
        return self._latency * 0.5 ** (max(0.0, now - self._latency_at) / HALF_LIFE)

    def _observe(self, seconds: float, now: float) -> None:
        faded = self.latency(now)
        if seconds >= faded:
            self._latency = seconds
        else:
            fresh = 0.5 ** ((now - self._latency_at) / HALF_LIFE)
            self._latency = max(self._latency * fresh + seconds * (1 - fresh), seconds)
        self._latency_at = now


class Board(dict[str, Figures]):
    """The figures of all targets by their names, and whose turn it is. Memory is bounded."""

    def __init__(self) -> None:
        self.origins: OrderedDict[str, str] = OrderedDict()
        """Through which target something was made that lives at a provider (a stored response, a file), by its name."""
        self.turns: Counter[str] = Counter()
        """By entry: how often its round was gone on with."""

    def __missing__(self, target: str) -> Figures:
        if len(self) >= MOST_TARGETS:
            self.pop(next(iter(self)), None)
        figures = self[target] = Figures()
        return figures

    def remember(self, made: str, target: str) -> None:
        """Something was made through a target."""
        self.origins[made] = target
        self.origins.move_to_end(made)
        if len(self.origins) > MOST_ORIGINS:
            self.origins.popitem(last=False)
