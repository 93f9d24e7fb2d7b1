"""Refusals in Anthropic's envelope, both ways: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ModelError,
    ModelNotRegistered,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    TrunklineError,
    UnknownProvider,
)
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import inside_of, object_of, refusal, status_of
from trunkline.wire.grammar.fields import an_object

from .messages import name

STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The API's types of error, each with the one status under which it comes."""

_TYPES: tuple[tuple[type[TrunklineError], str], ...] = (
    (ResourceExhaustedError, "billing_error"),
    (RateLimitError, "rate_limit_error"),
    (AuthenticationError, "authentication_error"),
    (UnknownProvider, "not_found_error"),
    (ModelNotRegistered, "not_found_error"),
    (ModelError, "not_found_error"),
    (ConfigurationError, "invalid_request_error"),
    (InvalidRequestError, "invalid_request_error"),
    (OverloadedError, "overloaded_error"),
    (APITimeoutError, "timeout_error"),
)
"""The API's type for our errors, where their status does not tell it better."""

_BY_STATUS: Mapping[int, str] = {status: kind for kind, status in STATUS.items()} | {503: "overloaded_error"}

_TELLING = frozenset({403, 413})
"""Statuses that say more than the class of an error does."""

_KEPT = frozenset({405, 415})
"""Statuses of requests that are wrong as HTTP: the API has no type for them."""


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is."""
    return refusal(name, status, headers, body)


def hidden_error(body: Json) -> TrunklineError:
    """The error that came inside a 200, whole or as a stream's event: its type tells the status it would have had."""
    status = STATUS.get(str(an_object(body.get("error")).get("type")), 500)
    return error_from_wire(status, {}, msgspec.json.encode(body))


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    if error.dialect == name and error.body is not None and inside_of(object_of(error.body)):
        status, body = status_of(error), error.body
    else:
        kind = _type_of(error)
        status = status_of(error) if kind == "api_error" or error.status in _KEPT else STATUS[kind]
        body = msgspec.json.encode(envelope(error))
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers["request-id"] = error.request_id
    return Refused(status, headers, body)


def envelope(error: TrunklineError) -> Json:
    """The error as an object, for a body or for a stream's event."""
    inside = {"type": _type_of(error), "message": str(error)}
    return {"type": "error", "error": inside, "request_id": error.request_id}


def _type_of(error: TrunklineError) -> str:
    by_class = next((kind for cls, kind in _TYPES if isinstance(error, cls)), None)
    if by_class is None or error.status in _TELLING:
        return _BY_STATUS.get(status_of(error), by_class or "api_error")
    return by_class
