"""Anthropic's token count: how many tokens a request would put in, without asking the model.

Its request is that of Messages without what concerns the answer (docs.anthropic.com/en/api/messages-count-tokens).
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

from . import anthropic_messages
from .anthropic_messages import error_from_wire, error_to_wire, words_to_wire
from .grammar.fields import unread

name: Literal["anthropic_tokens"] = "anthropic_tokens"
operation: Operation = "tokens"
path = "/messages/count_tokens"
addressed: tuple[str, ...] = ()
required = ("model", "messages")
says: Mapping[str, How] = anthropic_messages.says
glance = unread

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]

_COUNTED = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
    "context_management", "mcp_servers",
})  # fmt: skip
"""What the endpoint takes: settings of the answer are refused."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request, which is one of Messages."""
    return replace(anthropic_messages.request_from_wire(body), dialect=anthropic_messages.name)


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write the part of a request that is counted; what concerns the answer is no loss here."""
    asked = replace(request, settings=Settings(reasoning=request.settings.reasoning), stream=False)
    written = anthropic_messages.request_to_wire(asked, facts)
    body = {key: value for key, value in written.body.items() if key in _COUNTED}
    return Written(body, written.loss)


def reply_from_wire(body: Json) -> TokenCount:
    """Read a count."""
    count = body.get("input_tokens")
    if not isinstance(count, int):
        raise ResponseParseError("the provider's answer has no 'input_tokens'", dialect=name)
    extra = {key: value for key, value in body.items() if key != "input_tokens"}
    return TokenCount(input_tokens=count, extra=extra, dialect=name)


def reply_to_wire(reply: TokenCount) -> Json:
    """Write a count for a caller."""
    return {"input_tokens": reply.input_tokens, **(reply.extra if reply.dialect == name else {})}
