"""Rules: what the caller, or the configuration, says about how a call is to be made.

They travel in the call. A policy reads them and holds none of its own; an interface only supplies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from .facts import Unsupported

_Seconds = Annotated[float, Meta(gt=0, extra={"words": "a number of seconds above 0"})]
_SecondsFromZero = Annotated[float, Meta(ge=0, extra={"words": "a number of seconds from 0 up"})]
_Rate = Annotated[float, Meta(gt=0, extra={"words": "a number above 0"})]
_Count = Annotated[int, Meta(ge=0, extra={"words": "a whole number from 0 up"})]
_Share = Annotated[float, Meta(ge=0, le=1, extra={"words": "a share from 0 to 1"})]


class OfKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for one kind of error. None: as for all kinds."""

    retries: Annotated[
        _Count | None,
        Meta(description="How many of a call's retries it may use, even if it is of those that do not pass."),
    ] = None
    first: Annotated[_SecondsFromZero | None, Meta(description="Seconds before the first retry.")] = None
    moves: Annotated[
        bool, Meta(description="Ask the next target too, where it would refuse the same: for invalid requests.")
    ] = False


class Backoff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait before a retry: `first · factor^n` seconds, give or take `jitter`, at the most `longest`."""

    first: Annotated[_SecondsFromZero, Meta(description="Seconds before the first retry.")] = 0.5
    factor: Annotated[float, Meta(ge=1, description="How much longer each next wait is.")] = 2.0
    longest: Annotated[
        _Seconds,
        Meta(description="The longest wait. A provider that asks for more is not asked again by the call."),
    ] = 60.0
    jitter: Annotated[_Share, Meta(description="The share by which a wait may be shorter or longer.")] = 0.25
    kinds: Annotated[
        Mapping[str, OfKind], Meta(description="What is different for a kind of error: `RateLimitError`, ….")
    ] = {}


class Timeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each part of an attempt may take, in seconds. None: as long as the call may."""

    connect: Annotated[_Seconds | None, Meta(description="Until a connection stands.")] = None
    first_content: Annotated[
        _Seconds | None, Meta(description="From sending to the first content of a stream, or to a whole answer.")
    ] = None
    idle: Annotated[_Seconds | None, Meta(description="Between two pieces of a stream.")] = None
    throughput: Annotated[
        _Rate | None,
        Meta(description="The fewest bytes of a stream in a second, over any ten. A token has 20 to 300."),
    ] = None


class Hedge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask a second target when the first is slow; the first content wins."""

    after: Annotated[
        _Seconds | None,
        Meta(description="Seconds; else what 95 of 100 of the target's answers needed lately."),
    ] = None
    share: Annotated[
        _Share, Meta(description="The share of a pool's attempts in a minute that are hedged at the most.")
    ] = 0.1


Check = Any
"""A function: takes a whole `Reply`, and gives a sentence, or None where nothing is wrong."""


class Rules(Struct, frozen=True, kw_only=True):
    """What is said about how a call is to be made. None: the configuration's."""

    timeout: float | None = None
    """Seconds for the whole call, every attempt included."""
    timeouts: Timeouts | None = None
    retries: int | None = None
    """How often the call may ask again where it has asked before. Asking another target for the first time is none."""
    attempts: int | None = None
    """The most attempts that a call makes at all."""
    backoff: Backoff | None = None
    fallbacks: tuple[str, ...] | None = None
    """Routes or targets to try, in order, when the first cannot answer."""
    hedge: Hedge | None = None
    truncate: bool | None = None
    """Leave the oldest turns out where a conversation is too long, rather than fail."""
    truncate_prompt: bool | None = None
    """Where there are no such turns, leave the middle of the prompt itself out."""
    check: Check | None = None
    """Says what is wrong with a whole answer. One that is wrong is asked for once more, and then of somebody else."""
    cache: bool | None = None
    tags: tuple[str, ...] = ()
    payer: str | None = None
    """Who the call is charged to: its limits, its budgets and its share of the cache."""
    priority: int = 0
    """Who waits for the same slot goes in this order, the highest first."""
    max_cost: Decimal | None = None
    """US dollars that the call may cost at the most: dearer targets are left out."""
    extra_headers: Mapping[str, str] = {}
    extra_body: Mapping[str, Any] = {}
    on_unsupported: Unsupported | None = None
    explain: bool = False
    """The gateway tells in a header how the target was found."""
    traceparent: str | None = None
    """The caller's trace (W3C), passed on to the provider."""
