"""Adapt: how many attempts at once a target is given, learned from what it says to them.

Owns additive increase and multiplicative decrease, and what a provider's rate-limit headers tell of the room that is
left. For targets whose configuration says `adaptive`.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import OverloadedError, RateLimitError, TrunklineError
from trunkline.wire.grammar.ratelimits import headroom

START = 8.0
LEAST = 1.0
DECREASE = 0.7
AGAIN = 0.05
"""Seconds between two readings of the headers."""
PAUSE = 1.0
"""Seconds between two decreases: the refusals of one burst are one sign."""


def is_full(figures: Figures) -> bool:
    """Whether the target has as many attempts under way as it is known to bear."""
    return figures.in_flight >= (figures.ceiling if figures.ceiling is not None else START)


def answered(figures: Figures) -> None:
    """It bore this many: a little more, if that many were really under way."""
    ceiling = figures.ceiling if figures.ceiling is not None else START
    if figures.in_flight >= ceiling * 0.5:
        figures.ceiling = ceiling + 1 / ceiling


def refused(figures: Figures, error: TrunklineError, now: float) -> None:
    """It was too much."""
    if isinstance(error, RateLimitError | OverloadedError) and now - figures.ceiling_at >= PAUSE:
        ceiling = figures.ceiling if figures.ceiling is not None else START
        figures.ceiling = max(LEAST, min(ceiling, figures.in_flight) * DECREASE)
        figures.ceiling_at = now


def learn(figures: Figures, headers: Mapping[str, str], now: float, wall: float) -> None:
    """What the provider says of the room that is left; once in a while is often enough."""
    if now < figures.headroom_at + AGAIN:
        return
    figures.headroom_at = now
    told = headroom(headers, wall)
    if told is not None:
        figures.headroom, figures.headroom_until = told[0], now + told[1]
