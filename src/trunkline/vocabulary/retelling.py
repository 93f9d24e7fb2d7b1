"""Retelling: a whole reply as the events of a stream, for who wants one though the answer is there already.

The other direction of `replies.Accumulator`: what it gathers from these events is the reply again.
"""

from __future__ import annotations

from collections.abc import Iterator

from .events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Event,
    Finished,
    Noted,
    PartAdded,
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    UsageReported,
)
from .parts import AnyPart, Refusal, Text, Thinking, ToolCall
from .replies import Choice, Reply


def events_of(reply: Reply) -> list[Event]:
    """The events that tell a reply, choice by choice, each part in one piece."""
    extra = {**reply.extra, **({"service_tier": reply.service_tier} if reply.service_tier is not None else {})}
    events: list[Event] = [
        Started(id=reply.id, model=reply.model, created=reply.created, extra=extra, dialect=reply.dialect)
    ]
    for choice in reply.choices:
        events += _choice(choice)
    if reply.usage is not None:
        events.append(UsageReported(usage=reply.usage))
    events.append(Ended())
    return events


def _choice(choice: Choice) -> Iterator[Event]:
    at, calls = choice.index, 0
    logprobs = choice.logprobs
    for index, part in enumerate(choice.message.parts):
        yield from _part(part, index, calls, at, logprobs)
        if isinstance(part, Text | Refusal):
            logprobs = None  # those of all of them are with the first
        calls += isinstance(part, ToolCall)
    if choice.message.extra:
        yield Noted(extra=choice.message.extra, choice=at)
    yield Finished(
        finish=choice.finish or "stop",
        word=choice.word,
        stop_sequence=choice.stop_sequence,
        extra=choice.extra,
        choice=at,
    )


def _part(part: AnyPart, index: int, call: int, choice: int, logprobs: object) -> Iterator[Event]:
    match part:
        case Text():
            yield TextDelta(delta=part.text, index=index, logprobs=logprobs, extra=part.extra, choice=choice)
            for citation in part.citations:
                yield Cited(citation=citation, index=index, choice=choice)
        case Refusal():
            yield RefusalDelta(delta=part.text, index=index, logprobs=logprobs, choice=choice)
        case Thinking(redacted=None):
            yield ThinkingDelta(delta=part.text, index=index, extra=part.extra, choice=choice)
            if part.signature is not None and part.dialect is not None:
                yield ThinkingSigned(signature=part.signature, dialect=part.dialect, index=index, choice=choice)
        case ToolCall():
            yield ToolCallStarted(
                id=part.id,
                name=part.name,
                index=index,
                call=call,
                signature=part.signature,
                dialect=part.dialect,
                extra=part.extra,
                choice=choice,
            )
            yield ArgumentsDelta(delta=part.arguments, index=index, call=call, choice=choice)
        case _:
            yield PartAdded(part=part, index=index, choice=choice)
    yield PartEnded(index=index, extra=part.extra if isinstance(part, Refusal) else {}, choice=choice)
