"""Parts of a content, both ways.

A part holds one of `text`, `functionCall`, `functionResponse`, `inlineData`, `fileData` and some that only this API
has; beside it may stand `thought`, which makes text reasoning, and on any part `thoughtSignature`, which must come back
on that very part (ai.google.dev/api/caching, Part; ai.google.dev/gemini-api/docs/thought-signatures).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from zlib import crc32

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.parts import (
    AnyPart,
    Audio,
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
from trunkline.wire.grammar.fields import an_object, arguments_of, as_array, as_object, as_text, text_at

from .spelling import SPELLED, noted, public, respell, respelled

name = "gemini"

SIGNATURE = "thoughtSignature"


class Ids:
    """Ids for calls that came without one, and which result belongs to which of them.

    The same calls get the same ids whenever they are read, so that a caller of another API can answer them. Results
    without an id belong to the earliest call of that function that is still open. `stem` is what the ids begin with;
    without it, what is asked for tells one call from another.
    """

    def __init__(self, stem: str | None = None) -> None:
        self._stem = stem
        self._count = 0
        self._open: dict[str, deque[str]] = {}

    def call(self, given: str | None, tool: str, arguments: str = "") -> str:
        """The id of a call."""
        call_id = given or self._new(tool + arguments)
        self._open.setdefault(tool, deque()).append(call_id)
        return call_id

    def result(self, given: str | None, tool: str) -> str:
        """The id of the call that a result answers."""
        waiting = self._open.get(tool)
        if given is None or given == "":
            return waiting.popleft() if waiting else self._new(tool)
        if waiting and given in waiting:
            waiting.remove(given)
        return given

    def _new(self, said: str) -> str:
        self._count += 1
        stem = f"call_{crc32(said.encode('utf-8', 'replace')):08x}" if self._stem is None else self._stem
        return f"{stem}_{self._count - 1}"


def part_from_wire(value: Any, where: str, ids: Ids) -> AnyPart:
    """Read one part; one that only this API has is kept whole."""
    body: Json = as_object(value, where)
    if len(body) == 1 and type(text := body.get("text")) is str:
        return Text(text)  # nearly all are
    notes: Extra = {}
    body = respell(body, notes)
    kinds = [kind for kind in body if kind in _READERS and body[kind] is not None]
    if len(kinds) != 1:
        return Opaque(name, cast("Json", value))
    return _READERS[kinds[0]](body, where, notes, ids)


def _text_from_wire(body: Json, where: str, notes: Extra, ids: Ids) -> AnyPart:
    text = text_at(body, "text", where)
    if body.get("thought") is not True:
        return Text(text, extra=noted(body, notes))
    del body["thought"]
    signature = _signature(body, where)
    return Thinking(text, signature, dialect=name if signature else None, extra=noted(body, notes))


def _signature(body: Json, where: str) -> str | None:
    signature = body.pop(SIGNATURE, None)
    return as_text(signature, f"{where}.{SIGNATURE}") if signature is not None else None


def _call_from_wire(body: Json, where: str, notes: Extra, ids: Ids) -> AnyPart:
    where = f"{where}.functionCall"
    call = respell(as_object(body.pop("functionCall"), where), notes)
    tool = text_at(call, "name", where)
    given = call.pop("id", None)
    args = call.pop("args", None)
    arguments = msgspec.json.encode(as_object(args, f"{where}.args")).decode() if args is not None else "{}"
    if args is None:
        body["~bare"] = True
    if not given:
        body["~invented"] = True
    if call:
        body["functionCall"] = call
    signature = _signature(body, where)
    return ToolCall(
        ids.call(as_text(given, f"{where}.id") if given else None, tool, arguments),
        tool,
        arguments,
        signature,
        name if signature is not None else None,
        extra=noted(body, notes),
    )


def _result_from_wire(body: Json, where: str, notes: Extra, ids: Ids) -> AnyPart:
    where = f"{where}.functionResponse"
    result = respell(as_object(body.pop("functionResponse"), where), notes)
    tool = text_at(result, "name", where)
    given = result.pop("id", None)
    response = result.pop("response", None)
    inside = as_array(result.pop("parts", None) or [], f"{where}.parts")
    parts = tuple(part_from_wire(one, f"{where}.parts[{at}]", ids) for at, one in enumerate(inside))
    failed = False
    if response is not None:
        response = as_object(response, f"{where}.response")
        text, failed = said_in(response)
        parts = (Text(text), *parts)
        if response_of(text, failed=failed) != response:
            body["~response"] = response
    if not given:
        body["~invented"] = True
    if result:
        body["functionResponse"] = result
    call_id = ids.result(as_text(given, f"{where}.id") if given else None, tool)
    return ToolResult(call_id, parts, failed, tool, extra=noted(body, notes))


RESULT = "result"
"""The key under which a result stands that is no object (ai.google.dev/gemini-api/docs/function-calling)."""

_RESULTS = frozenset({RESULT, "output"})


def said_in(response: Json) -> tuple[str, bool]:
    """What a result says, as text, and whether it says that the tool failed."""
    failed = bool(response.get("error"))
    if len(response) == 1 and (failed or not _RESULTS.isdisjoint(response)):
        value = next(iter(response.values()))
        return (value if isinstance(value, str) else msgspec.json.encode(value).decode()), failed
    return msgspec.json.encode(response).decode(), failed


def response_of(text: str, *, failed: bool) -> Json:
    """A result as the object that this API wants; text that is one already stays one, unless it would be taken for
    something else."""
    if failed:
        return {"error": text}
    if text[:1] == "{":
        try:
            value = msgspec.json.decode(text)
        except msgspec.MsgspecError:
            value = None
        if isinstance(value, dict) and not an_object(value).get("error") and value.keys() not in _ALONE:
            return cast("Json", value)
    return {RESULT: text}


_ALONE = tuple({key} for key in _RESULTS)


def _inline_from_wire(body: Json, where: str, notes: Extra, ids: Ids) -> AnyPart:
    where = f"{where}.inlineData"
    blob = respell(as_object(body.pop("inlineData"), where), notes)
    kind = blob.pop("mimeType", None)
    source = Source(data=text_at(blob, "data", where), media_type=_kind(kind, where))
    return _media(source, blob, "inlineData", body, notes)


def _file_from_wire(body: Json, where: str, notes: Extra, ids: Ids) -> AnyPart:
    where = f"{where}.fileData"
    file = respell(as_object(body.pop("fileData"), where), notes)
    kind = _kind(file.pop("mimeType", None), where)
    uri = text_at(file, "fileUri", where)
    uploaded = _UPLOAD.search(uri) is not None
    source = Source(file_id=uri, media_type=kind) if uploaded else Source(url=uri, media_type=kind)
    return _media(source, file, "fileData", body, notes)


def _kind(value: Any, where: str) -> str | None:
    return as_text(value, f"{where}.mimeType") if value is not None else None


_UPLOAD = re.compile(r"^(https://generativelanguage\.googleapis\.com/v\w+/)?files/[^/]+$")
"""An upload's address (ai.google.dev/gemini-api/docs/files); anything else is fetched by whoever reads it."""


def _media(source: Source, rest: Json, key: str, body: Json, notes: Extra) -> AnyPart:
    family, _, form = (source.media_type or "").partition("/")
    title = rest.pop("displayName", None) if family not in {"image", "audio"} else None
    if rest:
        body[key] = rest
    extra = noted(body, notes)
    match family:
        case "image":
            return Image(source, extra=extra)
        case "audio":
            return Audio(source, form.removeprefix("x-"), extra=extra)
        case _:
            return File(source, title, extra=extra)


_READERS: Mapping[str, Callable[[Json, str, Extra, Ids], AnyPart]] = {
    "text": _text_from_wire,
    "functionCall": _call_from_wire,
    "functionResponse": _result_from_wire,
    "inlineData": _inline_from_wire,
    "fileData": _file_from_wire,
}


def part_to_wire(part: AnyPart) -> Json | None:
    """Write one part, with what was kept of it; None for one that only another API has."""
    extra = part.extra
    match part:
        case Text() | Refusal():
            wire: Json = {"text": part.text}
        case Thinking(redacted=None):
            wire = {"text": part.text, "thought": True}
            if part.signature is not None and part.dialect == name:
                wire[SIGNATURE] = part.signature
        case ToolCall():
            wire = {"functionCall": _call_to_wire(part)}
            if part.signature is not None and part.dialect == name:
                wire[SIGNATURE] = part.signature
        case ToolResult():
            wire = {"functionResponse": _result_to_wire(part)}
        case Image() | Audio() | File():
            wire = _media_to_wire(part)
        case Opaque(dialect="gemini"):
            return part.body
        case _:
            return None
    return _with(wire, extra) if extra else wire


def _with(wire: Json, extra: Extra) -> Json:
    """The part with its unknown keys, some of which stand inside, and as its caller spelled it."""
    notes: Mapping[str, str] = extra.get(SPELLED) or {}
    whole: Json = {}
    for key, value in {**wire, **public(extra)}.items():
        ours = wire.get(key)
        if isinstance(ours, dict):
            inside = cast("Json", ours)
            value = respelled({**inside, **an_object(value)}, notes)
        whole[notes.get(key, key)] = value
    return whole


def _call_to_wire(call: ToolCall) -> Json:
    wire: Json = {"name": call.name}
    if call.id and "~invented" not in call.extra:
        wire["id"] = call.id
    if "~bare" not in call.extra or call.arguments != "{}":
        wire["args"] = arguments_of(call)
    return wire


def _result_to_wire(part: ToolResult) -> Json:
    wire: Json = {"name": part.name}
    if part.call_id and "~invented" not in part.extra:
        wire["id"] = part.call_id
    spoken = [one for one in part.parts if isinstance(one, Text | Refusal)]
    shown = [one for one in part.parts if not isinstance(one, Text | Refusal)]
    text = "".join(one.text for one in spoken)
    kept = part.extra.get("~response")
    if kept is not None and said_in(kept) == (text, part.is_error):
        wire["response"] = kept
    elif spoken or not shown or part.is_error:
        wire["response"] = response_of(text, failed=part.is_error)
    if shown:
        wire["parts"] = parts_to_wire(shown)
    return wire


def parts_to_wire(parts: Sequence[AnyPart]) -> list[Json]:
    """Write parts, without those that only another API has."""
    return [wire for part in parts if (wire := part_to_wire(part)) is not None]


_DEFAULTS: Mapping[type, str] = {Image: "image/png", Audio: "audio/wav", File: "application/pdf"}

_BY_ENDING: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "wav": "audio/wav", "mp3": "audio/mp3", "ogg": "audio/ogg",
    "flac": "audio/flac", "aac": "audio/aac", "aiff": "audio/aiff", "mp4": "video/mp4", "mov": "video/mov",
    "webm": "video/webm", "mpeg": "video/mpeg", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "csv": "text/csv", "html": "text/html", "xml": "text/xml", "json": "application/json",
}  # fmt: skip
"""What an address ends with, and what is there: the API wants to be told."""


def _media_to_wire(part: Image | Audio | File) -> Json:
    source = part.source
    if source.data is not None:
        wire: Json = {"inlineData": {"data": source.data}}
    else:
        wire = {"fileData": {"fileUri": source.file_id if source.file_id is not None else source.url}}
    inside: Json = next(iter(wire.values()))
    if isinstance(part, File) and part.name is not None:
        inside["displayName"] = part.name
    if source.media_type is not None:
        inside["mimeType"] = source.media_type
    return wire


_VIDEO_SITE = re.compile(r"https?://([\w-]+\.)?(youtube\.com|youtu\.be)/")
"""Videos that are linked to without a type (ai.google.dev/gemini-api/docs/video-understanding)."""


def with_type(part: AnyPart) -> AnyPart:
    """Media whose type nobody said, with the one that it probably is: another API does not ask for it."""
    if not isinstance(part, Image | Audio | File) or part.source.media_type is not None:
        return part
    source = part.source
    if source.url is not None and _VIDEO_SITE.match(source.url):
        return part
    if isinstance(part, Audio) and part.format:
        kind = f"audio/{part.format}"
    else:
        ending = (source.url or "").partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
        kind = _BY_ENDING.get(ending) or _DEFAULTS[type(part)]
    return replace(part, source=replace(source, media_type=kind))
