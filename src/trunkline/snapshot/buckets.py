"""Buckets: what a configuration says of limits and budgets, as the counters want it.

Owns their names, so that whoever shares a limit names the same bucket.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config import Config, LimitsConfig
from trunkline.vocabulary.buckets import Bucket, nanos

EVERYONE = "*"
"""The payer that stands for each one who is not named."""
_REMEMBERED = 10_000


def buckets_of(name: str, said: LimitsConfig) -> tuple[Bucket, ...]:
    """The buckets of one name: what it may use in any minute and at a time, and what it may spend in a period."""
    return tuple(_buckets(name, said))


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
        self._buckets: dict[str | None, tuple[Bucket, ...]] = {}

    def buckets(self, payer: str | None) -> tuple[Bucket, ...]:
        """The limits and budgets that hold for a payer, his owner's included."""
        buckets = self._buckets.get(payer)
        if buckets is None:
            if len(self._buckets) >= _REMEMBERED:
                self._buckets.clear()
            buckets = self._buckets[payer] = self._made(payer)
        return buckets

    def owner(self, payer: str | None) -> str | None:
        """Whom a payer belongs to."""
        said = self._config.payers.get(payer or "") or self._config.payers.get(EVERYONE)
        return said.owner if said is not None else None

    def _made(self, payer: str | None) -> tuple[Bucket, ...]:
        said = self._config.payers.get(payer or "") or self._config.payers.get(EVERYONE)
        own = buckets_of(f"payer:{payer or ''}", said) if said is not None else ()
        owner = self.owner(payer)
        owners = self._config.owners.get(owner) if owner is not None else None
        return (*own, *(buckets_of(f"owner:{owner}", owners) if owners is not None else ()))
