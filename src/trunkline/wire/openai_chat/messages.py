"""Messages and their parts in chat completions, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.events import ThinkingDelta
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import (
    AnyPart,
    Audio,
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
    text_of,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import (
    a_text,
    an_object,
    as_array,
    as_object,
    as_text,
    cache_from_wire,
    mark_cache,
    maybe_text_at,
    object_at,
    plain_text,
    said,
    text_at,
)

from .signing import signed, take_signature

name = "openai_chat"

LEGACY = "~legacy"
"""Notes a call, a result or a tool that was said as a `function`, before there were tools."""

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def message_from_wire(message: Any, where: str = "message") -> Message:
    """Read one message in OpenAI's shape: what a caller of the library may pass as a dict."""
    return _message_from_wire(message, where)


def plain_message(value: Any) -> Message | None:
    """A message that is a role and a string and nothing else, as nearly all are; None for any other."""
    if type(value) is not dict or len(cast("Json", value)) != 2:
        return None
    body = cast("Json", value)
    word, content = body.get("role"), body.get("content")
    role = _ROLES.get(word) if isinstance(word, str) else None
    if role is None or role == "tool" or type(content) is not str:
        return None
    return Message(role, (Text(content),))


def _message_from_wire(value: Any, where: str) -> Message:
    if (plain := plain_message(value)) is not None:
        return plain
    body: Json = as_object(value, where)
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = body.pop("content", None)
    parts = _content_from_wire(content, f"{where}.content")
    if word == "function":
        result = ToolResult("", parts, name=text_at(body, "name", where), extra={**body, LEGACY: True})
        return Message(role, (result,), dialect=name)
    if role == "tool":
        call_id = text_at(body, "tool_call_id", where)
        result = ToolResult(call_id, parts, name=maybe_text_at(body, "name", where), extra=body)
        return Message(role, (result,), dialect=name)
    if role == "assistant":
        parts = (*_thinking_from_wire(body), *_cited(parts, body), *_assistant_parts(body, where))
    return Message(role, parts, name=maybe_text_at(body, "name", where), extra=body, dialect=name)


def _content_from_wire(content: Any, where: str) -> tuple[AnyPart, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(part_from_wire(part, f"{where}[{at}]") for at, part in enumerate(as_array(content, where)))


def _assistant_parts(body: Json, where: str) -> list[AnyPart]:
    """What an assistant message says beside its content: refusal, calls, spoken answer."""
    parts: list[AnyPart] = []
    if (refusal := body.pop("refusal", None)) is not None:
        parts.append(Refusal(as_text(refusal, f"{where}.refusal")))
    for at, call in enumerate(as_array(body.pop("tool_calls", None) or [], f"{where}.tool_calls")):
        parts.append(_tool_call_from_wire(call, f"{where}.tool_calls[{at}]"))
    if an_object(body.get("function_call")).get("name"):  # some servers say it empty beside its successor
        function = object_at(body, "function_call", where)
        called, arguments = text_at(function, "name", f"{where}.function_call"), function.pop("arguments", None)
        parts.append(ToolCall("", called, arguments or "{}", extra={**function, LEGACY: True}))
    if body.get("audio") is not None:
        parts.append(spoken(object_at(body, "audio", where)))
    return parts


def spoken(audio: Json) -> Audio:
    """The answer in sound: its id is what a later turn sends back (platform.openai.com/docs/guides/audio)."""
    source = Source(data=maybe_text_at(audio, "data", "audio"), file_id=maybe_text_at(audio, "id", "audio"))
    return Audio(source, transcript=maybe_text_at(audio, "transcript", "audio"), extra=audio)


def _cited(parts: tuple[AnyPart, ...], body: Json) -> tuple[AnyPart, ...]:
    """The content with the sources that stand beside it in this API, on the text that they are for."""
    citations = tuple(map(citation_from_wire, body.pop("annotations", None) or ()))
    if not citations:
        return parts
    at = next((at for at, part in enumerate(parts) if type(part) is Text), None)
    if at is None:
        return (*parts, Text("", citations))
    text = cast("Text", parts[at])
    return (*parts[:at], replace(text, citations=citations), *parts[at + 1 :])


def citation_from_wire(annotation: Any) -> Citation:
    """A source: where it is, and which characters of the text it stands for."""
    said = an_object(an_object(annotation).get("url_citation"))
    url, title, quote = (a_text(said.get(key)) for key in ("url", "title", "content"))
    return Citation(name, annotation, url, title, quote, said.get("start_index"), said.get("end_index"))


def citation_to_wire(citation: Citation) -> Json | None:
    """A source for a caller; None for one that is no page on the web."""
    if citation.dialect == name:
        return citation.body
    if citation.url is None:
        return None
    said = {"url": citation.url, "title": citation.title or "", "start_index": citation.start or 0}
    return {"type": "url_citation", "url_citation": {**said, "end_index": citation.end or citation.start or 0}}


REASONING_KEYS = ("reasoning_content", "reasoning")
"""Where servers put visible reasoning in a message or a delta (api-docs.deepseek.com, openrouter.ai/docs)."""


def _thinking_from_wire(body: Json) -> list[AnyPart]:
    for key in REASONING_KEYS:
        if isinstance(text := body.get(key), str):
            del body[key]
            return [Thinking(text, extra={"~key": key})]
    return []


def _tool_call_from_wire(value: Any, where: str) -> AnyPart:
    body: Json = as_object(value, where)
    if body.get("type", "function") != "function":
        return Opaque(name, {"tool_call": body})
    if body.pop("type", None) is None:
        body["~untyped"] = True
    function = object_at(body, "function", where)
    arguments = function.pop("arguments", None) or "{}"
    if not isinstance(arguments, str):  # some servers give the object itself
        arguments = msgspec.json.encode(arguments).decode()
    signature, dialect = take_signature(body)
    tool = text_at(function, "name", where)
    return ToolCall(as_text(body.pop("id", None) or "", f"{where}.id"), tool, arguments, signature, dialect, extra=body)


def _text_from_wire(body: Json, where: str) -> AnyPart:
    return Text(text_at(body, "text", where), cache=cache_from_wire(body), extra=body)


def _image_from_wire(body: Json, where: str) -> AnyPart:
    image = body.pop("image_url", None)
    if isinstance(image, str):
        image, body["~bare"] = {"url": image}, True
    else:
        image = as_object(image, f"{where}.image_url")
    source = _source_of_url(text_at(image, "url", f"{where}.image_url"))
    return Image(source, maybe_text_at(image, "detail", f"{where}.image_url"), cache=cache_from_wire(body), extra=body)


def _audio_from_wire(body: Json, where: str) -> AnyPart:
    audio = object_at(body, "input_audio", where)
    inside = f"{where}.input_audio"
    form = maybe_text_at(audio, "format", inside)
    data = maybe_text_at(audio, "data", inside)
    return Audio(Source(data=data, media_type=f"audio/{form or 'wav'}"), form, extra=body)


def _file_from_wire(body: Json, where: str) -> AnyPart:
    file = object_at(body, "file", where)
    inside = f"{where}.file"
    data = maybe_text_at(file, "file_data", inside)
    source = _source_of_url(data) if data is not None else Source(file_id=maybe_text_at(file, "file_id", inside))
    return File(source, maybe_text_at(file, "filename", inside), cache=cache_from_wire(body), extra=body)


def _refusal_from_wire(body: Json, where: str) -> AnyPart:
    return Refusal(text_at(body, "refusal", where), extra={**body, "~among": True})


def _thought_from_wire(body: Json, _: str) -> AnyPart:
    thought, inside = thought_of(body), body.pop("thinking", None)
    body["~key"] = "content"
    if isinstance(inside, list) and len(cast("list[Any]", inside)) > 1:
        body["~pieces"] = [len(thought_of({"thinking": [piece]})) for piece in cast("list[Any]", inside)]
    return Thinking(thought, extra=body)


def thought_of(body: Json) -> str:
    """The text of reasoning that stands among the content, itself a list of parts (docs.mistral.ai)."""
    thought = body.get("thinking")
    if isinstance(thought, str):
        return thought
    return "".join(str(an_object(part).get("text") or "") for part in as_array(thought or [], "thinking"))


_PART_READERS: Mapping[str, Callable[[Json, str], AnyPart]] = {
    "text": _text_from_wire,
    "image_url": _image_from_wire,
    "input_audio": _audio_from_wire,
    "file": _file_from_wire,
    "refusal": _refusal_from_wire,
    "thinking": _thought_from_wire,
}


def part_from_wire(value: Any, where: str) -> AnyPart:
    """Read one part of a message's content; one that only this API has is kept whole."""
    body: Json = as_object(value, where)
    kind = text_at(body, "type", where)
    reader = _PART_READERS.get(kind)
    if reader is None:
        return Opaque(name, {"type": kind, **body})
    return reader(body, where)


def _source_of_url(url: str) -> Source:
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        if head.endswith(";base64"):
            return Source(data=data, media_type=head.removesuffix(";base64"))
    return Source(url=url)


def _url_of(source: Source) -> str | None:
    if source.data is not None:
        return f"data:{source.media_type or 'application/octet-stream'};base64,{source.data}"
    return source.url


def as_read(part: Thinking | ThinkingDelta) -> str:
    """The key under which reasoning was read, or the one that most servers have for it."""
    return part.extra.get("~key", "reasoning_content")


def message_to_wire(message: Message, facts: Facts, where: str, losses: list[Loss], *, own: bool = False) -> list[Json]:
    """Write one message; several where its tool results each need a message of their own. `own`: a caller of this API
    wrote it, and so it is said again."""
    rest: tuple[AnyPart, ...] = message.parts
    wires: list[Json] = []
    if any(type(part) is ToolResult for part in rest):
        wires = [_result_to_wire(part, where, losses) for part in rest if type(part) is ToolResult]
        rest = tuple(part for part in rest if type(part) is not ToolResult)
        if not rest:
            return wires
    role = message.role
    if role == "developer" and not facts.quirks.developer_role:
        role = "system"
    body: Json = {"role": "user" if role == "tool" else role}
    if message.name is not None:
        body["name"] = message.name
    if role == "assistant":
        reasoning_key = facts.quirks.reasoning_key
        assistant_to_wire(rest, where, losses, body, as_read if own else lambda _: reasoning_key)
    else:
        body["content"] = _content_to_wire(rest, where, losses)
    body.update(said(message.extra))
    return [*wires, body]


def assistant_to_wire(
    parts: Sequence[AnyPart],
    where: str,
    losses: list[Loss],
    body: Json,
    key_of: Callable[[Thinking], str | None],
) -> None:
    """Put what an assistant says into `body`; `key_of` names the key for its reasoning, if there may be one."""
    spoken = tuple(part for part in parts if type(part) not in _BESIDE_CONTENT or _is_content(part))
    body["content"] = _content_to_wire(spoken, where, losses) if spoken else None
    calls: list[Json] = []
    for part in parts:
        match part:
            case ToolCall() if LEGACY in part.extra:
                body["function_call"] = {"name": part.name, "arguments": part.arguments, **said(part.extra)}
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                kind = {} if "~untyped" in part.extra else {"type": "function"}
                calls.append({"id": part.id, **kind, "function": function, **said(part.extra), **signed(part)})
            case Audio():
                body["audio"] = audio_to_wire(part)
            case Refusal() if "~among" not in part.extra:
                body["refusal"] = body.get("refusal", "") + part.text
            case Thinking():
                key = key_of(part)
                if key == "content":
                    inside = [{"type": "text", "text": piece} for piece in _pieces(part)]
                    thought = {"type": "thinking", "thinking": inside, **said(part.extra)}
                    body["content"] = [thought, *_listed(body["content"])]
                elif key is not None:
                    body[key] = part.text
                else:
                    losses.append(Loss(f"{where}.thinking", "the target does not take reasoning back", "thinking"))
            case Opaque(dialect="openai_chat", body={"tool_call": call}):
                calls.append(call)
            case Text() if part.citations:
                sources = [wire for one in part.citations if (wire := citation_to_wire(one)) is not None]
                body.setdefault("annotations", []).extend(sources)
            case _:
                pass
    if calls:
        body["tool_calls"] = calls


def _pieces(part: Thinking) -> Iterator[str]:
    """The text as it was cut when it was read."""
    at = 0
    for length in part.extra.get("~pieces") or (len(part.text),):
        yield part.text[at : at + length]
        at += length


def _listed(content: str | list[Json] | None) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


_BESIDE_CONTENT = frozenset({ToolCall, Thinking, Refusal, Opaque, Audio})
"""Parts that an assistant message has keys of its own for."""


def _is_content(part: AnyPart) -> bool:
    """A part that stands among the content all the same, because that is where it was read."""
    if type(part) is Opaque:
        return part.dialect == name and "tool_call" not in an_object(part.body)
    return type(part) is Refusal and "~among" in part.extra


def _result_to_wire(result: ToolResult, where: str, losses: list[Loss]) -> Json:
    content = _content_to_wire(result.parts, where, losses) if len(result.parts) > 1 else text_of(result.parts)
    named = {} if result.name is None else {"name": result.name}
    if LEGACY in result.extra:
        return {"role": "function", "content": content, **named, **said(result.extra)}
    return {"role": "tool", "tool_call_id": result.call_id, "content": content, **named, **said(result.extra)}


def _content_to_wire(parts: Sequence[AnyPart], where: str, losses: list[Loss]) -> str | list[Json]:
    """A bare string for a single plain text, which every server understands; else a list of parts."""
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].cache is None and not parts[0].extra:
        return parts[0].text
    wires = (part_to_wire(part, f"{where}.content[{at}]", losses) for at, part in enumerate(parts))
    return [wire for wire in wires if wire is not None] or ""


def part_to_wire(part: AnyPart, where: str, losses: list[Loss]) -> Json | None:
    """Write one part of a message's content; None for what cannot be said."""
    match part:
        case Text():
            wire: Json = {"type": "text", "text": part.text}
        case Image() if (url := _url_of(part.source)) is not None:
            detail = {} if part.detail is None else {"detail": part.detail}
            image = url if "~bare" in part.extra else {"url": url, **detail}
            wire = {"type": "image_url", "image_url": image}
        case Audio() if part.source.data is not None:
            form = part.format or (part.source.media_type or "audio/wav").partition("/")[2]
            wire = {"type": "input_audio", "input_audio": {"data": part.source.data, "format": form}}
        case File() if (text := _text_of(part)) is not None:
            wire = {"type": "text", "text": text}
        case File():
            wire = {"type": "file", "file": _file_to_wire(part)}
        case Refusal():
            wire = {"type": "refusal", "refusal": part.text}
        case Opaque(dialect="openai_chat"):
            return part.body
        case _:
            losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
            return None
    mark_cache(wire, part.cache)
    wire.update(said(part.extra))
    return wire


def audio_to_wire(part: Audio) -> Json:
    known = {"id": part.source.file_id, "data": part.source.data, "transcript": part.transcript}
    return {**{key: value for key, value in known.items() if value is not None}, **said(part.extra)}


def _text_of(part: File) -> str | None:
    """The text of a plain document, under its name."""
    if part.source.data is None or part.source.media_type != "text/plain":
        return None
    text = plain_text(part.source.data)
    return f"{part.name}\n\n{text}" if part.name and text is not None else text


def _file_to_wire(part: File) -> Json:
    if part.source.file_id is not None:
        return {"file_id": part.source.file_id}
    return {"filename": part.name or "document.pdf", "file_data": _url_of(part.source)}
