"""Replies: what came back, whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from .decisions import Decision
from .events import (
    OPENAI_FINISH,
    ArgumentsDelta,
    Cited,
    Event,
    Finished,
    Noted,
    PartAdded,
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    UsageReported,
)
from .messages import Message
from .parts import AnyPart, Citation, Extra, Refusal, Text, Thinking, ToolCall
from .usage import Cost, Usage
from .view import OpenAIShape

FINISHES = (
    "stop",  # the model was done
    "stop_sequence",  # it wrote one of the caller's stop sequences
    "length",  # max_tokens
    "tool_calls",  # it waits for tools
    "content_filter",  # the provider withheld the rest
    "refusal",  # the model declined
    "pause",  # the provider paused a long turn: send it back to go on
    "context_window",  # the window is full
)
"""Why a choice ended, in our words. A provider's unknown word is kept as it is."""


class Loss(Struct, frozen=True, omit_defaults=True):
    """Something the caller said that could not be said to the target."""

    field: str
    """Where the caller said it."""
    why: str
    kind: str = ""
    """What it was: a row of the dialects' matrix (docs/dialects.md). Empty: the row that is called as the field."""

    @property
    def row(self) -> str:
        """The row of the matrix that it falls under."""
        return self.kind or self.field


class Choice(Struct, OpenAIShape, frozen=True, omit_defaults=True):
    """One of the answers to a request (`n` asks for several)."""

    message: Message
    finish: str | None = None
    """Why it ended, in our words (`FINISHES`)."""
    index: int = 0
    word: str | None = None
    """Why it ended, in the provider's word."""
    stop_sequence: str | None = None
    logprobs: Any = None
    extra: Extra = field(default_factory=dict)

    @property
    def finish_reason(self) -> str | None:
        """Why it ended, in OpenAI's word."""
        return OPENAI_FINISH.get(self.finish, self.finish) if self.finish else None

    shape = (
        ("index", "index"),
        ("message", "message"),
        ("logprobs", "logprobs"),
        ("finish_reason", "finish_reason"),
    )


class _Answered(Struct, OpenAIShape, omit_defaults=True, kw_only=True):
    """What every reply has; the engine fills in what stands below `request_id`."""

    id: str | None = None
    model: str | None = None
    """The model that answered, as the provider names it."""
    usage: Usage | None = None
    service_tier: str | None = None
    """The tier that served the call, in the provider's word; it decides the price."""
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None

    request_id: str | None = None
    """The provider's id of the request (a header), for its support desk."""
    provider: str | None = None
    signer: str | None = None
    """Whose signatures are in it (`Facts.signer`)."""
    target: str | None = None
    """The target that answered, `provider/model`."""
    cost: Cost | None = None
    loss: tuple[Loss, ...] = ()
    """What could not be said to the target, field by field."""
    seconds: float | None = None
    """From the call to the last byte."""
    route: Decision | None = None
    """How its target was found, and what was tried."""
    body: bytes | None = None
    """The provider's body as it came; None for a stream."""

    @property
    def finish(self) -> str | None:
        """Why it ended, in our words; None where there is nothing to end."""
        return None

    @property
    def raw(self) -> Any:
        """The provider's body, parsed; None for a stream."""
        return msgspec.json.decode(self.body) if self.body else None


class Reply(_Answered, kw_only=True):
    """The answer to a chat request.

    `.message`, `.text` and `.tool_calls` are those of the first choice. `.cost` is in US dollars, None where the price
    is unknown. Treat a reply as a value.
    """

    created: int | None = None
    """Seconds since 1970, if the provider said."""
    choices: tuple[Choice, ...] = ()
    parsed: Any = None
    """The object that `response_format` asked for."""

    @property
    def message(self) -> Message:
        """The first choice's message."""
        return self.choices[0].message

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].message.text if self.choices else ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The first choice's tool calls, empty where there are none."""
        return self.choices[0].message.tool_calls or () if self.choices else ()

    @property
    def finish(self) -> str | None:
        """Why the first choice ended, in our words."""
        return self.choices[0].finish if self.choices else None

    @property
    def object(self) -> str:
        """OpenAI's name for a whole reply."""
        return "chat.completion"

    def to_message(self) -> Message:
        """The message that continues the conversation: append it, then the tools' results or the next question."""
        return replace(self.message, signer=self.signer)

    shape = tuple((name, name) for name in ("id", "object", "created", "model", "choices", "usage", "service_tier"))


class EmbeddingReply(_Answered, kw_only=True):
    """Vectors in the order of the input."""

    vectors: tuple[tuple[float, ...], ...] = ()
    encoding_format: str | None = None
    """The form in which they came, or in which the caller wants them: `float` or `base64` (little-endian float32)."""

    @property
    def data(self) -> tuple[VectorView, ...]:
        """The vectors in OpenAI's shape: `reply.data[0].embedding`."""
        return tuple(VectorView(index, [*vector]) for index, vector in enumerate(self.vectors))

    @property
    def object(self) -> str:
        """OpenAI's name for a list."""
        return "list"

    shape = tuple((name, name) for name in ("object", "data", "model", "usage"))


class VectorView(Struct, OpenAIShape, frozen=True):
    """One vector as OpenAI shows it."""

    index: int
    embedding: list[float]

    @property
    def object(self) -> str:
        """OpenAI's name for it."""
        return "embedding"

    shape = tuple((name, name) for name in ("object", "index", "embedding"))


class RerankReply(_Answered, kw_only=True):
    """Documents in the order of their relevance, the best first."""

    results: tuple[Ranked, ...] = ()

    shape = (("id", "id"), ("results", "results"))


class Ranked(Struct, OpenAIShape, frozen=True, omit_defaults=True):
    """One document's place: `index` is its place in the request, `score` its relevance, mostly between 0 and 1."""

    index: int
    score: float
    document: str | Extra | None = None
    extra: Extra = field(default_factory=dict)

    @property
    def relevance_score(self) -> float:
        """The score, as Cohere and its followers call it."""
        return self.score

    shape = (("index", "index"), ("relevance_score", "relevance_score"), ("document", "document"))


class ModerationReply(_Answered, kw_only=True):
    """What was found in each input, in their order."""

    results: tuple[Moderated, ...] = ()

    shape = (("id", "id"), ("model", "model"), ("results", "results"))


class Moderated(Struct, OpenAIShape, frozen=True, omit_defaults=True):
    """What was found in one input: by category, whether it is forbidden, and how sure the model is (0 to 1)."""

    flagged: bool
    categories: dict[str, bool] = field(default_factory=dict)
    category_scores: dict[str, float] = field(default_factory=dict)
    extra: Extra = field(default_factory=dict)

    shape = tuple((name, name) for name in ("flagged", "categories", "category_scores"))


class TokenCount(_Answered, kw_only=True):
    """How many tokens a chat request would put in: `estimated` when we counted, not the provider."""

    input_tokens: int = 0
    estimated: bool = False

    shape = (("input_tokens", "input_tokens"),)


AnyReply = Reply | EmbeddingReply | RerankReply | ModerationReply | TokenCount
"""What may come back, whole."""


class Accumulator:
    """Folds a stream's events into the reply that the same answer would have been without streaming."""

    def __init__(self) -> None:
        self._reply = Reply()
        self._choices: dict[int, _Growing] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events in."""
        for event in events:
            match event:
                case Started():
                    self._start(event)
                case UsageReported():
                    self._reply.usage = event.usage
                    self._reply.extra.update(event.extra)
                case Noted(of="reply"):
                    self._reply.extra.update(event.extra)
                case _:
                    growing = self._choices.get(event.choice)
                    if growing is None:
                        growing = self._choices[event.choice] = _Growing()
                    growing.add(event)

    def _start(self, event: Started) -> None:
        """A later one corrects what it names: some servers know the model late."""
        reply = self._reply
        reply.id, reply.model = event.id or reply.id, event.model or reply.model
        reply.created, reply.dialect = event.created or reply.created, event.dialect
        reply.extra.update(event.extra)
        reply.service_tier = reply.extra.pop("service_tier", None) or reply.service_tier

    def reply(self) -> Reply:
        """What has arrived so far."""
        reply = self._reply
        reply.choices = tuple(self._choices[index].choice(index, reply.dialect) for index in sorted(self._choices))
        return reply


class _Growing:
    """A choice that is still being written: pieces by part, joined once at the end."""

    def __init__(self) -> None:
        self.parts: dict[int, _Piece | AnyPart] = {}
        self.extra: Extra = {}
        self.choice_extra: Extra = {}
        self.finished: Finished | None = None
        self.logprobs: list[Any] = []

    def piece(self, index: int, kind: type[AnyPart]) -> _Piece:
        piece = self.parts.get(index)
        if not isinstance(piece, _Piece):
            piece = self.parts[index] = _Piece(kind)
        return piece

    def add(self, event: Event) -> None:
        match event:
            case TextDelta():
                piece = self.piece(event.index, Text)
                piece.words.append(event.delta)
                piece.extra.update(event.extra)
                if event.logprobs is not None:
                    self.logprobs.append(event.logprobs)
            case RefusalDelta():
                self.piece(event.index, Refusal).words.append(event.delta)
                if event.logprobs is not None:
                    self.logprobs.append(event.logprobs)
            case ThinkingDelta():
                piece = self.piece(event.index, Thinking)
                piece.words.append(event.delta)
                piece.extra.update(event.extra)
            case ThinkingSigned():
                piece = self.piece(event.index, Thinking)
                piece.signature, piece.dialect = (piece.signature or "") + event.signature, event.dialect
            case ToolCallStarted():
                piece = self.piece(event.index, ToolCall)
                piece.id, piece.name, piece.extra = event.id, event.name, dict(event.extra)
                piece.signature, piece.dialect = event.signature, event.dialect
            case ArgumentsDelta():
                self.piece(event.index, ToolCall).words.append(event.delta)
            case Cited():
                self.piece(event.index, Text).citations.append(event.citation)
            case PartAdded():
                self.parts[event.index] = event.part
            case PartEnded() if event.extra:
                self.part_ended(event)
            case Noted():
                (self.extra if event.of == "message" else self.choice_extra).update(event.extra)
            case Finished():
                self.finished = event
            case _:
                pass

    def part_ended(self, event: PartEnded) -> None:
        part = self.parts.get(event.index)
        if isinstance(part, _Piece):
            part.extra.update(event.extra)
        elif part is not None:
            self.parts[event.index] = replace(part, extra={**part.extra, **event.extra})

    def choice(self, index: int, dialect: str | None) -> Choice:
        parts = tuple(
            piece.part() if isinstance(piece, _Piece) else piece for _, piece in sorted(self.parts.items(), key=_first)
        )
        end = self.finished
        return Choice(
            Message("assistant", parts, extra=self.extra, dialect=dialect),
            finish=end.finish if end else None,
            index=index,
            word=end.word if end else None,
            stop_sequence=end.stop_sequence if end else None,
            logprobs=_joined(self.logprobs),
            extra={**(end.extra if end else {}), **self.choice_extra},
        )


class _Piece:
    """A part that is still being written."""

    __slots__ = ("citations", "dialect", "extra", "id", "kind", "name", "signature", "words")

    def __init__(self, kind: type[AnyPart]) -> None:
        self.kind = kind
        self.words: list[str] = []
        self.citations: list[Citation] = []
        self.extra: Extra = {}
        self.signature: str | None = None
        self.dialect: str | None = None
        self.id = self.name = ""

    def part(self) -> AnyPart:
        words = "".join(self.words)
        if self.kind is ToolCall:
            return ToolCall(self.id, self.name, words or "{}", self.signature, self.dialect, extra=self.extra)
        if self.kind is Thinking:
            return Thinking(words, self.signature, dialect=self.dialect, extra=self.extra)
        if self.kind is Refusal:
            return Refusal(words, extra=self.extra)
        return Text(words, tuple(self.citations), extra=self.extra)


def _first(item: tuple[int, Any]) -> int:
    return item[0]


def _joined(logprobs: list[Any]) -> Any:
    """OpenAI streams log probabilities as objects of lists: joined list by list, as the whole reply has them."""
    if not logprobs:
        return None
    whole: dict[str, Any] = {}
    for piece in logprobs:
        for name, value in piece.items():
            before = whole.get(name)
            whole[name] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value
    return whole
