"""Faults: errors by the rows that every interface tells apart.

Owns which row an error of ours is in. What an interface calls a row is its own business.
"""

from __future__ import annotations

from trunkline.vocabulary.errors import (
    AllTargetsFailed,
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

ROWS: tuple[type[TrunklineError], ...] = (
    ConfigurationError,
    AuthenticationError,
    RateLimitError,
    ResourceExhaustedError,
    ContextWindowError,
    ContentPolicyError,
    InvalidRequestError,
    ModelError,
    ServiceError,
    APIConnectionError,
    APITimeoutError,
    ResponseParseError,
)
"""The nearest first: a window that is too small is an invalid request, too."""


def row_of(error: TrunklineError) -> type[TrunklineError]:
    """The row of an error; where several targets failed, that of the last one's."""
    if isinstance(error, AllTargetsFailed):
        return row_of(error.last)
    return next((row for row in ROWS if isinstance(error, row)), TrunklineError)
