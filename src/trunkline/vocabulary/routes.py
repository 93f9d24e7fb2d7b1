"""Routes: where the calls to a name may go, and what was decided for one of them.

A route is entries in order; an entry is a pool of targets that do the same, and how one of them is chosen. A name that
stands for one target is a route of one entry with one member.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from .buckets import Bucket
from .secret import Credential, Secret


class Target(Struct, frozen=True, kw_only=True):
    """A model at a provider, with the address and the key to reach it there."""

    name: str
    """What callers ask for: `provider/model`, or a name of the configuration."""
    provider: str
    model: str
    """The model's name at the provider."""
    base_url: str
    key: Secret | Credential | None = None
    """Its key, or what has a fresh one when asked."""
    headers: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    """What else the row's address needs (`api_version`, `deployment`)."""
    buckets: tuple[Bucket, ...] = ()
    """Its own limits, and those that it shares with other targets of its account."""
    tags: frozenset[str] = frozenset()
    """Where it has some: it serves only calls that carry one of them."""
    adaptive: bool = False
    """How many attempts it bears at once is learned from its refusals."""


class Member(Struct, frozen=True):
    """A target in an entry's pool."""

    target: Target
    weight: float | None = None
    """Its share of the calls, where the strategy asks for one; None: as its limits say, else 1."""


class Entry(Struct, frozen=True, kw_only=True):
    """A pool of targets, and how one of them is chosen."""

    name: str
    members: tuple[Member, ...]
    strategy: str = "ordered"
    options: Mapping[str, Any] = {}
    """What the strategy is told (`by-complexity`: which target for which kind)."""


class Route(Struct, frozen=True, kw_only=True):
    """What stands behind a name: entries in order, and other ones for what the first cannot do."""

    name: str
    entries: tuple[Entry, ...]
    on_context_window: tuple[Entry, ...] = ()
    """Where calls go that are too long: larger models."""
    on_content_policy: tuple[Entry, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    """Limits and budgets of all its calls together."""
    max_cost: Decimal | None = None
    """US dollars that a call may cost at the most: dearer targets are left out."""


class Considered(Struct, omit_defaults=True):
    """A target that a call might have gone to."""

    target: str
    entry: str
    why: str | None = None
    """Why it was not asked when its turn came; None where it was a candidate."""
    score: float | None = None
    """What its strategy compares, the least first."""


class Decision(Struct, omit_defaults=True, kw_only=True):
    """How a call found its target: the same in `reply.route`, the gateway's header, the log and `trunkline explain`."""

    route: str
    strategy: str
    """That of the entry which was chosen from last."""
    considered: list[Considered] = field(default_factory=list[Considered])
    because: str | None = None
    """What the strategy saw in the request (its complexity, its prefix, its pin)."""
    waited: float = 0.0
    """Seconds that the call waited for limits and before retries."""
