"""Rows: a record as rows of the database's tables.

Owns which field goes into which column, how money becomes a whole number, and which attempts have a cost that nobody
knows. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import ROUND_CEILING, Context, Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct, field

from trunkline.vocabulary.calls import Attempt, Record
from trunkline.vocabulary.usage import BUCKETS, Usage

_COUNTED = (*BUCKETS, "estimated")
_OF_A_CALL = (
    *("id", "at", "operation", "model", "route", "target", "provider", "payer", "owner", "stream", "cached"),
    *("outcome", "finish", "error", "status", "seconds", "first_content", "waited", "request_id", "tier"),
)
_OF_AN_ATTEMPT = (
    *("target", "provider", "started", "outcome", "finish", "error", "status", "seconds", "first_content", "waited"),
    *("request_id", "hedge", "tier", "priced"),
)

CALLS = (*_OF_A_CALL, *_COUNTED, "extra", "tags", "loss", "cost")
"""The columns of `calls`, in the order of their rows."""
ATTEMPTS = (*_OF_AN_ATTEMPT, *_COUNTED, "extra", "call", "number", "cost", "nanos", "failed", "unpriced")
"""The columns of `attempts`, in the order of their rows."""

FREE = frozenset({"tokens", "moderations"})
"""Operations that cost nothing where no price is known."""

_call = attrgetter(*_OF_A_CALL)
_attempt = attrgetter(*_OF_AN_ATTEMPT)
_counted = attrgetter(*_COUNTED)
_NOTHING = Usage()
_EXACT = Context(prec=60)  # the program's own context may round to fewer digits
_MOST = 2**62
"""The largest number of tokens or nano-dollars that is believed: a column has 63 bits."""

Row = tuple[Any, ...]
UNBELIEVABLE = (ArithmeticError, ValueError)
"""What `Rows.add` raises of a record with numbers that no column holds."""


class Rows(Struct):
    """Records as rows of both tables."""

    calls: list[Row] = field(default_factory=list[Row])
    attempts: list[Row] = field(default_factory=list[Row])

    def add(self, record: Record) -> None:
        """One more. Raises what `UNBELIEVABLE` lists, and has then added nothing."""
        call, attempts = _call_row(record), [*_attempt_rows(record)]
        self.calls.append(call)
        self.attempts += attempts


def _call_row(record: Record) -> Row:
    usage = record.usage or _NOTHING
    rest = (_json(usage.extra), _json(record.tags), _json(record.loss), _text(record.cost))
    return (*_call(record), *_tokens(usage), *rest)


def _attempt_rows(record: Record) -> Iterator[Row]:
    """A call's attempts, numbered from 1.

    What a call costs is rounded up to a nano-dollar once, not for each attempt: their `nanos` add up to that."""
    cost, nanos = Decimal(0), 0
    for number, attempt in enumerate(record.attempts, 1):
        own = None
        if attempt.cost is not None:
            cost = _EXACT.add(cost, attempt.cost)
            before, nanos = nanos, _nanos(cost)
            own = nanos - before
        usage = attempt.usage or _NOTHING
        money = (_text(attempt.cost), own, _failed(attempt), _unpriced(record, attempt))
        yield (*_attempt(attempt), *_tokens(usage), _json(usage.extra), record.id, number, *money)


def _tokens(usage: Usage) -> Row:
    counted = _counted(usage)
    if max(counted) > _MOST:
        raise OverflowError("more tokens than there are")
    return counted


def _json(value: Collection[Any]) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


def _text(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"


def _nanos(cost: Decimal) -> int:
    nanos = _EXACT.scaleb(cost, 9).to_integral_value(ROUND_CEILING)
    if abs(nanos) > _MOST:
        raise OverflowError("more money than there is")
    return int(nanos)


def _failed(attempt: Attempt) -> bool:
    """It ended in an error. One that was called off, because another was faster or nobody waited, has not failed."""
    if attempt.outcome is None:
        return attempt.error not in (None, "cancelled")
    return attempt.outcome in ("error", "cut")


def _unpriced(record: Record, attempt: Attempt) -> bool:
    """It may have cost something, and nobody knows what. A refusal that names no tokens costs nothing."""
    if attempt.cost is not None or record.operation in FREE:
        return False
    return attempt.usage is not None or not _failed(attempt) or attempt.outcome == "cut"
