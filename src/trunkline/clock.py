"""Clock: the machine's own, which everything that waits is given. A test gives one that it turns itself.

Owns the only places that ask the machine for the time, and alarms that cost next to nothing where nearly all of them
are switched off before they ring.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._here = _Here()

    now = staticmethod(time.monotonic)  # noqa: TID251 the one place
    wall = staticmethod(time.time)  # noqa: TID251 the one place

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)  # noqa: TID251 the one place

    def deadline(self, when: float | None) -> AbstractAsyncContextManager[Any]:
        """Cancels its body with TimeoutError when `now()` passes `when`; None never does."""
        if when is None:
            return asyncio.timeout(None)
        return asyncio.timeout_at(asyncio.get_running_loop().time() + when - self.now())

    def alarm(self, when: float | None, ring: Callable[[], object], *, exact: bool = True) -> Callable[[], object]:
        """Calls `ring` when `now()` passes `when`, unless the function it gives back is called before. One that need
        not be exact rings up to 10 ms late, and nearly all of its cost is that of a dictionary."""
        if when is None:
            return _nothing
        loop = asyncio.get_running_loop()
        if exact:
            return loop.call_at(loop.time() + when - self.now(), ring).cancel
        alarms = self._here.alarms
        if alarms is None or alarms.loop is not loop:
            alarms = self._here.alarms = _Alarms(loop, self.now)
        tick = int(when / TICK) + 1
        rings = alarms.get(tick)
        if rings is None:
            rings = alarms.at(tick)
        alarm = partial(ring)  # its own: two alarms may have the same ring
        rings.add(alarm)
        return partial(rings.discard, alarm)


class _Alarms(dict[int, set[Callable[[], object]]]):
    """The alarms of one event loop that need not be exact, by the tick at which they ring. All of them share one timer,
    for nearly all are switched off before: it wakes the loop when the first one rings that was not, or would have."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        super().__init__()
        self.loop = loop
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self._next: float = math.inf
        """The tick at which the timer rings."""
        self._many = MANY_TICKS
        """At how many ticks it is time to forget those without alarms."""

    def at(self, tick: int) -> set[Callable[[], object]]:
        """The alarms of a tick that had none."""
        if len(self) >= self._many:
            self._forget()
            self._many = max(MANY_TICKS, 2 * len(self))
        if tick < self._next:
            self._set(tick)
        rings: set[Callable[[], object]] = set()
        self[tick] = rings
        return rings

    def _set(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self.loop.call_at(self.loop.time() + tick * TICK - self._now(), self._strike)

    def _strike(self) -> None:
        due = [self[tick] for tick in sorted(tick for tick in self if tick <= self._next)]
        self._timer, self._next = None, math.inf
        try:
            for rings in due:
                while rings:  # one may switch off another
                    rings.pop()()
        finally:  # what a broken one keeps from ringing rings next
            self._forget()
            if self:
                self._set(min(self))

    def _forget(self) -> None:
        for tick in [tick for tick, rings in self.items() if not rings]:
            del self[tick]


class _Here(threading.local):
    """What belongs to the loop that runs in a thread."""

    alarms: _Alarms | None = None


TICK = 0.01
"""Seconds."""
MANY_TICKS = 1000


def _nothing() -> None:
    """There is no alarm to switch off."""
