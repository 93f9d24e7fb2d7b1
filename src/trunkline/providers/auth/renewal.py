"""Renewal: a key that expires, and the next one in time.

Owns when a key is renewed, and that many who need it cause one renewal. Fetching blocks, so it has a thread of its own
and no event loop waits for it. Nothing here belongs to a loop: a waiter who leaves, or whose loop ends, leaves the
renewal to the others.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from copy import copy
from typing import NamedTuple

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.secret import Secret

AHEAD = 300.0
"""So many seconds before a key expires it is renewed, while calls go on with it; a short-lived one at half its life."""
PAUSE = 10.0
"""Seconds between a renewal that failed and the next, while the key in hand is good."""


class Fresh(NamedTuple):
    """A key, and when it expires, in seconds since 1970."""

    secret: Secret
    expires: float = math.inf


class _Held(NamedTuple):
    """The key in hand, in one piece: no thread sees half of another's change."""

    secret: Secret
    renew_at: float
    expires: float


class Renewed:
    """A credential whose key `fetch` makes, in a thread: at the first need, and again before it expires."""

    def __init__(
        self,
        fetch: Callable[[], Fresh],
        mask: Secret,
        now: Callable[[], float] = time.time,  # noqa: TID251 rows make credentials, no clock reaches them; tests hand theirs in
    ) -> None:
        self._fetch = fetch
        self._mask = mask
        self._now = now
        self._held: _Held | None = None
        self._under_way: dict[int, Future[Secret]] = {}
        """By process: the thread of a renewal is not there in a forked child, which must not wait for it."""

    def current(self) -> Secret | Awaitable[Secret]:
        """The key in hand while it is good, else the one that the renewal under way brings."""
        held = self._held
        if held is not None:
            now = self._now()
            if now < held.renew_at:
                return held.secret
            if now < held.expires:
                self._renewal()
                return held.secret
        return self._awaited()

    def masked(self) -> Secret:
        """A stand-in of the same kind."""
        return self._mask

    async def _awaited(self) -> Secret:
        try:
            return await asyncio.wrap_future(self._renewal())
        except TrunklineError as error:
            raise copy(error) from error.__cause__  # one for each call, to write its target's name on

    def _renewal(self) -> Future[Secret]:
        """The renewal that is under way, or a new one. `setdefault` is one step: of many callers one starts it."""
        renewal: Future[Secret] = Future()
        renewal.set_running_or_notify_cancel()  # from now on a waiter who is cancelled cannot cancel it
        first = self._under_way.setdefault(os.getpid(), renewal)
        if first is renewal:
            try:
                threading.Thread(target=self._renew, args=(renewal,), name="trunkline-key", daemon=True).start()
            except RuntimeError as error:  # there are too many threads, or the interpreter is going down
                self._end(renewal).set_exception(error)
        return first

    def _renew(self, renewal: Future[Secret]) -> None:
        held = self._held
        try:
            if held is None or self._now() >= held.renew_at:  # else somebody renewed it a moment ago
                held = self._held = self._hold(self._fetch())
        except BaseException as error:  # noqa: BLE001 whoever waits is told, whatever it is
            if held is not None:
                self._held = held._replace(renew_at=min(self._now() + PAUSE, held.expires))
            self._end(renewal).set_exception(error)
        else:
            self._end(renewal).set_result(held.secret)

    def _hold(self, fresh: Fresh) -> _Held:
        left = fresh.expires - self._now()
        return _Held(fresh.secret, fresh.expires - min(AHEAD, left / 2), fresh.expires)

    def _end(self, renewal: Future[Secret]) -> Future[Secret]:
        self._under_way.pop(os.getpid(), None)
        return renewal

    def __repr__(self) -> str:
        return "Credential(…)"


def harmless(said: object, most: int = 300) -> str:
    """What somebody else's error says, without what could be a key or a token in it: words that are too long."""
    return _KEYLIKE.sub("…", str(said))[:most]


_KEYLIKE = re.compile(r"[\w+/=.~%-]{40,}")
