"""The state of one process: counters and rests behind one thread lock.

Owns that all claims of a call are granted or none, and that a bucket which nobody uses is forgotten. Belongs to no
event loop: nothing here waits. A reservation has no lease, for it lives no longer than the process that counts it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain, count, islice
from typing import cast, get_args

from trunkline.vocabulary.buckets import (
    Bucket,
    Claim,
    Granted,
    Measure,
    Period,
    Refusal,
    Reservation,
    Used,
)
from trunkline.vocabulary.calls import Clock

from . import forks
from .counters import SECOND, Budget, Counter, counter_of, kept_of
from .rests import Rests


class MemoryState:
    """What the attempts of one process share. See `vocabulary.buckets.State`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rests = Rests()
        self._counters: dict[str, Counter] = {}
        self._in_turn: deque[str] = deque()
        """The counters' keys, for looking at them one after the other."""
        self._open: set[str] = set()
        """The reservations that are not settled."""
        self._ids = count(1)
        forks.watch(self)

    async def reserve(self, *groups: Sequence[Claim], target: str | None = None) -> Granted | Refusal:
        """Take all claims of all groups, or none."""
        self._lock.acquire()  # `with` takes twice as long, and this is on the path of every call
        try:
            at = self._clock.now()
            now, probe, taken = int(at * SECOND), False, 0
            if target is not None and target in self._rests:
                refusal = self._rests.refusal(target, at)
                if refusal is not None:
                    return refusal
                probe = True
            counters = self._counters
            for claims in groups:
                for bucket, amount in claims:
                    counter = counters.get(bucket.key) or self._begin(bucket, now)
                    if not counter.take(amount, bucket.limit, now):
                        return self._refused(groups, taken, now)
                    taken += 1
            if probe and target is not None:
                self._rests.probe(target, at)
            return Granted(tuple([self._reservation(claims, at) for claims in groups]), probe)
        finally:
            self._lock.release()

    def settle(self, reservation: Reservation, used: Used | None) -> None:
        """It is over: count what was used."""
        self._lock.acquire()
        try:
            try:
                self._open.remove(reservation.id)
            except KeyError:  # it is settled already
                return
            if not reservation.claims:
                return
            at = int(reservation.at * SECOND)
            counters, keeps = self._counters, kept_of(used)
            for bucket, amount in reservation.claims:
                if used is not None and bucket.measure == "requests":  # it was made: it stays counted
                    continue
                counter = counters.get(bucket.key) or self._begin(bucket, int(self._clock.now() * SECOND))
                counter.settle(amount, keeps.get(bucket.measure, amount), at)
        finally:
            self._lock.release()

    def rest(self, target: str, seconds: float) -> None:
        """Nobody asks a target for so long."""
        with self._lock:
            self._rests.begin(target, seconds, self._clock.now())

    def recover(self, target: str) -> None:
        """A target is well."""
        with self._lock:
            self._rests.end(target)

    def forgo(self, target: str) -> None:
        """A probe found nothing out."""
        with self._lock:
            self._rests.forgo(target)

    @property
    def quiet(self) -> bool:
        """No target rests."""
        return not self._rests

    def resting(self, target: str) -> float:
        """Seconds that a target still rests."""
        if target not in self._rests:  # nearly always, and asked for each candidate of each call
            return 0.0
        with self._lock:
            return self._rests.left(target, self._clock.now())

    def seed(self, spent: Mapping[str, int]) -> None:
        """What budgets have spent in the present period, by `Bucket.key`, at least."""
        with self._lock:
            now = int(self._clock.now() * SECOND)
            for key, amount in spent.items():
                name, measure, period = key.rsplit(":", 2)
                if period not in get_args(Period):
                    continue  # a window: what it counts is forgotten with the store
                bucket = Bucket(
                    name=name, measure=cast("Measure", measure), limit=amount, period=cast("Period", period)
                )
                counter = self._counters.get(key) or self._begin(bucket, now)
                if isinstance(counter, Budget):
                    counter.seed(amount, now)

    async def close(self) -> None:
        """Nothing is open."""

    def leave_to_parent(self) -> None:
        """In a forked child: a lock that another thread of the parent held would never open."""
        self._lock = threading.Lock()

    def _reservation(self, claims: Sequence[Claim], at: float) -> Reservation:
        name = str(next(self._ids))
        self._open.add(name)
        return Reservation(id=name, claims=tuple(claims), at=at)

    def _begin(self, bucket: Bucket, now: int) -> Counter:
        """Begin to count, and look whether two others are forgotten: so there are never many more than are in use."""
        for _ in range(min(2, len(self._in_turn))):
            key = self._in_turn.popleft()
            if self._counters[key].idle(now):
                del self._counters[key]
            else:
                self._in_turn.append(key)
        counter = self._counters[bucket.key] = counter_of(bucket, self._clock, now)
        self._in_turn.append(bucket.key)
        return counter

    def _refused(self, groups: tuple[Sequence[Claim], ...], taken: int, now: int) -> Refusal:
        """Put back what was taken before the claim that did not fit."""
        for bucket, amount in islice(chain.from_iterable(groups), taken):
            if amount:  # else its counter may have been forgotten since
                self._counters[bucket.key].undo(amount)
        group = 0
        while taken >= len(groups[group]):
            taken -= len(groups[group])
            group += 1
        bucket, amount = groups[group][taken]
        never = amount > bucket.limit
        wait = None if never else self._counters[bucket.key].wait(amount, bucket.limit, now)
        return Refusal(why="full", bucket=bucket, group=group, retry_after=wait)
