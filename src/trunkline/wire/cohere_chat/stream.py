"""Streamed answers: read, written, and watched while they pass through.

Source: docs.cohere.com/reference/chat-stream. Content, calls and sources are each numbered by themselves; `message-end`
says why it ended and what was used, and `[DONE]` follows.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

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
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
    Unknown,
    UsageReported,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.in_order import InOrder
from trunkline.wire.grammar.sse import data_of, frame
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .errors import envelope, failed, name
from .messages import citation_from_wire, citation_to_wire, public
from .reply import finish_of, logprob_from_wire, logprobs_to_wire, shown, usage_from_wire, usage_to_wire, word_of

DONE = b"[DONE]"


def decoder() -> CohereDecoder:
    """A reader for one stream."""
    return CohereDecoder()


def encoder(request: Request) -> CohereEncoder:
    """A writer for the stream that answers `request`. There is nothing that a caller could have asked for."""
    return CohereEncoder()


def tap(words: Words) -> CohereTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return CohereTap(CohereDecoder())


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: it ends with an error, and no `[DONE]`."""
    delta = {"error": envelope(error)["message"], "finish_reason": "ERROR"}
    return _frame({"type": "message-end", "delta": delta})


class CohereDecoder(StreamReader):
    """Reads a provider's stream. Terminal is `[DONE]`; servers without it must have said why the answer ended."""

    dialect = name

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], int] = {}
        """The API's number of a content, a call or the plan, and its place in the message."""
        self._texts: list[int] = []
        """The places of texts."""
        self._started = False
        self._finished = False

    def _take(self, piece: bytes, events: list[Event]) -> None:
        data = data_of(piece)
        if data.strip() == DONE:
            self._over(events)
        elif data:
            self._event(self._object(data), events)

    def _over(self, events: list[Event]) -> None:
        if not self._finished:
            super()._over(events)
        self._ended = True
        events.append(Ended())

    def _event(self, event: Json, events: list[Event]) -> None:
        kind, index, delta = event.get("type"), event.get("index"), an_object(event.get("delta"))
        number = index if isinstance(index, int) else 0
        message = an_object(delta.get("message"))
        if not self._started:
            self._started = True
            extra = {key: value for key, value in event.items() if key not in _STARTING and value is not None}
            events.append(Started(id=event.get("id"), extra=extra if kind == "message-start" else {}, dialect=name))
        match kind:
            case "content-start" | "content-delta":
                logprobs = event.get("logprobs") or delta.get("logprobs")
                self._content(an_object(message.get("content")), number, logprobs, events)
            case "content-end":
                if (place := self._places.get(("content", number))) is not None:
                    events.append(PartEnded(index=place))
            case "tool-plan-delta":
                if isinstance(plan := message.get("tool_plan"), str) and plan:
                    place = self._place("plan", 0)
                    events.append(ThinkingDelta(delta=plan, index=place, extra={"~plan": True}))
            case "tool-call-start" | "tool-call-delta":
                self._call(an_object(message.get("tool_calls")), number, events)
            case "tool-call-end":
                if (place := self._places.get(("call", number))) is not None:
                    events.append(PartEnded(index=place))
            case "citation-start":
                self._cite(an_object(message.get("citations")), events)
            case "message-end":
                self._finish(delta, events)
            case "message-start" | "citation-end":
                pass
            case _:
                if kind is None and isinstance(event.get("message"), str):
                    raise failed(event["message"])
                events.append(Unknown(dialect=name, body=event))

    def _place(self, kind: str, number: int) -> int:
        place = self._places.get((kind, number))
        if place is None:
            place = self._places[kind, number] = len(self._places)
        return place

    def _content(self, said: Json, number: int, logprobs: Any, events: list[Event]) -> None:
        thought, text = said.get("thinking"), said.get("text")
        if isinstance(thought, str):
            place = self._place("content", number)
            if thought:
                events.append(ThinkingDelta(delta=thought, index=place))
        elif isinstance(text, str):
            place = self._place("content", number)
            if place not in self._texts:
                self._texts.append(place)
            if text or logprobs:
                heard = {"content": [logprob_from_wire(logprobs)]} if logprobs else None
                events.append(TextDelta(delta=text, index=place, logprobs=heard))

    def _call(self, said: Json, number: int, events: list[Event]) -> None:
        function = an_object(said.get("function"))
        known = ("call", number) in self._places
        place = self._place("call", number)
        call = sum(kind == "call" for kind, _ in self._places) - 1 if not known else number
        if not known:
            extra = {key: value for key, value in said.items() if key not in {"id", "type", "function"}}
            called = ToolCallStarted(
                id=said.get("id") or "", name=function.get("name") or "", index=place, call=call, extra=extra
            )
            events.append(called)
        if isinstance(arguments := function.get("arguments"), str) and arguments:
            events.append(ArgumentsDelta(delta=arguments, index=place, call=call))

    def _cite(self, said: Json, events: list[Event]) -> None:
        at = said.get("content_index")
        place = self._places.get(("content", at)) if isinstance(at, int) else None
        if place is None or place not in self._texts:
            place = self._texts[0] if self._texts else self._place("content", 0)
        events.append(Cited(citation=citation_from_wire(said), index=place))

    def _finish(self, delta: Json, events: list[Event]) -> None:
        said, usage = delta.pop("finish_reason", None), delta.pop("usage", None)
        word = said if isinstance(said, str) else None
        if word == "ERROR" or delta.get("error"):
            raise failed(delta.get("error"))
        extra = {key: value for key, value in delta.items() if value is not None}
        if extra:
            events.append(Noted(extra=extra, of="reply"))
        self._finished = True
        events.append(Finished(finish=finish_of(word) or "stop", word=word))
        if usage:
            events.append(UsageReported(usage=usage_from_wire(usage)))


_STARTING = frozenset({"id", "type", "delta"})


def _frame(body: Json) -> bytes:
    return frame(msgspec.json.encode(body), body["type"])


class CohereEncoder:
    """Writes a stream for a caller. `message-end` is held until all is known: usage may come after the finish."""

    def __init__(self) -> None:
        self._ordered = InOrder()
        self._begun = False
        self._own = False
        self._started: Started | None = None
        self._open: tuple[str, int] | None = None
        """What is open and its number: content or a call."""
        self._numbers = {"content": -1, "call": -1, "citation": -1}
        self._texts: dict[int, tuple[int, list[str]]] = {}
        """The number and the words of each text, for sources that say what they stand for."""
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._notes: Json = {}

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them. There is one answer: other choices are left out."""
        ours = [event for event in events if event.choice == 0]
        return b"".join([self._event(event) for event in self._ordered.put(ours)])

    def _event(self, event: Event) -> bytes:
        match event:
            case Started():
                self._own = event.dialect == name
                self._started = self._started or event
                return self._begin() if self._own else b""
            case UsageReported():
                self._usage = event.usage
            case Noted():
                self._notes.update(event.extra if self._own and event.of == "reply" else {})
            case Finished():
                self._finished = event
                return self._begin()
            case Ended():
                return self._begin() + self._end()
            case Unknown():
                return _frame(event.body) if event.dialect == name and "type" in event.body else b""
            case _:
                return self._begin() + self._said(event)
        return b""

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        started = self._started or Started()
        message: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        extra = public(started.extra) if self._own else {}
        body: Json = {"id": started.id or str(uuid4()), "type": "message-start", "delta": {"message": message}}
        return _frame({**body, **extra})

    def _said(self, event: Event) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                start = self._content("text", event.index)
                self._texts[event.index][1].append(event.delta)
                said: Json = {"text": event.delta}
                logprobs = logprobs_to_wire(event.logprobs) if event.logprobs is not None else []
                return start + self._delta("content", said, logprobs[0] if logprobs else None)
            case ThinkingDelta() if "~plan" in event.extra:
                return _frame({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": event.delta}}})
            case ThinkingDelta():
                return self._content("thinking", event.index) + self._delta("content", {"thinking": event.delta})
            case ToolCallStarted():
                self._numbers["call"] += 1
                self._open = ("call", event.index)
                function = {"name": event.name, "arguments": ""}
                extra = event.extra if self._own else {}
                return self._start(
                    "tool-call-start", {"id": event.id, "type": "function", "function": function, **extra}
                )
            case ArgumentsDelta() if self._open == ("call", event.index):
                return self._start("tool-call-delta", {"function": {"arguments": event.delta}})
            case Cited():
                return self._cite(event)
            case PartAdded():
                return self._whole(event)
            case PartEnded():
                return self._close(event.index)
            case _:
                return b""

    def _content(self, kind: str, index: int) -> bytes:
        """Announce a text or a thought, once."""
        if self._open == ("content", index):
            return b""
        self._open = ("content", index)
        self._numbers["content"] += 1
        self._texts[index] = (self._numbers["content"], [])
        said = {"type": kind, kind: ""}
        return _frame(
            {"type": "content-start", "index": self._numbers["content"], "delta": {"message": {"content": said}}}
        )

    def _delta(self, kind: str, said: Json, logprobs: Any = None) -> bytes:
        body: Json = {"type": "content-delta", "index": self._numbers[kind], "delta": {"message": {"content": said}}}
        return _frame({**body, "logprobs": logprobs} if logprobs is not None else body)

    def _start(self, kind: str, call: Json) -> bytes:
        return _frame({"type": kind, "index": self._numbers["call"], "delta": {"message": {"tool_calls": call}}})

    def _close(self, index: int) -> bytes:
        if self._open is None or self._open[1] != index:
            return b""
        kind, self._open = self._open[0], None
        return _frame({"type": "content-end" if kind == "content" else "tool-call-end", "index": self._numbers[kind]})

    def _cite(self, event: Cited) -> bytes:
        start = b"" if event.index in self._texts else self._content("text", event.index)
        number, words = self._texts[event.index]
        said = citation_to_wire(event.citation, "".join(words))
        if number and event.citation.dialect != name:
            said["content_index"] = number
        self._numbers["citation"] += 1
        at = self._numbers["citation"]
        body: Json = {"type": "citation-start", "index": at, "delta": {"message": {"citations": said}}}
        return start + _frame(body) + _frame({"type": "citation-end", "index": at})

    def _whole(self, event: PartAdded) -> bytes:
        """A part that comes in one piece."""
        written = b""
        for part in shown((event.part,)):
            text = getattr(part, "text", "")
            kind = "thinking" if part.__struct_config__.tag == "thinking" else "text"
            if text:
                written += self._content(kind, event.index) + self._delta("content", {kind: text})
                written += self._close(event.index)
        return written

    def _end(self) -> bytes:
        end = self._finished
        word = word_of(end.finish, end.word if self._own else None) if end is not None else None
        delta: Json = {"finish_reason": word, "usage": usage_to_wire(self._usage, own=self._own)}
        if self._own and self._usage is None:
            del delta["usage"]
        last = _frame({"type": "message-end", "delta": {**delta, **public(self._notes)}})
        return last + frame(DONE)


class CohereTap(StreamWatcher):
    """Watches a stream that passes through: whole frames go on as they came."""

    notable = re.compile(rb'"type"\s*:\s*"message-end"|\[DONE\]|"message"\s*:\s*"')
