"""Reading back: an answer that was asked for by a tool or in words is the text that it would have been.

A whole reply and a stream are read with the same eyes: the answer's call, or text that begins as JSON, is the answer;
text beside it is talk, and left out.
"""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from trunkline.vocabulary.events import ArgumentsDelta, Cited, Event, Finished, PartEnded, TextDelta, ToolCallStarted
from trunkline.vocabulary.parts import AnyPart, Text, ToolCall
from trunkline.vocabulary.protocols import Decoder
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.tools import ResponseFormat
from trunkline.wire.grammar.emulation import Reading

from .value import BEFORE, Span, begins, opening, within


def reading_of(form: ResponseFormat, tool: str | None = None) -> Reading:
    """How an answer is read that was asked for in words, or by a tool of this name."""
    opens = opening(form)
    return Reading(partial(_reply, tool=tool, opens=opens), partial(_Decoder, tool=tool, opens=opens))


def _reply(reply: Reply, tool: str | None, opens: str) -> Reply:
    """The reply as it would have been: the answer is its text."""
    reply.choices = tuple(_choice(choice, tool, opens) for choice in reply.choices)
    return reply


def _choice(choice: Choice, tool: str | None, opens: str) -> Choice:
    read = _Whole(opens)
    for part in choice.message.parts:
        if type(part) is ToolCall and part.name == tool:
            read.answer(part)
        elif type(part) is ToolCall:
            read.call(part)
        elif type(part) is Text:
            read.text(part)
        else:
            read.parts.append(part)
    message = replace(choice.message, parts=read.done())
    if read.answered and not read.called and choice.finish == "tool_calls":
        return replace(choice, message=message, finish="stop", word=None)
    return replace(choice, message=message)


class _Whole:
    """The parts of one choice that is read at once, with the same eyes as a stream."""

    def __init__(self, opens: str) -> None:
        self.parts: list[AnyPart | None] = []
        self.answered = False
        """The answer's tool was called."""
        self.called = False
        """The model calls tools of the caller's own."""
        self._opens = opens
        self._given = False
        self._talk: list[int] = []
        """Where text stands of which it is not known whether it is the answer."""

    def text(self, part: Text) -> None:
        if self.called or not self.answered:
            if not self.called:
                self._talk.append(len(self.parts))
            self.parts.append(part)

    def answer(self, call: ToolCall) -> None:
        if not self.answered and not self._in_words():
            for at in self._talk:
                self.parts[at] = None
            self._talk = []
            self.parts.append(Text(call.arguments))
        self.answered = True

    def call(self, call: ToolCall) -> None:
        if self._in_words() and self._talk:
            self._trim()
        self._talk, self.called = [], True
        self.parts.append(call)

    def done(self) -> tuple[AnyPart, ...]:
        if self._talk:
            self._trim()
        return tuple(part for part in self.parts if part is not None)

    def _in_words(self) -> bool:
        """Whether the text is the answer, and not talk beside it."""
        self._given = self._given or begins(self._words(), self._opens) is not None
        return self._given

    def _words(self) -> str:
        return "".join(part.text for at in self._talk if isinstance(part := self.parts[at], Text))

    def _trim(self) -> None:
        """Leave of an answer in words what is the answer."""
        words = self._words()
        answer = within(words, self._opens)
        if answer != words:
            for at in self._talk:
                self.parts[at] = None
            self.parts[self._talk[0]] = Text(answer)


class _Decoder:
    """A decoder whose answer is its text, as it comes: arguments of the answer's tool, or JSON without what is around
    it. Text that begins as neither is held back until it is known what it is."""

    def __init__(self, inner: Decoder, tool: str | None, opens: str) -> None:
        self._inner = inner
        self._tool = tool
        self._opens = opens
        self._choices: dict[int, _Answering] = {}

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._read(self._inner.feed(data))

    def close(self) -> list[Event]:
        """The last events."""
        return self._read(self._inner.close())

    def _read(self, events: list[Event]) -> list[Event]:
        read: list[Event] = []
        for event in events:
            choice = self._choices.get(event.choice)
            if choice is None:
                choice = self._choices[event.choice] = _Answering(self._tool, self._opens)
            read += choice.read(event)
        return read


class _Answering:
    """One choice of a stream that is being read."""

    def __init__(self, tool: str | None, opens: str) -> None:
        self._tool = tool
        self._opens = opens
        self._held: list[Event] = []
        """Text of which it is not known yet whether it is the answer."""
        self._prefix: str | None = ""
        """What has come of it while it may still begin as an answer; None when it does not."""
        self._span: Span | None = None
        """The answer, when it comes as text."""
        self._calls: dict[int, bool] = {}
        """Calls of the answer's tool by the index of their part; True for the one that counts."""
        self._empty = True
        """The call that counts has no arguments so far."""
        self._called = False
        """The model calls tools of the caller's own."""

    def read(self, event: Event) -> list[Event]:
        """What the caller gets to see of it."""
        match event:
            case TextDelta():
                return self._text(event)
            case ToolCallStarted() if event.name == self._tool:
                self._held = []
                self._calls[event.index] = not self._calls and self._span is None
                return []
            case ToolCallStarted():
                self._called = True
                shown = [*self._held, replace(event, call=event.call - len(self._calls))]
                self._held = []
                return shown
            case ArgumentsDelta() if event.index in self._calls:
                self._empty = False
                return [self._more(event)] if self._calls[event.index] else []
            case ArgumentsDelta():
                return [replace(event, call=event.call - len(self._calls))] if self._calls else [event]
            case PartEnded() if event.index in self._calls:
                return [*self._nothing(event.index), PartEnded(choice=event.choice, index=event.index)]
            case PartEnded() | Cited() if self._held:
                self._held.append(event)
                return []
            case Finished():
                return self._finished(event)
            case _:
                return [event]

    def _more(self, event: ArgumentsDelta) -> TextDelta:
        return TextDelta(choice=event.choice, index=event.index, delta=event.delta)

    def _nothing(self, index: int) -> list[Event]:
        """The text of a call without arguments."""
        if not self._empty or not self._calls[index]:
            return []
        self._empty = False
        return [TextDelta(index=index, delta="{}")]

    def _text(self, event: TextDelta) -> list[Event]:
        if self._called:
            return [event]
        if self._calls:  # the answer is given: this is talk
            return []
        if self._span is not None:
            return self._within(event, event.delta)
        self._held.append(event)
        if self._prefix is None:
            return []
        self._prefix += event.delta
        before = BEFORE.match(self._prefix)
        rest = self._prefix[before.end() if before is not None else 0 :]
        if not rest or rest in ("`", "``"):
            return []
        self._prefix = None
        if rest[0] not in self._opens:
            return []
        self._span, self._held = Span(), []
        return self._within(event, rest)

    def _within(self, event: TextDelta, words: str) -> list[Event]:
        assert self._span is not None
        if self._span.over:
            return []
        words = words[: self._span.upto(words)]
        return [event if words == event.delta else replace(event, delta=words)] if words else []

    def _finished(self, event: Finished) -> list[Event]:
        shown: list[Event] = []
        for index in self._calls:
            shown += (replace(one, choice=event.choice) for one in self._nothing(index))
        if self._held:
            texts = [one for one in self._held if isinstance(one, TextDelta)]
            words = "".join(one.delta for one in texts)
            answer = within(words, self._opens)
            shown += self._held if answer == words else [replace(texts[0], delta=answer)]
            self._held = []
        if self._calls and not self._called and event.finish == "tool_calls":
            event = replace(event, finish="stop", word=None)
        return [*shown, event]
