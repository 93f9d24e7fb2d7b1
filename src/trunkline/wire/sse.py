"""Server-sent events: bytes in, frames out.

Owns where an event ends and what its lines say. Knows no dialect. A line ends at LF, CRLF or CR and nowhere else, so a
raw U+2028 inside a string is text; pieces may be cut anywhere, inside a character too, because only bytes are compared.
"""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_BOM = b"\xef\xbb\xbf"


class Frames:
    """Cuts a byte stream into frames: the raw text of one event each, its blank line included."""

    __slots__ = ("_buffer", "_fresh")

    def __init__(self) -> None:
        self._buffer = b""
        self._fresh = True

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete. Joined, all frames and the rest are the stream, byte for byte."""
        if self._fresh and data:
            data = self._without_bom(data)
        buffer = self._buffer + data if self._buffer else data
        if b"\r" in buffer:
            return self._feed_any(buffer)
        *whole, self._buffer = buffer.split(b"\n\n")
        return [frame + b"\n\n" for frame in whole]

    def close(self) -> bytes:
        """What is left when the bytes are over: an event whose blank line never came, or nothing."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _feed_any(self, buffer: bytes) -> list[bytes]:
        frames: list[bytes] = []
        start = 0
        for end in _BLANK_LINE.finditer(buffer):
            frames.append(buffer[start : end.end()])
            start = end.end()
        self._buffer = buffer[start:]
        return frames

    def _without_bom(self, data: bytes) -> bytes:
        data = self._buffer + data
        self._buffer = b""
        if data.startswith(_BOM):
            self._fresh = False
            return data[3:]
        if not _BOM.startswith(data):  # long enough to tell that there is none
            self._fresh = False
        return data


def data_of(frame: bytes) -> bytes:
    """The `data` of a frame, lines joined with LF; empty for comments and keep-alives."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2 and b"\r" not in frame:
        return frame[6:-2]
    return event_of(frame)[1]


def event_of(frame: bytes) -> tuple[str, bytes]:
    """A frame's `event` name (empty if it names none) and its `data`."""
    name = b""
    data: list[bytes] = []
    for line in frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name.decode("utf-8", "replace"), b"\n".join(data)


def frame(data: bytes, event: str | None = None) -> bytes:
    """One event on the wire."""
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
