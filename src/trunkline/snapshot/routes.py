"""Routes: what a configuration says of names, as the entries that a call goes through.

Owns the order in which fallbacks are tried: a route's own targets, then each of its fallbacks with what that one falls
back to, every pool at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from trunkline.config import Config, RouteConfig
from trunkline.vocabulary.requests import Operation
from trunkline.vocabulary.routes import Entry, Member, Route, Target

from .buckets import buckets_of

TargetOf = Callable[[str, Operation], Target]
"""The target that answers to a name."""

_REMEMBERED = 10_000
"""Callers may send any name; memory stays bounded."""


class Routes:
    """The routes behind all names, made when they are first asked for."""

    def __init__(self, config: Config, target_of: TargetOf) -> None:
        self._config = config
        self._target = target_of
        self._made: dict[tuple[str, Operation, tuple[str, ...] | None], Route] = {}

    def find(self, name: str, operation: Operation, fallbacks: tuple[str, ...] | None) -> Route:
        """What stands behind a name. `fallbacks` are the caller's own, instead of the route's; None: as configured."""
        key = (name, operation, fallbacks)
        route = self._made.get(key)
        if route is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            route = self._made[key] = self._make(name, operation, fallbacks)
        return route

    def _make(self, name: str, operation: Operation, fallbacks: tuple[str, ...] | None) -> Route:
        said = self._config.routes.get(name)
        entries = tuple(self._entries(name, operation, fallbacks, set()))
        if said is None:
            return Route(name=name, entries=entries)
        return Route(
            name=name,
            entries=entries,
            on_context_window=self._pools(said.on_context_window, operation),
            on_content_policy=self._pools(said.on_content_policy, operation),
            buckets=buckets_of(f"route:{name}", said),
            max_cost=said.max_cost,
        )

    def _entries(
        self, name: str, operation: Operation, fallbacks: Iterable[str] | None, seen: set[str]
    ) -> Iterator[Entry]:
        if name in seen:
            return
        seen.add(name)
        yield self._pool(name, operation)
        said = self._config.routes.get(name)
        if fallbacks is None:
            fallbacks = said.fallbacks if said is not None else ()
        for other in fallbacks:
            yield from self._entries(other, operation, None, seen)

    def _pools(self, names: Iterable[str], operation: Operation) -> tuple[Entry, ...]:
        return tuple(self._pool(name, operation) for name in names)

    def _pool(self, name: str, operation: Operation) -> Entry:
        said = self._config.routes.get(name)
        if said is None:
            return Entry(name=name, members=(Member(self._target(name, operation)),))
        members = tuple(Member(self._target(each, operation), said.weights.get(each)) for each in said.targets)
        return Entry(
            name=name, members=members, strategy=said.strategy, options=_options(said, self._target, operation)
        )


def _options(said: RouteConfig, target_of: TargetOf, operation: Operation) -> dict[str, str]:
    """Which target for which kind, by the targets' full names."""
    return {kind: target_of(name, operation).name for kind, name in said.kinds.items()}
