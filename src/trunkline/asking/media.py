"""Media: pictures, sound and documents by path, bytes or URL.

Owns how their kind is found out: what the caller says, else how the bytes begin, else the ending of the name.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.parts import Audio, File, Image, Source

Media = str | Path | bytes


def image(media: Media, *, media_type: str | None = None, detail: str | None = None) -> Image:
    """A picture from a path, bytes, or an http(s) or data URL."""
    return Image(_source(media, media_type, "image"), detail)


def audio(media: Media, *, media_type: str | None = None) -> Audio:
    """Sound from a path, bytes, or an http(s) or data URL."""
    source = _source(media, media_type, "audio")
    word = (source.media_type or "audio/wav").partition("/")[2].removeprefix("x-")
    return Audio(source, {"vnd.wave": "wav", "wave": "wav", "mpeg": "mp3"}.get(word, word))


def file(media: Media, *, media_type: str | None = None, name: str | None = None) -> File:
    """A document from a path, bytes, or an http(s) or data URL."""
    path = _path_of(media)
    return File(_source(media, media_type, "file"), name or (path.name if path is not None else None))


def _source(media: Media, media_type: str | None, family: str) -> Source:
    if isinstance(media, bytes | bytearray):
        return _inline(bytes(media), media_type, None, family, "these bytes")
    if (path := _path_of(media)) is not None:
        try:
            content = path.expanduser().read_bytes()
        except (OSError, ValueError) as error:
            raise _refused(family, f"{media} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return _inline(content, media_type, mimetypes.guess_type(path.name)[0], family, str(media))
    if not isinstance(media, str):
        raise _refused(family, f"{family}() takes a path, bytes or a URL, not {type(media).__name__}")
    if media[:5].lower() == "data:":
        return _from_data_url(media, media_type, family)
    guessed = mimetypes.guess_type(urlsplit(media).path)[0]
    return Source(url=media, media_type=media_type or (guessed if _fits(guessed, family) else None))


def _path_of(media: Media) -> Path | None:
    if isinstance(media, str):
        if media.startswith("file://"):
            return Path(unquote(urlsplit(media).path))
        return None if re.match(r"(https?|data|gs|s3):", media, re.IGNORECASE) else Path(media)
    return media if isinstance(media, Path) else None


def _from_data_url(url: str, media_type: str | None, family: str) -> Source:
    head, comma, data = url[5:].partition(",")
    kind, *rest = head.split(";")
    if not comma:
        raise _refused(family, "a data URL has a comma before its data: data:image/png;base64,…")
    try:
        content = base64.b64decode(data, validate=True) if "base64" in rest else unquote_to_bytes(data)
    except binascii.Error:
        raise _refused(family, "the data URL is no valid base64") from None
    return _inline(content, media_type or kind or None, None, family, "the data URL")


def _inline(content: bytes, said: str | None, guessed: str | None, family: str, what: str) -> Source:
    if not content:
        raise _refused(family, f"{what} is empty" if what != "these bytes" else "these bytes are empty")
    found = said or _beginning(content) or guessed or _usual(content, family)
    if not _fits(found, family):
        raise _refused(family, f"{what}: {found} is no {family}; use file() for documents, or say media_type=")
    return Source(data=base64.b64encode(content).decode(), media_type=found)


def _fits(kind: str | None, family: str) -> bool:
    """Whether a kind may be what it is passed off as."""
    return kind is not None and (family == "file" or kind.startswith((f"{family}/", "application/octet-stream")))


def _beginning(content: bytes) -> str | None:
    """How the usual formats begin."""
    if content[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12])
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)


_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)


def _usual(content: bytes, family: str) -> str:
    """The kind of bytes that tell nothing."""
    if family != "file":
        return {"image": "image/png", "audio": "audio/wav"}[family]
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def _refused(family: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, param=family)
