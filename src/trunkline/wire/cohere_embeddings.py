"""Cohere's embeddings (v2): texts, images or both to vectors, in one form of numbers or several.

Source: docs.cohere.com/reference/embed. On Bedrock the model stands in the address, and the same body does.
"""

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

from .cohere_chat.errors import error_from_wire, error_to_wire
from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_count, as_object, as_text, text_at, words_to_wire
from .grammar.vectors import packed, vector_of

name: Literal["cohere_embeddings"] = "cohere_embeddings"
operation: Operation = "embeddings"
path = "/embed"
addressed: tuple[str, ...] = ()
says: Mapping[str, How] = {}
required = ("model",)

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]

PURPOSE = "search_document"
"""`input_type` for callers whose API does not ask what vectors are for: it is what vectors are most often stored for,
and the one that the API treats texts and images alike in."""

MOST = 96
"""Texts in one call."""

_PLAIN = ("float", "base64", "int8", "uint8")
"""The forms that hold one number for each dimension, the most exact first; `binary` packs eight into one."""


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's request. Images, and inputs that mix them with texts, only this API has."""
    body = dict(body)
    model = text_at(body, "model")
    if not any(body.get(key) for key in ("texts", "images", "inputs")):
        raise InvalidRequestError(
            "texts, images or inputs are missing", param="texts", code="missing_required_parameter"
        )
    texts = array_at(body, "texts") if body.get("texts") is not None else []
    size, forms = body.pop("output_dimension", None), as_array(body.get("embedding_types") or [], "embedding_types")
    return EmbeddingRequest(
        model=model,
        input=tuple(as_text(text, f"texts[{at}]") for at, text in enumerate(texts)),
        dimensions=as_count(size, "output_dimension") if size is not None else None,
        encoding_format="base64" if forms == ["base64"] else None,
        extra=body,
        dialect=name,
    )


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write a request for a target."""
    if not all(isinstance(text, str) for text in request.input):
        raise InvalidRequestError(
            "input must be texts: this API takes no token ids", param="input", code="invalid_type"
        )
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    losses = [*loss]
    body: Json = {"model": facts.model}
    if request.input:
        body["texts"] = list(request.input)
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    if request.user is not None:
        losses.append(Loss("user", "the target has no such setting"))
    if request.dialect != name:
        body |= {"input_type": PURPOSE, "embedding_types": ["float"]}
        if len(request.input) > MOST:
            why = f"the API takes {MOST} texts in one call, not {len(request.input)}: ask in several"
            raise InvalidRequestError(why, param="input", code="too_many_inputs")
    losses += fields.apply_quirks(body, facts)
    return Written({**body, **extra}, tuple(losses))


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read vectors in the most exact form in which they came; what else came is kept as it is."""
    body = {key: value for key, value in body.items() if value is not None}
    said = body.pop("embeddings", None)
    bare = isinstance(said, list)  # as the first version of the API has them
    try:
        forms = {"float": as_array(said, "embeddings")} if bare else as_object(said, "embeddings")
        form = next((form for form in _PLAIN if forms.get(form) is not None), None)
        listed = as_array(forms.pop(form), f"embeddings.{form}") if form is not None else []
        vectors = tuple(vector_of(one, f"embeddings.{form}[{at}]") for at, one in enumerate(listed))
    except (InvalidRequestError, ValueError) as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error}", dialect=name) from None
    body["~form"] = "list" if bare else form
    if forms and not bare:
        body["~others"] = forms
    return EmbeddingReply(
        id=body.pop("id", None),
        vectors=vectors,
        encoding_format="base64" if form == "base64" else None,
        usage=_usage(body.get("meta")),
        extra=body,
        dialect=name,
    )


def _usage(meta: Any) -> Usage | None:
    """What is billed; it stays among the unknown keys, where it was read."""
    billed = an_object(an_object(meta).get("billed_units"))
    counts = {key: value for key, value in billed.items() if isinstance(value, int | float)}
    if not counts:
        return None
    images = {key: value for key, value in counts.items() if key != "input_tokens" and value}
    return Usage(input=int(counts.get("input_tokens", 0)), extra=images)


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write vectors for a caller."""
    own = reply.dialect == name
    form: str | None = reply.extra.get("~form") if own else "float"
    if reply.encoding_format == "base64" and form == "float":
        form = "base64"
    vectors: list[Any] = [packed(vector) if form == "base64" else list(vector) for vector in reply.vectors]
    if form in {"int8", "uint8"}:
        vectors = [[int(number) for number in vector] for vector in reply.vectors]
    others = an_object(reply.extra.get("~others")) if own else {}
    named = {} if form is None else {form: vectors}
    body: Json = {"id": reply.id or "", "embeddings": vectors if form == "list" else {**named, **others}}
    if own:
        return {**body, **fields.said(reply.extra)}
    count = reply.usage.prompt_tokens if reply.usage is not None else 0
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": count}}
    return {**body, "response_type": "embeddings_by_type", "texts": [], "meta": meta}


class _Glance(Struct):
    meta: Json | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vectors are skipped, not built."""
    try:
        return Seen(_usage(_glances.decode(body).meta))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
