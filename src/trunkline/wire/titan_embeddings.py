"""Amazon Titan's text embeddings on Bedrock: one text a call.

Source: docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html.
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
from trunkline.vocabulary.requests import EmbeddingRequest, Operation, Words
from trunkline.vocabulary.usage import Usage

from .bedrock_converse.errors import error_from_wire, error_to_wire, hidden_error
from .grammar import fields
from .grammar.fields import an_object, as_count, text_at
from .grammar.vectors import vector_of

name: Literal["titan_embeddings"] = "titan_embeddings"
operation: Operation = "embeddings"
path = "/model/{model}/invoke"
addressed: tuple[str, ...] = ("model",)
says: Mapping[str, How] = {}
required = ("model", "inputText")

__all__ = ["error_from_wire", "error_to_wire"]


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's request; the model stands in its address."""
    body = dict(body)
    model, text = text_at(body, "model"), text_at(body, "inputText")
    size = body.pop("dimensions", None)
    dimensions = as_count(size, "dimensions") if size is not None else None
    return EmbeddingRequest(model=model, input=(text,), dimensions=dimensions, extra=body, dialect=name, single=True)


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write a request for a target."""
    if len(request.input) != 1 or not isinstance(request.input[0], str):
        what = f"not {len(request.input)}" if len(request.input) != 1 else "not token ids"
        raise InvalidRequestError(
            f"input must be one text, {what}: this model takes one a call", param="input", code="too_many_inputs"
        )
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    body: Json = {"inputText": request.input[0]}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    lost = () if request.user is None else (Loss("user", "the target has no such setting"),)
    return Written({**body, **extra}, (*loss, *lost, *fields.apply_quirks(body, facts)))


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect; the model goes into its address."""
    return fields.words_to_wire(words, facts, addressed)


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read a vector. It comes twice in newer models, the second time by its form (`binary` is asked for by name)."""
    body = {key: value for key, value in body.items() if value is not None}
    forms = dict(an_object(body.pop("embeddingsByType", None)))
    said = body.pop("embedding", None)
    if said is None and not forms:
        if error := hidden_error(body):
            raise error
        raise ResponseParseError("the provider's answer has no 'embedding'", dialect=name)
    try:
        vector = vector_of(said if said is not None else forms.get("float", []), "embedding")
    except (InvalidRequestError, ValueError) as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error}", dialect=name) from None
    count = body.pop("inputTextTokenCount", None)
    note: Json = {"~bare": said is not None, "~named": "float" in forms}
    forms.pop("float", None)
    return EmbeddingReply(
        vectors=(vector,),
        usage=Usage(input=count) if isinstance(count, int) else None,
        extra={**body, **note, **({"embeddingsByType": forms} if forms else {})},
        dialect=name,
    )


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write a vector for a caller: the first, for this API asks for one."""
    own = reply.dialect == name
    vector: list[float] = list(reply.vectors[0]) if reply.vectors else []
    extra: Mapping[str, Any] = reply.extra if own else {"~bare": True, "~named": True}
    forms = {**({"float": vector} if extra.get("~named") else {}), **an_object(extra.get("embeddingsByType"))}
    body: Json = {"embedding": vector} if extra.get("~bare") else {}
    if forms:
        body["embeddingsByType"] = forms
    if reply.usage is not None:
        body["inputTextTokenCount"] = reply.usage.prompt_tokens
    elif not own:
        body["inputTextTokenCount"] = 0
    return {**fields.said(extra), **body}


class _Glance(Struct, rename="camel"):
    input_text_token_count: int | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vector is skipped, not built."""
    try:
        count = _glances.decode(body).input_text_token_count
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
    return Seen(Usage(input=count)) if count is not None else Seen()
