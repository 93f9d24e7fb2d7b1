"""Config: `LLMProviderConfig`, and what `LLM_*` say of it.

Owns the words for errors that are worth another try, and how all of it is said to the engine.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, cast

from msgspec import Struct

from trunkline.config.shapes import CountFromZero, Seconds, SecondsFromZero, fitting
from trunkline.interfaces.line import manner
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    CutOff,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Json

from .errors import LLMProviderConfigurationError, ours

RETRYABLE: Mapping[str, tuple[type[TrunklineError], ...]] = {
    "connection_error": (APIConnectionError, CutOff),
    "timeout_error": (APITimeoutError,),
    "rate_limit_error": (RateLimitError,),
    "service_error": (ServiceError, OverloadedError, ResponseParseError),
    "resource_exhausted_error": (ResourceExhaustedError,),
    "model_error": (ModelError,),
    "authentication_error": (),
    "invalid_request_error": (),
}
"""The engine's errors by their word. The last two can be said, but the same key and the same request would be refused
again: nobody is asked twice."""
USUALLY_RETRYABLE = frozenset({"connection_error", "timeout_error", "rate_limit_error", "service_error"})

_NUMBERS: Mapping[str, Any] = {
    "request_timeout": Seconds,
    "max_retries": CountFromZero,
    "retry_delay": SecondsFromZero,
    "retry_max_delay": SecondsFromZero,
}
_NO_WAIT = 0.001
"""Seconds: the engine's longest wait is above 0."""


class LLMProviderConfig(Struct, frozen=True):
    """Where a provider is, and how it is asked. What it leaves open, the provider's own variables say.

    Raises LLMProviderConfigurationError, which is a ValueError too, for what cannot be.
    """

    api_key: str | None = None
    base_url: str | None = None
    default_model: str | None = None
    request_timeout: float = 30.0
    """Seconds of an attempt."""
    max_retries: int = 3
    """How often a call asks again after its first attempt."""
    retry_delay: float = 1.0
    """Seconds before the first retry; each next wait is twice as long, give or take a quarter."""
    retry_max_delay: float = 60.0
    """The longest wait. A provider that asks for more is not asked again by the call."""
    retryable_errors: Collection[str] = USUALLY_RETRYABLE
    """Which errors are worth another try: words of `RETRYABLE`."""

    def __post_init__(self) -> None:
        for name, kind in _NUMBERS.items():
            _number(getattr(self, name), kind, name, strict=True)
        _known(self.retryable_errors, "retryable_errors")

    def __repr__(self) -> str:
        shown = [name for name in self.__struct_fields__ if name != "api_key"]
        return f"LLMProviderConfig({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @classmethod
    def from_env(cls, provider: str) -> LLMProviderConfig:
        """What `LLM_REQUEST_TIMEOUT`, `LLM_MAX_RETRIES`, `LLM_RETRY_DELAY`, `LLM_RETRY_MAX_DELAY` and
        `LLM_RETRYABLE_ERRORS` (commas between) say, and a provider's own `…_API_KEY`, `…_API_BASE` and
        `…_DEFAULT_MODEL`."""
        env, own = os.environ, provider.upper()
        said: Json = {}
        for name, kind in _NUMBERS.items():
            variable = f"LLM_{name.upper()}"
            if text := env.get(variable):
                said[name] = _number(text, kind, variable, strict=False)
        if words := env.get("LLM_RETRYABLE_ERRORS"):
            named = frozenset(word.strip() for word in words.split(",") if word.strip())
            _known(named, "LLM_RETRYABLE_ERRORS")
            said["retryable_errors"] = named
        return cls(
            api_key=env.get(f"{own}_API_KEY") or None,
            base_url=env.get(f"{own}_API_BASE") or env.get(f"{own}_BASE_URL") or None,
            default_model=env.get(f"{own}_DEFAULT_MODEL") or None,
            **said,
        )

    def manner(self) -> Json:
        """How a target is asked, as a configuration of the engine's says it."""
        kinds = {
            error.kind: {"retries": self.max_retries if word in self.retryable_errors else 0}
            for word, errors in RETRYABLE.items()
            for error in errors
            if error.transient != (word in self.retryable_errors)  # else the error itself knows
        }
        return manner(
            retries=self.max_retries,
            timeout=self.request_timeout,
            first=self.retry_delay,
            longest=self.retry_max_delay or _NO_WAIT,
            kinds=kinds,
        )


def _number(value: Any, kind: Any, called: str, *, strict: bool) -> Any:
    try:
        return fitting(value, kind, called, strict=strict)
    except ConfigurationError as error:
        raise ours(error) from None


def _known(words: Any, called: str) -> None:
    if isinstance(words, str) or not isinstance(words, Collection):
        raise LLMProviderConfigurationError(f"{called} is a set of words, not {words!r}", param=called)
    said = cast("Collection[Any]", words)
    if unknown := [word for word in said if word not in RETRYABLE]:
        message = f"{called} knows {', '.join(RETRYABLE)}, and not {', '.join(map(repr, unknown))}"
        raise LLMProviderConfigurationError(message, param=called)
