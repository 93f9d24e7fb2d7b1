"""Vertex AI's text embeddings, by the general `predict`: texts as instances, vectors as predictions.

Source: cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api. How many texts fit in one
request is the model's own rule (one, for some).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import How, Json, Seen, Written
from trunkline.vocabulary.replies import EmbeddingReply, Loss
from trunkline.vocabulary.requests import EmbeddingRequest, Operation, Words
from trunkline.vocabulary.usage import Usage

from .gemini import error_from_wire, error_to_wire
from .gemini.errors import hidden_error
from .gemini.spelling import public
from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_count, as_object, object_at, text_at

name: Literal["vertex_embeddings"] = "vertex_embeddings"
operation: Operation = "embeddings"
path = "/models/{model}:predict"
addressed: tuple[str, ...] = ("model",)
says: Mapping[str, How] = {}
required = ("model", "instances")

__all__ = ["error_from_wire", "error_to_wire"]

_INSTANCES = "~instances"
"""The note that holds what each instance said beside its text."""

SIZE = "outputDimensionality"


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's embedding request."""
    body = dict(body)
    model = text_at(body, "model")
    rests = [as_object(one, f"instances[{at}]") for at, one in enumerate(array_at(body, "instances"))]
    if not rests:
        raise InvalidRequestError("instances must not be empty", param="instances", code="invalid_value")
    texts = tuple(text_at(rest, "content", f"instances[{at}]") for at, rest in enumerate(rests))
    said = body.pop("parameters", None)
    parameters = as_object(said, "parameters") if said is not None else {}
    size = parameters.pop(SIZE, None)
    extra: Extra = {**body}
    if parameters:
        extra["parameters"] = parameters
    if any(rests):
        extra[_INSTANCES] = rests
        for key in ("task_type", "title"):  # what is said of any of them is lost to other APIs
            if value := next((rest[key] for rest in rests if key in rest), None):
                extra[key] = value
    dimensions = as_count(size, f"parameters.{SIZE}") if size is not None else None
    return EmbeddingRequest(model=model, input=texts, dimensions=dimensions, extra=extra, dialect=name)


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write an embedding request for a target."""
    if not all(isinstance(text, str) for text in request.input):
        raise InvalidRequestError(
            "input must be texts: this API takes no token ids", param="input", code="invalid_type"
        )
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    kept: Any = extra.get(_INSTANCES)
    rests: list[Json] = kept if kept is not None and len(kept) == len(request.input) else [{}] * len(request.input)
    body: Json = {
        "instances": [{"content": text, **rest} for text, rest in zip(request.input, rests, strict=True)],
    }
    parameters = dict(an_object(extra.pop("parameters", None)))
    if request.dimensions is not None:
        parameters[SIZE] = request.dimensions
    if parameters:
        body["parameters"] = parameters
    lost = [] if request.user is None else [Loss("user", "the target has no such setting")]
    if kept is not None:
        extra = {key: value for key, value in extra.items() if key not in {"task_type", "title"}}
    return Written({**body, **public(extra)}, (*loss, *lost))


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect."""
    return fields.words_to_wire(words, facts, addressed)


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read vectors; the tokens are counted text by text."""
    body = dict(body)
    if body.get("error"):
        raise hidden_error(body)
    vectors: list[tuple[float, ...]] = []
    rests: list[Json] = []
    try:
        for at, entry in enumerate(array_at(body, "predictions")):
            rest = as_object(entry, f"predictions[{at}]")
            inside = object_at(rest, "embeddings", f"predictions[{at}]")
            values = as_array(inside.pop("values", None), f"predictions[{at}].embeddings.values")
            vectors.append(tuple(float(number) for number in values))
            rests.append({**rest, "embeddings": inside} if inside else rest)
    except (InvalidRequestError, TypeError, ValueError) as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error}", dialect=name) from None
    usage = _usage([an_object(an_object(rest.get("embeddings")).get("statistics")) for rest in rests])
    return EmbeddingReply(vectors=tuple(vectors), usage=usage, extra={**body, "~predictions": rests}, dialect=name)


def _usage(statistics: list[Json]) -> Usage | None:
    counts = [count for one in statistics if isinstance(count := one.get("token_count"), int | float)]
    return Usage(input=int(sum(counts))) if counts else None


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write vectors for a caller. A count of another API's is that of all texts: the first is said to have it."""
    own = reply.dialect == name
    kept: Any = reply.extra.get("~predictions") if own else None
    if kept is None:
        count = reply.usage.prompt_tokens if reply.usage is not None else 0
        kept = [
            {"embeddings": {"statistics": {"token_count": 0 if at else count, "truncated": False}}}
            for at in range(len(reply.vectors))
        ]
    predictions = [
        {**rest, "embeddings": {**an_object(rest.get("embeddings")), "values": list(vector)}}
        for vector, rest in zip(reply.vectors, kept, strict=False)
    ]
    return {"predictions": predictions, **(public(reply.extra) if own else {})}


class _Statistics(Struct):
    token_count: float = 0


class _Embeddings(Struct):
    statistics: _Statistics | None = None


class _Prediction(Struct):
    embeddings: _Embeddings | None = None


class _Glance(Struct):
    predictions: list[_Prediction] = []


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vectors are skipped, not built."""
    try:
        seen = _glances.decode(body).predictions
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
    counts = [one.embeddings.statistics.token_count for one in seen if one.embeddings and one.embeddings.statistics]
    return Seen(Usage(input=int(sum(counts)))) if counts else Seen()
