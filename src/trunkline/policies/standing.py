"""Standing: a candidate, and what is known of it at the moment of choice.

Owns the shapes that strategies compare.
"""

from __future__ import annotations

from msgspec import Struct

from trunkline.state.figures import Board, Figures
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.routes import Entry, Member, Target

from .limits import Worst


class Standing(Struct, gc=False):
    """A candidate, and what is known of it now."""

    member: Member
    target: Target
    figures: Figures
    worst: Worst | None
    """What the call would use there at the worst; None where nobody needed to know."""
    score: float | None = None
    """What the strategy compared, the least first."""


class Sight(Struct, gc=False):
    """What a strategy sees beside the candidates."""

    call: Call
    entry: Entry
    board: Board
    now: float
    because: str | None = None
    """What it saw in the request, for the decision record."""
