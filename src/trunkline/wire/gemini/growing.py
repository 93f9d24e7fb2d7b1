"""Growing: what a candidate of a stream has said so far, chunk by chunk, as events.

A text goes on in the next chunk, until something else comes or a signature closes it; a call comes whole, unless the
caller of the API asked for its arguments in pieces (`partialArgs`, Vertex), which are put together here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Event,
    Finished,
    Noted,
    PartAdded,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
)
from trunkline.vocabulary.parts import Extra, ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.wire.grammar.fields import an_object, as_array, as_object, as_text

from .grounding import citations_of
from .parts import SIGNATURE, Ids, name, part_from_wire
from .reply import finish_from_wire, logprobs_from_wire, shell_of


class Growing:
    """One candidate."""

    def __init__(self, choice: int, ids: Ids) -> None:
        self._choice = choice
        self._ids = ids
        self._parts = 0
        self._open: str | None = None
        """The kind of the part that the next delta of its kind goes on with."""
        self._texts: dict[int, list[str]] = {}
        self._calls = 0
        self._partial: _Partial | None = None
        self._extra: Extra = {}
        self._shell: Extra = {}
        self.raw: list[tuple[int, int]] = []
        """Calls whose pieces in this chunk stand as they came: an encoder writes them from there."""

    @property
    def finished(self) -> bool:
        """The API said why it ended."""
        return bool(self._extra.get("finishReason"))

    def chunk(self, candidate: Json, events: list[Event]) -> Json:
        """Take a chunk's candidate in. Gives it back with None for each part that the events tell."""
        rest = {key: value for key, value in candidate.items() if key not in _APART}
        if candidate.get("index") is None:
            rest["~unnumbered"] = True
        self._learn(rest)
        said = candidate.get("content")
        if said is None:
            return candidate
        content = as_object(said, "candidates[].content")
        parts = as_array(content.pop("parts", None) or [], "candidates[].content.parts")
        if not self._parts:
            self._shell = shell_of(content, said, bare=not parts)
        before = len(events)
        written = [None if self._part(part, events) else part for part in parts]
        if (logprobs := logprobs_from_wire(candidate.get("logprobsResult"))) is not None:
            _attach(events, before, logprobs)
        return {**candidate, "content": {**cast("Json", said), "parts": written}} if parts else candidate

    def _learn(self, rest: Json) -> None:
        """What a later chunk says replaces what was said before, unless it says nothing; log probabilities add up."""
        for key, value in rest.items():
            before = self._extra.get(key)
            if key == "logprobsResult" and isinstance(before, dict) and isinstance(value, dict):
                self._extra[key] = _added(cast("Json", before), cast("Json", value))
            elif value or not before:
                self._extra[key] = value

    def close(self) -> Iterator[Event]:
        """What can be said now that nothing more comes: sources, and why it ended."""
        choice = self._choice
        texts = ["".join(words) for words in self._texts.values()]
        places = list(self._texts)
        for at, citation in citations_of(texts, self._extra):
            yield Cited(choice=choice, citation=citation, index=places[at])
        if self._shell:
            yield Noted(choice=choice, extra=self._shell)
        extra = dict(self._extra)
        finish, word = finish_from_wire(extra, called=self._calls > 0)
        if finish is not None:
            yield Finished(choice=choice, finish=finish, word=word, extra=extra)

    def _part(self, value: Any, events: list[Event]) -> bool:
        """Whether events tell all of this part."""
        if type(value) is dict:
            part = cast("Json", value)
            text = part.get("text")
            if type(text) is str:
                return self._text(part, text, events)
            if isinstance(part.get("functionCall"), dict) and self._is_partial(part["functionCall"]):
                return self._piece(part, events)
        self._close_partial(events)
        self._open = None
        part = part_from_wire(value, "candidates[].content.parts[]", self._ids)
        index = self._next()
        if isinstance(part, ToolCall):
            events.append(self._arguments(part.arguments, index, self._call(part, index, events)))
        else:
            events.append(PartAdded(choice=self._choice, part=part, index=index))
        return True

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _place(self, kind: str) -> int:
        if self._open != kind:
            self._open = kind
            return self._next()
        return self._parts - 1

    def _text(self, part: Json, text: str, events: list[Event]) -> bool:
        if len(part) == 1:
            if text:
                index = self._place("text")
                self._texts.setdefault(index, []).append(text)
                events.append(TextDelta(choice=self._choice, delta=text, index=index))
            return bool(text)
        thought = part.get("thought") is True
        extra = {key: value for key, value in part.items() if key != "text" and not (thought and key == "thought")}
        signature = extra.get(SIGNATURE)
        signature = as_text(signature, f"candidates[].content.parts[].{SIGNATURE}") if signature is not None else None
        if thought:
            return self._thought(text, signature, extra, events)
        index = self._place("text")
        self._texts.setdefault(index, []).append(text)
        events.append(TextDelta(choice=self._choice, delta=text, index=index, extra=extra))
        if signature is not None:
            self._open = None  # a part that is signed is whole
        return True

    def _thought(self, text: str, signature: str | None, extra: Extra, events: list[Event]) -> bool:
        extra.pop(SIGNATURE, None)
        if not text and not extra and signature is None:
            return False
        index = self._place("thinking")
        if text or extra:
            events.append(ThinkingDelta(choice=self._choice, delta=text, index=index, extra=extra))
        if signature is not None:
            events.append(ThinkingSigned(choice=self._choice, signature=signature, dialect=name, index=index))
            self._open = None
        return True

    def _call(self, call: ToolCall, index: int, events: list[Event]) -> int:
        started = ToolCallStarted(
            choice=self._choice,
            id=call.id,
            name=call.name,
            index=index,
            call=self._calls,
            signature=call.signature,
            dialect=call.dialect,
            extra=call.extra,
        )
        self._calls += 1
        events.append(started)
        return started.call

    def _arguments(self, words: str, index: int, call: int) -> Event:
        return ArgumentsDelta(choice=self._choice, delta=words, index=index, call=call)

    def _is_partial(self, call: Json) -> bool:
        return (
            bool(call.get("willContinue"))
            or "partialArgs" in call
            or (self._partial is not None and "name" not in call)
        )

    def _piece(self, part: Json, events: list[Event]) -> bool:
        """A piece of a call. It stands in the chunk as it came; its arguments are told when they are whole."""
        said = as_object(part["functionCall"], "candidates[].content.parts[].functionCall")
        more, pieces = said.pop("willContinue", None), said.pop("partialArgs", None)
        if "name" in said or self._partial is None:
            self._close_partial(events)
            self._open = None
            index = self._next()
            args = said.pop("args", None)
            call = part_from_wire({**part, "functionCall": said}, "candidates[].content.parts[]", self._ids)
            call = cast("ToolCall", call)
            extra = {key: value for key, value in call.extra.items() if key != "~bare"}
            call = msgspec.structs.replace(call, extra=extra)
            self._partial = _Partial(index, self._call(call, index, events), an_object(args))
        partial = self._partial
        for piece in as_array(pieces or [], "partialArgs"):
            partial.add(an_object(piece))
        self.raw.append((self._choice, partial.index))
        if not more:
            self._close_partial(events)
        return False

    def _close_partial(self, events: list[Event]) -> None:
        partial, self._partial = self._partial, None
        if partial is not None:
            words = msgspec.json.encode(partial.args).decode()
            events.append(self._arguments(words, partial.index, partial.call))


_APART = frozenset({"content", "index"})


def _attach(events: list[Event], first: int, logprobs: Any) -> None:
    """The log probabilities of a chunk, with its first words."""
    for at in range(first, len(events)):
        event = events[at]
        if type(event) is TextDelta:
            events[at] = msgspec.structs.replace(event, logprobs=logprobs)
            return


def _added(before: Json, more: Json) -> Json:
    """Two objects of lists as one."""
    whole = dict(before)
    for key, value in more.items():
        earlier = whole.get(key)
        whole[key] = [*earlier, *value] if isinstance(earlier, list) and isinstance(value, list) else value
    return whole


_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
"""A step of a JSON path as RFC 9535 has it: a name, a place in a list, a name in quotes."""

_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class _Partial:
    """A call whose arguments come in pieces, each with the path of the value that it is, or goes on with."""

    __slots__ = ("_last", "args", "call", "index")

    def __init__(self, index: int, call: int, args: Json) -> None:
        self.index = index
        self.call = call
        self.args: Json = dict(args)
        self._last: str | None = None
        """The path of a text that goes on."""

    def add(self, piece: Json) -> None:
        """Put the next piece where it belongs."""
        path = piece.get("jsonPath")
        if not isinstance(path, str):
            return
        steps = [_step(found) for found in _STEP.finditer(path)]
        key = next((key for key in _VALUES if key in piece), None)
        if not steps or key is None:
            return
        value = None if key == "nullValue" else piece[key]
        self._put(steps, value, goes_on=path == self._last)
        self._last = path if piece.get("willContinue") else None

    def _put(self, steps: list[str | int], value: Any, *, goes_on: bool) -> None:
        holder: Any = self.args
        for at, step in enumerate(steps):
            last = at == len(steps) - 1
            fresh: Any = value if last else [] if isinstance(steps[at + 1], int) else {}
            holder = _entered(holder, step, fresh, last=last, goes_on=goes_on)


def _step(found: re.Match[str]) -> str | int:
    if found[2] is not None:
        return int(found[2])
    return found[1] or found[3] or found[4] or ""


def _entered(holder: Any, step: str | int, fresh: Any, *, last: bool, goes_on: bool) -> Any:
    """What stands at a step of the path, which is made if it is not there. Lists grow by one at a time."""
    inside: Any = holder
    place: Any = step
    if isinstance(holder, list):
        if not isinstance(step, int) or step >= len(inside):
            inside.append(fresh)
            return fresh
    elif isinstance(holder, dict):
        place = str(step)
        if place not in inside:
            inside[place] = fresh
            return fresh
    else:
        return None
    if last:
        before: Any = inside[place]
        joins = goes_on and isinstance(before, str) and isinstance(fresh, str)
        inside[place] = before + fresh if joins else fresh
    return inside[place]
