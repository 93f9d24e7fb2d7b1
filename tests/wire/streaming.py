"""What the tests of streams share: reading one in pieces, and writing one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.events import Event
from trunkline.vocabulary.replies import Accumulator, Reply
from trunkline.vocabulary.requests import Request

ASKED = Request(model="m", messages=(), include_usage=True)


def bare(request: Request) -> Request:
    """The request without where its messages were read: a plain one is nobody's."""
    return replace(request, messages=tuple(replace(message, dialect=None) for message in request.messages))


def pieces(raw: bytes, *cuts: int) -> list[bytes]:
    """`raw` cut at these places."""
    places = sorted({0, *(cut % (len(raw) + 1) for cut in cuts), len(raw)})
    return [raw[start:end] for start, end in pairwise(places)]


def every(raw: bytes, step: int) -> list[bytes]:
    """`raw` in pieces of `step` bytes."""
    return [raw[at : at + step] for at in range(0, len(raw), step)]


def events_of(dialect: Any, parts: Iterable[bytes]) -> list[Event]:
    """All events of a stream."""
    decoder = dialect.decoder()
    events = [event for part in parts for event in decoder.feed(part)]
    return [*events, *decoder.close()]


def until_error(dialect: Any, parts: Iterable[bytes]) -> tuple[list[Event], TrunklineError | None]:
    """The events of a stream up to its error, and the error."""
    decoder = dialect.decoder()
    events: list[Event] = []
    try:
        for part in parts:
            events += decoder.feed(part)
        events += decoder.close()
    except TrunklineError as error:
        return events, error
    return events, None


def reply_of(events: Iterable[Event]) -> Reply:
    """The reply that a stream amounts to."""
    accumulator = Accumulator()
    accumulator.add(events)
    return accumulator.reply()


def frames(*bodies: Any) -> bytes:
    """Server-sent events as the two dialects write them: with the name where the body has a type."""
    return b"".join(_frame(body) for body in bodies)


def _frame(body: Any) -> bytes:
    if isinstance(body, bytes):
        return b"data: " + body + b"\n\n"
    named = b"event: " + body["type"].encode() + b"\n" if "type" in body else b""
    return named + b"data: " + msgspec.json.encode(body) + b"\n\n"


def bodies(raw: bytes) -> list[Any]:
    """What a written stream says, frame by frame."""
    data = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(one) if one != b"[DONE]" else one for one in data]
