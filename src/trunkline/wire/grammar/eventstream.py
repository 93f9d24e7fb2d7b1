"""AWS event streams (`application/vnd.amazon.eventstream`): bytes in, frames out, and the other way round.

Source: smithy.io/2.0/aws/amazon-eventstream.html. A frame is a prelude (its length, that of its headers, and their
checksum), headers, a payload, and a checksum over all of it. Owns where a frame ends, whether it is whole, and which
headers name it; what a payload says is for dialects.

botocore's reader was measured (22 ms and 46 modules to import, 8 µs a frame against 5 here) and is not used: it copies
all it holds for each piece that comes (2 MB in pieces of 100 bytes: 0.8 s against 0.01), and those who have an API key
and no AWS credentials would need it for this alone. The tests hold this reader against it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Literal, cast

from msgspec import Struct

from trunkline.vocabulary.errors import ResponseParseError

Kind = Literal["event", "exception", "error"]

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_LEAST = _PRELUDE.size + _CHECKSUM.size
MOST = 25 * 2**20
"""Bytes of the longest frame: AWS allows payloads of 24 MB and headers of 128 KB."""


class EventFrame(Struct, frozen=True):
    """One message of the stream."""

    kind: Kind
    name: str
    """The event's type, the exception's type, or the error's code."""
    payload: bytes
    message: str = ""
    """What an `error` says: it has no payload."""


class EventFrames:
    """Cuts a byte stream into frames. Fed pieces cut anywhere, it gives the same ones; what is broken is raised after
    the frames before it have been given."""

    __slots__ = ("_broken", "_pending", "_size", "_wanted")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        """The pieces of a frame whose end has not come: joined once, however many they are."""
        self._size = 0
        self._wanted = _PRELUDE.size
        """How many bytes it takes to go on: a prelude, then the frame that it announces."""
        self._broken: ResponseParseError | None = None

    def feed(self, data: bytes) -> list[EventFrame]:
        """The frames that these bytes complete. Raises ResponseParseError for a wrong checksum or what is no frame."""
        if self._broken is not None:
            raise self._broken
        self._pending.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return []
        held = b"".join(self._pending)
        frames, start = self._cut(held)
        self._pending = [held[start:]]
        self._size = len(held) - start
        if self._broken is not None and not frames:
            raise self._broken
        return frames

    def _cut(self, held: bytes) -> tuple[list[EventFrame], int]:
        """The whole frames, and where the rest begins."""
        frames: list[EventFrame] = []
        start = 0
        try:
            while True:
                self._wanted = _length(held, start)
                if len(held) - start < self._wanted:
                    break
                frames.append(_read(held[start : start + self._wanted]))
                start += self._wanted
        except ResponseParseError as error:
            self._broken = error
        return frames, start

    def close(self) -> bool:
        """The bytes are over: whether the last frame was whole. Raises what is broken, if that was not raised yet."""
        if self._broken is not None:
            raise self._broken
        return self._size == 0


def _length(held: bytes, start: int) -> int:
    """How long the frame at `start` is, or its prelude, where that is not all there yet."""
    if len(held) - start < _PRELUDE.size:
        return _PRELUDE.size
    length, headers, checksum = _PRELUDE.unpack_from(held, start)
    if zlib.crc32(held[start : start + 8]) != checksum:
        raise _unreadable("the checksum of its prelude is wrong")
    if not _LEAST + headers <= length <= MOST:
        raise _unreadable("its lengths make no sense")
    return length


def _read(frame: bytes) -> EventFrame:
    """A whole frame."""
    if zlib.crc32(frame[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(frame, len(frame) - _CHECKSUM.size)[0]:
        raise _unreadable("its checksum is wrong")
    end = _PRELUDE.size + _CHECKSUM.unpack_from(frame, 4)[0]
    try:
        headers = _headers(frame[_PRELUDE.size : end])
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        raise _unreadable("its headers cannot be read") from None
    kind = headers.get(":message-type", "event")
    if kind not in _NAMED_BY:
        raise _unreadable("its type is unknown")
    name = headers.get(_NAMED_BY[kind], "")
    return EventFrame(cast("Kind", kind), name, frame[end : -_CHECKSUM.size], headers.get(":error-message", ""))


_NAMED_BY = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}

_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by type: true, false, integers, a time, a UUID. What names a frame is a string."""


def _headers(block: bytes) -> dict[str, str]:
    """The headers that are text; the others are stepped over."""
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        kind, value = block[name_end], name_end + 1
        if kind in (_STRING, 6):  # 6: bytes
            value, size = value + _LENGTH.size, _LENGTH.unpack_from(block, value)[0]
        else:
            size = _SIZES[kind]
        if value + size > len(block):
            raise IndexError("a header is longer than all of them")
        if kind == _STRING:
            headers[block[at + 1 : name_end].decode()] = block[value : value + size].decode()
        at = value + size
    return headers


def event_frame(name: str, payload: bytes, kind: Kind = "event", content_type: str = "application/json") -> bytes:
    """One frame on the wire."""
    said = {_NAMED_BY[kind]: name, ":content-type": content_type, ":message-type": kind}
    headers = b"".join(_header(*header) for header in said.items())
    prelude = struct.pack(">II", _LEAST + len(headers) + len(payload), len(headers))
    frame = prelude + _CHECKSUM.pack(zlib.crc32(prelude)) + headers + payload
    return frame + _CHECKSUM.pack(zlib.crc32(frame))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + bytes([_STRING]) + _LENGTH.pack(len(text)) + text


def _unreadable(why: str) -> ResponseParseError:
    return ResponseParseError(f"a frame of the event stream cannot be read: {why}", status=502)
