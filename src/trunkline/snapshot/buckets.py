"""Buckets: what a configuration says of limits and budgets, as the counters want it.

Owns their names, so that whoever shares a limit names the same bucket.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config import Config, LimitsConfig
from trunkline.vocabulary.buckets import Bucket, Buckets, nanos
from trunkline.vocabulary.routes import Route

EVERYONE = "*"
"""The payer that stands for each one who is not named."""
_REMEMBERED = 10_000


def buckets_of(name: str, said: LimitsConfig) -> Buckets:
    """The buckets of one name: what it may use in any minute and at a time, and what it may spend in a period."""
    return Buckets(_buckets(name, said))


def _buckets(name: str, said: LimitsConfig) -> Iterator[Bucket]:
    if said.rpm is not None:
        yield Bucket(name=name, measure="requests", limit=said.rpm)
    if said.tpm is not None:
        yield Bucket(name=name, measure="tokens", limit=said.tpm)
    if said.concurrency is not None:
        yield Bucket(name=name, measure="slots", limit=said.concurrency)
    if said.budget is not None and said.budget.usd is not None:
        yield Bucket(name=name, measure="money", limit=nanos(said.budget.usd), period=said.budget.per)
    if said.budget is not None and said.budget.tokens is not None:
        yield Bucket(name=name, measure="tokens", limit=said.budget.tokens, period=said.budget.per)


class Payers:
    """Who pays: the buckets of each payer and of his owner. Payers may have any name, so only some are remembered."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._buckets: dict[tuple[str | None, str | None], Buckets] = {}

    def buckets(self, payer: str | None, route: Route) -> Buckets:
        """The limits and budgets that hold for a payer's calls to a route: his own, his owner's and the route's."""
        named = payer, route.name if route.buckets else None
        buckets = self._buckets.get(named)
        if buckets is None:
            if len(self._buckets) >= _REMEMBERED:
                self._buckets.clear()
            buckets = self._buckets[named] = Buckets((*self._own(payer), *route.buckets))
        return buckets

    def owner(self, payer: str | None) -> str | None:
        """Whom a payer belongs to."""
        said = self._config.payers.get(payer or "") or self._config.payers.get(EVERYONE)
        return said.owner if said is not None else None

    def _own(self, payer: str | None) -> Iterator[Bucket]:
        said = self._config.payers.get(payer or "") or self._config.payers.get(EVERYONE)
        if said is not None:
            yield from _buckets(f"payer:{payer or ''}", said)
        owner = self.owner(payer)
        owners = self._config.owners.get(owner) if owner is not None else None
        if owners is not None:
            yield from _buckets(f"owner:{owner}", owners)
