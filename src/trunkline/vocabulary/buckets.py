"""Buckets: what calls draw on, and the store that counts.

Owns the shapes that the rules of limits and budgets share with the stores (`state/`): a rule makes claims, a store
grants all of them or none. Amounts are whole numbers, money is in nano-dollars, so that a sum is exact everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

Measure = Literal["requests", "tokens", "slots", "money"]
"""What a bucket counts. `slots` are calls at the same time; `money` is in nano-dollars."""

Period = Literal["hour", "day", "week", "month", "ever"]
"""How long a budget lasts: by the calendar, in UTC; weeks begin on Monday."""


class Bucket(Struct, frozen=True, kw_only=True):
    """One limit. Whoever names the same bucket shares it.

    With a `period` it is a budget, that begins anew with each; else `slots` are what is held now, and requests and
    tokens are those of any `seconds` on end.
    """

    name: str
    """Whose it is: `payer:alice`, `owner:research`, `route:smart`, `target:openai/gpt-4o`, `bucket:our-account`."""
    measure: Measure
    limit: int
    seconds: float = 60.0
    period: Period | None = None
    key: str = ""
    """What it is called in a store, written by itself: two buckets of one name may differ in measure and length."""

    def __post_init__(self) -> None:
        force_setattr(self, "key", f"{self.name}:{self.measure}:{self.period or f'{self.seconds:g}'}")


class Buckets(tuple[Bucket, ...]):
    """Those that are drawn on together: a target's, or a payer's with his owner's and the route's."""

    account: Any = None
    """What a store of this process keeps here, so that it need not look for each bucket at each call: its own, and
    nobody else's business."""


NO_BUCKETS = Buckets()

Amounts = Mapping[Measure, int]


class Claim(Struct, frozen=True, gc=False):
    """So much of each of several buckets, by what they count."""

    buckets: Buckets
    amounts: Amounts


class Used(Struct, frozen=True, array_like=True, gc=False):
    """What was really used of what was reserved."""

    tokens: int = 0
    money: int = 0
    """Nano-dollars."""


class Reservation(Struct, frozen=True, gc=False):
    """What a call or an attempt holds until it is settled. A store takes it back by itself when its lease expires."""

    id: str
    claim: Claim
    at: float
    """The store's own clock when it was granted, in seconds."""


class Granted(Struct, frozen=True, gc=False):
    """Everything that was claimed: a reservation for each claim."""

    reservations: Sequence[Reservation]
    probe: bool = False
    """The target has rested, and this attempt finds out whether it is well again."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Nothing was taken, because one bucket has not so much left."""

    why: Literal["full", "resting", "probing", "unreachable"]
    """A bucket is full; the target rests after failures; somebody else finds out whether it is well; the store does not
    answer and its fail mode is `closed`."""
    bucket: Bucket | None = None
    claim: int = 0
    """In which of the claims it was."""
    retry_after: float | None = None
    """Seconds after which it may be granted; None: nobody knows (a slot), or never (more than the whole bucket)."""


class State(Protocol):
    """What attempts share: reservations in buckets, and which targets rest. One process, or many on one Redis.

    `reserve` is the only thing that is waited for; the others post. A target's rest is shared by all who share a store.
    """

    async def reserve(self, *claims: Claim, target: str | None = None) -> Granted | Refusal:
        """Grant all claims or none, in one atomic step. `target`: whom the attempt would ask, refused
        while it rests; None where it shall be asked anyway."""
        ...

    def settle(self, reservation: Reservation, used: Used | None) -> None:
        """It is over. What was used stays counted, what was reserved beyond it goes back, what was used beyond it is
        debited. None: nothing was sent, and all of it goes back, requests too. Safe to call again."""
        ...

    def rest(self, target: str, seconds: float) -> None:
        """Nobody asks a target for so long. A shorter rest never ends a longer one."""
        ...

    def recover(self, target: str) -> None:
        """A target answered: it is well."""
        ...

    def forgo(self, target: str) -> None:
        """A probe ended without a word on the target's health: another may find out."""
        ...

    @property
    def rests(self) -> Collection[str]:
        """The targets that rest or are on probation after it, as far as is known here."""
        ...

    def resting(self, target: str) -> float:
        """Seconds that a target still rests, as far as is known here; 0.0 for one that may be asked."""
        ...

    def seed(self, spent: Mapping[str, int]) -> None:
        """What budgets (by `Bucket.key`) have spent in the present period according to the ledger: for a store that has
        just begun or was emptied. Counts what the store has not counted itself."""
        ...

    async def close(self) -> None:
        """Close the running loop's connections; safe to call again."""
        ...


NANO = Decimal(10) ** 9
_EXACT = Context(prec=60)  # the program's own context may round to fewer digits


def nanos(amount: Decimal) -> int:
    """Dollars as nano-dollars, rounded up."""
    return int(_EXACT.multiply(amount, NANO).to_integral_value(ROUND_CEILING))


def dollars(amount: int) -> Decimal:
    """Nano-dollars as dollars, exactly."""
    return _EXACT.scaleb(Decimal(amount), -9)
