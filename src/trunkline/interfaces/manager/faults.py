"""Faults: the manager's three errors, and which of the engine's they stand for."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from trunkline.agent import OutOfSteps
from trunkline.interfaces.faults import told_as
from trunkline.vocabulary import errors
from trunkline.vocabulary.errors import ConfigurationError, TrunklineError


class LLMError(TrunklineError):
    """Whatever the manager raises; its cause is the engine's own error."""


class RateLimitError(LLMError, errors.RateLimitError):
    """Too fast: `retry_after` holds the seconds to wait, where the provider says."""


class APIError(LLMError):
    """A provider, or the way to it, failed; the text holds the provider's own word for it."""


class LLMConfigurationError(LLMError, ConfigurationError):
    """Something is wrong with what the program or the environment says; nothing was sent."""


_OURS: Mapping[type[TrunklineError], type[TrunklineError]] = {
    errors.RateLimitError: RateLimitError,
    ConfigurationError: LLMConfigurationError,
}


@contextmanager
def in_our_words() -> Generator[None]:
    """The engine's errors become the manager's."""
    try:
        yield
    except (LLMError, OutOfSteps):
        raise
    except TrunklineError as error:
        raise told_as(error, _OURS, APIError) from error
