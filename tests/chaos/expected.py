"""Expected: what must come of a call whose provider commits a fault, by the rules and a few facts of the fault.

Owns the rules, said here once more and independently of the engine: which kinds of error may be tried again or moved,
how many attempts a route and its retries allow, and that nothing is done again once content was seen. No cell of the
matrix is written down anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from ways import Way

from trunkline.testing import FAULTS, ChaosServed, ChaosUpstream, Told
from trunkline.vocabulary.errors import (
    AllTargetsFailed,
    APIConnectionError,
    APITimeoutError,
    ContentPolicyError,
    ContextWindowError,
    CutOff,
    InvalidRequestError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)

TEXT, EVENTS = "One two three four.", 4
"""What the upstream says, and in how many pieces it streams that."""

PASSING = (RateLimitError, ServiceError, APIConnectionError, APITimeoutError, ResponseParseError)
"""Errors after which the same target may be asked again."""
ONCE = (ResponseParseError,)
"""Those of them after which a target is asked only once more."""
WRONG = (InvalidRequestError,)
"""Errors after which nobody else is asked either …"""
WRONG_HERE = (ContextWindowError, ContentPolicyError)
"""… but for these, which another model may take."""


class Shape(Struct, frozen=True):
    """A route and its retries, and how long the fault lasts."""

    name: str
    targets: int
    retries: int
    lasts: bool
    """Every request meets the fault; else only the first."""
    same: bool = False
    """All targets have the same model."""


SHAPES = (
    Shape("alone", 1, 0, lasts=True),
    Shape("again", 1, 2, lasts=False),
    Shape("still", 1, 2, lasts=True),
    Shape("moved", 2, 0, lasts=False),
    Shape("twins", 2, 0, lasts=False, same=True),
    Shape("both", 2, 2, lasts=True),
)


def rows() -> Iterator[str]:
    """Every fault of the table; those that count content, before any of it and after some."""
    for name, fault in FAULTS.items():
        yield name
        if fault.parameter == "events":
            yield f"{name}=2"


class Met(Struct, frozen=True):
    """What one attempt meets."""

    error: TrunklineError | None
    """What it ends with; None: it is answered."""
    said: str
    """What a stream has said before that."""
    endless: bool
    """It says so again and again."""
    waits: bool
    """It ends only when a deadline passes."""


def met(fault: str, way: Way, *, passes: bool) -> Met:
    """What an attempt meets. Which kind of error is in the fault's row (a refusal is what its dialect can say of that),
    whether content comes before it in the bytes.
    `passes`: the answer goes on to a caller in the same dialect, and is watched rather than read."""
    row = FAULTS[fault.partition("=")[0]]
    told = told_of(fault, way)
    kind = (row.raises_streamed or row.raises) if way.stream else None if row.streams else row.raises
    said, error = seen(way, told)
    if kind is ResponseParseError and said and passes:
        kind = CutOff  # what follows the content is not decoded: that it broke is seen by the missing end
    if kind is CutOff and isinstance(error, ResponseParseError) and not passes:
        kind = ResponseParseError  # what comes is no frame at all, which a binary framing sees before its end
    if kind is None:
        error = None
    elif not isinstance(error, kind) and (error is None or told.status < 400):
        error = kind("it", status=told.status if told.status >= 400 else None)
    return Met(error, said, told.endless, row.waits)


def told_of(fault: str, way: Way, text: str = TEXT, events: int = EVENTS) -> Told:
    """What the upstream is told to answer, without a connection."""
    upstream = ChaosUpstream([fault], text=text, events=events)
    return upstream.tell(ChaosServed("POST", way.path, {}, msgspec.json.encode(way.body)))


def seen(way: Way, told: Told) -> tuple[str, TrunklineError | None]:
    """What a reader of these bytes has read of a stream when they break, and the error that they hold, as the dialect
    words it."""
    dialect: Any = way.dialect
    read = ""
    if told.silent:
        return read, None
    body = b"".join(told.pieces)
    try:
        if told.status >= 400:
            raise dialect.error_from_wire(told.status, told.headers, body)
        if way.stream:
            decoder = dialect.decoder()
            for line in body.splitlines(keepends=True):
                read += "".join(event.text or "" for event in decoder.feed(line))
        else:
            dialect.reply_from_wire(msgspec.json.decode(body))
    except (TrunklineError, msgspec.DecodeError) as error:
        return read, error if isinstance(error, TrunklineError) else None
    return read, None


class Expected(Struct, frozen=True):
    """What must come of a call."""

    attempts: int
    raises: type[TrunklineError] | None
    """None: it is answered."""
    broken: bool = False
    """After its first content."""


def expected(shape: Shape, met: Met) -> Expected:
    """What the rules make of it."""
    if met.error is None:
        return Expected(1, None)
    kind = type(met.error)
    if met.said:
        return Expected(1, kind, broken=True)
    most = _most(shape, kind)
    if not shape.lasts and most > 1:
        return Expected(2, None)
    return Expected(most, kind if min(most, shape.targets) == 1 else AllTargetsFailed)


def _most(shape: Shape, kind: type[TrunklineError]) -> int:
    """Attempts that are made if all of them fail in this way."""
    if issubclass(kind, WRONG) and (shape.same or not issubclass(kind, WRONG_HERE)):
        return 1
    if not issubclass(kind, PASSING):
        return shape.targets
    if issubclass(kind, ONCE):
        return shape.targets + min(shape.retries, shape.targets)
    return shape.targets + shape.retries


def wait(shape: Shape, error: TrunklineError) -> tuple[float, float]:
    """Between which seconds the second attempt waits."""
    if shape.targets > 1:
        return 0.0, 0.0  # somebody who was not asked yet is ready
    if error.retry_after is not None:
        return error.retry_after, error.retry_after
    return (0.0, 0.0) if isinstance(error, APIConnectionError) else (0.375, 0.625)
