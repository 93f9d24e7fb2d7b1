"""Array: a stream as one JSON array, for callers who do not ask for server-sent events.

Gemini streams so unless `alt=sse` is said (ai.google.dev/api/generate-content#method:-models.streamgeneratecontent).
"""

from __future__ import annotations

from trunkline.wire.grammar.sse import Frames, data_of

CONTENT_TYPE = (b"content-type", b"application/json; charset=utf-8")
WAITING = b"\n"
"""Blank space between the elements says nothing, and keeps proxies awake."""


class JsonArray:
    """Turns events into elements."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """The elements that these bytes complete."""
        return b"".join([self._element(data_of(frame)) for frame in self._frames.feed(data)])

    def close(self) -> bytes:
        """The end of the array."""
        rest = self._element(data_of(self._frames.close() + b"\n\n"))
        return rest + (b"]" if self._begun else b"[]")

    def _element(self, data: bytes) -> bytes:
        if not data:
            return b""
        before, self._begun = b",\r\n" if self._begun else b"[", True
        return before + data
