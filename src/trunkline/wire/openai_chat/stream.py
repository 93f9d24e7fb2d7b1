"""Streamed chat completions: read, written, and watched while they pass through."""

from __future__ import annotations

import contextlib
import re
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import CutOff, ResponseParseError, TrunklineError
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Event,
    Finished,
    PartAdded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.parts import Opaque
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.fields import an_object
from trunkline.wire.sse import Frames, data_of, frame

from .errors import envelope, hidden_error
from .messages import REASONING_KEYS, name, thought_of
from .reply import finish_from_word, finish_word, usage_from_wire, usage_to_wire

DONE = b"[DONE]"


def decoder() -> ChatDecoder:
    """A reader for one stream."""
    return ChatDecoder()


def encoder(request: Request) -> ChatEncoder:
    """A writer for the stream that answers `request`."""
    return ChatEncoder(request.include_usage)


def tap(words: Words) -> ChatTap:
    """A watcher for the stream that answers `words` and passes through."""
    options = words.fields.get("stream_options")
    return ChatTap(options is not None and bool(an_object(msgspec.json.decode(options)).get("include_usage")))


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: an error chunk, and no `[DONE]`."""
    return frame(msgspec.json.encode(envelope(error)))


class _Growing:
    """Where the deltas of one choice go: which part is open, and which tool call has which place."""

    __slots__ = ("calls", "finished", "parts", "started")

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        """What is open by kind of delta, and its place in the message."""
        self.calls: dict[int, tuple[int, int, str]] = {}
        """The wire's index of a call: our part index, the call's ordinal, its id."""
        self.started = 0
        """How many calls there have been."""
        self.finished = False

    def place(self, kind: str) -> int:
        at = self.parts.get(kind)
        if at is None:
            at = self.parts[kind] = len(self.parts)
        return at


class ChatDecoder:
    """Reads a provider's stream. Terminal is `[DONE]`; servers without it must have finished every choice."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._choices: dict[int, _Growing] = {}
        self._started = False
        self._ended = False
        self._broken: TrunklineError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. An error among them is raised once what came before is handed on."""
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        try:
            for piece in self._frames.feed(data):
                self._read(data_of(piece), events)
        except TrunklineError as error:
            if not events:
                raise
            self._broken = error
        return events

    def close(self) -> list[Event]:
        """The last events; CutOff where the stream did not end properly."""
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        rest = data_of(self._frames.close() + b"\n\n")
        if rest:
            with contextlib.suppress(ResponseParseError):  # half an event: the missing terminal says so below
                self._read(rest, events)
        if not self._ended:
            if not (self._choices and all(choice.finished for choice in self._choices.values())):
                raise CutOff("the stream ended before the answer was complete", dialect=name)
            self._ended = True
            events.append(Ended())
        return events

    def _read(self, data: bytes, events: list[Event]) -> None:
        if not data or self._ended:
            return
        if data.strip() == DONE:
            self._ended = True
            events.append(Ended())
            return
        try:
            chunk: Any = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ResponseParseError("the stream holds an event that is no JSON", dialect=name, body=data) from None
        if not isinstance(chunk, dict):
            raise ResponseParseError("the stream holds an event that is no object", dialect=name, body=data)
        self._chunk(cast("Json", chunk), events)

    def _chunk(self, chunk: Json, events: list[Event]) -> None:
        if chunk.get("error"):
            raise hidden_error(chunk)
        choices: list[Json] = chunk.get("choices") or []
        if not self._started and (choices or chunk.get("id")):
            self._started = True
            rest = {key: value for key, value in chunk.items() if key not in _FRAMING and value is not None}
            events.append(
                Started(id=chunk.get("id") or None, model=chunk.get("model"), created=chunk.get("created"), extra=rest)
            )
        for choice in choices:
            self._choice(choice, events)
        usage = chunk.get("usage")
        if usage:
            events.append(UsageReported(usage=usage_from_wire(usage)))

    def _choice(self, choice: Json, events: list[Event]) -> None:
        at: int = choice.get("index") or 0
        growing = self._choices.get(at)
        if growing is None:
            growing = self._choices[at] = _Growing()
        delta: Json = choice.get("delta") or {}
        for key in REASONING_KEYS:
            if thought := delta.get(key):
                place = growing.place("thinking")
                events.append(ThinkingDelta(choice=at, delta=thought, index=place, extra={"key": key}))
                break
        content: Any = delta.get("content")
        if isinstance(content, list):
            self._content(cast("list[Any]", content), at, growing, events)
        elif content:
            logprobs = choice.get("logprobs")
            events.append(TextDelta(choice=at, delta=content, index=growing.place("text"), logprobs=logprobs))
        if refusal := delta.get("refusal"):
            place = growing.place("refusal")
            events.append(RefusalDelta(choice=at, delta=refusal, index=place, logprobs=choice.get("logprobs")))
        for call in delta.get("tool_calls") or ():
            self._call(call, at, growing, events)
        for citation in delta.get("annotations") or ():
            place = growing.place(f"annotation {len(growing.parts)}")
            events.append(PartAdded(choice=at, part=Opaque(name, {"annotation": citation}), index=place))
        word = choice.get("finish_reason")
        if word and not growing.finished:
            growing.finished = True
            finish = finish_from_word(word, called=bool(growing.calls)) or word
            events.append(Finished(choice=at, finish=finish, word=word))

    def _content(self, content: list[Any], at: int, growing: _Growing, events: list[Event]) -> None:
        """Content in parts, reasoning among them (docs.mistral.ai)."""
        for part in map(an_object, content):
            if thought := thought_of(part):
                events.append(ThinkingDelta(choice=at, delta=thought, index=growing.place("thinking")))
            if text := part.get("text"):
                events.append(TextDelta(choice=at, delta=text, index=growing.place("text")))

    def _call(self, call: Json, at: int, growing: _Growing, events: list[Event]) -> None:
        """A piece of a tool call. Its index names it; a new id under an old index is another call."""
        function: Json = call.get("function") or {}
        call_id: str = call.get("id") or ""
        tool: str = function.get("name") or ""
        index: int | None = call.get("index")
        if index is None:  # a server without indices: what names nothing goes on with the latest
            index = len(growing.calls) if call_id or tool or not growing.calls else len(growing.calls) - 1
        before = growing.calls.get(index)
        if before is None or (call_id and call_id != before[2] and tool):
            place, ordinal = growing.place(f"call {growing.started}"), growing.started
            growing.started += 1
            growing.calls[index] = (place, ordinal, call_id)
            extra = {key: value for key, value in call.items() if key not in _CALL}
            started = ToolCallStarted(choice=at, id=call_id, name=tool, index=place, call=ordinal, extra=extra)
            events.append(started)
        place, ordinal, _ = growing.calls[index]
        arguments: Any = function.get("arguments")
        if arguments:
            if not isinstance(arguments, str):  # some servers give the object itself
                arguments = msgspec.json.encode(arguments).decode()
            events.append(ArgumentsDelta(choice=at, delta=arguments, index=place, call=ordinal))


_CALL = frozenset({"index", "id", "type", "function"})
_FRAMING = frozenset({"id", "object", "created", "model", "choices", "usage"})


_SIGNED = "extra_content"
"""What some servers sign a call with (ai.google.dev/gemini-api/docs/openai); it must come back. Other keys of a call
may be another API's."""


class ChatEncoder:
    """Writes a stream for a caller: role once, deltas, one finish a choice, usage if asked for, `[DONE]`."""

    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._usage: Usage | None = None
        self._spoken: set[int] = set()

    def encode(self, events: list[Event]) -> bytes:
        """These events as chunks."""
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._delta(event.choice, {"content": event.delta}, logprobs=event.logprobs)
            case ThinkingDelta():
                return self._delta(event.choice, {event.extra.get("key", "reasoning_content"): event.delta})
            case ToolCallStarted():
                function = {"name": event.name, "arguments": ""}
                call: Json = {"index": event.call, "id": event.id, "type": "function", "function": function}
                if _SIGNED in event.extra:
                    call[_SIGNED] = event.extra[_SIGNED]
                return self._delta(event.choice, {"tool_calls": [call]})
            case ArgumentsDelta():
                call = {"index": event.call, "function": {"arguments": event.delta}}
                return self._delta(event.choice, {"tool_calls": [call]})
            case RefusalDelta():
                return self._delta(event.choice, {"refusal": event.delta}, logprobs=event.logprobs)
            case Finished():
                return self._delta(event.choice, {}, finish_word(event.finish))
            case Started():
                self._head["id"], self._head["model"] = event.id or "", event.model or ""
                self._head["created"] = event.created or 0
                return b""
            case UsageReported():
                self._usage = event.usage
                return b""
            case PartAdded(part=Opaque(dialect="openai_chat", body={"annotation": citation})):
                return self._delta(event.choice, {"annotations": [citation]})
            case Ended():
                return self._end()
            case _:
                return b""

    def _delta(self, choice: int, delta: Json, finish: str | None = None, logprobs: Any = None) -> bytes:
        if choice not in self._spoken:
            self._spoken.add(choice)
            delta = (
                {"role": "assistant", "content": "", **delta}
                if "content" not in delta
                else {"role": "assistant", **delta}
            )
        wire: Json = {"index": choice, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            wire["logprobs"] = logprobs
        return frame(msgspec.json.encode({**self._head, "choices": [wire]}))

    def _end(self) -> bytes:
        usage = b""
        if self._include_usage and self._usage is not None:
            usage = frame(msgspec.json.encode({**self._head, "choices": [], "usage": usage_to_wire(self._usage)}))
        return usage + frame(DONE)


_NOTABLE = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:\s*[^n\s]|"finish_reason"\s*:\s*"')
"""What a chunk must hold to be worth decoding once the first content is known. Inside a JSON string the quotes are
escaped, so text cannot look like this; should it ever, the decoder tells."""


class ChatTap:
    """Watches a stream that passes through: whole frames go on as they came."""

    def __init__(self, include_usage: bool) -> None:
        self.content = False
        self.ended = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.tier: str | None = None
        self._include_usage = include_usage
        self._frames = Frames()
        self._decoder = ChatDecoder()
        self._broken: TrunklineError | None = None

    def feed(self, data: bytes) -> bytes:
        """The whole frames among these bytes, without the usage chunk that only we had asked for.

        An error among them is raised once what came before has been passed on.
        """
        if self._broken is not None:
            raise self._broken
        frames = self._frames.feed(data)
        whole = b"".join(frames)
        if self.content and not _NOTABLE.search(whole) and DONE not in whole:
            return whole
        return self._watch(frames)

    def close(self) -> bytes:
        """What is left at the end; CutOff where the stream did not end properly."""
        if self._broken is not None:
            raise self._broken
        rest, kept = self._frames.close(), b""
        with contextlib.suppress(ResponseParseError):  # half an event: the missing terminal says so below
            kept = rest if self._watch([rest + b"\n\n"]) else b""
        if self._broken is not None:
            raise self._broken
        if not self.ended and self.finish is None:
            raise CutOff("the stream ended before the answer was complete", dialect=name)
        self.ended = True
        return kept

    def _watch(self, frames: list[bytes]) -> bytes:
        kept: list[bytes] = []
        try:
            for piece in frames:
                if self._keep(piece):
                    kept.append(piece)
        except TrunklineError as error:
            if not kept:
                raise
            self._broken = error
        return b"".join(kept)

    def _keep(self, piece: bytes) -> bool:
        if self.content and not _NOTABLE.search(piece) and DONE not in piece:
            return True
        unasked = False
        for event in self._decoder.feed(piece):
            if event.content:
                self.content = True
            match event:
                case Finished(choice=0):
                    self.finish = event.finish
                case Started():
                    self.tier = event.extra.get("service_tier")
                case UsageReported():
                    self.usage = event.usage
                    unasked = not self._include_usage
                case Ended():
                    self.ended = True
                case _:
                    pass
        return not (unasked and _USAGE_ONLY.search(piece))


_USAGE_ONLY = re.compile(rb'"choices"\s*:\s*\[\s*\]')
