"""Streamed answers: read, and watched while they pass through.

Every chunk is an answer in small, with the count so far; no event says that the stream is over. The last chunk of each
candidate says why it ended, and the end of the bytes is the end: so what hangs on the whole answer is said only then.
After each chunk comes an event with the rest of it, from which our own encoder writes it as it came.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished, Noted, Started, Unknown, UsageReported
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array, as_object
from trunkline.wire.grammar.sse import data_of, frame
from trunkline.wire.grammar.streams import StreamReader, StreamWatcher

from .cutting import Chunks, Passing
from .encoder import GeminiEncoder
from .errors import envelope, hidden_error
from .growing import Growing
from .parts import name
from .reply import BLOCKED, created_from, ids_for, tier_of, usage_from_wire


def decoder() -> GeminiDecoder:
    """A reader for one stream."""
    return GeminiDecoder()


def encoder(request: Request) -> GeminiEncoder:
    """A writer for the stream that answers `request`."""
    return GeminiEncoder(request.model)


def tap(words: Words) -> GeminiTap:
    """A watcher for the stream that answers `words` and passes through. Usage comes in any case."""
    return GeminiTap()


def broken(error: TrunklineError) -> bytes:
    """The stream breaks here: a chunk with an error, and no reason why it ended."""
    return frame(msgspec.json.encode(envelope(error)))


class GeminiDecoder(StreamReader):
    """Reads a provider's stream."""

    dialect = name
    blank = b""

    def __init__(self) -> None:
        super().__init__(Chunks())
        self._choices: dict[int, Growing] = {}
        self._id: Any = None
        self._rest: Json | None = None
        """What the answer says beside its candidates; None before the first chunk."""

    def _take(self, piece: bytes, events: list[Event]) -> None:
        self._chunk(self._object(piece), events)

    def _over(self, events: list[Event]) -> None:
        """The bytes are over: an end where every candidate has said why it ended."""
        if self._choices:
            whole = all(choice.finished for choice in self._choices.values())
        else:
            whole = self._rest is not None and "promptFeedback" in self._rest
        if not whole:
            super()._over(events)
        for choice in self._choices.values():
            events += choice.close()
        if not self._choices:
            word = an_object((self._rest or {}).get("promptFeedback")).get("blockReason")
            extra = {BLOCKED: True}
            events.append(Finished(finish="content_filter", word=str(word) if word else None, extra=extra))
        events.append(Ended())

    def _chunk(self, chunk: Json, events: list[Event]) -> None:
        if chunk.get("error"):
            raise hidden_error(chunk)
        rest = {key: value for key, value in chunk.items() if key not in _FRAMING and value is not None}
        usage = an_object(chunk.get("usageMetadata"))
        if self._rest is None:
            self._start(chunk, rest, usage, events)
        elif rest and (news := {key: value for key, value in rest.items() if self._rest.get(key) != value}):
            self._rest |= news
            events.append(Noted(of="reply", extra=news))
        shells: list[Json] = []
        raw: list[tuple[int, int]] = []
        for at, candidate in enumerate(as_array(chunk.get("candidates") or [], "candidates")):
            growing = self._growing(as_object(candidate, f"candidates[{at}]"), at)
            shells.append(growing.chunk(cast("Json", candidate), events))
            raw += growing.raw
            growing.raw = []
        if usage:
            events.append(UsageReported(usage=usage_from_wire(usage)))
        body: Json = {"chunk": {**chunk, "candidates": shells} if shells else chunk}
        if raw:
            body["raw"] = raw
        events.append(Unknown(dialect=name, body=body))

    def _start(self, chunk: Json, rest: Json, usage: Json, events: list[Event]) -> None:
        self._id, self._rest = chunk.get("responseId"), rest
        extra: Extra = dict(rest)
        if (tier := tier_of(usage)) is not None:
            extra["service_tier"] = tier
        events.append(
            Started(
                id=self._id,
                model=chunk.get("modelVersion"),
                created=created_from(chunk.get("createTime")),
                extra=extra,
                dialect=name,
            )
        )

    def _growing(self, candidate: Json, at: int) -> Growing:
        index = candidate.get("index")
        choice = index if isinstance(index, int) else at
        growing = self._choices.get(choice)
        if growing is None:
            growing = self._choices[choice] = Growing(choice, ids_for(self._id, choice))
        return growing


_FRAMING = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})


class GeminiTap(StreamWatcher):
    """Watches a stream that passes through. Every chunk has the count so far: the last that is asked for is read."""

    notable = re.compile(rb'"finishReason"\s*:|"error"\s*:\s*\{|"promptFeedback"\s*:|"functionCall"\s*:')
    blank = b"\r\n\r\n"

    def __init__(self) -> None:
        self._passing = Passing()
        super().__init__(GeminiDecoder(), self._passing)
        self._counted = b""
        """The latest piece with a count that has not been read."""

    @property
    def usage(self) -> Usage | None:
        """The count so far."""
        if self._counted:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                usage = _counts.decode(data_of(self._counted)).usage
                self._usage = usage_from_wire(usage) if usage else self._usage
            self._counted = b""
        return self._usage

    def feed(self, data: bytes) -> bytes:
        """What can go on. A list is read whole: nothing tells where its chunks are."""
        passed = super().feed(data)
        if self._passing.is_list and self.notable is not ANYTHING:
            self.notable = ANYTHING
        return passed

    def _unread(self, pieces: list[bytes]) -> None:
        for piece in reversed(pieces):
            if b'"usageMetadata"' in piece:
                self._counted = piece
                return

    def _note(self, events: list[Event]) -> None:
        if any(type(event) is UsageReported for event in events):
            self._counted = b""
        super()._note(events)


ANYTHING = re.compile(rb"")
"""What every piece holds."""


class _Counted(msgspec.Struct):
    usage: Json | None = msgspec.field(default=None, name="usageMetadata")


_counts = msgspec.json.Decoder(_Counted)
