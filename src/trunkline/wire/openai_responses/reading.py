"""Streamed responses, read, and watched while they pass through.

Source: platform.openai.com/docs/api-reference/responses-streaming. The stream says everything at least twice: in
pieces, whole when a part is done, whole again with its item, and once more in the response that ends it. What grows is
read from the pieces; what the later words add to them, or say otherwise, is made good when they come: some servers send
no pieces at all, and the encrypted reasoning is another one in each of its places.

An event that only frames the others comes as an Unknown, for the writer of this dialect; `~part` in it is the place of
the part that it opens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import TrunklineError
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
from trunkline.vocabulary.parts import AnyPart, Extra, Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Words
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.sse import data_of, event_of
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .errors import hidden_error
from .items import IN, ITEM, LOGPROBS, MORE, Probabilities, citation_from_wire, name, parts_from_item
from .reply import Terminal, reply_from_wire, seen

PART = "~part"
"""Notes in a framing event: the place in the message of the part that it opens."""


def decoder() -> ResponsesDecoder:
    """A reader for one stream."""
    return ResponsesDecoder()


def tap(words: Words) -> ResponsesTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return ResponsesTap(ResponsesDecoder())


class _Growing:
    """A part that grows, as a reader of the events so far has it."""

    __slots__ = ("call", "called", "cited", "extra", "index", "kind", "likely", "shown", "whole", "words")

    def __init__(self, index: int, kind: type[AnyPart]) -> None:
        self.index = index
        self.kind = kind
        self.words: list[str] = []
        self.call = 0
        self.called: tuple[str, str] = ("", "")
        """A call's id and name."""
        self.cited = 0
        self.likely = False
        """Its log probabilities have come."""
        self.extra: Extra = {}
        self.shown = False
        """There is an event that made it."""
        self.whole: AnyPart | None = None
        """As it came in one piece: an item that only this API has."""

    def text(self) -> str:
        return "".join(self.words)


_Key = tuple[str, int]
"""Which part of an item: its list (`content`, `summary`; empty where the item is the part) and the place in that."""


class ResponsesDecoder(StreamReader):
    """Reads a provider's stream."""

    dialect = name

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[int, dict[_Key, _Growing]] = {}
        """By the place of the item in the output."""
        self._done: dict[int, Json] = {}
        self._latest = 0
        self._count = 0
        """How many parts there are."""
        self._calls = 0
        self._started = False

    def _take(self, piece: bytes, events: list[Event]) -> None:
        data = data_of(piece)
        if data and data.strip() != _DONE:
            self._event(_named(self._object(data), piece), events)

    def _event(self, event: Json, events: list[Event]) -> None:
        kind = event.get("type")
        if not self._started and kind not in _BEGINS:
            self._start({}, {}, events)
        match kind:
            case "response.output_text.delta":
                self._text_more(event, events)
            case "response.function_call_arguments.delta":
                self._more(event, self._part(event, "", "", ToolCall), events)
            case "response.reasoning_summary_text.delta":
                self._more(event, self._part(event, *_SUMMARY, Thinking), events)
            case "response.reasoning_text.delta":
                self._more(event, self._part(event, *_CONTENT, Thinking), events)
            case "response.refusal.delta":
                self._more(event, self._part(event, *_CONTENT, Refusal), events)
            case "response.output_text.annotation.added":
                self._cite_one(event, events)
            case "response.content_part.added" | "response.reasoning_summary_part.added":
                self._part_added(event, events)
            case "response.content_part.done" | "response.reasoning_summary_part.done":
                self._part_done(event, events)
            case "response.output_text.done" | "response.refusal.done" | "response.reasoning_text.done":
                self._words_done(event, str(kind), events)
            case "response.reasoning_summary_text.done":
                self._complete(self._part(event, *_SUMMARY, Thinking), event.get("text"), events)
            case "response.function_call_arguments.done":
                self._complete(self._part(event, "", "", ToolCall), event.get("arguments"), events)
            case "response.output_item.added":
                self._item_added(event, events)
            case "response.output_item.done":
                self._item_done(event, events)
            case "response.created" | "response.queued" | "response.in_progress":
                self._begin(event, events)
            case "response.completed" | "response.incomplete" | "response.cancelled":
                self._end(event, str(kind), events)
            case "error" | "response.failed":
                raise _error_in(event)
            case _:
                events.append(Unknown(dialect=name, body=event))

    # --- where an event belongs ---------------------------------------------------------------------------------------

    def _place(self, event: Json) -> int:
        place = event.get("output_index")
        if isinstance(place, int):
            self._latest = place
        return self._latest

    def _part(self, event: Json, which: str, at: str, kind: type[AnyPart]) -> _Growing:
        """The part that grows, which opens if nobody said so before."""
        place = event.get(at)
        key = (which, place if isinstance(place, int) else 0)
        parts = self._parts.setdefault(self._place(event), {})
        growing = parts.get(key)
        return growing if growing is not None and growing.kind is kind else self._open(parts, key, kind)

    def _open(self, parts: dict[_Key, _Growing], key: _Key, kind: type[AnyPart]) -> _Growing:
        before = parts.get(key)
        if before is None:
            self._count += 1
        growing = parts[key] = _Growing(before.index if before is not None else self._count - 1, kind)
        return growing

    # --- what it says -------------------------------------------------------------------------------------------------

    def _begin(self, event: Json, events: list[Event]) -> None:
        """`response.created` and its like: they name the answer; the request that they echo comes again at the end."""
        response = an_object(event.get("response"))
        if not self._started:
            self._start(response, {}, events)
        events.append(Unknown(dialect=name, body=event))

    def _start(self, response: Json, extra: Extra, events: list[Event]) -> None:
        self._started = True
        answer, model, created = response.get("id"), response.get("model"), response.get("created_at")
        events.append(
            Started(
                id=answer if isinstance(answer, str) else None,
                model=model if isinstance(model, str) else None,
                created=int(created) if isinstance(created, int | float) and created > 0 else None,
                extra=extra,
                dialect=name,
            )
        )

    def _item_added(self, event: Json, events: list[Event]) -> None:
        place = self._place(event)
        item = an_object(event.get("item"))
        parts = self._parts.setdefault(place, {})
        if item.get("type") != "function_call":
            events.append(Unknown(dialect=name, body=event))
            return
        growing = self._open(parts, ("", 0), ToolCall)
        given = item.get("arguments")
        bare = {**item, "arguments": ""} if given else item
        events.append(Unknown(dialect=name, body={**event, "item": bare, PART: growing.index}))
        if isinstance(item.get("name"), str):
            self._call(growing, item, events)
            if isinstance(given, str) and given:
                self._grow(growing, given, events)

    def _call(self, growing: _Growing, item: Json, events: list[Event]) -> None:
        growing.call, growing.shown = self._calls, True
        self._calls += 1
        call_id = item.get("call_id") or item.get("id") or ""
        growing.called = str(call_id), item["name"]
        started = ToolCallStarted(id=str(call_id), name=item["name"], index=growing.index, call=growing.call)
        events.append(started)

    def _part_added(self, event: Json, events: list[Event]) -> None:
        part = an_object(event.get("part"))
        known = _KINDS.get(str(part.get("type")))
        if known is None:
            events.append(Unknown(dialect=name, body=event))
            return
        kind, key, which, at = known
        self._opened(event, part, key, self._part(event, which, at, kind), events)

    def _opened(self, event: Json, part: Json, key: str, growing: _Growing, events: list[Event]) -> None:
        """A part opens; some servers give words with it."""
        text = part.get(key)
        blank = {**part, key: ""} if text else part
        events.append(Unknown(dialect=name, body={**event, "part": blank, PART: growing.index}))
        if isinstance(text, str) and text:
            self._grow(growing, text, events, _content_note(event, growing))

    def _text_more(self, event: Json, events: list[Event]) -> None:
        growing = self._part(event, "content", "content_index", Text)
        delta, logprobs = event.get("delta"), event.get("logprobs")
        if not isinstance(delta, str) or not (delta or logprobs):
            return
        growing.words.append(delta)
        growing.shown = True
        said = {"content": cast("Any", logprobs)} if isinstance(logprobs, list) and logprobs else None
        growing.likely = growing.likely or said is not None
        events.append(TextDelta(delta=delta, index=growing.index, logprobs=said))

    def _more(self, event: Json, growing: _Growing, events: list[Event]) -> None:
        delta = event.get("delta")
        if isinstance(delta, str) and delta:
            self._grow(growing, delta, events, _content_note(event, growing))

    def _grow(self, growing: _Growing, delta: str, events: list[Event], extra: Extra | None = None) -> None:
        """More of a part, in the event that its kind has."""
        growing.words.append(delta)
        index = growing.index
        if growing.kind is ToolCall:
            if growing.shown:
                events.append(ArgumentsDelta(delta=delta, index=index, call=growing.call))
            return  # else its name has not come yet: nobody can be told
        growing.shown = True
        if growing.kind is Thinking:
            growing.extra.update(extra or {})
            events.append(ThinkingDelta(delta=delta, index=index, extra=extra or {}))
        elif growing.kind is Refusal:
            events.append(RefusalDelta(delta=delta, index=index))
        else:
            events.append(TextDelta(delta=delta, index=index))

    def _cite_one(self, event: Json, events: list[Event]) -> None:
        growing = self._part(event, *_CONTENT, Text)
        growing.cited += 1
        growing.shown = True
        events.append(Cited(citation=citation_from_wire(event.get("annotation")), index=growing.index))

    # --- what is done -------------------------------------------------------------------------------------------------

    def _words_done(self, event: Json, kind: str, events: list[Event]) -> None:
        what, key, which, at = _KINDS[kind.removeprefix("response.").removesuffix(".done")]
        growing = self._part(event, which, at, what)
        self._complete(growing, event.get(key), events, _content_note(event, growing))

    def _part_done(self, event: Json, events: list[Event]) -> None:
        part = an_object(event.get("part"))
        known = _KINDS.get(str(part.get("type")))
        if known is None:
            events.append(Unknown(dialect=name, body=event))
            return
        kind, key, which, at = known
        growing = self._part(event, which, at, kind)
        self._complete(growing, part.get(key), events, _content_note(event, growing))
        annotations = part.get("annotations")
        if kind is Text and isinstance(annotations, list):
            self._cite(growing, tuple(map(citation_from_wire, cast("list[Any]", annotations))), events)
        events.append(PartEnded(index=growing.index))

    def _complete(self, growing: _Growing, text: Any, events: list[Event], extra: Extra | None = None) -> None:
        """The words that no piece has brought."""
        if not isinstance(text, str) or not text:
            return
        came = growing.text()
        if text != came and text.startswith(came):
            self._grow(growing, text[len(came) :], events, extra)

    def _cite(self, growing: _Growing, citations: tuple[Any, ...], events: list[Event]) -> None:
        for citation in citations[growing.cited :]:
            growing.shown = True
            events.append(Cited(citation=citation, index=growing.index))
        growing.cited = max(growing.cited, len(citations))

    def _item_done(self, event: Json, events: list[Event]) -> None:
        place = self._place(event)
        item = an_object(event.get("item"))
        if not item:
            return
        self._done[place] = item
        signature = item.get("encrypted_content")
        logprobs: Probabilities = []
        parts = parts_from_item(item, f"output[{place}]", logprobs)
        settled = self._settle(place, parts, logprobs, events)
        for growing, part in reversed(settled):  # the first has the item's own keys: it is said last, and ends the item
            extra = part.extra
            if ITEM in extra and type(part) is Thinking and signature:
                extra = {**extra, ITEM: {**extra[ITEM], "encrypted_content": signature}}
            if growing.whole is None:
                self._note(growing, extra, events)

    def _note(self, growing: _Growing, extra: Extra, events: list[Event]) -> None:
        growing.extra.update(extra)
        events.append(PartEnded(index=growing.index, extra=extra))

    def _settle(
        self, place: int, parts: list[AnyPart], logprobs: Probabilities, events: list[Event]
    ) -> list[tuple[_Growing, AnyPart]]:
        """Make good what an item's whole form says beyond its pieces. Its log probabilities are taken from the list."""
        growings = self._parts.setdefault(place, {})
        settled: list[tuple[_Growing, AnyPart]] = []
        counts = {"content": 0, "summary": 0, "": 0}
        for part in parts:
            which = _list_of(part)
            key = (which, counts[which])
            counts[which] += 1
            growing = growings.get(key)
            if growing is None or growing.kind is not type(part):
                growing = self._open(growings, key, type(part))
            self._fill(growing, part, events)
            if count := part.extra.get(LOGPROBS, 0):
                own, logprobs[:] = logprobs[:count], logprobs[count:]
                if not growing.likely:
                    events.append(TextDelta(delta="", index=growing.index, logprobs={"content": own}))
                growing.likely = growing.shown = True
            settled.append((growing, part))
        return settled

    def _fill(self, growing: _Growing, part: AnyPart, events: list[Event]) -> None:
        match part:
            case Text():
                self._complete(growing, part.text, events)
                self._cite(growing, part.citations, events)
            case Refusal():
                self._complete(growing, part.text, events)
            case Thinking():
                self._complete(growing, part.text, events, {IN: part.extra[IN]} if IN in part.extra else None)
            case ToolCall():
                if not growing.shown:
                    came, growing.words = growing.text(), []
                    self._call(growing, {"call_id": part.id, "name": part.name}, events)
                    if part.arguments == "{}" and came:
                        self._grow(growing, came, events)
                if part.arguments != "{}" or growing.words:
                    self._complete(growing, part.arguments, events)
            case _:
                if growing.whole != part:
                    growing.whole, growing.shown = part, True
                    events.append(PartAdded(part=part, index=growing.index))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _end(self, event: Json, kind: str, events: list[Event]) -> None:
        """The response that ends the stream: the same answer once more, and all that is known only now."""
        response = {**an_object(event.get("response"))}
        places = range(len(response["output"])) if _is_full(response.get("output")) else sorted(self._done)
        if isinstance(places, list):  # a server that does not say it all again
            response["output"] = [self._done[place] for place in places]
        if response.get("status") in ("queued", "in_progress"):
            response["status"] = kind.removeprefix("response.")
        reply = reply_from_wire(response)
        choice = reply.choices[0]
        extra = dict(reply.extra)
        if reply.service_tier is not None:
            extra["service_tier"] = reply.service_tier
        self._start(response, extra, events)
        logprobs: Probabilities = [*an_object(choice.logprobs).get("content", ())]
        for place, parts in zip(places, _by_item(choice.message.parts), strict=True):
            for growing, part in self._settle(place, parts, logprobs, events):
                self._correct(growing, part, events)
        events.append(Finished(finish=choice.finish or "stop", word=choice.word))
        if reply.usage is not None:
            events.append(UsageReported(usage=reply.usage))
        if beside := {key: value for key, value in event.items() if key not in _TERMINAL}:
            events.append(Unknown(dialect=name, body={"type": kind, **beside}))
        self._ended = True
        events.append(Ended())

    def _correct(self, growing: _Growing, part: AnyPart, events: list[Event]) -> None:
        """Where the events so far amount to another part than the last word says, that one stands."""
        if growing.whole is not None:
            return
        shown = growing.shown
        if type(part) is Thinking and part.signature is not None:
            growing.shown = True
            events.append(ThinkingSigned(signature=part.signature, dialect=name, index=growing.index))
        if not growing.shown or not _amounts_to(growing, part):
            events.append(PartAdded(part=part, index=growing.index))
        elif not shown or growing.extra != part.extra:
            self._note(growing, part.extra, events)


def _error_in(event: Json) -> TrunklineError:
    """The error that an event says: beside its type, under `error`, or in the response that failed."""
    response = an_object(event.get("response"))
    bare = event if event.get("type") == "error" else None
    return hidden_error(event.get("error") or response.get("error") or bare)


def _is_full(output: Any) -> bool:
    return isinstance(output, list) and bool(cast("list[Any]", output))


def _amounts_to(growing: _Growing, part: AnyPart) -> bool:
    text = growing.text()
    if not growing.extra.keys() <= part.extra.keys():
        return False
    if type(part) is ToolCall:
        return (text or "{}") == part.arguments and growing.called == (part.id, part.name)
    said = part.text if isinstance(part, Text | Thinking | Refusal) else ""
    return text == said and (type(part) is not Text or growing.cited == len(part.citations))


def _content_note(event: Json, growing: _Growing) -> Extra | None:
    """Reasoning that stands in the content of its item is noted as such."""
    return {IN: "content"} if growing.kind is Thinking and "content_index" in event else None


def _list_of(part: AnyPart) -> str:
    """The list of its item in which a part stands."""
    if type(part) is Thinking:
        return part.extra.get(IN, "summary")
    return "content" if type(part) is not ToolCall and (ITEM in part.extra or MORE in part.extra) else ""


def _by_item(parts: tuple[AnyPart, ...]) -> list[list[AnyPart]]:
    """An answer's parts, those of an item together."""
    items: list[list[AnyPart]] = []
    for part in parts:
        if MORE in part.extra and items:
            items[-1].append(part)
        else:
            items.append([part])
    return items


_CONTENT = ("content", "content_index")
_SUMMARY = ("summary", "summary_index")
"""A list of an item, and how an event says which of its parts is meant."""

_KINDS: Mapping[str, tuple[type[AnyPart], str, str, str]] = {
    "output_text": (Text, "text", *_CONTENT),
    "refusal": (Refusal, "refusal", *_CONTENT),
    "reasoning_text": (Thinking, "text", *_CONTENT),
    "summary_text": (Thinking, "text", *_SUMMARY),
}
"""Types of content that grow: our kind of part, the key of their words, and where they stand. Others come whole."""

_BEGINS = ("response.created", "response.queued", "response.in_progress")
_ENDS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
_BREAKS = frozenset({"response.failed", "error"})
_DONE = b"[DONE]"
_TERMINAL = frozenset({"type", "response", "sequence_number"})


def _named(body: Json, piece: bytes) -> Json:
    """An event with its type: some servers name their events outside only."""
    if "type" not in body:
        body["type"] = event_of(piece)[0]
    return body


class ResponsesTap(StreamWatcher):
    """Watches a stream that passes through: read until the first content, and where it ends."""

    notable = re.compile(rb'"type"\s*:\s*"(?:response\.(?:completed|incomplete|failed|cancelled)|error)"')

    def _keep(self, piece: bytes) -> bool:
        if not (self.notable.search(piece) and self._ends(piece)) and not self.content:
            super()._keep(piece)
        return True

    def _ends(self, piece: bytes) -> bool:
        """Whether it is the terminal event. Raises the error that it may be."""
        data = data_of(piece)
        try:
            last = _terminals.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            last = Terminal()
        if last.type in _ENDS:
            told = seen(last.response)
            self._usage, self.finish, self.tier, self.made = told
            self.ended = True
        elif last.type in _BREAKS:
            raise _error_in(msgspec.json.decode(data))
        return self.ended


_terminals = msgspec.json.Decoder(Terminal)
