"""Bodies: answers that arrive, and are not what was asked for."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import CutOff, ResponseParseError, ServiceError
from trunkline.vocabulary.protocols import Json, StreamingDialect
from trunkline.wire.grammar.sse import Frames, event_of, frame

from .answers import Piece
from .draft import JSON, Draft
from .fault import Fault

_PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1><hr>a proxy</body></html>"


def _page(status: int, title: bytes, draft: Draft, value: float) -> None:
    draft.status = status
    draft.say(_PAGE % (title, title), "text/html")


def _malformed(draft: Draft, events: float) -> None:
    """An event without its last brackets where the next piece would be; the same of a whole answer."""
    if not draft.streams:
        draft.pieces = [Piece(draft.body[:-2])]
        return
    everything = draft.pieces
    draft.keep(int(events))
    broken = next(piece for piece in everything[len(draft.pieces) :] if b"}" in piece.data)
    draft.pieces = [*draft.pieces, Piece(broken.data.rstrip()[:-2] + b"\n\n")]


def _hidden(draft: Draft, events: float) -> None:
    error = ServiceError("The server had an error in the middle of its answer.", status=500, code="server_error")
    if not draft.streams:
        draft.refuse(error, 200)
        return
    draft.keep(int(events))
    draft.pieces = [*draft.pieces, Piece(cast("StreamingDialect", draft.asked.dialect).broken(error))]


def _mislabelled(draft: Draft, value: float) -> None:
    draft.headers["content-type"] = "text/plain"


def _empty(draft: Draft, value: float) -> None:
    draft.say(b"")


def _bare(draft: Draft, value: float) -> None:
    draft.say(b"")
    draft.framed = False


def _uncounted(draft: Draft, value: float) -> None:
    draft.remake(counted=False)
    if draft.headers["content-type"] in (JSON, SSE):
        draft.pieces = [Piece(_without(_USAGE, piece.data), piece.content) for piece in draft.pieces]


SSE = "text/event-stream"
_USAGE = frozenset({"usage", "usageMetadata"})


def _without(keys: frozenset[str], data: bytes) -> bytes:
    """A body or some events without these keys, wherever they stand: some dialects count even where nobody counted."""
    frames = Frames()
    if not (events := frames.feed(data)):
        return msgspec.json.encode(_stripped(keys, msgspec.json.decode(data)))
    return b"".join([_event_without(keys, *event_of(event)) for event in events])


def _event_without(keys: frozenset[str], name: str, data: bytes) -> bytes:
    said = msgspec.json.encode(_stripped(keys, msgspec.json.decode(data))) if data.startswith(b"{") else data
    return frame(said, name or None)


def _stripped(keys: frozenset[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(keys, one) for key, one in cast("Json", value).items() if key not in keys}
    return [_stripped(keys, one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def _unended(draft: Draft, value: float) -> None:
    if draft.streams:
        draft.keep(len(draft.pieces))


BODIES: tuple[Fault, ...] = (
    Fault(
        name="malformed",
        does="an event that is broken JSON, after so much content; a whole body that is",
        commit=_malformed,
        parameter="events",
        raises=ServiceError,
        raises_streamed=ResponseParseError,
    ),
    Fault(
        name="error-in-200",
        does="an error in an answer that began well, after so much content",
        commit=_hidden,
        parameter="events",
        raises=ServiceError,
    ),
    Fault(name="wrong-type", does="the right body, but called text/plain", commit=_mislabelled),
    Fault(
        name="html-200",
        does="a page of HTML with status 200",
        commit=partial(_page, 200, b"Sign in"),
        raises=ServiceError,
        raises_streamed=CutOff,
    ),
    Fault(
        name="html-502",
        does="a page of HTML with status 502",
        commit=partial(_page, 502, b"Bad Gateway"),
        status=502,
        raises=ServiceError,
    ),
    Fault(
        name="empty",
        does="a body of no bytes",
        commit=_empty,
        raises=ServiceError,
        raises_streamed=CutOff,
    ),
    Fault(
        name="no-body",
        does="a head that promises nothing, and then the end of the connection",
        commit=_bare,
        raises=ServiceError,
        raises_streamed=CutOff,
    ),
    Fault(name="no-usage", does="an answer that counts no tokens", commit=_uncounted),
    Fault(
        name="no-end",
        does="a stream that ends after its last word, without saying so",
        commit=_unended,
        raises=CutOff,
        streams=True,
    ),
)
