"""Breaker: when a target is left alone, and for how long.

Owns which failures speak against a target and what they come to. Sees every attempt. It does not know where rests are
kept (the state store's business) nor that the last target of a route is asked all the same (the loop's).
"""

from __future__ import annotations

from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ModelError,
    RateLimitError,
    ResourceExhaustedError,
    TrunklineError,
)

IN_A_ROW = 5
"""So many failures on end say that a target is down."""
AT_LEAST, SHARE = 10, 0.5
"""So does this share of failures among at least so many attempts of the last minute."""
FIRST_REST, LONGEST_REST = 5.0, 60.0
"""Seconds; each rest that ends in another failure is twice as long."""
AFTER_RATE_LIMIT = 1.0
"""Seconds without a word of the provider's on how long: others would only be told the same."""
OUT_OF_MONEY = 60.0
"""A key that is wrong or an account that is empty is not mended within seconds."""

_OURS = (InvalidRequestError, ConfigurationError)
"""What the caller did wrong says nothing of the target; our own refusals never come here."""


def speaks_against(error: TrunklineError) -> bool:
    """Whether an error is the target's fault."""
    return not isinstance(error, _OURS) and not (isinstance(error, ModelError) and not error.transient)


def rest_after(error: TrunklineError, figures: Figures, now: float) -> float:
    """Seconds for which the target shall be left alone after this failure, which `figures` counts already; 0.0: not."""
    if not speaks_against(error):
        return 0.0
    if isinstance(error, RateLimitError):
        return error.retry_after if error.retry_after is not None else AFTER_RATE_LIMIT
    if isinstance(error, AuthenticationError | ResourceExhaustedError):
        return error.retry_after or OUT_OF_MONEY
    if error.retry_after is not None:
        return error.retry_after
    failed, all_ = figures.lately(now)
    if figures.in_a_row < IN_A_ROW and (all_ < AT_LEAST or failed < SHARE * all_):
        return 0.0
    return min(LONGEST_REST, FIRST_REST * 2 ** min(figures.rests, 10))
