"""Counters: how much of a bucket is taken, in the memory of one process.

Owns the arithmetic of windows, slots and budgets. `counters.lua` holds the same for many processes. Knows no lock and
no reservation. Times are whole microseconds of the clock's `now()`, so that the edges of a window are exact.
"""

from __future__ import annotations

import math

from trunkline.vocabulary.buckets import Bucket, Period
from trunkline.vocabulary.calls import Clock

from .periods import bounds

PARTS = 100
"""Into how many sub-buckets a window is cut. The one under way and the 100 before it count, the oldest of them whole:
that covers any window that ends now, and gives away 1/101 of the limit."""
SECOND = 1_000_000


def part_of(seconds: float) -> int:
    """The length of a sub-bucket, in microseconds, rounded up: a window is never shorter than it says."""
    return max(1, math.ceil(seconds * SECOND / PARTS))


class Counter:
    """How much of one bucket is taken. Times are microseconds.

    A store looks and adds by itself, for a call does so ten times: from `until` on it lets the counter `turn`; then it
    compares `taken`, and adds to it. What was reserved at `since` or later and was not used up may be taken off there,
    too; for all else it lets the counter `settle`.
    """

    __slots__ = ("since", "taken", "until")

    def __init__(self) -> None:
        self.taken = 0
        self.since: float = 0
        self.until: float = math.inf

    def turn(self, now: int) -> None:
        """Time has passed: forget what does not count any more."""

    def settle(self, amount: int, kept: int, at: int) -> None:
        """Of what was reserved then, so much stays counted."""
        self.taken += kept - amount

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        """Seconds after which it would fit; None: nobody knows."""
        return None

    def idle(self, now: int) -> bool:
        """Whether nothing would be lost by forgetting it."""
        self.turn(now)
        return self.taken == 0


class Slots(Counter):
    """How many hold one now."""

    __slots__ = ()

    @property
    def held(self) -> int:
        """What is not settled: all of it."""
        return self.taken


class Window(Counter):
    """What was taken in any `seconds` on end: a sum for each sub-bucket that had any, and their total."""

    __slots__ = ("_before", "_clock", "_index", "_part", "_parts")

    def __init__(self, bucket: Bucket, clock: Clock, now: int) -> None:
        super().__init__()
        self._clock = clock
        self._part = part_of(bucket.seconds)
        self._parts: dict[int, int] = {}
        """What was taken in the sub-buckets before the one under way, by number, in the order of time."""
        self._before = 0
        """Their sum."""
        self._index = now // self._part
        self._begin()

    def turn(self, now: int) -> None:
        if now < self.until:
            return
        parts, index = self._parts, now // self._part
        if here := self.taken - self._before:
            parts[self._index] = here
        oldest, counted = index - PARTS, self.taken
        while parts and (first := next(iter(parts))) < oldest:
            counted -= parts.pop(first)
        self._index, self._before, self.taken = index, counted, counted
        self._begin()

    def settle(self, amount: int, kept: int, at: int) -> None:
        more, index = kept - amount, at // self._part
        if more > 0:  # it is felt from now on
            self.turn(int(self._clock.now() * SECOND))
        elif index in self._parts:
            self._parts[index] += more
            self._before += more
        elif index != self._index:
            return  # what goes back has fallen out already
        self.taken += more

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        over = self.taken + amount - limit
        for index, part in (*self._parts.items(), (self._index, self.taken - self._before)):
            over -= part
            if over <= 0:
                return ((index + PARTS + 1) * self._part - now + 1) / SECOND
        return None  # more than the whole bucket

    def _begin(self) -> None:
        self.since = self._index * self._part
        self.until = self.since + self._part


class Budget(Counter):
    """What was spent in the present period, and what is reserved of it.

    A reservation is charged to the period in which it was made: settled after the period's end, it changes nothing in
    the next, which began with nothing spent and nothing held.
    """

    __slots__ = ("_began", "_clock", "_end", "_period", "spent")

    def __init__(self, period: Period, clock: Clock, now: int) -> None:
        super().__init__()
        self.spent = 0
        """What is settled of what is taken."""
        self._period: Period = period
        self._clock = clock
        self.since = math.inf
        self._end = -math.inf
        self.turn(now)

    @property
    def held(self) -> int:
        """What is not settled."""
        return self.taken - self.spent

    def turn(self, now: int) -> None:
        wall = self._clock.wall()
        if wall >= self._end:
            self._began, self._end = now, bounds(self._period, wall)[1]
            self.spent = self.taken = 0
        self.until = now + int(min(self._end - wall, 1.0) * SECOND)  # the clock of the day may be put right

    def settle(self, amount: int, kept: int, at: int) -> None:
        if at >= self._began:
            self.taken += kept - amount
            self.spent += kept

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        return None if self._end == math.inf else max(0.0, self._end - self._clock.wall())

    def seed(self, spent: int, now: int) -> None:
        """At least so much was spent, others say."""
        self.turn(now)
        more = max(0, spent - self.spent)
        self.spent += more
        self.taken += more


def counter_of(bucket: Bucket, clock: Clock, now: int) -> Counter:
    """A counter that begins at nothing."""
    if bucket.measure == "slots":
        return Slots()
    return Window(bucket, clock, now) if bucket.period is None else Budget(bucket.period, clock, now)
