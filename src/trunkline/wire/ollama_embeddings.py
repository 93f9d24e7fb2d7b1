"""Ollama's embeddings: texts to vectors. Source: docs.ollama.com/api/embed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Seen, Written
from trunkline.vocabulary.replies import EmbeddingReply, Loss
from trunkline.vocabulary.requests import EmbeddingRequest, Operation
from trunkline.vocabulary.usage import Usage

from .grammar import fields
from .grammar.fields import array_at, as_array, as_count, as_text, text_at, words_to_wire
from .grammar.vectors import vector_of
from .ollama_chat.errors import error_from_wire, error_to_wire, hidden_error

name: Literal["ollama_embeddings"] = "ollama_embeddings"
operation: Operation = "embeddings"
path = "/api/embed"
addressed: tuple[str, ...] = ()
says: Mapping[str, How] = {}
required = ("model", "input")

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's request."""
    body = dict(body)
    model = text_at(body, "model")
    if "input" not in body:
        raise InvalidRequestError("input is missing", param="input", code="missing_required_parameter")
    said = body.pop("input")
    single = isinstance(said, str)
    texts: list[Any] = [said] if single else as_array(said, "input")
    size = body.pop("dimensions", None)
    return EmbeddingRequest(
        model=model,
        input=tuple(as_text(text, f"input[{at}]") for at, text in enumerate(texts)),
        dimensions=as_count(size, "dimensions") if size is not None else None,
        extra=body,
        dialect=name,
        single=single,
    )


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write a request for a target."""
    if not all(isinstance(text, str) for text in request.input):
        raise InvalidRequestError(
            "input must be texts: this API takes no token ids", param="input", code="invalid_type"
        )
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    body: Json = {"model": facts.model, "input": request.input[0] if request.single else list(request.input)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    lost = () if request.user is None else (Loss("user", "the target has no such setting"),)
    return Written({**body, **extra}, (*loss, *lost, *fields.apply_quirks(body, facts)))


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read vectors, in the order of the input."""
    body = {key: value for key, value in body.items() if value is not None}
    if "error" in body:
        raise hidden_error(body)
    try:
        listed = array_at(body, "embeddings")
        vectors = tuple(vector_of(one, f"embeddings[{at}]") for at, one in enumerate(listed))
    except (InvalidRequestError, ValueError) as error:
        raise ResponseParseError(f"the server's answer cannot be read: {error}", dialect=name) from None
    count = body.pop("prompt_eval_count", None)
    return EmbeddingReply(
        model=body.pop("model", None),
        vectors=vectors,
        usage=Usage(input=count) if isinstance(count, int) else None,
        extra=body,
        dialect=name,
    )


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write vectors for a caller."""
    body: Json = {"model": reply.model or "", "embeddings": [list(vector) for vector in reply.vectors]}
    if reply.usage is not None:
        body["prompt_eval_count"] = reply.usage.prompt_tokens
    return {**body, **(fields.said(reply.extra) if reply.dialect == name else {})}


class _Glance(Struct):
    prompt_eval_count: int | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vectors are skipped, not built."""
    try:
        count = _glances.decode(body).prompt_eval_count
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
    return Seen(Usage(input=count)) if count is not None else Seen()
