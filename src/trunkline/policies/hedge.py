"""Hedge: whether a slow attempt gets a rival, and after how long.

Owns the delay, the cap on the share of hedged calls, and when it is off: a pool that is in trouble is not helped by
more work. The race itself is the loop's.
"""

from __future__ import annotations

from trunkline.state.figures import Board
from trunkline.vocabulary.rules import Hedge

QUANTILE = 0.95
LEAST = 0.02
"""Seconds: nothing is gained by hedging sooner."""
AT_LEAST = 20
"""Calls of the last minute before a share of them means something."""
TROUBLE = 0.1
"""This share of failures in the last minute is overload: no hedging."""


def delay_before_hedge(hedge: Hedge, target: str, board: Board, now: float) -> float | None:
    """Seconds to wait for the first content before another target is asked as well; None: not for this call."""
    figures = board[target]
    failed, attempts = figures.lately(now)
    if attempts and failed > TROUBLE * attempts:
        return None
    if not within_share(hedge, board, now):
        return None
    after = hedge.after if hedge.after is not None else figures.first_contents.quantile(QUANTILE)
    return max(LEAST, after) if after is not None else None


def within_share(hedge: Hedge, board: Board, now: float) -> bool:
    """Whether one more call may be hedged: asked again when the time has come, for others waited too."""
    return board.hedged.sum(now) + 1 <= hedge.share * max(board.calls.sum(now), AT_LEAST)
