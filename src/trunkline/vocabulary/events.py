"""Events: a reply, piece by piece.

A stream of any API becomes these. A delta adds to the part with its `index` (position in the choice's message) and, by
arriving, opens it. Content events are what a caller can see; everything else frames them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from msgspec import Struct, field

from .parts import AnyPart, Citation, Extra
from .usage import Usage
from .view import OpenAIShape


class Event(Struct, OpenAIShape, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """One thing that happened on a stream."""

    content: ClassVar[bool] = False
    """Whether a caller can see it: the first such event commits the stream to its target."""

    choice: int = 0

    @property
    def text(self) -> str:
        """The text that this event adds: empty for all but text deltas."""
        return ""

    @property
    def letters(self) -> int:
        """How many letters of content it adds."""
        return len(getattr(self, "delta", ""))

    @property
    def choices(self) -> tuple[ChoiceView, ...]:
        """The event as an OpenAI chunk shows it: `event.choices[0].delta.content`."""
        delta, finish = _delta(self)
        return (ChoiceView(self.choice, DeltaView(**delta), finish),) if delta is not None else ()

    @property
    def object(self) -> str:
        """OpenAI's name for a stream's chunk."""
        return "chat.completion.chunk"

    shape = (("object", "object"), ("choices", "choices"))


class Started(Event, tag="started", frozen=True):
    """The reply has begun: its id and the model that serves it. A later one corrects what it names."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    """Seconds since 1970."""
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None
    """The dialect that is spoken: whose the unknown keys of all events are."""


class TextDelta(Event, tag="text", frozen=True):
    """More text of the part `index`."""

    content: ClassVar[bool] = True
    delta: str
    index: int = 0
    logprobs: Any = None
    extra: Extra = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text that this event adds."""
        return self.delta


class RefusalDelta(Event, tag="refusal", frozen=True):
    """More of the model's words for declining."""

    content: ClassVar[bool] = True
    delta: str
    index: int = 0
    logprobs: Any = None


class ThinkingDelta(Event, tag="thinking", frozen=True):
    """More visible reasoning."""

    content: ClassVar[bool] = True
    delta: str
    index: int = 0
    extra: Extra = field(default_factory=dict)


class ThinkingSigned(Event, tag="signature", frozen=True):
    """The signature of the reasoning in part `index`, for the dialect that gave it only."""

    content: ClassVar[bool] = True
    signature: str
    dialect: str
    index: int = 0


class ToolCallStarted(Event, tag="tool_call", frozen=True):
    """The model begins to ask for a tool; its arguments follow."""

    content: ClassVar[bool] = True
    id: str
    name: str
    index: int = 0
    call: int = 0
    """Its place among the choice's tool calls."""
    signature: str | None = None
    dialect: str | None = None
    """The dialect whose signature it is."""
    extra: Extra = field(default_factory=dict)


class ArgumentsDelta(Event, tag="arguments", frozen=True):
    """More of a tool call's arguments: a piece of JSON text, cut anywhere."""

    content: ClassVar[bool] = True
    delta: str
    index: int = 0
    call: int = 0


class Cited(Event, tag="citation", frozen=True):
    """A source for the text in part `index`."""

    content: ClassVar[bool] = True
    citation: Citation
    index: int = 0


class PartAdded(Event, tag="part", frozen=True):
    """A part that comes whole: redacted reasoning, server tools, images."""

    content: ClassVar[bool] = True
    part: AnyPart
    index: int = 0


class Noted(Event, tag="noted", frozen=True):
    """Keys that have no word here; a later one with the same key replaces it."""

    extra: Extra
    of: Literal["message", "choice", "reply"] = "message"


class PartEnded(Event, tag="part_ended", frozen=True):
    """Part `index` is complete. Only some APIs say so."""

    index: int = 0
    extra: Extra = field(default_factory=dict)
    """Unknown keys of the part that are known only now."""


class Finished(Event, tag="finished", frozen=True):
    """A choice is complete."""

    finish: str
    """Why, in our words (`replies.FINISHES`)."""
    word: str | None = None
    """Why, in the provider's word."""
    stop_sequence: str | None = None
    extra: Extra = field(default_factory=dict)


class UsageReported(Event, tag="usage", frozen=True):
    """The count so far; a later one replaces it whole."""

    usage: Usage
    extra: Extra = field(default_factory=dict)


class Ended(Event, tag="ended", frozen=True):
    """The terminal event: without it a stream was cut."""


class Unknown(Event, tag="unknown", frozen=True):
    """An event that only its dialect understands, kept whole."""

    dialect: str
    body: Any


class ToolCallDeltaView(Struct, OpenAIShape, frozen=True):
    """A piece of a tool call as an OpenAI chunk shows it."""

    index: int
    id: str | None
    function: FunctionDeltaView

    shape = (("index", "index"), ("id", "id"), ("function", "function"))


class FunctionDeltaView(Struct, OpenAIShape, frozen=True):
    """The inside of a tool call's piece."""

    name: str | None
    arguments: str

    shape = (("name", "name"), ("arguments", "arguments"))


class DeltaView(Struct, OpenAIShape, frozen=True):
    """What an event adds, as an OpenAI chunk shows it."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCallDeltaView, ...] | None = None

    shape = tuple((name, name) for name in ("role", "content", "refusal", "reasoning_content", "tool_calls"))


class ChoiceView(Struct, OpenAIShape, frozen=True):
    """A choice of an OpenAI chunk."""

    index: int
    delta: DeltaView
    finish_reason: str | None

    shape = tuple((name, name) for name in ("index", "delta", "finish_reason"))


def _delta(event: Event) -> tuple[dict[str, Any] | None, str | None]:
    """The fields of a delta view and a finish reason; (None, None) for events that OpenAI has no choice for."""
    match event:
        case TextDelta():
            return {"content": event.delta}, None
        case ThinkingDelta():
            return {"reasoning_content": event.delta}, None
        case RefusalDelta():
            return {"refusal": event.delta}, None
        case ToolCallStarted():
            call = ToolCallDeltaView(event.call, event.id, FunctionDeltaView(event.name, ""))
            return {"tool_calls": (call,)}, None
        case ArgumentsDelta():
            call = ToolCallDeltaView(event.call, None, FunctionDeltaView(None, event.delta))
            return {"tool_calls": (call,)}, None
        case Started():
            return {"role": "assistant"}, None
        case Finished():
            return {}, OPENAI_FINISH.get(event.finish, event.finish)
        case _:
            return None, None


OPENAI_FINISH = {"refusal": "stop", "pause": "stop", "stop_sequence": "stop", "context_window": "length"}
"""Our finishes for which OpenAI has another word; the others are OpenAI's own."""
