"""Fallback: somebody else, at once.

Owns which errors another target may be asked after, and which chain of entries they lead to. A request that is wrong
for one is wrong for all, and our own refusals hold for all; whatever else went wrong here may go right there.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.vocabulary.errors import (
    BudgetError,
    ConfigurationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    LimitError,
    TrunklineError,
)
from trunkline.vocabulary.routes import Entry, Route
from trunkline.vocabulary.rules import Backoff

_OF_THE_MODEL = (ContextWindowError, ContentPolicyError)
"""Invalid for this model, not by itself: another one has a larger window or another policy."""

_EVERYWHERE = (InvalidRequestError, LimitError, BudgetError, ConfigurationError)


def may_move(error: TrunklineError) -> bool:
    """Whether another target is worth asking after this error."""
    return isinstance(error, _OF_THE_MODEL) or not isinstance(error, _EVERYWHERE)


def moves_on(error: TrunklineError, backoff: Backoff) -> bool:
    """Whether somebody wants another target to be asked all the same. What we refuse ourselves is refused."""
    said = backoff.kinds.get(error.kind)
    return said is not None and said.moves and isinstance(error, InvalidRequestError)


def of_the_model(error: TrunklineError) -> bool:
    """Whether the same model fails in the same way wherever it is asked."""
    return isinstance(error, _OF_THE_MODEL)


def chain(error: TrunklineError, route: Route) -> Sequence[Entry]:
    """The entries that an error leads to instead of the general ones; none for most errors."""
    if isinstance(error, ContextWindowError):
        return route.on_context_window
    if isinstance(error, ContentPolicyError):
        return route.on_content_policy
    return ()
