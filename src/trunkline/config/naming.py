"""Naming: what a name means (which provider, which model), and where that provider is.

Owns the order in which a name is understood, the way from an address as people write it to the one that is asked, and
the complaints about names and addresses that lead nowhere. Knows no keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from urllib.parse import urlsplit

from msgspec import Struct

from trunkline.models.facts import FactBook
from trunkline.providers.catalog import Catalog
from trunkline.providers.provider import Provider
from trunkline.vocabulary.errors import ConfigurationError, ModelNotRegistered, UnknownProvider
from trunkline.vocabulary.requests import Operation


class Named(Struct, frozen=True):
    """What a name means. `name` is its full form, `provider/model` or a target's name."""

    name: str
    provider: str
    model: str


class Names:
    """The names that a configuration knows: its targets, its providers, and the models of the book."""

    def __init__(self, targets: Mapping[str, str], catalog: Catalog, book: FactBook) -> None:
        self._targets = targets
        """`provider/model` by target."""
        self._catalog = catalog
        self._book = book

    def find(self, name: str, operation: Operation = "chat") -> Named:
        """The meaning of a name: a configured target, `provider/model`, a provider that has a model of its own, or the
        bare model of a lab that everyone knows."""
        if (configured := self._targets.get(name)) is not None:
            provider, model = self.split(configured)
            return Named(name, provider, model)
        if "/" in name:
            return Named(name, *self.split(name))
        asked = "chat" if operation == "tokens" else operation  # those of a chat request are counted
        if name in self._catalog and (own := self._catalog[name].own_models.get(asked)) is not None:
            return Named(f"{name}/{own}", name, own)
        home = self._book.home(name) if name not in self._catalog else None
        if home is not None and home in self._catalog:
            return Named(f"{home}/{name}", home, name)
        raise self._unknown(name)

    def split(self, name: str) -> tuple[str, str]:
        """Provider and model of a full name."""
        provider, _, model = name.partition("/")
        if provider not in self._catalog:
            if "/" not in name:
                raise self._unknown(name)
            close = get_close_matches(provider, self._catalog.names(), n=1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(self._catalog.names())}"
            raise UnknownProvider(f"unknown provider '{provider}' in '{name}'{hint}", param="model")
        if not model:
            raise self._unknown(provider)
        return provider, model

    def _unknown(self, name: str) -> ModelNotRegistered:
        close = get_close_matches(name, [*self._targets, *self._catalog.names()], n=1, cutoff=0.75)
        if not name:
            text = "no model is named: write provider/model"
        elif name in self._catalog:
            own = self._catalog[name].own_models.values()
            text = f"'{name}' names no model: write {name}/{next(iter(own), '<model>')}"
        elif (home := self._book.home(name)) is not None and home in self._catalog:
            text = f"'{name}' names no provider: write {home}/{name}"
        elif close:
            text = f"unknown model '{name}', did you mean '{close[0]}'?"
        else:
            text = f"unknown model '{name}': write provider/model, as in openai/gpt-4o-mini"
        return ModelNotRegistered(text, param="model")


def address(provider: Provider, env: Mapping[str, str], said: str | None = None) -> str:
    """Where a provider is: at the address that was said, else where its variables move it, else where it always is."""
    if provider.transport != "http":
        if said:
            raise ConfigurationError(f"{provider.name} is not reached by an address: leave base_url out")
        return provider.base_url or ""
    variable = next((name for name in provider.base_env if env.get(name)), None)
    url = said or (env[variable] if variable is not None else provider.base_url)
    if not url:
        raise ConfigurationError(f"{provider.name} has no address: set {provider.base_env[0]}, or give a base_url")
    if not url.startswith(("http://", "https://")):
        who = variable if variable is not None and not said else f"the address of {provider.name}"
        raise ConfigurationError(f"{who} must begin with http:// or https://")
    return completed(url, provider.base_url)


def completed(url: str, usual: str | None) -> str:
    """An address without a slash at its end; a bare host (`https://api.anthropic.com`, as some variables have it) with
    the path of the provider's usual address."""
    url = url.strip().rstrip("/")
    return url if urlsplit(url).path or not usual else url + urlsplit(usual).path
