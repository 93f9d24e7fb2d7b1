"""Recorder: a transport that writes down what passes through it.

Owns when a line is written: once, when its answer is over, however it ended. Keys are taken out before anything is
written; what they are is `scrubbing`'s to know.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from trunkline.clock import SystemClock
from trunkline.providers.http.transport import HttpTransport
from trunkline.testing.scrubbing import Scrubber
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.protocols import Receiving, Sending, Transport
from trunkline.vocabulary.secret import Secret

from .tape import Broken, Piece, Recorded, answered, asked, packed


class Recorder:
    """Sends `through` another transport (the network's) and writes each conversation to the file at `path`, which
    begins anew with the first. `secrets` are keys beyond those that requests show in their headers and addresses."""

    def __init__(
        self,
        path: str | Path,
        *,
        through: Transport | None = None,
        clock: Clock | None = None,
        secrets: Iterable[Secret | str] = (),
    ) -> None:
        self.path = Path(path)
        self._through: Transport = through or HttpTransport()
        self._clock: Clock = clock or SystemClock()
        self._scrubber = Scrubber(secrets)
        self._lock = threading.Lock()
        self._begun = False

    async def send(self, request: Sending) -> Receiving:
        """Send, and wait for the answer's head."""
        with self._lock:
            self._scrubber.learn(request)
        take = _Take(self, request, self._clock)
        try:
            receiving = await self._through.send(request)
        except BaseException as error:
            take.end(error)
            raise
        return _Recording(receiving, take)

    async def close(self) -> None:
        """Close what it sends through; safe to call again."""
        await self._through.close()

    def write(self, take: _Take) -> None:
        """Add a conversation to the file, without its keys."""
        with self._lock:
            line = take.line(self._scrubber)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab" if self._begun else "wb") as file:
                file.write(msgspec.json.encode(line) + b"\n")
            self._begun = True


class _Take:
    """One conversation while it goes on."""

    def __init__(self, recorder: Recorder, request: Sending, clock: Clock) -> None:
        self._recorder = recorder
        self._request = request
        self._clock = clock
        self._began = clock.now()
        self._head: tuple[int, Mapping[str, str], float] | None = None
        self._pieces: list[tuple[float, bytes]] = []
        self._broken: Broken | None = None
        self._left = False
        self._over = False

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer has begun."""
        self._head = (status, headers, self._seconds())

    def add(self, data: bytes) -> None:
        """Some of it has come."""
        self._pieces.append((self._seconds(), data))

    def end(self, error: BaseException | None = None) -> None:
        """It is over: all of it has come, or the connection broke, or whoever asked has left. The first word stands."""
        if self._over:
            return
        self._over = True
        if isinstance(error, TrunklineError):
            self._broken = Broken(self._seconds(), type(error).__name__, error.message)
        else:
            self._left = error is not None
        self._recorder.write(self)

    def line(self, scrubber: Scrubber) -> Recorded:
        """What is kept of it."""
        line = asked(self._request, scrubber)
        if self._head is not None:
            line.status, headers, line.seconds = self._head
            line.answered = answered(dict(headers), scrubber)
        clean = scrubber.pieces([data for _, data in self._pieces])
        times = [seconds for seconds, _ in self._pieces]
        line.pieces = [Piece(seconds, packed(data)) for seconds, data in zip(times, clean, strict=True)]
        broken = self._broken
        line.broken = broken and Broken(broken.seconds, broken.error, scrubber.text(broken.message))
        line.left = self._left
        return line

    def _seconds(self) -> float:
        return round(self._clock.now() - self._began, 6)


class _Left(BaseException):
    """Nobody wants the rest."""


class _Recording:
    """An answer that is written down while it is read."""

    def __init__(self, receiving: Receiving, take: _Take) -> None:
        self._receiving = receiving
        self._take = take
        self.status = receiving.status
        self.headers = receiving.headers
        take.head(receiving.status, receiving.headers)

    async def read(self) -> bytes:
        try:
            data = await self._receiving.read()
        except TrunklineError as error:
            self._take.end(error)
            raise
        self._take.add(data)
        self._take.end()
        return data

    async def more(self) -> bytes | None:
        try:
            data = await self._receiving.more()
        except TrunklineError as error:
            self._take.end(error)
            raise
        if data is None:
            self._take.end()
        else:
            self._take.add(data)
        return data

    def release(self) -> None:
        """Give the connection up at once, read or not."""
        self._receiving.release()
        self._take.end(_Left())
