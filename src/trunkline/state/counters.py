"""Counters: how much of a bucket is taken, in the memory of one process.

Owns the arithmetic of windows, slots and budgets. `counters.lua` holds the same for many processes. Knows no lock and
no reservation. Times are whole microseconds of the clock's `now()`, so that the edges of a window are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from trunkline.vocabulary.buckets import Bucket, Measure, Period, Used
from trunkline.vocabulary.calls import Clock

from .periods import bounds

PARTS = 100
"""Into how many sub-buckets a window is cut. The one under way and the 100 before it count, the oldest of them whole:
that covers any window that ends now, and gives away 1/101 of the limit."""
SECOND = 1_000_000


class Counter(Protocol):
    """How much of one bucket is taken. `now` and `at` are microseconds."""

    def take(self, amount: int, limit: int, now: int) -> bool:
        """Take so much, if it fits under the limit."""
        ...

    def undo(self, amount: int) -> None:
        """Put back what was taken at this very moment."""
        ...

    def settle(self, amount: int, kept: int, at: int) -> None:
        """Of what was reserved then, so much stays counted."""
        ...

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        """Seconds after which it would fit; None: nobody knows."""
        ...

    def idle(self, now: int) -> bool:
        """Whether nothing would be lost by forgetting it."""
        ...


def part_of(seconds: float) -> int:
    """The length of a sub-bucket, in microseconds, rounded up: a window is never shorter than it says."""
    return max(1, math.ceil(seconds * SECOND / PARTS))


def kept_of(used: Used | None) -> Mapping[Measure, int]:
    """How much stays counted of what was reserved, by measure; of a measure that is not named, all of it."""
    return _NOTHING if used is None else {"tokens": used.tokens, "money": used.money, "slots": 0}


_NOTHING: Mapping[Measure, int] = {"requests": 0, "tokens": 0, "money": 0, "slots": 0}


class Window:
    """What was taken in any `seconds` on end: a sum for each sub-bucket that had any, and their total."""

    __slots__ = ("_clock", "_here", "_index", "_part", "_parts", "_sum")

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._clock = clock
        self._part = part_of(bucket.seconds)
        self._index = -1
        self._here = 0
        """What was taken in the sub-bucket under way."""
        self._parts: dict[int, int] = {}
        """What was taken in those before it, by number, in the order of time."""
        self._sum = 0

    def take(self, amount: int, limit: int, now: int) -> bool:
        index = now // self._part
        if index != self._index:
            self._turn(index)
        total = self._sum + amount
        if total > limit:
            return False
        self._sum = total
        self._here += amount
        return True

    def undo(self, amount: int) -> None:
        self._sum -= amount
        self._here -= amount

    def settle(self, amount: int, kept: int, at: int) -> None:
        more = kept - amount
        if more == 0:
            return
        index = at // self._part
        if more > 0:  # it is felt from now on
            index = int(self._clock.now() * SECOND) // self._part
            self._turn(index)
        if index == self._index:
            self._here += more
        elif index in self._parts:
            self._parts[index] += more
        else:
            return  # what goes back has fallen out already
        self._sum += more

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        over = self._sum + amount - limit
        for index, part in (*self._parts.items(), (self._index, self._here)):
            over -= part
            if over <= 0:
                return ((index + PARTS + 1) * self._part - now + 1) / SECOND
        return None  # more than the whole bucket

    def idle(self, now: int) -> bool:
        self._turn(now // self._part)
        return self._sum == 0

    def _turn(self, index: int) -> None:
        """Another sub-bucket is under way: those that no window reaches any more fall out."""
        if index == self._index:
            return
        parts, oldest = self._parts, index - PARTS
        if self._here:
            parts[self._index] = self._here
        self._index, self._here = index, 0
        while parts and (first := next(iter(parts))) < oldest:
            self._sum -= parts.pop(first)


class Slots:
    """How many hold one now."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = 0

    def take(self, amount: int, limit: int, now: int) -> bool:
        if self._held + amount > limit:
            return False
        self._held += amount
        return True

    def undo(self, amount: int) -> None:
        self._held -= amount

    def settle(self, amount: int, kept: int, at: int) -> None:
        self._held -= amount

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        return None

    def idle(self, now: int) -> bool:
        return self._held == 0


class Budget:
    """What was spent in the present period, and what is reserved of it.

    A reservation is charged to the period in which it was made: settled after the period's end, it changes nothing in
    the next, which began with nothing spent and nothing held.
    """

    __slots__ = ("_began", "_clock", "_end", "_held", "_period", "_spent")

    def __init__(self, period: Period, clock: Clock, now: int) -> None:
        self._period: Period = period
        self._clock = clock
        self._began = now
        """When this counter began to count the present period."""
        self._end = bounds(self._period, clock.wall())[1]
        self._spent = 0
        self._held = 0

    def take(self, amount: int, limit: int, now: int) -> bool:
        wall = self._clock.wall()
        if wall >= self._end:
            self._turn(wall, now)
        if self._spent + self._held + amount > limit:
            return False
        self._held += amount
        return True

    def undo(self, amount: int) -> None:
        self._held -= amount

    def settle(self, amount: int, kept: int, at: int) -> None:
        if at >= self._began:
            self._held -= amount
            self._spent += kept

    def wait(self, amount: int, limit: int, now: int) -> float | None:
        return None if self._end == math.inf else max(0.0, self._end - self._clock.wall())

    def idle(self, now: int) -> bool:
        self._turn(self._clock.wall(), now)
        return self._spent == 0 and self._held == 0

    def seed(self, spent: int, now: int) -> None:
        """At least so much was spent, others say."""
        self._turn(self._clock.wall(), now)
        self._spent = max(self._spent, spent)

    def _turn(self, wall: float, now: int) -> None:
        if wall >= self._end:
            self._began, self._end = now, bounds(self._period, wall)[1]
            self._spent = self._held = 0


def counter_of(bucket: Bucket, clock: Clock, now: int) -> Counter:
    """A counter that begins at nothing."""
    if bucket.measure == "slots":
        return Slots()
    return Window(bucket, clock) if bucket.period is None else Budget(bucket.period, clock, now)
