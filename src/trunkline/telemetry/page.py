"""The page: metrics as text in Prometheus' exposition format, version 0.0.4.

Owns the names of the series and how they are written. Knows nothing of how the figures came about.
https://prometheus.io/docs/instrumenting/exposition_formats
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from .metrics import BOUNDS, Metrics, Row

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Iterator[tuple[str, str, object]]
"""What follows the name of the series, the labels beyond those of the row, and the value."""


def text(metrics: Metrics) -> bytes:
    """The page as it stands now."""
    lines = [*_head("trunkline_calls_total", "counter", "Calls, by how they ended; one may take several attempts.")]
    lines += [f'trunkline_calls_total{{outcome="{outcome}"}} {count}' for outcome, count in metrics.calls().items()]
    rows = [(row, f'provider="{_escaped(row.provider)}",target="{_escaped(row.target)}"') for row in metrics.rows()]
    for series in SERIES:
        lines += _head(series.name, series.kind, series.meaning)
        for row, labels in rows:
            lines += [f"{series.name}{suffix}{{{labels}{more}}} {value}" for suffix, more, value in series.samples(row)]
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _attempts(row: Row) -> Samples:
    yield "", ',outcome="finished"', row.finished
    yield "", ',outcome="cut"', row.cut
    yield "", ',outcome="error"', row.failed
    yield "", ',outcome="cancelled"', row.cancelled


def _errors(row: Row) -> Samples:
    for kind, count in sorted(row.errors.items()):
        yield "", f',kind="{_escaped(kind)}"', count


def _seconds(row: Row) -> Samples:
    for bound, count in zip((*BOUNDS, "+Inf"), accumulate(row.histogram), strict=True):
        yield "_bucket", f',le="{bound}"', count
    yield "_sum", "", row.seconds
    yield "_count", "", sum(row.histogram)


def _tokens(row: Row) -> Samples:
    yield "", ',direction="input"', row.prompt_tokens
    yield "", ',direction="output"', row.completion_tokens


def _cost(row: Row) -> Samples:
    yield "", "", f"{row.cost:f}"


def _unpriced(row: Row) -> Samples:
    yield "", "", row.unpriced


def _cache_hits(row: Row) -> Samples:
    yield "", "", row.cache_hits


class Series(NamedTuple):
    """One family of series, with samples for each row."""

    name: str
    kind: str
    meaning: str
    samples: Callable[[Row], Samples]


SERIES = (
    Series("trunkline_attempts_total", "counter", "Attempts, by how they ended.", _attempts),
    Series("trunkline_errors_total", "counter", "Attempts that failed or broke off, by kind of error.", _errors),
    Series("trunkline_attempt_seconds", "histogram", "How long attempts took that were not cancelled.", _seconds),
    Series("trunkline_tokens_total", "counter", "Tokens that were read (input) and written (output).", _tokens),
    Series("trunkline_cost_usd_total", "counter", "US dollars, of attempts whose cost is known.", _cost),
    Series("trunkline_unpriced_total", "counter", "Attempts whose cost is unknown; they are in no sum.", _unpriced),
    Series("trunkline_cache_hits_total", "counter", "Calls that were answered from the cache.", _cache_hits),
)
"""By target."""
