"""Refusals in Google's envelope, both ways: `{"error": {"code", "message", "status", "details": […]}}`.

`status` is a word of google.rpc.Code; `details` hold objects of google.rpc's error model, among them why (ErrorInfo),
what was used up (QuotaFailure) and how long to wait (RetryInfo). A stream that is asked for as a list answers with a
list of one. Sources: ai.google.dev/gemini-api/docs/troubleshooting, cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import classify, inside_of, kept_headers, object_of, retry_after, status_of
from trunkline.wire.grammar.fields import an_object

from .parts import name

BY_WORD: Mapping[str, type[TrunklineError]] = {
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": AuthenticationError,
    "NOT_FOUND": ModelError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAVAILABLE": OverloadedError,
    "DEADLINE_EXCEEDED": APITimeoutError,
    "INTERNAL": ServiceError,
    "UNKNOWN": ServiceError,
    "ABORTED": ServiceError,
    "CANCELLED": ServiceError,
    "DATA_LOSS": ServiceError,
}
"""Other words (INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE, …) say little: the text tells."""

BY_REASON: Mapping[str, type[TrunklineError]] = {
    "API_KEY_INVALID": AuthenticationError,  # with a 400
    "ACCESS_TOKEN_EXPIRED": AuthenticationError,
    "CREDENTIALS_MISSING": AuthenticationError,
    "SERVICE_DISABLED": AuthenticationError,
    "BILLING_DISABLED": ResourceExhaustedError,
    "RATE_LIMIT_EXCEEDED": RateLimitError,
}
"""ErrorInfo's reasons, which know better than the status."""

_SPENT = re.compile(
    r"prepa(y|id)|credits? (balance )?(is|are) (depleted|used up|exhausted)|spend(ing)? (cap|limit)|limit: 0\b", re.I
)
"""Used-up money, or a quota of nothing: no waiting helps. Any other quota fills up again, though a daily one slowly."""

_ELSEWHERE = re.compile(r"location is not supported|not available in your country|enable billing", re.I)
"""What this account may not do from where it is: another target may."""

_WAIT = re.compile(r"retry in (\d+(?:\.\d+)?)s", re.I)

_TYPE = "type.googleapis.com/google.rpc."


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is."""
    inside = inside_of(object_of(body))
    message = inside.get("message")
    if not isinstance(message, str) or not message:
        message = body[:300].decode("utf-8", "replace").strip()
        message = message if message and message[:1] not in "<{[" else f"the provider answered {status}"
    said = inside.get("status")
    word = said if isinstance(said, str) else None
    info = _detail(inside, "ErrorInfo")
    reason = info.get("reason")
    reason = reason if isinstance(reason, str) else None
    wait = retry_after(headers)
    return _kind(status, reason, word, message)(
        message,
        status=status,
        code=reason or word,
        param=_param(inside),
        request_id=_request_id(headers, inside),
        retry_after=wait if wait is not None else _wait(inside, message),
        headers=kept_headers(headers),
        body=body,
        dialect=name,
    )


def _kind(status: int, reason: str | None, word: str | None, message: str) -> type[TrunklineError]:
    if word == "RESOURCE_EXHAUSTED" or (word is None and status == 429):
        return ResourceExhaustedError if status == 402 or _SPENT.search(message) else RateLimitError
    kind = BY_REASON.get(reason or "") or BY_WORD.get(word or "")
    if kind is not None:
        return kind
    if word == "FAILED_PRECONDITION" and _ELSEWHERE.search(message):
        return AuthenticationError
    return classify(status, (), message)


def _details(inside: Json, kind: str) -> Iterator[Json]:
    details = inside.get("details")
    for detail in cast("list[Any]", details) if isinstance(details, list) else ():
        if an_object(detail).get("@type") == _TYPE + kind:
            yield an_object(detail)


def _detail(inside: Json, kind: str) -> Json:
    return next(_details(inside, kind), an_object(None))


def _wait(inside: Json, message: str) -> float | None:
    """The seconds to wait: a duration (`"34.07s"`), or a sentence that says as much."""
    for detail in _details(inside, "RetryInfo"):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and _DURATION.fullmatch(delay):
            return float(delay[:-1])
        if isinstance(delay, dict):  # the same in numbers
            parts = cast("Json", delay)
            seconds, nanos = parts.get("seconds", 0), parts.get("nanos", 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                return seconds + nanos / 1e9
    said = _WAIT.search(message)
    return float(said[1]) if said else None


_DURATION = re.compile(r"\d{1,9}(\.\d+)?s")


def _param(inside: Json) -> str | None:
    """The field to mend, if one is named."""
    for detail in _details(inside, "BadRequest"):
        for violation in detail.get("fieldViolations") or ():
            field = an_object(violation).get("field")
            if isinstance(field, str) and field:
                return field
    return None


def _request_id(headers: Mapping[str, str], inside: Json) -> str | None:
    info = _detail(inside, "RequestInfo")
    said = headers.get("x-request-id") or info.get("requestId")
    return said if isinstance(said, str) else None


def hidden_error(body: Json) -> TrunklineError:
    """The error that came inside a 200, whole or in a stream: its code is the status it would have had."""
    code = an_object(body.get("error")).get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return error_from_wire(status, {}, msgspec.json.encode(body))


_WORDS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_STATUS: Mapping[int, int] = {498: 503, 529: 503}
"""Statuses of other APIs, and what they are here."""


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    status = status_of(error)
    if error.dialect == name and error.body is not None and inside_of(object_of(error.body)):
        body = error.body
    else:
        status = _STATUS.get(status, status)
        body = msgspec.json.encode(envelope(error))
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers["x-request-id"] = error.request_id
    return Refused(status, headers, body)


def envelope(error: TrunklineError) -> Json:
    """The error as an object, for a body or for a stream."""
    status = status_of(error)
    status = _STATUS.get(status, status)
    fallback = "INVALID_ARGUMENT" if isinstance(error, InvalidRequestError) else "INTERNAL"
    word = _WORDS.get(status, fallback if status >= 500 else "INVALID_ARGUMENT")
    inside: Json = {"code": status, "message": str(error), "status": word}
    details: list[Json] = []
    if error.code is not None and error.code != word:
        details.append({"@type": _TYPE + "ErrorInfo", "reason": error.code, "domain": "trunkline"})
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": _TYPE + "BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append(
            {"@type": _TYPE + "RetryInfo", "retryDelay": f"{error.retry_after:.3f}".rstrip("0").rstrip(".") + "s"}
        )
    if details:
        inside["details"] = details
    return {"error": inside}
