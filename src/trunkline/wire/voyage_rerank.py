"""Voyage's rerank, a cousin of Cohere's: `top_k` for `top_n`, and the ranking under `data`.

Source: docs.voyageai.com/reference/reranker-api. Owns the two words that differ; the rest is `cohere_rerank`, which
reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Written
from trunkline.vocabulary.replies import RerankReply
from trunkline.vocabulary.requests import Operation, RerankRequest

from . import cohere_rerank
from .cohere_rerank import error_from_wire, error_to_wire, glance, words_to_wire

name: Literal["voyage_rerank"] = "voyage_rerank"
operation: Operation = "rerank"
path = "/rerank"
addressed: tuple[str, ...] = ()
required = ("model", "query", "documents")
says: Mapping[str, How] = {}

__all__ = ["error_from_wire", "error_to_wire", "glance", "words_to_wire"]


def request_from_wire(body: Json) -> RerankRequest:
    """Read a caller's request."""
    return replace(cohere_rerank.request_from_wire(body), dialect=name)


def request_to_wire(request: RerankRequest, facts: Facts) -> Written:
    """Write a request for a target."""
    if request.dialect == name:
        return cohere_rerank.request_to_wire(replace(request, dialect=cohere_rerank.name), facts)
    written = cohere_rerank.request_to_wire(replace(request, dialect=request.dialect and name), facts)
    top = written.body.pop("top_n", None)
    return Written({**written.body, **({} if top is None else {"top_k": top})}, written.loss)


def reply_from_wire(body: Json) -> RerankReply:
    """Read a ranking."""
    reply = cohere_rerank.reply_from_wire(body)
    reply.dialect = name
    return reply


def reply_to_wire(reply: RerankReply) -> Json:
    """Write a ranking for a caller."""
    if reply.dialect == name:
        return cohere_rerank.reply_to_wire(replace(reply, dialect=cohere_rerank.name))
    body = cohere_rerank.reply_to_wire(replace(reply, dialect=None))
    tokens = reply.usage.input if reply.usage is not None else 0
    ranked = {"object": "list", "data": body.pop("results"), "model": reply.model or ""}
    return {**ranked, "usage": {"total_tokens": tokens}}
