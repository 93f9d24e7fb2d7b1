"""Choice: whom of a route a call may ask now, in which order, and why not the others.

Owns the view of one call on its route: who is out, who waits for what, and the decision record that says so. Reserves
and asks nobody: `explain` shows its answer without a call being made.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trunkline.vocabulary.buckets import Bucket
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.routes import Considered, Decision, Entry, Member, Route, Target

from . import storm
from .candidates import by_tags, out_of_bounds
from .limits import Worst, worst
from .means import Means
from .route import STRATEGIES
from .sizes import Size, size_of
from .standing import Sight, Standing
from .verdict import Tried

NEVER = float("inf")
"""The time at which a slot will be free: nobody knows."""


class Choice:
    """One call's view on its route."""

    __slots__ = (
        "_call",
        "_considered",
        "_means",
        "_original",
        "_sizes",
        "_wanted",
        "buckets",
        "ready",
        "route",
        "tried",
        "why",
    )

    def __init__(self, call: Call, means: Means) -> None:
        self._original = self._call = call
        self._means = means
        self.route: Route = means.route_of(call)
        self.buckets: Sequence[Bucket] = (*means.buckets_of(call), *self.route.buckets)
        """What the call itself draws on, whoever is asked."""
        self.tried = Tried(call.rules.retries or 0, call.deadline)
        self.ready: dict[str, float] = {}
        """By target: when it may be asked (again), where that is not now."""
        self.why: dict[str, str] = {}
        """By target: what kept it from being asked."""
        self._wanted = self._wants_sizes()
        self._sizes: dict[int, Size] = {}
        self._considered: list[Considered] = []

    # -- who may be asked ----------------------------------------------------------------------------------------------

    def open(self, entry: Entry, *, last: bool) -> list[Standing]:
        """Those of an entry who may be asked, now or after a wait. `last`: there is no other entry, so that somebody is
        asked though all of them rest."""
        rules = self._call.rules
        if rules.attempts is not None and len(self._call.attempts) >= rules.attempts:
            return []
        members = entry.members
        if rules.tags or any(member.target.tags for member in members):
            members, why = by_tags(members, rules.tags)
            self.why.update({out.target.name: why for out in entry.members if out not in members})
        found = [standing for member in members if (standing := self._standing(member)) is not None]
        well = [standing for standing in found if not self._rests(standing)]
        if well or not found or not last or self.tried.causes:
            return well
        return [min(found, key=lambda standing: self._means.state.resting(standing.target.name))]

    def now(self, candidates: Sequence[Standing], entry: Entry) -> list[Standing]:
        """Those of them whom to ask at once, in the order of the entry's strategy: who was not asked yet, if any."""
        now, failures = self._means.clock.now(), self.tried.failures
        ready = [standing for standing in candidates if self.ready.get(standing.target.name, 0.0) <= now]
        ready = [standing for standing in ready if not failures[standing.target.name]] or ready
        if len(ready) < 2:
            return ready
        sight = Sight(self._call, entry, self._means.board, now)
        ready = STRATEGIES[entry.strategy](ready, sight)
        decision = self._decision()
        decision.strategy, decision.because = entry.strategy, sight.because
        self._considered = [Considered(one.target.name, entry.name, None, one.score) for one in ready]
        return ready

    def busy(self, target: Target, after: float | None, why: str) -> None:
        """A target cannot be asked now; `after`: in so many seconds; None: when a slot is free."""
        self.ready[target.name] = NEVER if after is None else self._means.clock.now() + after
        self.why[target.name] = why

    def _standing(self, member: Member) -> Standing | None:
        """A member as a candidate; None where it is out."""
        target, tried = member.target, self.tried
        if target.name in tried.out:
            return None
        figures = self._means.board[target.name]
        if tried.failures[target.name] and (tried.left <= 0 or self._is_storming(target)):
            return None
        needed = self.worst(target)
        dearest = _least(self._call.rules.max_cost, self.route.max_cost)
        why = out_of_bounds(target, needed, dearest, self.buckets, unpriced=self._means.unpriced)
        if why is not None:
            self.why[target.name] = why
            return None
        return Standing(member, figures, needed)

    def _is_storming(self, target: Target) -> bool:
        if storm.may_retry(self._means.board[target.name], self._means.clock.now()):
            return False
        self.why[target.name] = "it is down for everyone and has had its share of retries"
        return True

    def _rests(self, standing: Standing) -> bool:
        """Whether others have found that a target, which this call has not asked yet, should be left alone."""
        name = standing.target.name
        if self.tried.failures[name] or (rest := self._means.state.resting(name)) <= 0:
            return False
        self.why[name] = f"it rests after failures, for {rest:.1f} s more"
        return True

    # -- how much it takes ---------------------------------------------------------------------------------------------

    def size(self, call: Call) -> Size | None:
        """About how much is asked; None where nobody wants to know."""
        if not self._wanted:
            return None
        if (size := self._sizes.get(id(call))) is None:
            size = self._sizes[id(call)] = size_of(call)
        return size

    def worst(self, target: Target) -> Worst | None:
        """What an attempt there may use; None where nobody wants to know."""
        size = self.size(self._call)
        if size is None:
            return None
        means = self._means
        p99 = means.board[target.name].outputs.quantile(0.99)
        return worst(size, target, means.price, p99=p99, max_output=means.max_output(target))

    def asking(self, call: Call) -> None:
        """The call asks something else from here on."""
        self._call = call

    def _wants_sizes(self) -> bool:
        route, rules = self.route, self._call.rules
        return bool(
            self.buckets
            or rules.max_cost is not None
            or rules.hedge is not None
            or route.max_cost is not None
            or any(
                entry.strategy == "lowest-cost" or any(member.target.buckets for member in entry.members)
                for entry in (*route.entries, *route.on_context_window, *route.on_content_policy)
            )
        )

    # -- what is told --------------------------------------------------------------------------------------------------

    def decided(self, waited: float) -> Decision:
        """The decision record: who was a candidate when the last choice was made, and what kept the others out."""
        decision = self._decision()
        named = {one.target for one in self._considered}
        entries = {member.target.name: entry.name for entry in self.route.entries for member in entry.members}
        left_out = [Considered(name, entries.get(name, ""), why) for name, why in self.why.items() if name not in named]
        decision.considered, decision.waited = [*self._considered, *left_out], waited
        return decision

    def _decision(self) -> Decision:
        if self._original.decision is None:
            self._original.decision = Decision(route=self.route.name, strategy=self.route.entries[0].strategy)
        return self._original.decision


def explain(call: Call, means: Means) -> Decision:
    """How a call would find its target now, asking nobody."""
    choice = Choice(call, means)
    entries = list(choice.route.entries)
    told: list[Considered] = []
    for at, entry in enumerate(entries):
        ready = choice.now(choice.open(entry, last=at + 1 == len(entries)), entry)
        told += [Considered(one.target.name, entry.name, None, one.score) for one in ready]
    decision = choice.decided(0.0)
    named = {one.target for one in told}
    decision.considered = [*told, *(one for one in decision.considered if one.target not in named)]
    return decision


def _least(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    said = [ceiling for ceiling in (one, other) if ceiling is not None]
    return min(said, default=None)
