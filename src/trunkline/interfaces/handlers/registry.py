"""Registry: keys, and what they stand for."""

from __future__ import annotations

import os

from trunkline.interfaces.line import line, named, placed
from trunkline.vocabulary.errors import TrunklineError

from .configs import AnyConfig, LiteLLMParams, LLMConfig, LLMRouterConfig
from .faults import DuplicateLLMConfigError, InvalidLLMConfigError, MissingLLMProviderEnvVarsError, ours

OWN_KEY = "LLM_API_KEY"
"""The key for a model whose provider nobody knows."""


class LLMConfigRegistry:
    """The process' keys. One that nobody has registered is a model: `gpt-4o`, `openrouter/…`, `provider/model`, or a
    target of the machine's configuration."""

    _configs: dict[str, AnyConfig] = {}

    @classmethod
    def register_config(cls, key: str, config: AnyConfig) -> None:
        """Give a key a meaning. Raises DuplicateLLMConfigError where it has one."""
        if not key:
            raise InvalidLLMConfigError("a key is a word, and not empty")
        if cls._configs.setdefault(key, config) is not config:
            raise DuplicateLLMConfigError(f"the key '{key}' has a configuration already")

    @classmethod
    def get_config(cls, key: str) -> AnyConfig:
        """What a key stands for, once all that it needs is there. Raises InvalidLLMConfigError that says what is
        missing."""
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
    vision = facts is not None and facts.vision is True
    own = machine.config.providers.get(provider)
    known = "/" in key or machine.book.home(key) is not None or key in machine.catalog
    if not known:
        params = LiteLLMParams(api_key=os.environ.get(OWN_KEY))
        return LLMConfig(key, [OWN_KEY], supports_vision=vision, add_assistant_prefix=False, litellm_params=params)
    needs = row.needs_key and row.credential is None and not (own is not None and own.api_key)
    missing = needs and not any(os.environ.get(name) for name in row.key_env_also)
    required = [row.key_env] if missing and row.key_env else []
    return LLMConfig(key, required, supports_vision=vision, add_assistant_prefix=False)
