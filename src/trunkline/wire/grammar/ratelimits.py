"""Rate limits: what a provider's headers say of the room that is left, and when there will be more.

Owns the families of headers and their ways to write a time. Sources: platform.openai.com/docs/guides/rate-limits,
docs.anthropic.com/en/api/rate-limits, console.groq.com/docs/rate-limits, openrouter.ai/docs/api-reference/limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

FAMILIES = (
    ("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}"),  # OpenAI, Groq, Azure, Together …
    ("anthropic-ratelimit-{}-limit", "anthropic-ratelimit-{}-remaining", "anthropic-ratelimit-{}-reset"),
)
WHAT = ("requests", "tokens", "input-tokens", "output-tokens")
PLAIN = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")  # OpenRouter, GitHub Models
_NAMES = (*(tuple(form.format(what) for form in family) for family in FAMILIES for what in WHAT), PLAIN)

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = 1e9
"""A bare number from here on is a date in seconds since 1970; from a thousand times that on in milliseconds."""


class Room(NamedTuple):
    """One limit, as the provider counts it."""

    limit: float | None
    remaining: float | None
    seconds: float | None
    """Until it is whole again."""


def rooms(headers: Mapping[str, str], wall: float | None = None) -> Iterator[Room]:
    """The limits that the headers name. Dates count from the server's own clock if it sends one, else from `wall`."""
    for limit, remaining, reset in _NAMES:
        if remaining in headers or reset in headers:
            seconds = _span(headers.get(reset), headers, wall)
            yield Room(_number(headers.get(limit)), _number(headers.get(remaining)), seconds)


def reset_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limits that are used up are whole again; None where none says that it is, or until when."""
    spent = [room.seconds for room in rooms(headers) if room.remaining == 0 and room.seconds is not None]
    return max(spent, default=None)


def headroom(headers: Mapping[str, str], wall: float) -> tuple[float, float] | None:
    """The least share of a limit that is left, and for how many seconds that may be believed; None where nothing is
    said."""
    told = [
        (room.remaining / room.limit, room.seconds)
        for room in rooms(headers, wall)
        if room.limit and room.remaining is not None
    ]
    if not told:
        return None
    share, seconds = min(told, key=lambda room: room[0])
    return share, min(60.0, seconds) if seconds is not None else 60.0


def _span(text: str | None, headers: Mapping[str, str], wall: float | None) -> float | None:
    """Seconds: `1s`, `6m0s`, `120ms`, a number of seconds, or a date."""
    if text is None:
        return None
    text = text.strip()
    if (number := _number(text)) is not None:
        if number < _EPOCH:
            return number
        at = number / 1000 if number >= _EPOCH * 1000 else number
    elif text and not _SPAN.sub("", text):
        return sum(float(count) * _SECONDS[unit] for count, unit in _SPAN.findall(text))
    else:
        try:
            at = datetime.fromisoformat(text).timestamp()
        except ValueError:
            return None
    server = _server(headers, wall)
    return max(0.0, at - server) if server is not None else None


def _server(headers: Mapping[str, str], wall: float | None) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC).timestamp()
    except (KeyError, ValueError, TypeError):
        return wall


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
