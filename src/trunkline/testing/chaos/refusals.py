"""Refusals: an answer with a status that says no, worded by the dialect of the path, and every way to say when to come
again. A date and a moment count from the draft's own wall clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import NamedTuple

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ServiceError,
    TrunklineError,
)

from .draft import Draft
from .fault import Commit, Fault


class _Refusal(NamedTuple):
    raises: type[TrunklineError]
    status: int
    message: str
    code: str | None = None


_BUSY = _Refusal(RateLimitError, 429, "Rate limit reached: too many requests.", "rate_limit_exceeded")

_REFUSALS: Mapping[str, _Refusal] = {
    "quota": _Refusal(
        ResourceExhaustedError,
        429,
        "You exceeded your current quota: your prepaid credits are used up.",
        "insufficient_quota",
    ),
    "400": _Refusal(InvalidRequestError, 400, "temperature must be at most 2.", "invalid_value"),
    "context": _Refusal(
        ContextWindowError,
        400,
        "The prompt is too long: 200001 tokens, but the maximum context length is 200000 tokens.",
        "context_length_exceeded",
    ),
    "policy": _Refusal(
        ContentPolicyError, 400, "The request was refused by our content policy.", "content_policy_violation"
    ),
    "401": _Refusal(AuthenticationError, 401, "Incorrect API key provided.", "invalid_api_key"),
    "403": _Refusal(AuthenticationError, 403, "The key has no permission to use this model.", "permission_denied"),
    "404": _Refusal(ModelError, 404, "The model does not exist.", "model_not_found"),
    "408": _Refusal(APITimeoutError, 408, "The request took too long to arrive."),
    "409": _Refusal(ServiceError, 409, "Conflict: another request holds the lock."),
    "413": _Refusal(InvalidRequestError, 413, "The request is larger than the 32 MB that are allowed."),
    "500": _Refusal(ServiceError, 500, "The server had an error."),
    "502": _Refusal(ServiceError, 502, "Bad gateway."),
    "503": _Refusal(OverloadedError, 503, "The service is unavailable for the moment."),
    "504": _Refusal(APITimeoutError, 504, "The upstream did not answer in time."),
    "529": _Refusal(OverloadedError, 529, "Overloaded."),
}


def _refuse(refusal: _Refusal, draft: Draft, value: float) -> None:
    draft.refuse(refusal.raises(refusal.message, status=refusal.status, code=refusal.code), refusal.status)


def _refuse_until(wait: Commit, draft: Draft, seconds: float) -> None:
    _refuse(_BUSY, draft, seconds)
    wait(draft, seconds)


def _seconds(draft: Draft, seconds: float) -> None:
    draft.headers["retry-after"] = _plain(seconds)


def _milliseconds(draft: Draft, seconds: float) -> None:
    draft.headers["retry-after-ms"] = _plain(seconds * 1000)


def _reset(what: str, draft: Draft, seconds: float) -> None:
    draft.headers[f"x-ratelimit-remaining-{what}"] = "0"
    draft.headers[f"x-ratelimit-reset-{what}"] = _duration(seconds)


def _date(draft: Draft, seconds: float) -> None:
    """A date counts from the server's own, which stands beside it."""
    draft.headers["date"] = formatdate(draft.wall, usegmt=True)
    draft.headers["retry-after"] = formatdate(draft.wall + math.ceil(seconds), usegmt=True)


def _moment(draft: Draft, seconds: float) -> None:
    full = datetime.fromtimestamp(math.ceil(draft.wall + seconds), UTC)
    draft.headers["anthropic-ratelimit-requests-remaining"] = "0"
    draft.headers["anthropic-ratelimit-requests-reset"] = full.strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_body(draft: Draft, seconds: float) -> None:
    message = f"{_BUSY.message} Please try again in {_plain(seconds)}s."
    draft.refuse(RateLimitError(message, status=429, code=_BUSY.code, retry_after=seconds), 429)


def _duration(seconds: float) -> str:
    """As Go prints it: `20ms`, `1s`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return f"{_plain(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}h" * (hours > 0) + f"{minutes}m" * (seconds >= 60) + f"{_plain(rest)}s"


def _plain(number: float) -> str:
    """To the thousandth, without zeros at the end."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


_WAITS: Mapping[str, tuple[Commit, str]] = {
    "seconds": (_seconds, "`retry-after` in seconds"),
    "date": (_date, "`retry-after` as the date that is so many seconds away"),
    "ms": (_milliseconds, "`retry-after-ms`, given in seconds here"),
    "requests": (
        partial(_reset, "requests"),
        "`x-ratelimit-reset-requests`, seconds as a duration (`6m0s`)",
    ),
    "tokens": (partial(_reset, "tokens"), "`x-ratelimit-reset-tokens`, seconds as a duration"),
    "anthropic": (_moment, "`anthropic-ratelimit-requests-reset`, the moment so many seconds away (RFC 3339)"),
    "body": (_in_body, "the body says after how many seconds to come again (Gemini's RetryInfo, OpenAI's sentence)"),
}
"""How a 429 says when to come again."""


def _rows() -> Iterator[Fault]:
    yield _row("429", _BUSY, f"429: {_BUSY.message[:-1]}, and no word of when to come again")
    for name, (wait, does) in _WAITS.items():
        yield Fault(
            name=f"429-{name}",
            does=f"429: {does}",
            commit=partial(_refuse_until, wait),
            parameter="seconds",
            usual=2.0,
            status=429,
            raises=RateLimitError,
        )
    for name, refusal in _REFUSALS.items():
        yield _row(name, refusal, f"{refusal.status}: {refusal.message[:-1]}")


def _row(name: str, refusal: _Refusal, does: str) -> Fault:
    return Fault(name=name, does=does, commit=partial(_refuse, refusal), status=refusal.status, raises=refusal.raises)


REFUSALS = tuple(_rows())
"""The faults that are an answer in good form: no."""
