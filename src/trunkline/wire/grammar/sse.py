"""Server-sent events: bytes in, frames out.

Owns where an event ends and what its lines say. Knows no dialect. A line ends at LF, CRLF or CR and nowhere else, so a
raw U+2028 inside a string is text; pieces may be cut anywhere, inside a character too, because only bytes are compared.
"""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LONGEST = 3
"""A blank line has four bytes at most: so many of them may have come before."""
_BOM = b"\xef\xbb\xbf"


class Frames:
    """Cuts a byte stream into frames: the raw text of one event each, its blank line included."""

    __slots__ = ("_fresh", "_pending", "_tail")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        """The pieces of a frame whose end has not come: joined once, however many they are."""
        self._tail = b""
        """Their last bytes, in which its end may have begun."""
        self._fresh = True

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete. Joined, all frames and the rest are the stream, byte for byte."""
        if self._fresh:
            data = self._without_bom(data)
        if self._pending:
            near = self._tail + data
            if not _ends(near):
                self._pending.append(data)
                self._tail = near[-_LONGEST:]
                return []
            data = b"".join([*self._pending, data])
        frames, rest = _cut_any(data) if b"\r" in data else _cut(data)
        self._pending = [rest] if rest else []
        self._tail = rest[-_LONGEST:]
        return frames

    def close(self) -> bytes:
        """What is left when the bytes are over: an event whose blank line never came, or nothing."""
        rest, self._pending = b"".join(self._pending), []
        return rest

    def _without_bom(self, data: bytes) -> bytes:
        data = b"".join([*self._pending, data])
        self._pending = []
        if _BOM.startswith(data):  # as yet too short to tell, or the mark and nothing else
            self._pending = [data] if data != _BOM else []
            self._fresh = data != _BOM
            return b""
        self._fresh = False
        return data.removeprefix(_BOM)


def _ends(data: bytes) -> bool:
    return _BLANK_LINE.search(data) is not None if b"\r" in data else b"\n\n" in data


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    *whole, rest = data.split(b"\n\n")
    return [frame + b"\n\n" for frame in whole], rest


def _cut_any(data: bytes) -> tuple[list[bytes], bytes]:
    frames: list[bytes] = []
    start = 0
    for end in _BLANK_LINE.finditer(data):
        frames.append(data[start : end.end()])
        start = end.end()
    return frames, data[start:]


def data_of(frame: bytes) -> bytes:
    """The `data` of a frame, lines joined with LF; empty for comments and keep-alives."""
    if frame.startswith(b"data: "):  # one line, as nearly all are
        size = len(frame)
        if frame.find(b"\n") == size - 2 and b"\r" not in frame:
            return frame[6:-2]
        if frame.find(b"\n") == size - 3 and frame.find(b"\r") == size - 4 and frame.endswith(b"\r\n\r\n"):
            return frame[6:-4]
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
