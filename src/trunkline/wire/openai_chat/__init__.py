"""OpenAI chat completions: the dialect that most providers speak.

`messages`, `request`, `reply`, `stream` and `errors` each hold both directions of what they are named after.
Source: platform.openai.com/docs/api-reference/chat; for keys beyond it, the pages of the rows that declare them.
"""

from typing import Literal

from trunkline.vocabulary.requests import Operation

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says, words_to_wire
from .stream import broken, decoder, encoder, tap

name: Literal["openai_chat"] = "openai_chat"
operation: Operation = "chat"
path = stream_path = "/chat/completions"
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
