"""Shapes: what can be said in `trunkline.yaml` and in `TRUNKLINE_*`, key by key.

Owns the keys, their defaults, limits and descriptions; the JSON schema is printed from them. What of it makes sense
together is `sense`'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from trunkline.providers.mock import MockAnswer
from trunkline.vocabulary.facts import Unsupported

BUILT_IN_MODEL = "local"

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Address = Annotated[str, Meta(pattern=r"^https?://[^/\s]", extra={"words": "an http(s):// address"})]
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


LogLevel = Literal["debug", "info", "warning", "error"]


class GatewayConfig(_Section, frozen=True):
    """Where the gateway listens. It has no keys yet, so only loopback addresses are allowed."""

    host: Annotated[str, Meta(description=f"One of {', '.join(LOOPBACK)}.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0 takes a free one.")] = 4000
    workers: Annotated[Count, Meta(description="Processes that share the port.")] = 1
    max_body: Annotated[Count, Meta(description="The largest request body, in bytes.")] = 32 * 2**20
    log_level: Annotated[LogLevel, Meta(description="`info` logs one line for every call.")] = "warning"


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
    "TRUNKLINE_LOG_LEVEL": "gateway.log_level",
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
