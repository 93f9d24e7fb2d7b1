"""Faults: errors by the rows that every interface tells apart.

Owns which row an error of ours is in. What an interface calls a row is its own business.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def told_as(
    error: TrunklineError, words: Mapping[type[TrunklineError], type[TrunklineError]], other: type[TrunklineError]
) -> TrunklineError:
    """The same error in an interface's own class: raise it from this one. `words` are its classes by row, `other` what
    it calls the rest. Of several targets' errors it is the last one, with the causes of all."""
    row = row_of(error)
    last = error.last if isinstance(error, AllTargetsFailed) else error
    kind = words.get(row, other)
    told = kind.__new__(kind, error.message)
    told.__dict__.update({**last.__dict__, **error.__dict__, "kind": row.kind})
    return told


def row_of(error: TrunklineError) -> type[TrunklineError]:
    """The row of an error; where several targets failed, that of the last one's."""
    if isinstance(error, AllTargetsFailed):
        return row_of(error.last)
    return next((row for row in ROWS if isinstance(error, row)), TrunklineError)
