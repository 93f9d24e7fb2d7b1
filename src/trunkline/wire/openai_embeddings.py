"""OpenAI embeddings: texts to vectors. Source: platform.openai.com/docs/api-reference/embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Seen, Written
from trunkline.vocabulary.replies import EmbeddingReply
from trunkline.vocabulary.requests import EmbeddingRequest, Operation
from trunkline.vocabulary.usage import Usage

from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_object, text_at, words_to_wire
from .grammar.vectors import packed as pack
from .grammar.vectors import vector_of
from .openai_chat import error_from_wire, error_to_wire
from .openai_chat.errors import hidden_error

name: Literal["openai_embeddings"] = "openai_embeddings"
operation: Operation = "embeddings"
path = "/embeddings"
addressed: tuple[str, ...] = ()
says: Mapping[str, How] = {}
required = ("model", "input")

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's embedding request."""
    body = dict(body)
    model = text_at(body, "model")
    if "input" not in body:
        raise InvalidRequestError("input is missing", param="input", code="missing_required_parameter")
    said = body.pop("input")
    known = {key: body.pop(key, None) for key in ("dimensions", "encoding_format", "user")}
    try:
        return msgspec.convert(
            {"model": model, "input": _inputs(said), **known, "extra": body, "dialect": name, "single": _single(said)},
            EmbeddingRequest,
        )
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`").partition("[")[0] or "input"
        raise InvalidRequestError(f"{field}: {what}", param=field, code="invalid_type") from None


def _single(said: Any) -> bool:
    """One text, or one list of token ids: not a list of either."""
    return isinstance(said, str) or (isinstance(said, list) and all(isinstance(item, int) for item in said))  # pyright: ignore[reportUnknownVariableType]


def _inputs(said: Any) -> list[Any]:
    inputs = [said] if _single(said) else as_array(said, "input")
    if not inputs or inputs == [[]]:
        raise InvalidRequestError("input must not be empty", param="input", code="invalid_value")
    return inputs


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write an embedding request for a target. Numbers travel as base64 unless the caller wants them plain."""
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    body: Json = {"model": facts.model, "input": request.input[0] if request.single else list(request.input)}
    for key in ("dimensions", "encoding_format", "user"):
        value = getattr(request, key)
        if value is not None:
            body[key] = value
    return Written({**body, **extra}, loss)


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read vectors, plain or base64, in the order of the input whatever order they came in."""
    body = {key: value for key, value in body.items() if value is not None}
    if "data" not in body and "error" in body:
        raise hidden_error(body)
    try:
        entries = [as_object(entry, "data[]") for entry in array_at(body, "data")]
        entries.sort(key=lambda entry: entry.get("index") or 0)
        packed = any(isinstance(entry.get("embedding"), str) for entry in entries)
        usage = body.pop("usage", None)
        body.pop("object", None)
        return EmbeddingReply(
            model=body.pop("model", None),
            vectors=tuple(vector_of(entry.get("embedding"), "data[].embedding") for entry in entries),
            encoding_format="base64" if packed else None,
            usage=_usage(an_object(usage)) if usage else None,
            id=body.pop("id", None),
            extra=body,
            dialect=name,
        )
    except (InvalidRequestError, ValueError) as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error}", dialect=name) from None


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write vectors for a caller, in the form that they are wanted in."""
    own = reply.dialect == name
    packed = reply.encoding_format == "base64"
    body: Json = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": at, "embedding": pack(vector) if packed else list(vector)}
            for at, vector in enumerate(reply.vectors)
        ],
        "model": reply.model or "",
    }
    usage = reply.usage
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
        if own:
            body["usage"] |= fields.said(usage.extra)
            for key in usage.extra.get("~unsaid", ()):
                del body["usage"][key]
    if own:
        body |= {**reply.extra, **({} if reply.id is None else {"id": reply.id})}
    return body


class _Glance(Struct):
    usage: Json | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vectors are skipped, not built."""
    try:
        usage = _glances.decode(body).usage
    except msgspec.MsgspecError:
        return Seen()
    return Seen(_usage(usage) if usage else None)


def _usage(usage: Json) -> Usage:
    extra = {key: value for key, value in usage.items() if key not in _COUNTS}
    if unsaid := [key for key in _COUNTS if key not in usage]:
        extra["~unsaid"] = unsaid
    return Usage(input=usage.get("prompt_tokens") or usage.get("total_tokens") or 0, extra=extra)


_COUNTS = ("prompt_tokens", "total_tokens")
