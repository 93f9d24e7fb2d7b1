"""Classification: which kind of error a provider's refusal is.

Owns the tables from code, text and status to our tree, and from our tree to a status for callers of the gateway. The
order is code, then text, then status: the body knows best. The envelopes are cousins: one reader finds code and message
in all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import (
    AllTargetsFailed,
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BudgetError,
    ConfigurationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    ModelNotRegistered,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Json

from .fields import an_object
from .ratelimits import reset_after

BY_CODE: Mapping[str, type[TrunklineError]] = {
    "context_length_exceeded": ContextWindowError,
    "exceed_context_size_error": ContextWindowError,
    "string_above_max_length": ContextWindowError,
    "content_filter": ContentPolicyError,
    "content_policy_violation": ContentPolicyError,
    "invalid_prompt": ContentPolicyError,
    "image_content_policy_violation": ContentPolicyError,
    "bio_policy": ContentPolicyError,
    "misalignment_policy_violation": ContentPolicyError,
    "invalid_api_key": AuthenticationError,
    "authentication_error": AuthenticationError,
    "permission_error": AuthenticationError,
    "permission_denied": AuthenticationError,
    "insufficient_quota": ResourceExhaustedError,
    "insufficient_credits": ResourceExhaustedError,
    "billing_error": ResourceExhaustedError,
    "billing_hard_limit_reached": ResourceExhaustedError,
    "enforced_spend_limit_reached": ResourceExhaustedError,
    "exceeded_current_quota_error": ResourceExhaustedError,
    "rate_limit_exceeded": RateLimitError,
    "rate_limit_error": RateLimitError,
    "requests": RateLimitError,
    "tokens": RateLimitError,
    "model_not_found": ModelError,
    "deploymentnotfound": ModelError,
    "not_found_error": ModelError,
    "overloaded_error": OverloadedError,
    "model_overloaded": OverloadedError,
    "timeout_error": APITimeoutError,
    "api_error": ServiceError,
    "server_error": ServiceError,
    "internal_server_error": ServiceError,
    "accessdeniedexception": AuthenticationError,
    "expiredtokenexception": AuthenticationError,
    "incompletesignatureexception": AuthenticationError,
    "invalidsignatureexception": AuthenticationError,
    "missingauthenticationtokenexception": AuthenticationError,
    "unrecognizedclientexception": AuthenticationError,
    "resourcenotfoundexception": ModelError,
    "throttlingexception": RateLimitError,  # which may say "Too many tokens": of a minute, not of a window
    "servicequotaexceededexception": RateLimitError,
    "modelnotreadyexception": OverloadedError,
    "serviceunavailableexception": OverloadedError,
    "modeltimeoutexception": APITimeoutError,
    "modelerrorexception": ServiceError,
    "modelstreamerrorexception": ServiceError,
    "internalserverexception": ServiceError,
}

BY_TEXT: tuple[tuple[re.Pattern[str], type[TrunklineError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            (
                r"maximum context length|context.{0,10}(length|window|size)|(prompt|input) is too long"
                r"|too many (input )?tokens"
                r"|input token(s| count).{0,60}exceed|input tokens exceeded"
                r"|input length and `?max_tokens`? exceed|reduce the length of the (messages|prompt)"
            ),
            ContextWindowError,
        ),
        (
            (
                r"content (management|filter|moderation)|content.?policy|usage polic|safety system"
                r"|flagged by moderation|(input|prompt) was flagged|requires moderation"
            ),
            ContentPolicyError,
        ),
        (r"(invalid|incorrect|missing|no|bad).{0,20}api.?key|api.?key.{0,20}(not valid|invalid)", AuthenticationError),
        (
            r"exceeded your current quota|credit balance is too low|insufficient (credit|balance)",
            ResourceExhaustedError,
        ),
        (
            (
                r"model.{0,80}(does not exist|not found|not supported|not available)|unknown model"
                r"|not a valid model|model identifier is invalid"
            ),
            ModelError,
        ),
        (r"(service tier )?capacity exceeded|overloaded", OverloadedError),
    )
)
"""Looked at for 400, 403, 404, 413, 422 and 429 only: these statuses say little by themselves."""

BY_STATUS: Mapping[int, type[TrunklineError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: ResourceExhaustedError,
    403: AuthenticationError,
    404: ModelError,
    408: APITimeoutError,
    429: RateLimitError,
    498: OverloadedError,
    503: OverloadedError,
    529: OverloadedError,
}
"""Any other 4xx is an invalid request, anything else the provider's fault."""

_VAGUE = frozenset({400, 403, 404, 409, 413, 422, 429})

STATUS_OF: tuple[tuple[type[TrunklineError], int], ...] = (
    (ModelNotRegistered, 404),
    (ConfigurationError, 400),
    (BudgetError, 402),
    (ResourceExhaustedError, 429),
    (RateLimitError, 429),
    (AuthenticationError, 401),
    (InvalidRequestError, 400),
    (ModelError, 404),
    (OverloadedError, 503),
    (APITimeoutError, 504),
    (APIConnectionError, 502),
    (ResponseParseError, 502),
    (ServiceError, 502),
)
"""What our gateway answers for an error that has no status of its own."""


def refusal(dialect: str, status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a refusal. Bodies that are no JSON (a proxy's HTML page) are classified by their status alone."""
    outside = object_of(body)
    inside = inside_of(outside)
    message = _message(inside) or _plain(body) or f"the provider answered {status}"
    words = (
        an_object(inside.get("details")).get("error_code"),
        inside.get("code"),
        inside.get("type"),
        aws_type(headers, outside),
    )
    codes = tuple(_word(word) for word in words)
    kind = classify(status, codes, message)
    return kind(
        message,
        status=status,
        code=next(filter(None, codes), None),
        param=_word(inside.get("param")),
        request_id=request_id(headers) or _word(outside.get("request_id")),
        retry_after=retry_after(headers),
        headers=kept_headers(headers),
        body=body,
        dialect=dialect,
        transient=True if kind is ModelError and status >= 500 else None,  # it is down, and not unknown
    )


def aws_type(headers: Mapping[str, str], body: Json) -> str | None:
    """AWS names the type of an error in a header, or in the body with its service before it."""
    said = headers.get("x-amzn-errortype") or _word(body.get("__type"))
    return said.partition(":")[0].rpartition("#")[2] or None if said else None


REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "cf-ray")
"""Headers in which providers name a request, the most telling first."""


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of a request."""
    return next((headers[name] for name in REQUEST_IDS if name in headers), None)


def object_of(body: bytes) -> Json:
    """The object that a refusal's body is, or holds as its first item; empty where it is neither."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return an_object(cast("list[Any]", value)[0] if isinstance(value, list) and value else value)


def inside_of(body: Json) -> Json:
    """The object that holds message and code: under `error`, or the body itself."""
    inside = body.get("error", body)
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


def classify(status: int, codes: tuple[str | None, ...], message: str) -> type[TrunklineError]:
    """The class of a refusal. `codes` are the envelope's words for it, the most telling first."""
    for code in codes:
        kind = BY_CODE.get(code.lower()) if code else None
        if kind is ServiceError and status in BY_STATUS:  # the vaguest of codes: the status knows better
            continue
        if kind is not None and not (kind is RateLimitError and status == 413):
            return kind
    if status in _VAGUE:
        for pattern, kind in BY_TEXT:
            if pattern.search(message):
                return kind
    if status == 502 and re.search(r"model.{0,20}\bdown\b", message, re.IGNORECASE):  # openrouter.ai/docs/errors
        return ModelError
    if status == 409 and re.search(r"conflict|lock", message, re.IGNORECASE):
        return ServiceError
    return BY_STATUS.get(status) or (InvalidRequestError if 400 <= status < 500 else ServiceError)


def status_of(error: TrunklineError) -> int:
    """The HTTP status under which the gateway passes an error on."""
    if isinstance(error, AllTargetsFailed):
        return status_of(error.last)
    if error.status is not None and error.status >= 400:
        return error.status
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date, else
    until the limits that its headers call used up are whole again."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if said is None:
        return reset_after(headers)
    if seconds is not None:
        return seconds
    try:  # a date counts from the server's own clock, which it sends along
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a refusal that help its caller: waits, limits, request ids."""
    return {name: value for name, value in headers.items() if name.startswith(_KEPT)}


_KEPT = (
    "retry-after",
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-should-retry",
    "cf-ray",
)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
