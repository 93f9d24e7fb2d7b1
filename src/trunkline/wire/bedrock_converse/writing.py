"""Streams written for a caller: blocks one after the other, whatever order the events have.

In other APIs usage may come before the finish or after it: `metadata` is held until the end, where it belongs.
"""

from __future__ import annotations

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
from trunkline.vocabulary.parts import AnyPart
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.eventstream import event_frame
from trunkline.wire.grammar.in_order import InOrder

from .blocks import citation_to_wire, public
from .errors import frame_of
from .media import name
from .reply import blocks_of, usage_to_wire, word_of

_TIERS = frozenset({"default", "priority", "flex", "reserved"})


def encoder(request: Request) -> ConverseEncoder:
    """A writer for the stream that answers `request`. There is nothing that a caller could have asked for."""
    return ConverseEncoder()


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: an exception, and no `messageStop`."""
    kind, payload = frame_of(error)
    return event_frame(kind, payload, "exception")


def _frame(event: str, body: Json) -> bytes:
    return event_frame(event, msgspec.json.encode(body))


class ConverseEncoder:
    """Writes a stream for a caller."""

    def __init__(self) -> None:
        self._ordered = InOrder()
        self._begun = False
        self._own = False
        self._started: Json = {}
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._notes: Json = {}
        """Unknown keys of the answer that have not been written yet."""
        self._index = -1
        self._open: int | None = None
        """The place in the message of the part whose block is open."""

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them. There is one answer: other choices are left out."""
        ours = [event for event in events if event.choice == 0]
        return b"".join([self._event(event) for event in self._ordered.put(ours)])

    def _event(self, event: Event) -> bytes:
        match event:
            case Started():
                self._own = event.dialect == name
                self._tier = event.extra.get("service_tier") or self._tier
                if self._own and not self._begun:
                    self._started.update(event.extra)
                    return self._begin()
            case UsageReported():
                self._usage = event.usage
                self._notes.update(event.extra if self._own else {})
            case Noted():
                self._notes.update(event.extra if self._own and event.of == "reply" else {})
            case Finished():
                return self._begin() + self._stop_message(event)
            case Ended():
                return self._begin() + self._metadata()
            case Unknown():
                if event.dialect == name and self._own:
                    return b"".join(_frame(kind, body) for kind, body in event.body.items())
            case _:
                return self._begin() + self._said(event)
        return b""

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        extra = {key: value for key, value in public(self._started).items() if key != "service_tier"}
        return _frame("messageStart", {"role": "assistant", **extra})

    def _said(self, event: Event) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                return self._delta(event.index, {"text": event.delta})
            case ThinkingDelta():
                return self._delta(event.index, {"reasoningContent": {"text": event.delta}})
            case ThinkingSigned(dialect="bedrock_converse"):
                return self._delta(event.index, {"reasoningContent": {"signature": event.signature}})
            case Cited():
                source = citation_to_wire(event.citation)
                return self._delta(event.index, {"citation": source}) if source else b""
            case ToolCallStarted():
                body: Json = {"toolUseId": event.id, "name": event.name, **(event.extra if self._own else {})}
                return self._announce(event.index, {"toolUse": body})
            case ArgumentsDelta() if self._open == event.index:
                return self._delta(event.index, {"toolUse": {"input": event.delta}})
            case PartAdded():
                return self._whole(event.part, event.index)
            case PartEnded():
                return self._ended(event.index)
            case _:
                return b""

    def _delta(self, index: int, delta: Json) -> bytes:
        """A piece of a block, which begins with it: texts and reasoning are not announced."""
        if self._open != index:
            self._open = index
            self._number(index)
        return _frame("contentBlockDelta", {"contentBlockIndex": self._index, "delta": delta})

    def _announce(self, index: int, start: Json) -> bytes:
        self._open = index
        self._number(index)
        return _frame("contentBlockStart", {"contentBlockIndex": self._index, "start": start})

    def _number(self, index: int) -> None:
        """The next block's number: its own API's, or one more."""
        self._index = index if self._own else self._index + 1

    def _ended(self, index: int) -> bytes:
        """The end of a part; in this API also of one that had nothing to say."""
        if self._open != index:
            if not self._own:
                return b""
            self._number(index)
        self._open = None
        return _frame("contentBlockStop", {"contentBlockIndex": self._index})

    def _whole(self, part: AnyPart, index: int) -> bytes:
        """A part that comes in one piece: announced where its kind is, said, closed."""
        block = next(iter(blocks_of((part,), own=self._own)), None)
        match block:
            case {"text": str(text)} if text:
                said = self._delta(index, {"text": text})
            case {"reasoningContent": {"redactedContent": secret}}:
                said = self._delta(index, {"reasoningContent": {"redactedContent": secret}})
            case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
                said = self._delta(index, {"reasoningContent": {"text": text}})
            case {"toolUse": {"input": given, **start}}:
                written = given if isinstance(given, str) else msgspec.json.encode(given).decode()
                said = self._announce(index, {"toolUse": start})
                said += self._delta(index, {"toolUse": {"input": written}})
            case {"toolResult": {"content": content, **start}}:
                said = self._announce(index, {"toolResult": start}) + self._delta(index, {"toolResult": content})
            case {"image": {"source": source, **start}}:
                said = self._announce(index, {"image": start}) + self._delta(index, {"image": {"source": source}})
            case _:
                return b""
        return said + self._ended(index)

    def _stop_message(self, end: Finished) -> bytes:
        notes, self._notes = self._notes, {}
        early = {key: notes.pop(key) for key in [*notes] if key in _OF_METADATA}
        self._notes = early  # a server that counts before it ends
        word = word_of(end.finish, end.word if self._own else None)
        return _frame("messageStop", {"stopReason": word, **public(notes)})

    def _metadata(self) -> bytes:
        body: Json = {} if self._own and self._usage is None else {"usage": usage_to_wire(self._usage, own=self._own)}
        if self._tier is not None and (self._own or self._tier in _TIERS):
            body["serviceTier"] = {"type": self._tier}
        if not self._own:
            body["metrics"] = {"latencyMs": 0}
        body |= public(self._notes)
        return _frame("metadata", body) if body else b""


_OF_METADATA = frozenset({"metrics", "trace", "performanceConfig"})
"""What stands beside the usage; other unknown keys stand beside the finish."""
