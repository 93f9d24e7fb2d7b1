"""Opening: what a configuration wants opened for longer than a call: the state, the cache's store, the ledger.

Owns which of them stands behind which word of the configuration, and that budgets begin with what the ledger says was
spent. Their life is the runtime's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trunkline.clock import SystemClock
from trunkline.config import Config, LimitsConfig
from trunkline.ledger import Ledger, Spent, default_folder
from trunkline.providers.mock import MockAnswer
from trunkline.runtime import Runtime
from trunkline.snapshot.buckets import EVERYONE, buckets_of
from trunkline.state.caches import DiskCache, MemoryCache, RedisCache
from trunkline.state.memory import MemoryState
from trunkline.state.redis import RedisState
from trunkline.telemetry.log import log_sink
from trunkline.vocabulary.buckets import Period, State
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.stored import Store

logger = logging.getLogger("trunkline")

OFF = "off"
"""What the configuration says for no ledger."""


def opened(
    config: Config, *, mock: Mapping[str, Sequence[MockAnswer]] | None = None, ledger: Path | None = None
) -> Runtime:
    """What a configuration wants. `ledger`: the folder where it names none; None: no ledger then."""
    clock = SystemClock()
    folder = folder_of(config) if config.ledger else ledger
    book = Ledger(folder, clock) if folder is not None else None
    return Runtime(
        clock=clock,
        mock=config.mock if mock is None else mock,
        sinks=(log_sink,),
        ledger=book,
        state=state_of(config, clock, book),
        store=store_of(config, clock),
    )


def folder_of(config: Config) -> Path | None:
    """The folder of the ledger; None for none."""
    if config.ledger == OFF:
        return None
    return Path(config.ledger).expanduser() if config.ledger else default_folder()


def state_of(config: Config, clock: Clock, ledger: Ledger | None = None) -> State:
    """Where limits, budgets and rests are counted; budgets begin with what the ledger says was spent."""
    said = config.state
    if not said.url:
        state = MemoryState(clock)
        if ledger is not None:
            _seed(state, config, ledger)
        return state
    shared = RedisState(said.url, clock, fail=said.fail, replicas=said.replicas, lease=said.lease)
    if ledger is not None:  # what it says takes a moment to read, and calls go on meanwhile
        shared.on_emptied = lambda: threading.Thread(target=_seed, args=(shared, config, ledger), daemon=True).start()
    return shared


def store_of(config: Config, clock: Clock) -> Store:
    """Where answers are kept."""
    said = config.cache
    if said.store == "disk":
        return DiskCache(Path(said.path).expanduser(), clock, said.max_bytes)
    if said.store == "redis":
        return RedisCache(config.state.url or "", clock, meanwhile=MemoryCache(clock, said.max_bytes, said.max_entries))
    return MemoryCache(clock, said.max_bytes, said.max_entries)


def _seed(state: State, config: Config, ledger: Ledger) -> None:
    spent: dict[str, int] = {}
    try:
        spent = spent_of(config, ledger)
    except ConfigurationError as error:
        logger.warning("budgets begin at nothing: %s", error.message)
    state.seed(spent)


def spent_of(config: Config, ledger: Ledger) -> dict[str, int]:
    """What budgets have spent in their present period, by their key in a store. Raises ConfigurationError where the
    ledger cannot be read."""
    by_period: dict[Period, Mapping[str, Spent]] = {}
    found: dict[str, int] = {}
    for name, said, sources in _budgets(config):
        if said.budget is None:
            continue
        period = said.budget.per
        if period not in by_period:
            by_period[period] = ledger.spent(period)
        spent = by_period[period]
        for owner in _named(name, spent, config):
            for bucket in buckets_of(owner, said):
                if bucket.period is not None:
                    total = sum(getattr(spent.get(each, Spent()), bucket.measure) for each in sources or (owner,))
                    found[bucket.key] = found.get(bucket.key, 0) + total
    return {key: total for key, total in found.items() if total}


def _budgets(config: Config) -> Iterator[tuple[str, LimitsConfig, tuple[str, ...]]]:
    """Whatever may have a budget, by its bucket's name, and of whose spending its own is made, if not of its own."""
    yield from ((f"payer:{name}", said, ()) for name, said in config.payers.items())
    yield from ((f"owner:{name}", said, ()) for name, said in config.owners.items())
    yield from ((f"route:{name}", said, ()) for name, said in config.routes.items())
    yield from ((f"target:{name}", said, ()) for name, said in config.targets.items())
    for name, said in config.buckets.items():
        sharers = [f"target:{each}" for each, target in config.targets.items() if name in target.buckets]
        yield f"bucket:{name}", said, tuple(sharers)


def _named(name: str, spent: Mapping[str, Spent], config: Config) -> Iterator[str]:
    """The names that a word of the configuration means: `*` is each payer who has none of his own."""
    if name != f"payer:{EVERYONE}":
        yield name
        return
    own = {f"payer:{payer}" for payer in config.payers}
    yield from (each for each in spent if each.startswith("payer:") and each not in own)
