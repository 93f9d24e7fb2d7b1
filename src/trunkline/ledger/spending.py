"""Spending: what can be asked of a ledger, and the shape of its answers.

Owns the columns by which sums are taken, and where a period begins. Knows no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from trunkline.vocabulary.buckets import Period, dollars
from trunkline.vocabulary.usage import Cost, Usage

Column = Literal["day", "target", "provider", "model", "route", "payer", "owner", "operation", "kind"]
"""By what sums are taken. `day` is the day of the call (UTC), `model` the name that was asked for, `kind` that of the
error. Target, provider and kind are those of the attempt; a call without one counts where its answer came from."""

COLUMNS: tuple[Column, ...] = get_args(Column)


class Spend(Struct, frozen=True, kw_only=True):
    """What calls came to, for one value of each column that was asked for."""

    by: dict[Column, str | None]
    calls: int
    """Calls that ended there, those from the cache too."""
    attempts: int
    failed: int
    """Attempts that ended in an error."""
    usage: Usage
    """Tokens of all attempts, in disjoint buckets; `estimated` where some were."""
    estimated: int
    """So many of these tokens we counted ourselves, because the provider did not say."""
    nanos: int
    """Nano-dollars of all attempts whose cost is known."""
    unpriced: int
    """Attempts whose cost nobody knows: where there are some, the cost is a lower bound."""

    @property
    def cost(self) -> Cost | None:
        """`nanos` in US dollars: exact where no call's cost has more than nine decimals, else too high by less than a
        nano-dollar for each call. None where all that might have cost something is unknown."""
        return None if self.unpriced and not self.nanos else dollars(self.nanos)


def total(spends: Iterable[Spend]) -> Spend:
    """All of them together: no call and no attempt is in two."""
    calls = attempts = failed = estimated = nanos = unpriced = 0
    usage = Usage()
    for spend in spends:
        calls += spend.calls
        attempts += spend.attempts
        failed += spend.failed
        estimated += spend.estimated
        nanos += spend.nanos
        unpriced += spend.unpriced
        usage += spend.usage
    return Spend(
        by={},
        calls=calls,
        attempts=attempts,
        failed=failed,
        usage=usage,
        estimated=estimated,
        nanos=nanos,
        unpriced=unpriced,
    )


class Spent(NamedTuple):
    """What a payer, an owner or a route has used in a period; the names are those of a bucket's measures."""

    requests: int = 0
    tokens: int = 0
    money: int = 0
    """Nano-dollars."""

    def plus(self, spend: Spend) -> Spent:
        """With what some calls came to."""
        return Spent(self.requests + spend.calls, self.tokens + spend.usage.total_tokens, self.money + spend.nanos)


def _midnight(day: datetime) -> datetime:
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


_BEGINNINGS: Mapping[Period, Callable[[datetime], datetime]] = {
    "hour": lambda now: now.replace(minute=0, second=0, microsecond=0),
    "day": _midnight,
    "week": lambda now: _midnight(now) - timedelta(days=now.weekday()),
    "month": lambda now: _midnight(now.replace(day=1)),
    "ever": lambda _: datetime.fromtimestamp(0, UTC),
}


def beginning(period: Period, wall: float) -> float:
    """When the period began that `wall` is in: both in seconds since 1970, by the calendar in UTC."""
    return _BEGINNINGS[period](datetime.fromtimestamp(wall, UTC)).timestamp()
