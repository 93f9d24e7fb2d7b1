"""Estimating: tokens where nobody counts them: a provider without such a service, a stream that was cut off.

A rule of thumb, and marked as one: bytes, divided by how many of them make a token of the model's family.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from trunkline.models.tokens import estimate
from trunkline.vocabulary.calls import Answer, Call, Outcome
from trunkline.vocabulary.parts import AnyPart, Audio, File, Image, Text, Thinking, ToolCall, ToolResult
from trunkline.vocabulary.replies import TokenCount
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.tools import OpaqueTool
from trunkline.vocabulary.usage import Usage

A_MESSAGE = 4
"""Tokens that frame a message, whatever it says."""


def estimated(call: Call) -> Answer:
    """An answer that nobody was asked for."""
    target = call.target
    count = TokenCount(
        input_tokens=tokens_of(call.request, target.model),
        estimated=True,
        model=target.model,
        provider=target.provider,
        target=target.name,
    )
    answer = Answer(target=target, dialect="", headers={}, request_id=None, whole=lambda _: count)
    answer.end(Outcome(kind="finished"))
    return answer


def used_so_far(call: Call, target: Target, known: Usage | None, said: int) -> Usage:
    """What a stream used that did not come to its end: what its provider has told, the answer by its letters so far."""
    output = max(known.output if known is not None else 0, estimate(said, target.model))
    if known is not None and known.prompt_tokens:
        return replace(known, output=output, estimated=True)
    if call.words is not None:
        prompt = sum(estimate(bytes(value), target.model) for value in call.words.fields.values())
    else:
        prompt = tokens_of(call.request, target.model)
    return Usage(input=prompt, output=output, estimated=True)


def tokens_of(request: Request, model: str) -> int:
    """About how many tokens a request puts in: messages, media and tools."""
    total = 0
    for message in request.messages:
        total += A_MESSAGE + sum(_part(part, model) for part in message.parts)
    for tool in request.tools:
        said = tool.body if isinstance(tool, OpaqueTool) else [tool.name, tool.description, tool.parameters]
        total += estimate(msgspec.json.encode(said), model)
    if request.response_format is not None and request.response_format.schema is not None:
        total += estimate(msgspec.json.encode(request.response_format.schema), model)
    return total


def _part(part: AnyPart, model: str) -> int:
    match part:
        case Text() | Thinking():
            return estimate(part.text, model)
        case ToolCall():
            return estimate(part.name + part.arguments, model)
        case ToolResult():
            return sum(_part(inside, model) for inside in part.parts)
        case Image() | Audio() | File():
            return estimate(b'"data":"' + b"A" * 64 + b'"', model)  # what any attachment counts
        case _:
            return estimate(msgspec.json.encode(part), model)
