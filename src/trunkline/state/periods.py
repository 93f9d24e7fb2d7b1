"""Periods: when a budget begins anew.

Owns the calendar of budgets, in UTC. `counters.lua` holds the same calendar for the server's clock; the contract test
holds the two together. Knows no bucket.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from trunkline.vocabulary.buckets import Period


def bounds(period: Period, wall: float) -> tuple[float, float]:
    """The beginning and the end of the period in which a moment lies, all in seconds since 1970."""
    begin, end = _BOUNDS[period](datetime.fromtimestamp(wall, UTC).replace(minute=0, second=0, microsecond=0))
    return begin.timestamp(), math.inf if end is None else end.timestamp()


_Bounds = tuple[datetime, datetime | None]


def _hour(hour: datetime) -> _Bounds:
    return hour, hour + timedelta(hours=1)


def _day(hour: datetime) -> _Bounds:
    day = hour.replace(hour=0)
    return day, day + timedelta(days=1)


def _week(hour: datetime) -> _Bounds:
    monday = hour.replace(hour=0) - timedelta(days=hour.weekday())
    return monday, monday + timedelta(weeks=1)


def _month(hour: datetime) -> _Bounds:
    first = hour.replace(hour=0, day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _ever(_hour: datetime) -> _Bounds:
    return datetime.fromtimestamp(0, UTC), None


_BOUNDS: dict[Period, Callable[[datetime], _Bounds]] = {
    "hour": _hour,
    "day": _day,
    "week": _week,
    "month": _month,
    "ever": _ever,
}
