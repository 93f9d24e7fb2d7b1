"""Streamed messages: read, written, and watched while they pass through.

Source: docs.anthropic.com/en/api/messages-streaming. Blocks open and close one after the other, usage is cumulative,
`ping` may come anywhere, and only `message_stop` ends a stream.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

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
    ThinkingSigned,
    ToolCallStarted,
    Unknown,
    UsageReported,
)
from trunkline.vocabulary.parts import AnyPart, Opaque, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.sse import data_of, frame
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .errors import envelope, hidden_error
from .messages import citation_from_wire, name, part_from_wire, part_to_wire
from .reply import TIERS, finish_from_word, finish_word, known, new_id, tier_of, usage_from_wire, usage_to_wire


def decoder() -> MessagesDecoder:
    """A reader for one stream."""
    return MessagesDecoder()


def encoder(request: Request) -> MessagesEncoder:
    """A writer for the stream that answers `request`."""
    return MessagesEncoder(request.model)


def tap(words: Words) -> MessagesTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return MessagesTap(MessagesDecoder())


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: an error event, and no `message_stop`."""
    return _frame(envelope(error))


class _Block:
    """A content block that is open."""

    __slots__ = ("body", "call", "kind", "words")

    def __init__(self, body: Json, call: int) -> None:
        self.kind: str = body.get("type") or ""
        self.body = body
        self.call = call
        self.words: list[str] = []
        """The pieces of a tool's input."""


class MessagesDecoder(StreamReader):
    """Reads a provider's stream."""

    dialect = name

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: Json = {}

    def _take(self, piece: bytes, events: list[Event]) -> None:
        if data := data_of(piece):
            self._event(self._object(data), events)

    def _event(self, event: Json, events: list[Event]) -> None:
        match event.get("type"):
            case "content_block_delta":
                self._delta(event.get("index", 0), an_object(event.get("delta")), events)
            case "content_block_start":
                self._open(event.get("index", 0), an_object(event.get("content_block")), events)
            case "content_block_stop":
                self._close(event.get("index", 0), events)
            case "message_start":
                self._start(an_object(event.get("message")), events)
            case "message_delta":
                self._finish(event, events)
            case "message_stop":
                self._ended = True
                events.append(Ended())
            case "ping":
                pass
            case "error":
                raise hidden_error(event)
            case _:
                events.append(Unknown(dialect=name, body=event))

    def _start(self, message: Json, events: list[Event]) -> None:
        usage = an_object(message.get("usage"))
        extra = {key: value for key, value in message.items() if key not in _FRAMING and value is not None}
        if (tier := tier_of(usage)) is not None:
            extra["service_tier"] = tier
        events.append(Started(id=message.get("id"), model=message.get("model"), extra=extra, dialect=name))
        if usage:
            self._usage.update(usage)
            events.append(UsageReported(usage=usage_from_wire(self._usage)))

    def _finish(self, event: Json, events: list[Event]) -> None:
        delta, usage = an_object(event.get("delta")), an_object(event.get("usage"))
        if word := delta.get("stop_reason"):
            finish = finish_from_word(word) or word
            extra = known(delta, "stop_details")
            events.append(Finished(finish=finish, word=word, stop_sequence=delta.get("stop_sequence"), extra=extra))
        if usage:
            self._usage.update({key: value for key, value in usage.items() if value is not None})
            extra = {**known(delta, "container"), **known(event, "context_management")}
            events.append(UsageReported(usage=usage_from_wire(self._usage), extra=extra))

    def _open(self, index: int, body: Json, events: list[Event]) -> None:
        block = self._blocks[index] = _Block(dict(body), self._calls)
        match block.kind:
            case "text":
                if text := body.get("text"):
                    events.append(TextDelta(delta=text, index=index))
                for citation in body.get("citations") or ():
                    events.append(Cited(citation=citation_from_wire(citation), index=index))
            case "thinking":
                self._delta(index, {**body, "type": "thinking_delta"}, events)
                self._delta(index, {**body, "type": "signature_delta"}, events)
            case "tool_use":
                self._calls += 1
                extra = {key: value for key, value in body.items() if key not in _CALL}
                call_id, tool = body.get("id") or "", body.get("name") or ""
                events.append(ToolCallStarted(id=call_id, name=tool, index=index, call=block.call, extra=extra))
            case _:
                pass  # it comes whole when it closes

    def _delta(self, index: int, delta: Json, events: list[Event]) -> None:
        block = self._blocks.get(index)
        match delta.get("type"):
            case "text_delta" if text := delta.get("text"):
                events.append(TextDelta(delta=text, index=index))
            case "thinking_delta" if thought := delta.get("thinking"):
                events.append(ThinkingDelta(delta=thought, index=index))
            case "signature_delta" if signature := delta.get("signature"):
                events.append(ThinkingSigned(signature=signature, dialect=name, index=index))
            case "citations_delta":
                events.append(Cited(citation=citation_from_wire(delta.get("citation")), index=index))
            case "input_json_delta" if block is not None:
                piece: str = delta.get("partial_json") or ""
                block.words.append(piece)
                if piece and block.kind == "tool_use":
                    events.append(ArgumentsDelta(delta=piece, index=index, call=block.call))
            case _ if block is not None and block.kind not in _GROWING:
                for key, value in delta.items():
                    if key != "type":  # text is added to text, anything else is the newest word
                        before = block.body.get(key)
                        longer = isinstance(before, str) and isinstance(value, str)
                        block.body[key] = f"{before}{value}" if longer else value
            case _:
                pass

    def _close(self, index: int, events: list[Event]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        given, written = block.body.get("input"), "".join(block.words)
        if block.kind == "tool_use":
            if given and not written:  # a server that gives the input at once
                events.append(ArgumentsDelta(delta=_encoded(given), index=index, call=block.call))
        elif block.kind not in _GROWING:
            if written:
                block.body["input"] = _input(written)
            events.append(PartAdded(part=part_from_wire(block.body, "content"), index=index))
        events.append(PartEnded(index=index))


_FRAMING = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
_CALL = frozenset({"type", "id", "name", "input"})
_GROWING = frozenset({"text", "thinking", "tool_use"})
"""Kinds of block that a reader sees grow; the others are handed on whole."""


def _input(written: str) -> Any:
    """The input of a provider's own tool; text that a stop cut short is kept as text."""
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(written)
    return written


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class MessagesEncoder:
    """Writes a stream for a caller: blocks one after the other, with dense indices, whatever order the events have.

    Other APIs let several tool calls grow at once: what comes for a later one waits until the open one is complete.
    Usage may come after the finish there, so `message_delta` is held until the end.
    """

    def __init__(self, model: str) -> None:
        self._started: Started | None = None
        self._model = model
        self._begun = False
        self._own = False
        self._usage: Usage | None = None
        self._usage_extra: Json = {}
        self._finished: Finished | None = None
        self._refused = False
        self._index = -1
        self._open: tuple[str, int] | None = None
        """What the open block is, and the place of its part in the message."""
        self._arguments: list[str] = []
        self._waiting: list[Event] = []

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them. There is one answer: other choices are left out."""
        return b"".join([self._event(event) for event in events if event.choice == 0])

    def _event(self, event: Event) -> bytes:
        match event:
            case Started():
                self._started = event
                self._own = event.dialect == name
            case UsageReported():
                self._usage = event.usage
                self._usage_extra.update(event.extra)
            case Finished():
                self._finished = event
                return self._flush()
            case Ended():
                return self._flush() + self._end()
            case Unknown() | Noted():
                pass
            case _:
                return self._content(event)
        return b""

    def _content(self, event: Any) -> bytes:
        """What belongs to a part, now or when its turn has come."""
        index: int = event.index
        begun = self._begin()
        if self._open is not None and self._open[1] != index:
            if self._open[0] == "tool_use" and not self._complete():
                self._waiting.append(event)
                return begun
            if type(event) is not PartEnded:
                begun += self._next()
                return begun + self._content(event)  # now it is next, or one that waited longer is
        return begun + self._said(event, index)

    def _said(self, event: Event, index: int) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                self._refused = self._refused or type(event) is RefusalDelta
                return self._delta("text", index, {"type": "text_delta", "text": event.delta})
            case ThinkingDelta():
                return self._delta("thinking", index, {"type": "thinking_delta", "thinking": event.delta})
            case ThinkingSigned(dialect="anthropic_messages"):
                return self._delta("thinking", index, {"type": "signature_delta", "signature": event.signature})
            case Cited() if event.citation.dialect == name:
                return self._delta("text", index, {"type": "citations_delta", "citation": event.citation.body})
            case ToolCallStarted():
                body: Json = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                return self._start("tool_use", index, {**body, **known(event.extra, *_CALL_EXTRA)})
            case ArgumentsDelta() if self._open == ("tool_use", index):
                self._arguments.append(event.delta)
                written = self._block_delta({"type": "input_json_delta", "partial_json": event.delta})
                return written + self._next() if self._waiting and self._complete() else written
            case PartAdded():
                return self._whole(event.part, index)
            case PartEnded() if self._open is not None and self._open[1] == index:
                return self._next()
            case _:
                return b""

    def _delta(self, kind: str, index: int, delta: Json) -> bytes:
        start = b"" if self._open == (kind, index) else self._start(kind, index, dict(_EMPTY[kind]))
        return start + self._block_delta(delta)

    def _block_delta(self, delta: Json) -> bytes:
        return _frame({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _start(self, kind: str, index: int, block: Json) -> bytes:
        stop = self._stop()
        self._index += 1
        self._open = (kind, index)
        self._arguments = []
        return stop + _frame({"type": "content_block_start", "index": self._index, "content_block": block})

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _frame({"type": "content_block_stop", "index": self._index})

    def _complete(self) -> bool:
        """Whether the open tool call has all of its arguments: nothing but blanks can follow a whole object."""
        try:
            return isinstance(msgspec.json.decode("".join(self._arguments)), dict)
        except msgspec.MsgspecError:
            return False

    def _next(self) -> bytes:
        """Close the open block and say what has waited for that."""
        stop = self._stop()
        waiting, self._waiting = self._waiting, []
        return stop + b"".join([self._content(event) for event in waiting])

    def _flush(self) -> bytes:
        """Close every block: nothing more comes for any."""
        written = self._begin()
        while self._open is not None or self._waiting:
            written += self._next()
        return written

    def _whole(self, part: AnyPart, index: int) -> bytes:
        """A part that comes in one piece: opened, said, closed. Its input goes as text, where readers look for it."""
        shown = type(part) is Thinking and part.dialect == name and part.redacted is not None
        if not (shown or isinstance(part, Text | ToolCall) or (type(part) is Opaque and part.dialect == name)):
            return b""
        block = part_to_wire(part, "content", [])
        if block is None:
            return b""
        given = block.get("input")
        if given is None:
            return self._start(block["type"], index, block) + self._next()
        start = self._start(block["type"], index, {**block, "input": {}})
        said = given if isinstance(given, str) else _encoded(given)
        return start + self._block_delta({"type": "input_json_delta", "partial_json": said}) + self._next()

    def _begin(self) -> bytes:
        """`message_start`, once, with what is known before the first content."""
        if self._begun:
            return b""
        self._begun = True
        started = self._started or Started()
        usage = usage_to_wire(self._usage, own=self._own)
        if (tier := TIERS.get(started.extra.get("service_tier", ""))) is not None:
            usage["service_tier"] = tier
        message: Json = {
            "id": started.id or new_id(),
            "type": "message",
            "role": "assistant",
            "model": started.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _frame({"type": "message_start", "message": message})

    def _end(self) -> bytes:
        end = self._finished
        delta: Json = {
            "stop_reason": finish_word(end.finish, refused=self._refused) if end else None,
            "stop_sequence": end.stop_sequence if end else None,
            **(known(end.extra, "stop_details") if end else {}),
            **known(self._usage_extra, "container"),
        }
        last = {"type": "message_delta", "delta": delta, "usage": usage_to_wire(self._usage, own=self._own)}
        return _frame({**last, **known(self._usage_extra, "context_management")}) + _frame({"type": "message_stop"})


_EMPTY: dict[str, Json] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_CALL_EXTRA = ("caller", "toolset_name")
"""What this API says of a call beyond its name and input; other keys are another API's."""


def _frame(body: Json) -> bytes:
    return frame(msgspec.json.encode(body), body["type"])


class MessagesTap(StreamWatcher):
    """Watches a stream that passes through."""

    notable = re.compile(rb'"type"\s*:\s*"(?:message_start|message_delta|message_stop|error)"')
