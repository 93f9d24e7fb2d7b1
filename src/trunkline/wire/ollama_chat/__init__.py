"""Ollama's own chat: settings under `options`, calls with objects and often without ids, a line of JSON per piece.

`messages`, `request`, `reply`, `stream` and `errors` each hold both directions of what they are named after. An answer
is streamed unless the caller says otherwise. Source: docs.ollama.com/api/chat and …/openapi.yaml.
"""

from typing import Literal

from trunkline.vocabulary.requests import Operation
from trunkline.wire.grammar.fields import words_to_wire

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .stream import broken, decoder, encoder, tap

name: Literal["ollama_chat"] = "ollama_chat"
operation: Operation = "chat"
path = stream_path = "/api/chat"
media_type = "application/x-ndjson"
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
