"""Errors: the nine that the providers of this interface raise, and one for what is configured wrong.

Owns which of them each of the engine's is; that one is their cause.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.interfaces.faults import told_as
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)


class LLMProviderError(TrunklineError):
    """Whatever a provider raises."""


class LLMProviderConnectionError(LLMProviderError, APIConnectionError):
    """The network failed."""


class LLMProviderAuthenticationError(LLMProviderError, AuthenticationError):
    """The key is missing, wrong, or not allowed to do this."""


class LLMProviderRateLimitError(LLMProviderError, RateLimitError):
    """Too fast; `retry_after` holds the seconds to wait, if the provider named any."""


class LLMProviderResourceExhaustedError(LLMProviderError, ResourceExhaustedError):
    """The account's quota or credit is spent."""


class LLMProviderInvalidRequestError(LLMProviderError, InvalidRequestError):
    """The request cannot be answered as it is, is too long, or a policy refuses it."""


class LLMProviderServiceError(LLMProviderError, ServiceError):
    """The provider failed, or its answer cannot be read."""


class LLMProviderTimeoutError(LLMProviderError, APITimeoutError):
    """An attempt took longer than `request_timeout`."""


class LLMProviderModelError(LLMProviderError, ModelError):
    """The provider does not have the model, or it is down."""


class LLMProviderConfigurationError(LLMProviderError, ConfigurationError):
    """A setting, a variable or a name makes no sense; nothing was sent."""


_OURS: Mapping[type[TrunklineError], type[TrunklineError]] = {
    APIConnectionError: LLMProviderConnectionError,
    AuthenticationError: LLMProviderAuthenticationError,
    RateLimitError: LLMProviderRateLimitError,
    ResourceExhaustedError: LLMProviderResourceExhaustedError,
    InvalidRequestError: LLMProviderInvalidRequestError,
    ContextWindowError: LLMProviderInvalidRequestError,
    ContentPolicyError: LLMProviderInvalidRequestError,
    ServiceError: LLMProviderServiceError,
    ResponseParseError: LLMProviderServiceError,
    APITimeoutError: LLMProviderTimeoutError,
    ModelError: LLMProviderModelError,
    ConfigurationError: LLMProviderConfigurationError,
}


def ours(error: TrunklineError) -> TrunklineError:
    """An error of the engine's as one of these."""
    return told_as(error, _OURS, LLMProviderError)
