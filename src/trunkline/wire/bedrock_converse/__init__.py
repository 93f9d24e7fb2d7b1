"""Bedrock Converse: one API for the models of many makers, its stream in AWS's binary frames.

Model and stream stand in the address. `messages` holds turns and `blocks` what they are made of; `media`, `tools`,
`request`, `makers`, `reply`, `stream`, `encoder` and `errors` each hold both directions of what they are named after.
Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …_ConverseStream.html, and the
service's own description as botocore 1.44.5 has it.
"""

from typing import Literal

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Written
from trunkline.vocabulary.requests import Operation, Words
from trunkline.wire.grammar import fields

from .errors import error_from_wire, error_to_wire
from .reply import glance, reply_from_wire, reply_to_wire
from .request import request_from_wire, request_to_wire, says
from .stream import decoder, tap
from .writing import broken, encoder

name: Literal["bedrock_converse"] = "bedrock_converse"
operation: Operation = "chat"
path = "/model/{model}/converse"
stream_path = "/model/{model}/converse-stream"
media_type = "application/vnd.amazon.eventstream"
addressed: tuple[str, ...] = ("model", "stream")
required = ("model",)

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
    """The caller's own words for a target that speaks this dialect; model and stream go into its address."""
    return fields.words_to_wire(words, facts, addressed)
