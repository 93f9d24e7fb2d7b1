"""Gemini's embedContent: one text to one vector, for callers and models that know no other (`gemini_embeddings`).

Source: ai.google.dev/api/embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Written
from trunkline.vocabulary.replies import EmbeddingReply
from trunkline.vocabulary.requests import EmbeddingRequest, Operation, Words

from . import gemini_embeddings
from .gemini_embeddings import error_from_wire, error_to_wire, glance
from .grammar import fields

name: Literal["gemini_embed_content"] = "gemini_embed_content"
operation: Operation = "embeddings"
path = "/models/{model}:embedContent"
addressed: tuple[str, ...] = ("model",)
says: Mapping[str, How] = {}
required = ("model", "content")

__all__ = ["error_from_wire", "error_to_wire", "glance"]


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's embedding request."""
    return replace(gemini_embeddings.request_from_wire(body), dialect=name)


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write an embedding request for a target, which takes one text."""
    if request.dialect == name:
        return gemini_embeddings.request_to_wire(replace(request, dialect=gemini_embeddings.name), facts)
    if len(request.input) != 1:
        raise InvalidRequestError("input must be one text for this model", param="input", code="invalid_value")
    written = gemini_embeddings.request_to_wire(request, facts)
    inside, *_ = written.body.pop("requests")
    inside.pop("model", None)
    return Written({**inside, **written.body}, written.loss)


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect."""
    return fields.words_to_wire(words, facts, addressed)


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read a vector."""
    reply = gemini_embeddings.reply_from_wire(body)
    reply.dialect = name
    return reply


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write a vector for a caller, who asked for one."""
    own = reply.dialect == name
    body = gemini_embeddings.reply_to_wire(replace(reply, dialect=gemini_embeddings.name) if own else reply)
    entries = body.pop("embeddings", None)
    return {"embedding": entries[0], **body} if entries else body
