"""Registry: keys, and what they stand for."""

from __future__ import annotations

import os

from trunkline.interfaces.line import line, named, on_reload, placed
from trunkline.vocabulary.errors import TrunklineError

from .configs import AnyConfig, LiteLLMParams, LLMConfig, LLMRouterConfig
from .faults import DuplicateLLMConfigError, InvalidLLMConfigError, MissingLLMProviderEnvVarsError, ours

OWN_KEY = "LLM_API_KEY"
"""The key for a model whose provider nobody knows."""


class LLMConfigRegistry:
    """The process' keys. One that nobody has registered is a model: `gpt-4o`, `openrouter/…`, `provider/model`, or a
    target of the machine's configuration."""

    _configs: dict[str, AnyConfig] = {}
    _before: set[str] = set()
    """Keys that were registered before the last reload: they may be registered anew."""

    @classmethod
    def register_config(cls, key: str, config: AnyConfig) -> None:
        """Give a key a meaning. Raises DuplicateLLMConfigError where it has one since the last reload."""
        if not isinstance(key, str) or not key:
            raise InvalidLLMConfigError(f"a key is a word, not {key!r}")
        if not isinstance(config, LLMConfig | LLMRouterConfig):
            raise InvalidLLMConfigError(f"'{key}' stands for LLMConfig or LLMRouterConfig, not {type(config).__name__}")
        if key in cls._before:
            cls._before.discard(key)
            del cls._configs[key]
        if cls._configs.setdefault(key, config) is not config:
            raise DuplicateLLMConfigError(f"the key '{key}' has a configuration already")

    @classmethod
    def get_config(cls, key: str) -> AnyConfig:
        """What a key stands for, once all that it needs is there. Raises InvalidLLMConfigError that says what is
        missing."""
        if not isinstance(key, str):
            raise InvalidLLMConfigError(f"a key is a word, not {key!r}")
        config = cls._configs.get(key) or _of_model(key)
        cls.validate_config(key, config)
        return config

    @classmethod
    def is_router_config(cls, key: str) -> bool:
        """Whether a key stands for several models."""
        return isinstance(cls._configs.get(key), LLMRouterConfig)

    @classmethod
    def validate_config(cls, key: str, config: AnyConfig) -> None:
        """Raises MissingLLMProviderEnvVarsError that names the variables that are not set."""
        missing = [name for name in config.required_env_vars if not os.environ.get(name)]
        if missing:
            raise MissingLLMProviderEnvVarsError(f"the key '{key}' needs {', '.join(missing)} in the environment")

    @classmethod
    def get_model_names(cls) -> list[str]:
        """The keys that were registered."""
        return list(cls._configs)

    @classmethod
    def reset(cls) -> None:
        """Forget every key."""
        cls._configs.clear()
        cls._before.clear()

    @classmethod
    def reload(cls) -> None:
        """Keys stay, and may be registered anew."""
        cls._before.update(cls._configs)


on_reload(LLMConfigRegistry.reload)


def is_known(model: str) -> bool:
    """Whether anybody knows where a model is: its name says it, or its lab does, or the machine's configuration."""
    machine = line()
    return "/" in model or named(model) or machine.book.home(model) is not None or model in machine.catalog.names()


def _of_model(key: str) -> LLMConfig:
    """What a key means that is a model's name."""
    if not key:
        raise InvalidLLMConfigError("no key is named: give one, or set LLM_KEY")
    try:
        if named(key):
            return LLMConfig(key, [], supports_vision=True, add_assistant_prefix=False)
        machine = line()
        provider, model = placed(key)
    except TrunklineError as error:
        raise ours(error) from error
    facts, row = machine.book.lookup(provider, model), machine.catalog[provider]
    vision = facts is None or facts.vision is not False
    own = machine.config.providers.get(provider)
    if not is_known(key):
        params = LiteLLMParams(api_key=os.environ.get(OWN_KEY))
        return LLMConfig(key, [OWN_KEY], supports_vision=vision, add_assistant_prefix=False, litellm_params=params)
    needs = row.needs_key and row.credential is None and not (own is not None and own.api_key)
    missing = needs and not any(os.environ.get(name) for name in row.key_env_also)
    required = [row.key_env] if missing and row.key_env else []
    return LLMConfig(key, required, supports_vision=vision, add_assistant_prefix=False)
