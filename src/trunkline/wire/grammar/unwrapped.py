"""Anthropic's events, out of the AWS event stream that Bedrock wraps them in.

Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-invoke.html (`invoke-with-response-stream`). Owns the
wrapping alone: what comes out is the server-sent stream that the Messages API itself would send, for its decoder and
its tap to read.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from trunkline.vocabulary.errors import ResponseParseError

from .eventstream import EventFrame, EventFrames
from .sse import frame

ERRORS: Mapping[str, str] = {
    "accessdeniedexception": "permission_error",
    "modelnotreadyexception": "overloaded_error",
    "modeltimeoutexception": "timeout_error",
    "resourcenotfoundexception": "not_found_error",
    "servicequotaexceededexception": "rate_limit_error",
    "serviceunavailableexception": "overloaded_error",
    "throttlingexception": "rate_limit_error",
    "validationexception": "invalid_request_error",
}
"""AWS's exceptions, in small letters (the stream writes `throttlingException`, plain answers `ThrottlingException`), as
Anthropic's types; `api_error` stands for the others, `internalServerException` and `modelStreamErrorException` too."""


class _Chunk(Struct):
    """The payload of a `chunk`: an event in base64. The padding beside it (`p`) hides its length and says nothing."""

    event: bytes = field(name="bytes")


class _Typed(Struct):
    """What a server-sent event is called by; without it, it goes unnamed."""

    type: str | None = None


class _Said(Struct):
    """The payload of an exception."""

    message: str = ""


class Unwrapped:
    """Turns a stream of frames into server-sent events. Fed pieces cut anywhere, it gives the same bytes."""

    __slots__ = ("_broken", "_frames")

    def __init__(self) -> None:
        self._frames = EventFrames()
        self._broken: ResponseParseError | None = None

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete. Raises ResponseParseError, after what came before has been given."""
        if self._broken is not None:
            raise self._broken
        events: list[bytes] = []
        try:
            for one in self._frames.feed(data):
                events.append(_event(one))
        except ResponseParseError as error:
            if not events:
                raise
            self._broken = error
        return b"".join(events)

    def close(self) -> bytes:
        """Nothing more. That a stream ends too early is seen by whoever reads its events."""
        if self._broken is not None:
            raise self._broken
        self._frames.close()
        return b""


def _event(wrapped: EventFrame) -> bytes:
    if wrapped.kind != "event":
        return _error(wrapped)
    if wrapped.name != "chunk":  # none is known; one that AWS adds says nothing of the message
        return b""
    try:
        data = _chunks.decode(wrapped.payload).event
        kind = _types.decode(data).type
    except msgspec.MsgspecError as error:
        raise ResponseParseError("a chunk of the event stream holds no event", status=502) from error
    return frame(msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else data, kind)


def _error(wrapped: EventFrame) -> bytes:
    try:
        message = wrapped.message or _messages.decode(wrapped.payload).message
    except msgspec.MsgspecError:
        message = ""
    inside = {"type": ERRORS.get(wrapped.name.lower(), "api_error"), "message": message or wrapped.name}
    return frame(msgspec.json.encode({"type": "error", "error": inside}), "error")


_chunks = msgspec.json.Decoder(_Chunk)
_types = msgspec.json.Decoder(_Typed)
_messages = msgspec.json.Decoder(_Said)
