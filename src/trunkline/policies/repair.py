"""Repair: an answer that has not the form that was asked for is asked for once more.

Owns when that is done, and that both answers are paid for. Only where nobody held the model to the form
(`Answer.unheld`); a stream has been read when its end is known, so it is never repaired.
"""

from __future__ import annotations

from msgspec.structs import replace

from trunkline.vocabulary.calls import Answer, Call, Step
from trunkline.vocabulary.errors import ResponseParseError, TrunklineError
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.tools import ResponseFormat
from trunkline.wire.grammar.structured import Complaint, complaint, mending


def repair(step: Step) -> Step:
    """Ask again, once, with the bad answer and what is wrong with it."""

    async def run(call: Call) -> Answer:
        answer = await step(call)
        form = answer.unheld
        if form is None or answer.streams or (wrong := complaint(answer.whole(), form)) is None:
            return answer
        return await _repaired(step, call, answer, form, wrong)

    return run


async def _repaired(step: Step, call: Call, first: Answer, form: ResponseFormat, wrong: Complaint) -> Answer:
    _blame(call)
    again = call.asking(mending(call.request, wrong))
    try:
        second = await step(again)
    except TrunklineError as error:
        unfit = _unfit(first, wrong)
        unfit.__cause__ = error
        first.fail(unfit)
        return first
    _bill(second, first)
    if (still := complaint(second.whole(), form)) is not None:
        _blame(call)
        second.fail(_unfit(second, still))
    return second


def _blame(call: Call) -> None:
    """Its last attempt did not answer what was asked."""
    if call.attempts:
        call.attempts[-1].error = ResponseParseError.kind


def _unfit(answer: Answer, wrong: Complaint) -> ResponseParseError:
    return ResponseParseError(
        f"the answer does not fit the response_format: {wrong.why}",
        status=502,
        code="unfit_answer",
        provider=answer.target.provider,
        model=answer.target.model,
        request_id=answer.request_id,
        body=answer.body,
    )


def _bill(second: Answer, first: Answer) -> None:
    """Both were paid for: usage and cost of the second are those of both; unknown where one of them is."""
    reply: Reply = second.whole()
    before: Reply = first.whole()
    reply.usage = reply.usage + before.usage if reply.usage is not None and before.usage is not None else None
    both = second.cost + first.cost if second.cost is not None and first.cost is not None else None
    reply.cost = second.cost = both
    if second.outcome is not None:
        second.outcome = replace(second.outcome, usage=reply.usage)
