"""Race: an attempt that is slow gets a rival; who has content first wins, and the other is cancelled.

Owns the cancelling. The first attempt runs in the caller's own task, so a race that never begins costs a timer. Who the
rival is, and after how long it starts, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from trunkline.vocabulary.calls import Answer, Clock
from trunkline.vocabulary.errors import TrunklineError

Runner = Coroutine[Any, Any, Answer]
Rival = Coroutine[Any, Any, Answer | None]


async def raced(first: Runner, rival: Callable[[], Rival], delay: float, clock: Clock) -> Answer:
    """The answer of `first`, or of what `rival()` starts after `delay` seconds, whichever comes first. The rival has no
    errors: None says that it has no answer. Where neither answers, the first one's error is raised."""
    race = _Race(rival)
    stop = clock.alarm(clock.now() + delay, race, exact=False)
    won: Answer | None = None
    try:
        try:
            won = await first
        except asyncio.CancelledError:
            won = race.overtaken()
            if won is None:  # the caller has left
                raise
        except TrunklineError:
            won = await race.instead()
            if won is None:
                raise
    finally:
        stop()
        race.running = False
        if race.rival is not None:
            await race.end(race.rival, won)
    assert won is not None
    return won


class _Race:
    """One attempt and its rival."""

    __slots__ = ("_lost", "_me", "_start", "rival", "running")

    def __init__(self, start: Callable[[], Rival]) -> None:
        self._start = start
        self._me = asyncio.current_task()
        self.rival: asyncio.Task[Answer | None] | None = None
        self.running = True
        """Nobody has won yet."""
        self._lost = False
        """The rival has overtaken the first attempt, and cancelled it."""

    def overtaken(self) -> Answer | None:
        """The rival's answer, if that is why the first attempt was cancelled."""
        if not self._lost or self._me is None or self._me.uncancel() > 0:
            return None
        return self._won()

    async def instead(self) -> Answer | None:
        """The rival's answer, now that the first attempt has failed."""
        self.running = False
        return None if self.rival is None or await self.rival is None else self._won()

    def __call__(self) -> None:
        """The first attempt is slow: its rival begins."""
        if self.running:
            self.rival = asyncio.ensure_future(self._start())
            self.rival.add_done_callback(self._arrived)

    async def end(self, rival: asyncio.Task[Answer | None], won: Answer | None) -> None:
        """Nobody wants the rival's answer: it is given up, and its books are closed."""
        rival.cancel()
        rival.add_done_callback(_give_up)
        try:
            await asyncio.wait([rival])
        except asyncio.CancelledError:  # the caller leaves at this very moment
            if won is not None:
                won.abandon()
            raise

    def _arrived(self, rival: asyncio.Task[Answer | None]) -> None:
        if self.running and not rival.cancelled() and rival.exception() is None and rival.result() is not None:
            self.running, self._lost = False, True
            if self._me is not None:
                self._me.cancel()

    def _won(self) -> Answer:
        """The rival's answer: from here on it is the caller's."""
        assert self.rival is not None
        answer, self.rival = self.rival.result(), None
        assert answer is not None
        return answer


def _give_up(rival: asyncio.Task[Answer | None]) -> None:
    if not rival.cancelled() and rival.exception() is None and (answer := rival.result()) is not None:
        answer.abandon()
