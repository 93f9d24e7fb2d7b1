"""Messages and their content blocks in Anthropic Messages, both ways."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import (
    AnyPart,
    Citation,
    File,
    Image,
    Opaque,
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
    a_text,
    an_object,
    arguments_of,
    as_array,
    as_flag,
    as_object,
    cache_from_wire,
    mark_cache,
    maybe_text_at,
    object_at,
    plain_text,
    text_at,
)

name = "anthropic_messages"

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
"""`system` inside the list is understood by newer models (…/build-with-claude/mid-conversation-system-messages)."""


def message_from_wire(value: Any, where: str = "message") -> Message:
    """Read one message. A user's tool results stay in the user's message, where this API puts them."""
    body: Json = as_object(value, where)
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    return Message(role, content_from_wire(body.pop("content", None), f"{where}.content"), extra=body, dialect=name)


def content_from_wire(content: Any, where: str) -> tuple[AnyPart, ...]:
    """Read a message's content: a bare string, or blocks."""
    if isinstance(content, str):
        return (Text(content),)
    return tuple(part_from_wire(part, f"{where}[{at}]") for at, part in enumerate(as_array(content, where)))


def part_from_wire(value: Any, where: str) -> AnyPart:
    """Read one content block; one that only this API has is kept whole."""
    body: Json = as_object(value, where)
    kind = text_at(body, "type", where)
    reader = _READERS.get(kind)
    part = reader(body, where) if reader is not None else None
    return part if part is not None else Opaque(name, as_object(value, where))


def _text_from_wire(body: Json, where: str) -> AnyPart:
    citations = as_array(body.pop("citations", None) or [], f"{where}.citations")
    text = text_at(body, "text", where)
    return Text(text, tuple(citation_from_wire(one) for one in citations), cache=cache_from_wire(body), extra=body)


def citation_from_wire(body: Any) -> Citation:
    """A source that the model names: where it is on the web, or which document."""
    said = an_object(body)
    title = a_text(said.get("title")) or a_text(said.get("document_title"))
    return Citation(name, body, a_text(said.get("url")), title, a_text(said.get("cited_text")))


def _image_from_wire(body: Json, where: str) -> AnyPart | None:
    source = _source_from_wire(object_at(body, "source", where), f"{where}.source")
    return Image(source, cache=cache_from_wire(body), extra=body) if source is not None else None


def _document_from_wire(body: Json, where: str) -> AnyPart | None:
    source = _source_from_wire(object_at(body, "source", where), f"{where}.source")
    if source is None:
        return None
    return File(source, maybe_text_at(body, "title", where), cache=cache_from_wire(body), extra=body)


def _thinking_from_wire(body: Json, where: str) -> AnyPart:
    signature = maybe_text_at(body, "signature", where) or None  # empty: somebody else's reasoning, shown by a gateway
    dialect = name if signature is not None else None
    return Thinking(text_at(body, "thinking", where), signature, dialect=dialect, extra=body)


def _redacted_from_wire(body: Json, where: str) -> AnyPart:
    return Thinking(redacted=text_at(body, "data", where), dialect=name, extra=body)


def _tool_use_from_wire(body: Json, where: str) -> AnyPart:
    arguments = msgspec.json.encode(object_at(body, "input", where)).decode()
    call_id, tool = text_at(body, "id", where), text_at(body, "name", where)
    return ToolCall(call_id, tool, arguments, cache=cache_from_wire(body), extra=body)


def _tool_result_from_wire(body: Json, where: str) -> AnyPart:
    content = body.pop("content", None)
    return ToolResult(
        text_at(body, "tool_use_id", where),
        content_from_wire(content, f"{where}.content") if content is not None else (),
        as_flag(body.pop("is_error", None), f"{where}.is_error"),
        cache=cache_from_wire(body),
        extra=body,
    )


_READERS: Mapping[str, Callable[[Json, str], AnyPart | None]] = {
    "text": _text_from_wire,
    "image": _image_from_wire,
    "document": _document_from_wire,
    "thinking": _thinking_from_wire,
    "redacted_thinking": _redacted_from_wire,
    "tool_use": _tool_use_from_wire,
    "tool_result": _tool_result_from_wire,
}


def _source_from_wire(source: Json, where: str) -> Source | None:
    """Where media is; None for a form that only this API has (a document made of blocks)."""
    match source.get("type"):
        case "base64":
            return Source(data=text_at(source, "data", where), media_type=maybe_text_at(source, "media_type", where))
        case "url":
            return Source(url=text_at(source, "url", where))
        case "file":
            return Source(file_id=text_at(source, "file_id", where))
        case "text":  # plain, where our vocabulary holds base64
            data = base64.b64encode(text_at(source, "data", where).encode()).decode()
            return Source(data=data, media_type="text/plain")
        case _:
            return None


def _source_to_wire(source: Source, default: str) -> Json:
    if source.file_id is not None:
        return {"type": "file", "file_id": source.file_id}
    if source.data is None:
        return {"type": "url", "url": source.url}
    kind = source.media_type or default
    if kind.startswith("text/") and (text := plain_text(source.data)) is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": kind, "data": source.data}


def part_to_wire(part: AnyPart, where: str, losses: list[Loss]) -> Json | None:
    """Write one part as a content block; what this API cannot say is lost."""
    match part:
        case Text():
            wire: Json = {"type": "text", "text": part.text}
            if part.citations:
                _cite(wire, part.citations, where, losses)
        case Image():
            wire = {"type": "image", "source": _source_to_wire(part.source, "image/png")}
        case File():
            wire = {"type": "document", "source": _source_to_wire(part.source, "application/pdf")}
            if part.name is not None:
                wire["title"] = part.name
        case Thinking(dialect="anthropic_messages", redacted=str()):
            wire = {"type": "redacted_thinking", "data": part.redacted}
        case Thinking(dialect="anthropic_messages", signature=str()):
            wire = {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case Thinking():
            losses.append(
                Loss(f"{where}.thinking", "reasoning goes back only to the provider that signed it", "thinking")
            )
            return None
        case ToolCall():
            wire = {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_of(part)}
        case ToolResult():
            wire = _tool_result_to_wire(part, where, losses)
        case Refusal():
            return {"type": "text", "text": part.text}
        case Opaque(dialect="anthropic_messages"):
            return part.body
        case _:
            losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
            return None
    mark_cache(wire, part.cache)
    wire.update(part.extra)
    return wire


def _cite(wire: Json, citations: Sequence[Citation], where: str, losses: list[Loss]) -> None:
    own = [citation.body for citation in citations if citation.dialect == name]
    if own:
        wire["citations"] = own
    if len(own) < len(citations):
        losses.append(Loss(f"{where}.citations", "sources are quoted in the words of another API", "citations"))


def _tool_result_to_wire(part: ToolResult, where: str, losses: list[Loss]) -> Json:
    wire: Json = {"type": "tool_result", "tool_use_id": part.call_id}
    if blocks := _blocks_to_wire(part.parts, where, losses):
        wire["content"] = _short(blocks)
    if part.is_error:
        wire["is_error"] = True
    return wire


def _blocks_to_wire(parts: Sequence[AnyPart], where: str, losses: list[Loss]) -> list[Json]:
    """Blocks of a request: text without a visible character is refused by the API, and says nothing."""
    spoken = (
        part_to_wire(_with_fit_id(part), f"{where}.content[{at}]", losses)
        for at, part in enumerate(parts)
        if type(part) is not Text or part.text.strip()
    )
    return [wire for wire in spoken if wire is not None]


_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
"""What an id of a tool call may not hold (the API's own pattern; other providers write `functions.name:0`)."""


def _with_fit_id(part: AnyPart) -> AnyPart:
    if type(part) is ToolCall and _UNFIT.search(part.id):
        return replace(part, id=_UNFIT.sub("_", part.id))
    if type(part) is ToolResult and _UNFIT.search(part.call_id):
        return replace(part, call_id=_UNFIT.sub("_", part.call_id))
    return part


def _short(blocks: list[Json]) -> str | list[Json]:
    """A bare string for a single plain text, as people write it; else the blocks."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks


def system_to_wire(messages: Sequence[Message], losses: list[Loss]) -> str | list[Json] | None:
    """The leading instructions, their cache marks kept: each text is a block."""
    blocks: list[Json] = []
    for at, message in enumerate(messages):
        for block in _blocks_to_wire(message.parts, f"messages[{at}]", losses):
            if block["type"] == "image":
                losses.append(Loss(f"messages[{at}].content", "the system prompt is text in this API", "target"))
            else:
                blocks.append(block)
    return _short(blocks) if blocks else None


class _Turn:
    """A turn that is being put together from one or more messages of the same role."""

    __slots__ = ("blocks", "extra", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.blocks: list[Json] = []
        self.extra: Json = {}

    def wire(self) -> Json:
        """The results of tools come first: the API refuses them anywhere else."""
        blocks = sorted(self.blocks, key=lambda block: block["type"] != "tool_result")
        return {"role": self.role, "content": _short(blocks), **self.extra}


def turns_to_wire(messages: Sequence[Message], first: int, own: bool, losses: list[Loss]) -> list[Json]:
    """The conversation from message `first` on, in turns that alternate. `own`: a caller of this API wrote it."""
    turns: list[_Turn] = []
    for at, message in enumerate(messages[first:], first):
        role = _turn_role(message, own)
        blocks = _blocks_to_wire(message.parts, f"messages[{at}]", losses)
        if not blocks:
            continue
        if not turns or turns[-1].role != role or role == "system":
            turns.append(_Turn(role))
        turns[-1].blocks += blocks
        turns[-1].extra.update(message.extra)
    return [turn.wire() for turn in turns]


def _turn_role(message: Message, own: bool) -> str:
    if message.role == "assistant" or (own and message.role == "system"):
        return message.role
    return "user"
