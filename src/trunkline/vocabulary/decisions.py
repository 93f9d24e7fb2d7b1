"""Decisions: what was tried for a call, and how its target was found.

Owns the shapes of the record that says so, the same for a library's reply, the gateway's headers, the log and
`trunkline explain`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from .usage import Cost, Usage

OutcomeKind = Literal["finished", "cut", "cancelled", "error"]
"""How an attempt, an answer or a call ended."""


class Attempt(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One try at one target: what it cost in time and money, and why it failed."""

    id: str
    target: str
    provider: str | None = None
    started: float
    """Seconds since 1970."""
    seconds: float | None = None
    """Until it failed, or until its answer had ended."""
    waited: float = 0.0
    """Seconds that the call waited before it: for a limit, or because a retry is not made at once."""
    first_content: float | None = None
    """Seconds from its start to the first content of a stream."""
    outcome: OutcomeKind | None = None
    """None while it is under way."""
    error: str | None = None
    """The kind of its error; None for the attempt that answered."""
    status: int | None = None
    finish: str | None = None
    request_id: str | None = None
    hedge: bool = False
    """It was sent because an earlier one was slow."""
    usage: Usage | None = None
    tier: str | None = None
    cost: Cost | None = None
    """US dollars; None where usage or price are unknown."""
    priced: str | None = None
    """The day of the price."""


class Considered(Struct, omit_defaults=True, gc=False):
    """A target that a call might have gone to."""

    target: str
    entry: str
    why: str | None = None
    """Why it was not asked when its turn came; None where it was a candidate."""
    score: float | None = None
    """What its strategy compares, the least first."""
    tokens: int | None = None
    """Tokens that would be reserved for it; only in what `explain` says."""
    cost: Cost | None = None
    """US dollars that would be reserved; None where the price is unknown."""
    most: Cost | None = None
    """US dollars that it can cost at the most; None where nobody knows. By what it is beyond `cost`, each call that is
    under way may overspend a budget."""


class Decision(Struct, omit_defaults=True, kw_only=True):
    """How a call found its target: the same in `reply.route`, the gateway's header, the log and `trunkline explain`."""

    route: str
    strategy: str
    """That of the entry which was chosen from last."""
    considered: list[Considered] = field(default_factory=list[Considered])
    because: str | None = None
    """What the strategy saw in the request (its complexity, its prefix, its pin)."""
    waited: float = 0.0
    """Seconds that the call waited for limits and before retries."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    """What was tried, in order."""
    cached: bool = False
    """The answer came from the cache: nobody was asked."""

    @property
    def cost(self) -> Cost | None:
        """US dollars of all attempts together; None where one's is unknown."""
        known = [attempt.cost for attempt in self.attempts if attempt.usage is not None]
        return sum((cost for cost in known if cost is not None), Decimal(0)) if None not in known else None
