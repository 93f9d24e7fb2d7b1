"""Fallback: another target, at once.

Owns which errors another target may be asked after. A request that is wrong for one is wrong for all, and our own
refusals hold for all; whatever else went wrong here may go right there.
"""

from __future__ import annotations

from trunkline.vocabulary.errors import (
    BudgetError,
    ConfigurationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    LimitError,
    TrunklineError,
)

_HERE_ONLY = (ContextWindowError, ContentPolicyError)
"""Invalid for this target, not by itself: another model has a larger window or another policy."""

_EVERYWHERE = (InvalidRequestError, LimitError, BudgetError, ConfigurationError)


def may_move(error: TrunklineError) -> bool:
    """Whether the next target is worth asking after this error."""
    return isinstance(error, _HERE_ONLY) or not isinstance(error, _EVERYWHERE)
