"""Refusals in OpenAI's envelope, both ways: `{"error": {"message", "type", "param", "code"}}` and its many cousins."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    InvalidRequestError,
    ModelError,
    ModelNotRegistered,
    RateLimitError,
    ResourceExhaustedError,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import inside_of, object_of, refusal, status_of
from trunkline.wire.grammar.fields import an_object

from .messages import name


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is."""
    return refusal(name, status, headers, body)


def hidden_error(body: Json) -> TrunklineError:
    """The error that came inside a 200, whole or as a stream's chunk. Its code may be a status (openrouter.ai/docs)."""
    inside = an_object(body["error"])
    said = (inside.get(key) for key in ("code", "status_code", "status"))
    usual = 400 if inside.get("type") == "invalid_request_error" else 500
    status = next((code for code in said if isinstance(code, int) and 400 <= code < 600), usual)
    return error_from_wire(status, {}, msgspec.json.encode(body))


_TYPES: tuple[tuple[type[TrunklineError], str], ...] = (
    (AuthenticationError, "authentication_error"),
    (ResourceExhaustedError, "insufficient_quota"),
    (RateLimitError, "rate_limit_error"),
    (ModelNotRegistered, "invalid_request_error"),
    (ModelError, "invalid_request_error"),
    (InvalidRequestError, "invalid_request_error"),
    (APITimeoutError, "timeout_error"),
)
"""OpenAI's `type` for our errors; anything else is a `server_error`."""


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    if error.dialect == name and error.body is not None and inside_of(object_of(error.body)):
        body = error.body
    else:
        body = msgspec.json.encode(envelope(error))
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers["x-request-id"] = error.request_id
    return Refused(status_of(error), headers, body)


def envelope(error: TrunklineError) -> Json:
    """The error as an object, for a body or for a stream's chunk."""
    kind = next((word for cls, word in _TYPES if isinstance(error, cls)), "server_error")
    code = error.code or ("model_not_found" if isinstance(error, ModelNotRegistered) else None)
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": code}}
