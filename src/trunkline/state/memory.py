"""The state of one process: counters and rests behind one thread lock.

Owns that all claims of a call are granted or none, and that a bucket which nobody uses is forgotten. Belongs to no
event loop: nothing here waits. A reservation has no lease, for it lives no longer than the process that counts it.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import cast, get_args

from trunkline.vocabulary.buckets import (
    Amounts,
    Bucket,
    Buckets,
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
from .counters import SECOND, Budget, Counter, counter_of
from .rests import Rests


class MemoryState:
    """What the attempts of one process share. See `vocabulary.buckets.State`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.rests = Rests()
        self._counters: dict[str, Counter] = {}
        self._in_turn: deque[str] = deque()
        """The counters' keys, for looking at them one after the other."""
        self._open: set[str] = set()
        """The reservations that are not settled."""
        self._ids = map(str, count(1))
        self._begun = 0
        """How many counters have begun since it was last looked which are forgotten."""
        self._era = object()
        """Another one each time that counters were forgotten."""
        forks.watch(self)

    async def reserve(self, *claims: Claim, target: str | None = None) -> Granted | Refusal:
        """Grant all claims, or none."""
        self._lock.acquire()  # `with` takes twice as long, and this is on the path of every call
        try:
            at = self._clock.now()
            now, probe = int(at * SECOND), False
            if self._begun:
                self._tidy(now)
            if target is not None and target in self.rests:
                refusal = self.rests.refusal(target, at)
                if refusal is not None:
                    return refusal
                probe = True
            for claim in claims:
                buckets, amounts = claim.buckets, claim.amounts
                account = buckets.account
                if account is None or account.era is not self._era:
                    account = self._account(buckets, now)
                if now >= account.until:
                    account.turn(now)
                for line in account.lines:
                    counter, limit, measure = line
                    taken = counter.taken + amounts[measure]
                    if taken > limit:
                        return self._refused(claims, claim, line, now)
                    counter.taken = taken
            if probe and target is not None:
                self.rests.probe(target, at)
            reservations: list[Reservation] = []
            for claim in claims:
                name = next(self._ids)
                self._open.add(name)
                reservations.append(Reservation(name, claim, at))
            return Granted(reservations, probe)
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
            buckets, amounts = reservation.claim.buckets, reservation.claim.amounts
            account = buckets.account
            if account is None or account.era is not self._era:
                account = self._account(buckets, int(self._clock.now() * SECOND))
            at = int(reservation.at * SECOND)
            keeps = NOTHING if used is None else {"tokens": used.tokens, "money": used.money, "slots": 0}
            for counter, _, measure in account.lines if used is None else account.settled:
                amount, kept = amounts[measure], keeps[measure]
                if kept <= amount and at >= counter.since:
                    counter.taken += kept - amount
                else:
                    counter.settle(amount, kept, at)
        finally:
            self._lock.release()

    def rest(self, target: str, seconds: float) -> None:
        """Nobody asks a target for so long."""
        with self._lock:
            self.rests.begin(target, seconds, self._clock.now())

    def recover(self, target: str) -> None:
        """A target is well."""
        with self._lock:
            self.rests.end(target)

    def forgo(self, target: str) -> None:
        """A probe found nothing out."""
        with self._lock:
            self.rests.forgo(target)

    def resting(self, target: str) -> float:
        """Seconds that a target still rests."""
        if target not in self.rests:  # nearly always, and asked for each candidate of each call
            return 0.0
        with self._lock:
            return self.rests.left(target, self._clock.now())

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

    def _account(self, buckets: Buckets, now: int) -> _Account:
        """The counters of several buckets, to be found again at the next claim on them."""
        lines: list[_Line] = []
        for bucket in buckets:
            lines.append((self._counters.get(bucket.key) or self._begin(bucket, now), bucket.limit, bucket.measure))
        account = buckets.account = _Account(self._era, lines)
        return account

    def _begin(self, bucket: Bucket, now: int) -> Counter:
        counter = self._counters[bucket.key] = counter_of(bucket, self._clock, now)
        self._in_turn.append(bucket.key)
        self._begun += 1
        return counter

    def _tidy(self, now: int) -> None:
        """For each counter that has begun, look whether two others are forgotten: so there are never many more than are
        in use. Not while somebody counts with them."""
        for _ in range(min(2 * self._begun, len(self._in_turn))):
            key = self._in_turn.popleft()
            if self._counters[key].idle(now):
                del self._counters[key]
                self._era = object()
            else:
                self._in_turn.append(key)
        self._begun = 0

    def _refused(self, claims: Sequence[Claim], refused: Claim, full: _Line, now: int) -> Refusal:
        """Put back what was taken before the bucket that is full."""
        for number, claim in enumerate(claims):
            for bucket, line in zip(claim.buckets, claim.buckets.account.lines, strict=True):
                counter, limit, measure = line
                amount = claim.amounts[measure]
                if line is full and claim is refused:
                    wait = None if amount > limit else counter.wait(amount, limit, now)
                    return Refusal(why="full", bucket=bucket, claim=number, retry_after=wait)
                counter.taken -= amount
        raise AssertionError("one of them was full")


NOTHING: Amounts = {"requests": 0, "tokens": 0, "money": 0, "slots": 0}
"""What stays counted of what was reserved, by measure, where nothing was sent."""

_Line = tuple[Counter, int, Measure]
"""A bucket's counter, its limit, and what it counts."""


class _Account:
    """The counters of several buckets, as long as none was forgotten."""

    __slots__ = ("era", "lines", "settled", "until")

    def __init__(self, era: object, lines: list[_Line]) -> None:
        self.era = era
        self.lines = lines
        self.settled = [line for line in lines if line[2] != "requests"]
        """Those that change when something was used: a request that was made stays counted."""
        self.until: float = 0
        """The first of theirs (`Counter.until`)."""

    def turn(self, now: int) -> None:
        """Let those turn whose time has come."""
        for counter, _, _ in self.lines:
            if now >= counter.until:
                counter.turn(now)
        self.until = min((counter.until for counter, _, _ in self.lines), default=math.inf)
