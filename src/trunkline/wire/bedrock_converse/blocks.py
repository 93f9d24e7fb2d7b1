"""Content blocks of Converse, both ways. A block is an object whose one key says what it is.

Notes: `~json`, `~guard`, `~search` and `~cited` say that a text stood in another block than `text`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.parts import (
    AnyPart,
    Audio,
    CacheMark,
    Citation,
    Extra,
    File,
    Image,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import an_object, arguments_of, as_array, as_object, as_text, text_at
from trunkline.wire.grammar.fields import said as public

from .media import Names, media_from_wire, media_to_wire, name, opaque, pieces


def content_from_wire(content: Any, where: str, *, assistant: bool = False) -> tuple[AnyPart, ...]:
    """Read blocks. A cache point marks the part before it; what the model's own turn has of tools' results came from
    the provider's tools."""
    parts: list[AnyPart] = []
    for at, value in enumerate(as_array(content, where)):
        body = as_object(value, f"{where}[{at}]")
        mark = mark_of(body)
        if mark is not None and parts and parts[-1].cache is None:
            parts[-1] = replace(parts[-1], cache=mark)
        else:
            parts.append(part_from_wire(body, f"{where}[{at}]", assistant=assistant))
    return tuple(parts)


def mark_of(body: Json) -> CacheMark | None:
    """The mark that a cache point stands for; None for any other block."""
    if len(body) != 1:
        return None
    point = an_object(body.get("cachePoint"))
    known = point.get("type") == "default" and point.keys() <= {"type", "ttl"}
    return CacheMark(point.get("ttl")) if known else None


def cache_point(mark: CacheMark) -> Json:
    """The block for a mark."""
    return {"cachePoint": {"type": "default"} | ({"ttl": mark.ttl} if mark.ttl else {})}


def part_from_wire(body: Json, where: str, *, assistant: bool) -> AnyPart:
    """Read one block; one that only this API has is kept whole."""
    if "text" in body:
        rest = dict(body)
        return Text(text_at(rest, "text", where), extra=rest)
    kind = next((key for key in body if key in _READERS), None)
    if kind is None or (kind == "toolResult" and assistant):
        return opaque(body)
    part = _READERS[kind](body, where)
    if part is None:
        return opaque(body)
    beside = {key: value for key, value in body.items() if key != kind}
    return replace(part, extra={**part.extra, "~beside": beside}) if beside else part


def _tool_use_from_wire(body: Json, where: str) -> AnyPart | None:
    where = f"{where}.toolUse"
    inside = as_object(body["toolUse"], where)
    if inside.get("type") == "server_tool_use":
        return None
    call_id, tool = text_at(inside, "toolUseId", where), text_at(inside, "name", where)
    arguments = msgspec.json.encode(inside.pop("input", None) or {}).decode()
    return ToolCall(call_id, tool, arguments, extra=inside)


def _tool_result_from_wire(body: Json, where: str) -> AnyPart:
    where = f"{where}.toolResult"
    inside = as_object(body["toolResult"], where)
    call_id, status = text_at(inside, "toolUseId", where), inside.pop("status", None)
    content = as_array(inside.pop("content", None) or [], f"{where}.content")
    parts = tuple(_result_part_from_wire(one, f"{where}.content[{at}]") for at, one in enumerate(content))
    note: Extra = {"~status": status} if status not in (None, "error") else {}
    return ToolResult(call_id, parts, status == "error", extra={**inside, **note})


def _result_part_from_wire(value: Any, where: str) -> AnyPart:
    body = as_object(value, where)
    if "json" in body:
        return Text(msgspec.json.encode(body["json"]).decode(), extra={"~json": True})
    return part_from_wire(body, where, assistant=False)


def _media_from_wire(kind: str) -> Callable[[Json, str], AnyPart | None]:
    return lambda body, where: media_from_wire(kind, body, where)


def _reasoning_from_wire(body: Json, where: str) -> AnyPart | None:
    where = f"{where}.reasoningContent"
    inside = as_object(body["reasoningContent"], where)
    if isinstance(secret := inside.pop("redactedContent", None), str):
        return Thinking(redacted=secret, dialect=name, extra=inside)
    if inside.keys() != {"reasoningText"}:
        return None
    said = as_object(inside["reasoningText"], f"{where}.reasoningText")
    signature = said.pop("signature", None) or None
    text = as_text(said.pop("text", ""), f"{where}.reasoningText.text")
    return Thinking(text, signature, dialect=name if signature is not None else None, extra=said)


def _guard_from_wire(body: Json, where: str) -> AnyPart | None:
    inside = as_object(body["guardContent"], f"{where}.guardContent")
    if inside.keys() != {"text"}:
        return None
    said = as_object(inside["text"], f"{where}.guardContent.text")
    return Text(text_at(said, "text", f"{where}.guardContent.text"), extra={"~guard": said})


def _search_from_wire(body: Json, where: str) -> AnyPart:
    where = f"{where}.searchResult"
    inside = as_object(body["searchResult"], where)
    texts = _texts(inside.pop("content", None), f"{where}.content")
    return Text("".join(texts), extra={**inside, "~search": [len(text) for text in texts]})


def _cited_from_wire(body: Json, where: str) -> AnyPart:
    where = f"{where}.citationsContent"
    inside = as_object(body["citationsContent"], where)
    texts = _texts(inside.pop("content", None), f"{where}.content")
    sources = as_array(inside.pop("citations", None) or [], f"{where}.citations")
    note: Extra = {} if sources and len(texts) < 2 else {"~cited": [len(text) for text in texts]}
    return Text("".join(texts), tuple(map(citation_from_wire, sources)), extra={**inside, **note})


def _texts(content: Any, where: str) -> list[str]:
    return [str(an_object(one).get("text") or "") for one in as_array(content or [], where)]


def citation_from_wire(body: Any) -> Citation:
    """A source that the model names: a page of the web, or a place in one of the documents it was given."""
    said = an_object(body)
    page = an_object(an_object(said.get("location")).get("web")).get("url")
    held = said.get("sourceContent")
    quote = "".join(_texts(held, "sourceContent")) if isinstance(held, list) else ""
    source, title = said.get("source"), said.get("title")
    where = page if isinstance(page, str) else None
    if where is None and isinstance(source, str) and source.startswith("http"):
        where = source
    return Citation(name, body, where, title if isinstance(title, str) else None, quote or None)


def citation_to_wire(citation: Citation) -> Json:
    """A source for a caller."""
    if citation.dialect == name:
        return citation.body
    wire: Json = {} if citation.title is None else {"title": citation.title}
    if citation.quote is not None:
        wire["sourceContent"] = [{"text": citation.quote}]
    if citation.url is not None:
        wire["location"] = {"web": {"url": citation.url}}
    return wire


_READERS: Mapping[str, Callable[[Json, str], AnyPart | None]] = {
    "toolUse": _tool_use_from_wire,
    "toolResult": _tool_result_from_wire,
    "image": _media_from_wire("image"),
    "audio": _media_from_wire("audio"),
    "document": _media_from_wire("document"),
    "reasoningContent": _reasoning_from_wire,
    "guardContent": _guard_from_wire,
    "searchResult": _search_from_wire,
    "citationsContent": _cited_from_wire,
}


def part_to_wire(part: AnyPart, where: str, losses: list[Loss], names: Names | None = None) -> Json | None:
    """Write one part as a block; what this API cannot say is lost. `names` fits the names of documents; without it the
    caller spoke this dialect, and all goes as it was."""
    match part:
        case Text():
            wire = _text_to_wire(part)
        case Image() | Audio() | File():
            written = media_to_wire(part, where, losses, names)
            if written is None:
                return None
            wire = written
        case Thinking(redacted=str()):
            wire = {"reasoningContent": {"redactedContent": part.redacted, **public(part.extra)}}
        case Thinking():
            signed = {} if part.signature is None else {"signature": part.signature}
            wire = {"reasoningContent": {"reasoningText": {"text": part.text, **signed, **public(part.extra)}}}
        case ToolCall():
            said = {"toolUseId": part.id, "name": part.name, "input": arguments_of(part)}
            wire = {"toolUse": {**said, **public(part.extra)}}
        case ToolResult():
            wire = {"toolResult": _tool_result_to_wire(part, where, losses, names)}
        case Refusal():
            wire = {"text": part.text}
        case Opaque(dialect="bedrock_converse"):
            return part.body
        case _:
            losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
            return None
    beside = part.extra.get("~beside")
    return {**beside, **wire} if beside else wire


def _text_to_wire(part: Text) -> Json:
    extra = part.extra
    if part.citations or "~cited" in extra:
        said = {"content": [{"text": piece} for piece in pieces(part.text, extra.get("~cited"))]}
        sources = [citation_to_wire(one) for one in part.citations]
        return {"citationsContent": {**said, "citations": sources, **public(extra)}}
    if not extra:
        return {"text": part.text}
    if "~json" in extra and (held := _parsed(part.text)) is not None:
        return {"json": held[0]}
    if "~guard" in extra:
        return {"guardContent": {"text": {"text": part.text, **extra["~guard"]}}}
    if "~search" in extra:
        content = [{"text": piece} for piece in pieces(part.text, extra["~search"])]
        return {"searchResult": {"content": content, **public(extra)}}
    return {"text": part.text, **public(extra)}


def _parsed(text: str) -> tuple[Any] | None:
    """The value that a text holds as JSON; None where it has been changed into something else."""
    try:
        return (msgspec.json.decode(text),)
    except msgspec.MsgspecError:
        return None


def _tool_result_to_wire(part: ToolResult, where: str, losses: list[Loss], names: Names | None) -> Json:
    inside = ((one, f"{where}.content[{at}]") for at, one in enumerate(part.parts))
    blocks = [part_to_wire(one, place, losses, names) for one, place in inside if names is None or not is_blank(one)]
    wire: Json = {"toolUseId": part.call_id, "content": [block for block in blocks if block is not None]}
    if part.is_error:
        wire["status"] = "error"
    elif "~status" in part.extra:
        wire["status"] = part.extra["~status"]
    return {**wire, **public(part.extra)}


def is_blank(part: AnyPart) -> bool:
    """Text without a visible character, which the API refuses and which says nothing."""
    return type(part) is Text and not part.citations and not part.text.strip()
