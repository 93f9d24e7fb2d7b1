"""Classification: which kind of error a provider's refusal is.

Owns the tables from code, text and status to our tree, and from our tree to a status for callers of the gateway. The
order is code, then text, then status: the body knows best. Each dialect only digs code and message out of its envelope.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from trunkline.vocabulary.errors import (
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

BY_CODE: Mapping[str, type[TrunklineError]] = {
    "context_length_exceeded": ContextWindowError,
    "exceed_context_size_error": ContextWindowError,
    "string_above_max_length": ContextWindowError,
    "content_filter": ContentPolicyError,
    "content_policy_violation": ContentPolicyError,
    "invalid_prompt": ContentPolicyError,
    "invalid_api_key": AuthenticationError,
    "authentication_error": AuthenticationError,
    "permission_error": AuthenticationError,
    "permission_denied": AuthenticationError,
    "insufficient_quota": ResourceExhaustedError,
    "insufficient_credits": ResourceExhaustedError,
    "billing_error": ResourceExhaustedError,
    "billing_hard_limit_reached": ResourceExhaustedError,
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
}

BY_TEXT: tuple[tuple[re.Pattern[str], type[TrunklineError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            (
                r"maximum context length|context.{0,10}(length|window|size)|prompt is too long|too many (input )?tokens"
                r"|input length and `?max_tokens`? exceed|reduce the length of the (messages|prompt)"
            ),
            ContextWindowError,
        ),
        (
            r"content (management|filter|moderation)|content.?policy|usage polic|safety system|flagged by moderation",
            ContentPolicyError,
        ),
        (r"(invalid|incorrect|missing|no|bad).{0,20}api.?key|api.?key.{0,20}(not valid|invalid)", AuthenticationError),
        (
            r"exceeded your current quota|credit balance is too low|insufficient (credit|balance)",
            ResourceExhaustedError,
        ),
        (r"model.{0,80}(does not exist|not found|not supported|not available)|unknown model", ModelError),
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
    504: APITimeoutError,
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


def classify(status: int, codes: tuple[str | None, ...], message: str) -> type[TrunklineError]:
    """The class of a refusal. `codes` are the envelope's words for it, the most telling first."""
    for code in codes:
        kind = BY_CODE.get(code.lower()) if code else None
        if kind is not None and not (kind is RateLimitError and status == 413):
            return kind
    if status in _VAGUE:
        for pattern, kind in BY_TEXT:
            if pattern.search(message):
                return kind
    if status == 409 and re.search(r"conflict|lock", message, re.IGNORECASE):
        return ServiceError
    return BY_STATUS.get(status) or (InvalidRequestError if 400 <= status < 500 else ServiceError)


def status_of(error: TrunklineError) -> int:
    """The HTTP status under which the gateway passes an error on."""
    if error.status is not None and error.status >= 400:
        return error.status
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    try:  # a date counts from the server's own clock, which it sends along
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a refusal that help its caller: waits, limits, request ids."""
    return {name: value for name, value in headers.items() if _KEPT.match(name)}


_KEPT = re.compile(r"retry-after|x-request-id|request-id|x-ratelimit-|anthropic-ratelimit-|x-should-retry|cf-ray")


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
