"""Answers: what the chaos upstream says to a request when nothing goes wrong.

Owns which path is spoken in which dialect, and a well-formed answer to each operation, whole or in pieces, with its
usage. The dialects do the reading and the writing: no API's key is spelled here. Knows no fault.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.events import Ended, Event, Finished, Started, TextDelta, UsageReported
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.protocols import Dialect, Json, StreamingDialect
from trunkline.vocabulary.replies import AnyReply, Choice, EmbeddingReply, Ranked, Reply, RerankReply
from trunkline.vocabulary.requests import EmbeddingRequest, Operation, RerankRequest
from trunkline.vocabulary.usage import Usage
from trunkline.wire import (
    anthropic_messages,
    bedrock_converse,
    cohere_rerank,
    gemini,
    gemini_embed_content,
    gemini_embeddings,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)

DIALECTS: tuple[Dialect, ...] = (
    openai_chat,
    openai_responses,
    openai_completions,
    openai_embeddings,
    anthropic_messages,
    cohere_rerank,
)
"""Spoken where a path ends as the dialect's own does, whatever stands before it."""

METHODS: Mapping[str, Dialect] = {
    "generateContent": gemini,
    "streamGenerateContent": gemini,
    "embedContent": gemini_embed_content,
    "batchEmbedContents": gemini_embeddings,
    "converse": bedrock_converse,
    "converse-stream": bedrock_converse,
}
"""The same for Google and for Bedrock, who have the model before it: `…/models/{model}:{method}`,
`…/model/{model}/{method}`."""

_METHOD = re.compile(r"/models?/(.+)[:/]([\w-]+)$")


class Place(NamedTuple):
    """What a path says: the dialect that is spoken there, and the keys of a body that stand in it."""

    dialect: Dialect
    said: Json


def place_of(path: str) -> Place | None:
    """What a path says; None where it says nothing."""
    path = path.partition("?")[0]
    for dialect in DIALECTS:
        if path.endswith(dialect.path):
            return Place(dialect, {})
    found = _METHOD.search(path)
    dialect = METHODS.get(found[2]) if found is not None else None
    if found is None or dialect is None:
        return None
    said = {"model": unquote(found[1]), "stream": "stream" in found[2]}
    return Place(dialect, {key: said[key] for key in dialect.addressed})


class Asked(Struct, frozen=True):
    """A request, understood."""

    dialect: Dialect
    request: Any
    size: int
    """Bytes of its body."""

    @property
    def streams(self) -> bool:
        """Whether it wants its answer in pieces."""
        return self.request.stream


def understood(place: Place, body: bytes) -> Asked:
    """Read a request. Raises InvalidRequestError that names the field to mend."""
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise InvalidRequestError("the body is no JSON object", code="invalid_json")
    request = place.dialect.request_from_wire({**cast("Json", said), **place.said})
    return Asked(place.dialect, request, len(body))


class Saying(Struct, frozen=True):
    """What the upstream says, and in how many pieces."""

    text: str
    pieces: tuple[str, ...]
    counted: bool = True
    """It says how many tokens there were."""

    @classmethod
    def of(cls, text: str, pieces: int) -> Saying:
        """A text, cut into so many pieces of about the same length; fewer where it is shorter."""
        cuts = [len(text) * at // pieces for at in range(pieces + 1)]
        parts = (text[begin:end] for begin, end in itertools.pairwise(cuts))
        return cls(text, tuple(part for part in parts if part))


class Mark(NamedTuple):
    """What tells one answer from another: its id and when it was made, in seconds since 1970."""

    id: str
    created: int


class Piece(NamedTuple):
    """A piece of an answer on the wire."""

    data: bytes
    content: bool = True
    """It holds some of what was asked for: what comes before the first such piece only frames it."""


def whole(asked: Asked, saying: Saying, mark: Mark) -> list[Piece]:
    """The answer in one piece."""
    reply = _REPLIES[asked.dialect.operation](asked, saying, mark)
    return [Piece(msgspec.json.encode(asked.dialect.reply_to_wire(reply)))]


def streamed(asked: Asked, saying: Saying, mark: Mark) -> list[Piece]:
    """The answer as a stream: a piece for each event that its dialect has something to say of."""
    encoder = cast("StreamingDialect", asked.dialect).encoder(asked.request)
    events: list[Event] = [
        Started(id=mark.id, model=asked.request.model, created=mark.created),
        TextDelta(delta=""),  # frames the answer, as providers do before their models have said a word
        *(TextDelta(delta=piece) for piece in saying.pieces),
        Finished(finish="stop"),
        *([UsageReported(usage=usage)] if (usage := _usage(asked, saying)) is not None else ()),
        Ended(),
    ]
    pieces = [Piece(encoder.encode([event]), bool(event.text)) for event in events]
    return [piece for piece in pieces if piece.data]


def _usage(asked: Asked, saying: Saying) -> Usage | None:
    """Four bytes of the request are a token, and each piece of what is said is one."""
    spoken = len(saying.pieces) if asked.dialect.operation == "chat" else 0
    return Usage(input=asked.size // 4, output=spoken) if saying.counted else None


def _chat(asked: Asked, saying: Saying, mark: Mark) -> Reply:
    choice = Choice(Message("assistant", (Text(saying.text),)), finish="stop")
    usage = _usage(asked, saying)
    return Reply(id=mark.id, model=asked.request.model, created=mark.created, choices=(choice,), usage=usage)


def _vectors(asked: Asked, saying: Saying, mark: Mark) -> EmbeddingReply:
    request: EmbeddingRequest = asked.request
    return EmbeddingReply(
        model=request.model,
        vectors=tuple(_vector(text, request.dimensions or DIMENSIONS) for text in request.input),
        encoding_format=request.encoding_format,
        usage=_usage(asked, saying),
    )


DIMENSIONS = 8
"""Of a vector, where none are asked for."""


def _vector(text: str | tuple[int, ...], dimensions: int) -> tuple[float, ...]:
    """Numbers that depend on the text alone: equal texts, equal vectors."""
    dice = random.Random(str(text))  # noqa: S311 no secret
    return tuple(dice.uniform(-1, 1) for _ in range(dimensions))


def _ranking(asked: Asked, saying: Saying, mark: Mark) -> RerankReply:
    """In the order in which the documents were given."""
    request: RerankRequest = asked.request
    results = tuple(Ranked(at, 1 / (at + 1)) for at in range(len(request.documents)))
    return RerankReply(id=mark.id, results=results[: request.top_n], usage=_usage(asked, saying))


_REPLIES: Mapping[Operation, Callable[[Asked, Saying, Mark], AnyReply]] = {
    "chat": _chat,
    "embeddings": _vectors,
    "rerank": _ranking,
}
