"""Streamed responses, written for a caller.

Every item opens and closes, and so does every part of it; places in the output and in an item are dense; and the last
event holds the whole response once more. Events that were read in this dialect bring their framing along, with the ids
of their items: then it is said again as it was, only numbered anew. For other dialects' events items are made as they
come: calls may grow side by side, any other item ends where the next one begins.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

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
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Citation, Extra, Opaque, Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.sse import frame

from .errors import envelope
from .items import EMPTY, IN, ITEM, LOGPROBS, MORE, Items, citation_to_wire, name
from .reading import PART
from .reply import KINDS, REASON, Names, response_to_wire


def encoder(request: Request) -> ResponsesEncoder:
    """A writer for the stream that answers `request`."""
    return ResponsesEncoder(request.model)


LATE = 2**31 - 1
"""A `sequence_number` that is later than any: who breaks a stream off does not know how far it came."""


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: an `error` event, and no response that ends it. The official SDK raises what stands under
    `error`; the keys beside it are those of the API's pages."""
    inside = envelope(error)["error"]
    flat = {key: inside[key] for key in ("code", "message", "param")}
    return frame(msgspec.json.encode({"type": "error", **flat, "error": inside, "sequence_number": LATE}), "error")


class _Part:
    """A part that is being written."""

    __slots__ = (
        "at",
        "citations",
        "extra",
        "framed",
        "id",
        "item",
        "kind",
        "logprobs",
        "name",
        "open",
        "said",
        "signature",
        "whole",
        "words",
    )

    def __init__(self, kind: type[AnyPart], item: _Item, at: int, *, framed: bool = True) -> None:
        self.kind = kind
        self.item = item
        self.at = at
        """Its place in the item's list."""
        self.framed = framed
        """It was said that it opens."""
        self.open = True
        self.words: list[str] = []
        self.citations: list[Citation] = []
        self.said = 0
        """How many sources have been said."""
        self.logprobs: list[Any] = []
        self.extra: Extra = {}
        self.signature: str | None = None
        self.id = self.name = ""
        self.whole: AnyPart | None = None
        """As it came in one piece, whatever was written before."""

    def text(self) -> str:
        return "".join(self.words)

    def part(self) -> AnyPart:
        """What was written, with the notes of this dialect."""
        extra = {**self.extra}
        if ITEM not in extra and MORE not in extra:
            extra |= {MORE: True} if self.item.parts[0] is not self else {ITEM: self.item.note}
        if self.whole is not None:
            return (
                self.whole if type(self.whole) is Opaque else replace(self.whole, extra={**extra, **self.whole.extra})
            )
        text = self.text()
        if self.kind is ToolCall:
            return ToolCall(self.id, self.name, text or "{}", extra=extra)
        if self.kind is Thinking:
            return Thinking(text, self.signature, dialect=name if self.signature else None, extra=extra)
        if self.kind is Refusal:
            return Refusal(text, extra=extra)
        if self.logprobs:
            extra[LOGPROBS] = len(self.logprobs)
        return Text(text, tuple(self.citations), extra=extra)


class _Item:
    """An item of the output that is being written."""

    __slots__ = ("id", "kind", "note", "open", "own", "parts", "place")

    def __init__(self, place: int, kind: str, note: Json, *, own: bool) -> None:
        self.place = place
        self.kind = kind
        self.note = note
        """Its own keys, until its end says otherwise."""
        self.id: Any = note.get("id")
        self.own = own
        """It was read in this dialect."""
        self.open = True
        self.parts: list[_Part] = []


class ResponsesEncoder:
    """Writes a stream for a caller. There is one answer: other choices are left out."""

    def __init__(self, model: str) -> None:
        self._started = Started(model=model)
        self._own = False
        self._extra: Extra = {}
        self._begun = False
        self._sequence = 0
        self._names: Names | None = None
        self._items: list[_Item] = []
        self._parts: dict[int, _Part] = {}
        """By the place of the part in the message."""
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._beside: Json = {}
        """Keys that stand beside the response in the last event."""

    def encode(self, events: list[Event]) -> bytes:
        """These events, as this API says them."""
        return b"".join([self._event(event) for event in events if event.choice == 0])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._begin() + self._text(event)
            case ArgumentsDelta():
                return self._begin() + self._arguments(event)
            case ThinkingDelta():
                return self._begin() + self._thought(event)
            case RefusalDelta():
                return self._begin() + self._refused(event)
            case ToolCallStarted():
                return self._begin() + self._called(event)
            case Cited():
                return self._begin() + self._cited(event)
            case Unknown(dialect="openai_responses"):
                return self._framing(event.body)
            case PartAdded():
                return self._begin() + self._added(event)
            case PartEnded():
                return self._ended(event)
            case ThinkingSigned(dialect="openai_responses"):
                if (part := self._parts.get(event.index)) is not None:
                    part.signature = event.signature
            case Started():
                self._start(event)
            case UsageReported():
                self._usage = event.usage
                self._extra.update(event.extra)
            case Noted(of="reply"):
                self._extra.update(event.extra)
            case Finished():
                self._finished = event
            case Ended():
                return self._begin() + self._end()
            case _:
                pass
        return b""

    def _start(self, event: Started) -> None:
        """A later one corrects what it names."""
        before = self._started
        self._own = event.dialect == name
        self._extra.update(event.extra)
        self._started = Started(
            id=event.id or before.id, model=event.model or before.model, created=event.created or before.created
        )

    # --- what is said around the items --------------------------------------------------------------------------------

    def _say(self, kind: str, /, **said: Any) -> bytes:
        body = {"type": kind, **said, "sequence_number": self._sequence}
        self._sequence += 1
        return frame(msgspec.json.encode(body), kind)

    def _begin(self) -> bytes:
        """`response.created`, once, where nobody said it; with what is known before the first content."""
        if self._begun:
            return b""
        self._begun = True
        response = {
            **self._response(Choice(Message("assistant")), [], own=False),
            "status": "in_progress",
            "usage": None,
        }
        return self._say("response.created", response=response) + self._say("response.in_progress", response=response)

    def _response(self, choice: Choice, output: list[Json], *, own: bool) -> Json:
        started, extra = self._started, {**self._extra}
        tier = extra.pop("service_tier", None)
        reply = Reply(
            id=started.id or (None if own else self._naming().next("resp")),
            model=started.model,
            created=started.created,
            usage=self._usage,
            service_tier=tier,
            extra=extra if own else {},
            dialect=name if own else None,
        )
        if started.id is None:
            self._started = replace(started, id=reply.id)
        return response_to_wire(reply, choice, output)

    def _naming(self) -> Names:
        if self._names is None:
            self._names = Names(self._started.id)
        return self._names

    def _end(self) -> bytes:
        """Close whatever is open, and say the whole response."""
        finished = self._finished
        cut = finished is not None and finished.finish in REASON
        closed = b"".join([self._close(item, cut=cut) for item in self._items])
        parts = [part for item in sorted(self._items, key=_place) for part in item.parts]
        logprobs = [one for part in parts for one in part.logprobs]
        items = Items(self._naming().fresh, [], logprobs)
        items.add([part.part() for part in parts], "output")
        choice = Choice(
            Message("assistant"),
            finished.finish if finished is not None else None,
            word=finished.word if finished is not None and self._own else None,
        )
        response = self._response(choice, items.items, own=self._own)
        kind = {"incomplete": "incomplete", "cancelled": "cancelled"}.get(response.get("status", ""), "completed")
        return closed + self._say(f"response.{kind}", response=response, **self._beside)

    def _framing(self, body: Any) -> bytes:
        """An event that was kept whole, with a number of ours."""
        said = {**an_object(body)}
        kind, index = str(said.pop("type", "")), said.pop(PART, None)
        said.pop("sequence_number", None)
        begun = b""
        match kind:
            case "response.completed" | "response.incomplete" | "response.cancelled":
                self._beside = said
                return b""
            case "response.created" | "response.queued" | "response.in_progress":
                self._begun = True
            case "response.output_item.added":
                begun = self._begin()
                self._adopt(said, index)
            case "response.content_part.added" | "response.reasoning_summary_part.added" if index is not None:
                begun = self._begin()
                item = self._item_at(said.get("output_index"))
                at = said.get("summary_index", said.get("content_index"))
                kinds = _CONTENT_KINDS.get(an_object(said.get("part")).get("type", ""), Text)
                part = _Part(kinds, item, at if isinstance(at, int) else 0)
                if kinds is Thinking and "content_index" in said:
                    part.extra[IN] = "content"
                self._keep(part, index)
            case _:
                pass
        return begun + self._say(kind, **said)

    def _adopt(self, said: Json, index: int | None) -> None:
        """An item that was read opens."""
        body = an_object(said.get("item"))
        place = said.get("output_index")
        kind: str = body.get("type") or ""
        left_out = {"content", "summary", "encrypted_content"}
        if kind == "function_call":
            left_out = {"type", "call_id", "name", "arguments"}
        note = {key: value for key, value in body.items() if key not in left_out}
        if note.get("status") == "in_progress":
            note["status"] = "completed"
        item = _Item(place if isinstance(place, int) else len(self._items), kind, note, own=True)
        self._items.append(item)
        if index is not None:
            part = _Part(ToolCall, item, 0)
            part.id, part.name = str(body.get("call_id") or body.get("id") or ""), str(body.get("name") or "")
            self._keep(part, index)

    def _item_at(self, place: Any) -> _Item:
        """The item in which a part opens that was read."""
        found = next((item for item in reversed(self._items) if item.place == place), None)
        if found is None:
            found = _Item(len(self._items), "message", self._naming().fresh("message"), own=True)
            self._items.append(found)
        return found

    def _keep(self, part: _Part, index: int) -> _Part:
        part.item.parts.append(part)
        self._parts[index] = part
        return part

    # --- what the items say -------------------------------------------------------------------------------------------

    def _text(self, event: TextDelta) -> bytes:
        logprobs: list[Any] = an_object(event.logprobs).get("content") or []
        if not event.delta and not logprobs and not self._own:
            return b""
        begun, part = self._part(event.index, Text)
        part.words.append(event.delta)
        part.logprobs += logprobs
        if not event.delta and not logprobs:
            return begun
        return begun + self._grow("response.output_text.delta", part, delta=event.delta, logprobs=logprobs)

    def _refused(self, event: RefusalDelta) -> bytes:
        begun, part = self._part(event.index, Refusal)
        part.words.append(event.delta)
        return begun + self._grow("response.refusal.delta", part, delta=event.delta)

    def _thought(self, event: ThinkingDelta) -> bytes:
        begun, part = self._part(event.index, Thinking, event.extra if self._own else {})
        part.words.append(event.delta)
        kind = "reasoning_text" if part.extra.get(IN) == "content" else "reasoning_summary_text"
        return begun + self._grow(f"response.{kind}.delta", part, delta=event.delta)

    def _called(self, event: ToolCallStarted) -> bytes:
        part = self._parts.get(event.index)
        begun = b""
        if part is None or part.kind is not ToolCall:
            part, begun = self._new_call(event)
        part.id, part.name = event.id or part.id, event.name
        return begun

    def _new_call(self, event: ToolCallStarted) -> tuple[_Part, bytes]:
        closed = self._close_all(but="function_call")
        item = _Item(len(self._items), "function_call", self._naming().fresh("function_call"), own=False)
        self._items.append(item)
        part = self._keep(_Part(ToolCall, item, 0), event.index)
        part.id = event.id or item.id  # whoever answers it must name it
        said = {**item.note, "call_id": part.id, "name": event.name, "arguments": "", "status": "in_progress"}
        opened = self._say(
            "response.output_item.added", output_index=item.place, item={"type": "function_call", **said}
        )
        return part, closed + opened

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        part = self._parts.get(event.index)
        if part is None or part.kind is not ToolCall or not part.open:
            return b""
        part.words.append(event.delta)
        item = part.item
        return self._say(
            "response.function_call_arguments.delta", item_id=item.id, output_index=item.place, delta=event.delta
        )

    def _cited(self, event: Cited) -> bytes:
        """A source; one of another dialect waits for the end of the text, of which it may be for all."""
        begun, part = self._part(event.index, Text)
        part.citations.append(event.citation)
        return begun + self._annotate(part) if event.citation.dialect == name else begun

    def _annotate(self, part: _Part) -> bytes:
        """Say the sources that have not been said."""
        annotations = _annotations(part)
        said, part.said = part.said, len(annotations)
        kind = "response.output_text.annotation.added"
        return b"".join(
            self._grow(kind, part, annotation_index=at, annotation=annotation)
            for at, annotation in enumerate(annotations[said:], said)
        )

    def _grow(self, kind: str, grown: _Part, /, **said: Any) -> bytes:
        """An event of a part; what is known of it only when it is over, stands in the last event alone."""
        if not grown.open:
            return b""
        return self._say(kind, item_id=grown.item.id, output_index=grown.item.place, **_at(grown), **said)

    def _part(self, index: int, kind: type[AnyPart], notes: Extra | None = None) -> tuple[bytes, _Part]:
        """The open part at `index`; a new one where there is none, with the events that open it."""
        part = self._parts.get(index)
        if part is not None and part.kind is kind and (part.open or self._own):
            return b"", part
        item_kind = KINDS.get(kind, "message")
        last = self._items[-1] if self._items else None
        if last is not None and last.open and last.kind == item_kind and (self._own or item_kind == "message"):
            return self._more_of(last, index, kind, notes)
        closed = self._close_all(but="function_call") if not self._own else b""
        note = self._naming().fresh(item_kind)
        item = _Item(len(self._items), item_kind, note, own=False)
        self._items.append(item)
        empty: Json = {"content": []} if item_kind == "message" else {"type": "reasoning", "summary": []}
        started = {**note, "status": "in_progress"} if "status" in note else note
        opened = self._say("response.output_item.added", output_index=item.place, item={**started, **empty})
        framed, part = self._more_of(item, index, kind, notes)
        return closed + opened + framed, part

    def _more_of(self, item: _Item, index: int, kind: type[AnyPart], notes: Extra | None) -> tuple[bytes, _Part]:
        """A part in an item that is open. One of an item that was read opens without a word, as its server has it."""
        closed = b"" if item.own else b"".join([self._close_part(part) for part in item.parts])
        same = [part for part in item.parts if part.extra.get(IN) == (notes or {}).get(IN)]
        part = self._keep(_Part(kind, item, len(same), framed=not item.own), index)
        if notes:
            part.extra.update(notes)
        if item.own:
            return closed, part
        if kind is Text:
            part.extra[EMPTY] = ["annotations", "logprobs"]
        opens = "response.reasoning_summary_part.added" if kind is Thinking else "response.content_part.added"
        return closed + self._grow(opens, part, part=_content(part, "")), part

    def _added(self, event: PartAdded) -> bytes:
        """A part that comes in one piece; of other dialects' only what this API has too."""
        whole, part = event.part, self._parts.get(event.index)
        if part is not None:
            part.whole = whole
            return b""
        match whole:
            case Opaque(dialect="openai_responses"):
                return self._whole(whole, event.index)
            case Text():
                text = self._text(TextDelta(delta=whole.text, index=event.index))
                cited = [self._cited(Cited(citation=one, index=event.index)) for one in whole.citations]
                return text + b"".join(cited)
            case Refusal():
                return self._refused(RefusalDelta(delta=whole.text, index=event.index))
            case Thinking(text=str(thought)) if thought:
                return self._thought(ThinkingDelta(delta=thought, index=event.index))
            case ToolCall():
                started = self._called(ToolCallStarted(id=whole.id, name=whole.name, index=event.index))
                return started + self._arguments(ArgumentsDelta(delta=whole.arguments, index=event.index))
            case _:
                return b""

    def _whole(self, whole: Opaque, index: int) -> bytes:
        """An item that only this API has, or a part of a message."""
        body = an_object(whole.body)
        if whole.extra:
            item = next((one for one in reversed(self._items) if one.open and one.kind == "message"), None)
            if item is not None:
                self._keep(_Part(Opaque, item, len(item.parts)), index).whole = whole
            return b""
        item = next(
            (one for one in self._items if one.open and one.own and not one.parts and one.id == body.get("id")), None
        )
        opened = b""
        if item is None:
            item = _Item(len(self._items), str(body.get("type")), body, own=True)
            self._items.append(item)
            opened = self._say("response.output_item.added", output_index=item.place, item=body)
        self._keep(_Part(Opaque, item, 0), index).whole = whole
        return opened + self._close(item)

    # --- what is over -------------------------------------------------------------------------------------------------

    def _ended(self, event: PartEnded) -> bytes:
        part = self._parts.get(event.index)
        if not self._own:
            if part is None or not part.open:
                return b""
            return self._close_part(part) if part.kind in _IN_MESSAGES else self._close(part.item)
        note = event.extra.get(ITEM)
        if part is None and isinstance(note, dict):
            part = self._blank(note, event.index)
        if part is None:
            return b""
        part.extra.update(event.extra)
        if note is not None:
            if not part.item.own:  # it has the id under which it was opened
                part.extra[ITEM] = {**note, "id": part.item.id}
            return self._close(part.item)
        return self._close_part(part) if not event.extra else b""

    def _blank(self, note: Any, index: int) -> _Part | None:
        """A part without words, of an item that was read: nothing was said of it but that it is over."""
        item = next((one for one in self._items if one.open and not one.parts and one.id == note.get("id")), None)
        if item is None:
            return None
        return self._keep(_Part(Thinking if item.kind == "reasoning" else Text, item, 0, framed=False), index)

    def _close_all(self, *, but: str) -> bytes:
        return b"".join([self._close(item) for item in self._items if item.kind != but])

    def _close_part(self, part: _Part) -> bytes:
        """A part is over, and said whole."""
        if not part.open:
            return b""
        said = self._in_whole(part)
        part.open = False
        return said

    def _in_whole(self, part: _Part) -> bytes:
        text = part.text()
        if part.kind is Opaque or (not part.framed and not text):
            return b""
        if part.kind is ToolCall:
            item = part.item
            kind = "response.function_call_arguments.done"
            return self._say(kind, item_id=item.id, output_index=item.place, arguments=text or "{}")
        sources = self._annotate(part) if part.kind is Text else b""
        more: Json = {"logprobs": part.logprobs} if part.kind is Text else {}
        key = "refusal" if part.kind is Refusal else "text"
        said = sources + self._grow(f"response.{_WORDS[_type_of(part)]}.done", part, **{key: text}, **more)
        if not part.framed:
            return said
        where = "reasoning_summary_part" if _type_of(part) == "summary_text" else "content_part"
        return said + self._grow(f"response.{where}.done", part, part=_content(part, text))

    def _close(self, item: _Item, *, cut: bool = False) -> bytes:
        """An item is over, and said whole."""
        if not item.open:
            return b""
        item.open = False
        if cut and not item.own and "status" in item.note:
            item.note["status"] = "incomplete"
        closed = b"".join([self._close_part(part) for part in item.parts])
        items = Items(self._naming().fresh, [], [one for part in item.parts for one in part.logprobs])
        items.add([part.part() for part in item.parts], "output")
        if not items.items:
            return closed
        return closed + self._say("response.output_item.done", output_index=item.place, item=items.items[0])


def _annotations(part: _Part) -> list[Json]:
    length = len(part.text())
    return [wire for one in part.citations if (wire := citation_to_wire(one, length)) is not None]


def _place(item: _Item) -> int:
    return item.place


def _type_of(part: _Part) -> str:
    if part.kind is Thinking:
        return "reasoning_text" if part.extra.get(IN) == "content" else "summary_text"
    return "refusal" if part.kind is Refusal else "output_text"


def _at(part: _Part) -> Json:
    """Where in its item an event's part is."""
    return {"summary_index" if _type_of(part) == "summary_text" else "content_index": part.at}


def _content(part: _Part, text: str) -> Json:
    """A content part as its framing says it."""
    kind = _type_of(part)
    if kind == "output_text":
        return {"type": kind, "text": text, "annotations": _annotations(part), "logprobs": []}
    return {"type": kind, "refusal" if kind == "refusal" else "text": text}


_WORDS = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
_CONTENT_KINDS: dict[str, type[AnyPart]] = {
    "output_text": Text,
    "refusal": Refusal,
    "reasoning_text": Thinking,
    "summary_text": Thinking,
}
_IN_MESSAGES = frozenset({Text, Refusal})
