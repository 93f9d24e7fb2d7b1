"""Streams: what every reader and every watcher of a stream has in common.

Owns the order of things: an error waits until what came before it is handed on, an event that the end cut in half is
nobody's mistake, and bytes that end without the terminal event are a `CutOff`. What a piece says is its dialect's
business.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, ClassVar, Protocol, cast

import msgspec

from trunkline.vocabulary.errors import CutOff, InvalidRequestError, ResponseParseError, TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished, Started, UsageReported
from trunkline.vocabulary.protocols import Decoder, Json
from trunkline.vocabulary.usage import Usage

from .sse import Frames


class Cutter(Protocol):
    """Cuts bytes into the pieces of a framing: server-sent events, lines."""

    def feed(self, data: bytes, /) -> list[bytes]:
        """The pieces that these bytes complete."""
        ...

    def close(self) -> bytes:
        """What is left when the bytes are over."""
        ...


class StreamReader:
    """A decoder, but for `_take`: what one piece says."""

    dialect: ClassVar[str]
    blank: ClassVar[bytes] = b"\n\n"
    """What completes a last piece whose end never came."""

    def __init__(self, cutter: Cutter | None = None) -> None:
        self._cutter = cutter or Frames()
        self._ended = False
        """The terminal event has been seen."""
        self._broken: TrunklineError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. An error among them is raised once what came before is handed on."""
        if self._broken is not None:
            raise self._broken
        return self._taken(self._cutter.feed(data))

    def close(self) -> list[Event]:
        """The last events; CutOff where the stream did not end properly."""
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        if (rest := self._cutter.close()).strip():
            with contextlib.suppress(ResponseParseError):  # half a piece: the missing end says so below
                events = self._taken([rest + self.blank])
            if self._broken is not None and not isinstance(self._broken, ResponseParseError):
                raise self._broken
        if not self._ended:
            self._over(events)
        return events

    def _taken(self, pieces: list[bytes]) -> list[Event]:
        events: list[Event] = []
        try:
            for piece in pieces:
                if not self._ended:
                    self._take(piece, events)
        except InvalidRequestError as error:  # perhaps a reader's complaint, but then about the provider's words
            self._break(self._meant(error), events)
        except TrunklineError as error:
            self._break(error, events)
        return events

    def _meant(self, error: InvalidRequestError) -> TrunklineError:
        if error.dialect is not None or error.status is not None:
            return error
        return ResponseParseError(f"the provider's stream cannot be read: {error.message}", dialect=self.dialect)

    def _break(self, error: TrunklineError, events: list[Event]) -> None:
        if not events:
            raise error
        self._broken = error

    def _take(self, piece: bytes, events: list[Event]) -> None:
        """Add what a piece says."""
        raise NotImplementedError

    def _over(self, events: list[Event]) -> None:
        """The bytes are over without a terminal event: add it where the API has none, else say that it is missing."""
        raise CutOff("the stream ended before the answer was complete", dialect=self.dialect)

    def _object(self, data: bytes) -> Json:
        """The JSON object that an event is."""
        try:
            value: Any = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = "the stream holds an event that is no JSON"
            raise ResponseParseError(why, dialect=self.dialect, body=data) from None
        if not isinstance(value, dict):
            raise ResponseParseError("the stream holds an event that is no object", dialect=self.dialect, body=data)
        return cast("Json", value)


class StreamWatcher:
    """A tap: whole pieces go on as they came, and only the telling ones are read."""

    notable: re.Pattern[bytes]
    """What a piece must hold to be worth decoding once the first content is known. Inside a JSON string the quotes are
    escaped, so text cannot look like this; should it ever, the decoder tells."""
    blank: ClassVar[bytes] = b"\n\n"

    def __init__(self, decoder: Decoder, cutter: Cutter | None = None) -> None:
        self.content = False
        self.ended = False
        self.finish: str | None = None
        self.tier: str | None = None
        self.made: tuple[str, ...] = ()
        self._decoder = decoder
        self._cutter = cutter or Frames()
        self._usage: Usage | None = None
        self._broken: TrunklineError | None = None
        self._pieces = self._bytes = 0
        self._least = 2**30

    @property
    def said(self) -> int:
        """About how many letters of content have gone by: what each piece has beyond the shortest one, and one."""
        return max(self._pieces, self._bytes - self._pieces * (self._least - 1)) if self._pieces else 0

    @property
    def usage(self) -> Usage | None:
        """The count so far."""
        return self._usage

    def feed(self, data: bytes) -> bytes:
        """The whole pieces among these bytes. An error is raised once what came before has been passed on."""
        if self._broken is not None:
            raise self._broken
        pieces = self._cutter.feed(data)
        whole = b"".join(pieces)
        if pieces:
            self._pieces += len(pieces)
            self._bytes += len(whole)
            shortest = len(whole) if len(pieces) == 1 else min(map(len, pieces))
            self._least = min(self._least, shortest)
        if self.content and not self._telling(whole):
            self._unread(pieces)
            return whole
        return self._watch(pieces)

    def close(self) -> bytes:
        """What is left at the end; CutOff where the stream did not end properly."""
        if self._broken is not None:
            raise self._broken
        rest = kept = self._cutter.close()
        if rest.strip():
            with contextlib.suppress(ResponseParseError):  # half a piece: the missing end says so below
                kept = rest if self._watch([rest + self.blank]) else b""
            if self._broken is not None and not isinstance(self._broken, ResponseParseError):
                raise self._broken
        if not self.ended:
            self._note(self._decoder.close())
            self.ended = True
        return kept

    def _watch(self, pieces: list[bytes]) -> bytes:
        kept: list[bytes] = []
        try:
            for piece in pieces:
                if self.content and not self._telling(piece):
                    self._unread([piece])
                elif not self.ended and not self._keep(piece):
                    continue
                kept.append(piece)
        except TrunklineError as error:
            if not kept:
                raise
            self._broken = error
        return b"".join(kept)

    def _telling(self, piece: bytes) -> bool:
        """Whether a piece is worth decoding once the first content is known."""
        return self.notable.search(piece) is not None

    def _unread(self, pieces: list[bytes]) -> None:
        """Pieces that go on without having been read."""

    def _keep(self, piece: bytes) -> bool:
        """Look at a telling piece; False where the caller did not ask for it."""
        self._note(self._decoder.feed(piece))
        return True

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if event.content:
                self.content = True
            match event:
                case Finished(choice=0):
                    self.finish = event.finish
                case Started():
                    self.tier = event.extra.get("service_tier") or self.tier
                case UsageReported():
                    self._usage = event.usage
                case Ended():
                    self.ended = True
                case _:
                    pass
