"""Snapshot: the configuration, compiled. Immutable; a reload makes another one.

Owns the way from a name that a caller asks for to a target, and what is known of that target: its facts and its price.
The environment is read here, once, when the snapshot is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from trunkline.config import BUILT_IN_MODEL, Config, PriceConfig, TargetConfig, catalog_of
from trunkline.models.cost import price
from trunkline.models.facts import FactBook, ModelFacts, Rates, book
from trunkline.providers.catalog import Catalog
from trunkline.providers.keys import key_of, secret
from trunkline.providers.provider import Provider
from trunkline.vocabulary.calls import Call, Rules, Target
from trunkline.vocabulary.errors import ConfigurationError, ModelNotRegistered, UnknownProvider
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.requests import Operation
from trunkline.vocabulary.usage import Cost, Usage

_REMEMBERED = 10_000
"""Names whose targets are kept: callers may send any name, memory stays bounded."""


class Available(Struct, frozen=True):
    """A provider or target in the list of what can be called now."""

    name: str
    ready: bool
    why: str
    """Why it cannot be called, or where its key came from."""
    models: tuple[str, ...] = ()
    """The names under which its models can be asked for."""


class Snapshot:
    """What stands behind every name. Made from a configuration and the environment of that moment."""

    def __init__(self, config: Config, env: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.catalog: Catalog = catalog_of(config)
        self.book = FactBook(_overrides(config.prices))
        self.rules = Rules(timeout=config.timeout, retries=config.retries, on_unsupported=config.on_unsupported)
        self.model = config.model or BUILT_IN_MODEL
        self.embedding_model = config.embedding_model or BUILT_IN_MODEL
        self._env = dict(os.environ if env is None else env)
        self._targets: dict[tuple[str, Operation], Target] = {}
        self._facts: dict[tuple[str, str], Facts] = {}

    # -- names ---------------------------------------------------------------------------------------------------------

    def target(self, name: str, operation: Operation = "chat") -> Target:
        """The target that answers to a name: a configured one, `provider/model`, a bare model of a known lab, or a
        provider that has a model of its own."""
        target = self._targets.get((name, operation))
        if target is None:
            if len(self._targets) >= _REMEMBERED:
                self._targets.clear()
                self._facts.clear()
            target = self._targets[name, operation] = self._find(name, operation)
        return target

    def targets_of(self, call: Call) -> Sequence[Target]:
        """The targets that a call may be sent to: the one it asked for, then its fallbacks."""
        fallbacks = call.rules.fallbacks
        if not fallbacks:
            return (call.target,)
        return (call.target, *(self.target(name, call.operation) for name in fallbacks))

    def _find(self, name: str, operation: Operation) -> Target:
        if (configured := self.config.targets.get(name)) is not None:
            provider, _, model = configured.model.partition("/")
            return self._made(name, self.catalog[provider], model, configured)
        first, slash, rest = name.partition("/")
        if slash and first in self.catalog:
            return self._made(name, self.catalog[first], rest)
        if name in self.catalog and (own := self.catalog[name].own_models.get(operation)) is not None:
            return self._made(f"{name}/{own}", self.catalog[name], own)
        home = self.book.home(name)
        if home is not None and home in self.catalog:
            return self._made(f"{home}/{name}", self.catalog[home], name)
        raise self._unknown(name, first if slash else None)

    def _unknown(self, name: str, provider: str | None) -> ConfigurationError:
        if not name:
            return ModelNotRegistered("no model is named; write provider/model", param="model")
        if provider is not None:
            close = get_close_matches(provider, self.catalog.names(), n=1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(self.catalog.names())}"
            return UnknownProvider(f"unknown provider '{provider}' in '{name}'{hint}", param="model")
        close = get_close_matches(name, [*self.config.targets, *self.catalog.names()], n=1, cutoff=0.75)
        hint = f", did you mean '{close[0]}'?" if close else "; write provider/model, as in openai/gpt-4o-mini"
        return ModelNotRegistered(f"unknown model '{name}'{hint}", param="model")

    def _made(self, name: str, provider: Provider, model: str, said: TargetConfig | None = None) -> Target:
        entry = self.config.providers.get(provider.name)
        if said is not None and said.api_key:
            key = secret(said.api_key)
        else:
            key = key_of(provider, self._env, entry.api_key if entry is not None else None)
        return Target(
            name=name,
            provider=provider.name,
            model=model,
            base_url=self._base_url(provider, said.base_url if said is not None else None),
            key=key,
            headers=said.headers if said is not None else {},
            options={**self._options(provider), **(said.options if said is not None else {})},
        )

    def _base_url(self, provider: Provider, said: str | None) -> str:
        moved = next((self._env[name] for name in provider.base_env if self._env.get(name)), None)
        url = (said or moved or provider.base_url or "").rstrip("/")
        if not url:
            raise ConfigurationError(f"{provider.name} has no address: set {provider.base_env[0]}, or give a base_url")
        if provider.transport == "http" and not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"the address of {provider.name} must begin with http:// or https://, not '{url}'")
        if (provider.base_url or "").endswith("/v1") and not urlsplit(url).path:
            url += "/v1"  # given as a bare host, as some variables have it
        return url

    def _options(self, provider: Provider) -> dict[str, str]:
        return {option: self._env[name] for option, name in provider.option_env.items() if self._env.get(name)}

    # -- facts ---------------------------------------------------------------------------------------------------------

    def model_facts(self, target: Target) -> ModelFacts | None:
        """What is known of a target's model; None where nobody knows it."""
        return self.book.lookup(target.provider, target.model)

    def facts(self, target: Target, provider: Provider) -> Facts:
        """What a writer must know of a target."""
        facts = self._facts.get((target.provider, target.model))
        if facts is None:
            known = self.model_facts(target)
            facts = self._facts[target.provider, target.model] = Facts(
                model=target.model,
                quirks=provider.quirks,
                max_output=known.max_output if known is not None else None,
                sampling=known is None or known.temperature is not False,
                reasoning=known is not None and known.reasoning is True,
            )
        return facts

    def price(self, target: Target, usage: Usage | None) -> Cost | None:
        """What a target charges for a usage; None where the price or the usage is unknown."""
        return price(self.model_facts(target), usage) if usage is not None else None

    # -- what there is -------------------------------------------------------------------------------------------------

    def available(self) -> Iterator[Available]:
        """Every configured target and every provider: what can be called now, and why the rest cannot."""
        for name in self.config.targets:
            ready, why = self._readiness(name)
            yield Available(name, ready, why, (name,))
        for provider in self.catalog:
            ready, why = self._readiness(f"{provider.name}/")
            yield Available(provider.name, ready, why, self._models_of(provider))

    def _readiness(self, name: str) -> tuple[bool, str]:
        try:
            target = self.target(name)
        except ConfigurationError as error:
            return False, error.message
        provider = self.catalog[target.provider]
        missing = provider.missing() if provider.missing is not None else None
        if missing is not None:
            return False, missing
        if provider.key_env is None:
            return True, "needs no key"
        if target.key is not None:
            return True, f"key from {provider.key_env}" if self._env.get(provider.key_env) else "key from the file"
        if provider.key_optional and (provider.name in self.config.providers or target.base_url != provider.base_url):
            return True, f"at {target.base_url}, without a key"
        if provider.key_optional:
            return False, f"{provider.base_env[0]} is not set; {provider.name}/<model> asks {target.base_url}"
        return False, f"{provider.key_env} is not set"

    def _models_of(self, provider: Provider) -> tuple[str, ...]:
        own = tuple(dict.fromkeys(f"{provider.name}/{model}" for model in provider.own_models.values()))
        if own or provider.key_optional:  # a server of the user's own: nobody here knows what it serves
            return own
        operations = {dialect.operation for dialect in provider.speaks}
        modes = {_MODE[operation] for operation in operations}
        known = (
            f"{provider.name}/{facts.model}"
            for facts in self.book.known()
            if facts.provider == provider.name and facts.mode in modes and facts.model != "*"
        )
        return tuple(known)


_MODE: Mapping[str, str] = {"chat": "chat", "embeddings": "embedding"}


def _overrides(prices: Mapping[str, PriceConfig]) -> Iterator[ModelFacts]:
    for name, entry in prices.items():
        provider, _, model = name.partition("/")
        rates = Rates(
            input=Decimal(str(entry.input)),
            output=Decimal(str(entry.output)),
            cache_read=None if entry.cache_read is None else Decimal(str(entry.cache_read)),
            cache_write=None if entry.cache_write is None else Decimal(str(entry.cache_write)),
        )
        known = book().lookup(provider, model) or ModelFacts(provider=provider, model=model)
        yield replace(known, provider=provider, model=model, prices=(rates,), sources=("the configuration",))
