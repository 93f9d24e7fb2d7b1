"""Anthropic Messages: content in blocks, the system prompt beside the conversation, `max_tokens` always said.

`messages`, `request`, `reply`, `stream` and `errors` each hold both directions of what they are named after; `schema`
holds what the API takes of JSON Schema. Source: docs.anthropic.com/en/api/messages and …/messages-streaming.
"""

from typing import Literal

from trunkline.vocabulary.requests import Operation
from trunkline.wire.grammar.fields import words_to_wire

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .stream import broken, decoder, encoder, tap

name: Literal["anthropic_messages"] = "anthropic_messages"
operation: Operation = "chat"
path = stream_path = "/messages"
media_type = "text/event-stream"
addressed: tuple[str, ...] = ()
required = ("model", "messages", "max_tokens")

__all__ = [
    "addressed",
    "broken",
    "decoder",
    "encoder",
    "error_from_wire",
    "error_to_wire",
    "glance",
    "media_type",
    "name",
    "operation",
    "path",
    "reply_from_wire",
    "reply_to_wire",
    "request_from_wire",
    "request_to_wire",
    "required",
    "says",
    "stream_path",
    "tap",
    "words_to_wire",
]
