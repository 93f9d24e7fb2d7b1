"""OpenAI's token count: how many tokens a request would put in, without asking the model.

Its request is that of Responses without what concerns the answer
(platform.openai.com/docs/api-reference/responses/input-tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from trunkline.vocabulary.errors import ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Written
from trunkline.vocabulary.replies import TokenCount
from trunkline.vocabulary.requests import Operation, Request
from trunkline.vocabulary.settings import Settings

from . import openai_responses
from .grammar.fields import unread
from .openai_responses import error_from_wire, error_to_wire, words_to_wire

name: Literal["openai_tokens"] = "openai_tokens"
operation: Operation = "tokens"
path = "/responses/input_tokens"
addressed: tuple[str, ...] = ()
required = ("model",)
says: Mapping[str, How] = openai_responses.says
glance = unread

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]

_COUNTED = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "truncation", "conversation",
    "previous_response_id", "parallel_tool_calls",
})  # fmt: skip
"""What the endpoint takes."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request, which is one of Responses."""
    return openai_responses.request_from_wire({"input": [], **body})


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write the part of a request that is counted; what concerns the answer is no loss here."""
    said = request.settings
    asked = replace(request, settings=Settings(reasoning=said.reasoning, verbosity=said.verbosity), stream=False)
    written = openai_responses.request_to_wire(asked, facts)
    return Written({key: value for key, value in written.body.items() if key in _COUNTED}, written.loss)


def reply_from_wire(body: Json) -> TokenCount:
    """Read a count."""
    count = body.get("input_tokens")
    if not isinstance(count, int):
        raise ResponseParseError("the provider's answer has no 'input_tokens'", dialect=name)
    extra = {key: value for key, value in body.items() if key not in {"input_tokens", "object"}}
    return TokenCount(input_tokens=count, extra=extra, dialect=name)


def reply_to_wire(reply: TokenCount) -> Json:
    """Write a count for a caller."""
    extra = reply.extra if reply.dialect == name else {}
    return {"object": "response.input_tokens", "input_tokens": reply.input_tokens, **extra}
