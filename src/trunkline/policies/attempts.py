"""Attempts: the one loop that decides who is asked, and again, and who then.

Owns the order of attempts for library and gateway, for every dialect, streamed or not. The decisions are `retry` and
`fallback`. The step below answers a stream only when its first content is in hand, so whatever it raises is raised
before the caller has seen anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline.vocabulary.calls import Answer, Attempt, Call, Clock, Policy, Step, Target
from trunkline.vocabulary.errors import AllTargetsFailed, TrunklineError

from .fallback import may_move
from .retry import delay_before_retry

TargetsOf = Callable[[Call], Sequence[Target]]
"""The targets that a call may be sent to, the preferred one first."""


def attempts(targets_of: TargetsOf, clock: Clock) -> Policy:
    """Ask the call's targets in order, each again while its errors are transient and retries are left."""

    def policy(step: Step) -> Step:
        async def run(call: Call) -> Answer:
            causes: list[TrunklineError] = []
            for target in targets_of(call):
                call.target = target
                try:
                    return await _ask(step, call, clock)
                except TrunklineError as error:
                    causes.append(error)
                    if not may_move(error):
                        break
            raise causes[0] if len(causes) == 1 else AllTargetsFailed(causes)

        return run

    return policy


async def _ask(step: Step, call: Call, clock: Clock) -> Answer:
    """One target, with its retries."""
    failed = 0
    while True:
        try:
            return await _attempt(step, call, clock)
        except TrunklineError as error:
            failed += 1
            if failed > (call.rules.retries or 0):
                raise
            remaining = None if call.deadline is None else call.deadline - clock.now()
            delay = delay_before_retry(error, failed, remaining)
            if delay is None:
                raise
        await clock.sleep(delay)


async def _attempt(step: Step, call: Call, clock: Clock) -> Answer:
    """One try, noted in the call whatever happens."""
    attempt = Attempt(id=f"{call.id}-{len(call.attempts) + 1}", target=call.target.name, started=clock.wall())
    call.attempts.append(attempt)
    began = clock.now()
    try:
        answer = await step(call)
    except TrunklineError as error:
        attempt.error, attempt.status, attempt.request_id = error.kind, error.status, error.request_id
        raise
    except BaseException:
        attempt.error = "cancelled"
        raise
    finally:
        attempt.seconds = clock.now() - began
    attempt.request_id = answer.request_id
    return answer
