"""Gemini's generateContent, at Google's AI Studio and Vertex AI: model and streaming stand in the address.

`parts`, `messages`, `request`, `tools`, `reply` and `errors` each hold both directions of what they are named after;
`stream` reads streams (`cutting` cuts them, `growing` follows a candidate) and `encoder` writes them; `schema` holds
what the API takes of JSON Schema, `grounding` its sources, `spelling` the second spelling of its keys. Source:
ai.google.dev/api/generate-content.

Signatures of thought must come back on the part they came with. A call's is a word of the vocabulary
(`ToolCall.signature`), since a conversation breaks without it: callers of chat completions carry it where Google's own
chat endpoint puts it (`tool_calls[].extra_content.google.thought_signature`), so theirs goes on with what Gemini
signed. Callers of an API that has no place for it (Anthropic's `tool_use`) lose it, and the documented substitute is
written (`messages`). Signatures on text are kept in `extra`: the API does without them.
"""

from typing import Literal

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Written
from trunkline.vocabulary.requests import Operation, Words
from trunkline.wire.grammar import fields

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .stream import broken, decoder, encoder, tap

name: Literal["gemini"] = "gemini"
operation: Operation = "chat"
path = "/models/{model}:generateContent"
stream_path = "/models/{model}:streamGenerateContent?alt=sse"
media_type = "text/event-stream"
addressed: tuple[str, ...] = ("model", "stream")
required = ("model", "contents")

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


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect."""
    return fields.words_to_wire(words, facts, addressed)
