"""Items of the Responses API and the parts that they hold, both ways.

Owns what one item says: a message of the model, reasoning, a call, a result, and the content inside. An item may hold
several parts and a part may stand for an item; so that the writer puts them together again exactly, the reader leaves
these notes beside the parts:

    ~item      the item's own keys, beside its content: on its first part
    ~more      the part belongs to the item of the part before it
    ~in        "content": reasoning that stood in the item's content, not in its summary
    ~type      the type of a content part, where it is not the usual one
    ~empty     keys that were there and held nothing
    ~file      a document that was sent as one, and with the name that it has
    ~logprobs  the part's log probabilities in a request; in a reply how many of the choice's are its own
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from trunkline.vocabulary.errors import InvalidRequestError
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
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import an_object, as_array, as_object, as_text, object_at, plain_text, text_at

name: Literal["openai_responses"] = "openai_responses"

ITEM = "~item"
MORE = "~more"
IN = "~in"
TYPE = "~type"
EMPTY = "~empty"
FILE = "~file"
LOGPROBS = "~logprobs"
BARE = "~bare"
"""Inside `~item`: its content was a string, not a list of parts; or it is reasoning that holds no piece of text."""

Probabilities = list[Any]
"""OpenAI's log probabilities, a token each."""


def parts_from_item(value: Any, where: str, logprobs: Probabilities | None = None) -> list[AnyPart]:
    """Read an item of the model. Its log probabilities are added to `logprobs`; in a request they stay with the part.
    One that only this API has is kept whole."""
    body: Json = as_object(value, where)
    kind = body.get("type") or ("message" if "role" in body else "item_reference" if "id" in body else None)
    if kind is None:
        raise InvalidRequestError(f"{where}.type is missing", param=f"{where}.type", code="missing_required_parameter")
    reader = _ITEMS.get(as_text(kind, f"{where}.type"))
    parts = reader(body, where, logprobs) if reader is not None else []
    return parts or [Opaque(name, value)]


def _message_from_wire(body: Json, where: str, logprobs: Probabilities | None) -> list[AnyPart]:
    """The content of a message; a message without any is kept whole."""
    content = body.pop("content", None)
    if isinstance(content, str):
        return [Text(content, extra={ITEM: {**body, BARE: True}})]
    parts: list[AnyPart] = []
    for at, one in enumerate(as_array(content or [], f"{where}.content")):
        notes = {MORE: True} if parts else {ITEM: body}
        parts.append(content_from_wire(one, f"{where}.content[{at}]", "output_text", logprobs, notes))
    return parts


def _reasoning_from_wire(body: Json, where: str, _: Probabilities | None) -> list[AnyPart]:
    """Reasoning: a part for each piece of its summary and of its content, all with the item's signature."""
    signature = body.get("encrypted_content")
    if isinstance(signature, str) and signature:
        del body["encrypted_content"]
    else:
        signature = None
    dialect = name if signature is not None else None
    parts: list[AnyPart] = []
    for place in ("summary", "content"):
        pieces = as_array(body.get(place) or [], f"{where}.{place}")
        if pieces:
            del body[place]
        for at, piece in enumerate(pieces):
            extra: Extra = as_object(piece, f"{where}.{place}[{at}]")
            text = text_at(extra, "text", f"{where}.{place}[{at}]")
            extra.pop("type", None)
            extra |= {MORE: True} if parts else {ITEM: body}
            if place == "content":
                extra[IN] = place
            parts.append(Thinking(text, signature, dialect=dialect, extra=extra))
    if not parts:
        parts.append(Thinking(signature=signature, dialect=dialect, extra={ITEM: {**body, BARE: True}}))
    return parts


def _call_from_wire(body: Json, where: str, _: Probabilities | None) -> list[AnyPart]:
    """A call of a function. Its id is the one that the result names, not that of the item."""
    note: Json = {key: body.pop(key) for key in ("id", "status") if key in body}
    body.pop("type", None)
    arguments: Any = body.pop("arguments", None)
    if isinstance(arguments, dict | list):  # some servers give the object itself
        arguments = msgspec.json.encode(arguments).decode()
    extra: Extra = {**body, ITEM: note}
    call_id = extra.pop("call_id", None) or note.get("id") or ""
    tool = text_at(extra, "name", where)
    if arguments == "":
        extra[EMPTY] = ["arguments"]
    return [ToolCall(as_text(call_id, f"{where}.call_id"), tool, as_text(arguments or "{}", where), extra=extra)]


def result_from_wire(body: Json, where: str) -> ToolResult:
    """What a function answered: a string, or content as in a message."""
    output: Any = body.pop("output", None)
    note: Json = {key: body.pop(key) for key in ("id", "status") if key in body}
    body.pop("type", None)
    call_id = text_at(body, "call_id", where)
    extra: Extra = {**body, ITEM: note} if note else body
    if output is None or isinstance(output, str):
        return ToolResult(call_id, (Text(output),) if output is not None else (), extra=extra)
    parts = contents_from_wire(output, f"{where}.output")
    return ToolResult(call_id, parts, extra={**extra, ITEM: {**note, BARE: False}})


_ITEMS: Mapping[str, Callable[[Json, str, Probabilities | None], list[AnyPart]]] = {
    "message": _message_from_wire,
    "reasoning": _reasoning_from_wire,
    "function_call": _call_from_wire,
}


def contents_from_wire(content: Any, where: str) -> tuple[AnyPart, ...]:
    """Read what a caller says: a list of content parts."""
    parts = as_array(content, where)
    return tuple(content_from_wire(one, f"{where}[{at}]", "input_text") for at, one in enumerate(parts))


def content_from_wire(
    value: Any, where: str, usual: str, logprobs: Probabilities | None = None, notes: Extra | None = None
) -> AnyPart:
    """Read one content part. `usual` is the type that text has there; `notes` are kept beside it."""
    body: Json = as_object(value, where)
    kind = text_at(body, "type", where)
    reader = _CONTENTS.get(kind)
    extra: Extra = {**body, **notes} if notes else body
    part = reader(extra, where) if reader is not None else None
    if part is None:
        return Opaque(name, value, extra=notes or {})
    if kind != usual and type(part) is Text:
        extra[TYPE] = kind
    if "logprobs" in extra:
        _keep_logprobs(extra, logprobs, f"{where}.logprobs")
    return part


def _keep_logprobs(extra: Extra, logprobs: Probabilities | None, where: str) -> None:
    said = extra.pop("logprobs")
    if not said:
        extra[EMPTY] = [*extra.get(EMPTY, ()), "logprobs"]
    elif logprobs is None:
        extra[LOGPROBS] = said
    else:
        extra[LOGPROBS] = len(as_array(said, where))
        logprobs += said


def _text_from_wire(body: Json, where: str) -> AnyPart:
    text = text_at(body, "text", where)
    cache = _cache_from_wire(body)
    if "annotations" not in body:
        return Text(text, cache=cache, extra=body)
    said = as_array(body.pop("annotations") or [], f"{where}.annotations")
    if not said:
        body[EMPTY] = ["annotations"]
    return Text(text, tuple(map(citation_from_wire, said)), cache=cache, extra=body)


def citation_from_wire(annotation: Any) -> Citation:
    """A source: a page on the web, or a file, and which characters of the text it stands for."""
    said = an_object(annotation)
    url, title = said.get("url"), said.get("title") or said.get("filename")
    start, end = said.get("start_index"), said.get("end_index")
    return Citation(
        name,
        annotation,
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
    )


def citation_to_wire(citation: Citation, length: int) -> Json | None:
    """A source for a caller; None for one that is no page on the web. Without a place it stands for the whole text,
    which is `length` characters long so far."""
    if citation.dialect == name:
        return citation.body
    if citation.url is None:
        return None
    end = citation.end if citation.end is not None else length
    place = {"start_index": citation.start or 0, "end_index": end}
    return {"type": "url_citation", "url": citation.url, "title": citation.title or "", **place}


def _refusal_from_wire(body: Json, where: str) -> AnyPart:
    return Refusal(text_at(body, "refusal", where), extra=body)


def _image_from_wire(body: Json, where: str) -> AnyPart | None:
    if body.get("image_url") is not None:
        source = source_of_url(text_at(body, "image_url", where))
    elif body.get("file_id") is not None:
        source = Source(file_id=text_at(body, "file_id", where))
    else:
        return None
    detail = body.pop("detail", None)
    hint = as_text(detail, f"{where}.detail") if detail is not None else None
    return Image(source, hint, cache=_cache_from_wire(body), extra=body)


def _file_from_wire(body: Json, where: str) -> AnyPart | None:
    """A document: sent along as a data URL (some callers send bare base64), linked to, or uploaded before."""
    if body.get("file_data") is not None:
        source = source_of_url(text_at(body, "file_data", where))
        if source.data is None:
            source = Source(data=source.url)
    elif body.get("file_url") is not None:
        source = Source(url=text_at(body, "file_url", where))
    elif body.get("file_id") is not None:
        source = Source(file_id=text_at(body, "file_id", where))
    else:
        return None
    body[FILE] = True
    called = body.pop("filename", None)
    title = as_text(called, f"{where}.filename") if called is not None else None
    return File(source, title, cache=_cache_from_wire(body), extra=body)


def _audio_from_wire(body: Json, where: str) -> AnyPart:
    audio = object_at(body, "input_audio", where)
    data, form = text_at(audio, "data", f"{where}.input_audio"), text_at(audio, "format", f"{where}.input_audio")
    return Audio(Source(data=data, media_type=f"audio/{form}"), form, extra=body)


_CONTENTS: Mapping[str, Callable[[Json, str], AnyPart | None]] = {
    "input_text": _text_from_wire,
    "output_text": _text_from_wire,
    "text": _text_from_wire,
    "refusal": _refusal_from_wire,
    "input_image": _image_from_wire,
    "input_file": _file_from_wire,
    "input_audio": _audio_from_wire,
}

_BREAKPOINT = {"mode": "explicit"}
"""OpenAI's cache mark (platform.openai.com/docs/guides/prompt-caching)."""


def _cache_from_wire(body: Json) -> CacheMark | None:
    if body.get("prompt_cache_breakpoint") != _BREAKPOINT:
        return None
    del body["prompt_cache_breakpoint"]
    return CacheMark()


def source_of_url(url: str) -> Source:
    """Where media is that a URL names, which may hold it."""
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        if head.endswith(";base64"):
            return Source(data=data, media_type=head.removesuffix(";base64"))
    return Source(url=url)


def _url_of(source: Source) -> str | None:
    if source.data is not None:
        return f"data:{source.media_type or 'application/octet-stream'};base64,{source.data}"
    return source.url


def said(extra: Extra) -> Json:
    """Unknown keys, without our notes."""
    return {key: value for key, value in extra.items() if not key.startswith("~")}


class Items:
    """Puts parts together to items. `fresh` gives what an item of a kind starts with that was not read here."""

    def __init__(self, fresh: Callable[[str], Json], losses: list[Loss], logprobs: Any = None) -> None:
        self.items: list[Json] = []
        self._fresh = fresh
        self._losses = losses
        self._logprobs = cast("Probabilities", logprobs) if isinstance(logprobs, list) else []
        self._spent = 0
        """How many log probabilities have found their part."""
        self._message: Json | None = None
        self._reasoning: Json | None = None
        """The last item, if the next part may belong to it."""

    def add(self, parts: Sequence[AnyPart], where: str) -> None:
        """Write what the model says; what this API cannot say is lost."""
        for at, part in enumerate(parts):
            match part:
                case ToolCall():
                    self.put(_call_to_wire(part, self._fresh))
                case Thinking():
                    self._think(part)
                case ToolResult():
                    self.put(result_to_wire(part, f"{where}.content[{at}]", self._losses))
                case Opaque(dialect="openai_responses") if not part.extra:
                    self.put(part.body)
                case _:
                    self._say(part, f"{where}.content[{at}]")
        self._close()

    def put(self, item: Json) -> None:
        """Add an item. The next part begins one of its own."""
        self._close()
        self.items.append(item)

    def _close(self) -> None:
        message, self._message, self._reasoning = self._message, None, None
        if message is not None and message.pop(BARE, False):
            content = message["content"]
            if len(content) == 1 and content[0].keys() == _PLAIN:
                message["content"] = content[0]["text"]

    def _say(self, part: AnyPart, where: str) -> None:
        wire = content_to_wire(part, "output_text", where, self._losses, self._next_logprobs(part))
        if wire is None:
            return
        note = part.extra.get(ITEM)
        message = self._message
        if note is not None or message is None:
            begun: Json = {**(note or self._fresh("message")), "content": []}
            self.put(begun)
            message = self._message = begun
        message["content"].append(wire)

    def _next_logprobs(self, part: AnyPart) -> Any:
        """The part's own, out of those of the whole choice."""
        said = part.extra.get(LOGPROBS)
        if not isinstance(said, int):
            return said
        start, self._spent = self._spent, self._spent + said
        return self._logprobs[start : self._spent]

    def _think(self, part: Thinking) -> None:
        """A piece of reasoning, of the item that is open or of one that it opens."""
        note = part.extra.get(ITEM)
        item = self._reasoning
        place, empty = part.extra.get(IN, "summary"), False
        if item is None or note is not None or MORE not in part.extra:
            begun: Json = {**note} if note is not None else {**self._fresh("reasoning"), BARE: True}
            empty = begun.pop(BARE, False)
            place = part.extra.get(IN) or begun.pop(IN, "summary")
            begun = {"type": "reasoning", "summary": [], **begun}
            self.put(begun)
            item = self._reasoning = begun
        if part.signature is not None and part.dialect == name:
            item["encrypted_content"] = part.signature
        if part.text or not empty:
            kind = "reasoning_text" if place == "content" else "summary_text"
            item[place] = [*(item.get(place) or ()), {"type": kind, "text": part.text, **said(part.extra)}]


_PLAIN = {"type", "text"}


def _call_to_wire(call: ToolCall, fresh: Callable[[str], Json]) -> Json:
    note = call.extra.get(ITEM)
    base: Json = note if note is not None else fresh("function_call")
    arguments = "" if call.extra.get(EMPTY) and call.arguments == "{}" else call.arguments
    inside = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"type": "function_call", **base, **inside, **said(call.extra)}


def result_to_wire(result: ToolResult, where: str, losses: list[Loss]) -> Json:
    """Write what a tool answered: a bare string for a single plain text, which every server understands."""
    note: Json = {**result.extra.get(ITEM, {})}
    bare = note.pop(BARE, True)
    output = plain_or_list(result.parts, where, losses, bare=bare)
    return {"type": "function_call_output", **note, "call_id": result.call_id, "output": output, **said(result.extra)}


def plain_or_list(parts: Sequence[AnyPart], where: str, losses: list[Loss], *, bare: bool) -> str | list[Json]:
    """Content that is not the model's: a bare string for a single plain text (none at all is an empty one), where
    `bare`; else a list of parts."""
    wires = (content_to_wire(part, "input_text", f"{where}[{at}]", losses) for at, part in enumerate(parts))
    content = [wire for wire in wires if wire is not None]
    if bare and not content:
        return ""
    if bare and len(content) == 1 and content[0].keys() == _PLAIN:
        return content[0]["text"]
    return content


def content_to_wire(part: AnyPart, usual: str, where: str, losses: list[Loss], logprobs: Any = None) -> Json | None:
    """Write one content part. `usual` is the type that text has there."""
    match part:
        case Text():
            wire: Json = {"type": part.extra.get(TYPE, usual), "text": part.text}
            wire.update((key, []) for key in part.extra.get(EMPTY, ()))
            if part.citations:
                sources = (citation_to_wire(one, len(part.text)) for one in part.citations)
                wire["annotations"] = [one for one in sources if one is not None]
            if logprobs:
                wire["logprobs"] = logprobs
        case Refusal():
            wire = {"type": "refusal", "refusal": part.text}
        case Image():
            wire = {"type": "input_image", **_image_to_wire(part)}
        case File() if (text := _text_of(part)) is not None:
            wire = {"type": usual, "text": text}
        case File():
            wire = {"type": "input_file", **_file_to_wire(part)}
        case Audio() if part.source.data is not None:
            form = part.format or (part.source.media_type or "audio/wav").partition("/")[2]
            wire = {"type": "input_audio", "input_audio": {"data": part.source.data, "format": form}}
        case Opaque(dialect="openai_responses"):
            return part.body
        case _:
            losses.append(Loss(where, f"this API cannot say this {part.__struct_config__.tag}", "target"))
            return None
    if part.cache is not None:
        wire["prompt_cache_breakpoint"] = _BREAKPOINT
    return {**wire, **said(part.extra)}


def _image_to_wire(image: Image) -> Json:
    source = image.source
    where = {"file_id": source.file_id} if source.file_id is not None else {"image_url": _url_of(source)}
    return where if image.detail is None else {**where, "detail": image.detail}


def _file_to_wire(file: File) -> Json:
    source = file.source
    named = {} if file.name is None else {"filename": file.name}
    if source.file_id is not None:
        return {"file_id": source.file_id, **named}
    if source.data is None:
        return {"file_url": source.url, **named}
    if source.media_type is None:  # bare base64, as it was read
        return {"file_data": source.data, **named}
    if FILE not in file.extra:
        named = {"filename": file.name or "document.pdf"}
    return {**named, "file_data": _url_of(source)}


def _text_of(file: File) -> str | None:
    """The text of a plain document, under its name; one that was read here stays a file."""
    if file.source.data is None or file.source.media_type != "text/plain" or FILE in file.extra:
        return None
    text = plain_text(file.source.data)
    return f"{file.name}\n\n{text}" if file.name and text is not None else text
