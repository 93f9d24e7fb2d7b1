"""Streamed answers: read, written, and watched while they pass through. A line of JSON is a piece; the one that is
`done` says why it ended and what was used. An error is a line of its own."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.events import (
    ArgumentsDelta,
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
    UsageReported,
)
from trunkline.vocabulary.parts import ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array
from trunkline.wire.grammar.fields import said as public
from trunkline.wire.grammar.in_order import InOrder
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .errors import hidden_error, name
from .messages import call_from_wire, call_to_wire, image_from_wire, said_in, stamped
from .reply import counts_of, finish_of, seconds_of, shown, stamp_of, usage_from_wire, word_of


def decoder() -> OllamaDecoder:
    """A reader for one stream."""
    return OllamaDecoder()


def encoder(request: Request) -> OllamaEncoder:
    """A writer for the stream that answers `request`."""
    return OllamaEncoder(request.model)


def tap(words: Words) -> OllamaTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return OllamaTap(OllamaDecoder(), Lines())


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: a line that is an error, and none that is `done`."""
    return _line({"error": str(error)})


def _line(body: Json) -> bytes:
    return msgspec.json.encode(body) + b"\n"


class Lines:
    """Cuts a byte stream into lines, their ends included. A line that comes in many pieces is joined once."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._pending.append(data)
            return []
        whole = b"".join([*self._pending, data[:end]])
        self._pending = [data[end:]] if end < len(data) else []
        return (
            whole.splitlines(keepends=True) if b"\r" not in whole else [one + b"\n" for one in whole.split(b"\n")[:-1]]
        )

    def close(self) -> bytes:
        """What is left when the bytes are over."""
        rest, self._pending = b"".join(self._pending), []
        return rest


class OllamaDecoder(StreamReader):
    """Reads a server's stream."""

    dialect = name
    blank = b"\n"

    def __init__(self) -> None:
        super().__init__(Lines())
        self._places: dict[str, int] = {}
        self._calls = 0
        self._started = False

    def _take(self, piece: bytes, events: list[Event]) -> None:
        if piece.strip():
            self._read(self._object(piece), events)

    def _place(self, kind: str) -> int:
        return self._places.setdefault(kind, len(self._places))

    def _read(self, body: Json, events: list[Event]) -> None:
        if "error" in body:
            raise hidden_error(body)
        created = body.get("created_at")
        if not self._started:
            self._started = True
            extra = {"created_at": created} if created is not None else {}
            model, at = body.get("model"), seconds_of(created)
            events.append(Started(model=model, created=at, extra=extra, dialect=name))
        message = dict(an_object(body.pop("message", None)))
        self._message(message, body.pop("logprobs", None), created, events)
        if body.get("done"):
            self._finish(body, events)

    def _message(self, said: Json, logprobs: Any, created: Any, events: list[Event]) -> None:
        if isinstance(thought := said.pop("thinking", None), str) and thought:
            events.append(ThinkingDelta(delta=thought, index=self._place("thinking")))
        text = said.pop("content", None)
        text = text if isinstance(text, str) else ""
        if text or logprobs:
            heard: Json | None = {"content": logprobs} if isinstance(logprobs, list) else None
            events.append(TextDelta(delta=text, index=self._place("text"), logprobs=heard))
        for value in as_array(said.pop("images", None) or [], "message.images"):
            at = self._place(f"image {len(self._places)}")
            events.append(PartAdded(part=image_from_wire(value, "message.images"), index=at))
        for value in as_array(said.pop("tool_calls", None) or [], "message.tool_calls"):
            self._call(stamped(call_from_wire(value, "message.tool_calls"), created, self._calls), events)
        said.pop("role", None)
        if said:
            events.append(Noted(extra=said))

    def _call(self, call: ToolCall, events: list[Event]) -> None:
        at, number = self._place(f"call {self._calls}"), self._calls
        self._calls += 1
        events.append(ToolCallStarted(id=call.id, name=call.name, index=at, call=number, extra=call.extra))
        events.append(ArgumentsDelta(delta=call.arguments, index=at, call=number))
        events.append(PartEnded(index=at))

    def _finish(self, body: Json, events: list[Event]) -> None:
        word = body.pop("done_reason", None)
        finish = finish_of(word, called=self._calls > 0)
        events.append(Finished(finish=finish or "stop", word=word if isinstance(word, str) else None))
        usage = usage_from_wire(body)
        extra = {key: value for key, value in body.items() if key not in {"model", "done"} and value is not None}
        if usage is not None:
            events.append(UsageReported(usage=usage, extra=extra))
        elif extra:
            events.append(Noted(extra=extra, of="reply"))
        self._ended = True
        events.append(Ended())


class OllamaEncoder:
    """Writes a stream for a caller. A call comes whole, so it is held until it is complete; the last line is held until
    all is known: usage may come after the finish."""

    def __init__(self, model: str) -> None:
        self._ordered = InOrder()
        self._head: Json = {"model": model, "created_at": stamp_of(None)}
        self._own = False
        self._called: ToolCallStarted | None = None
        self._arguments: list[str] = []
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._notes: Json = {}
        self._beside: Json = {}
        """Unknown keys of the message that have not been written yet."""

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them. There is one answer: other choices are left out."""
        ours = [event for event in events if event.choice == 0]
        return b"".join([self._event(event) for event in self._ordered.put(ours)])

    def _event(self, event: Event) -> bytes:
        match event:
            case Started():
                self._own = event.dialect == name
                self._head["model"] = event.model or self._head["model"]
                stamp = event.extra.get("created_at") if self._own else None
                self._head["created_at"] = stamp or stamp_of(event.created)
            case TextDelta():
                heard = event.logprobs.get("content") if event.logprobs is not None else None
                return self._piece({"content": event.delta}, {} if heard is None else {"logprobs": heard})
            case RefusalDelta():
                return self._piece({"content": event.delta})
            case ThinkingDelta():
                return self._piece({"content": "", "thinking": event.delta})
            case ToolCallStarted():
                self._called, self._arguments = event, []
            case ArgumentsDelta():
                self._arguments.append(event.delta)
            case PartEnded():
                return self._call()
            case PartAdded():
                parts = (event.part,) if self._own else tuple(shown((event.part,)))
                return self._piece(said_in(parts, "message", [])) if parts else b""
            case _:
                return self._framing(event)
        return b""

    def _framing(self, event: Event) -> bytes:
        match event:
            case UsageReported():
                self._usage = event.usage
                self._notes.update(event.extra if self._own else {})
            case Noted() if self._own:
                (self._notes if event.of == "reply" else self._beside).update(event.extra)
            case Finished():
                self._finished = event
            case Ended():
                return self._end()
            case _:
                pass
        return b""

    def _piece(self, said: Json, beside: Json | None = None) -> bytes:
        message = {"role": "assistant", **said, **public(self._beside)}
        self._beside = {}
        return _line({**self._head, "message": message, **(beside or {}), "done": False})

    def _call(self) -> bytes:
        called, self._called = self._called, None
        if called is None:
            return b""
        extra = called.extra if self._own else {}
        call = ToolCall(called.id, called.name, "".join(self._arguments) or "{}", extra=extra)
        return self._piece({"content": "", "tool_calls": [call_to_wire(call)]})

    def _end(self) -> bytes:
        end = self._finished
        word = word_of(end.finish, end.word if self._own else None) if end is not None else "stop"
        message = {"role": "assistant", "content": "", **public(self._beside)}
        last = {**self._head, "message": message, "done": True, "done_reason": word, **counts_of(self._usage)}
        return _line({**last, **public(self._notes)})


class OllamaTap(StreamWatcher):
    """Watches a stream that passes through: whole lines go on as they came. Calls decide why an answer ended."""

    notable = re.compile(rb'"done"\s*:\s*true|"error"\s*:|"tool_calls"\s*:')
    blank = b"\n"
