"""Calls: a request on its way, and the answer on its way back.

Owns the shapes that the engine's steps hand to one another. Knows no API and no network: an open stream reaches it as
an iterator that somebody else made.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from .decisions import Attempt, Considered, Decision, OutcomeKind
from .errors import TrunklineError
from .events import Event
from .replies import AnyReply, Loss
from .requests import AnyRequest, Operation, Words
from .routes import Route, Target
from .rules import Rules, Timeouts
from .tools import ResponseFormat
from .usage import Cost, Usage


class Clock(Protocol):
    """Where the time comes from. Everything that waits, waits here; a test turns the hands itself."""

    def now(self) -> float:
        """Seconds on a clock that never jumps, for durations and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for dates."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def deadline(self, when: float | None) -> AbstractAsyncContextManager[Any]:
        """Cancels its body with `TimeoutError` when `now()` passes `when`; None never does."""
        ...

    def alarm(self, when: float | None, ring: Callable[[], object], *, exact: bool = True) -> Callable[[], object]:
        """Calls `ring` when `now()` passes `when`, unless the function it gives back is called before. One that need
        not be exact, a few milliseconds, costs less where there are many."""
        ...


class Call:
    """A request on its way: what is asked, of whom, under which rules, and what has been tried."""

    __slots__ = (
        "_read",
        "_request",
        "attempts",
        "deadline",
        "decision",
        "id",
        "keep",
        "model",
        "operation",
        "route",
        "rules",
        "started",
        "stream",
        "target",
        "words",
    )

    def __init__(
        self,
        *,
        operation: Operation,
        model: str,
        target: Target,
        rules: Rules,
        stream: bool = False,
        request: AnyRequest | None = None,
        words: Words | None = None,
        read: Callable[[Words], AnyRequest] | None = None,
        route: Route | None = None,
        at: float = 0.0,
        started: float = 0.0,
        deadline: float | None = None,
    ) -> None:
        self.id = new_id(at)
        self.operation: Operation = operation
        self.model = model
        """The name the caller asked for."""
        self.target = target
        """Whom the current attempt asks."""
        self.rules = rules
        self.stream = stream
        self.words = words
        """The body as it arrived, for a target that speaks the same dialect; None when the library made the request."""
        self.started = started
        """The clock's `now()` when the call began."""
        self.deadline = deadline
        """The clock's `now()` at which the caller has waited long enough."""
        self.attempts: list[Attempt] = []
        self.route = route
        """What stands behind the name; None: its one target."""
        self.decision: Decision | None = None
        """How its target was found."""
        self.keep = False
        """The bytes of its answer are wanted when it has ended (`Answer.kept`)."""
        self._request = request
        self._read = read

    @property
    def request(self) -> Any:
        """The request in the neutral vocabulary, read from its words when first needed: a pass-through never does."""
        if self._request is None:
            assert self.words is not None and self._read is not None, "a call has a request or words to read"
            self._request = self._read(self.words)
        return self._request

    @property
    def decided(self) -> Decision:
        """How its target was found, with every attempt that was made."""
        decision = self.decision
        if decision is None:
            name = self.target.name
            decision = self.decision = Decision(
                route=self.model, strategy="ordered", considered=[Considered(target=name, entry=self.model)]
            )
        decision.attempts = self.attempts
        return decision

    @property
    def timeouts(self) -> Timeouts | None:
        """Those of the current attempt."""
        return self.target.timeouts or self.rules.timeouts

    def asking(self, request: AnyRequest) -> Call:
        """The same call, with the same attempts and deadline, that asks something else."""
        other = copy(self)
        other._request, other.words = request, None
        return other


class Outcome(Struct, frozen=True, kw_only=True):
    """How an answer ended, exactly once."""

    kind: OutcomeKind
    usage: Usage | None = None
    finish: str | None = None
    tier: str | None = None
    """The service tier that served it, in the provider's word; None for the standard one."""
    made: tuple[str, ...] = ()
    """What lives on at the provider, by the names that a later call may use."""
    error: TrunklineError | None = None


class Answer:
    """What a step gives back: a whole reply, or a stream that is open because its first content is in hand.

    An answer ends exactly once, with an `Outcome`. Policies settle in `on_end` and never wrap the iterator; what they
    register is called synchronously, under cancellation too, and must only post.
    """

    __slots__ = (
        "_endings",
        "_reply",
        "_whole",
        "body",
        "chunks",
        "cost",
        "dialect",
        "events",
        "first_content",
        "headers",
        "kept",
        "loss",
        "outcome",
        "passes",
        "release",
        "request_id",
        "signer",
        "target",
        "unheld",
    )

    def __init__(
        self,
        *,
        target: Target,
        dialect: str,
        signer: str | None = None,
        headers: Mapping[str, str],
        request_id: str | None,
        loss: tuple[Loss, ...] = (),
        unheld: ResponseFormat | None = None,
        passes: bool = False,
        body: bytes | None = None,
        whole: Callable[[Answer], AnyReply] | None = None,
        events: AsyncGenerator[list[Event], None] | None = None,
        chunks: AsyncGenerator[bytes, None] | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self.target = target
        self.dialect = dialect
        self.signer = signer
        """Whose signatures are in it (`Facts.signer`)."""
        self.headers = headers
        """The provider's headers that concern a caller: request id and rate limits."""
        self.request_id = request_id
        self.loss = loss
        self.unheld = unheld
        """The form that the caller wants of it, where nobody held the model to it: it must be checked."""
        self.passes = passes
        """The caller's own dialect came back: `body` or `chunks` go out as they are."""
        self.body = body
        """The whole body as it came, for an answer that does not stream."""
        self.events = events
        """An open stream, as lists of events: one list for each piece that came from the network."""
        self.chunks = chunks
        """An open stream in the caller's own dialect, as bytes that end at event boundaries."""
        self.kept: list[bytes] | None = None
        """The bytes of a stream as they came, where the call wants them (`Call.keep`)."""
        self.release = release
        """Gives the connection up, at once; safe to call again and from `on_end`."""
        self.first_content: float | None = None
        self.cost: Cost | None = None
        self.outcome: Outcome | None = None
        self._whole = whole
        self._reply: AnyReply | None = None
        self._endings: list[Callable[[Answer, Outcome], None]] = []

    @property
    def streams(self) -> bool:
        """Whether more is to come."""
        return self._whole is None

    def whole(self) -> Any:
        """The reply, for an answer that does not stream: read when first asked for."""
        if self._reply is None:
            assert self._whole is not None, "a stream has no whole reply"
            self._reply = self._whole(self)
        return self._reply

    def fail(self, error: TrunklineError) -> None:
        """What came is not what was asked for, and was paid for all the same: its reply is the error."""

        def broken(_: Answer) -> AnyReply:
            raise error

        self._whole, self._reply = broken, None
        self.outcome = replace(self.outcome or Outcome(kind="error"), kind="error", error=error)

    def on_end(self, fn: Callable[[Answer, Outcome], None]) -> None:
        """Call `fn(answer, outcome)` when this answer has ended: at once if it has."""
        if self.outcome is None:
            self._endings.append(fn)
        else:
            fn(self, self.outcome)

    def end(self, outcome: Outcome) -> None:
        """The answer has ended; the first word stands."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        endings, self._endings = self._endings, []
        for fn in endings:  # the innermost policy registers first: it settles before others look
            fn(self, outcome)

    def abandon(self) -> None:
        """Nobody wants the rest: give the connection up and end as cancelled, if it has not ended."""
        if self.release is not None:
            self.release()
        self.end(Outcome(kind="cancelled"))


Step = Callable[[Call], Awaitable[Answer]]
"""Answers a call, perhaps with the help of the next step."""

Policy = Callable[[Step], Step]
"""Wraps a step in a rule."""


class Record(Struct, kw_only=True, omit_defaults=True):
    """What one call came to: one line of the ledger. Holds no prompt, no answer and no key."""

    id: str
    at: float
    """Seconds since 1970 when it began."""
    operation: Operation
    model: str
    """The name the caller asked for."""
    target: str | None
    provider: str | None
    stream: bool
    seconds: float
    first_content: float | None = None
    """Seconds until the first content of a stream."""
    outcome: OutcomeKind
    finish: str | None = None
    error: str | None = None
    status: int | None = None
    usage: Usage | None = None
    tier: str | None = None
    cost: Cost | None = None
    request_id: str | None = None
    payer: str | None = None
    tags: tuple[str, ...] = ()
    owner: str | None = None
    """Whom the payer belongs to."""
    route: str | None = None
    waited: float = 0.0
    """Seconds that it waited for limits and before retries."""
    cached: bool = False
    """It was answered from the cache: nobody was asked and nothing was spent."""
    loss: tuple[str, ...] = ()
    """The fields that could not be said to the target."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])


class Sink(Protocol):
    """Receives one Record per finished call. Must not raise and must not block."""

    def __call__(self, record: Record, /) -> None: ...


def new_id(at: float = 0.0) -> str:
    """An id of ours for a call, never a provider's: its time (seconds since 1970, to the millisecond) and 10 random
    bytes as text, so that ids sort by time. Its attempts are numbered behind it."""
    return f"tl_{int(at * 1000):012x}{os.urandom(10).hex()}"
