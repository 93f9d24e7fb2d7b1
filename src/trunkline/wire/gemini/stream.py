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

from trunkline.vocabulary.errors import CutOff, InvalidRequestError, ResponseParseError, TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished, Noted, Started, Unknown, UsageReported
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire.fields import an_object, as_array, as_object
from trunkline.wire.sse import Frames, data_of, frame

from .cutting import Chunks
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


class GeminiDecoder:
    """Reads a provider's stream. An error in it is raised once what came before has been handed on."""

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._choices: dict[int, Growing] = {}
        self._id: Any = None
        self._rest: Json | None = None
        """What the answer says beside its candidates; None before the first chunk."""
        self._broken: TrunklineError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if self._broken is not None:
            raise self._broken
        return self._read(self._chunks.feed(data))

    def close(self) -> list[Event]:
        """The last events; CutOff where a candidate did not say why it ended."""
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        with contextlib.suppress(ResponseParseError):  # half a chunk: what is missing says so below
            events = self._read(self._chunks.close())
        if self._broken is not None:
            raise self._broken
        if self._choices:
            whole = all(choice.finished for choice in self._choices.values())
        else:
            whole = self._rest is not None and "promptFeedback" in self._rest
        if not whole:
            raise CutOff("the stream ended before the answer was complete", dialect=name)
        for choice in self._choices.values():
            events += choice.close()
        if not self._choices:
            word = an_object((self._rest or {}).get("promptFeedback")).get("blockReason")
            extra = {BLOCKED: True}
            events.append(Finished(finish="content_filter", word=str(word) if word else None, extra=extra))
        events.append(Ended())
        return events

    def _read(self, chunks: list[bytes]) -> list[Event]:
        events: list[Event] = []
        try:
            for data in chunks:
                self._chunk(_parsed(data), events)
        except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
            error = error if error.dialect else ResponseParseError(f"the stream: {error.message}", dialect=name)
            self._break(error, events)
        except TrunklineError as error:
            self._break(error, events)
        return events

    def _break(self, error: TrunklineError, events: list[Event]) -> None:
        if not events:
            raise error
        self._broken = error

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


def _parsed(data: bytes) -> Json:
    try:
        chunk: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ResponseParseError("the stream holds a chunk that is no JSON", dialect=name, body=data) from None
    if not isinstance(chunk, dict):
        raise ResponseParseError("the stream holds a chunk that is no object", dialect=name, body=data)
    return cast("Json", chunk)


_NOTABLE = re.compile(rb'"finishReason"\s*:|"error"\s*:\s*\{|"promptFeedback"\s*:|"functionCall"\s*:')
"""What a chunk must hold to be worth decoding once the first content is known. Inside a JSON string the quotes are
escaped, so text cannot look like this; should it ever, the decoder tells."""


class GeminiTap:
    """Watches a stream that passes through: whole frames go on as they came. A list goes on byte by byte."""

    def __init__(self) -> None:
        self.content = False
        self.ended = False
        self.finish: str | None = None
        self.tier: str | None = None
        self._usage: Usage | None = None
        self._counted = b""
        """The latest frame with a count: every chunk has one, so only the last that is asked for is read."""
        self._begun = b""
        self._frames: Frames | None = None
        """None for a list, and before the first byte tells."""
        self._is_list = False
        self._decoder = GeminiDecoder()
        self._broken: TrunklineError | None = None

    @property
    def usage(self) -> Usage | None:
        """The count so far."""
        if self._counted:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                usage = _counts.decode(data_of(self._counted)).usage
                self._usage = usage_from_wire(usage) if usage else self._usage
            self._counted = b""
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage, self._counted = usage, b""

    def feed(self, data: bytes) -> bytes:
        """The whole frames among these bytes. An error is raised once what came before has been passed on."""
        if self._broken is not None:
            raise self._broken
        if self._frames is None and not self._is_list:
            self._begun += data
            first = self._begun.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if not first:
                return b""
            data, self._begun = self._begun, b""
            self._is_list = first in b"[{"
            self._frames = None if self._is_list else Frames()
        if self._frames is None:
            self._note(self._decoder.feed(data))
            return data
        frames = self._frames.feed(data)
        whole = b"".join(frames)
        if self.content and not _NOTABLE.search(whole):
            self._count(frames)
            return whole
        return self._watch(frames)

    def close(self) -> bytes:
        """What is left at the end; CutOff where the stream did not end properly."""
        if self._broken is not None:
            raise self._broken
        rest = self._begun
        if self._frames is not None:
            rest = self._frames.close()
            with contextlib.suppress(ResponseParseError):  # half a chunk: what is missing says so below
                self._watch([rest + b"\r\n\r\n"] if rest.strip() else [])
            if self._broken is not None:
                raise self._broken
        self._note(self._decoder.close())
        self.ended = True
        return rest

    def _watch(self, frames: list[bytes]) -> bytes:
        seen: list[bytes] = []
        try:
            for piece in frames:
                if not self.content or _NOTABLE.search(piece):
                    self._note(self._decoder.feed(piece))
                else:
                    self._count([piece])
                seen.append(piece)
        except TrunklineError as error:
            if not seen:
                raise
            self._broken = error
        return b"".join(seen)

    def _count(self, frames: list[bytes]) -> None:
        for piece in reversed(frames):
            if b'"usageMetadata"' in piece:
                self._counted = piece
                return

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if event.content:
                self.content = True
            match event:
                case Finished(choice=0):
                    self.finish = event.finish
                case Started():
                    self.tier = event.extra.get("service_tier")
                case UsageReported():
                    self.usage = event.usage
                case _:
                    pass


class _Counted(msgspec.Struct):
    usage: Json | None = msgspec.field(default=None, name="usageMetadata")


_counts = msgspec.json.Decoder(_Counted)
