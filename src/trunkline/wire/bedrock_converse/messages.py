"""Turns and instructions in Converse, both ways.

Turns alternate, the user's first. Results of tools stand in the user's turn, before anything else; the model's calls
stand after its words (docs.aws.amazon.com/bedrock/latest/userguide/tool-use.html).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import AnyPart, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.crossing import INSTRUCTIONS
from trunkline.wire.grammar.fields import as_object, text_at

from .blocks import cache_point, content_from_wire, is_blank, part_to_wire, public
from .media import Names, name

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
"""`system` inside the list is understood by some newer models."""

_INSIDE = "~inside"
"""An instruction that stood among the turns, not beside them."""


def message_from_wire(value: Any, where: str) -> Message:
    """Read one turn."""
    body: Json = as_object(value, where)
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    parts = content_from_wire(body.pop("content", None) or [], f"{where}.content", assistant=role == "assistant")
    return Message(role, parts, extra={**body, _INSIDE: True} if role == "system" else body, dialect=name)


def own_to_wire(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """The instructions and the turns as a caller of this API said them."""
    system: list[Json] = []
    turns: list[Json] = []
    for at, message in enumerate(messages):
        written: list[Json] = []
        for index, part in enumerate(message.parts):
            _add(part, f"messages[{at}].content[{index}]", written, [], None)
        if message.role in INSTRUCTIONS and _INSIDE not in message.extra:
            system += written
        else:
            role = message.role if message.role in _ROLES else "user"
            turns.append({"role": role, "content": written, **public(message.extra)})
    return system, turns


def _add(part: AnyPart, where: str, written: list[Json], losses: list[Loss], names: Names | None) -> None:
    """Write a part, and the cache point that follows it."""
    wire = part_to_wire(part, where, losses, names)
    if wire is not None:
        written.append(wire)
        if part.cache is not None:
            written.append(cache_point(part.cache))


class Conversation:
    """The turns that are made of messages of any dialect."""

    def __init__(self, losses: list[Loss]) -> None:
        self.turns: list[Json] = []
        self._losses = losses
        self._names = Names()

    def instruct(self, messages: Sequence[Message]) -> list[Json]:
        """The leading instructions: each text is a block."""
        blocks: list[Json] = []
        for at, message in enumerate(messages):
            for part in message.parts:
                if not is_blank(part):
                    _add(part, f"messages[{at}].content", blocks, self._losses, self._names)
        fitting = [block for block in blocks if block.keys() <= _OF_SYSTEM]
        if len(fitting) < len(blocks):
            self._losses.append(Loss("messages[0].content", "instructions are text in this API", "target"))
        return fitting

    def hold(self, messages: Sequence[Message], first: int) -> list[Json]:
        """The turns from message `first` on. Messages of one role that follow each other are one turn."""
        held: list[tuple[str, list[tuple[AnyPart, str]], Json]] = []
        for at, message in enumerate(messages[first:], first):
            role = "assistant" if message.role == "assistant" else "user"
            parts = [
                (_with_fit_id(part), f"messages[{at}].content[{index}]")
                for index, part in enumerate(message.parts)
                if not is_blank(part)
            ]
            if not parts:
                continue
            if not held or held[-1][0] != role:
                held.append((role, [], {}))
            held[-1][1].extend(parts)
            held[-1][2].update(public(message.extra))
        for role, parts, extra in held:
            if blocks := self._turn(role, parts):
                self._say(role, blocks, extra)
        return self.turns

    def _turn(self, role: str, parts: list[tuple[AnyPart, str]]) -> list[Json]:
        """Results first, calls last; a cache point stays behind its part."""
        blocks: list[Json] = []
        for part, where in sorted(parts, key=_place):
            _add(part, where, blocks, self._losses, self._names)
        if role == "user" and any("document" in block for block in blocks) and not any("text" in b for b in blocks):
            blocks.append({"text": BESIDE_DOCUMENTS})
        return blocks

    def _say(self, role: str, blocks: list[Json], extra: Json) -> None:
        if not self.turns and role == "assistant":
            why = "the API's conversations begin with the user: a short turn stands before it"
            self._losses.append(Loss("messages[0].role", why, "target"))
            self.turns.append({"role": "user", "content": [{"text": OPENING}]})
        if self.turns and self.turns[-1]["role"] == role:  # what stood between could not be said
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks, **extra})


OPENING = "Begin."
"""What the user says where a conversation begins with the model."""

BESIDE_DOCUMENTS = "The document is attached."
"""A document needs text beside it (API_runtime_Message.html)."""

_OF_SYSTEM = frozenset({"text", "guardContent", "cachePoint"})


def _place(item: tuple[AnyPart, str]) -> int:
    part = item[0]
    return 0 if isinstance(part, ToolResult) else 2 if isinstance(part, ToolCall) else 1


_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST_ID = 64
"""What an id of a tool call may be (API_runtime_ToolUseBlock.html; newer regions take dots and colons too)."""


def _with_fit_id(part: AnyPart) -> AnyPart:
    if type(part) is ToolCall and (fitted := _fit_id(part.id)) != part.id:
        return replace(part, id=fitted)
    if type(part) is ToolResult and (fitted := _fit_id(part.call_id)) != part.call_id:
        return replace(part, call_id=fitted)
    return part


def _fit_id(said: str) -> str:
    fitted = _UNFIT.sub("_", said) or "call"
    if len(fitted) <= LONGEST_ID:
        return fitted
    return f"{fitted[: LONGEST_ID - 9]}_{zlib.crc32(said.encode()):08x}"
