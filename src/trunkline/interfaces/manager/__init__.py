"""Manager: `LLMManager`, which knows providers by names of its own, and agents over them.

faults.py     its three errors
places.py     where a provider's calls go: the words of its configuration as a target
providers.py  `LLMProvider`, the built-in ones, and one that keeps answers
manager.py    `LLMManager`, one that counts, and one from the environment
agents.py     `ReactAgent`

Failover, retries, caching and connections are the engine's.
"""

from .agents import ReactAgent, StepLimitError, create_react_agent
from .faults import APIError, LLMConfigurationError, LLMError, RateLimitError
from .manager import LLMManager, MonitoredLLMManager, create_llm_manager_from_env
from .providers import CachedLLMProvider, LLMProvider

__all__ = [
    "APIError",
    "CachedLLMProvider",
    "LLMConfigurationError",
    "LLMError",
    "LLMManager",
    "LLMProvider",
    "MonitoredLLMManager",
    "RateLimitError",
    "ReactAgent",
    "StepLimitError",
    "create_llm_manager_from_env",
    "create_react_agent",
]
