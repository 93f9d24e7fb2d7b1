"""Messages in Ollama's chat, both ways. A message is text, with images and calls beside it.

Notes: `~invented` is an id of a call that the server did not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import (
    AnyPart,
    Extra,
    File,
    Image,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import (
    an_object,
    arguments_of,
    as_array,
    as_object,
    as_text,
    object_at,
    plain_text,
    text_at,
)
from trunkline.wire.grammar.fields import said as public

from .errors import name

_ROLES: Mapping[str, Role] = {role: role for role in ("system", "user", "assistant", "tool")}  # pyright: ignore[reportAssignmentType]

_KINDS = (("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))
"""How base64 of images begins; PNG is taken for all others."""

INVENTED = "~invented"


class Calls:
    """The calls of a conversation whose ids the API leaves out, and whose results come in their order."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []

    def invent(self) -> str:
        """An id for the next call."""
        self._count += 1
        return f"call_{self._count}"

    def made(self, call: ToolCall) -> None:
        """A call that waits for its result."""
        self._open.append((call.id, call.name))

    def answered(self, tool: str | None) -> str:
        """The id of the call that a result without one answers: the oldest of that tool, or of any."""
        found = next((call for call in self._open if call[1] == tool), self._open[0] if self._open else None)
        if found is None:
            return self.invent()
        self._open.remove(found)
        return found[0]


def message_from_wire(value: Any, where: str, calls: Calls) -> Message:
    """Read one message of a request."""
    body: Json = as_object(value, where)
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    if role == "tool":
        return Message("tool", (_result_from_wire(body, where, calls),), dialect=name)
    parts = content_from_wire(body, where)
    for at, call in enumerate(as_array(body.pop("tool_calls", None) or [], f"{where}.tool_calls")):
        read = call_from_wire(call, f"{where}.tool_calls[{at}]")
        if not read.id:
            read = replace(read, id=calls.invent(), extra={**read.extra, INVENTED: True})
        calls.made(read)
        parts.append(read)
    return Message(role, tuple(parts), extra=body, dialect=name)


def content_from_wire(body: Json, where: str) -> list[AnyPart]:
    """What a message says beside its calls: thinking, text, images."""
    parts: list[AnyPart] = []
    if thought := body.pop("thinking", None):
        parts.append(Thinking(as_text(thought, f"{where}.thinking")))
    if content := body.pop("content", None):
        parts.append(Text(as_text(content, f"{where}.content")))
    images = as_array(body.pop("images", None) or [], f"{where}.images")
    return [*parts, *(image_from_wire(image, f"{where}.images[{at}]") for at, image in enumerate(images))]


def image_from_wire(value: Any, where: str) -> Image:
    """A picture: bare base64, or a data URL."""
    data = as_text(value, where)
    head, comma, rest = data.partition(",")
    if comma and head.startswith("data:"):
        return Image(Source(data=rest, media_type=head[5:].partition(";")[0]), extra={"~head": head})
    kind = next((kind for start, kind in _KINDS if data.startswith(start)), "image/png")
    return Image(Source(data=data, media_type=kind))


def call_from_wire(value: Any, where: str) -> ToolCall:
    """Read one call; its id is empty where the server gives none."""
    body: Json = as_object(value, where)
    function = object_at(body, "function", where)
    call_id, arguments = body.pop("id", None), function.pop("arguments", None)
    called = text_at(function, "name", f"{where}.function")
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    extra: Extra = {**body, "function": function} if function else body
    if isinstance(arguments, str):
        extra["~text"] = True
    return ToolCall(call_id if isinstance(call_id, str) else "", called, text or "{}", extra=extra)


def stamped(call: ToolCall, created: Any, at: int) -> ToolCall:
    """A call of an answer, with an id: made of when it came and what it says, so that it is the same however it is read
    and another in the next turn."""
    if call.id:
        return call
    seed = f"{created} {at} {call.name} {call.arguments}"
    return replace(call, id=f"call_{crc32(seed.encode()):08x}", extra={**call.extra, INVENTED: True})


def _result_from_wire(body: Json, where: str, calls: Calls) -> ToolResult:
    tool, call_id = body.pop("tool_name", None), body.pop("tool_call_id", None)
    note: Extra = {} if call_id is not None else {INVENTED: True}
    if call_id is None:
        call_id = calls.answered(tool)
    parts = content_from_wire(body, where)
    return ToolResult(
        as_text(call_id, f"{where}.tool_call_id"),
        tuple(parts),
        name=as_text(tool, f"{where}.tool_name") if tool is not None else None,
        extra={**body, **note},
    )


class Conversation:
    """Messages on their way to the wire: the names of tools are remembered for their results."""

    def __init__(self, losses: list[Loss]) -> None:
        self.losses = losses
        self._tools: dict[str, str] = {}

    def write(self, message: Message, where: str, *, own: bool) -> list[Json]:
        """One message; several where results of tools stand in it, which are messages of their own here."""
        wires: list[Json] = []
        rest: list[AnyPart] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                wires.append(self._result(part, where))
            else:
                rest.append(part)
            if isinstance(part, ToolCall):
                self._tools[part.id] = part.name
        if not rest and (wires or not own):
            return wires
        role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        return [*wires, {"role": role, **said_in(rest, where, self.losses), **public(message.extra)}]

    def _result(self, part: ToolResult, where: str) -> Json:
        tool = part.name or (None if INVENTED in part.extra else self._tools.get(part.call_id))
        named = {} if tool is None else {"tool_name": tool}
        if INVENTED not in part.extra:
            named["tool_call_id"] = part.call_id
        return {"role": "tool", **said_in(part.parts, where, self.losses), **named, **public(part.extra)}


def said_in(parts: Sequence[AnyPart], where: str, losses: list[Loss]) -> Json:
    """What a message says: its texts as one, its images and calls beside."""
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[Json] = []
    between = False
    for part in parts:
        match part:
            case Text() | Refusal():
                if between and part.text:
                    losses.append(Loss(where, "images stand beside the text in this API, not among it", "order"))
                    between = False
                texts.append(part.text)
            case Thinking():
                thoughts.append(part.text)
            case Image() if part.source.data is not None:
                between = between or any(texts)
                head = part.extra.get("~head")
                images.append(part.source.data if head is None else f"{head},{part.source.data}")
            case File() if (text := _text_of(part)) is not None:
                texts.append(text)
            case ToolCall():
                calls.append(call_to_wire(part))
            case _:
                losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
    wire: Json = {"content": "\n\n".join(text for text in texts if text)}
    if thoughts:
        wire["thinking"] = "\n\n".join(thoughts)
    if images:
        wire["images"] = images
    if calls:
        wire["tool_calls"] = calls
    return wire


def call_to_wire(call: ToolCall) -> Json:
    """Write one call. An id that we made up stays here."""
    extra = public(call.extra)
    arguments = call.arguments if "~text" in call.extra else arguments_of(call)
    function = {"name": call.name, "arguments": arguments, **an_object(extra.pop("function", None))}
    return {**({} if INVENTED in call.extra else {"id": call.id}), **extra, "function": function}


def _text_of(part: File) -> str | None:
    """The text of a plain document, under its name."""
    if part.source.data is None or part.source.media_type != "text/plain":
        return None
    text = plain_text(part.source.data)
    return f"{part.name}\n\n{text}" if part.name and text is not None else text
