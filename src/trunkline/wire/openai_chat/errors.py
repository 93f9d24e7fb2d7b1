"""Refusals in OpenAI's envelope, both ways: `{"error": {"message", "type", "param", "code"}}` and its many cousins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from trunkline.wire.classify import classify, kept_headers, retry_after, status_of
from trunkline.wire.fields import an_object

from .messages import name


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a refusal. Bodies that are no JSON (a proxy's HTML page) are classified by their status alone."""
    inside = _inside(body)
    message = _message(inside) or _plain(body) or f"the provider answered {status}"
    code, kind = _word(inside.get("code")), _word(inside.get("type"))
    error_class = classify(status, (code, kind), message)
    return error_class(
        message,
        status=status,
        code=code or kind,
        param=_word(inside.get("param")),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
        retry_after=retry_after(headers),
        headers=kept_headers(headers),
        body=body,
        dialect=name,
    )


def hidden_error(body: Json) -> TrunklineError:
    """The error that came inside a 200, whole or as a stream's chunk. Its code may be a status (openrouter.ai/docs)."""
    code = an_object(body["error"]).get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return error_from_wire(status, {}, msgspec.json.encode(body))


def _inside(body: bytes) -> Json:
    """The object that holds message and code: under `error`, or the body itself."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    inside = an_object(value).get("error", value)
    return {"message": inside} if isinstance(inside, str) else an_object(inside)


def _message(inside: Json) -> str | None:
    for key in ("message", "detail", "error", "msg"):
        value = inside.get(key)
        if isinstance(value, str) and value:
            return value
        if value and not isinstance(value, str):
            return msgspec.json.encode(value).decode()
    return None


def _plain(body: bytes) -> str | None:
    """The start of a text that is not JSON, unless it is a page of HTML, which tells a person nothing."""
    text = body[:300].decode("utf-8", "replace").strip()
    return text if text and not text.startswith("<") else None


def _word(value: Any) -> str | None:
    return str(value) if value is not None and not isinstance(value, dict | list) else None


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
    if error.dialect == name and error.body is not None and _inside(error.body):
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
