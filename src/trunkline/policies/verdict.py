"""Verdict: what to do after a failure.

A pure function of the error, what has been tried and the clock. It joins `retry` (here again, when) and `fallback`
(somebody else, whom); the loop only carries it out.
"""

from __future__ import annotations

from msgspec import Struct

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.routes import Entry, Route, Target
from trunkline.vocabulary.rules import Backoff

from .fallback import chain, may_move, moves_on, of_the_model
from .retry import delay_before_retry, most_of_kind


class Tally(dict[str, int]):
    """How often something was; made in a fifth of a `Counter`'s time, and two are made for each call."""

    def __missing__(self, name: str) -> int:
        return 0


class Tried:
    """What a call has tried so far, and what it may still try."""

    __slots__ = ("causes", "deadline", "failures", "kinds", "left", "out")

    def __init__(self, retries: int, deadline: float | None) -> None:
        self.causes: list[TrunklineError] = []
        self.left = retries
        """How often it may still ask where it has asked before."""
        self.deadline = deadline
        self.failures = Tally()
        """By target: how often it failed."""
        self.kinds = Tally()
        """By kind of error (`kind_at`): how many retries it has used."""
        self.out: dict[str, str] = {}
        """Targets that are not asked again in this call, and why."""

    def may_ask_again(self, target: Target) -> bool:
        """Whether there is a retry left for a target that has failed."""
        return self.left > 0 if target.retries is None else self.failures[target.name] <= target.retries

    def ask_again(self, target: Target) -> None:
        """A retry is used."""
        if target.retries is None:
            self.left -= 1

    def note(self, error: TrunklineError, target: Target) -> None:
        """A target failed."""
        self.causes.append(error)
        self.failures[target.name] += 1


def kind_at(error: TrunklineError, target: Target) -> str:
    """What retries of a kind are counted under: by the call, or by the target that has a backoff of its own."""
    return error.kind if target.backoff is None else f"{target.name}: {error.kind}"


class Again(Struct, frozen=True):
    """The same target may be asked again, after so many seconds."""

    after: float


class NextTarget(Struct, frozen=True):
    """Not here again: whoever is left."""

    same_model: bool = True
    """Whether the same model at another target is worth asking."""


class NextEntry(Struct, frozen=True):
    """On to these entries, and no others."""

    entries: tuple[Entry, ...]


class Raise(Struct, frozen=True):
    """Nobody can do better."""


Verdict = Again | NextTarget | NextEntry | Raise

_NEXT, _OTHER_MODEL, _RAISE = NextTarget(), NextTarget(same_model=False), Raise()


def verdict(error: TrunklineError, target: Target, tried: Tried, route: Route, backoff: Backoff, now: float) -> Verdict:
    """What to do after `target` failed with `error`; `tried` counts this failure already."""
    if not may_move(error):
        return _NEXT if moves_on(error, backoff) else _RAISE
    if special := tuple(chain(error, route)):
        return NextEntry(special)
    if of_the_model(error):
        return _OTHER_MODEL
    delay = delay_before_retry(error, tried.failures[target.name], backoff)
    if delay is None or (tried.deadline is not None and now + delay >= tried.deadline):
        return _NEXT
    most = most_of_kind(error, backoff)
    if most is not None and tried.kinds[kind_at(error, target)] >= most:
        return _NEXT
    return Again(delay)
