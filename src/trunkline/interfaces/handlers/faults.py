"""Faults: the handlers' errors, and which of the engine's they stand for."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.interfaces.faults import told_as
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    ContextWindowError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)


class LLMProviderError(TrunklineError):
    """A provider failed, and nobody else could answer."""


class LLMProviderErrorRetryableTask(LLMProviderError):
    """It may pass: the task is worth another try later."""


class SkyvernContextWindowExceededError(ContextWindowError):
    """The prompt does not fit into the model's context window, shortened neither."""


class InvalidLLMConfigError(ConfigurationError):
    """A key stands for nothing, or what it stands for makes no sense; nothing was sent."""


class MissingLLMProviderEnvVarsError(InvalidLLMConfigError):
    """Variables that a configuration requires are not set; the message names them."""


class DuplicateLLMConfigError(InvalidLLMConfigError):
    """The key has a configuration already."""


class DuplicateCustomLLMProviderError(InvalidLLMConfigError):
    """The key has a custom handler already."""


_OURS: Mapping[type[TrunklineError], type[TrunklineError]] = {
    ConfigurationError: InvalidLLMConfigError,
    ContextWindowError: SkyvernContextWindowExceededError,
    RateLimitError: LLMProviderErrorRetryableTask,
    ServiceError: LLMProviderErrorRetryableTask,
    APIConnectionError: LLMProviderErrorRetryableTask,
    APITimeoutError: LLMProviderErrorRetryableTask,
    ResponseParseError: LLMProviderErrorRetryableTask,
}


def ours(error: TrunklineError) -> TrunklineError:
    """An error of the engine's as one of these."""
    return told_as(error, _OURS, LLMProviderError)
