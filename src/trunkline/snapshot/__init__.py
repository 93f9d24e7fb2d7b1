"""Snapshot: the configuration, compiled. Immutable; a reload makes another one.

Owns the way from a name that a caller asks for to a target, and what is known of that target: its facts and its price.
The environment is read here, once, when the snapshot is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct

from trunkline.config import BUILT_IN_MODEL, Config, Named, TargetConfig, address, book_of, catalog_of, names_of
from trunkline.config.file import suggestion
from trunkline.models.cost import Tariff, price, tariff
from trunkline.models.facts import ModelFacts
from trunkline.models.names import maker
from trunkline.models.thinking import thinking
from trunkline.providers.catalog import Catalog
from trunkline.providers.keys import Key, given, key_of, secret
from trunkline.providers.provider import Provider
from trunkline.vocabulary.buckets import NO_BUCKETS, Buckets
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.requests import Operation
from trunkline.vocabulary.routes import Connections, Route, Target
from trunkline.vocabulary.rules import Rules
from trunkline.vocabulary.secret import Credential, Secret
from trunkline.vocabulary.settings import settings_from
from trunkline.vocabulary.usage import Cost, Usage

from .buckets import Payers, buckets_of
from .routes import Routes


def _manner(name: str, said: TargetConfig) -> dict[str, Any]:
    """How a target is asked, where it says so itself."""
    own = said.connections
    return {
        "settings": settings_from(said.settings) if said.settings else None,
        "connections": Connections(name, own.most, own.kept) if own is not None else None,
        "retries": said.retries,
        "timeouts": said.timeouts,
        "backoff": said.backoff,
    }


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

    def __init__(
        self,
        config: Config,
        env: Mapping[str, str] | None = None,
        keys: Mapping[str, Key] | None = None,
        providers: Sequence[Provider] = (),
        apart: Callable[..., str] | None = None,
        alone: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        """`apart` tells targets of one name apart, where several snapshots share a runtime. `alone` gives the name for
        a target whose experience is nobody else's."""
        self._apart = apart
        self._alone = alone
        self.config = config
        self.catalog: Catalog = catalog_of(config, rows=providers)
        self.book = book_of(config)
        self.names = names_of(config, self.catalog, self.book)
        self.rules = Rules(
            timeout=config.timeout,
            timeouts=config.timeouts,
            retries=config.retries,
            attempts=config.attempts,
            backoff=config.backoff,
            hedge=config.hedge,
            on_unsupported=config.on_unsupported,
        )
        self.model = config.model or BUILT_IN_MODEL
        self.embedding_model = config.embedding_model or BUILT_IN_MODEL
        self._env = dict(os.environ if env is None else env)
        self._keys = {name: self._given(name, key) for name, key in (keys or {}).items()}
        """What the program itself gives, by target or provider."""
        self._credentials: dict[tuple[str, ...], Credential | None] = {}
        self._targets: dict[tuple[str, Operation], Target] = {}
        self._facts: dict[tuple[str, str], Facts] = {}
        self._tariffs: dict[str, Tariff] = {}
        self._routes = Routes(config, self.target)
        self.payers = Payers(config)

    # -- names ---------------------------------------------------------------------------------------------------------

    def target(self, name: str, operation: Operation = "chat") -> Target:
        """The target that answers to a name: a configured one, `provider/model`, a bare model of a known lab, or a
        provider that has a model of its own."""
        target = self._targets.get((name, operation))
        if target is None:
            if len(self._targets) >= _REMEMBERED:
                self._targets.clear()
                self._facts.clear()
                self._tariffs.clear()
            made = self._made(self.names.find(name, operation), self.config.targets.get(name))
            target = self._targets[name, operation] = made
        return target

    def route(self, name: str, operation: Operation = "chat", fallbacks: tuple[str, ...] | None = None) -> Route:
        """What stands behind a name: a route's entries, or the one target that answers to it; then the fallbacks."""
        return self._routes.find(name, operation, fallbacks)

    def buckets_of(self, call: Call, route: Route) -> Buckets:
        """What a call draws on, whoever is asked: the limits and budgets of its payer, his owner and its route."""
        return self.payers.buckets(call.rules.payer, route)

    def _made(self, named: Named, said: TargetConfig | None) -> Target:
        provider = self.catalog[named.provider]
        options = {**self._options(provider), **(said.options if said is not None else {})}
        base_url = address(provider, self._env, said.base_url if said is not None else None)
        key = self._key(provider, named.name, said, options)
        name = named.name
        own = self._apart(name, provider.name, named.model, base_url, key) if self._apart is not None else name
        return Target(
            name=name,
            id=self._alone(name) or own,
            provider=provider.name,
            model=named.model,
            base_url=base_url,
            key=key,
            headers=said.headers if said is not None else {},
            options=options,
            buckets=self._buckets(own, said),
            tags=frozenset(said.tags) if said is not None else frozenset(),
            adaptive=said is not None and said.adaptive,
            **(_manner(own, said) if said is not None else {}),
        )

    def _buckets(self, name: str, said: TargetConfig | None) -> Buckets:
        """A target's own limits, then those that it shares."""
        if said is None:
            return NO_BUCKETS
        shared = (buckets_of(f"bucket:{each}", self.config.buckets[each]) for each in said.buckets)
        return Buckets(chain(buckets_of(f"target:{name}", said), *shared))

    def _key(
        self, provider: Provider, name: str, said: TargetConfig | None, options: Mapping[str, str]
    ) -> Secret | Credential | None:
        """A target's own key, else its provider's; what the program gives comes before what the configuration says."""
        if said is not None and (name in self._keys or said.api_key):
            return self._keys[name] if name in self._keys else secret(said.api_key or "")
        if provider.name in self._keys:
            return self._keys[provider.name]
        entry = self.config.providers.get(provider.name)
        key = key_of(provider, self._env, entry.api_key if entry is not None else None)
        return self._credential(provider, options) if key is None else key

    def _credential(self, provider: Provider, options: Mapping[str, str]) -> Credential | None:
        """The credential that a provider's targets share, where they have the same options."""
        if provider.credential is None:
            return None
        said = {**provider.options, **options}
        place = (provider.name, *(f"{option}={said[option]}" for option in sorted(said)))
        if place not in self._credentials:
            self._credentials[place] = provider.credential(said, self._env)
        return self._credentials[place]

    def _given(self, name: str, key: Key) -> Secret | Credential:
        known = [*self.config.targets, *self.catalog.names()]
        if name not in known:
            raise ConfigurationError(f"keys: no target or provider is called '{name}'{suggestion(name, known)}")
        return given(key, f"the key of {name}")

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
                signer=provider.signer,
                only=self._only(target, provider, known),
                max_output=known.max_output if known is not None else None,
                sampling=known is None or known.temperature is not False,
                reasoning=known.reasoning if known is not None else None,
                maker=maker(target.model),
                adaptive_thinking=thinking(target.model).adaptive,
                least_thinking=thinking(target.model).least,
                tools=known.tools if known is not None else None,
                structured_output=False if not provider.quirks.schemas else known.structured_output if known else None,
            )
        return facts

    def _only(self, target: Target, provider: Provider, known: ModelFacts | None) -> str | None:
        """The one dialect that a model answers in, if it is one."""
        named = next((dialect for part, dialect in provider.by_model.items() if part in target.model), None)
        return named or (_ONLY.get(known.mode) if known is not None else None)

    def price(self, target: Target, usage: Usage | None, tier: str | None = None) -> Cost | None:
        """What a target charges for a usage at a service tier; None where the price or the usage is unknown."""
        return price(self.model_facts(target), usage, tier=tier) if usage is not None else None

    def tariff(self, target: Target) -> Tariff:
        """What a reservation must know of a target's model."""
        found = self._tariffs.get(target.name)
        if found is None:
            found = self._tariffs[target.name] = tariff(self.model_facts(target))
        return found

    def priced(self, target: Target) -> str | None:
        """The day of a target's price; None where nobody says."""
        known = self.model_facts(target)
        return known.as_of.isoformat() if known is not None and known.as_of is not None else None

    # -- what there is -------------------------------------------------------------------------------------------------

    def available(self) -> Iterator[Available]:
        """Every route, configured target and provider: what can be called now, and why the rest cannot."""
        for name in self.config.routes:
            yield self._available_route(name)
        for name, said in self.config.targets.items():
            ready, why = self._readiness(name, said)
            yield Available(name, ready, why, (name,))
        for provider in self.catalog:
            ready, why = self._readiness(provider.name, None)
            yield Available(provider.name, ready, why, self._models_of(provider))

    def _available_route(self, name: str) -> Available:
        try:
            members = self.route(name).entries[0].members
        except ConfigurationError as error:
            return Available(name, ready=False, why=error.message, models=(name,))
        missing = [why for member in members if (why := self.why_not(member.target)) is not None]
        ready = len(missing) < len(members)
        why = f"{len(members) - len(missing)} of {len(members)} targets can be called" if ready else missing[0]
        return Available(name, ready, why, (name,))

    def why_not(self, target: Target) -> str | None:
        """Why a target cannot be called now; None where it can, as far as that is known without calling it."""
        provider = self.catalog[target.provider]
        missing = provider.missing() if provider.missing is not None else None
        if missing is not None or target.key is not None or not provider.needs_key:
            return missing
        no_key = f"{provider.key_env} is not set" if provider.key_env is not None else ""
        no_credential = "no credentials are found" if provider.credential is not None else ""
        return " and ".join(filter(None, (no_key, no_credential)))

    def _readiness(self, name: str, said: TargetConfig | None) -> tuple[bool, str]:
        try:
            target = self._made(self.names.find(name) if said is not None else Named(name, name, ""), said)
        except ConfigurationError as error:
            return False, error.message
        provider = self.catalog[target.provider]
        if (reason := self.why_not(target)) is not None:
            return False, reason
        if target.key is not None:
            return True, self._origin(provider, name, said, target.key)
        if provider.key_env is None:
            return True, "needs no key"
        named = said is not None or provider.name in self.config.providers or target.base_url != provider.base_url
        if named:  # somebody has said that there is such a server
            return True, f"at {target.base_url}, without a key"
        return False, f"{provider.base_env[0]} is not set; {provider.name}/<model> asks {target.base_url}"

    def _origin(self, provider: Provider, name: str, said: TargetConfig | None, key: Secret | Credential) -> str:
        own = said is not None and said.api_key
        if name in self._keys or (provider.name in self._keys and not own):
            return "key from the program"
        if not isinstance(key, Secret):
            return "signs in with the credentials of this machine"
        from_env = provider.key_env is not None and self._env.get(provider.key_env) and not own
        return f"key from {provider.key_env if from_env else 'the file'}"

    def _models_of(self, provider: Provider) -> tuple[str, ...]:
        own = tuple(dict.fromkeys(f"{provider.name}/{model}" for model in provider.own_models.values()))
        if own or provider.key_optional:  # a server of the user's own: nobody here knows what it serves
            return own
        operations = {dialect.operation for dialect in provider.speaks}
        modes = {mode for operation in operations for mode in _MODES.get(operation, ())}
        known = (
            f"{provider.name}/{facts.model}"
            for facts in self.book.known()
            if facts.provider == provider.name and facts.mode in modes and _is_listed(facts)
        )
        return tuple(known)


def _is_listed(facts: ModelFacts) -> bool:
    """Whether a model is one that callers ask for by this name: not the price of a fine-tuned model that is not theirs
    (`ft:…`), a wildcard, or something that the sources know nothing of."""
    return not facts.model.startswith(("*", "ft:")) and (facts.context is not None or bool(facts.prices))


_MODES: Mapping[str, tuple[str, ...]] = {"chat": ("chat", "responses"), "embeddings": ("embedding",)}
"""The modes of the models that an operation asks."""
_ONLY: Mapping[str, str] = {"responses": "openai_responses", "completion": "openai_completions"}
"""The dialect that models of a mode answer in, and no other."""
