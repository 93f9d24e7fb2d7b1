"""Streamed answers: read, and watched while they pass through.

Source: API_runtime_ConverseStream.html. A block of text is not announced, only its deltas and its end are; usage comes
after the end of the message, in `metadata`: the stream is over when both have come, or when its bytes end after the end
of the message. The key `p` is padding against who measures lengths.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from trunkline.vocabulary.errors import ResponseParseError
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Event,
    Finished,
    Noted,
    PartAdded,
    PartEnded,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    Unknown,
    UsageReported,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Words
from trunkline.wire.grammar.eventstream import MOST, EventFrame, EventFrames
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .blocks import citation_from_wire, part_from_wire
from .errors import frame_error
from .media import name
from .reply import finish_of, stop_of, tier_of, usage_from_wire

PADDING = "p"


def decoder() -> ConverseDecoder:
    """A reader for one stream."""
    return ConverseDecoder()


def tap(words: Words) -> ConverseTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return ConverseTap(ConverseDecoder(), _WholeFrames())


class _Whole:
    """A block that is handed on when it is complete: of a provider's own tool, an image, redacted reasoning."""

    __slots__ = ("body", "kind", "pieces")

    def __init__(self, kind: str, body: Json) -> None:
        self.kind = kind
        self.body = body
        self.pieces: list[Any] = []

    def block(self) -> Json:
        """The block as a whole answer has it."""
        match self.kind:
            case "toolUse":
                return {"toolUse": {**self.body, "input": _parsed_or_text("".join(self.pieces))}}
            case "toolResult":
                return {"toolResult": {**self.body, "content": self.pieces}}
            case "image":
                source = {"bytes": _joined(self.pieces)} if self.pieces else {}
                return {"image": {**self.body, "source": source}}
            case _:
                return {"reasoningContent": {"redactedContent": _joined(self.pieces)}}


class _WholeFrames:
    """Cuts bytes into whole frames, of which nothing is known but their length."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._lost = False
        """What comes next is no frame: it is not known where the one after it would begin."""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete. Raises ResponseParseError for what is none, once those before it have
        been given."""
        held, start = self._held, 0
        held += data
        frames: list[bytes] = []
        while len(held) - start >= _PRELUDE and not self._lost:
            length = int.from_bytes(held[start : start + 4], "big")
            self._lost = not _PRELUDE < length <= MOST
            if self._lost or len(held) - start < length:
                break
            frames.append(bytes(held[start : start + length]))
            start += length
        del held[:start]
        if self._lost and not frames:
            raise ResponseParseError("a frame of the event stream has no sensible length", dialect=name)
        return frames

    def close(self) -> bytes:
        """What is left when the bytes are over."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


_PRELUDE = 12
"""Bytes that say how long a frame is, and their checksum."""


class ConverseDecoder(StreamReader):
    """Reads a provider's stream."""

    dialect = name
    blank = b""

    def __init__(self) -> None:
        super().__init__(_WholeFrames())
        self._frames = EventFrames()
        self._started = False
        self._finished = False
        self._counted = False
        self._calls: dict[int, int] = {}
        """The blocks that are tool calls, and their place among the calls."""
        self._whole: dict[int, _Whole] = {}

    def _take(self, piece: bytes, events: list[Event]) -> None:
        for frame in self._frames.feed(piece):
            self.read(frame, events)

    def _over(self, events: list[Event]) -> None:
        """Not every server counts."""
        if not self._finished or not self._frames.close():
            super()._over(events)
        self._ended = True
        events.append(Ended())

    def read(self, frame: EventFrame, events: list[Event]) -> None:
        """Add what one frame says."""
        if frame.kind != "event":
            raise frame_error(frame)
        body = self._object(frame.payload)
        said = body.get("contentBlockIndex", 0)
        index = said if isinstance(said, int) else 0
        if not self._started:
            self._started = True
            extra = {key: value for key, value in body.items() if key not in {"role", PADDING}}
            events.append(Started(extra=extra if frame.name == "messageStart" else {}, dialect=name))
        match frame.name:
            case "contentBlockDelta":
                self._delta(index, an_object(body.get("delta")), events)
            case "contentBlockStart":
                self._open(index, an_object(body.get("start")), events)
            case "contentBlockStop":
                self._close(index, events)
            case "messageStop":
                self._stop(body, events)
            case "metadata":
                self._count(body, events)
            case "messageStart":
                pass
            case _:
                body.pop(PADDING, None)
                events.append(Unknown(dialect=name, body={frame.name: body}))

    def _open(self, index: int, start: Json, events: list[Event]) -> None:
        kind = next(iter(start), None)
        if kind is None:
            return
        body = dict(an_object(start[kind]))
        if kind == "toolUse" and body.get("type") != "server_tool_use":
            call = self._calls[index] = len(self._calls)
            call_id, tool = body.pop("toolUseId", None) or "", body.pop("name", None) or ""
            events.append(ToolCallStarted(id=call_id, name=tool, index=index, call=call, extra=body))
        else:
            self._whole[index] = _Whole(kind, body)

    def _delta(self, index: int, delta: Json, events: list[Event]) -> None:
        match delta:
            case {"text": str(text)}:
                if text:
                    events.append(TextDelta(delta=text, index=index))
            case {"toolUse": {"input": str(piece)}}:
                if index in self._whole:
                    self._whole[index].pieces.append(piece)
                elif piece:
                    events.append(ArgumentsDelta(delta=piece, index=index, call=self._calls.get(index, 0)))
            case {"reasoningContent": dict()}:
                self._thought(index, an_object(delta["reasoningContent"]), events)
            case {"citation": dict()}:
                events.append(Cited(citation=citation_from_wire(delta["citation"]), index=index))
            case {"toolResult": list()} if index in self._whole:
                self._whole[index].pieces += delta["toolResult"]
            case {"image": dict()} if index in self._whole:
                self._image(self._whole[index], an_object(delta["image"]))
            case _ if delta:
                whole = {"contentBlockIndex": index, "delta": delta}
                events.append(Unknown(dialect=name, body={"contentBlockDelta": whole}))
            case _:
                pass

    def _thought(self, index: int, said: Json, events: list[Event]) -> None:
        match said:
            case {"text": str(text)} if text:
                events.append(ThinkingDelta(delta=text, index=index))
            case {"signature": str(signature)} if signature:
                events.append(ThinkingSigned(signature=signature, dialect=name, index=index))
            case {"redactedContent": str(secret)}:
                self._whole.setdefault(index, _Whole("redacted", {})).pieces.append(secret)
            case _:
                pass

    def _image(self, whole: _Whole, said: Json) -> None:
        match said:
            case {"source": {"bytes": str(data)}}:
                whole.pieces.append(data)
            case _:
                whole.body.update(said)

    def _close(self, index: int, events: list[Event]) -> None:
        whole = self._whole.pop(index, None)
        if whole is not None:
            part = part_from_wire(whole.block(), "content", assistant=True)
            events.append(PartAdded(part=part, index=index))
        events.append(PartEnded(index=index))

    def _stop(self, body: Json, events: list[Event]) -> None:
        for index in [*self._whole]:  # a server that does not close its blocks
            self._close(index, events)
        said = body.pop("stopReason", None)
        word = said if isinstance(said, str) and said else None
        body.pop(PADDING, None)
        extra = {key: value for key, value in body.items() if value is not None}
        if extra:
            events.append(Noted(extra=extra, of="reply"))
        stop = stop_of(body.get("additionalModelResponseFields"))
        events.append(Finished(finish=finish_of(word) or "stop", word=word, stop_sequence=stop))
        self._finished = True
        self._settle(events)

    def _count(self, body: Json, events: list[Event]) -> None:
        usage, tier = body.pop("usage", None), tier_of(body.pop("serviceTier", None))
        body.pop(PADDING, None)
        extra = {key: value for key, value in body.items() if value is not None}
        if tier is not None:
            events.append(Started(extra={"service_tier": tier}, dialect=name))
        if usage:
            events.append(UsageReported(usage=usage_from_wire(usage), extra=extra))
        elif extra:
            events.append(Noted(extra=extra, of="reply"))
        self._counted = True
        self._settle(events)

    def _settle(self, events: list[Event]) -> None:
        """Both the end and the count have come."""
        if self._finished and self._counted:
            self._ended = True
            events.append(Ended())


def _parsed_or_text(written: str) -> Any:
    """The input of a provider's own tool; text that a stop cut short is kept as text."""
    try:
        return msgspec.json.decode(written) if written else {}
    except msgspec.MsgspecError:
        return written


def _joined(pieces: list[Any]) -> str:
    """Bytes that came in pieces, each in base64 by itself."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, TypeError):
        return "".join(map(str, pieces))


class ConverseTap(StreamWatcher):
    """Watches a stream that passes through: whole frames go on as they came."""

    notable = re.compile(rb"messageStop|metadata|:exception-type|:error-code")
    blank = b""
