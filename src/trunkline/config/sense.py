"""Sense: what of a configuration makes sense, and what it makes of the catalog, the facts and the names we know.

Owns what the shapes cannot say: names that must exist, addresses and keys that must be there. Calls no one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches

from msgspec.structs import replace

from trunkline.models.facts import FactBook, ModelFacts, Rates, book
from trunkline.policies.complexity import KINDS
from trunkline.providers.catalog import CATALOG, Catalog
from trunkline.providers.keys import KEYRING, secret
from trunkline.providers.provider import Provider
from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.requests import Operation
from trunkline.vocabulary.settings import settings_from

from .file import Reading, suggestion
from .naming import Names, address, completed
from .shapes import LOOPBACK, Config, PriceConfig, ProviderConfig, TargetConfig


def make_sense(config: Config, env: Mapping[str, str], reading: Reading, providers: Sequence[Provider] = ()) -> None:
    """What the shapes cannot say: names that must exist, addresses and keys that must be there."""
    catalog = catalog_of(config, reading.wrong, providers)
    names = names_of(config, catalog, book_of(config))
    for name, provider in config.providers.items():
        _check_headers_and_key(f"providers.{name}", provider, reading)
    for name, target in config.targets.items():
        path = f"targets.{name}"
        _check_headers_and_key(path, target, reading)
        with reading.complaining(f"{path}.model"):
            row = catalog[names.split(target.model)[0]]
            _check_options(path, target.options, row, reading.wrong)
            _check_settings(path, target, reading)
            with reading.complaining(f"{path}.base_url"):
                address(row, env, target.base_url)
    for model, answers in config.mock.items():
        if not answers:
            reading.wrong(f"mock.{model}", "has no answers")
    _check_routes(config, names, reading)
    _check_payers(config, reading)
    if config.cache.store == "redis" and not config.state.url:
        reading.wrong("cache.store", "redis is the one of 'state': name it there, as in state: {url: redis://…}")
    if config.state.url and not config.state.url.startswith(("redis://", "rediss://", "unix://")):
        reading.wrong("state.url", "must begin with redis://, rediss:// or unix://")
    _check_prices(config, names, reading)
    _check_default(config.model, "model", config, "chat", names, catalog, reading)
    _check_default(config.embedding_model, "embedding_model", config, "embeddings", names, catalog, reading)
    if config.gateway.host not in LOOPBACK:
        reading.wrong("gateway.host", f"must be a loopback address ({', '.join(LOOPBACK)}) while there are no keys")


def _check_headers_and_key(path: str, said: TargetConfig | ProviderConfig, reading: Reading) -> None:
    for header, value in said.headers.items():
        if not _HEADER.fullmatch(header) or not value.isprintable():
            reading.wrong(f"{path}.headers.{header}", "is no header: letters, digits and dashes, and one line of text")
    if isinstance(said, ProviderConfig) and not _HEADER.fullmatch(said.idempotency_header or "none"):
        reading.wrong(f"{path}.idempotency_header", "is no header's name: letters, digits and dashes")
    if said.api_key and not said.api_key.startswith(KEYRING):  # a keyring may ask its owner: only when it is needed
        with reading.complaining(f"{path}.api_key"):
            secret(said.api_key)


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _check_options(path: str, options: Mapping[str, str], row: Provider, wrong: Wrong) -> None:
    known = {*row.options, *row.option_env}
    for option in options:
        if option not in known:
            hint = suggestion(option, sorted(known)) if known else "; it takes none"
            wrong(f"{path}.options.{option}", f"{row.name} has no option '{option}'{hint}")


def _check_settings(path: str, target: TargetConfig, reading: Reading) -> None:
    try:
        settings_from(target.settings)
    except InvalidRequestError as error:
        reading.wrong(f"{path}.settings", error.message)


def _check_prices(config: Config, names: Names, reading: Reading) -> None:
    for name, entry in config.prices.items():
        with reading.complaining(f"prices.{name}"):
            names.split(name)
        for bucket in entry.__struct_fields__:
            dollars: Decimal | None = getattr(entry, bucket)
            if dollars is not None and not (dollars.is_finite() and dollars >= 0):
                reading.wrong(f"prices.{name}.{bucket}", f"must be dollars from 0 up, not {dollars}")


def _check_routes(config: Config, names: Names, reading: Reading) -> None:
    for name, route in config.routes.items():
        path = f"routes.{name}"
        if name in config.targets:
            reading.wrong(path, f"'{name}' is a target too: give one of them another name")
        if not route.targets:
            reading.wrong(f"{path}.targets", "is empty: name a target")
        for at, target in enumerate(route.targets):
            _check_name(f"{path}.targets[{at}]", target, names, reading)
        for key in ("fallbacks", "on_context_window", "on_content_policy"):
            for at, other in enumerate(getattr(route, key)):
                if other not in config.routes:
                    _check_name(f"{path}.{key}[{at}]", other, names, reading)
        for key, said in (("weights", route.weights), ("kinds", route.kinds.values())):
            for target in said:
                if target not in route.targets:
                    reading.wrong(
                        f"{path}.{key}", f"'{target}' is none of its targets{suggestion(target, route.targets)}"
                    )
        for kind in route.kinds:
            if kind not in KINDS:
                reading.wrong(f"{path}.kinds.{kind}", f"there is no such kind{suggestion(kind, KINDS)}")
        if (route.strategy == "by-complexity") != bool(route.kinds):
            reading.wrong(f"{path}.strategy", "by-complexity and 'kinds' belong together: which target for which kind")


def _check_name(path: str, name: str, names: Names, reading: Reading) -> None:
    if not reading.said(f"targets.{name}"):  # a target that is wrong has its complaint already
        with reading.complaining(path):
            names.find(name)


def _check_payers(config: Config, reading: Reading) -> None:
    limits = {
        **{f"targets.{name}": said for name, said in config.targets.items()},
        **{f"routes.{name}": said for name, said in config.routes.items()},
        **{f"buckets.{name}": said for name, said in config.buckets.items()},
        **{f"payers.{name}": said for name, said in config.payers.items()},
        **{f"owners.{name}": said for name, said in config.owners.items()},
    }
    for path, said in limits.items():
        budget = said.budget
        if budget is None:
            continue
        if budget.usd is None and budget.tokens is None:
            reading.wrong(f"{path}.budget", "says neither usd nor tokens")
        elif budget.usd is not None and not (budget.usd.is_finite() and budget.usd > 0):
            reading.wrong(f"{path}.budget.usd", f"must be dollars above 0, not {budget.usd}")
    for name, target in config.targets.items():
        for bucket in target.buckets:
            if bucket not in config.buckets:
                reading.wrong(
                    f"targets.{name}.buckets", f"unknown bucket '{bucket}'{suggestion(bucket, config.buckets)}"
                )
    for name, payer in config.payers.items():
        if payer.owner is not None and payer.owner not in config.owners:
            reading.wrong(
                f"payers.{name}.owner", f"unknown owner '{payer.owner}'{suggestion(payer.owner, config.owners)}"
            )


def _check_default(
    name: str | None, key: str, config: Config, operation: Operation, names: Names, catalog: Catalog, reading: Reading
) -> None:
    if not name or reading.said(f"targets.{name}"):  # a target that is wrong has its complaint already
        return
    if name in config.routes:
        return
    with reading.complaining(key):
        provider = names.find(name, operation).provider
        if all(dialect.operation != operation for dialect in catalog[provider].speaks):
            reading.wrong(key, f"{provider} has no {operation}")


Wrong = Callable[[str, str], None]
"""Takes a path, and what is wrong there."""


def catalog_of(config: Config, wrong: Wrong = lambda path, message: None, rows: Sequence[Provider] = ()) -> Catalog:
    """The catalog with more `rows`, and the configuration's changes and additions."""
    catalog = CATALOG.with_rows(*rows) if rows else CATALOG
    for name, entry in config.providers.items():
        like = entry.like or name
        if like in catalog:
            _check_options(f"providers.{name}", entry.options, catalog[like], wrong)
            catalog = catalog.with_rows(_row(name, entry, catalog[like]))
        elif entry.like is not None:
            wrong(f"providers.{name}.like", f"unknown provider '{like}'{suggestion(like, catalog.names())}")
        else:
            close = get_close_matches(name, catalog.names(), n=1)
            hint = f"did you mean '{close[0]}'?" if close else "a new provider needs 'like: openai-compatible'"
            wrong(f"providers.{name}", f"unknown provider '{name}', {hint}")
    return catalog


def _row(name: str, entry: ProviderConfig, row: Provider) -> Provider:
    changed = replace(
        row,
        name=name,
        headers={**row.headers, **entry.headers},
        options={**row.options, **entry.options},
        base_url=completed(entry.base_url, row.base_url) if entry.base_url else row.base_url,
        idempotency_header=entry.idempotency_header or row.idempotency_header,
    )
    if entry.like is None or row.key_env is None:
        return changed
    return replace(changed, key_env=f"{name.upper().replace('-', '_')}_API_KEY")


def names_of(config: Config, catalog: Catalog, facts: FactBook) -> Names:
    """The names that the configuration gives a meaning to."""
    return Names({name: target.model for name, target in config.targets.items()}, catalog, facts)


def book_of(config: Config) -> FactBook:
    """What is known of models, with the configuration's prices."""
    return FactBook(_priced(config.prices))


def _priced(prices: Mapping[str, PriceConfig]) -> Iterator[ModelFacts]:
    for name, entry in prices.items():
        provider, _, model = name.partition("/")
        known = book().lookup(provider, model) or ModelFacts(provider=provider, model=model)
        rates = Rates(
            input=entry.input, output=entry.output, cache_read=entry.cache_read, cache_write=entry.cache_write
        )
        yield replace(known, provider=provider, model=model, prices=(rates,), sources=("the configuration",))
