"""A clock whose hands a test turns: nothing sleeps, deadlines pass when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager


class FakeClock:
    """Sleeping moves the hands at once and is noted in `slept`. `advance` moves them from outside, from any thread."""

    def __init__(self, wall: float = 1_750_000_000.0) -> None:
        self._now = 1000.0
        self._wall = wall
        self.slept: list[float] = []
        self._alarms: dict[object, tuple[float, Callable[[], object]]] = {}

    def now(self) -> float:
        """Seconds on this clock."""
        return self._now

    def wall(self) -> float:
        """Seconds since 1970 on this clock."""
        return self._wall

    async def sleep(self, seconds: float) -> None:
        """Be there already; whoever else is ready runs first."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)  # noqa: TID251 a turn of the loop, no wait

    def advance(self, seconds: float) -> None:
        """Turn the hands; alarms and deadlines that this passes strike."""
        self._now += seconds
        self._wall += seconds
        for token, (when, strike) in list(self._alarms.items()):
            if when <= self._now:
                self._alarms.pop(token, None)
                strike()

    def alarm(self, when: float | None, ring: Callable[[], object], *, exact: bool = True) -> Callable[[], object]:
        """Calls `ring` in this loop when the hands pass `when`, unless the function it gives back is called before."""
        token, loop = object(), asyncio.get_running_loop()
        if when is not None:
            self._alarms[token] = (when, lambda: loop.call_soon_threadsafe(ring))
            self.advance(0)
        return lambda: self._alarms.pop(token, None)

    @asynccontextmanager
    async def deadline(self, when: float | None) -> AsyncGenerator[None]:
        """Cancels its body with TimeoutError when the hands pass `when`."""
        if when is None:
            yield
            return
        deadline = _Deadline()
        stop = self.alarm(when, deadline.strike)
        try:
            yield
            if deadline.struck:  # while the body was taking its last step: what is on its way arrives here
                await asyncio.sleep(0)  # noqa: TID251 a turn of the loop, no wait
        except asyncio.CancelledError:
            if deadline.struck and deadline.task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            deadline.over = True
            stop()


class _Deadline:
    """A task that must be done in time."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a deadline is set inside a task"
        self.task = task
        self.struck = False
        self.over = False

    def strike(self) -> None:
        """It is not: cancel it, unless it was done a moment ago."""
        if not self.struck and not self.over:
            self.struck = True
            self.task.cancel()
