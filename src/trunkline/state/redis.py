"""The state of many processes: counters and rests in one Redis or Valkey server (version 7 or later).

Owns what is asked and posted, and what is answered in the server's place while it is away. Counting is the script's
(`counters.lua`), by the server's clock; connections are the links', posts the mailboxes'. Only names and numbers are
stored there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from secrets import token_hex
from threading import Lock
from typing import Any, Literal, get_args

from msgspec.structs import replace

from trunkline.vocabulary.buckets import Buckets, Claim, Granted, Period, Refusal, Reservation, Used
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import ConfigurationError

from . import forks
from .counters import SECOND
from .link import KNOCK_SECONDS, Link, Links, Rejected, Unreachable
from .mailbox import Mailbox, Post, Unsent
from .memory import MemoryState
from .script import Script, wire

logger = logging.getLogger("trunkline")

FailMode = Literal["open", "closed", "share"]
"""While the server is away: everything is granted, nothing is, or each process counts for itself under its share."""
_Answer = list[Any]
"""The script's: a word, whether the server has just begun, a moment or a wait in microseconds, which claim failed."""
ENDLESS = 2**62
RELEASED = False
"""What a post says in the place of what was used: nothing was sent."""


class RedisState:
    """What the attempts of many processes share. See `vocabulary.buckets.State`."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        prefix: str = "trunkline",
        fail: FailMode = "open",
        replicas: int = 1,
        lease: float = 60.0,
        timeout: float = 0.05,
        on_emptied: Callable[[], object] | None = None,
    ) -> None:
        """`prefix` names the counters of this installation; `replicas` is how many processes share a limit in fail mode
        `share`; `lease` is after how many seconds what a dead process held comes back; `timeout` is how many seconds a
        call waits for the server. `on_emptied` is told, in the loop of some call, that the server has just begun or was
        emptied, so that somebody calls `seed`. Raises ConfigurationError where redis-py is missing."""
        if fail not in get_args(FailMode):
            raise ConfigurationError(f"the fail mode of Redis is open, closed or share, not {fail!r}")
        self.on_emptied = on_emptied
        self._clock = clock
        self._fail: FailMode = fail
        self._replicas = max(1, replicas)
        self._lease = lease
        self._links = Links(url, clock, timeout, f"limits and budgets are not shared, fail mode {fail}")
        self._script = Script(prefix)
        self._near = MemoryState(clock)
        """This process' own view: rests as far as they are known here, and the counters while the server is away."""
        self._lock = Lock()
        self._mailboxes: dict[Link, Mailbox] = {}
        self._unsent = Unsent()
        self._held: dict[str, Mailbox] = {}
        self._held_near: set[str] = set()
        """The reservations that were granted in the server's place."""
        self._ids = count(1)
        self._name = token_hex(8)
        forks.watch(self)

    async def reserve(self, *claims: Claim, target: str | None = None) -> Granted | Refusal:
        """Grant all claims or none, in one round trip."""
        mailbox = self._mailbox()
        if mailbox.link.away:
            return await self._without(claims, target)
        names = [f"{self._name}-{next(self._ids)}" for _ in claims]
        named = [(name, wire(claim)) for name, claim in zip(names, claims, strict=True)]
        try:
            answer: _Answer = await self._script.run(
                mailbox.link, "reserve", (target or False, int(self._lease * SECOND), named)
            )
        except (Unreachable, Rejected) as error:
            if isinstance(error, Rejected):
                logger.exception("the Redis server refuses to count")
            self._release(mailbox, names)
            return await self._without(claims, target)
        except BaseException:  # the caller has left: what the server may have granted goes back
            self._release(mailbox, names)
            raise
        word, emptied, number, *where = answer
        if emptied:
            self._heed_emptied(mailbox)
        if word == b"granted":
            named = zip(names, claims, strict=True)
            return self._granted(mailbox, named, target, number / SECOND, probe=bool(where[0]))
        wait = None if number < 0 else number / SECOND
        if word == b"full":
            number, place = int(where[0]), int(where[1])
            return Refusal(why="full", bucket=claims[number].buckets[place], claim=number, retry_after=wait)
        if word == b"probing" or target is None or wait is None:
            return Refusal(why="probing", retry_after=wait)
        self._near.rest(target, wait)
        return Refusal(why="resting", retry_after=wait)

    def settle(self, reservation: Reservation, used: Used | None) -> None:
        """It is over: count what was used."""
        name, at = reservation.id, round(reservation.at * SECOND)
        mailbox = self._held.pop(name, None)
        if mailbox is not None:
            mailbox.drop(name)
        elif name in self._held_near:
            self._held_near.discard(name)
            self._near.settle(reservation, used)
            at = 0  # this process' clock is not the server's
            if used is None:
                return
        else:
            return  # it is settled already
        charged = [] if used is None else [one for one in wire(reservation.claim) if one[2] in {"tokens", "money"}]
        self._post("settle", name, at, used or RELEASED, charged)

    def rest(self, target: str, seconds: float) -> None:
        """Nobody asks a target for so long."""
        self._near.rest(target, seconds)
        self._post("rest", target, int(seconds * SECOND))

    def recover(self, target: str) -> None:
        """A target is well."""
        self._near.recover(target)
        self._post("recover", target)

    def forgo(self, target: str) -> None:
        """A probe found nothing out."""
        self._near.forgo(target)
        self._post("forgo", target)

    @property
    def rests(self) -> Collection[str]:
        """The targets that rest, as far as is known here."""
        return self._near.rests

    def resting(self, target: str) -> float:
        """Seconds that a target still rests, as far as this process has heard."""
        return self._near.resting(target)

    def seed(self, spent: Mapping[str, int]) -> None:
        """What budgets have spent in the present period, by `Bucket.key`, at least."""
        periods = get_args(Period)
        named = [(key, key.rpartition(":")[2], amount) for key, amount in spent.items()]
        self._post("seed", [entry for entry in named if entry[1] in periods])

    async def close(self) -> None:
        """Tell the server what is still to be told, and close the running loop's connections; safe to call again."""
        await self._links.close()

    @property
    def lost(self) -> int:
        """How many posts were given up, because the server was away for too long or refused them."""
        return self._unsent.lost + sum(mailbox.lost for mailbox in self._mailboxes.values())

    def leave_to_parent(self) -> None:
        """In a forked child: connections, posts and reservations are the parent's."""
        self._lock = Lock()
        self._mailboxes.clear()
        self._unsent = Unsent()
        self._held.clear()
        self._held_near.clear()
        self._name = token_hex(8)

    def _granted(
        self,
        mailbox: Mailbox,
        named: Iterable[tuple[str, Claim]],
        target: str | None,
        at: float,
        *,
        probe: bool,
    ) -> Granted:
        if target is not None and not probe:
            self._near.recover(target)
        reservations = tuple([Reservation(id=name, claim=claim, at=at) for name, claim in named])
        held = [reservation.id for reservation in reservations]
        self._held.update(dict.fromkeys(held, mailbox))
        mailbox.hold(held)
        return Granted(reservations, probe)

    def _heed_emptied(self, mailbox: Mailbox) -> None:
        """The server has just begun: whoever knows what was spent is told, and it is told when nobody does."""
        if self.on_emptied is None:
            mailbox.post("seed", [])
        else:
            mailbox.loop.call_soon(self.on_emptied)

    async def _without(self, claims: Sequence[Claim], target: str | None) -> Granted | Refusal:
        """What is granted in the server's place. Who claims nothing asks only whether the target rests."""
        if self._fail == "closed" and claims:
            return Refusal(why="unreachable", retry_after=KNOCK_SECONDS)
        near = [Claim(self._near_buckets(claim.buckets), claim.amounts) for claim in claims]
        verdict = await self._near.reserve(*near, target=target)
        if isinstance(verdict, Granted):
            self._held_near.update(reservation.id for reservation in verdict.reservations)
        return verdict

    def _near_buckets(self, buckets: Buckets) -> Buckets:
        return Buckets(replace(bucket, limit=self._limit_without(bucket.limit)) for bucket in buckets)

    def _limit_without(self, whole: int) -> int:
        """This process' own while the server is away. A share is at least one: a limit that cannot be divided is
        exceeded, not closed."""
        return max(whole // self._replicas, min(whole, 1)) if self._fail == "share" else ENDLESS

    def _mailbox(self) -> Mailbox:
        """The running loop's."""
        link = self._links.here()
        mailbox = self._mailboxes.get(link)
        if mailbox is None:
            with self._lock:
                for other in [other for other in self._mailboxes.values() if other.loop.is_closed()]:
                    self._unsent.take_over(self._mailboxes.pop(other.link))
                mailbox = self._mailboxes[link] = Mailbox(link, self._script, self._clock, self._lease)
            link.on_end.append(partial(_ended, self._mailboxes, self._unsent, link))
            self._unsent.hand_over(mailbox)
        return mailbox

    def _post(self, *post: Any) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._post_from_outside(post)
        else:
            self._mailbox().post(*post)

    def _post_from_outside(self, post: Post) -> None:
        """From a thread without a loop: some loop tells it, or the next that comes."""
        for mailbox in list(self._mailboxes.values()):
            try:
                mailbox.post_from_outside(*post)
                return
            except RuntimeError:  # that loop is closed
                continue
        self._unsent.add(post)

    def _release(self, mailbox: Mailbox, names: Sequence[str]) -> None:
        for name in names:
            mailbox.post("settle", name, 0, RELEASED, ())


async def _ended(mailboxes: dict[Link, Mailbox], unsent: Unsent, link: Link) -> None:
    """A loop ends: what it could not tell is told by another."""
    mailbox = mailboxes.pop(link, None)
    if mailbox is not None:
        unsent.take_over(mailbox)
