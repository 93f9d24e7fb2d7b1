"""Loopless: the chaos upstream behind a transport without sockets, as cheap as a call in the same process can be.

Owns how what the upstream is told to answer looks to the engine: a head and pieces, and an end as bad as the fault
says. Each answer is made once for its path and its fault. Time passes on the clock alone.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from urllib.parse import urlsplit

from trunkline.testing import ChaosServed, ChaosUpstream, FakeClock, Told
from trunkline.vocabulary.errors import APIConnectionError, CutOff
from trunkline.vocabulary.protocols import Receiving, Sending

PULSE = 0.1
"""Seconds of the clock that pass for everybody in a turn of a provider who stalls."""


class Loopless:
    """A transport. `mix`: each fault, and how often; `latency`: seconds before an answer, on the average."""

    def __init__(self, clock: FakeClock, mix: Mapping[str, float], seed: int, latency: float) -> None:
        self._clock = clock
        self._faults = [*mix, "ok"]
        self._bounds = list(accumulate(mix.values()))
        self._dice = random.Random(seed)
        self._latency = latency
        self._upstreams = {fault: ChaosUpstream([fault], clock=clock, events=4) for fault in self._faults}
        self._told: dict[tuple[str, str, bool], Told] = {}
        self.met: Counter[str] = Counter()
        self.count = 0
        """Requests so far."""
        self.open = 0
        """Answers that have not been given up."""

    async def send(self, request: Sending) -> Receiving:
        """Answer, after a while, as the dice say."""
        fault = self._faults[bisect(self._bounds, self._dice.random())]
        self.met[fault] += 1
        self.count += 1
        await self._clock.sleep(self._dice.expovariate(1 / self._latency))
        told = self._answer(request, fault)
        if told.silent:
            raise APIConnectionError("the connection broke before the head")
        self.open += 1
        return _Heard(told, self._clock, self)

    def _answer(self, request: Sending, fault: str) -> Told:
        path = urlsplit(request.url).path
        place = path, fault, b'"stream":true' in request.body
        told = self._told.get(place)
        if told is None:
            asked = ChaosServed(request.method, path, {}, request.body)
            told = self._told[place] = self._upstreams[fault].tell(asked)
        return told

    async def close(self) -> None:
        """Nothing is open."""


class _Heard:
    """An answer whose head has come."""

    def __init__(self, told: Told, clock: FakeClock, through: Loopless) -> None:
        self._told = told
        self._clock = clock
        self._through = through
        self._next = 0
        self._released = False
        self.status = told.status
        self.headers = told.headers

    async def read(self) -> bytes:
        pieces: list[bytes] = []
        while (piece := await self.more()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def more(self) -> bytes | None:
        await self._clock.sleep(0.001)
        if self._released:
            raise APIConnectionError("the connection is closed")
        if self._next < len(self._told.pieces):
            self._next += 1
            return self._told.pieces[self._next - 1]
        while self._told.hang and not self._released:
            await self._clock.sleep(PULSE)
        if self._told.cut or self._told.reset or self._told.hang:
            raise CutOff("the connection broke in the middle of the answer")
        self.release()
        return None

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._through.open -= 1
