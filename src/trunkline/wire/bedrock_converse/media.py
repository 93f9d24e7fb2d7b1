"""Images, sound and documents in Converse, both ways.

Media is bytes in base64, or lies in a bucket (`s3://…`) that the caller's account may read: to others that is an
upload at the provider. Formats and names are restricted (API_runtime_DocumentBlock.html, …_ImageBlock.html and
…_AudioBlock.html).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.vocabulary.parts import AnyPart, Audio, Extra, File, Image, Opaque, Source
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.fields import an_object, as_object, as_text, object_at, plain_text, text_at

name = "bedrock_converse"

DOCUMENTS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
"""The formats of documents, by their media type."""

_TYPES: Mapping[str, str] = {word: kind for kind, word in DOCUMENTS.items()}
_IMAGES: Mapping[str, str] = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_SOUNDS: Mapping[str, str] = {
    **{word: word for word in ("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a")},
    **{word: word for word in ("mpeg", "mpga", "pcm", "webm")},
    "x-wav": "wav",
    "pcm16": "pcm",
}
LONGEST_NAME = 200

_UNFIT = re.compile(r"[^A-Za-z0-9\s\-()\[\]]+")
_BLANKS = re.compile(r"\s+")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def media_from_wire(kind: str, body: Json, where: str) -> AnyPart | None:
    """Read an image, sound or document; None for a form that only this API has."""
    inside = as_object(body.get(kind), f"{where}.{kind}")
    return _READERS[kind](inside, f"{where}.{kind}")


def _image_from_wire(body: Json, where: str) -> AnyPart | None:
    extra: Extra = {}
    kind = as_text(body.pop("format", "png"), f"{where}.format")
    source = _source_from_wire(body, f"image/{kind}", extra, where)
    return Image(source, extra={**body, **extra}) if source is not None else None


def _audio_from_wire(body: Json, where: str) -> AnyPart | None:
    extra: Extra = {}
    kind = text_at(body, "format", where)
    source = _source_from_wire(body, f"audio/{kind}", extra, where)
    return Audio(source, kind, extra={**body, **extra}) if source is not None else None


def _document_from_wire(body: Json, where: str) -> AnyPart | None:
    extra: Extra = {}
    title = text_at(body, "name", where)
    if (word := body.pop("format", None)) is not None:
        extra["~format"] = as_text(word, f"{where}.format")
    source = _source_from_wire(body, _TYPES.get(word or "", f"application/{word}"), extra, where)
    return File(source, title, extra={**body, **extra}) if source is not None else None


_READERS: Mapping[str, Callable[[Json, str], AnyPart | None]] = {
    "image": _image_from_wire,
    "audio": _audio_from_wire,
    "document": _document_from_wire,
}


def _source_from_wire(body: Json, kind: str, extra: Extra, where: str) -> Source | None:
    """Where media is; what must be known to say it again goes into `extra`."""
    source = object_at(body, "source", where)
    match source:
        case {"bytes": str(data)}:
            return Source(data=data, media_type=kind)
        case {"s3Location": {"uri": str(uri)}}:
            extra["~s3"] = source["s3Location"]
            return Source(file_id=uri, media_type=kind)
        case {"text": str(text)}:  # plain, where our vocabulary holds base64
            extra["~plain"] = True
            return Source(data=_packed(text), media_type="text/plain")
        case {"content": list()}:
            pieces = [str(an_object(one).get("text") or "") for one in source["content"]]
            extra["~pieces"] = [len(piece) for piece in pieces]
            return Source(data=_packed("".join(pieces)), media_type="text/plain")
        case _:
            return None


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Names:
    """The names of a request's documents: each must be there, fit the API's pattern and be the only one of its kind."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def fit(self, said: str | None, where: str, losses: list[Loss]) -> str:
        """The name as the API takes it. A file's ending is no loss: the format says it."""
        bare = _ENDING.sub("", said or "")
        fitted = _BLANKS.sub(" ", _UNFIT.sub("-", bare)).strip()[:LONGEST_NAME] or "document"
        told, number = fitted, 1
        while told in self._taken:
            number += 1
            told = f"{fitted[: LONGEST_NAME - 5]} {number}"
        self._taken.add(told)
        if said is not None and told != bare:
            self._lose(said, told, where, losses)
        return told

    def _lose(self, said: str, told: str, where: str, losses: list[Loss]) -> None:
        why = f"emulated: {told!r} instead of {said!r}, names are restricted in this API"
        losses.append(Loss(f"{where}.name", why, "file_name"))


def media_to_wire(
    part: Image | Audio | File, where: str, losses: list[Loss], names: Names | None = None
) -> Json | None:
    """Write an image, sound or document; `names` fits those of documents, without it they go as they are."""
    source = _source_to_wire(part)
    if source is None:
        losses.append(Loss(where, "only files in a bucket (s3://…) can be named by an id", "upload"))
        return None
    match part:
        case Image():
            kind, word = "image", _IMAGES.get(_subtype(part, "png"))
        case Audio():
            kind, word = "audio", _SOUNDS.get(part.format or _subtype(part, "wav"))
        case File():
            kind, word = "document", DOCUMENTS.get(_bare(part.source.media_type) or "application/pdf")
    if names is None:
        word = _as_said(part, word)
    elif word is None:
        losses.append(Loss(where, f"this API has no {kind} of the type {part.source.media_type}", "target"))
        return None
    wire: Json = {"source": source} if word is None else {"format": word, "source": source}
    if isinstance(part, File):
        wire["name"] = names.fit(part.name, where, losses) if names is not None else part.name or "document"
    wire.update({key: value for key, value in part.extra.items() if key[0] != "~"})
    return {kind: wire}


def _as_said(part: Image | Audio | File, word: str | None) -> str | None:
    """The format as a caller of this API said it."""
    if isinstance(part, File):
        said = part.extra.get("~format")
        return said if said is not None or _is_text(part) else word
    return part.format if isinstance(part, Audio) and part.format else _subtype(part, "png")


def _is_text(part: File) -> bool:
    return "~plain" in part.extra or "~pieces" in part.extra


def _source_to_wire(part: Image | Audio | File) -> Json | None:
    source, extra = part.source, part.extra
    if source.data is None:
        said = extra.get("~s3") or {"uri": source.file_id}
        return {"s3Location": said} if str(said.get("uri")).startswith("s3://") else None
    if isinstance(part, File) and _is_text(part) and (text := plain_text(source.data)) is not None:
        if "~plain" in extra:
            return {"text": text}
        return {"content": [{"text": piece} for piece in pieces(text, extra["~pieces"])]}
    return {"bytes": source.data}


def pieces(text: str, lengths: list[int] | None) -> list[str]:
    """The text as it was cut when it was read; in one piece where nobody knows."""
    if lengths is None or sum(lengths) != len(text):
        return [text] if text else []
    cut: list[str] = []
    at = 0
    for length in lengths:
        cut.append(text[at : at + length])
        at += length
    return cut


def _subtype(part: Any, default: str) -> str:
    return (_bare(part.source.media_type) or "").partition("/")[2] or default


def _bare(media_type: str | None) -> str | None:
    """A media type without its parameters (`; charset=utf-8`)."""
    return media_type.partition(";")[0].strip().lower() if media_type is not None else None


def opaque(body: Json) -> Opaque:
    """A block that only this API understands, kept whole."""
    return Opaque(name, body)
