"""Cutting: a stream into its chunks, whether it comes as server-sent events or as one JSON list.

`alt=sse` in the address asks for the first; without it the same chunks come as the items of a list, which grows while
it is sent. The first byte that is no blank tells which it is. Knows nothing of what a chunk says.
"""

from __future__ import annotations

import re

from trunkline.wire.grammar.sse import Frames, data_of

_BEGINNING = b"\xef\xbb\xbf \t\r\n"


class Chunks:
    """Fed pieces cut anywhere, gives the JSON text of each chunk."""

    __slots__ = ("_begun", "_cutter")

    def __init__(self) -> None:
        self._begun = b""
        self._cutter: _Events | Items | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The chunks that these bytes complete."""
        if self._cutter is None:
            self._begun += data
            first = self._begun.lstrip(_BEGINNING)[:1]
            if not first:
                return []
            self._cutter = Items() if first in b"[{" else _Events()
            data, self._begun = self._begun, b""
        return self._cutter.feed(data)

    def close(self) -> bytes:
        """What is left when the bytes are over: a chunk whose end never came, or nothing."""
        return self._cutter.close() if self._cutter is not None else b""


class _Events:
    """Server-sent events."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = Frames()

    def feed(self, data: bytes) -> list[bytes]:
        return [payload for frame in self._frames.feed(data) if (payload := data_of(frame))]

    def close(self) -> bytes:
        return data_of(self._frames.close() + b"\n\n")


_STRUCTURE = re.compile(rb'["\\{}]')
_STRING = re.compile(rb'["\\]')


class Items:
    """The objects of a list (or one that stands alone): each byte is looked at once."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_pending")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        """The pieces of an object whose end has not come."""
        self._depth = 0
        self._in_string = False
        self._escaped = False
        """The last byte seen was a backslash, and the next one says nothing."""

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that these bytes complete."""
        found: list[bytes] = []
        start = at = 0
        while True:
            if self._escaped and at < len(data):
                self._escaped, at = False, at + 1
            token = (_STRING if self._in_string else _STRUCTURE).search(data, at)
            if token is None:
                break
            at = token.end()
            match token[0]:
                case b'"':
                    self._in_string = not self._in_string
                case b"\\":
                    self._escaped = True
                case b"{":
                    start = token.start() if self._depth == 0 else start
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        found.append(b"".join([*self._pending, data[start:at]]))
                        self._pending = []
                    self._depth = max(0, self._depth)
        if self._depth:
            self._pending.append(data[start:])
        return found

    def close(self) -> bytes:
        """Nothing: an object without its end is none."""
        return b""


class Passing:
    """Gives a stream that passes through in whole events; a list byte by byte, for it has no better ends."""

    def __init__(self) -> None:
        self._begun = b""
        self._frames: Frames | None = None
        self.is_list = False

    def feed(self, data: bytes) -> list[bytes]:
        """What can go on."""
        if self._frames is None and not self.is_list:
            self._begun += data
            first = self._begun.lstrip(_BEGINNING)[:1]
            if not first:
                return []
            self.is_list = first in b"[{"
            self._frames = None if self.is_list else Frames()
            data, self._begun = self._begun, b""
        return self._frames.feed(data) if self._frames is not None else [data]

    def close(self) -> bytes:
        """What is left when the bytes are over."""
        return self._frames.close() if self._frames is not None else self._begun
