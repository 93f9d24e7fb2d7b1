"""Routes: where the calls to a name may go.

A route is entries in order; an entry is a pool of targets that do the same, and how one of them is chosen. A name that
stands for one target is a route of one entry with one member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from .buckets import NO_BUCKETS, Buckets, nanos
from .rules import Backoff, Timeouts
from .secret import Credential, Secret
from .settings import Settings


class Connections(Struct, frozen=True):
    """Connections that nobody else uses."""

    owner: str
    """The target whose they are."""
    most: int | None = None
    """How many there may be at a time: further requests wait for one. None: as many as there are requests."""
    kept: int | None = None
    """How many are kept for the next request when they are idle; None: all."""


class Target(Struct, frozen=True, kw_only=True):
    """A model at a provider, with the address and the key to reach it there."""

    name: str
    """What callers ask for: `provider/model`, or a name of the configuration."""
    id: str = ""
    """Under which everybody's experience with it is kept: its name, unless others of that name are something else."""
    provider: str
    model: str
    """The model's name at the provider."""
    base_url: str
    key: Secret | Credential | None = None
    """Its key, or what has a fresh one when asked."""
    headers: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    """What else the row's address needs (`api_version`, `deployment`)."""
    buckets: Buckets = NO_BUCKETS
    """Its own limits, and those that it shares with other targets of its account."""
    tags: frozenset[str] = frozenset()
    """Where it has some: it serves only calls that carry one of them."""
    adaptive: bool = False
    """How many attempts it bears at once is learned from its refusals."""
    settings: Settings | None = None
    """Dials of its requests, where the call does not say."""
    connections: Connections | None = None
    """Its own; None: those that everyone shares."""
    retries: int | None = None
    """How often a call may ask it again, beside the call's own count; None: out of that count."""
    timeouts: Timeouts | None = None
    """Those of its attempts, instead of the call's."""
    backoff: Backoff | None = None
    """Instead of the call's."""

    def __post_init__(self) -> None:
        if not self.id:
            force_setattr(self, "id", self.name)


class Member(Struct, frozen=True):
    """A target in an entry's pool."""

    target: Target
    weight: float | None = None
    """Its share of the calls, where the strategy asks for one; None: as its limits say, else 1."""


class Entry(Struct, frozen=True, kw_only=True, dict=True):
    """A pool of targets, and how one of them is chosen."""

    name: str
    members: tuple[Member, ...]
    strategy: str = "ordered"
    options: Mapping[str, Any] = {}
    """What the strategy is told (`by-complexity`: which target for which kind)."""

    @cached_property
    def tagged(self) -> bool:
        """Whether some of its targets serve certain calls only."""
        return any(member.target.tags for member in self.members)

    @cached_property
    def alike(self) -> bool:
        """Whether a call costs the same at each of its targets, and is counted in the same way."""
        targets = [member.target for member in self.members]
        measured = {frozenset(bucket.measure for bucket in target.buckets) for target in targets}
        return len(measured) == len({(target.provider, target.model) for target in targets}) == 1


class Route(Struct, frozen=True, kw_only=True, dict=True):
    """What stands behind a name: entries in order, and other ones for what the first cannot do."""

    name: str
    entries: tuple[Entry, ...]
    on_context_window: tuple[Entry, ...] = ()
    """Where calls go that are too long: larger models."""
    on_content_policy: tuple[Entry, ...] = ()
    buckets: Buckets = NO_BUCKETS
    """Limits and budgets of all its calls together."""
    max_cost: Decimal | None = None
    """US dollars that a call may cost at the most: dearer targets are left out."""

    @cached_property
    def pools(self) -> tuple[Entry, ...]:
        """All its entries, those for special cases too."""
        return (*self.entries, *self.on_context_window, *self.on_content_policy)

    @cached_property
    def several(self) -> bool:
        """Whether more than one target may answer."""
        return sum(len(entry.members) for entry in self.pools) > 1

    @cached_property
    def only(self) -> Member | None:
        """The one target that may answer, where nothing has to be looked at before it is asked."""
        member = self.entries[0].members[0]
        plain = not (self.several or self.counted or self.buckets or member.target.adaptive or member.target.tags)
        return member if plain and self.max_cost is None else None

    @cached_property
    def ceiling(self) -> float:
        """The same as `max_cost`, in nano-dollars; infinite where it is None."""
        return nanos(self.max_cost) if self.max_cost is not None else math.inf

    @cached_property
    def counted(self) -> bool:
        """Whether limits or budgets of its targets count its calls."""
        return any(member.target.buckets for entry in self.pools for member in entry.members)

    @cached_property
    def sized(self) -> bool:
        """Whether it must be known how much a call asks for."""
        return bool(self.counted or self.buckets or self.max_cost is not None or "lowest-cost" in self.strategies)

    @cached_property
    def strategies(self) -> frozenset[str]:
        """How targets are chosen somewhere in it."""
        return frozenset(entry.strategy for entry in self.pools)

    @cached_property
    def learns(self) -> bool:
        """Whether it matters what providers say of the room that is left at their targets."""
        return "most-headroom" in self.strategies
