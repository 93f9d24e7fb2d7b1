"""A clock whose hands a test turns: nothing sleeps, deadlines pass when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class FakeClock:
    """Sleeping moves the hands at once and is noted in `slept`. `advance` moves them from outside, from any thread."""

    def __init__(self, wall: float = 1_750_000_000.0) -> None:
        self._now = 1000.0
        self._wall = wall
        self.slept: list[float] = []
        self._deadlines: set[_Deadline] = set()

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
        """Turn the hands; deadlines that this passes strike."""
        self._now += seconds
        self._wall += seconds
        for deadline in list(self._deadlines):
            if deadline.when <= self._now:
                deadline.strike()

    @asynccontextmanager
    async def deadline(self, when: float | None) -> AsyncGenerator[None]:
        """Cancels its body with TimeoutError when the hands pass `when`."""
        if when is None:
            yield
            return
        deadline = _Deadline(when)
        if when <= self._now:
            deadline.strike()
        self._deadlines.add(deadline)
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
            self._deadlines.discard(deadline)


class _Deadline:
    """A moment, and the task that must be done by then."""

    def __init__(self, when: float) -> None:
        task = asyncio.current_task()
        assert task is not None, "a deadline is set inside a task"
        self.task = task
        self.when = when
        self.struck = False
        self.over = False

    def strike(self) -> None:
        """Cancel the task, in whatever thread the hands were turned."""
        self.task.get_loop().call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if not self.struck and not self.over:
            self.struck = True
            self.task.cancel()
