"""Flow: an open stream from a provider, read until its first content and then handed on piece by piece.

Owns the commit point and the one way in which a stream ends. What a piece is (events, or bytes that pass through) is
its reader's business. Knows no dialect and no rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar

from trunkline.vocabulary.calls import Clock, Outcome
from trunkline.vocabulary.decisions import OutcomeKind
from trunkline.vocabulary.errors import APITimeoutError, CutOff, ResponseParseError, TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished, Started, UsageReported
from trunkline.vocabulary.protocols import Decoder, Receiving
from trunkline.vocabulary.rules import Timeouts
from trunkline.vocabulary.usage import Usage
from trunkline.wire.registry import STORING

Piece = TypeVar("Piece", covariant=True)
"""A list of events, or bytes that pass through."""

DRAIN_SECONDS = 0.25
"""How long the end of the HTTP body may follow the terminal event, so that the connection can be used again."""

THROUGHPUT_SECONDS = 10.0
"""Over how much waiting a stream's throughput is measured."""

NO_TIMEOUTS = Timeouts()


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
    made: tuple[str, ...]

    @property
    def usage(self) -> Usage | None: ...

    @property
    def said(self) -> int: ...

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
        self.made: tuple[str, ...] = ()
        self.said = 0
        """Letters of content so far."""
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
                self.said += event.letters
            elif type(event) is UsageReported:
                self.usage = event.usage
            elif type(event) is Finished:
                self.finish = event.finish
            elif type(event) is Started:
                self.tier = event.extra.get("service_tier") or self.tier
                self.made = (event.id,) if event.id and event.dialect in STORING else ()
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
        timeouts: Timeouts | None,
        sign: Callable[[TrunklineError], TrunklineError],
    ) -> None:
        self._reader = reader
        self._receiving = receiving
        self._clock = clock
        self._sign = sign
        self._alarm = _Alarm(clock, deadline, timeouts or NO_TIMEOUTS, receiving.release)
        self._held: list[Piece] = []
        self.end: Callable[[Outcome], None] = _nobody
        """Who must know how it ended: set by whoever makes the answer."""

    @property
    def said(self) -> int:
        """About how many letters of content have come."""
        return self._reader.said

    async def until_content(self) -> None:
        """Read on until the first content is in hand: from then on the stream belongs to this target."""
        while not self._reader.content and not self._reader.ended:
            self._held.append(await self._next())
        if not any(self._held):
            raise ResponseParseError("the provider answered with an empty stream", code="empty_stream")

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """What was held and what follows. One alarm watches all its deadlines."""
        self._alarm.set()
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
            told = self._sign(self._alarm.rung or error)
            self._finish("cut" if isinstance(told, CutOff) else "error", told)
            if told is error:
                raise
            raise told from error
        finally:
            self._alarm.stop()
            self._finish("cancelled")
            self._receiving.release()

    def leave(self) -> None:
        """Nobody reads on: what has come is what was used."""
        self._receiving.release()
        self._finish("cancelled")

    async def _next(self) -> Piece:
        """The piece that the next bytes make; the last one when they are over."""
        self._alarm.waits()
        data = await self._receiving.more()
        self._alarm.heard(data)
        if self._alarm.rung is not None:
            raise self._alarm.rung
        with guarded:
            if data is not None:
                return self._reader.feed(data)
            piece = self._reader.close()
        self._reader.ended = True
        return piece

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
        usage, finish, tier, made = reader.usage, reader.finish, reader.tier, reader.made
        self.end(Outcome(kind=kind, usage=usage, finish=finish, tier=tier, made=made, error=error))


class _Alarm:
    """Rings when an open stream takes too long: in all, between two pieces, or for what it brings.

    Only the time in which the provider is waited for counts against it, not that in which the caller reads. There is
    one timer; it looks at what has happened since it was set, so that a piece costs next to nothing.
    """

    __slots__ = ("_bytes", "_clock", "_deadline", "_release", "_stop", "_timeouts", "_waited", "_waiting", "rung")

    def __init__(self, clock: Clock, deadline: float | None, timeouts: Timeouts, release: Callable[[], None]) -> None:
        self._clock = clock
        self._deadline = deadline
        self._timeouts = timeouts if timeouts.idle is not None or timeouts.throughput is not None else None
        self._release = release
        self._stop: Callable[[], object] = _nothing
        self._waiting: float | None = None
        """Since when the provider is waited for."""
        self._waited = 0.0
        self._bytes = 0
        self.rung: APITimeoutError | None = None
        """What took too long."""

    def set(self) -> None:
        """Watch from now on."""
        now = self._clock.now()
        times = [] if self._deadline is None else [self._deadline]
        if (timeouts := self._timeouts) is not None:
            if timeouts.idle is not None:
                times.append((self._waiting or now) + timeouts.idle)
            if timeouts.throughput is not None:
                times.append(now + THROUGHPUT_SECONDS - self._waited)
        self._stop = self._clock.alarm(min(times, default=None), self._look)

    def stop(self) -> None:
        """Watch no longer."""
        self._stop()

    def waits(self) -> None:
        """The next piece is waited for."""
        if self._timeouts is not None:
            self._waiting = self._clock.now()

    def heard(self, data: bytes | None) -> None:
        """It has come."""
        if self._waiting is not None:
            self._waited += self._clock.now() - self._waiting
            self._waiting = None
            self._bytes += len(data or b"")

    def _look(self) -> None:
        """Some time has passed: is it too much? Letting go of the connection wakes whoever waits for it."""
        now = self._clock.now()
        self.rung = self._too_late(now)
        if self.rung is None:
            self.set()
        else:
            self._release()

    def _too_late(self, now: float) -> APITimeoutError | None:
        if self._deadline is not None and now >= self._deadline:
            return APITimeoutError("the stream was not complete before the call's deadline", code="total_timeout")
        timeouts, waiting = self._timeouts, now - self._waiting if self._waiting is not None else 0.0
        if timeouts is None:
            return None
        if timeouts.idle is not None and waiting >= timeouts.idle:
            return APITimeoutError(f"the stream was silent for {timeouts.idle:g} seconds", code="idle_timeout")
        if timeouts.throughput is not None and self._waited + waiting >= THROUGHPUT_SECONDS:
            if self._bytes < timeouts.throughput * (self._waited + waiting):
                rate = self._bytes / (self._waited + waiting)
                return APITimeoutError(
                    f"the stream brought {rate:.0f} bytes a second, below the {timeouts.throughput:g} that it must",
                    code="slow_stream",
                )
            self._waited, self._bytes = -waiting, 0
        return None


def _nobody(outcome: Outcome) -> None:
    """Nobody has to know yet."""


def _nothing() -> None:
    """No timer runs."""
