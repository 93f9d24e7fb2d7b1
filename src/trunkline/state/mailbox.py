"""Mailboxes: what an event loop tells the server without waiting for it.

Owns the order of posts, that each counts once however often it had to be sent, and that the leases of what the loop
holds are renewed while it lives. Knows no post's meaning but the renewal's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from secrets import token_hex
from typing import Any

from trunkline.vocabulary.calls import Clock

from .link import Link, Rejected, Unreachable
from .script import Script

logger = logging.getLogger("trunkline")

Post = tuple[Any, ...]
"""Its name, and what the script's function of that name takes."""
BATCH = 64
MOST = 10_000
"""How many posts wait for a server that is away; the oldest are given up for more."""
RENEWALS = 1000
"""How many leases one post renews."""


class Mailbox:
    """The posts of one event loop. Used in its thread alone; `post_from_outside` may be called from any."""

    def __init__(self, link: Link, script: Script, clock: Clock, lease: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.link = link
        self.lost = 0
        """How many posts were given up."""
        self._script = script
        self._clock = clock
        self._lease = lease
        self._name = token_hex(8)
        self._number = 0
        self._waiting: deque[Post] = deque()
        self._batch: list[Post] = []
        """What is being sent: until the server has answered it is sent again under the same number."""
        self._sending: asyncio.Task[None] | None = None
        self._held: set[str] = set()
        self._stop_renewing: Callable[[], object] | None = None
        link.on_return.append(self.send)
        link.on_end.append(self._finish)

    def post(self, *post: Any) -> None:
        """Tell the server, soon."""
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self._give_up(1, "too many wait")
        self._waiting.append(post)
        self.send()

    def post_from_outside(self, *post: Any) -> None:
        """The same from another thread. Raises RuntimeError when the loop is closed."""
        self.loop.call_soon_threadsafe(self.post, *post)

    def hold(self, names: Iterable[str]) -> None:
        """Renew the leases of these until they are dropped."""
        self._held.update(names)
        if self._held and self._stop_renewing is None:
            self._stop_renewing = self._clock.alarm(self._clock.now() + self._lease / 3, self._renew)

    def drop(self, name: str) -> None:
        """It is settled."""
        self._held.discard(name)

    def unsent(self) -> list[Post]:
        """What was not told, for somebody else to tell. What is being sent is given up: it may have arrived."""
        if self._batch:
            self._give_up(len(self._batch), "their loop ended while the server was away")
            self._batch = []
        return [*self._waiting]

    def send(self) -> None:
        """Send what waits, unless that is under way."""
        if (self._sending is None or self._sending.done()) and not self.link.away:
            self._sending = self.loop.create_task(self._send())

    async def _send(self) -> None:
        while True:
            if not self._batch:
                self._batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._number += 1
            if not self._batch:
                return
            try:
                await self._script.run(self.link, "post", (self._name, self._number, self._batch))
            except Unreachable:
                if self.link.away:
                    return  # it goes on when the server is back
                continue
            except Rejected as error:
                self._give_up(len(self._batch), str(error))
            self._batch = []

    async def _finish(self) -> None:
        """The loop ends: send what can be sent, and renew nothing more."""
        if self._stop_renewing is not None:
            self._stop_renewing()
        if self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending])
        await self._send()

    def _renew(self) -> None:
        self._stop_renewing = None
        names = iter(list(self._held))
        while batch := list(islice(names, RENEWALS)):
            self.post("renew", int(self._lease * 1_000_000), batch)
        self.hold(())

    def _give_up(self, count: int, why: str) -> None:
        if not self.lost:
            logger.error("settlements of limits and budgets are lost: %s", why)
        self.lost += count


class Unsent:
    """Posts for which no loop is at hand, until the next one tells them; and how many the ended ones gave up."""

    def __init__(self) -> None:
        self.posts: deque[Post] = deque()
        self.lost = 0

    def add(self, post: Post) -> None:
        """Keep it, and give up the oldest for it where too many wait."""
        if len(self.posts) >= MOST:
            self.posts.popleft()
            self.lost += 1
        self.posts.append(post)

    def take_over(self, mailbox: Mailbox) -> None:
        """Its loop has ended."""
        for post in mailbox.unsent():
            self.add(post)
        self.lost += mailbox.lost

    def hand_over(self, mailbox: Mailbox) -> None:
        """It tells them all."""
        while self.posts:
            mailbox.post(*self.posts.popleft())
