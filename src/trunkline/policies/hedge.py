"""Hedge: after how long a slow attempt gets a rival, and whether it does when that time has come.

Owns the delay, the cap on the share of hedged calls, and when it is off: a pool that is in trouble is not helped by
more work. The race itself is the loop's.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.state.figures import Figures
from trunkline.vocabulary.rules import Hedge

QUANTILE = 0.95
LEAST = 0.02
"""Seconds: nothing is gained by hedging sooner."""
AT_LEAST = 20
"""Attempts of the last minute before a share of them means something."""
TROUBLE = 0.1
"""This share of failures in the last minute is overload: no hedging."""


def delay_before_hedge(hedge: Hedge, figures: Figures) -> float | None:
    """Seconds to wait for a target's first content before another is asked as well; None: nobody knows how many."""
    after = hedge.after if hedge.after is not None else figures.first_contents.quantile(QUANTILE)
    return max(LEAST, after) if after is not None else None


def may_hedge(hedge: Hedge, figures: Figures, pool: Sequence[Figures], now: float) -> bool:
    """Whether a call that has waited so long for a target may be hedged: the target is not in trouble, and no more than
    their share of the attempts at its pool were hedged lately."""
    failed, attempts = figures.lately(now)
    if attempts and failed > TROUBLE * attempts:
        return False
    hedged = sum(one.hedged.sum(now) for one in pool)
    attempts = sum(one.attempts.sum(now) + one.in_flight for one in pool)
    return hedged + 1 <= hedge.share * max(attempts, AT_LEAST)
