"""Configuration: one YAML file, then the environment, then arguments; the later word wins.

Owns what can be said in `trunkline.yaml` and in `TRUNKLINE_*`, and what of it makes sense. Reading calls no one;
`snapshot` turns what it says into targets. Everything wrong is reported at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from trunkline.config_file import BAD, ENVIRONMENT, Mistake, Reading, suggestion
from trunkline.models.facts import FactBook, ModelFacts, Rates, book
from trunkline.naming import Names, address, completed
from trunkline.providers.catalog import CATALOG, Catalog
from trunkline.providers.keys import KEYRING, secret
from trunkline.providers.mock import MockAnswer
from trunkline.providers.provider import Provider
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.facts import Unsupported
from trunkline.vocabulary.requests import Operation

FILE = "trunkline.yaml"
"""Read from the working directory unless TRUNKLINE_CONFIG or an argument names another."""

BUILT_IN_MODEL = "local"

LOOPBACK = ("127.0.0.1", "localhost", "::1")


# --- what can be said -------------------------------------------------------------------------------------------------

Address = Annotated[str, Meta(pattern=r"^(https?://[^/\s]|mock:|local:)", extra={"words": "an http(s):// address"})]
Port = Annotated[int, Meta(ge=0, le=65535, extra={"words": "a port from 0 to 65535"})]
Count = Annotated[int, Meta(ge=1, extra={"words": "a whole number from 1 up"})]
CountFromZero = Annotated[int, Meta(ge=0, extra={"words": "a whole number from 0 up"})]
Seconds = Annotated[float, Meta(gt=0, extra={"words": "a number of seconds above 0"})]


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: unknown keys are mistakes."""


class TargetConfig(_Section, frozen=True):
    """A name that callers may ask for, and what stands behind it."""

    model: Annotated[str, Meta(description="`provider/model`: which model, spoken to how.")]
    base_url: Annotated[Address | None, Meta(description="Where it is, if not at its provider's address.")] = None
    api_key: Annotated[
        str | None,
        Meta(description="Its own key, instead of its provider's: `${VAR}`, `file:/path` or `keyring:service/name`."),
    ] = None
    headers: Annotated[dict[str, str], Meta(description="Headers that each of its requests carries.")] = {}
    options: Annotated[dict[str, str], Meta(description="What else its address needs: azure's `api_version`.")] = {}


class ProviderConfig(_Section, frozen=True):
    """Changes to a provider, or with `like` a new one that is spoken to as that one is."""

    like: Annotated[str | None, Meta(description="The provider whose API a new one speaks: `openai-compatible`.")] = (
        None
    )
    base_url: Annotated[Address | None, Meta(description="Its address; a bare host gets the usual path.")] = None
    api_key: Annotated[
        str | None,
        Meta(description="Its key, where its variable is not set: `${VAR}`, `file:/path` or `keyring:service/name`."),
    ] = None
    headers: Annotated[dict[str, str], Meta(description="Headers that all its requests carry.")] = {}
    options: Annotated[dict[str, str], Meta(description="What else its addresses need: azure's `api_version`.")] = {}


class PriceConfig(_Section, frozen=True):
    """A model's price in US dollars per million tokens. Kept exactly as written."""

    input: Annotated[Decimal, Meta(description="A million tokens of the prompt.")]
    output: Annotated[Decimal, Meta(description="A million tokens of the answer.")] = Decimal(0)
    cache_read: Annotated[Decimal | None, Meta(description="A million tokens read from the prompt cache.")] = None
    cache_write: Annotated[Decimal | None, Meta(description="A million tokens written to the prompt cache.")] = None


class GatewayConfig(_Section, frozen=True):
    """Where the gateway listens. It has no keys yet, so only loopback addresses are allowed."""

    host: Annotated[str, Meta(description=f"One of {', '.join(LOOPBACK)}.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0 takes a free one.")] = 4000
    workers: Annotated[Count, Meta(description="Processes that share the port.")] = 1
    max_body: Annotated[Count, Meta(description="The largest request body, in bytes.")] = 32 * 2**20


class Config(_Section, frozen=True):
    """Everything that can be said in `trunkline.yaml`."""

    model: Annotated[str | None, Meta(description="The default model: a target's name or `provider/model`.")] = None
    embedding_model: Annotated[str | None, Meta(description="The default model of embeddings.")] = None
    targets: Annotated[dict[str, TargetConfig], Meta(description="Names of your own for models.")] = {}
    providers: Annotated[dict[str, ProviderConfig], Meta(description="Changed and new providers, by name.")] = {}
    prices: Annotated[
        dict[str, PriceConfig],
        Meta(description="Prices by `provider/model`, where the built-in facts are wrong or silent."),
    ] = {}
    mock: Annotated[
        dict[str, list[MockAnswer]],
        Meta(description="Scripts of the mock provider, by the model's name after `mock/`: answers in order."),
    ] = {}
    gateway: Annotated[GatewayConfig, Meta(description="Where `trunkline serve` listens.")] = GatewayConfig()
    timeout: Annotated[Seconds, Meta(description="Seconds for a whole call, every attempt included.")] = 600.0
    retries: Annotated[CountFromZero, Meta(description="Further attempts at a target, for errors that may pass.")] = 2
    on_unsupported: Annotated[
        Unsupported, Meta(description="What to do with a setting that the target does not have.")
    ] = "warn"


VARIABLES: Mapping[str, str] = {
    "TRUNKLINE_MODEL": "model",
    "TRUNKLINE_EMBEDDING_MODEL": "embedding_model",
    "TRUNKLINE_TIMEOUT": "timeout",
    "TRUNKLINE_RETRIES": "retries",
    "TRUNKLINE_ON_UNSUPPORTED": "on_unsupported",
    "TRUNKLINE_HOST": "gateway.host",
    "TRUNKLINE_PORT": "gateway.port",
    "TRUNKLINE_WORKERS": "gateway.workers",
    "TRUNKLINE_MAX_BODY": "gateway.max_body",
}
"""Variables that overrule the file, and what they say."""

OTHER_VARIABLES = ("TRUNKLINE_CONFIG", "TRUNKLINE_LOCAL_THREADS")


def schema() -> dict[str, Any]:
    """The JSON schema of `trunkline.yaml`, for editors."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "trunkline.yaml"}
    return described | _for_editors(msgspec.json.schema(Config))


def _for_editors(schema: Any) -> Any:
    """An editor sees the file before `${VAR}` is filled in: wherever a value has a form, a variable is allowed too."""
    if isinstance(schema, list):
        return [_for_editors(entry) for entry in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    read = {key: _for_editors(value) for key, value in cast("dict[str, Any]", schema).items()}
    if read.get("format") == "decimal":
        read = {key: value for key, value in read.items() if key not in {"format", "type", "default"}}
        form: dict[str, Any] = {"type": "number", "minimum": 0}
    elif read.get("type") in ("integer", "number", "boolean") or "pattern" in read or "enum" in read:
        form = {key: read.pop(key) for key in list(read) if key not in {"description", "default", "title"}}
    else:
        return read
    return {**read, "anyOf": [form, {"type": "string", "pattern": r"\$\{"}]}


# --- reading it -------------------------------------------------------------------------------------------------------


def load(path: str | Path | None = None, env: Mapping[str, str] | None = None) -> Config:
    """The configuration: the file (an argument, else TRUNKLINE_CONFIG, else ./trunkline.yaml if it is there), then the
    environment. Raises ConfigurationError that lists every mistake."""
    config, mistakes = examine(path, os.environ if env is None else env)
    if mistakes:
        raise ConfigurationError("\n".join(str(mistake) for mistake in mistakes))
    return config


def examine(path: str | Path | None, env: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    """The configuration and every mistake in it: what `trunkline check` prints."""
    found = file_in_use(path, env)
    if found is None:
        return _understood("", ENVIRONMENT, env, overruled=True)
    try:
        text = found.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return Config(), [Mistake(str(found), 0, "", "is not UTF-8 text")]
    except OSError as error:
        return Config(), [Mistake(str(found), 0, "", f"cannot be read: {error.strerror}")]
    return _understood(text, str(found), env, overruled=True)


def file_in_use(path: str | Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that counts; None where there is none."""
    named = path or env.get("TRUNKLINE_CONFIG")
    if named:
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def parse(text: str, file: str, env: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    """Read a file's text, without what the environment overrules. Where there are mistakes, the configuration is what
    could be understood."""
    return _understood(text, file, env, overruled=False)


def _understood(text: str, file: str, env: Mapping[str, str], *, overruled: bool) -> tuple[Config, list[Mistake]]:
    reading = Reading(file, env)
    config = reading.read(text, Config)
    if config is None:
        return Config(), reading.mistakes
    if overruled:
        config = _overruled(config, env, reading)
    _make_sense(config, env, reading)
    return config, reading.mistakes


def _overruled(config: Config, env: Mapping[str, str], reading: Reading) -> Config:
    """The configuration with what the environment says instead."""
    said: dict[type, dict[str, Any]] = {Config: {}, GatewayConfig: {}}
    for variable, text in env.items():
        path = VARIABLES.get(variable)
        if path is None or not text or text.startswith("tcp://"):  # Kubernetes links to a service called trunkline
            _look_at_name(variable, reading)
            continue
        section = GatewayConfig if path.startswith("gateway.") else Config
        name = path.rpartition(".")[2]
        value = reading.variable(variable, text, get_type_hints(section, include_extras=True)[name], path)
        said[section].update({} if value is BAD else {name: value})
    return replace(config, gateway=replace(config.gateway, **said[GatewayConfig]), **said[Config])


def _look_at_name(variable: str, reading: Reading) -> None:
    """A variable that is one of ours but for a letter or two would be overlooked in silence."""
    known = (*VARIABLES, *OTHER_VARIABLES)
    if variable.startswith("TRUNKLINE_") and variable not in known:
        words = {name.removeprefix("TRUNKLINE_"): name for name in known}
        if close := get_close_matches(variable.removeprefix("TRUNKLINE_"), words, n=1, cutoff=0.75):
            reading.wrong_variable(variable, f"unknown variable, did you mean {words[close[0]]}?")


# --- what of it makes sense -------------------------------------------------------------------------------------------


def _make_sense(config: Config, env: Mapping[str, str], reading: Reading) -> None:
    """What the shapes cannot say: names that must exist, addresses and keys that must be there."""
    catalog = catalog_of(config, reading.wrong)
    names = names_of(config, catalog, book_of(config))
    for name, provider in config.providers.items():
        _check_headers_and_key(f"providers.{name}", provider, reading)
    for name, target in config.targets.items():
        path = f"targets.{name}"
        _check_headers_and_key(path, target, reading)
        with reading.complaining(f"{path}.model"):
            row = catalog[names.split(target.model)[0]]
            _check_options(path, target.options, row, reading.wrong)
            with reading.complaining(f"{path}.base_url"):
                address(row, env, target.base_url)
    for model, answers in config.mock.items():
        if not answers:
            reading.wrong(f"mock.{model}", "has no answers")
    _check_prices(config, names, reading)
    _check_default(config.model, "model", "chat", names, catalog, reading)
    _check_default(config.embedding_model, "embedding_model", "embeddings", names, catalog, reading)
    if config.gateway.host not in LOOPBACK:
        reading.wrong("gateway.host", f"must be a loopback address ({', '.join(LOOPBACK)}) while there are no keys")


def _check_headers_and_key(path: str, said: TargetConfig | ProviderConfig, reading: Reading) -> None:
    for header, value in said.headers.items():
        if not _HEADER.fullmatch(header) or not value.isprintable():
            reading.wrong(f"{path}.headers.{header}", "is no header: letters, digits and dashes, and one line of text")
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


def _check_prices(config: Config, names: Names, reading: Reading) -> None:
    for name, entry in config.prices.items():
        with reading.complaining(f"prices.{name}"):
            names.split(name)
        for bucket in entry.__struct_fields__:
            dollars: Decimal | None = getattr(entry, bucket)
            if dollars is not None and not (dollars.is_finite() and dollars >= 0):
                reading.wrong(f"prices.{name}.{bucket}", f"must be dollars from 0 up, not {dollars}")


def _check_default(
    name: str | None, key: str, operation: Operation, names: Names, catalog: Catalog, reading: Reading
) -> None:
    if not name or reading.said(f"targets.{name}"):  # a target that is wrong has its complaint already
        return
    with reading.complaining(key):
        provider = names.find(name, operation).provider
        if all(dialect.operation != operation for dialect in catalog[provider].speaks):
            reading.wrong(key, f"{provider} has no {operation}")


# --- what it makes of what we know ------------------------------------------------------------------------------------

Wrong = Callable[[str, str], None]
"""Takes a path, and what is wrong there."""


def catalog_of(config: Config, wrong: Wrong = lambda path, message: None) -> Catalog:
    """The catalog with the configuration's changes and additions."""
    rows = CATALOG
    for name, entry in config.providers.items():
        like = entry.like or name
        if like in rows:
            _check_options(f"providers.{name}", entry.options, rows[like], wrong)
            rows = rows.with_rows(_row(name, entry, rows[like]))
        elif entry.like is not None:
            wrong(f"providers.{name}.like", f"unknown provider '{like}'{suggestion(like, rows.names())}")
        else:
            close = get_close_matches(name, rows.names(), n=1)
            hint = f"did you mean '{close[0]}'?" if close else "a new provider needs 'like: openai-compatible'"
            wrong(f"providers.{name}", f"unknown provider '{name}', {hint}")
    return rows


def _row(name: str, entry: ProviderConfig, row: Provider) -> Provider:
    changed = replace(
        row,
        name=name,
        headers={**row.headers, **entry.headers},
        options={**row.options, **entry.options},
        base_url=completed(entry.base_url, row.base_url) if entry.base_url else row.base_url,
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
