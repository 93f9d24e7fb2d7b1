"""Retry: the same target again, later.

Owns whether, and after how long. Knows no provider and no status: an error says itself whether it is transient. Never
asked about an error after output has reached the caller.
"""

from __future__ import annotations

import random

from trunkline.vocabulary.errors import APIConnectionError, TrunklineError

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
JITTER = 0.25
"""A wait is its nominal length, give or take this share: callers who failed together do not come back together."""


def delay_before_retry(error: TrunklineError, failed: int, remaining: float | None) -> float | None:
    """Seconds to wait before the target is asked again after its `failed`-th failure (1 is the first).

    None: not here again, because the error is not transient, or because the wait would pass the cap or the call's
    `remaining` seconds. A provider's own `retry-after` is honoured to the letter.
    """
    if not error.transient:
        return None
    if error.retry_after is not None:
        delay = error.retry_after
    elif isinstance(error, APIConnectionError) and failed == 1:
        delay = 0.0  # a dropped connection says nothing about the provider
    else:
        nominal = FIRST_DELAY * 2 ** min(failed - 1, 10) * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311
        delay = min(LONGEST_DELAY, nominal)
    if delay > LONGEST_DELAY or (remaining is not None and delay >= remaining):
        return None
    return delay
