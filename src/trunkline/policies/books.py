"""Books: one attempt as it is recorded, settled and counted.

Owns what an attempt leaves behind, however it ends: its record, what it gives back of its reservation, what its
target's figures and the breaker learn of it. Each is closed exactly once.
"""

from __future__ import annotations

from trunkline.vocabulary.buckets import Granted, Used, nanos
from trunkline.vocabulary.calls import Answer, Outcome
from trunkline.vocabulary.decisions import Attempt
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.usage import Usage

from . import adapt, storm
from .breaker import rest_after, speaks_against
from .choice import Choice
from .means import Means
from .standing import Standing


class Totals:
    """What a call's attempts have used so far; None: nothing has reached a provider."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used: Used | None = None


class Books:
    """One attempt, from its beginning to its end."""

    __slots__ = ("_attempt", "_began", "_choice", "_counts", "_granted", "_means", "_standing", "_totals")

    def __init__(
        self,
        means: Means,
        attempt: Attempt,
        standing: Standing,
        granted: Granted | None,
        totals: Totals,
        choice: Choice,
    ) -> None:
        self._means = means
        self._attempt = attempt
        self._standing = standing
        self._granted = granted
        self._totals = totals
        self._choice = choice
        self._counts = granted is not None or bool(choice.buckets)
        """Somebody wants to know what it used."""
        self._began = means.clock.now()
        standing.figures.in_flight += 1

    def failed(self, error: TrunklineError) -> None:
        """It ended before there was an answer."""
        attempt = self._attempt
        attempt.outcome, attempt.error = "error", error.kind
        attempt.status, attempt.request_id = error.status, error.request_id
        self._against(error)
        self._close(Used() if error.sent else None)

    def cancelled(self) -> None:
        """Nobody wanted it any more: its caller left, or its rival was faster. It was probably sent, and is billed."""
        attempt, target = self._attempt, self._standing.target
        attempt.outcome = attempt.error = "cancelled"
        attempt.usage = Usage(input=self._choice.measured.prompt(target.model), estimated=True)
        attempt.cost = self._means.price(target, attempt.usage, None)
        self._forgo()
        self._close(self._used())

    def answered(self, answer: Answer) -> None:
        """Its answer is whole, or its stream has begun."""
        means, figures, target = self._means, self._standing.figures, self._standing.target
        now = means.clock.now()
        seconds = now - self._began
        if answer.streams:
            self._attempt.first_content = seconds
        if figures.in_a_row or self._probes:
            means.state.recover(target.id)
        figures.succeeded(now, seconds)
        if figures.allowance is not None:
            storm.succeeded(figures)
        if answer.headers and (target.adaptive or self._choice.route.learns):
            adapt.learn(figures, answer.headers, now, means.clock.wall())
        answer.on_end(self._ended)

    def _ended(self, answer: Answer, outcome: Outcome) -> None:
        attempt, figures = self._attempt, self._standing.figures
        attempt.outcome, attempt.finish, attempt.tier = outcome.kind, outcome.finish, outcome.tier
        attempt.request_id, attempt.usage, attempt.cost = answer.request_id, outcome.usage, answer.cost
        if outcome.error is not None:
            attempt.error, attempt.status = outcome.error.kind, outcome.error.status
            self._against(outcome.error)
        elif outcome.kind == "finished":
            if self._standing.target.adaptive:
                adapt.answered(figures)
            if outcome.usage is not None:
                figures.outputs.add(outcome.usage.completion_tokens)
        self._close(self._used() if self._counts else None)

    @property
    def _probes(self) -> bool:
        return self._granted is not None and self._granted.probe

    def _used(self) -> Used:
        """What it used; what was reserved, where nobody says."""
        attempt = self._attempt
        if attempt.usage is None:
            return self._standing.worst.used if self._standing.worst is not None else Used()
        return Used(attempt.usage.total_tokens, nanos(attempt.cost) if attempt.cost is not None else 0)

    def _against(self, error: TrunklineError) -> None:
        """What a failure tells of its target."""
        means, target, figures = self._means, self._standing.target, self._standing.figures
        if not speaks_against(error):
            self._forgo()
            return
        now = means.clock.now()
        figures.failed(now, now - self._began)
        if target.adaptive:
            adapt.refused(figures, error, now)
        rest = rest_after(error, figures, now)
        if rest > 0:
            figures.rests += 1
            means.state.rest(target.id, rest)
        else:
            self._forgo()

    def _forgo(self) -> None:
        if self._probes:
            self._means.state.forgo(self._standing.target.id)

    def _close(self, used: Used | None) -> None:
        means, target = self._means, self._standing.target
        now = means.clock.now()
        attempt = self._attempt
        attempt.seconds = now - self._began
        if attempt.cost is not None:
            attempt.priced = means.priced(target)
        self._standing.figures.in_flight -= 1
        if used is not None:
            before = self._totals.used
            whole = used if before is None else Used(before.tokens + used.tokens, before.money + used.money)
            self._totals.used = whole
            self._standing.figures.tokens.add(used.tokens, now)
        if self._granted is not None and target.buckets:
            means.state.settle(self._granted.reservations[-1], used)  # those before it are the call's
        means.lines.step(target.id)
