"""Limits and budgets: what a call claims of the buckets that hold for it, and what a refusal tells the caller.

Owns the amounts and the words. Counting is the store's business, and when to reserve the loop's: a payer's, an owner's
and a route's buckets once for each call, a target's once for each attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct

from trunkline.models.cost import Tariff
from trunkline.state.figures import Rolling
from trunkline.vocabulary.buckets import Bucket, Buckets, Claim, Measure, Refusal, Reservation, Used, dollars
from trunkline.vocabulary.errors import BudgetError, LimitError, TrunklineError
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.usage import Cost, Usage

from .sizes import Size

UNKNOWN_MOST = 4096
"""Tokens that an answer is reserved where neither the caller nor anybody else says how long it may be."""

Price = Callable[[Target, Usage | None, str | None], Cost | None]
"""What a target charges for a usage at a service tier, exactly; None where that is unknown."""


class Worst(Struct, frozen=True, gc=False):
    """The most that an attempt is reckoned to use."""

    tokens: int
    nanos: int | None
    """Nano-dollars; None where the price is unknown."""

    @property
    def money(self) -> Decimal | None:
        """US dollars."""
        return dollars(self.nanos) if self.nanos is not None else None

    @property
    def used(self) -> Used:
        """The same as what is settled in the end, where nobody says better."""
        return Used(self.tokens, self.nanos or 0)


def worst(size: Size, target: Target, tariff: Tariff, usual: Rolling | None) -> Worst:
    """What an attempt at a target may use at the worst.

    An answer is as long as the caller allows, else as the target's own settings do, else as 99 of 100 of the target's
    lately were, else as the model can: for each of the answers that are wanted. `usual`: tokens of its whole answers;
    None: as long as the model can.
    """
    most, longest = size.most, tariff.max_output
    if most is None and target.settings is not None:
        most = target.settings.max_tokens
    if most is None:
        p99 = usual.quantile(0.99) if usual is not None else None
        most = int(p99) if p99 is not None else longest if longest is not None else UNKNOWN_MOST
    elif longest is not None and longest < most:
        most = longest
    prompt, answer = size.prompt(target.model), most * size.answers
    return Worst(prompt + answer, tariff.reckoned(prompt, answer))


def more(buckets: Buckets, needed: Worst, held: Iterable[Reservation]) -> Claim | None:
    """What a call claims in addition where its next target may use more than what is held for it; None: nothing."""
    amounts: dict[Measure, int] = {"requests": 1, "slots": 1, "tokens": needed.tokens, "money": needed.nanos or 0}
    for reservation in held:
        for measure, amount in reservation.claim.amounts.items():
            amounts[measure] -= max(0, amount)
    short = Buckets(bucket for bucket in buckets if amounts[bucket.measure] > 0)
    return Claim(short, amounts) if short else None


def overspend(in_flight: int, maximum: Decimal, reserved: Decimal) -> Decimal:
    """US dollars by which a budget can be overspent at the most: calls in flight, times what each may cost beyond what
    is reserved for it."""
    return in_flight * max(Decimal(0), maximum - reserved)


def refused(refusal: Refusal, payer: str | None) -> TrunklineError:
    """What a caller hears of a bucket of his, his owner's or his route's that is full."""
    bucket = refusal.bucket
    if bucket is None:
        return LimitError(
            "the counters of limits and budgets do not answer, and no call is let through without them", status=503
        )
    whose = _whose(bucket, payer)
    if bucket.period is not None:
        return BudgetError(
            f"{whose} budget of {_amount(bucket)} {_PER[bucket.period]} does not allow for this call",
            code="budget_exceeded",
            retry_after=refusal.retry_after,
        )
    if bucket.measure == "slots":
        return LimitError(f"{whose} limit of {bucket.limit} calls at a time is reached", code="concurrency_exceeded")
    if refusal.retry_after is None:
        return LimitError(
            f"this call is larger than {whose} limit of {_amount(bucket)} in {bucket.seconds:g} s", code="too_large"
        )
    return LimitError(
        f"{whose} limit of {_amount(bucket)} in {bucket.seconds:g} s is reached",
        code="rate_limit_exceeded",
        retry_after=refusal.retry_after,
    )


_PER = {"hour": "an hour", "day": "a day", "week": "a week", "month": "a month", "ever": "in all"}


def _whose(bucket: Bucket, payer: str | None) -> str:
    kind, _, name = bucket.name.partition(":")
    if not name:
        return "the unnamed payer's"
    return f"the {kind} {name}'s" if kind != "payer" or name != payer else f"{name}'s"


def _amount(bucket: Bucket) -> str:
    if bucket.measure == "money":
        return f"${dollars(bucket.limit).normalize():f}"
    return f"{bucket.limit} {bucket.measure}"
