"""Registry: providers by name, OpenRouter first and Portkey behind it, or others of the program's own.

errors.py     nine errors, and which of the engine's each is
config.py     `LLMProviderConfig`: key, address, model, how long and how often
provider.py   `LLMProvider`, what a program writes a provider of its own from, and how the engine is asked
gateways.py   `OpenRouterProvider` and `PortkeyProvider`: their headers, and which model for whom

This file owns who is registered, and whom `get_llm_provider` gives.
"""

from __future__ import annotations

import logging
import os
import threading

from trunkline.interfaces.line import on_reload

from .config import LLMProviderConfig
from .errors import (
    LLMProviderAuthenticationError,
    LLMProviderConfigurationError,
    LLMProviderConnectionError,
    LLMProviderError,
    LLMProviderInvalidRequestError,
    LLMProviderModelError,
    LLMProviderRateLimitError,
    LLMProviderResourceExhaustedError,
    LLMProviderServiceError,
    LLMProviderTimeoutError,
)
from .gateways import OpenRouterProvider, PortkeyProvider
from .provider import LLMCompletion, LLMProvider, PreferredProvider

__all__ = [
    "LLMCompletion",
    "LLMProvider",
    "LLMProviderAuthenticationError",
    "LLMProviderConfig",
    "LLMProviderConfigurationError",
    "LLMProviderConnectionError",
    "LLMProviderError",
    "LLMProviderInvalidRequestError",
    "LLMProviderModelError",
    "LLMProviderRateLimitError",
    "LLMProviderResourceExhaustedError",
    "LLMProviderServiceError",
    "LLMProviderTimeoutError",
    "OpenRouterProvider",
    "PortkeyProvider",
    "PreferredProvider",
    "get_llm_provider",
    "initialize_llm_providers",
    "register_llm_provider",
    "reset_llm_providers",
]

logger = logging.getLogger("trunkline.interfaces.registry")

BUILT_IN: dict[str, type[LLMProvider]] = {"openrouter": OpenRouterProvider, "portkey": PortkeyProvider}
"""Made from the environment when they are first asked for, in the order in which they are fallen back on."""
USUAL = "openrouter"

_registered: dict[str, LLMProvider] = {}
_made: dict[str, LLMProvider] = {}
"""What was made from the environment; the preferred one, with those behind it, under no name."""
_lock = threading.RLock()


def register_llm_provider(provider: LLMProvider) -> None:
    """Have `get_llm_provider` give this one for its name, in the place of any other of that name."""
    name = provider.provider_name
    if not name or "/" in name:
        raise LLMProviderConfigurationError(f"a provider's name is a word without '/', not {name!r}")
    with _lock:
        _registered[name] = provider
        _made.pop("", None)


def get_llm_provider(name: str | None = None) -> LLMProvider:
    """The provider of a name. Without one: that which PREFERRED_LLM_PROVIDER names (`openrouter`), which falls back on
    all others that can be asked: those registered, then OpenRouter and Portkey. Raises LLMProviderConfigurationError
    for a name that nobody has."""
    with _lock:
        if name:
            return _named(name)
        if "" not in _made:
            _made[""] = _preferred((os.environ.get("PREFERRED_LLM_PROVIDER") or USUAL).strip())
        return _made[""]


def reset_llm_providers() -> None:
    """Empty the registry."""
    with _lock:
        _registered.clear()
        _made.clear()


async def initialize_llm_providers() -> None:
    """Initialise all that there are: call it when the program starts. Never raises: who cannot is logged, and asked no
    more than the others need."""
    for name in _names():
        try:
            await get_llm_provider(name).initialize()
        except Exception as error:  # noqa: BLE001 a provider of the program's own may raise anything
            logger.warning("%s is not initialised: %s", name, error)


def _preferred(name: str) -> LLMProvider:
    first = _named(name)
    others = [_named(other) for other in _names() if other != name]
    ready = [provider for provider in (first, *others) if provider.is_ready()]
    return PreferredProvider(first, ready) if any(one is not first for one in ready) else first


def _named(name: str) -> LLMProvider:
    found = _registered.get(name) or _made.get(name)
    if found is None:
        name = name.lower()
        if name in _made:
            return _made[name]
        if name not in BUILT_IN:
            raise LLMProviderConfigurationError(f"{name!r} is not registered; there are {', '.join(_names())}")
        found = _made[name] = BUILT_IN[name]()
    return found


def _names() -> list[str]:
    with _lock:
        return list(dict.fromkeys([*_registered, *BUILT_IN]))


def _forget() -> None:
    """The environment may say something else now; what the program registered is the program's."""
    with _lock:
        _made.clear()


on_reload(_forget)
