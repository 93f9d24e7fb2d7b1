"""Pinning: a call that refers to what lives at a provider goes where that was made.

Owns what a call is bound to, and who may still be asked then. A stored conversation is nowhere else, so nobody else is
asked. Sealed reasoning is read by the account alone that made it; another provider gets the conversation without it, as
every conversation that moves.
"""

from __future__ import annotations

from itertools import islice

from msgspec import Struct

from trunkline.state.figures import Board
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.routes import Route, Target
from trunkline.wire.grammar.references import sealed_in, stored_in

LOOKED_AT = 8
"""So many names of sealed reasoning are looked up, the latest first."""


class Pin(Struct, frozen=True):
    """Where a call belongs."""

    origin: Target
    to: str
    """The name of what it refers to."""
    firm: bool
    """Nobody else can answer it."""

    def allows(self, target: Target) -> bool:
        """Whether a target can make sense of the call."""
        return target.name == self.origin.name or (not self.firm and target.provider != self.origin.provider)


def pin_of(call: Call, route: Route, board: Board) -> Pin | None:
    """Where a call belongs; None where it may go anywhere, or where nobody here knows. Not worth asking where
    the board knows of no origins at all."""
    words = call.words
    stored = stored_in(call.rules.extra_body) or (stored_in(words.fields) if words is not None else None)
    if stored is not None:
        return _pin(stored, route, board, firm=True)
    sealed = islice(sealed_in(words), LOOKED_AT) if words is not None else ()
    return next((pin for name in sealed if (pin := _pin(name, route, board, firm=False)) is not None), None)


def _pin(name: str, route: Route, board: Board, *, firm: bool) -> Pin | None:
    origin = board.origins.get(name)
    for entry in route.pools:
        for member in entry.members:
            if member.target.name == origin:
                return Pin(member.target, name, firm)
    return None
