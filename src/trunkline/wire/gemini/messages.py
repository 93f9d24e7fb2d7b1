"""Contents and the system instruction, both ways.

A conversation is a list of contents of `user` and `model`. The results of tools must come right after the content that
called them, all in one, and nothing else in it (ai.google.dev/gemini-api/docs/function-calling).

Models of the third generation refuse a call of theirs that comes back unsigned. A call that another model made has no
signature, so the first call of each of its steps gets the one that the API documents for such histories
(…/docs/thought-signatures, FAQ). It stands on every step, not only on those that are checked, so that a prompt that
grows keeps its beginning, which caches look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import AnyPart, Audio, Extra, File, Image, Refusal, Text, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import as_array, as_object, as_text

from .parts import SIGNATURE, Ids, name, part_from_wire, part_to_wire, parts_to_wire, with_type
from .spelling import public

UNSIGNED = "skip_thought_signature_validator"
"""What the API takes in place of a signature, from a history that it has not written."""

_ROLES: Mapping[str, Role] = {"user": "user", "model": "assistant", "function": "tool", "tool": "tool"}
"""The last two are older words for contents with results."""

_WORDS: Mapping[str, str] = {"assistant": "model", "tool": "function"}


def message_from_wire(value: Any, where: str, ids: Ids) -> Message:
    """Read one content. Without a role it is the user's."""
    body: Json = as_object(value, where)
    word = body.pop("role", None)
    role = _ROLES.get(as_text(word, f"{where}.role")) if word is not None else "user"
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be user or model, not {word!r}", param=f"{where}.role", code="invalid_value"
        )
    parts = content_from_wire(body, where, ids)
    if word != _WORDS.get(role, role):
        body["~role"] = word
    return Message(role, parts, extra=body, dialect=name)


def content_from_wire(body: Json, where: str, ids: Ids) -> tuple[AnyPart, ...]:
    """Read the parts of a content, which are taken out of it."""
    parts = as_array(body.pop("parts", None) or [], f"{where}.parts")
    return tuple(part_from_wire(part, f"{where}.parts[{at}]", ids) for at, part in enumerate(parts))


def system_from_wire(value: Any) -> Message:
    """Read the system instruction: a content whose role says nothing."""
    body: Json = as_object(value, "systemInstruction")
    return Message("system", content_from_wire(body, "systemInstruction", Ids("call")), extra=body, dialect=name)


def own_to_wire(message: Message) -> Json:
    """Write a content as a caller of this API wrote it."""
    wire: Json = {}
    if message.role != "system" and (word := message.extra.get("~role", _WORDS.get(message.role, message.role))):
        wire["role"] = word
    if message.parts:
        wire["parts"] = parts_to_wire(message.parts)
    return {**wire, **public(message.extra)}


def system_to_wire(messages: Sequence[Message], losses: list[Loss]) -> Json | None:
    """The leading instructions as one content of text."""
    texts: list[Json] = []
    for at, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                texts += [{"text": part.text}] if part.text else []
            else:
                losses.append(Loss(f"messages[{at}].content", "the system prompt is text in this API", "target"))
    return {"parts": texts} if texts else None


def contents_to_wire(
    messages: Sequence[Message], first: int, losses: list[Loss], *, signed: bool, media_in_results: bool
) -> list[Json]:
    """The conversation from message `first` on, in contents that alternate. `signed`: the model wants every step's
    first call signed. `media_in_results`: it takes pictures among a tool's results, not only beside them."""
    writer = _Contents(losses, signed=signed, media_in_results=media_in_results)
    for at, message in enumerate(messages[first:], first):
        writer.add(message, f"messages[{at}]")
    return writer.contents()


class _Contents:
    """Contents that are being put together from messages."""

    def __init__(self, losses: list[Loss], *, signed: bool, media_in_results: bool) -> None:
        self._losses = losses
        self._signed = signed
        self._media_in_results = media_in_results
        self._called: dict[str, str] = {}
        """The function that each call asks for, by the call's id: a result must name it."""
        self._nameless: set[str] = set()
        """The ids that we invented for calls, which neither they nor their results show."""
        self._done: list[Json] = []
        self._model: list[Json] = []
        self._results: list[Json] = []
        self._said: list[Json] = []
        self._extra: Extra = {}

    def add(self, message: Message, where: str) -> None:
        """Take the next message in."""
        if message.role == "assistant":
            parts = self._model_parts(message.parts, where)
            if parts and (self._results or self._said):
                self._close()
            self._model += parts
        else:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            said = self._written((part for part in message.parts if not isinstance(part, ToolResult)), where)
            if self._model and (results or said):
                self._close()
            for result in results:
                self._result(result)
            self._said += said
        self._extra.update(public(message.extra))

    def contents(self) -> list[Json]:
        """All of them."""
        self._close()
        return self._done

    def _close(self) -> None:
        """End the turn: results first and by themselves, then what is said with them."""
        for role, parts in (("model", self._model), ("user", self._results), ("user", self._said)):
            if parts:
                self._done.append({"role": role, "parts": parts, **self._extra})
        self._model, self._results, self._said, self._extra = [], [], [], {}

    def _model_parts(self, parts: Iterable[AnyPart], where: str) -> list[Json]:
        parts = tuple(parts)
        for part in parts:
            if isinstance(part, ToolCall):
                self._called[part.id] = part.name
                if "~invented" in part.extra:
                    self._nameless.add(part.id)
        wires = self._written(parts, where)
        if self._signed and not any("functionCall" in wire for wire in self._model):
            first = next((wire for wire in wires if "functionCall" in wire), None)
            if first is not None:
                first.setdefault(SIGNATURE, UNSIGNED)
        return wires

    def _written(self, parts: Iterable[AnyPart], where: str) -> list[Json]:
        """Parts of a request: empty text is refused by the API, and says nothing unless it is signed."""
        wires: list[Json] = []
        for at, part in enumerate(parts):
            if isinstance(part, Text | Refusal) and not part.text and SIGNATURE not in part.extra:
                continue
            wire = part_to_wire(with_type(part))
            if wire is None:
                tag = part.__struct_config__.tag
                self._losses.append(Loss(f"{where}.content[{at}]", f"this API cannot say this {tag}", "target"))
            else:
                wires.append(wire)
        return wires

    def _result(self, part: ToolResult) -> None:
        """A result names its function. One to a call that nobody made is for the API to refuse."""
        tool = part.name or self._called.get(part.call_id) or part.call_id or "unknown"
        inside = tuple(with_type(one) for one in part.parts)
        shown = tuple(one for one in inside if isinstance(one, Image | Audio | File))
        if shown and not self._media_in_results:
            inside = tuple(one for one in inside if not isinstance(one, Image | Audio | File))
            self._said += [{"text": f"What {tool} shows:"}, *parts_to_wire(shown)]
        extra = {**part.extra, "~invented": True} if part.call_id in self._nameless else part.extra
        wire = part_to_wire(replace(part, name=tool, parts=inside, extra=extra))
        if wire is not None:
            self._results.append(wire)
