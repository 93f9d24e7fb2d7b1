"""Places: where a configuration's calls go, in the engine's words.

Owns what a router's words come to (`tpm`, `redis_host`, `routing_strategy`, …), and that a second key is the first
one's fallback.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from trunkline.client import AsyncClient
from trunkline.interfaces.line import CHAIN, FOREVER, Place, line, manner, named, placed
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.protocols import Json

from .configs import (
    AnyConfig,
    LiteLLMParams,
    LLMConfig,
    LLMRouterConfig,
    LLMRouterModelConfig,
    read_params,
    settings,
)
from .faults import ours
from .registry import OWN_KEY, is_known

logger = logging.getLogger("trunkline.interfaces.handlers")

MAX_RETRIES = 3
"""How often a model is asked again."""
RETRY_DELAY = 1.0
"""Seconds before it is asked again, except after a broken network, which is asked at once."""
MOST_ANSWERS = 10_000
"""How many a router keeps."""
MOST_WAITING = 100_000
PATIENCE = 120.0
"""Seconds that a call waits for the limits of a router's models: those are of a minute."""


class Pool(Struct, frozen=True):
    """What a key's calls may go to: targets that do the same, and how one of them is chosen."""

    places: Mapping[str, Place]
    strategy: str = "ordered"
    weights: Mapping[str, float] = {}
    said: Mapping[str, Any] = {}
    """What else the engine is told: where limits and answers are kept."""


def pools_of(config: AnyConfig) -> list[Pool]:
    """Where a configuration's calls go: a pool, and those behind it."""
    return _pools_of_router(config) if isinstance(config, LLMRouterConfig) else [_pool_of_model(config)]


def client_of(pools: Sequence[Pool]) -> AsyncClient:
    """A client that asks a pool, and the next one when nobody of it can answer. Raises InvalidLLMConfigError."""
    targets: Json = {}
    routes: Json = {}
    for at, pool in enumerate(pools):
        own = {_free(name, targets, place.target): place.target for name, place in pool.places.items()}
        targets |= own
        route = {"targets": [*own], "strategy": pool.strategy, "weights": pool.weights}
        routes[f"{CHAIN} {at + 1}" if at else CHAIN] = route
    routes[CHAIN]["fallbacks"] = [name for name in routes if name != CHAIN]
    shared = next((pool.said["state"] for pool in pools if "state" in pool.said), None)
    said = {
        "model": CHAIN,
        "targets": {name: target for name, target in targets.items() if target},
        "routes": routes,
        "timeout": FOREVER,
        **_manner(settings.LLM_CONFIG_TIMEOUT, retries=MAX_RETRIES),
        **({"state": shared} if shared is not None else {}),
        **pools[0].said,
    }
    rows = [row for pool in pools for place in pool.places.values() for row in place.rows]
    try:
        return line().client(said, providers=rows)
    except TrunklineError as error:
        raise ours(error) from error


def _free(name: str, taken: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """The name, numbered where a target has it that is not the same."""
    free, number = name, 2
    while free in taken and taken[free] != target:
        free, number = f"{name} ({number})", number + 1
    return free


def _manner(timeout: float, *, retries: int) -> Json:
    return manner(retries=retries, timeout=timeout, first=RETRY_DELAY, network_at_once=True)


# -- one model ---------------------------------------------------------------------------------------------------------


def _pool_of_model(config: LLMConfig) -> Pool:
    if config.litellm_params is None and named(config.model_name):
        return Pool({config.model_name: Place({})})  # it stands in the machine's configuration, with all that it needs
    params, own = read_params(config.litellm_params, config.model_name)
    said = {"max_tokens": config.max_tokens, "temperature": config.temperature}
    own |= {word: value for word, value in said.items() if value is not None}
    name, target = _target(config.model_name, params, own, config.required_env_vars, retries=MAX_RETRIES)
    return Pool({name: Place(target)})


def _target(
    model: str, params: LiteLLMParams, own: Json, variables: Sequence[str], *, retries: int
) -> tuple[str, Json]:
    """A model's full name, and it as a target. `variables`: where the key may be of a model that nobody knows: what
    another provider has is not for it."""
    provider, name = placed(params.model or model)
    key = params.api_key
    if key is None and not is_known(params.model or model):
        key = next((os.environ.get(each) for each in [*variables, OWN_KEY] if each.endswith("_API_KEY")), None)
        provider = "openai-compatible" if params.api_base else provider
    usual = {"max_tokens": settings.LLM_CONFIG_MAX_TOKENS, "temperature": settings.LLM_CONFIG_TEMPERATURE}
    target: Json = {
        "model": f"{provider}/{name}",
        "api_key": key,
        "base_url": params.api_base,
        "headers": params.extra_headers or {},
        "options": {"api_version": params.api_version} if params.api_version else {},
        "settings": {**usual, **own},
        **_manner(params.timeout or settings.LLM_CONFIG_TIMEOUT, retries=retries),
    }
    return f"{provider}/{name}", target


# -- a router ----------------------------------------------------------------------------------------------------------


def _pools_of_router(config: LLMRouterConfig) -> list[Pool]:
    groups = [[one for one in config.model_list if _is_main(one, config)]]
    groups += [[one for one in config.model_list if one.model_name == name] for name in config.fallbacks]
    redis = _redis_of(config)
    said: Json = {
        "cache": {"always": config.enable_caching, "max_entries": MOST_ANSWERS},
        "queue": {"length": MOST_WAITING, "seconds": PATIENCE},
    }
    if redis is not None:
        said["state"] = {"url": redis, "fail": "share"}
        said["cache"] |= {"store": "redis"}
    return [_pool_of_group(group, config, said) for group in groups]


def _is_main(deployment: LLMRouterModelConfig, config: LLMRouterConfig) -> bool:
    name = deployment.model_name
    return name == config.main_model_group if config.main_model_group else name not in config.fallbacks


def _pool_of_group(group: Sequence[LLMRouterModelConfig], config: LLMRouterConfig, said: Json) -> Pool:
    targets: Json = {}
    weights: dict[str, float] = {}
    for deployment in group:
        name, target = _deployed(deployment, retries=MAX_RETRIES if config.enable_retry else 0)
        name = _free(name, targets, target)
        targets[name] = target
        if deployment.weight is not None:
            weights[name] = deployment.weight
    return Pool({name: Place(target) for name, target in targets.items()}, config.routing_strategy, weights, said)


def _deployed(deployment: LLMRouterModelConfig, *, retries: int) -> tuple[str, Json]:
    params, own = read_params(deployment.litellm_params, deployment.model_name)
    name, target = _target(deployment.model_name, params, own, (), retries=retries)
    limits = {"rpm": deployment.rpm, "tpm": deployment.tpm}
    return name, {**target, **{word: limit for word, limit in limits.items() if limit is not None}}


def _redis_of(config: LLMRouterConfig) -> str | None:
    """The address of Redis, where there is to be one."""
    if not config.redis_host:
        return None
    if find_spec("redis") is None:
        logger.warning("redis_host is named, and the package is missing: pip install 'trunkline[redis]'. Limits and "
                       "answers are this process' own")  # fmt: skip
        return None
    password = f":{quote(config.redis_password, safe='')}@" if config.redis_password else ""
    return f"redis://{password}{config.redis_host}:{config.redis_port}"
