"""Crossing: what may not go from one dialect to another.

Unknown keys, uploads and cache marks are words of the API they came from. Taken out here, and named once each, before a
writer of another API starts: so no writer has to ask where a value comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Audio, Extra, File, Image, Thinking, ToolResult
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, Tool


def at_home(
    request: Request, dialect: str, *, marks: bool = True, linked_files: bool = True
) -> tuple[Request, tuple[Loss, ...]]:
    """The request without what only another dialect understands; without cache marks and without files that are only
    linked to, where the target takes none."""
    foreign = request.dialect not in {None, dialect}
    if request.dialect == dialect or (not foreign and ((marks and linked_files) or _is_plain(request))):
        return request, ()
    border = _Border(foreign=foreign, marks=marks, linked_files=linked_files)
    reasoning = request.settings.reasoning
    if foreign and reasoning is not None and reasoning.extra:
        border.lose("reasoning", reasoning.extra)
        reasoning = replace(reasoning, extra={})
    if foreign:
        border.lose("", request.extra)
    crossed = replace(
        request,
        messages=tuple(border.message(message, f"messages[{at}]") for at, message in enumerate(request.messages)),
        tools=tuple(border.tool(tool) for tool in request.tools),
        settings=replace(request.settings, reasoning=reasoning),
        extra={} if foreign else request.extra,
    )
    return crossed, tuple(border.losses.values())


def _is_plain(request: Request) -> bool:
    """Whether there is nothing in it to look at: no cache mark, no file, no tool."""
    parts = (part for message in request.messages for part in message.parts)
    return not request.tools and all(part.cache is None and type(part) not in {ToolResult, File} for part in parts)


class _Border:
    """Where values are looked through. A key that is lost in many places is listed with the first."""

    def __init__(self, *, foreign: bool, marks: bool, linked_files: bool) -> None:
        self.foreign = foreign
        self.marks = marks
        self.linked_files = linked_files
        self.losses: dict[str, Loss] = {}

    def lose(self, where: str, keys: Iterable[str], why: str = "it has no meaning in the target's API") -> None:
        for key in keys:
            self.losses.setdefault(key, Loss(f"{where}.{key}" if where else key, why))

    def message(self, message: Message, where: str) -> Message:
        parts = self.parts(message.parts, where)
        if self.foreign and message.extra:
            self.lose(where, message.extra)
            return replace(message, parts=parts, extra={})
        return message if parts is message.parts else replace(message, parts=parts)

    def parts(self, parts: tuple[AnyPart, ...], where: str) -> tuple[AnyPart, ...]:
        crossed = tuple(
            one for at, part in enumerate(parts) if (one := self.part(part, f"{where}.content[{at}]")) is not None
        )
        same = len(crossed) == len(parts) and all(one is part for one, part in zip(crossed, parts, strict=True))
        return parts if same else crossed

    def part(self, part: AnyPart, where: str) -> AnyPart | None:
        if self.foreign and isinstance(part, Image | Audio | File) and part.source.file_id is not None:
            self.lose(where, ("file_id",), "the upload is at another provider")
            return None
        if isinstance(part, File) and part.source.url is not None and not self.linked_files:
            self.lose(where, ("url",), "the target reads files only when they are sent along")
            return None
        changes = self.unmarked(part.cache, part.extra if type(part) is not Thinking else {}, where)
        if type(part) is ToolResult and (inside := self.parts(part.parts, where)) is not part.parts:
            changes["parts"] = inside
        return replace(part, **changes) if changes else part

    def tool(self, tool: AnyTool) -> AnyTool:
        changes = self.unmarked(tool.cache, tool.extra, f"tools.{tool.name}") if isinstance(tool, Tool) else {}
        return replace(tool, **changes) if changes else tool

    def unmarked(self, cache: Any, extra: Extra, where: str) -> dict[str, Any]:
        """What changes in a value: its unknown keys and its cache mark, as far as they may not cross."""
        changes: dict[str, Any] = {}
        if self.foreign and extra:
            self.lose(where, extra)
            changes["extra"] = {}
        if not self.marks and cache is not None:
            self.lose(where, ("cache_control",), "the target takes no cache marks")
            changes["cache"] = None
        return changes
