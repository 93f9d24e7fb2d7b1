"""Configs: what a key stands for, one model or a router over several, and the variables that say the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from msgspec import Meta

from trunkline.config.file import suggestion
from trunkline.config.shapes import Count, Seconds, fitting
from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError
from trunkline.vocabulary.settings import KNOWN, OTHER_WORDS, settings_from

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


Params = LiteLLMParams | Mapping[str, Any] | None
"""How a model is reached: in our class, or in a dict with the same words and settings of its requests."""


def read_params(said: Params, whose: str) -> tuple[LiteLLMParams, dict[str, Any]]:
    """How a model is reached, and the settings that were said beside. Raises InvalidLLMConfigError for a word that
    nobody knows."""
    if said is None or isinstance(said, LiteLLMParams):
        return said or LiteLLMParams(), {}
    words = dict(said)
    own = {word: words.pop(word) for word in [*words] if word in KNOWN or word in OTHER_WORDS}
    unknown = [word for word in words if word not in LiteLLMParams.__dataclass_fields__]
    if unknown:
        known = [*LiteLLMParams.__dataclass_fields__, *KNOWN]
        raise InvalidLLMConfigError(f"{whose}: litellm_params has no {unknown[0]!r}{suggestion(unknown[0], known)}")
    return LiteLLMParams(**words), own


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
    litellm_params: Params = field(default=None, repr=False)
    max_tokens: int | None = None
    """None: LLM_CONFIG_MAX_TOKENS."""
    temperature: float | None = None
    """None: LLM_CONFIG_TEMPERATURE."""

    def __post_init__(self) -> None:
        _check_model(self.model_name)
        _check_variables(self.required_env_vars)
        _check_params(self.litellm_params, self.model_name)
        _check_settings({"max_tokens": self.max_tokens, "temperature": self.temperature}, self.model_name)


@dataclass(frozen=True)
class LLMRouterModelConfig:
    """One of the models that a router asks."""

    model_name: str
    tpm: int | None = None
    """Tokens in any minute."""
    rpm: int | None = None
    """Requests in any minute."""
    litellm_params: Params = field(default=None, repr=False)
    weight: float | None = None
    """Its share for `simple-shuffle`; None: by `rpm`, else by `tpm`."""

    def __post_init__(self) -> None:
        _check_model(self.model_name)
        for word, limit in (("tpm", self.tpm), ("rpm", self.rpm)):
            if limit is not None and (not isinstance(limit, int) or limit < 1):
                raise InvalidLLMConfigError(f"{self.model_name}: {word} is a whole number from 1 up, not {limit!r}")
        _check_params(self.litellm_params, self.model_name)


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
        if not isinstance(self.model_list, list | tuple) or not self.model_list:
            raise InvalidLLMConfigError("the model_list is empty: name a model, with LLMRouterModelConfig")
        for one in self.model_list:
            if not isinstance(one, LLMRouterModelConfig):
                raise InvalidLLMConfigError(f"the model_list holds LLMRouterModelConfig, not {type(one).__name__}")
        if not isinstance(self.redis_port, int) or not 0 < self.redis_port < 2**16:
            raise InvalidLLMConfigError(f"the redis_port is a port from 1 to 65535, not {self.redis_port!r}")
        _check_variables(self.required_env_vars)
        names = {deployment.model_name for deployment in self.model_list}
        for group in [*([self.main_model_group] if self.main_model_group else []), *self.fallbacks]:
            if group not in names:
                raise InvalidLLMConfigError(f"no model of the model_list is called {group!r}")
        if not names - set(self.fallbacks):
            raise InvalidLLMConfigError("all models are fallbacks: leave one for the first call")


def _check_model(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidLLMConfigError(f"the model_name is the name of a model, not {name!r}")


def _check_variables(names: Any) -> None:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        raise InvalidLLMConfigError(f"required_env_vars is a list of names, not {names!r}")


def _check_params(said: Any, whose: str) -> None:
    if said is not None and not isinstance(said, LiteLLMParams | Mapping):
        raise InvalidLLMConfigError(f"{whose}: litellm_params is LiteLLMParams or a dict, not {type(said).__name__}")
    _check_settings(read_params(cast("Params", said), whose)[1], whose)


def _check_settings(said: Mapping[str, Any], whose: str) -> None:
    try:
        settings_from(said)
    except InvalidRequestError as error:
        raise InvalidLLMConfigError(f"{whose}: {error.message}") from None


STRATEGIES = ("simple-shuffle", "least-busy")
AnyConfig = LLMConfig | LLMRouterConfig


Share = Annotated[float, Meta(ge=0, le=2, extra={"words": "a number from 0 to 2"})]


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


_VARIABLES: Mapping[str, tuple[Any, Any]] = {
    "LLM_KEY": (str, None),
    "SECONDARY_LLM_KEY": (str, None),
    "LLM_CONFIG_MAX_TOKENS": (Count, 4096),
    "LLM_CONFIG_TEMPERATURE": (Share, 0.0),
    "LLM_CONFIG_TIMEOUT": (Seconds, 300.0),
}
"""What each must be, and what holds where it is not set."""
settings = Settings()


def _read(name: str, text: str, kind: Any) -> Any:
    try:
        return text if kind is str else fitting(text, kind, name, strict=False)
    except ConfigurationError as error:
        raise InvalidLLMConfigError(error.message, param=name) from None
