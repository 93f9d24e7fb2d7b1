"""Candidates: who of an entry may be asked at all, and why the others may not.

Owns tags, cost ceilings and the refusal to spend an unknown sum from a budget of money. Knows no figures: whether a
candidate is well or busy is seen when its turn comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from trunkline.vocabulary.buckets import Bucket, dollars
from trunkline.vocabulary.routes import Member, Target

from .limits import Worst


def by_tags(members: Sequence[Member], tags: Iterable[str]) -> tuple[Sequence[Member], str]:
    """The members that serve calls with these tags, and what keeps the others out.

    A target with tags serves only calls that carry one of them; where some do, a call with tags goes to those alone.
    """
    said = frozenset(tags)
    tagged = [member for member in members if member.target.tags & said]
    if tagged:
        return tagged, "it has none of the call's tags"
    return [member for member in members if not member.target.tags], "it serves only calls with its tags"


def out_of_bounds(
    target: Target, worst: Worst, ceiling: float, buckets: Sequence[Bucket], *, unpriced: bool
) -> str | None:
    """Why a target's price keeps it out; None where it does not. `ceiling`: nano-dollars that the call may cost."""
    if worst.nanos is None:
        if ceiling < math.inf:
            return "its price is unknown, and the call has a ceiling"
        if not unpriced and any(bucket.measure == "money" for bucket in (*buckets, *target.buckets)):
            return "its price is unknown, and a budget of money cannot cover it"
    elif worst.nanos > ceiling:
        cost, most = (dollars(nanos).normalize() for nanos in (worst.nanos, int(ceiling)))
        return f"it may cost ${cost:f}, above the ceiling of ${most:f}"
    return None
