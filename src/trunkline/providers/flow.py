"""Flow: an open stream from a provider, read until its first content and then handed on piece by piece.

Owns the commit point and the one way in which a stream ends. What a piece is (events, or bytes that pass through) is
its reader's business. Knows no dialect and no rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar

from trunkline.vocabulary.calls import Clock, Outcome, OutcomeKind
from trunkline.vocabulary.errors import APITimeoutError, CutOff, ResponseParseError, TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished, Started, UsageReported
from trunkline.vocabulary.protocols import Decoder, Receiving
from trunkline.vocabulary.usage import Usage

Piece = TypeVar("Piece", covariant=True)
"""A list of events, or bytes that pass through."""

DRAIN_SECONDS = 0.25
"""How long the end of the HTTP body may follow the terminal event, so that the connection can be used again."""


NONSENSE = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What reading JSON raises whose shape no page describes."""


def unreadable(error: Exception) -> ResponseParseError:
    """Such JSON is the provider's mistake, not ours or the caller's, and may be gone at the next attempt."""
    return ResponseParseError(f"the provider's answer has a shape that cannot be read: {error}", status=502)


class _Guarded:
    """`with guarded:` where a provider's words are read: their nonsense is its mistake, and said as one. Holds nothing,
    so one serves all."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NONSENSE) and not isinstance(error, TrunklineError):
            raise unreadable(error) from error


guarded = _Guarded()


class Reader(Protocol[Piece]):
    """What a flow needs of a decoder or a tap."""

    content: bool
    ended: bool
    finish: str | None
    tier: str | None

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes, /) -> Piece: ...

    def close(self) -> Piece: ...


class Watched:
    """A decoder that also says what a tap says: whether there was content, how it ended, what it used."""

    def __init__(self, decoder: Decoder) -> None:
        self.content = False
        self.ended = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.tier: str | None = None
        self._decoder = decoder

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._seen(self._decoder.feed(data))

    def close(self) -> list[Event]:
        """The last events."""
        return self._seen(self._decoder.close())

    def _seen(self, events: list[Event]) -> list[Event]:
        for event in events:
            if event.content:
                self.content = True
            elif type(event) is UsageReported:
                self.usage = event.usage
            elif type(event) is Finished:
                self.finish = event.finish
            elif type(event) is Started:
                self.tier = event.extra.get("service_tier") or self.tier
            elif type(event) is Ended:
                self.ended = True
        return events


class Flow(Generic[Piece]):
    """One stream: `until_content`, then iterate. Ends its answer exactly once, whatever happens."""

    def __init__(
        self,
        reader: Reader[Piece],
        receiving: Receiving,
        clock: Clock,
        deadline: float | None,
        sign: Callable[[TrunklineError], TrunklineError],
    ) -> None:
        self._reader = reader
        self._receiving = receiving
        self._clock = clock
        self._deadline = deadline
        self._sign = sign
        self._late = False
        self._held: list[Piece] = []
        self.end: Callable[[Outcome], None] = _nobody
        """Who must know how it ended: set by whoever makes the answer."""

    async def until_content(self) -> None:
        """Read on until the first content is in hand: from then on the stream belongs to this target."""
        while not self._reader.content and not self._reader.ended:
            self._held.append(await self._next())
        if not any(self._held):
            raise ResponseParseError("the provider answered with an empty stream", code="empty_stream")

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """What was held and what follows. One alarm watches the call's deadline for the whole stream."""
        stop_alarm = self._clock.alarm(self._deadline, self._strike)
        try:
            for piece in self._held:
                self._finish_if_ended()
                yield piece
            while not self._reader.ended:
                piece = await self._next()
                self._finish_if_ended()
                yield piece
            await self._drain()
        except TrunklineError as error:
            told = self._sign(_too_late() if self._late else error)
            self._finish("cut" if isinstance(told, CutOff) else "error", told)
            if told is error:
                raise
            raise told from error
        finally:
            stop_alarm()
            self._finish("cancelled")
            self._receiving.release()

    async def _next(self) -> Piece:
        """The piece that the next bytes make; the last one when they are over."""
        data = await self._receiving.more()
        if self._late:
            raise _too_late()
        with guarded:
            if data is not None:
                return self._reader.feed(data)
            piece = self._reader.close()
        self._reader.ended = True
        return piece

    def _strike(self) -> None:
        """The deadline has passed: letting go of the connection wakes whoever waits for it."""
        self._late = True
        self._receiving.release()

    def _finish_if_ended(self) -> None:
        """The terminal event is in hand: whoever takes this piece has the whole answer."""
        if self._reader.ended:
            self._finish("finished")

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError, TrunklineError):
            async with self._clock.deadline(self._clock.now() + DRAIN_SECONDS):
                await self._receiving.more()

    def _finish(self, kind: OutcomeKind, error: TrunklineError | None = None) -> None:
        reader = self._reader
        self.end(Outcome(kind=kind, usage=reader.usage, finish=reader.finish, tier=reader.tier, error=error))


def _too_late() -> APITimeoutError:
    return APITimeoutError("the stream was not complete before the call's deadline")


def _nobody(outcome: Outcome) -> None:
    """Nobody has to know yet."""
