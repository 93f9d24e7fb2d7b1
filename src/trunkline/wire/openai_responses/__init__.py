"""OpenAI's Responses API: a conversation is a flat list of items, and an answer is a list of them too.

`items`, `messages`, `request`, `reply` and `errors` each hold both directions of what they are named after; `reading`
and `writing` are the two directions of a stream, which has an event for every part that opens, grows and closes.
Source: platform.openai.com/docs/api-reference/responses and …/responses-streaming.

Reasoning goes back to its provider in `encrypted_content`, which the API gives only to those who ask for it: a caller
of this API says `include: ["reasoning.encrypted_content"]` itself; for our own library `request` says it where tools
are offered to a model that thinks, because then a turn goes on after its results.
"""

from typing import Literal

from trunkline.vocabulary.requests import Operation
from trunkline.wire.grammar.fields import words_to_wire

from .errors import error_from_wire, error_to_wire
from .items import name as _name
from .reading import decoder, tap
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .writing import broken, encoder

name: Literal["openai_responses"] = _name
operation: Operation = "chat"
path = stream_path = "/responses"
media_type = "text/event-stream"
addressed: tuple[str, ...] = ()
required = ("model",)
"""`input` may be left out beside `previous_response_id`, `conversation` or `prompt`: the reader sees to that."""

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
