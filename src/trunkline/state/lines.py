"""Lines: who waits for a slot, and whose turn it is.

Owns the order (the highest priority first, then payers in turn, then age) and the bound on how many wait. One process'
own; a waiter is woken through its own loop. It grants nothing: whoever is woken asks the store again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence

from trunkline.vocabulary.calls import Clock

POLL = 0.25
"""Seconds after which a waiter looks for itself: slots are given back by other processes too."""


class Ticket:
    """A place in the lines of some targets."""

    __slots__ = ("_event", "_loop", "number", "payer", "priority", "targets")

    def __init__(self, targets: Sequence[str], payer: str, priority: int, number: int) -> None:
        self.targets = targets
        self.payer = payer
        self.priority = priority
        self.number = number
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def call(self) -> None:
        """It is its turn: from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # its loop has ended, and nobody waits there
            return

    async def wait(self, clock: Clock, until: float) -> None:
        """Until it is called, but no longer than `until` and no longer than a poll."""
        stop = clock.alarm(min(until, clock.now() + POLL), self._event.set)
        try:
            await self._event.wait()
        finally:
            stop()
            self._event.clear()


class Lines:
    """The lines of all targets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting: dict[str, list[Ticket]] = {}
        """Those who wait for each target; only to be looked at."""
        self._served: Counter[str] = Counter()
        self._number = 0

    def join(self, targets: Sequence[str], payer: str, priority: int, most: int) -> Ticket | None:
        """A place for whichever of the targets is free first; None where `most` wait for one of them already."""
        with self._lock:
            if any(len(self.waiting.get(target, ())) >= most for target in targets):
                return None
            self._number += 1
            ticket = Ticket(targets, payer, priority, self._number)
            for target in targets:
                line = self.waiting.setdefault(target, [])
                line.append(ticket)
                if len(line) > 1 and self._first(line) is ticket:  # who was called already steps back behind it
                    ticket.call()
            return ticket

    def leave(self, ticket: Ticket, *, served: bool) -> None:
        """It has what it waited for, or gave up."""
        with self._lock:
            if served:
                self._served[ticket.payer] += 1
            for target in ticket.targets:
                line = self.waiting[target]
                line.remove(ticket)
                if line:  # while it was its turn, more than one slot may have come free
                    self._first(line).call()
                else:
                    del self.waiting[target]
            if not self.waiting:
                self._served.clear()  # turns are counted among those who wait

    def before(self, ticket: Ticket | None, target: str) -> bool:
        """Whether somebody else comes first at a target."""
        if not self.waiting:
            return False
        with self._lock:
            line = self.waiting.get(target)
            return bool(line) and self._first(line) is not ticket

    def step(self, target: str) -> None:
        """A slot may be free: call who comes first."""
        if not self.waiting:
            return
        with self._lock:
            line = self.waiting.get(target)
            if line:
                self._first(line).call()

    def _first(self, line: list[Ticket]) -> Ticket:
        return min(line, key=self._order)

    def _order(self, ticket: Ticket) -> tuple[int, int, int]:
        return -ticket.priority, self._served[ticket.payer], ticket.number
