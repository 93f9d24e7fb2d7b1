"""Gemini embeddings: texts to vectors, one (`embedContent`) or many (`batchEmbedContents`).

Source: ai.google.dev/api/embeddings. We ask for many at once; a caller's own words go to the method they were written
for (`gemini_embed_content` is the same with the other address). A text is a content; one that holds more than text, as
newer models take, is kept for this API and is lost to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import How, Json, Seen, Written
from trunkline.vocabulary.replies import EmbeddingReply, Loss
from trunkline.vocabulary.requests import EmbeddingRequest, Operation, Words
from trunkline.vocabulary.usage import Usage

from .gemini import error_from_wire, error_to_wire
from .gemini.errors import hidden_error
from .gemini.reply import usage_from_wire
from .gemini.spelling import SPELLED, public, respell, respelled
from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_count, as_object, as_text, object_at, text_at

name: Literal["gemini_embeddings"] = "gemini_embeddings"
operation: Operation = "embeddings"
path = "/models/{model}:batchEmbedContents"
addressed: tuple[str, ...] = ("model",)
says: Mapping[str, How] = {}
required = ("model",)

__all__ = ["error_from_wire", "error_to_wire"]

_REQUESTS = "~requests"
"""The note that holds what each text's request said beside the text."""

_CONTENT = "content"
"""The key under which contents are kept that hold more than text, by their place."""


def request_from_wire(body: Json) -> EmbeddingRequest:
    """Read a caller's embedding request, of one content or of many."""
    body = dict(body)
    model = text_at(body, "model").rpartition("models/")[2]
    single = "requests" not in body
    asked = [body] if single else array_at(body, "requests")
    if not asked:
        raise InvalidRequestError("requests must not be empty", param="requests", code="invalid_value")
    texts: list[str] = []
    rests: list[Json] = []
    media: Json = {}
    sizes: set[int | None] = set()
    for at, one in enumerate(asked):
        where = "" if single else f"requests[{at}]"
        notes: Extra = {}
        rest = respell(as_object(one, where), notes)
        content = object_at(rest, "content", where)
        text = _text_of(content, f"{where}.content" if where else "content")
        if text is None:
            media[str(at)] = content
        elif content != {"parts": [{"text": text}]}:
            rest["~content"] = content
        texts.append(text or "")
        size = rest.get("outputDimensionality")
        sizes.add(as_count(size, "outputDimensionality") if size is not None else None)
        rests.append({**rest, SPELLED: notes} if notes else rest)
    dimensions = sizes.pop() if len(sizes) == 1 else None
    extra: Extra = {_REQUESTS: rests} if single else {**body, _REQUESTS: rests}
    if media:
        extra[_CONTENT] = media
    for key in ("taskType", "title"):  # what is said of all of them
        said = [rest[key] for rest in rests if key in rest]
        if said and len(said) == len(rests) and all(one == said[0] for one in said):
            extra[key] = said[0]
    return EmbeddingRequest(
        model=model, input=tuple(texts), dimensions=dimensions, extra=extra, dialect=name, single=single
    )


def _text_of(content: Json, where: str) -> str | None:
    """The text of a content; None where it holds something else."""
    parts = [as_object(part, f"{where}.parts[]") for part in as_array(content.get("parts") or [], f"{where}.parts")]
    if any("text" not in part for part in parts):
        return None
    return "".join(as_text(part["text"], f"{where}.parts[].text") for part in parts)


def request_to_wire(request: EmbeddingRequest, facts: Facts) -> Written:
    """Write an embedding request for a target. What a caller of this API said goes out as it was said."""
    rests: Any = request.extra.get(_REQUESTS)
    if request.dialect == name and rests is not None and len(rests) == len(request.input):
        asked = [_own(request, at, rest) for at, rest in enumerate(rests)]
        if request.single:
            return Written(asked[0])
        outside = {key: value for key, value in public(request.extra).items() if key not in _OURS}
        return Written({"requests": asked, **outside})
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    body, lost = many(request, facts)
    return Written({**body, **extra}, (*loss, *lost))


_OURS = frozenset({_CONTENT, "taskType", "title"})
"""Keys of `extra` that stand in the requests."""


def _own(request: EmbeddingRequest, at: int, rest: Json) -> Json:
    media: Json = request.extra.get(_CONTENT) or {}
    text = request.input[at]
    kept: Any = media.get(str(at))
    if kept is None and _text_of(said := rest.get("~content") or {}, "content") == text and said:
        kept = said
    content = kept if kept is not None else {"parts": [{"text": text}]}
    wire: Json = {**public(rest), "content": content}
    if request.dimensions is not None:
        wire["outputDimensionality"] = request.dimensions
    return respelled(wire, rest.get(SPELLED) or {})


def many(request: EmbeddingRequest, facts: Facts) -> tuple[Json, list[Loss]]:
    """A request for many, and what could not be said in it."""
    lost = [] if request.user is None else [Loss("user", "the target has no such setting")]
    size: Json = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    model = f"models/{facts.model}"
    return {"requests": [{"model": model, "content": content, **size} for content in contents(request)]}, lost


def contents(request: EmbeddingRequest) -> list[Json]:
    """The inputs as contents. Token ids are another model's."""
    if not all(isinstance(text, str) for text in request.input):
        raise InvalidRequestError(
            "input must be texts: this API takes no token ids", param="input", code="invalid_type"
        )
    return [{"parts": [{"text": text}]} for text in request.input]


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words. Each of many requests names the model once more: there too it becomes the target's."""
    written = fields.words_to_wire(words, facts, addressed)
    asked, model = words.fields.get("requests"), words.fields.get("model")
    if asked is not None and model is not None:
        written.body["requests"] = _renamed(asked, model, facts.model)
    return written


def _renamed(asked: Raw, model: Raw, target: str) -> Raw:
    """The requests for `model` as requests for the target; as they came, where there is nothing to rename."""
    try:
        name_before = msgspec.json.decode(model, type=str).rpartition("models/")[2]
        requests = msgspec.json.decode(asked, type=list[dict[str, Raw]])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return asked  # for the API to refuse
    if name_before == target:
        return asked
    before, after = (Raw(msgspec.json.encode(f"models/{one}")) for one in (name_before, target))
    renamed = [{**one, "model": after} if bytes(one.get("model", b"")) == bytes(before) else one for one in requests]
    return Raw(msgspec.json.encode(renamed))


def reply_from_wire(body: Json) -> EmbeddingReply:
    """Read vectors, one or many."""
    body = dict(body)
    if body.get("error"):
        raise hidden_error(body)
    usage = body.pop("usageMetadata", None)
    single = "embedding" in body
    try:
        said = [body.pop("embedding")] if single else array_at(body, "embeddings")
        entries = [as_object(entry, "embeddings[]") for entry in said]
        vectors = tuple(_vector(entry.pop("values", None)) for entry in entries)
    except (InvalidRequestError, TypeError, ValueError) as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error}", dialect=name) from None
    if usage:
        body["~usage"] = usage
    if single:
        body["~single"] = True
    if any(entries):
        body["~entries"] = entries
    return EmbeddingReply(
        vectors=vectors, usage=usage_from_wire(an_object(usage)) if usage else None, extra=body, dialect=name
    )


def _vector(value: Any) -> tuple[float, ...]:
    return tuple(float(number) for number in as_array(value, "embeddings[].values"))


def reply_to_wire(reply: EmbeddingReply) -> Json:
    """Write vectors for a caller."""
    own = reply.dialect == name
    extra = reply.extra if own else {}
    kept: Any = extra.get("~entries")
    rests: list[Json] = kept or [{}] * len(reply.vectors)
    entries = [{"values": list(vector), **rest} for vector, rest in zip(reply.vectors, rests, strict=False)]
    single = "~single" in extra and len(entries) == 1
    body: Json = {"embedding": entries[0]} if single else {"embeddings": entries}
    if reply.usage is not None:
        count = reply.usage.prompt_tokens
        body["usageMetadata"] = extra.get("~usage") or {"promptTokenCount": count, "totalTokenCount": count}
    return {**body, **public(extra)}


class _Glance(Struct, rename="camel"):
    usage_metadata: Json | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage of an answer that passes through; the vectors are skipped, not built. Older models count nothing."""
    try:
        usage = _glances.decode(body).usage_metadata
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
    return Seen(usage_from_wire(usage)) if usage else Seen(Usage())
