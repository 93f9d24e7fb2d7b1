"""Messages and their parts in Cohere's chat, both ways.

Notes: `~plan` is reasoning that stood under `tool_plan`, `~document` a tool's result as one of Cohere's documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import (
    AnyPart,
    Citation,
    Extra,
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
from trunkline.wire.grammar.fields import an_object, as_array, as_object, as_text, object_at, plain_text, text_at
from trunkline.wire.grammar.fields import said as public

from .errors import name

_ROLES: Mapping[str, Role] = {role: role for role in ("system", "user", "assistant", "tool")}  # pyright: ignore[reportAssignmentType]


def message_from_wire(value: Any, where: str = "message") -> Message:
    """Read one message."""
    body: Json = as_object(value, where)
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = _content_from_wire(body.pop("content", None), f"{where}.content")
    if role == "tool":
        call_id = text_at(body, "tool_call_id", where)
        return Message("tool", (ToolResult(call_id, content, extra=body),), dialect=name)
    if role != "assistant":
        return Message(role, content, extra=body, dialect=name)
    return Message("assistant", assistant_from_wire(body, content, where), extra=body, dialect=name)


def assistant_from_wire(body: Json, content: tuple[AnyPart, ...], where: str) -> tuple[AnyPart, ...]:
    """What the model says: its plan first, then its content with sources, then its calls."""
    plan = body.pop("tool_plan", None)
    sources = as_array(body.pop("citations", None) or [], f"{where}.citations")
    calls = as_array(body.pop("tool_calls", None) or [], f"{where}.tool_calls")
    return (
        *((Thinking(as_text(plan, f"{where}.tool_plan"), extra={"~plan": True}),) if plan else ()),
        *_cited(content, sources),
        *(_call_from_wire(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls)),
    )


def _cited(content: tuple[AnyPart, ...], sources: list[Any]) -> tuple[AnyPart, ...]:
    """The content with its sources, each on the text that it is for."""
    if not sources:
        return content
    parts = [*content]
    texts = [at for at, part in enumerate(parts) if type(part) is Text]
    if not texts:
        texts = [len(parts)]
        parts.append(Text(""))
    for source in sources:
        said = an_object(source).get("content_index")
        at = said if said in texts else texts[0]
        part = parts[at]
        if isinstance(part, Text):
            parts[at] = replace(part, citations=(*part.citations, citation_from_wire(source)))
    return tuple(parts)


def citation_from_wire(body: Any) -> Citation:
    """A source: which characters it stands for, and the document or the tool's result that says so."""
    said = an_object(body)
    sources = said.get("sources")
    source = an_object(sources[0]) if isinstance(sources, list) and sources else {}  # pyright: ignore[reportUnknownArgumentType]
    inside = an_object(source.get("document") or source.get("tool_output"))
    url, title = inside.get("url"), inside.get("title")
    quote = inside.get("text") or inside.get("snippet")
    start, end = said.get("start"), said.get("end")
    return Citation(
        name,
        body,
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
        quote if isinstance(quote, str) else None,
        start if isinstance(start, int) else None,
        end if isinstance(end, int) else None,
    )


def citation_to_wire(citation: Citation, text: str) -> Json:
    """A source for a caller; `text` is what it stands beside."""
    if citation.dialect == name:
        return citation.body
    start, end = citation.start or 0, citation.end if citation.end is not None else len(text)
    said = {"title": citation.title, "url": citation.url, "text": citation.quote}
    document = {key: value for key, value in said.items() if value is not None}
    source = {"type": "document", "id": citation.url or citation.title or "", "document": document}
    return {"start": start, "end": end, "text": text[start:end], "sources": [source], "type": "TEXT_CONTENT"}


def _content_from_wire(content: Any, where: str) -> tuple[AnyPart, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(part_from_wire(part, f"{where}[{at}]") for at, part in enumerate(as_array(content, where)))


def part_from_wire(value: Any, where: str) -> AnyPart:
    """Read one part of a message's content; one that only this API has is kept whole."""
    body: Json = as_object(value, where)
    match body.pop("type", None):
        case "text":
            return Text(text_at(body, "text", where), extra=body)
        case "thinking":
            return Thinking(text_at(body, "thinking", where), extra=body)
        case "image_url":
            image = object_at(body, "image_url", where)
            source = _source_of(text_at(image, "url", f"{where}.image_url"))
            return Image(source, image.pop("detail", None), extra={**body, **image})
        case "document":
            return _document_from_wire(object_at(body, "document", where), body)
        case _:
            return Opaque(name, as_object(value, where))


def _document_from_wire(document: Json, beside: Extra) -> AnyPart:
    """A document that a tool found: its fields are what the model reads."""
    data = document.pop("data", None)
    extra: Extra = {**beside, **document, "~document": "text" if isinstance(data, str) else "fields"}
    return Text(data if isinstance(data, str) else msgspec.json.encode(data).decode(), extra=extra)


def _source_of(url: str) -> Source:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Source(data=data, media_type=head[5:].removesuffix(";base64"))
    return Source(url=url)


def _call_from_wire(value: Any, where: str) -> AnyPart:
    body: Json = as_object(value, where)
    function = object_at(body, "function", where)
    body.pop("type", None)
    arguments = function.pop("arguments", None) or "{}"
    called = text_at(function, "name", f"{where}.function")
    call_id = as_text(body.pop("id", None) or "", f"{where}.id")
    return ToolCall(call_id, called, as_text(arguments, f"{where}.function.arguments"), extra=body)


def message_to_wire(message: Message, where: str, losses: list[Loss], *, own: bool) -> list[Json]:
    """Write one message; several where results of tools stand in it, which are messages of their own here. `own`: a
    caller of this API wrote it."""
    wires = [_result_to_wire(part, where, losses) for part in message.parts if isinstance(part, ToolResult)]
    rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
    if not own:
        rest = tuple(part for part in rest if type(part) is not Text or part.text.strip())  # blanks are refused
    if not rest and (wires or not own):
        return wires
    role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
    body: Json = {"role": role}
    if role == "assistant":
        assistant_to_wire(rest, where, losses, body)
    else:
        body["content"] = _content_to_wire(rest, where, losses)
    body.update(public(message.extra))
    return [*wires, body]


def assistant_to_wire(parts: Sequence[AnyPart], where: str, losses: list[Loss], body: Json) -> None:
    """Put what an assistant says into `body`."""
    spoken: list[AnyPart] = []
    sources: list[Json] = []
    calls: list[Json] = []
    for part in parts:
        match part:
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function, **public(part.extra)})
            case Thinking() if "~plan" in part.extra:
                body["tool_plan"] = body.get("tool_plan", "") + part.text
            case _:
                if isinstance(part, Text):
                    sources += [_placed(one, part.text, len(spoken)) for one in part.citations]
                spoken.append(part)
    if spoken:
        body["content"] = _content_to_wire(spoken, where, losses)
    if calls:
        body["tool_calls"] = calls
    if sources:
        body["citations"] = sources


def _placed(citation: Citation, text: str, at: int) -> Json:
    """A source with the place of its text, which its own API says only where it is not the first."""
    wire = citation_to_wire(citation, text)
    return {**wire, "content_index": at} if at and citation.dialect != name else wire


def _content_to_wire(parts: Sequence[AnyPart], where: str, losses: list[Loss]) -> str | list[Json]:
    """A bare string for a single plain text; else a list of parts."""
    if len(parts) == 1 and type(parts[0]) is Text and not parts[0].extra:
        return parts[0].text
    wires = (part_to_wire(part, f"{where}.content[{at}]", losses) for at, part in enumerate(parts))
    return [wire for wire in wires if wire is not None]


def part_to_wire(part: AnyPart, where: str, losses: list[Loss]) -> Json | None:
    """Write one part of a message's content; None for what cannot be said."""
    match part:
        case Text() if "~document" in part.extra:
            return {"type": "document", "document": {"data": _data_of(part), **public(part.extra)}}
        case Text() | Refusal():
            wire: Json = {"type": "text", "text": part.text}
        case Thinking():
            wire = {"type": "thinking", "thinking": part.text}
        case Image() if (url := _url_of(part.source)) is not None:
            detail = {} if part.detail is None else {"detail": part.detail}
            wire = {"type": "image_url", "image_url": {"url": url, **detail}}
        case File() if (text := _text_of(part)) is not None:
            wire = {"type": "text", "text": text}
        case Opaque(dialect="cohere_chat"):
            return part.body
        case _:
            losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
            return None
    return {**wire, **public(part.extra)}


def _data_of(part: Text) -> Any:
    """A document's fields, as long as the text still says them."""
    if part.extra["~document"] == "text":
        return part.text
    try:
        return msgspec.json.decode(part.text)
    except msgspec.MsgspecError:
        return part.text


def _text_of(part: File) -> str | None:
    """The text of a plain document, under its name."""
    if part.source.data is None or part.source.media_type != "text/plain":
        return None
    text = plain_text(part.source.data)
    return f"{part.name}\n\n{text}" if part.name and text is not None else text


def _url_of(source: Source) -> str | None:
    if source.data is not None:
        return f"data:{source.media_type or 'image/png'};base64,{source.data}"
    return source.url


def _result_to_wire(result: ToolResult, where: str, losses: list[Loss]) -> Json:
    content = _content_to_wire(result.parts, where, losses)
    return {"role": "tool", "tool_call_id": result.call_id, "content": content, **public(result.extra)}
