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
from trunkline.vocabulary.buckets import Period
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.facts import Unsupported
from trunkline.vocabulary.rules import Backoff, Hedge, Timeouts

BUILT_IN_MODEL = "local"

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Address = Annotated[str, Meta(pattern=r"^https?://[^/\s]", extra={"words": "an http(s):// address"})]
Port = Annotated[int, Meta(ge=0, le=65535, extra={"words": "a port from 0 to 65535"})]
Count = Annotated[int, Meta(ge=1, extra={"words": "a whole number from 1 up"})]
CountFromZero = Annotated[int, Meta(ge=0, extra={"words": "a whole number from 0 up"})]
Seconds = Annotated[float, Meta(gt=0, extra={"words": "a number of seconds above 0"})]
SecondsFromZero = Annotated[float, Meta(ge=0, extra={"words": "a number of seconds from 0 up"})]


def fitting(value: Any, kind: Any, called: str, *, strict: bool = True) -> Any:
    """A value that is said elsewhere than in the file, if it is what one of the kinds above may be. `strict`: numbers
    are numbers; else texts of them, too. Raises ConfigurationError that says what it must be."""
    try:
        return msgspec.convert(value.strip() if isinstance(value, str) else value, kind, strict=strict)
    except msgspec.ValidationError:
        words = kind.__metadata__[0].extra["words"]
        raise ConfigurationError(f"{called} must be {words}, not {value!r}", param=called) from None


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: unknown keys are mistakes."""


class BudgetConfig(_Section, frozen=True):
    """What may be spent in a period, which begins by the calendar, in UTC."""

    usd: Annotated[Decimal | None, Meta(description="US dollars.")] = None
    tokens: Annotated[Count | None, Meta(description="Tokens, read and written.")] = None
    per: Annotated[Period, Meta(description="`hour`, `day`, `week` (from Monday), `month` or `ever`.")] = "month"


class LimitsConfig(_Section, frozen=True):
    """What may be used: by a payer, an owner, the calls of a route, or the targets that name it."""

    rpm: Annotated[Count | None, Meta(description="Requests in any minute.")] = None
    tpm: Annotated[Count | None, Meta(description="Tokens in any minute, read and written.")] = None
    concurrency: Annotated[Count | None, Meta(description="Calls at a time.")] = None
    budget: Annotated[BudgetConfig | None, Meta(description="What may be spent in a period.")] = None


class PayerConfig(LimitsConfig, frozen=True, kw_only=True):
    """Who a call is charged to (`payer=`); `*` stands for each one who is not named."""

    owner: Annotated[str | None, Meta(description="Whom he belongs to: a name of `owners`.")] = None


class ConnectionsConfig(_Section, frozen=True):
    """Connections that a target does not share with others."""

    most: Annotated[Count | None, Meta(description="How many at a time: further requests wait for one.")] = None
    kept: Annotated[
        CountFromZero | None, Meta(description="How many are kept when they are idle; 0: each is used once.")
    ] = None


class TargetConfig(LimitsConfig, frozen=True, kw_only=True):
    """A name that callers may ask for, and what stands behind it."""

    model: Annotated[str, Meta(description="`provider/model`: which model, spoken to how.")]
    base_url: Annotated[Address | None, Meta(description="Where it is, if not at its provider's address.")] = None
    api_key: Annotated[
        str | None,
        Meta(description="Its own key, instead of its provider's: `${VAR}`, `file:/path` or `keyring:service/name`."),
    ] = None
    headers: Annotated[dict[str, str], Meta(description="Headers that each of its requests carries.")] = {}
    options: Annotated[dict[str, str], Meta(description="What else its address needs: azure's `api_version`.")] = {}
    buckets: Annotated[
        list[str], Meta(description="Limits that it shares with other targets of its account: names of `buckets`.")
    ] = []
    tags: Annotated[list[str], Meta(description="It serves only calls that carry one of these.")] = []
    adaptive: Annotated[bool, Meta(description="How many calls it bears at once is learned from its refusals.")] = False
    settings: Annotated[
        dict[str, Any],
        Meta(description="`temperature`, `max_tokens` …: what its requests say where the call does not."),
    ] = {}
    retries: Annotated[
        CountFromZero | None, Meta(description="How often a call may ask it again, beside the call's own count.")
    ] = None
    timeouts: Annotated[Timeouts | None, Meta(description="Seconds for the parts of its attempts.")] = None
    backoff: Annotated[Backoff | None, Meta(description="How long to wait before it is asked again.")] = None
    connections: Annotated[
        ConnectionsConfig | None, Meta(description="Its own connections; else it shares everyone's.")
    ] = None


Strategy = Literal[
    "ordered",
    "simple-shuffle",
    "round-robin",
    "least-busy",
    "lowest-latency",
    "lowest-cost",
    "most-headroom",
    "by-complexity",
    "prompt-cache",
]
Weight = Annotated[float, Meta(ge=0, extra={"words": "a number from 0 up"})]


class RouteConfig(LimitsConfig, frozen=True, kw_only=True):
    """A name that callers may ask for, and the targets behind it."""

    targets: Annotated[
        list[str], Meta(description="Targets that do the same: names of `targets`, or `provider/model`.")
    ]
    strategy: Annotated[Strategy, Meta(description="Which of them is asked first.")] = "simple-shuffle"
    weights: Annotated[dict[str, Weight], Meta(description="Their shares, by target, for `simple-shuffle`.")] = {}
    kinds: Annotated[
        dict[str, str],
        Meta(description="For `by-complexity`: which target for `simple`, `vision`, `reasoning` and `default`."),
    ] = {}
    fallbacks: Annotated[list[str], Meta(description="Routes or targets, in order, when these cannot answer.")] = []
    on_context_window: Annotated[list[str], Meta(description="Where calls go that are too long.")] = []
    on_content_policy: Annotated[list[str], Meta(description="Where calls go that a policy refuses.")] = []
    max_cost: Annotated[
        Decimal | None, Meta(description="US dollars that a call may cost at the worst: dearer targets are left out.")
    ] = None


class QueueConfig(_Section, frozen=True):
    """How calls wait for a target whose limits are reached."""

    length: Annotated[Count, Meta(description="Calls that may wait for one target's slot.")] = 100
    seconds: Annotated[Seconds, Meta(description="How long one may wait.")] = 30.0


Fail = Literal["open", "closed", "share"]


class StateConfig(_Section, frozen=True):
    """Where limits, budgets and rests are counted."""

    url: Annotated[
        str | None, Meta(description="`redis://…`, where several processes share them; else each counts its own.")
    ] = None
    fail: Annotated[
        Fail,
        Meta(description="Without Redis: let calls through, refuse them, or count a share of each limit alone."),
    ] = "open"
    replicas: Annotated[Count, Meta(description="How many processes share, for `fail: share`.")] = 1
    lease: Annotated[Seconds, Meta(description="After how long a killed process' reservations come back.")] = 60.0


Threshold = Annotated[float, Meta(gt=0, le=1, extra={"words": "a number above 0, up to 1"})]
Store = Literal["memory", "disk", "redis"]
Scope = Literal["payer", "owner", "everyone"]


class CacheConfig(_Section, frozen=True):
    """How answers are kept, for calls that say `cache=True`."""

    always: Annotated[bool, Meta(description="Calls that do not say are cached too.")] = False
    store: Annotated[Store, Meta(description="Where: in this process, in a file, or in the Redis of `state`.")] = (
        "memory"
    )
    path: Annotated[str, Meta(description="The file of `disk`.")] = "trunkline-cache.db"
    seconds: Annotated[Seconds, Meta(description="For how long.")] = 3600.0
    max_bytes: Annotated[Count, Meta(description="How much of `memory` or `disk` it may take.")] = 64 * 2**20
    max_entries: Annotated[Count | None, Meta(description="How many answers `memory` keeps at the most.")] = None
    scope: Annotated[Scope, Meta(description="Who shares answers.")] = "payer"
    similar: Annotated[
        Threshold | None,
        Meta(description="Answers nearly the same questions too: how near, from 0 to 1. 0.97 is careful."),
    ] = None


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
    idempotency_header: Annotated[
        str | None, Meta(description="Where it wants to be told that a request is the same one again.")
    ] = None


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
    routes: Annotated[dict[str, RouteConfig], Meta(description="Names for several targets.")] = {}
    buckets: Annotated[dict[str, LimitsConfig], Meta(description="Limits that targets share.")] = {}
    payers: Annotated[dict[str, PayerConfig], Meta(description="Limits and budgets of those who are charged.")] = {}
    owners: Annotated[dict[str, LimitsConfig], Meta(description="Limits and budgets of whom payers belong to.")] = {}
    unpriced: Annotated[
        Literal["refuse", "allow"],
        Meta(description="Whether a model of unknown price may be asked where a budget of money holds."),
    ] = "refuse"
    queue: Annotated[QueueConfig, Meta(description="How calls wait for a target.")] = QueueConfig()
    cache: Annotated[CacheConfig, Meta(description="How answers are kept.")] = CacheConfig()
    state: Annotated[StateConfig, Meta(description="Where limits, budgets and rests are counted.")] = StateConfig()
    timeout: Annotated[Seconds, Meta(description="Seconds for a whole call, every attempt included.")] = 600.0
    timeouts: Annotated[Timeouts, Meta(description="Seconds for the parts of an attempt.")] = Timeouts()
    retries: Annotated[CountFromZero, Meta(description="How often a call may ask again where it has asked before.")] = 2
    attempts: Annotated[Count | None, Meta(description="The most attempts of a call, whatever its route.")] = None
    backoff: Annotated[Backoff, Meta(description="How long to wait before a retry.")] = Backoff()
    hedge: Annotated[Hedge | None, Meta(description="Ask a second target when the first is slow.")] = None
    on_unsupported: Annotated[
        Unsupported, Meta(description="What to do with a setting that the target does not have.")
    ] = "warn"
    ledger: Annotated[
        str | None,
        Meta(description="The folder of the ledger. The gateway has one without asking; `off` for none."),
    ] = None


VARIABLES: Mapping[str, str] = {
    "TRUNKLINE_MODEL": "model",
    "TRUNKLINE_EMBEDDING_MODEL": "embedding_model",
    "TRUNKLINE_TIMEOUT": "timeout",
    "TRUNKLINE_RETRIES": "retries",
    "TRUNKLINE_ON_UNSUPPORTED": "on_unsupported",
    "TRUNKLINE_LEDGER": "ledger",
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
