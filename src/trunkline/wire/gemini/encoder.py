"""The encoder: events of any dialect as chunks that the Gemini SDKs read.

A call is written whole, so its arguments are collected until they are complete, and what comes after it waits. Why it
ended, the count and the sources stand in the last chunk. This dialect's own events bring the frame of every chunk along
(`stream`): then each is written as it came, with the parts that the events tell.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Event,
    Finished,
    PartAdded,
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    Unknown,
    UsageReported,
)
from trunkline.vocabulary.parts import AnyPart, Citation, Extra, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.sse import frame

from .grounding import grounding_of
from .parts import name, part_to_wire
from .reply import foreign_parts, logprobs_to_wire, usage_to_wire, word_of
from .spelling import public


class _Call:
    """A call whose arguments are still coming."""

    __slots__ = ("complete", "started", "words")

    def __init__(self, started: ToolCallStarted) -> None:
        self.started = started
        self.words: list[str] = []
        self.complete = False

    def part(self) -> ToolCall:
        """The call as a part."""
        said = self.started
        words = "".join(self.words) or "{}"
        return ToolCall(said.id, said.name, words, said.signature, said.dialect, extra=said.extra)


class _Speech:
    """What one choice has to say: parts that wait for their chunk, in order."""

    def __init__(self, *, own: bool) -> None:
        self._own = own
        self._waiting: list[AnyPart | _Call] = []
        self._calls: dict[int, _Call] = {}
        self._texts: dict[int, list[str]] = {}
        self._citations: dict[int, list[Citation]] = {}
        self._logprobs: list[Json] = []
        self.finished: Finished | None = None

    def add(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case TextDelta():
                self._text(event.delta, event.index, event.extra)
                if event.logprobs is not None and not self._own:
                    self._logprobs.append(event.logprobs)
            case RefusalDelta():
                self._text(event.delta, event.index, {})
            case ThinkingDelta():
                self._waiting.append(Thinking(event.delta, extra=event.extra if self._own else {}))
            case ThinkingSigned(dialect="gemini"):
                self._sign(event.signature)
            case ToolCallStarted():
                call = self._calls[event.index] = _Call(event if self._own else replace(event, extra={}))
                self._waiting.append(call)
            case ArgumentsDelta() if (call := self._calls.get(event.index)) is not None:
                call.words.append(event.delta)
            case PartEnded() if (call := self._calls.get(event.index)) is not None:
                call.complete = True
            case PartAdded():
                self._waiting.append(event.part)
            case Cited():
                self._citations.setdefault(event.index, []).append(event.citation)
            case Finished():
                self.finished = event
            case _:
                pass

    def _text(self, delta: str, index: int, extra: Extra) -> None:
        self._waiting.append(Text(delta, extra=extra if self._own else {}))
        if not self._own:
            self._texts.setdefault(index, []).append(delta)

    def _sign(self, signature: str) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, Thinking) and last.signature is None:
            self._waiting[-1] = replace(last, signature=signature, dialect=name)
        else:
            self._waiting.append(Thinking("", signature, dialect=name))

    def parts(self, *, final: bool = False) -> list[Json]:
        """What can be written now: what waits behind a call that is not complete waits on."""
        ready: list[AnyPart] = []
        for at, one in enumerate(self._waiting):
            if isinstance(one, _Call):
                if not (final or one.complete):
                    self._waiting = self._waiting[at:]
                    return self._written(ready)
                ready.append(one.part())
            else:
                ready.append(one)
        self._waiting = []
        return self._written(ready)

    def _written(self, parts: list[AnyPart]) -> list[Json]:
        if self._own:
            return [wire for part in parts if (wire := part_to_wire(part)) is not None]
        return foreign_parts(parts)

    def forget(self, index: int) -> None:
        """A call that stands in the chunk as it came."""
        call = self._calls.get(index)
        self._waiting = [one for one in self._waiting if one is not call]

    def said_beside(self) -> Json:
        """What the last chunk says beside the content."""
        wire: Json = {}
        texts = [("".join(words), self._citations.get(at, ())) for at, words in sorted(self._texts.items())]
        if metadata := grounding_of(texts):
            wire["groundingMetadata"] = metadata
        listed = [token for one in self._logprobs for token in one.get("content") or ()]
        if listed:
            wire["logprobsResult"] = logprobs_to_wire({"content": listed})
        return wire


class GeminiEncoder:
    """Writes a stream for a caller."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._started = Started()
        self._own = False
        self._framed = False
        """The chunks are written from their own frames."""
        self._speeches: dict[int, _Speech] = {}
        self._usage: Usage | None = None

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them."""
        written: list[bytes] = []
        for event in events:
            match event:
                case Unknown(dialect="gemini") if self._own:
                    self._framed = True
                    written.append(self._from_frame(event.body))
                case Unknown():
                    pass
                case Started():
                    self._started, self._own = event, event.dialect == name
                case UsageReported():
                    self._usage = event.usage
                case Ended():
                    written.append(self._end())
                case _:
                    self._speech(event.choice).add(event)
        if not self._own:
            written.append(self._now())
        return b"".join(written)

    def _speech(self, choice: int) -> _Speech:
        speech = self._speeches.get(choice)
        if speech is None:
            speech = self._speeches[choice] = _Speech(own=self._own)
        return speech

    def _from_frame(self, body: Json) -> bytes:
        """A chunk as it came, its parts from the events."""
        for choice, index in body.get("raw") or ():
            self._speech(choice).forget(index)
        chunk: Json = body["chunk"]
        candidates: list[Json] = []
        for at, shell in enumerate(cast("list[Json]", chunk.get("candidates") or [])):
            index = shell.get("index")
            parts = self._speech(index if isinstance(index, int) else at).parts(final=True)
            candidates.append(_filled(shell, parts))
        return frame(msgspec.json.encode({**chunk, "candidates": candidates} if candidates else chunk))

    def _now(self) -> bytes:
        """What can be said already."""
        candidates: list[Json] = []
        for choice, speech in self._speeches.items():
            if parts := speech.parts(final=speech.finished is not None):
                candidates.append({"content": {"parts": parts, "role": "model"}, "index": choice})
        return self._chunk({"candidates": candidates}) if candidates else b""

    def _end(self) -> bytes:
        """The last chunk: why it ended, and what it used."""
        if self._framed:
            return b""
        candidates: list[Json] = []
        for choice, speech in self._speeches.items():
            parts = speech.parts(final=True) or [{"text": ""}]
            wire: Json = {"content": {"parts": parts, "role": "model"}}
            end = speech.finished
            if end is not None and (word := word_of(end.finish, end.word if self._own else None)) is not None:
                wire["finishReason"] = word
            wire["index"] = choice
            beside = public(end.extra) if self._own and end is not None else speech.said_beside()
            candidates.append({**wire, **beside})
        chunk: Json = {"candidates": candidates} if candidates else {}
        if self._usage is not None:
            tier = self._started.extra.get("service_tier")
            chunk["usageMetadata"] = usage_to_wire(self._usage, tier, own=self._own)
        return self._chunk(chunk)

    def _chunk(self, chunk: Json) -> bytes:
        started = self._started
        head: Json = {"modelVersion": started.model or self._model}
        if started.id is not None:
            head["responseId"] = started.id
        return frame(msgspec.json.encode({**chunk, **head}))


def _filled(shell: Json, parts: list[Json]) -> Json:
    """A candidate with its parts where they stood; what is more comes after them."""
    content: Any = shell.get("content")
    placed: list[Any] = list(an_object(content).get("parts") or [])
    waiting = iter(parts)
    filled = [next(waiting, None) if part is None else part for part in placed]
    filled = [part for part in [*filled, *waiting] if part is not None]
    if not filled and not placed:
        return shell
    return {**shell, "content": {**cast("Json", content or {"role": "model"}), "parts": filled}}
