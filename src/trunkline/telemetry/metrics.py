"""Metrics: what has been counted since the process began, for each target and for all calls together.

Owns the counts and their bound. Counts attempts, so that a provider's failures are seen although another one answered.
Knows nobody who reads them: `page.py` writes them out for a collector, a program reads `rows()`.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from decimal import Context, Decimal

from msgspec import Struct

from trunkline.vocabulary.calls import Record
from trunkline.vocabulary.decisions import Attempt, OutcomeKind
from trunkline.vocabulary.usage import Cost

BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds up to which an attempt is counted in each bucket of the histogram; one more takes what lasted longer. They
are those of OpenTelemetry's `gen_ai.client.operation.duration`, so that dashboards made for it fit."""
MOST_ROWS = 1000
"""How many targets have a row of their own: callers may invent models."""
OTHER = "other"
"""The row of all others."""
OUTCOMES: tuple[OutcomeKind, ...] = ("finished", "cut", "error", "cancelled")
FREE = frozenset({"tokens", "moderations"})
"""Operations that cost nothing and have no price (as in the ledger)."""


class Row(Struct, frozen=True, kw_only=True):
    """What one target's attempts came to."""

    provider: str
    target: str
    attempts: int
    """All of them; `finished`, `cut`, `failed` and `cancelled` add up to it."""
    finished: int
    cut: int
    """Answers that broke off in the middle."""
    failed: int
    cancelled: int
    """Nobody wanted their answer any more: neither a success nor a failure."""
    errors: Mapping[str, int]
    """By kind, what the failed ones and the cut ones failed with."""
    seconds: float
    """How long those together took that were not cancelled."""
    histogram: tuple[int, ...]
    """How many of these took at most so long as each of `BOUNDS` and longer than the one before; the last: longer."""
    prompt_tokens: int
    completion_tokens: int
    cost: Cost
    """US dollars, of the attempts whose cost is known."""
    unpriced: int
    """Attempts that may have cost something, and nobody knows what."""
    cache_hits: int
    """Calls that were answered from the cache in its place: they are no attempts."""

    @property
    def success_rate(self) -> float | None:
        """The share, from 0 to 1, that succeeded of those that were not cancelled; None: there were none."""
        ended = self.attempts - self.cancelled
        return self.finished / ended if ended else None

    @property
    def mean_seconds(self) -> float | None:
        """How long one took that was not cancelled; None: there were none."""
        ended = self.attempts - self.cancelled
        return self.seconds / ended if ended else None


class Metrics:
    """A sink that counts. Any thread may call it and read it; a forked child begins at zero."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._lock = threading.Lock()
        self._counts: dict[tuple[str | None, str | None], _Counts] = {}
        self._calls: dict[str, int] = {}
        _METRICS.add(self)
        self.reset()

    def __call__(self, record: Record, /) -> None:
        with self._lock:
            self._calls[record.outcome] += 1
            if record.cached:
                self._of(record.provider, record.target).cache_hits += 1
            for attempt in record.attempts:
                counts = self._counts.get((attempt.provider, attempt.target))
                if counts is None:
                    counts = self._of(attempt.provider, attempt.target)
                counts.add(attempt, free=record.operation in FREE)

    def rows(self) -> list[Row]:
        """A row for each target, by name."""
        with self._lock:
            rows = [counts.row(provider or "", target or "") for (provider, target), counts in self._counts.items()]
        return sorted(rows, key=lambda row: (row.provider, row.target))

    def calls(self) -> Mapping[str, int]:
        """How all calls ended, those too for which nobody was asked: by outcome."""
        with self._lock:
            return dict(self._calls)

    def reset(self) -> None:
        """Begin at zero."""
        with self._lock:
            self._counts.clear()
            self._calls = dict.fromkeys(OUTCOMES, 0)

    def leave_to_parent(self) -> None:
        """In a forked child: another thread may have held the lock, and what was counted is the parent's."""
        self._lock = threading.Lock()
        self.reset()

    def _of(self, provider: str | None, target: str | None) -> _Counts:
        """The counts of a target, its own where there is room."""
        key = provider, target
        if key not in self._counts and len(self._counts) >= self._most_rows - 1:  # the last row is for all others
            key = OTHER, OTHER
        return self._counts.setdefault(key, _Counts())


class _Counts:
    """What one target's attempts have come to so far."""

    __slots__ = (
        "cache_hits",
        "cancelled",
        "completion_tokens",
        "cost",
        "cut",
        "errors",
        "failed",
        "finished",
        "histogram",
        "prompt_tokens",
        "seconds",
        "unpriced",
    )

    def __init__(self) -> None:
        self.finished = self.cut = self.failed = self.cancelled = self.unpriced = self.cache_hits = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.errors: Counter[str] = Counter()
        self.seconds = 0.0
        self.histogram = [0] * (len(BOUNDS) + 1)
        self.cost = Decimal(0)

    def add(self, attempt: Attempt, *, free: bool) -> None:
        """One more."""
        self._end(attempt)
        usage, cost = attempt.usage, attempt.cost
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if cost is not None:
            self.cost = _EXACT.add(self.cost, cost)
        elif not free and (usage is not None or attempt.outcome != "error"):  # a refusal costs nothing
            self.unpriced += 1

    def _end(self, attempt: Attempt) -> None:
        outcome = attempt.outcome
        if outcome == "finished" and attempt.error is None:  # with one it answered, but not what was asked
            self.finished += 1
        elif outcome is None or outcome == "cancelled":  # None: its caller left before it could end
            self.cancelled += 1
            return
        else:
            if outcome == "cut":
                self.cut += 1
            else:
                self.failed += 1
            self.errors[attempt.error or "unknown"] += 1
        seconds = attempt.seconds or 0.0
        self.seconds += seconds
        self.histogram[bisect_left(BOUNDS, seconds)] += 1

    def row(self, provider: str, target: str) -> Row:
        """As they stand now."""
        return Row(
            provider=provider,
            target=target,
            attempts=self.finished + self.cut + self.failed + self.cancelled,
            finished=self.finished,
            cut=self.cut,
            failed=self.failed,
            cancelled=self.cancelled,
            errors=dict(self.errors),
            seconds=self.seconds,
            histogram=tuple(self.histogram),
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost=self.cost,
            unpriced=self.unpriced,
            cache_hits=self.cache_hits,
        )


_EXACT = Context(prec=60)
"""Independent of the program's own decimal context, which may round to fewer digits."""

_METRICS: weakref.WeakSet[Metrics] = weakref.WeakSet()


def _forked() -> None:
    for metrics in _METRICS:
        metrics.leave_to_parent()


if sys.platform != "win32":  # where processes do not fork
    os.register_at_fork(after_in_child=_forked)
