"""Configs: what a key stands for, one model or a router over several, and the variables that say the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .faults import InvalidLLMConfigError


@dataclass(frozen=True)
class LiteLLMParams:
    """How a model is reached, where its provider's variables do not say it."""

    api_key: str | None = field(default=None, repr=False)
    api_base: str | None = None
    api_version: str | None = None
    model: str | None = None
    """Its name at the provider, or `provider/model`; None: the configuration's `model_name`."""
    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float | None = None
    """Seconds of an attempt; None: LLM_CONFIG_TIMEOUT."""


@dataclass(frozen=True)
class LLMConfig:
    """One model."""

    model_name: str
    required_env_vars: list[str]
    """Variables without which nothing is sent."""
    supports_vision: bool
    """Whether it is shown screenshots."""
    add_assistant_prefix: bool
    """Whether its answer is begun for it, with the bracket of an object."""
    litellm_params: LiteLLMParams | None = None
    max_tokens: int | None = None
    """None: LLM_CONFIG_MAX_TOKENS."""
    temperature: float | None = None
    """None: LLM_CONFIG_TEMPERATURE."""


@dataclass(frozen=True)
class LLMRouterModelConfig:
    """One of the models that a router asks."""

    model_name: str
    litellm_params: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Words of `LiteLLMParams`, and settings of its requests."""
    tpm: int | None = None
    """Tokens in any minute."""
    rpm: int | None = None
    """Requests in any minute."""
    weight: float | None = None
    """Its share for `simple-shuffle`; None: by `rpm`, else by `tpm`."""


@dataclass(frozen=True)
class LLMRouterConfig:
    """Several models that do the same."""

    model_list: list[LLMRouterModelConfig]
    redis_host: str | None = None
    """Where limits and answers are shared with other processes; None: nowhere."""
    redis_port: int = 6379
    redis_password: str | None = field(default=None, repr=False)
    enable_caching: bool = True
    """The same prompt with the same parameters is asked once."""
    enable_retry: bool = True
    routing_strategy: Literal["simple-shuffle", "least-busy"] = "simple-shuffle"
    main_model_group: str | None = None
    """Only the models of this name are asked first; None: all that are in no other group."""
    fallback_model_group: str | list[str] | None = None
    """Models of these names are asked, group by group, when those cannot answer."""
    required_env_vars: list[str] = field(default_factory=list[str])
    supports_vision: bool = True
    add_assistant_prefix: bool = False

    @property
    def fallbacks(self) -> list[str]:
        """The names of the groups behind the first."""
        said = self.fallback_model_group
        return [said] if isinstance(said, str) else list(said or ())

    def __post_init__(self) -> None:
        if self.routing_strategy not in STRATEGIES:
            raise InvalidLLMConfigError(
                f"the routing_strategy is one of {', '.join(STRATEGIES)}, not {self.routing_strategy!r}"
            )
        if not self.model_list:
            raise InvalidLLMConfigError("the model_list is empty: name a model")
        names = {deployment.model_name for deployment in self.model_list}
        for group in [*([self.main_model_group] if self.main_model_group else []), *self.fallbacks]:
            if group not in names:
                raise InvalidLLMConfigError(f"no model of the model_list is called {group!r}")
        if not names - set(self.fallbacks):
            raise InvalidLLMConfigError("all models are fallbacks: leave one for the first call")


STRATEGIES = ("simple-shuffle", "least-busy")
AnyConfig = LLMConfig | LLMRouterConfig


class Settings:
    """The variables of this interface as attributes, read when they are used; None where one is not set and has no
    default. Keys are whatever ends with `_API_KEY`."""

    def __getattr__(self, name: str) -> Any:
        if name in _VARIABLES:
            kind, usual = _VARIABLES[name]
            text = os.environ.get(name)
            return _read(name, text, kind) if text else usual
        if name.endswith("_API_KEY") and name.isupper():
            return os.environ.get(name) or None
        raise AttributeError(f"there is no setting {name}; there are {', '.join(_VARIABLES)} and keys (…_API_KEY)")


_VARIABLES: Mapping[str, tuple[Callable[[str], Any], Any]] = {
    "LLM_KEY": (str, None),
    "SECONDARY_LLM_KEY": (str, None),
    "LLM_CONFIG_MAX_TOKENS": (int, 4096),
    "LLM_CONFIG_TEMPERATURE": (float, 0.0),
    "LLM_CONFIG_TIMEOUT": (float, 300.0),
}
settings = Settings()


def _read(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InvalidLLMConfigError(f"{name} must be a number, not {text!r}") from None
