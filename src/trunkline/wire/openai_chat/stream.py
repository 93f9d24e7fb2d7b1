"""Streamed chat completions: read, written, and watched while they pass through."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Event,
    Finished,
    Noted,
    PartAdded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.parts import Audio, Opaque
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, said
from trunkline.wire.grammar.sse import data_of, frame
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .errors import envelope, hidden_error
from .messages import (
    LEGACY,
    REASONING_KEYS,
    as_read,
    audio_to_wire,
    citation_from_wire,
    citation_to_wire,
    name,
    spoken,
    thought_of,
)
from .reply import finish_from_word, finish_word, usage_from_wire, usage_to_wire
from .request import asks_for_usage
from .signing import signed, take_signature

DONE = b"[DONE]"


def decoder() -> ChatDecoder:
    """A reader for one stream."""
    return ChatDecoder()


def encoder(request: Request) -> ChatEncoder:
    """A writer for the stream that answers `request`."""
    return ChatEncoder(request.include_usage)


def tap(words: Words) -> ChatTap:
    """A watcher for the stream that answers `words` and passes through."""
    return ChatTap(asks_for_usage(words), ChatDecoder())


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: an error chunk, and no `[DONE]`."""
    return frame(msgspec.json.encode(envelope(error)))


class Growing:
    """Where the deltas of one choice go: which part is open, and which tool call has which place."""

    __slots__ = ("audio", "calls", "custom", "extra", "finished", "notes", "parts", "started")

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        """What is open by kind of delta, and its place in the message."""
        self.calls: dict[int, tuple[int, int, str]] = {}
        """The wire's index of a call: our part index, the call's ordinal, its id."""
        self.started = 0
        """How many calls there have been."""
        self.finished = False
        self.extra: Json = {}
        """Unknown keys of the choice that have not been handed on."""
        self.notes: Json = {}
        """Unknown keys of the message; what is a list or reasoning grows."""
        self.audio: Json = {}
        self.custom: dict[int, Json] = {}
        """Calls of tools that take free text."""

    def place(self, kind: str) -> int:
        at = self.parts.get(kind)
        if at is None:
            at = self.parts[kind] = len(self.parts)
        return at

    def learn(self, extra: Json) -> None:
        """Take in unknown keys of the choice; objects grow (Azure judges piece by piece)."""
        for key, value in extra.items():
            before = self.extra.get(key)
            self.extra[key] = {**an_object(before), **value} if isinstance(value, dict) else value

    def note(self, key: str, value: Any) -> None:
        """Take in an unknown key of a delta."""
        before = self.notes.get(key)
        if key in REASONING_KEYS and before is not None:
            self.notes[key] = before + value
        elif key == "reasoning_details" and isinstance(value, list):
            self.notes[key] = _details(before or [], cast("list[Any]", value))
        else:
            self.notes[key] = value

    def settled(self, choice: int) -> list[Event]:
        """What is known only when all has come: the parts that are handed on whole, and the unknown keys."""
        events: list[Event] = []
        if self.audio:
            place = self.place("audio")
            events.append(PartAdded(choice=choice, part=spoken(self.audio), index=place))
            self.audio = {}
        for index, call in self.custom.items():
            place = self.place(f"custom {index}")
            events.append(PartAdded(choice=choice, part=Opaque(name, {"tool_call": call}), index=place))
        self.custom = {}
        if self.notes:
            events.append(Noted(choice=choice, extra=self.notes))
            self.notes = {}
        return events


def _details(before: list[Any], more: list[Any]) -> list[Any]:
    """Reasoning in the form of openrouter.ai/docs: pieces of the same index and type are one."""
    merged = [dict(one) for one in map(an_object, before)]
    for piece in map(an_object, more):
        last = merged[-1] if merged else {}
        if (last.get("index"), last.get("type")) != (piece.get("index"), piece.get("type")) or not last:
            merged.append(dict(piece))
            continue
        for key, value in piece.items():
            grows = key in {"text", "summary", "data"} and isinstance(last.get(key), str) and isinstance(value, str)
            if value is not None:
                last[key] = last[key] + value if grows else value
    return merged


class ChatDecoder(StreamReader):
    """Reads a provider's stream. Terminal is `[DONE]`; servers without it must have finished every choice."""

    dialect = name

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, Growing] = {}
        self._started = False
        self._name: str | None = None
        self._model: str | None = None
        self._early: Json = {}
        """Unknown keys that came before the answer had begun."""
        self._known: Json = {}
        """Unknown keys of the answer, as far as they have been handed on."""

    def _take(self, piece: bytes, events: list[Event]) -> None:
        data = data_of(piece)
        if data[:1] == b"{":
            self._chunk(self._object(data), events)
        elif data.strip() == DONE:
            self._finish(events)
        elif data:
            self._object(data)  # which says what is wrong with it

    def _over(self, events: list[Event]) -> None:
        if not self._choices or not all(choice.finished for choice in self._choices.values()):
            super()._over(events)
        self._finish(events)

    def _finish(self, events: list[Event]) -> None:
        self._ended = True
        for at, growing in self._choices.items():
            if not growing.finished:  # a server that does not say why
                events += growing.settled(at)
                if growing.extra:
                    events.append(Noted(choice=at, extra=growing.extra, of="choice"))
        events.append(Ended())

    def _chunk(self, chunk: Json, events: list[Event]) -> None:
        if chunk.get("error"):
            raise hidden_error(chunk)
        choices: list[Json] = chunk.get("choices") or []
        news = self._news(chunk)
        if not self._started:
            if not (choices or chunk.get("id")):  # Azure judges the prompt before there is an answer
                self._early.update(news)
                return
            self._started = True
            extra, news = {**self._early, **news}, {}
            self._begin(chunk, extra, events)
        elif chunk.get("id") != self._name or chunk.get("model") != self._model:
            self._begin(chunk, {}, events)
        for choice in choices:
            self._choice(choice, events)
        usage = chunk.get("usage")
        if usage:
            events.append(UsageReported(usage=usage_from_wire(usage), extra=news))
        elif news:
            events.append(Noted(extra=news, of="reply"))

    def _begin(self, chunk: Json, extra: Json, events: list[Event]) -> None:
        """What the chunks are called: some servers know it late, or think again."""
        answer, model = chunk.get("id") or self._name, chunk.get("model") or self._model
        if (answer, model) != (self._name, self._model) or extra:
            self._name, self._model = answer, model
            created = chunk.get("created")
            events.append(Started(id=answer, model=model, created=created, extra=extra, dialect=self.dialect))

    def _news(self, chunk: Json) -> Json:
        """Unknown keys of the answer that a chunk says for the first time, or says otherwise."""
        known = self._known
        news: Json = {}
        for key, value in chunk.items():
            if key not in _FRAMING and value is not None and known.get(key) != value:
                news[key] = known[key] = value
        return news

    def _choice(self, choice: Json, events: list[Event]) -> None:
        at: int = choice.get("index") or 0
        growing = self._choices.get(at)
        if growing is None:
            growing = self._choices[at] = Growing()
        delta: Json = choice.get("delta") or {}
        logprobs = choice.get("logprobs")
        reasoning = None
        for key in REASONING_KEYS:
            if delta.get(key):
                reasoning = key
                break
        if reasoning is not None:
            place = growing.place("thinking")
            events.append(ThinkingDelta(choice=at, delta=delta[reasoning], index=place, extra={"~key": reasoning}))
        content: Any = delta.get("content")
        if isinstance(content, list):
            self._content(cast("list[Any]", content), at, growing, events)
        elif content or (logprobs is not None and not delta.get("refusal")):
            events.append(TextDelta(choice=at, delta=content or "", index=growing.place("text"), logprobs=logprobs))
        if refusal := delta.get("refusal"):
            place = growing.place("refusal")
            events.append(RefusalDelta(choice=at, delta=refusal, index=place, logprobs=logprobs))
        for call in delta.get("tool_calls") or ():
            self._call(call, at, growing, events)
        if function := delta.get("function_call"):
            self._call({"index": 0, "function": function, LEGACY: True}, at, growing, events)
        for annotation in delta.get("annotations") or ():
            events.append(Cited(choice=at, citation=citation_from_wire(annotation), index=growing.place("text")))
        if not delta.keys() <= _DELTA:
            self._unusual(delta, growing, reasoning)
        if not choice.keys() <= _CHOICE:
            growing.learn({key: value for key, value in choice.items() if key not in _CHOICE and value is not None})
        self._settle(at, growing, choice.get("finish_reason"), events)

    def _settle(self, at: int, growing: Growing, word: str | None, events: list[Event]) -> None:
        """The choice ends, or something is said of one that has ended."""
        if not word and not growing.finished:
            return
        events += growing.settled(at)
        extra, growing.extra = growing.extra, {}
        if word and not growing.finished:
            growing.finished = True
            finish = finish_from_word(word, called=bool(growing.calls)) or word
            events.append(Finished(choice=at, finish=finish, word=word, extra=extra))
        elif extra:
            events.append(Noted(choice=at, extra=extra, of="choice"))

    def _unusual(self, delta: Json, growing: Growing, reasoning: str | None) -> None:
        for key, value in delta.items():
            if value is None or (key in _DELTA and (key not in REASONING_KEYS or key == reasoning or not value)):
                continue
            if key == "audio":
                for word, said in an_object(value).items():  # its sound and its words come in pieces
                    before = growing.audio.get(word)
                    growing.audio[word] = before + said if word in {"data", "transcript"} and before else said
            else:
                growing.note(key, value)

    def _content(self, content: list[Any], at: int, growing: Growing, events: list[Event]) -> None:
        """Content in parts, reasoning among them (docs.mistral.ai)."""
        for part in map(an_object, content):
            if thought := thought_of(part):
                extra = {key: value for key, value in part.items() if key not in {"type", "thinking"}}
                place = growing.place("thinking")
                events.append(ThinkingDelta(choice=at, delta=thought, index=place, extra={**extra, "~key": "content"}))
            if text := part.get("text"):
                events.append(TextDelta(choice=at, delta=text, index=growing.place("text")))
            if part.get("type") not in {"text", "thinking"}:
                place = growing.place(f"part {len(growing.parts)}")
                events.append(PartAdded(choice=at, part=Opaque(name, part), index=place))

    def _call(self, call: Json, at: int, growing: Growing, events: list[Event]) -> None:
        """A piece of a tool call. Its index names it; a new id under an old index is another call."""
        if call.get("type") == "custom" or call.get("index") in growing.custom:
            return self._custom(call, growing)
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
            extra = {key: value for key, value in call.items() if key not in _CALL and value is not None}
            signature, dialect = take_signature(extra)
            started = ToolCallStarted(
                choice=at,
                id=call_id,
                name=tool,
                index=place,
                call=ordinal,
                signature=signature,
                dialect=dialect,
                extra=extra,
            )
            events.append(started)
        place, ordinal, _ = growing.calls[index]
        arguments: Any = function.get("arguments")
        if arguments:
            if not isinstance(arguments, str):  # some servers give the object itself
                arguments = msgspec.json.encode(arguments).decode()
            events.append(ArgumentsDelta(choice=at, delta=arguments, index=place, call=ordinal))
        return None

    def _custom(self, call: Json, growing: Growing) -> None:
        """A piece of a call whose input is free text: handed on when it is whole."""
        whole = growing.custom.setdefault(call.get("index") or 0, {"custom": {}})
        inside: Json = whole["custom"]
        for key, value in call.items():
            if key not in {"custom", "index"} and value is not None:
                whole[key] = value
        for key, value in an_object(call.get("custom")).items():
            inside[key] = inside[key] + value if key == "input" and key in inside else value


_CALL = frozenset({"index", "id", "type", "function"})
_PADDING = frozenset({"obfuscation", "p"})
"""Noise against who measures the lengths of packets: it says nothing."""
_FRAMING = frozenset({"id", "object", "created", "model", "choices", "usage", *_PADDING})
_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs", *_PADDING})
_DELTA = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "annotations", *REASONING_KEYS})


class ChatEncoder:
    """Writes a stream for a caller: role once, deltas, one finish a choice, usage if asked for, `[DONE]`."""

    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._usage: Usage | None = None
        self._spoken: set[int] = set()
        self._legacy: set[int] = set()
        self._custom = 0
        self._unsaid = False
        """The head holds news that no chunk has carried yet."""
        self._own = False
        """The events were read in this dialect: their unknown keys are its own."""

    def encode(self, events: list[Event]) -> bytes:
        """These events as chunks."""
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._delta(event.choice, {"content": event.delta}, logprobs=event.logprobs)
            case ThinkingDelta():
                return self._delta(event.choice, self._thought(event))
            case ToolCallStarted():
                return self._delta(event.choice, self._call(event))
            case ArgumentsDelta():
                if event.call in self._legacy:
                    return self._delta(event.choice, {"function_call": {"arguments": event.delta}})
                call = {"index": event.call, "function": {"arguments": event.delta}}
                return self._delta(event.choice, {"tool_calls": [call]})
            case RefusalDelta():
                return self._delta(event.choice, {"refusal": event.delta}, logprobs=event.logprobs)
            case Finished():
                extra = said(event.extra) if self._own else {}
                word = event.word if self._own and event.word else finish_word(event.finish)
                return self._delta(event.choice, {}, word, extra=extra)
            case Started():
                self._start(event)
                return b""
            case UsageReported():
                self._usage = event.usage
                if self._own and event.extra:
                    self._news(event.extra)
                return b""
            case Noted():
                return self._note(event) if self._own else b""
            case Cited():
                source = citation_to_wire(event.citation)
                return self._delta(event.choice, {"annotations": [source]}) if source is not None else b""
            case PartAdded():
                return self._part(event)
            case Ended():
                return self._end()
            case _:
                return b""

    def _start(self, event: Started) -> None:
        self._own = event.dialect == name
        head = self._head
        head["id"], head["model"] = event.id or head["id"], event.model or head["model"]
        head["created"] = event.created or head["created"]
        if self._own:
            head.update(event.extra)

    def _thought(self, event: ThinkingDelta) -> Json:
        key = as_read(event)
        if key != "content":
            return {key: event.delta}
        inside = [{"type": "text", "text": event.delta}]
        return {"content": [{"type": "thinking", "thinking": inside, **said(event.extra)}]}

    def _call(self, event: ToolCallStarted) -> Json:
        function = {"name": event.name, "arguments": ""}
        if LEGACY in event.extra:
            self._legacy.add(event.call)
            return {"function_call": function}
        call: Json = {"index": event.call, "id": event.id, "type": "function", "function": function}
        if self._own:
            call |= said(event.extra)
        return {"tool_calls": [{**call, **signed(event)}]}

    def _note(self, event: Noted) -> bytes:
        if event.of == "reply":
            self._news(event.extra)
            return b""
        if event.of == "choice":
            return self._delta(event.choice, {}, extra=said(event.extra))
        return self._delta(event.choice, said(event.extra))

    def _news(self, extra: Json) -> None:
        self._head.update(extra)
        self._unsaid = True

    def _part(self, event: PartAdded) -> bytes:
        match event.part:
            case Audio():
                return self._delta(event.choice, {"audio": audio_to_wire(event.part)})
            case Opaque(dialect="openai_chat", body={"tool_call": call}):
                self._custom += 1
                return self._delta(event.choice, {"tool_calls": [{"index": 1000 + self._custom, **call}]})
            case Opaque(dialect="openai_chat"):
                return self._delta(event.choice, {"content": [event.part.body]})
            case _:
                return b""

    def _delta(
        self, choice: int, delta: Json, finish: str | None = None, logprobs: Any = None, extra: Json | None = None
    ) -> bytes:
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
        if extra:
            wire.update(extra)
        self._unsaid = False
        return frame(msgspec.json.encode({**self._head, "choices": [wire]}))

    def _end(self) -> bytes:
        usage = b""
        if self._include_usage and self._usage is not None:
            counts = usage_to_wire(self._usage, own=self._own)
            usage = frame(msgspec.json.encode({**self._head, "choices": [], "usage": counts}))
        elif self._unsaid and self._include_usage:  # others do not expect a chunk without choices
            usage = frame(msgspec.json.encode({**self._head, "choices": []}))
        return usage + frame(DONE)


class ChatTap(StreamWatcher):
    """Watches a stream that passes through, and leaves out the usage chunk that only we had asked for."""

    notable = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:\s*[^n\s]|"finish_reason"\s*:\s*"')

    def __init__(self, include_usage: bool, decoder: ChatDecoder) -> None:
        super().__init__(decoder)
        self._include_usage = include_usage

    def _telling(self, piece: bytes) -> bool:
        return DONE in piece or self.notable.search(piece) is not None  # apart: one pattern for both is slow

    def _keep(self, piece: bytes) -> bool:
        before = self.usage
        super()._keep(piece)
        return self._include_usage or self.usage is before or not _USAGE_ONLY.search(piece)


_USAGE_ONLY = re.compile(rb'"choices"\s*:\s*\[\s*\]')
