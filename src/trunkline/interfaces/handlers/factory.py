"""Factory: a handler for a key."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from trunkline.interfaces.line import on_reload, place_of_function
from trunkline.vocabulary.protocols import Json

from .configs import AnyConfig, LLMConfig, settings
from .faults import DuplicateCustomLLMProviderError, InvalidLLMConfigError
from .handler import Handler, LLMAPIHandler
from .places import Pool, client_of, pools_of
from .registry import LLMConfigRegistry


class LLMAPIHandlerFactory:
    """Handlers by key: the program's own, else those of the registry. The one that SECONDARY_LLM_KEY names answers
    where the first cannot."""

    _custom_handlers: dict[str, LLMAPIHandler] = {}
    _made: dict[str, tuple[AnyConfig, Mapping[str, str], Handler]] = {}
    """By key: a handler, and of which configuration and environment it was made."""

    @staticmethod
    def get_llm_api_handler(llm_key: str | None = None) -> LLMAPIHandler:
        """The handler of a key; LLM_KEY's, where none is named. Raises InvalidLLMConfigError that says what to
        change."""
        key: Any = llm_key or settings.LLM_KEY or ""
        if isinstance(key, str) and key in LLMAPIHandlerFactory._custom_handlers:
            return LLMAPIHandlerFactory._custom_handlers[key]
        config, env = LLMConfigRegistry.get_config(key), dict(os.environ)
        made = LLMAPIHandlerFactory._made.get(key)
        if made is None or made[:2] != (config, env):
            made = config, env, _handler(key, config)
            LLMAPIHandlerFactory._made[key] = made
        return made[2]

    @staticmethod
    def get_llm_api_handler_with_router(llm_key: str) -> LLMAPIHandler:
        """The same, for a key that stands for a router."""
        if not LLMConfigRegistry.is_router_config(llm_key):
            raise InvalidLLMConfigError(f"the key '{llm_key}' stands for no router")
        return LLMAPIHandlerFactory.get_llm_api_handler(llm_key)

    @classmethod
    def register_custom_handler(cls, llm_key: str, handler: LLMAPIHandler) -> None:
        """Have a function of the program's own answer for a key. Raises DuplicateCustomLLMProviderError where there is
        one."""
        if not callable(handler):
            raise InvalidLLMConfigError(f"the handler of '{llm_key}' is no function")
        if cls._custom_handlers.setdefault(llm_key, handler) is not handler:
            raise DuplicateCustomLLMProviderError(f"the key '{llm_key}' has a custom handler already")

    @classmethod
    def reset(cls) -> None:
        """Forget every custom handler, and what was made."""
        cls._custom_handlers.clear()
        cls._made.clear()


on_reload(LLMAPIHandlerFactory._made.clear)  # pyright: ignore[reportPrivateUsage]


def create_single_provider_handler(llm_config: LLMConfig) -> LLMAPIHandler:
    """A handler for a configuration that has no key. Raises InvalidLLMConfigError where something is missing."""
    LLMConfigRegistry.validate_config(llm_config.model_name, llm_config)
    return _handler(llm_config.model_name, llm_config)


def _handler(key: str, config: AnyConfig) -> Handler:
    second = settings.SECONDARY_LLM_KEY
    behind = _pools_of_key(second) if second and second != key else []
    client = client_of([*pools_of(config), *behind])
    return Handler(key, client, sees=config.supports_vision, prefixed=config.add_assistant_prefix)


def _pools_of_key(key: str) -> list[Pool]:
    custom = LLMAPIHandlerFactory._custom_handlers.get(key)  # pyright: ignore[reportPrivateUsage]
    if custom is None:
        return pools_of(LLMConfigRegistry.get_config(key))

    async def asked(body: Json) -> str:
        said = await custom(**_prompted(body["messages"]))
        return said if isinstance(said, str) else msgspec.json.encode(said).decode()

    return [Pool({key: place_of_function(key, asked)})]


def _prompted(messages: Sequence[Json]) -> dict[str, Any]:
    """A conversation as a handler is asked: its prompt, its screenshots, its system prompt."""
    prompt: list[str] = []
    screenshots: list[bytes] = []
    system: list[str] = []
    for message in messages:
        content: Any = message.get("content") or ""
        parts = cast("list[Any]", content if isinstance(content, list) else [{"type": "text", "text": content}])
        for part in parts:
            if message["role"] == "user" and part["type"] == "image_url":
                screenshots.append(b64decode(part["image_url"]["url"].partition(",")[2]))
            elif message["role"] == "user":
                prompt.append(part.get("text", ""))
            elif message["role"] in ("system", "developer"):
                system.append(part.get("text", ""))
    beside = {"screenshots": screenshots, "system_prompt": "\n".join(system)}
    return {"prompt": "\n".join(prompt), **{name: value for name, value in beside.items() if value}}


OPTIMAL = {"simple": "gpt-4o-mini", "vision": "gpt-4o", "reasoning": "claude-3-opus"}


async def get_optimal_provider(prompt_complexity: str) -> str:
    """The key for a task: `simple` is cheap, `vision` sees, `reasoning` thinks; anything else is `gpt-4o`."""
    return OPTIMAL.get(prompt_complexity, "gpt-4o")
