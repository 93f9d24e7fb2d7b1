"""Means: what the attempt loop works with.

Owns nothing: all of it is borrowed from the snapshot and the runtime. The loop itself holds nothing between calls.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.models.cost import Tariff
from trunkline.state.figures import Board
from trunkline.state.lines import Lines
from trunkline.vocabulary.buckets import Buckets, State
from trunkline.vocabulary.calls import Call, Clock
from trunkline.vocabulary.routes import Route, Target

from .limits import Price


class Means(Struct, frozen=True, kw_only=True):
    """What the loop works with."""

    route_of: Callable[[Call], Route]
    """What stands behind a call's name and its fallbacks."""
    buckets_of: Callable[[Call, Route], Buckets]
    """What a call draws on, whoever is asked: the limits and budgets of its payer, his owner and its route."""
    price: Price
    tariff: Callable[[Target], Tariff]
    priced: Callable[[Target], str | None]
    """The day of a target's price."""
    state: State
    board: Board
    lines: Lines
    clock: Clock
    unpriced: bool = False
    """Targets without a price may be asked though a budget of money holds."""
    queue_length: int = 100
    """How many calls may wait for a target's slot."""
    queue_seconds: float = 30.0
    """How long a call may wait for a target's limits."""
