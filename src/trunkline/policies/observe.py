"""Observe: one Record for every call, whatever happens to it.

Owns when a record is written: when a whole answer is there, when a stream has ended, when the call failed or was
cancelled. Where it goes is the sinks' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trunkline.vocabulary.calls import Answer, Call, Clock, Outcome, OutcomeKind, Policy, Record, Sink, Step
from trunkline.vocabulary.errors import TrunklineError


def observe(sinks: Sequence[Sink], clock: Clock) -> Policy:
    """Tell every sink how every call ended."""

    def policy(step: Step) -> Step:
        if not sinks:
            return step

        def note(call: Call, outcome: Outcome, answer: Answer | None) -> None:
            record = _record(call, outcome, answer, clock)
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


def _record(call: Call, outcome: Outcome, answer: Answer | None, clock: Clock) -> Record:
    seconds = clock.now() - call.started
    error = outcome.error
    kind: OutcomeKind = outcome.kind
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
        outcome=kind,
        finish=outcome.finish,
        error=error.kind if error is not None else None,
        status=error.status if error is not None else None,
        usage=outcome.usage,
        tier=outcome.tier,
        cost=answer.cost if answer is not None else None,
        request_id=answer.request_id if answer is not None else error.request_id if error is not None else None,
        payer=call.rules.payer,
        tags=call.rules.tags,
        attempts=call.attempts,
    )
