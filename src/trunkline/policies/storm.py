"""Storm: how many retries a target may be sent while it is down for everyone.

Owns an allowance for each target: a retry costs one, successes and time give it back. When it is spent, calls move on
or fail at once instead of multiplying the load of a server that cannot carry it.
"""

from __future__ import annotations

from trunkline.state.figures import Figures

MOST = 20.0
"""Retries in a burst."""
FOR_A_SUCCESS = 0.1
FOR_A_SECOND = 0.1


def may_retry(figures: Figures, now: float) -> bool:
    """Whether a retry is left; it is not taken."""
    return _left(figures, now) >= 1


def retried(figures: Figures, now: float) -> None:
    """A retry is made."""
    figures.allowance, figures.allowance_at = _left(figures, now) - 1, now


def succeeded(figures: Figures) -> None:
    """An attempt was answered."""
    if figures.allowance is not None:
        figures.allowance = min(MOST, figures.allowance + FOR_A_SUCCESS)


def _left(figures: Figures, now: float) -> float:
    if figures.allowance is None:
        return MOST
    return min(MOST, figures.allowance + (now - figures.allowance_at) * FOR_A_SECOND)
