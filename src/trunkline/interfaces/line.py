"""Line: what the interfaces of one process share, so that limits, ledger and connections are the same for all.

Owns the one runtime under them, and that a client of theirs knows what the machine's configuration says beside its own
words. The environment is read at the first use and by `reload`, never at import.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.client import AsyncClient
from trunkline.config import Config, book_of, catalog_of, load
from trunkline.opening import opened, state_of, store_of
from trunkline.portal import Client
from trunkline.providers.function import OWN_MODEL, Function, function_provider
from trunkline.providers.provider import Provider
from trunkline.runtime import Runtime
from trunkline.telemetry import page
from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError, CutOff, InvalidRequestError


class Place(Struct, frozen=True):
    """Where calls go: a target as a configuration says it, and the row behind it where the catalog has none."""

    target: Mapping[str, Any]
    rows: tuple[Provider, ...] = ()

    @property
    def in_python(self) -> bool:
        """It is a function of the program's own."""
        return bool(self.rows)


def place_of_function(name: str, function: Function) -> Place:
    """A Python function in the place of a target."""
    row = function_provider(f"python-{name.replace('/', '-')}", function)
    return Place({"model": f"{row.name}/{OWN_MODEL}", "retries": 0}, (row,))


T = TypeVar("T", AsyncClient, Client)
One = TypeVar("One")


class Line:
    """The machine's configuration (`trunkline.yaml` and `TRUNKLINE_*`), and the runtime that it opens."""

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.config = load()
        self.runtime = runtime or opened(self.config)
        self.catalog = catalog_of(self.config)
        self.book = book_of(self.config)

    def client(
        self,
        said: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
        *,
        providers: Sequence[Provider] = (),
        kind: type[T] = AsyncClient,
    ) -> T:
        """A client with what is `said`, as in a configuration file, beside what the machine's says, and with rows of
        its own. Where `state` is said, its limits are counted there; where it says more of `cache` than that there is
        one, its answers are kept apart. What it learns of its own targets is its own. Raises ConfigurationError where
        it makes no sense."""
        try:
            own = msgspec.convert(said, Config)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$.")
            raise ConfigurationError(f"{where.rstrip('`')}: {what[:1].lower()}{what[1:]}") from None
        for name, target in own.targets.items():
            if wrong := next((each for each, value in target.headers.items() if not value.isprintable()), None):
                raise ConfigurationError(f"{name}: the header {wrong} must be one line of text", param=wrong)
        machine = self.config
        whole = replace(
            own,
            targets={**machine.targets, **own.targets},
            routes={**machine.routes, **own.routes},
            providers={**machine.providers, **own.providers},
            prices={**machine.prices, **own.prices},
            mock={**machine.mock, **own.mock},
            buckets={**machine.buckets, **own.buckets},
            payers=machine.payers,
            owners=machine.owners,
            unpriced=machine.unpriced,
        )
        clock = self.runtime.clock
        runtime = self.runtime.beside(
            state=state_of(own, clock) if "state" in said else None,
            store=store_of(own, clock) if {*said.get("cache", ())} - {"always"} else None,
        )
        return kind(whole, env=env, runtime=runtime, providers=providers, alone=own.targets)

    def asking(self, places: Mapping[str, Place], **said: Any) -> AsyncClient:
        """A client that asks these in order, each when those before it fail; what is `said` holds for all of them."""
        targets = {name: place.target for name, place in places.items()}
        rows = [row for place in places.values() for row in place.rows]
        return self.client({**chain(targets, {}), **said}, providers=rows)


class Once(Generic[One]):
    """The process' one of its kind, made at the first use."""

    def __init__(self, make: Callable[[], One]) -> None:
        self._make = make
        self._making = threading.Lock()
        self.made: One | None = None

    def __call__(self) -> One:
        if self.made is None:
            with self._making:
                self.made = self.made or self._make()
        return self.made

    def forget(self) -> None:
        """The next use makes it anew."""
        self.made = None


_line = Once(Line)
_forget: list[Callable[[], object]] = []


def line() -> Line:
    """The process' line."""
    return _line()


def placed(model: str, provider: str | None = None) -> tuple[str, str]:
    """Provider and name of a model: as it is written (`provider/model`, or a provider with a model of its own), else at
    the provider that is said, else at its lab's. One that nobody knows speaks as OpenAI does."""
    machine = line()
    written, slash, name = machine.config.targets[model].model.partition("/") if named(model) else model.partition("/")
    known = machine.catalog if slash else machine.catalog.names()  # a bare name is looked for in no package
    if written in known and (name := name or machine.catalog[written].own_models.get("chat", "")):
        return written, name
    return provider or machine.book.home(model) or "openai", model


def named(model: str) -> bool:
    """Whether it is a target of the machine's configuration, which is asked as it stands there."""
    return model in line().config.targets


CHAIN = "chain of targets"
"""The route that `chain` makes."""
FOREVER = 86_400.0
"""Seconds: a call has no deadline of its own, its attempts have."""


def manner(
    *,
    retries: int,
    timeout: float,
    first: float,
    network_at_once: bool = False,
    always_moves: bool = False,
    kinds: Mapping[str, Any] | None = None,
    **backoff: Any,
) -> dict[str, Any]:
    """How a target is asked, as a configuration says it. `timeout` is that of an attempt; `first` the seconds before
    the first retry, after any failure, unless a broken network is asked again at once, as is the engine's own way.
    `always_moves`: the next target is asked after an invalid request, too."""
    broken = () if network_at_once else (APIConnectionError.kind, CutOff.kind)
    network: dict[str, Any] = {kind: {"first": first} for kind in broken}
    if always_moves:
        network[InvalidRequestError.kind] = {"moves": True}
    return {
        "retries": retries,
        "timeouts": {"first_content": timeout, "idle": timeout},
        "backoff": {"first": first, **backoff, "kinds": {**network, **(kinds or {})}},
    }


def chain(targets: Mapping[str, Mapping[str, Any]], manner: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of targets that are tried in order; nothing is said of those that are `named`. The
    `manner` is that of each which has none of its own."""
    return {
        "model": CHAIN,
        "targets": {name: target for name, target in targets.items() if target},
        "routes": {CHAIN: {"targets": [*targets][:1], "strategy": "ordered", "fallbacks": [*targets][1:]}},
        "timeout": FOREVER,
        **manner,
    }


def metrics_page() -> str:
    """What has been counted of all calls through the interfaces of this process, in Prometheus' exposition format."""
    return page.text(line().runtime.metrics).decode()


def on_reload(forget: Callable[[], object]) -> None:
    """Call this at each `reload`: what an interface has made from the environment is made anew."""
    _forget.append(forget)


def reload() -> None:
    """Read the environment and `trunkline.yaml` anew, and forget what was made from them and what was learned with
    them: rests after failures, answers kept in memory, metrics. What must go on goes on: limits, the ledger,
    connections."""
    if (before := _line.made) is not None:
        before.runtime.forget()
        _line.made = Line(before.runtime)
    for forget in _forget:
        forget()
