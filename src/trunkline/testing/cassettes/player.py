"""Player: a transport that answers from a recording, without a network.

Owns which recording answers a request (the same method, address and body; equal requests in the order in which they
were recorded), and the complaint when none does. Times are kept only on demand.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import NoReturn

import msgspec

from trunkline.clock import SystemClock
from trunkline.testing.scrubbing import Scrubber
from trunkline.vocabulary import errors
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError, CutOff
from trunkline.vocabulary.protocols import Receiving, Sending
from trunkline.vocabulary.secret import Secret

from .tape import Recorded, asked, differences, unpacked

SHOWN = 3
"""How many differences a complaint names."""


class NotRecorded(ConfigurationError):
    """No recording answers the request; the message says in which fields the nearest differs. Nothing was sent."""

    kind = "NotRecorded"


class Player:
    """Answers from the file at `path`. `speed` 0 is at once, 1 as fast as it was, 2 twice as fast, on the clock's time.
    Raises ConfigurationError where there is no such file, NotRecorded for a request that is not in it."""

    def __init__(
        self,
        path: str | Path,
        *,
        speed: float = 0.0,
        clock: Clock | None = None,
        secrets: Iterable[Secret | str] = (),
    ) -> None:
        self.path = Path(path)
        self._speed = speed
        self._clock: Clock = clock or SystemClock()
        self._scrubber = Scrubber(secrets)
        self._lock = threading.Lock()
        self._lines = _read(self.path)
        self._waiting: dict[tuple[str, str, bytes], list[Recorded]] = {}
        for line in self._lines:
            self._waiting.setdefault(line.identity, []).append(line)

    async def send(self, request: Sending) -> Receiving:
        """The answer that was recorded, or the error."""
        with self._lock:
            self._scrubber.learn(request)
            wanted = asked(request, self._scrubber)
            waiting = self._waiting.get(wanted.identity)
            if not waiting:
                raise self._unknown(wanted, spent=waiting is not None)
            line = waiting.pop(0)
        playing = _Playing(line, self._speed, self._clock)
        await playing.head()
        return playing

    async def close(self) -> None:
        """Nothing is open."""

    def _unknown(self, wanted: Recorded, *, spent: bool) -> NotRecorded:
        asked_of = f"{wanted.method} {wanted.url}"
        if spent:
            times = sum(line.identity == wanted.identity for line in self._lines)
            why = f"it was recorded {times} time{'s' * (times > 1)}, and is asked once more"
        elif not self._lines:
            why = "the cassette is empty"
        elif near := [line for line in self._lines if (line.method, line.url) == (wanted.method, wanted.url)]:
            differing = min((list(_between(wanted, line)) for line in near), key=len)
            named = ", ".join(differing[:SHOWN]) + (f" and {len(differing) - SHOWN} more" * (len(differing) > SHOWN))
            why = f"the nearest recording differs in {named}"
        else:
            nearest = max(self._lines, key=lambda line: SequenceMatcher(None, line.url, wanted.url).ratio())
            why = f"the nearest recording is of {nearest.method} {nearest.url}"
        return NotRecorded(f"{self.path} has no answer to {asked_of}: {why}; record it anew with mode='record'")


def _between(wanted: Recorded, line: Recorded) -> Iterable[str]:
    if wanted.body is None or line.body is None:
        return ["the body"]
    return differences(wanted.body, line.body)


def _read(path: Path) -> list[Recorded]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise ConfigurationError(f"there is no cassette at {path}: record it with mode='record'") from None
    found: list[Recorded] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Recorded))
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"{path}:{number}: this is no line of a cassette: {error}") from None
    return found


class _Playing:
    """An answer from the file."""

    def __init__(self, line: Recorded, speed: float, clock: Clock) -> None:
        self._line = line
        self._speed = speed
        self._clock = clock
        self._began = clock.now()
        self._next = 0
        self.status = line.status or 0
        self.headers: Mapping[str, str] = line.answered

    async def head(self) -> None:
        """Wait for the head, as long as it took."""
        if self._line.status is None:
            await self._break()
        await self._until(self._line.seconds)

    async def read(self) -> bytes:
        pieces: list[bytes] = []
        while (piece := await self.more()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def more(self) -> bytes | None:
        line = self._line
        if self._next < len(line.pieces):
            piece = line.pieces[self._next]
            self._next += 1
            await self._until(piece.seconds)
            return unpacked(piece.data)
        if line.broken is not None or line.left:
            await self._break()
        return None

    def release(self) -> None:
        """Nothing is held."""

    async def _break(self) -> NoReturn:
        """The end that was not one."""
        broken = self._line.broken
        if broken is None:
            raise CutOff("the recording ends here, because whoever made it left")
        await self._until(broken.seconds)
        kind = getattr(errors, broken.error, APIConnectionError)
        raise kind(broken.message)

    async def _until(self, seconds: float) -> None:
        if self._speed and (wait := self._began + seconds / self._speed - self._clock.now()) > 0:
            await self._clock.sleep(wait)
