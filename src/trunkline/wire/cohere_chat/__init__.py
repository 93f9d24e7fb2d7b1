"""Cohere's chat (v2): plans before tools, reasoning among the content, sources beside it.

`messages`, `request`, `reply`, `stream` and `errors` each hold both directions of what they are named after.
Source: docs.cohere.com/reference/chat and …/chat-stream.
"""

from typing import Literal

from trunkline.vocabulary.requests import Operation
from trunkline.wire.grammar.fields import words_to_wire

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .stream import broken, decoder, encoder, tap

name: Literal["cohere_chat"] = "cohere_chat"
operation: Operation = "chat"
path = stream_path = "/chat"
media_type = "text/event-stream"
addressed: tuple[str, ...] = ()
required = ("model", "messages")

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
