"""Choice: whom of a route a call may ask now, in which order, and why not the others.

Owns the view of one call on its route: who is out, who waits for what, and the decision record that says so. Reserves
and asks nobody: `explain` shows its answer without a call being made.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.vocabulary.buckets import nanos
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.decisions import Considered, Decision
from trunkline.vocabulary.routes import Entry, Member, Route, Target

from . import storm
from .candidates import by_tags, out_of_bounds
from .limits import Worst, worst
from .means import Means
from .pinning import Pin, pin_of
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
        "_ceiling",
        "_considered",
        "_means",
        "_original",
        "_pin",
        "_size",
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
        self.buckets = means.buckets_of(call, self.route)
        """What the call itself draws on, whoever is asked."""
        self.tried = Tried(call.rules.retries or 0, call.deadline)
        self.ready: dict[str, float] = {}
        """By target: when it may be asked (again), where that is not now."""
        self.why: dict[str, str] = {}
        """By target: what kept it from being asked."""
        self._pin = pin_of(call, self.route, means.board) if self.route.several and means.board.origins else None
        self._ceiling = self.route.ceiling
        """Nano-dollars that the call may cost."""
        if (own := call.rules.max_cost) is not None:
            self._ceiling = min(nanos(own), self._ceiling)
        self._wanted = self.route.sized or bool(self.buckets) or call.rules.max_cost is not None
        """Whether somebody wants to know how much is asked."""
        self._size: Size | None = None
        self._considered: list[Considered] = []

    # -- who may be asked ----------------------------------------------------------------------------------------------

    def open(self, entry: Entry, *, last: bool) -> list[Standing]:
        """Those of an entry who may be asked, now or after a wait. `last`: there is no other entry, so that somebody is
        asked though all of them rest."""
        rules = self._call.rules
        if rules.attempts is not None and len(self._call.attempts) >= rules.attempts:
            return []
        members = entry.members
        if rules.tags or entry.tagged:
            members, why = by_tags(members, rules.tags)
            self.why.update({out.target.name: why for out in entry.members if out not in members})
        if self._pin is not None:
            members = self._bound(members, self._pin)
        found = self._found(members, entry)
        if not self._means.state.rests:
            return found
        well = [standing for standing in found if not self._rests(standing)]
        if well or not found or not last or self.tried.causes:
            return well
        return [min(found, key=lambda standing: self._means.state.resting(standing.target.id))]

    def only(self) -> tuple[Standing, None] | None:
        """The one target of a route without limits, for a first attempt: there is nothing to choose, and nobody else to
        spare it for. None where there is more to it."""
        member, rules = self.route.only, self._call.rules
        if member is None or self.buckets or self.tried.causes or rules.max_cost is not None or rules.attempts == 0:
            return None
        return Standing(member, member.target, self._means.board[member.target.id], None), None

    def now(self, candidates: list[Standing], entry: Entry) -> list[Standing]:
        """Those of them whom to ask at once, in the order of the entry's strategy: who was not asked yet, if any."""
        now, failures = self._means.clock.now(), self.tried.failures
        ready = candidates
        if self.ready:
            ready = [standing for standing in ready if self.ready.get(standing.target.name, 0.0) <= now]
        if failures:
            ready = [standing for standing in ready if not failures[standing.target.name]] or ready
        if len(ready) < 2:
            return ready
        sight = Sight(self._call, entry, self._means.board, now)
        ready = STRATEGIES[entry.strategy](ready, sight)
        if (pin := self._pin) is not None:
            ready.sort(key=lambda one: one.target.name != pin.origin.name)
            sight.because = f"{pin.origin.name} made {pin.to}"
        name = entry.name
        self._considered = [Considered(one.target.name, name, None, one.score) for one in ready]
        because, before = sight.because, self._original.decision
        decision = Decision(
            route=self.route.name, strategy=entry.strategy, because=because, considered=self._considered
        )
        if before is not None:
            decision.waited, decision.cached = before.waited, before.cached
        self._original.decision = decision
        return ready

    def busy(self, target: Target, after: float | None, why: str) -> None:
        """A target cannot be asked now; `after`: in so many seconds; None: when a slot is free."""
        self.ready[target.name] = NEVER if after is None else self._means.clock.now() + after
        self.why[target.name] = why

    def _found(self, members: Sequence[Member], entry: Entry) -> list[Standing]:
        """The members that are not out, as candidates."""
        tried, board = self.tried, self._means.board
        size = self._size
        if size is None and self._wanted:
            size = self._size = size_of(self._call)
        if tried.causes or tried.out:
            members = [member for member in members if not self._is_out(member.target)]
        needed: Worst | None = None
        found: list[Standing] = []
        for alike in (members,) if size is None or (entry.alike and size.most is not None) else zip(members):
            if size is not None and alike:
                target = alike[0].target
                needed = worst(size, target, self._means.tariff(target), board[target.id].outputs)
                if needed.nanos is None or needed.nanos > self._ceiling:
                    why = out_of_bounds(target, needed, self._ceiling, self.buckets, unpriced=self._means.unpriced)
                    if why is not None:
                        self.why.update({member.target.name: why for member in alike})
                        continue
            found += [Standing(one, target := one.target, board[target.id], needed) for one in alike]
        return found

    def _is_out(self, target: Target) -> bool:
        """Whether the call is done with a target."""
        tried = self.tried
        if target.name in tried.out:
            return True
        return bool(tried.failures[target.name]) and (not tried.may_ask_again(target) or self._is_storming(target))

    def _bound(self, members: Sequence[Member], pin: Pin) -> list[Member]:
        """Those who can make sense of what the call refers to."""
        able = [member for member in members if pin.allows(member.target)]
        for member in members:
            if member not in able:
                self.why[member.target.name] = f"{pin.to} was made by {pin.origin.name}"
        return able

    def _is_storming(self, target: Target) -> bool:
        if storm.may_retry(self._means.board[target.id], self._means.clock.now()):
            return False
        self.why[target.name] = "it is down for everyone and has had its share of retries"
        return True

    def _rests(self, standing: Standing) -> bool:
        """Whether others have found that a target, which this call has not asked yet, should be left alone."""
        name = standing.target.name
        if (rest := self._means.state.resting(standing.target.id)) <= 0 or self.tried.failures[name]:
            return False
        self.why[name] = f"it rests after failures, for {rest:.1f} s more"
        return True

    # -- how much it takes ---------------------------------------------------------------------------------------------

    @property
    def measured(self) -> Size:
        """About how much is asked."""
        if self._size is None:
            self._size = size_of(self._call)
        return self._size

    def asking(self, call: Call) -> None:
        """The call asks something else from here on."""
        self._call = call
        self._size = None

    # -- what is told --------------------------------------------------------------------------------------------------

    def decided(self, waited: float) -> Decision:
        """The decision record: who was a candidate when the last choice was made, and what kept the others out."""
        decision = self._original.decision
        if decision is None:
            first = self.route.entries[0]
            decision = self._original.decision = Decision(route=self.route.name, strategy=first.strategy)
        named = {one.target for one in self._considered}
        entries = {member.target.name: entry.name for entry in self.route.entries for member in entry.members}
        left_out = [Considered(name, entries.get(name, ""), why) for name, why in self.why.items() if name not in named]
        decision.considered = [*self._considered, *left_out]
        decision.waited += waited
        return decision


def explain(call: Call, means: Means) -> Decision:
    """How a call would find its target now, asking nobody."""
    choice = Choice(call, means)
    entries = list(choice.route.entries)
    told: list[Considered] = []
    for at, entry in enumerate(entries):
        ready = choice.now(choice.open(entry, last=at + 1 == len(entries)), entry)
        told += [_reckoned(call, one, entry, means) for one in ready]
    decision = choice.decided(0.0)
    named = {one.target for one in told}
    decision.considered = [*told, *(one for one in decision.considered if one.target not in named)]
    return decision


def _reckoned(call: Call, standing: Standing, entry: Entry, means: Means) -> Considered:
    """A candidate, with what would be reserved for it and what it can cost at the most."""
    target, size, tariff = standing.target, size_of(call), means.tariff(standing.target)
    reserved, most = worst(size, target, tariff, standing.figures.outputs), worst(size, target, tariff, None)
    return Considered(
        target=target.name,
        entry=entry.name,
        score=standing.score,
        tokens=reserved.tokens,
        cost=reserved.money,
        most=most.money if size.most is not None or tariff.max_output is not None else None,
    )
