"""Runtime: what is opened once and borrowed by every client: the clock, the transports, the sinks.

Owns their life. Knows no configuration beyond what it is given and no rule; a reload of the configuration leaves it as
it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import copy

from trunkline.clock import SystemClock
from trunkline.ledger import Ledger
from trunkline.providers.http.transport import HttpTransport
from trunkline.providers.litellm import LitellmTransport
from trunkline.providers.local.transport import LocalTransport
from trunkline.providers.mock import MockAnswer, MockTransport
from trunkline.state.apart import Apart
from trunkline.state.caches import MemoryCache
from trunkline.state.figures import Board
from trunkline.state.lines import Lines
from trunkline.state.memory import MemoryState
from trunkline.telemetry.log import log_sink
from trunkline.telemetry.metrics import Metrics
from trunkline.vocabulary.buckets import State
from trunkline.vocabulary.calls import Clock, Sink
from trunkline.vocabulary.protocols import Transport
from trunkline.vocabulary.stored import Store

CACHE_BYTES = 64 * 2**20


class Runtime:
    """The things that live longer than a call. `close` gives the running loop's connections back."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        mock: Mapping[str, Sequence[MockAnswer]] | None = None,
        sinks: Sequence[Sink] = (log_sink,),
        transports: Mapping[str, Transport] | None = None,
        state: State | None = None,
        store: Store | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.ledger = ledger
        """Where every call is written down; None: nowhere."""
        self.metrics = Metrics()
        """What has been counted of every call."""
        self.sinks = (*((ledger,) if ledger is not None else ()), self.metrics, *sinks)
        self.state: State = state or MemoryState(self.clock)
        """What attempts share: with the other processes, where it is Redis."""
        self.store: Store = store or MemoryCache(self.clock, CACHE_BYTES)
        """Where answers are kept."""
        self.board = Board()
        """What this process has seen of each target."""
        self.apart = Apart()
        """Tells targets apart that its clients call the same."""
        self.lines = Lines()
        """Who waits for a target's slot."""
        http = HttpTransport()
        self.transports: Mapping[str, Transport] = {
            "http": http,
            "local": LocalTransport(http),
            "mock": MockTransport(self.clock, mock),
            "litellm": LitellmTransport(),
            **(transports or {}),
        }

    def beside(self, *, state: State | None = None, store: Store | None = None) -> Runtime:
        """A runtime that shares everything with this one but where its limits are counted, or where its answers are
        kept."""
        other = copy(self)
        other.state, other.store = state or self.state, store or self.store
        return other

    def forget(self) -> None:
        """Forget what this process has learned of targets, what the metrics have counted, and the answers that are kept
        in memory. Limits, budgets, the ledger and connections go on."""
        self.board.clear()
        if isinstance(self.state, MemoryState):
            self.state.rests.clear()
        self.metrics.reset()
        if isinstance(self.store, MemoryCache):
            self.store.clear()

    async def close(self) -> None:
        """Close the running loop's connections; safe to call again."""
        for transport in self.transports.values():
            await transport.close()
        await self.state.close()
        await self.store.close()
        if self.ledger is not None:
            await asyncio.to_thread(self.ledger.close)
