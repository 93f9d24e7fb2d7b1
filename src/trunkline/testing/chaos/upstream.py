"""The chaos upstream: a provider on the loopback that speaks the dialects and fails as it is told.

Owns who decides what goes wrong (the caller, else the script or the mix), and what is kept of each request. What can go
wrong is in `faults`, what is said otherwise in `answers`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from trunkline.testing.scrubbing import shown_headers, shown_url
from trunkline.testing.server import Served, Told, Upstream
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError, TrunklineError
from trunkline.vocabulary.protocols import Dialect
from trunkline.wire import openai_chat

from .answers import Asked, Mark, Place, Saying, place_of, understood
from .choosing import latencies, mixed, scripted
from .draft import Draft
from .faults import OK, Chosen, chosen

HEADER = "x-chaos"
"""The header in which a caller says what its request is to meet."""
MODEL = "chaos:"
"""How the name of a model begins that says the same."""
TEXT = "Whatever can go wrong goes wrong here, on purpose and only when asked."


class ChaosServed(Served):
    """A request that came, and what it met. Keys are left out of its path and its headers."""

    model: str | None = None
    """Who was asked; None where the request was not understood."""
    fault: str = OK
    """What it met, as it was said: `stall=3`."""


class ChaosUpstream(Upstream[ChaosServed]):
    """`async with ChaosUpstream(["429-seconds=2", "ok"]) as upstream`: each request meets the next fault of the list,
    the last one again and again; with `mix={"429": 0.1, "cut": 0.02}` each meets one with that probability. A model's
    name (`chaos:stall=3`) or a header (`x-chaos: stall=3`) decides for one request. `upstream.url` is its address;
    `upstream.served` has the latest `kept` requests.

    `latency` is the seconds before an answer, with a `tail` (sigma) their median: lognormal, with a heavy tail. The
    answer is `text`; streamed, it comes in so many `events`, `gap` seconds apart. `each` is called with every request.
    In a test without a loop, `with` does. Raises ConfigurationError for a fault that there is not.
    """

    keeps = ChaosServed

    def __init__(
        self,
        faults: Sequence[str] = (),
        *,
        mix: Mapping[str, float] | None = None,
        seed: int = 0,
        latency: float = 0.0,
        tail: float = 0.0,
        text: str = TEXT,
        events: int = 8,
        gap: float = 0.0,
        kept: int = 1000,
        port: int = 0,
        clock: Clock | None = None,
        each: Callable[[ChaosServed], object] | None = None,
    ) -> None:
        super().__init__(port=port, clock=clock)
        if mix and faults:
            raise ConfigurationError("a chaos upstream has a list of faults or a mix, not both", param="mix")
        self.served: deque[ChaosServed] = deque(maxlen=kept)
        self.count = 0
        """How many requests have come."""
        self.refused = 0
        """How many connections were turned away before that."""
        self._choices = mixed(mix, seed) if mix else scripted(faults)
        self._latencies = latencies(latency, tail, seed)
        self._saying = Saying.of(text, events)
        self._gap = gap
        self.each = each

    def admits(self) -> bool:
        """A connection is refused where it is certain what its first request is to meet."""
        if not self._choices.see().at_accept:
            return True
        self._choices.take()
        self.refused += 1
        return False

    def tell(self, asked: ChaosServed) -> Told:
        """The answer to a request, and what goes wrong with it."""
        self.count += 1
        self.served.append(asked)
        wish, place = asked.headers.get(HEADER), place_of(asked.path)
        asked.headers, asked.path = shown_headers(asked.headers), shown_url(asked.path)
        told = self._told(asked, wish, place)
        if self.each is not None:
            self.each(asked)
        return told

    def _told(self, asked: ChaosServed, wish: str | None, place: Place | None) -> Told:
        if place is None:
            error = InvalidRequestError(f"nothing is spoken at {asked.path}", status=404, code="unknown_path")
            return _refusal(error, openai_chat)
        try:
            request = understood(place, asked.body)
            asked.model = request.request.model
            choice = self._choice(wish, request.request.model)
        except TrunklineError as error:
            return _refusal(error, place.dialect)
        asked.fault = choice.said
        return self._answer(request, choice)

    def _choice(self, wish: str | None, model: str) -> Chosen:
        """What the caller asks for, else the next of our own."""
        if wish is None and model.startswith(MODEL):
            wish = model.removeprefix(MODEL)
        return chosen(wish) if wish is not None else self._choices.take()

    def _answer(self, request: Asked, choice: Chosen) -> Told:
        wall = self.clock.wall()
        draft = Draft(request, self._saying, Mark(f"chaos-{self.count:08}", int(wall)), wall)
        draft.delay, draft.gap = next(self._latencies), self._gap
        choice.commit(draft)
        return draft.told()


def _refusal(error: TrunklineError, dialect: Dialect) -> Told:
    refused = dialect.error_to_wire(error)
    return Told(status=refused.status, headers=refused.headers, pieces=(refused.body,))
