"""Attempts: the one loop that decides who is asked, and again, and who then.

Owns the order of attempts for library and gateway, for every dialect, streamed or not. What it carries out is decided
elsewhere: whom to ask by `choice`, what a failure means by `verdict`, what an attempt leaves behind by `books`. The
step below answers a stream only when its first content is in hand, so whatever it raises is raised before the caller
has seen anything.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from copy import copy
from typing import Any

from trunkline.state.lines import Ticket
from trunkline.vocabulary.buckets import Amounts, Claim, Granted, Refusal, Reservation, Used
from trunkline.vocabulary.calls import Answer, Call, Outcome, Policy, Step
from trunkline.vocabulary.decisions import Attempt
from trunkline.vocabulary.errors import (
    AllTargetsFailed,
    BudgetError,
    ContentPolicyError,
    ContextWindowError,
    LimitError,
    ResponseParseError,
    TrunklineError,
)
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.routes import Entry, Route, Target
from trunkline.vocabulary.rules import Backoff, Check

from . import adapt, storm
from .books import Books, Totals
from .choice import NEVER, Choice
from .hedge import delay_before_hedge, may_hedge
from .limits import more, refused
from .means import Means
from .race import raced
from .standing import Standing
from .truncate import shorter
from .verdict import Again, NextEntry, NextTarget, Raise, kind_at, verdict

BACKOFF = Backoff()
GIVEN_BACK_SECONDS = 0.25
"""Attempts under way may use less than was reserved for them: it is looked again so soon."""

_Chosen = tuple[Standing, Granted | None]
"""Whom to ask, and what was reserved for it; None: nothing had to be."""


def attempts(means: Means) -> Policy:
    """Ask the targets of the call's route until one answers, within its retries, its attempts and its deadline."""

    def policy(step: Step) -> Step:
        return lambda call: _Course(call, step, means).run()

    return policy


class _Course:
    """The course of one call through its route."""

    __slots__ = (
        "_call",
        "_chained",
        "_choice",
        "_clock",
        "_entries",
        "_held",
        "_means",
        "_original",
        "_step",
        "_ticket",
        "_totals",
        "_waited",
        "_waiting",
    )

    def __init__(self, call: Call, step: Step, means: Means) -> None:
        self._original = call
        self._call = call
        """What is asked now: the original, or a shorter one."""
        self._step = step
        self._means = means
        self._clock = means.clock
        self._choice = Choice(call, means)
        self._entries: list[Entry] = list(self._choice.route.entries)
        """Those that are still to come."""
        self._chained: set[str] = set()
        """Kinds of errors whose own chain has been entered."""
        self._held: list[Reservation] = []
        """What the call itself holds, beside its attempts."""
        self._totals = Totals()
        self._ticket: Ticket | None = None
        self._waiting = 0.0
        """Seconds waited since the last attempt."""
        self._waited = 0.0

    async def run(self) -> Answer:
        """Answer the call, and settle what it holds when the answer has ended."""
        try:
            answer = await self._answered()
        except BaseException:
            self._settle()
            raise
        finally:
            if self._ticket is not None:
                self._leave_line(self._ticket, served=False)
            if self._choice.why or self._waited:
                self._choice.decided(self._waited)
        if self._held or self._choice.route.several:
            answer.on_end(self._ended)
        return answer

    async def _answered(self) -> Answer:
        while self._entries:
            entry = self._entries.pop(0)
            while (chosen := self._choice.only() or await self._now(entry) or await self._later(entry)) is not None:
                try:
                    return await self._asked(*chosen, entry)
                except TrunklineError as error:
                    if not self._goes_on(error, self._call.target):
                        break
        raise self._failure()

    # -- whom to ask ---------------------------------------------------------------------------------------------------

    def _now(self, entry: Entry) -> Coroutine[Any, Any, _Chosen | None]:
        """Whom of an entry to ask at once, with what was reserved for it; None: nobody of it."""
        return self._granted(self._choice.open(entry, last=not self._entries), entry)

    async def _later(self, entry: Entry) -> _Chosen | None:
        """The same after a wait, where that is worth it."""
        patience = self._clock.now() + self._means.queue_seconds
        chosen: _Chosen | None = None
        while chosen is None:
            candidates = self._choice.open(entry, last=not self._entries)
            until = self._until(candidates, patience)
            if until is None:
                break
            await self._wait(candidates, until)
            chosen = await self._now(entry)
        if self._ticket is not None:
            self._leave_line(self._ticket, served=chosen is not None)
        return chosen

    async def _granted(self, candidates: list[Standing], entry: Entry) -> _Chosen | None:
        """The first of those who are ready for whom everything could be reserved."""
        alone, choice, lines = len(candidates) == 1 and not self._entries, self._choice, self._means.lines
        for _ in range(2):  # where all that were not asked yet are busy, those that were may be asked again
            for standing in choice.now(candidates, entry):
                target = standing.target
                if lines.waiting and lines.before(self._ticket, target.id):
                    choice.busy(target, None, "others wait for it already")
                    continue
                if target.adaptive and adapt.is_full(standing.figures):
                    choice.busy(target, None, "it has as many attempts under way as it is known to bear")
                    continue
                claims = self._claims(standing)
                if alone and not claims:
                    return standing, None
                granted = await self._means.state.reserve(*claims, target=None if alone else target.id)
                whole = len(claims) > bool(target.buckets)  # the first claim is the call's
                if isinstance(granted, Refusal):
                    self._refused(target, granted, own=whole and granted.claim == 0 and granted.bucket is not None)
                    continue
                if whole:
                    self._held.append(granted.reservations[0])
                return standing, granted
        return None

    def _claims(self, standing: Standing) -> tuple[Claim, ...]:
        """What the call claims for itself (with its first attempt, or one that may use more), then the attempt's
        own."""
        buckets, own, needed = self._choice.buckets, standing.target.buckets, standing.worst
        if needed is None:
            return ()
        amounts: Amounts = {"requests": 1, "slots": 1, "tokens": needed.tokens, "money": needed.nanos or 0}
        mine = (Claim(own, amounts),) if own else ()
        if not buckets:
            return mine
        whole = more(buckets, needed, self._held) if self._held else Claim(buckets, amounts)
        return (whole, *mine) if whole is not None else mine

    def _refused(self, target: Target, refusal: Refusal, *, own: bool) -> None:
        """A target has to wait. Raises where a bucket of the caller's `own` is used up."""
        if own or refusal.why == "unreachable":
            raise refused(refusal, self._call.rules.payer)
        bucket, choice = refusal.bucket, self._choice
        if bucket is None:
            why = "it rests after failures" if refusal.why == "resting" else "another call finds out whether it is well"
            choice.busy(target, refusal.retry_after or 1.0, why)
        elif bucket.measure == "slots":
            choice.busy(target, None, f"all {bucket.limit} slots of {bucket.name} are taken")
        elif refusal.retry_after is None:
            choice.why[target.name] = choice.tried.out[target.name] = (
                f"the call is larger than a limit of {bucket.name}"
            )
        else:
            after = refusal.retry_after
            if self._means.board[target.id].in_flight and bucket.measure != "requests":
                after = min(after, GIVEN_BACK_SECONDS)
            choice.busy(target, after, f"the {bucket.measure} of {bucket.name} are used up")

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _until(self, candidates: Sequence[Standing], patience: float) -> float | None:
        """Until when to wait for one of these; None where it is not worth it."""
        ready, failures, out = self._choice.ready, self._choice.tried.failures, self._choice.tried.out
        names = [name for standing in candidates if (name := standing.target.name) not in out]
        if not names:
            return None
        soonest = min(ready.get(name, 0.0) for name in names)
        retries = any(failures[name] for name in names)
        if not retries and self._entries:  # others can be asked at once
            return None
        limit = patience if not retries else NEVER
        if self._call.deadline is not None:
            limit = min(limit, self._call.deadline)
        if soonest == NEVER:
            return limit if self._clock.now() < limit else None
        return soonest if soonest < limit else None

    async def _wait(self, candidates: Sequence[Standing], until: float) -> None:
        began = self._clock.now()
        ready = self._choice.ready
        full = [one.target for one in candidates if ready.get(one.target.name) == NEVER]
        try:
            if not full:
                await self._clock.sleep(max(0.0, until - began))
                return
            await self._in_line([target.id for target in full]).wait(self._clock, until)
        finally:
            for target in full:
                ready.pop(target.name, None)
            waited = self._clock.now() - began
            self._waiting += waited
            self._waited += waited

    def _in_line(self, slots: Sequence[str]) -> Ticket:
        rules, most = self._call.rules, self._means.queue_length
        if self._ticket is None:
            self._ticket = self._means.lines.join(slots, rules.payer or "", rules.priority, most)
        if self._ticket is None:
            raise LimitError(f"{most} calls wait for {self._choice.route.name} already", code="queue_full")
        return self._ticket

    def _leave_line(self, ticket: Ticket, *, served: bool) -> None:
        self._means.lines.leave(ticket, served=served)
        self._ticket = None

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _asked(self, standing: Standing, granted: Granted | None, entry: Entry) -> Answer:
        """One attempt, or two in a race."""
        self._original.target = self._call.target = standing.target
        hedge = self._call.rules.hedge
        if hedge is not None:
            delay = delay_before_hedge(hedge, standing.figures)
            if delay is not None:
                first = self._attempt(self._call, standing, granted)
                answer = await raced(first, lambda: self._asked_beside(entry, standing), delay, self._clock)
                self._original.target = self._call.target = answer.target
                return answer
        return await self._attempt(self._call, standing, granted)

    async def _attempt(self, call: Call, standing: Standing, granted: Granted | None, *, hedge: bool = False) -> Answer:
        """One try, in the books whatever happens."""
        target, tried = standing.target, self._choice.tried
        attempt = Attempt(
            id=f"{call.id}-{len(call.attempts) + 1}",
            target=target.name,
            provider=target.provider,
            started=self._clock.wall(),
            waited=self._waiting,
            hedge=hedge,
        )
        self._waiting = 0.0
        call.attempts.append(attempt)
        if tried.failures and tried.failures[target.name]:
            tried.ask_again(target)
            storm.retried(standing.figures, self._clock.now())
        books = Books(self._means, attempt, standing, granted, self._totals, self._choice)
        try:
            answer = await self._step(call)
        except TrunklineError as error:
            books.failed(error)
            raise
        except BaseException:
            books.cancelled()
            raise
        books.answered(answer)
        if (outcome := answer.outcome) is not None:  # it is whole
            if outcome.finish == WITHHELD and not answer.passes:
                _let_nothing_pass_for_an_answer(answer, attempt)
            if call.rules.check is not None:
                _hold_to(call.rules.check, answer, attempt)
        return answer

    async def _asked_beside(self, entry: Entry, first: Standing) -> Answer | None:
        """Another attempt, beside the first; None where nobody else may be asked at once, or where it failed."""
        hedge, board, now = self._call.rules.hedge, self._means.board, self._clock.now()
        pool = [board[member.target.id] for member in entry.members]
        if hedge is None or not may_hedge(hedge, first.figures, pool, now):
            return None
        rival = await self._rival(entry, first)
        if rival is None:
            return None
        call = copy(self._call)
        call.target = rival[0].target
        first.figures.hedged.add(1, now)
        try:
            return await self._attempt(call, *rival, hedge=True)
        except TrunklineError as error:
            self._choice.tried.note(error, call.target)
            return None

    async def _rival(self, entry: Entry, first: Standing) -> _Chosen | None:
        """Another target of the entry that may be asked at once, beside the first."""
        others = [one for one in self._choice.open(entry, last=False) if one.target.name != first.target.name]
        return await self._granted(others, entry)

    # -- failing -------------------------------------------------------------------------------------------------------

    def _goes_on(self, error: TrunklineError, target: Target) -> bool:
        """Carry out the verdict on a failure: whether the entry is gone on with. Raises where nobody can do better."""
        choice = self._choice
        tried = choice.tried
        tried.note(error, target)
        route = choice.route if error.kind not in self._chained else _without_chains(choice.route)
        backoff = target.backoff or self._call.rules.backoff or BACKOFF
        judged = verdict(error, target, tried, route, backoff, self._clock.now())
        if isinstance(error, ContextWindowError) and not isinstance(judged, NextEntry) and self._shorten(target):
            judged = Again(0.0)
        match judged:
            case Again(after):
                tried.kinds[kind_at(error, target)] += 1
                choice.busy(target, after, f"it is asked again after {after:.1f} s")
            case NextTarget(same_model):
                tried.out[target.name] = choice.why[target.name] = error.kind
                if not same_model:
                    self._leave_out(target.model, error.kind)
            case NextEntry(entries):
                self._chained.add(error.kind)
                self._entries = list(entries)
                return False
            case Raise():
                raise error
        return True

    def _leave_out(self, model: str, why: str) -> None:
        """The same model fails in the same way elsewhere."""
        for entry in self._choice.route.entries:
            for member in entry.members:
                if member.target.model == model:
                    self._choice.tried.out[member.target.name] = self._choice.why[member.target.name] = why

    def _shorten(self, target: Target) -> bool:
        """Leave the oldest turns out, where that is asked for and there are some."""
        rules = self._call.rules
        if not (rules.truncate or rules.truncate_prompt) or self._call.operation != "chat":
            return False
        if not self._choice.tried.may_ask_again(target):
            return False
        request = shorter(self._call.request, prompt=bool(rules.truncate_prompt))
        if request is None:
            return False
        self._call = self._call.asking(request)
        self._choice.asking(self._call)
        return True

    def _failure(self) -> TrunklineError:
        """What the caller hears when nobody is left: the only target's own error, or those of all."""
        tried = self._choice.tried
        if not tried.causes:
            return self._nobody()
        if len(tried.failures) == 1:
            return tried.causes[-1]
        return AllTargetsFailed(tried.causes)

    def _nobody(self) -> TrunklineError:
        """Nobody could be asked at all."""
        choice, now = self._choice, self._clock.now()
        told = "; ".join(f"{name}: {why}" for name, why in choice.why.items()) or "it has none"
        if choice.why and all("budget of money" in why for why in choice.why.values()):
            return BudgetError(
                f"{told}. Name its price under 'prices', or say 'unpriced: allow'", code="unpriced_model"
            )
        waits = [when - now for when in choice.ready.values() if now < when < NEVER]
        return LimitError(
            f"no target of {choice.route.name} can be asked: {told}",
            code="no_target",
            retry_after=min(waits, default=None),
        )

    def _ended(self, answer: Answer, outcome: Outcome) -> None:
        """What the call held is settled; what lives on at the provider is asked for there again."""
        if self._held:
            self._settle()
        if self._choice.route.several:
            for name in outcome.made:
                self._means.board.remember(name, answer.target.name)

    def _settle(self) -> None:
        """The call is over: what its attempts used is what it used."""
        held, self._held, used = self._held, [], self._totals.used
        for reservation in held:
            self._means.state.settle(reservation, used)
            used = NOTHING if used is not None else None  # the first one has it all


NOTHING = Used()


WITHHELD = "content_filter"


def _let_nothing_pass_for_an_answer(answer: Answer, attempt: Attempt) -> None:
    """Raise that the provider has kept all of its answer to itself. It was paid for all the same."""
    reply: Reply = answer.whole()
    if reply.text or reply.tool_calls:
        return
    attempt.error = ContentPolicyError.kind
    target = answer.target
    raise ContentPolicyError(
        "the provider's policy withholds the answer",
        status=400,
        code=WITHHELD,
        provider=target.provider,
        model=target.model,
        request_id=answer.request_id,
    )


def _hold_to(check: Check, answer: Answer, attempt: Attempt) -> None:
    """Raise what is wrong with an answer. It was paid for all the same, and is in the books already."""
    why: str | None = check(answer.whole())
    if why is not None:
        attempt.error = ResponseParseError.kind
        target = answer.target
        raise ResponseParseError(
            why, code="unfit_answer", provider=target.provider, model=target.model, request_id=answer.request_id
        )


def _without_chains(route: Route) -> Route:
    return Route(name=route.name, entries=route.entries)
