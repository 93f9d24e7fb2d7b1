"""Handlers: `LLMAPIHandlerFactory`, which gives for a key a function that answers prompts with objects.

faults.py     its errors
configs.py    what a key stands for: one model, or a router over several; and the variables
registry.py   `LLMConfigRegistry`: the keys
places.py     where a configuration's calls go, in the engine's words
handler.py    from a prompt to an object
factory.py    `LLMAPIHandlerFactory`
dashboard.py  what was counted

Routing, retries, truncating, fallback, limits and the cache are the engine's.
"""

from .configs import LiteLLMParams, LLMConfig, LLMRouterConfig, LLMRouterModelConfig, settings
from .dashboard import get_metrics, render_dashboard
from .factory import LLMAPIHandlerFactory, create_single_provider_handler, get_optimal_provider
from .faults import (
    DuplicateCustomLLMProviderError,
    DuplicateLLMConfigError,
    InvalidLLMConfigError,
    LLMProviderError,
    LLMProviderErrorRetryableTask,
    MissingLLMProviderEnvVarsError,
    SkyvernContextWindowExceededError,
)
from .handler import LLMAPIHandler, LLMCallStats
from .registry import LLMConfigRegistry

__all__ = [
    "DuplicateCustomLLMProviderError",
    "DuplicateLLMConfigError",
    "InvalidLLMConfigError",
    "LLMAPIHandler",
    "LLMAPIHandlerFactory",
    "LLMCallStats",
    "LLMConfig",
    "LLMConfigRegistry",
    "LLMProviderError",
    "LLMProviderErrorRetryableTask",
    "LLMRouterConfig",
    "LLMRouterModelConfig",
    "LiteLLMParams",
    "MissingLLMProviderEnvVarsError",
    "SkyvernContextWindowExceededError",
    "create_single_provider_handler",
    "get_metrics",
    "get_optimal_provider",
    "render_dashboard",
    "settings",
]
