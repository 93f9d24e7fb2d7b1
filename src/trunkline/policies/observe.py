"""Observe: one Record for every call, whatever happens to it.

Owns when a record is written: when a whole answer is there, when a stream has ended, when the call failed or was
cancelled. Where it goes is the sinks' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from trunkline.vocabulary.calls import Answer, Call, Clock, Outcome, Policy, Record, Sink, Step
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.usage import Cost


def observe(sinks: Sequence[Sink], clock: Clock, owner_of: Callable[[str | None], str | None]) -> Policy:
    """Tell every sink how every call ended. `owner_of`: whom a payer belongs to."""

    def policy(step: Step) -> Step:
        if not sinks:
            return step

        def note(call: Call, outcome: Outcome, answer: Answer | None) -> None:
            record = _record(call, outcome, answer, clock, owner_of(call.rules.payer))
            for sink in sinks:
                sink(record)

        async def run(call: Call) -> Answer:
            try:
                answer = await step(call)
            except TrunklineError as error:
                note(call, Outcome(kind="error", error=error), None)
                raise
            except asyncio.CancelledError:
                note(call, Outcome(kind="cancelled"), None)
                raise
            answer.on_end(lambda answer, outcome: note(call, outcome, answer))
            return answer

        return run

    return policy


def _record(call: Call, outcome: Outcome, answer: Answer | None, clock: Clock, owner: str | None) -> Record:
    seconds = clock.now() - call.started
    error, decision = outcome.error, call.decision
    target = answer.target if answer is not None else call.target
    return Record(
        id=call.id,
        at=clock.wall() - seconds,
        operation=call.operation,
        model=call.model,
        target=target.name,
        provider=target.provider,
        stream=call.stream,
        seconds=seconds,
        first_content=answer.first_content if answer is not None else None,
        outcome=outcome.kind,
        finish=outcome.finish,
        error=error.kind if error is not None else None,
        status=error.status if error is not None else None,
        usage=outcome.usage,
        tier=outcome.tier,
        cost=_cost(call, answer),
        request_id=answer.request_id if answer is not None else error.request_id if error is not None else None,
        payer=call.rules.payer,
        owner=owner,
        tags=call.rules.tags,
        route=call.route.name if call.route is not None else None,
        waited=decision.waited if decision is not None else 0.0,
        cached=decision is not None and decision.cached,
        loss=tuple([lost.field for lost in answer.loss]) if answer is not None and answer.loss else (),
        attempts=call.attempts,
    )


def _cost(call: Call, answer: Answer | None) -> Cost | None:
    """What all attempts cost together: losers of races and answers that were mended are paid for too."""
    if len(call.attempts) == 1 and answer is not None:
        return answer.cost
    if any(attempt.usage is not None for attempt in call.attempts):
        return call.decided.cost
    return answer.cost if answer is not None else None
