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
    stop = clock.alarm(clock.now() + delay, race.begin, exact=False)
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
        race.stop()
        if race.begun:
            try:
                await race.end()
            except asyncio.CancelledError:  # the caller leaves at this very moment
                if won is not None:
                    won.abandon()
                raise
    assert won is not None
    return won


class _Race:
    """One attempt and its rival."""

    __slots__ = ("_lost", "_me", "_rival", "_running", "_start")

    def __init__(self, start: Callable[[], Rival]) -> None:
        self._start = start
        self._me = asyncio.current_task()
        self._rival: asyncio.Task[Answer | None] | None = None
        self._running = True
        """Nobody has won yet."""
        self._lost = False
        """The rival has overtaken the first attempt, and cancelled it."""

    @property
    def begun(self) -> bool:
        """Whether there is a rival."""
        return self._rival is not None

    def overtaken(self) -> Answer | None:
        """The rival's answer, if that is why the first attempt was cancelled."""
        if not self._lost or self._me is None or self._me.uncancel() > 0:
            return None
        return self._won()

    async def instead(self) -> Answer | None:
        """The rival's answer, now that the first attempt has failed."""
        self._running = False
        return None if self._rival is None or await self._rival is None else self._won()

    def begin(self) -> None:
        """The first attempt is slow."""
        if self._running:
            self._rival = asyncio.ensure_future(self._start())
            self._rival.add_done_callback(self._arrived)

    def stop(self) -> None:
        """Nobody runs any more; an answer that nobody wants is given up."""
        rival, self._running = self._rival, False
        if rival is not None:
            rival.cancel()
            rival.add_done_callback(_give_up)

    async def end(self) -> None:
        """Until the rival has closed its books."""
        if self._rival is not None:
            await asyncio.wait([self._rival])

    def _arrived(self, rival: asyncio.Task[Answer | None]) -> None:
        if self._running and not rival.cancelled() and rival.exception() is None and rival.result() is not None:
            self._running, self._lost = False, True
            if self._me is not None:
                self._me.cancel()

    def _won(self) -> Answer:
        """The rival's answer: from here on it is the caller's."""
        assert self._rival is not None
        answer, self._rival = self._rival.result(), None
        assert answer is not None
        return answer


def _give_up(rival: asyncio.Task[Answer | None]) -> None:
    if not rival.cancelled() and rival.exception() is None and (answer := rival.result()) is not None:
        answer.abandon()
