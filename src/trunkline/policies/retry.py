"""Retry: the same target again, later.

Owns whether, and after how long. Knows no provider and no status: an error says itself whether it is transient. Never
asked about an error after output has reached the caller.
"""

from __future__ import annotations

import random

from trunkline.vocabulary.errors import APIConnectionError, ResponseParseError, TrunklineError
from trunkline.vocabulary.rules import Backoff, OfKind

_AS_ALWAYS = OfKind()

AT_ONCE = (APIConnectionError,)
"""A dropped connection says nothing of the provider: the first retry does not wait."""
ONCE = (ResponseParseError,)
"""An answer that could not be read is asked for once more, not for ever."""


def delay_before_retry(error: TrunklineError, failed: int, backoff: Backoff = Backoff()) -> float | None:  # noqa: B008
    """Seconds to wait before a target is asked again after its `failed`-th failure in this call (1 is the first).

    None: not here again, because the error is not transient and nobody gives its kind retries of its own, or because
    the provider asks for a longer wait than the backoff's cap. What a provider asks for is honoured to the letter.
    Whether there is time and whether retries are left is the caller's to know.
    """
    own = backoff.kinds.get(error.kind, _AS_ALWAYS)
    if not (error.transient or own.retries) or (failed > 1 and isinstance(error, ONCE) and not own.retries):
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= backoff.longest else None
    first = own.first
    if first is None:
        if failed == 1 and isinstance(error, AT_ONCE):
            return 0.0
        first = backoff.first
    nominal = first * backoff.factor ** min(failed - 1, 30) * (1 + random.uniform(-backoff.jitter, backoff.jitter))  # noqa: S311
    return min(backoff.longest, nominal)


def most_of_kind(error: TrunklineError, backoff: Backoff) -> int | None:
    """How many of a call's retries errors of this kind may use; None: all of them."""
    return backoff.kinds.get(error.kind, _AS_ALWAYS).retries
