"""Tape: what one conversation is on file, and when two requests are the same.

Owns the form of a line: the request (its body as JSON where it is some), the head of the answer, and the pieces of its
body as they came. Text is kept as text, other bytes as base64. Knows neither who records nor who plays.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import Struct, field

from trunkline.testing.scrubbing import Scrubber
from trunkline.vocabulary.protocols import Sending
from trunkline.wire.grammar.classify import kept_headers


class Packed(Struct, frozen=True):
    """Bytes that are no text."""

    base64: str


Kept = str | Packed


def packed(data: bytes) -> Kept:
    """Bytes, as they are kept."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Packed(base64.b64encode(data).decode())


def unpacked(kept: Kept) -> bytes:
    """The bytes that were kept."""
    return kept.encode() if isinstance(kept, str) else base64.b64decode(kept.base64)


class Piece(Struct, frozen=True, array_like=True):
    """Some bytes of an answer, and when they came."""

    seconds: float
    """Since the request was sent."""
    data: Kept


class Broken(Struct, frozen=True):
    """How a connection broke."""

    seconds: float
    """Since the request was sent."""
    error: str
    """The class of the error that was raised."""
    message: str


class Recorded(Struct, omit_defaults=True, kw_only=True):
    """One request and what came back: a line of a cassette."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    """JSON: an object or an array."""
    raw: Kept = ""
    """A body that is none."""
    status: int | None = None
    """None: no head came."""
    answered: dict[str, str] = {}
    """The headers of the answer."""
    seconds: float = 0.0
    """From the request to the head."""
    pieces: list[Piece] = field(default_factory=list[Piece])
    broken: Broken | None = None
    left: bool = False
    """Whoever recorded it left before the end."""

    @property
    def identity(self) -> tuple[str, str, bytes]:
        """What two requests have in common that are the same; the order of keys does not matter."""
        said = msgspec.json.encode(self.body, order="deterministic") if self.body is not None else unpacked(self.raw)
        return self.method, self.url, said


def asked(request: Sending, scrubber: Scrubber) -> Recorded:
    """A request as a line that has no answer yet, without its keys."""
    body = scrubber.body(request.body)
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = None
    told = {name.lower(): scrubber.text(value) for name, value in request.headers.items() if name.lower() in REQUEST}
    line = Recorded(method=request.method, url=scrubber.url(request.url), headers=told)
    if isinstance(said, dict | list):
        line.body = cast("Any", said)
    else:
        line.raw = packed(body)
    return line


REQUEST = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent"})
"""The headers of a request that are kept: those that may hold a key are not known by name, these are."""

RESPONSE = frozenset({"content-type", "date", "openai-model", "openai-processing-ms", "openai-version"})
"""The headers of an answer that are kept, beside limits, waits and request ids."""


def answered(headers: dict[str, str], scrubber: Scrubber) -> dict[str, str]:
    """The headers of an answer that are kept."""
    kept = {name: value for name, value in headers.items() if name in RESPONSE} | kept_headers(headers)
    return {name: scrubber.text(value) for name, value in kept.items()}


def differences(here: Any, there: Any, where: str = "") -> Iterator[str]:
    """The fields in which two bodies differ."""
    if isinstance(here, dict) and isinstance(there, dict):
        mine, theirs = cast("dict[str, Any]", here), cast("dict[str, Any]", there)
        for key in {**mine, **theirs}:
            path = f"{where}.{key}" if where else key
            if key in mine and key in theirs:
                yield from differences(mine[key], theirs[key], path)
            else:
                yield f"{path} (only in the {'request' if key in mine else 'recording'})"
    elif isinstance(here, list) and isinstance(there, list):
        ours, others = cast("list[Any]", here), cast("list[Any]", there)
        if len(ours) != len(others):
            yield f"{where} ({len(ours)} in the request, {len(others)} in the recording)"
        for at, (one, other) in enumerate(zip(ours, others, strict=False)):
            yield from differences(one, other, f"{where}[{at}]")
    elif here != there:
        yield where or "the body"
