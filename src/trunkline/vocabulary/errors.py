"""Errors: everything that can go wrong with a call, as one tree.

An error knows by itself whether trying the same target again makes sense (`transient`), so nothing above has to look at
status codes. Which answer of a provider becomes which error is a table in `wire/`; this file only says what they mean.

    TrunklineError
    ├── ConfigurationError          something is missing or malformed on our side; nothing was sent
    │   ├── UnknownProvider
    │   └── ModelNotRegistered      no target has that name
    ├── AuthenticationError         the key is missing, wrong, or not allowed to do this
    ├── RateLimitError              too fast: wait `retry_after` seconds
    │   └── LimitError              our own limit said so
    ├── ResourceExhaustedError      the account's quota or credit is spent
    │   └── BudgetError             our own budget is spent
    ├── InvalidRequestError         the request cannot be answered as it is
    │   ├── ContextWindowError      it is too long for the model
    │   └── ContentPolicyError      the provider's policy refuses it
    ├── ModelError                  the provider does not know the model, or it is down
    ├── ServiceError                the provider failed
    │   └── OverloadedError         … because it has too much to do
    ├── APIConnectionError          the network failed
    │   └── CutOff                  a stream ended without its terminal event
    ├── APITimeoutError             a deadline passed
    ├── ResponseParseError          an answer came that cannot be read
    └── AllTargetsFailed            several targets were tried; `causes` holds why each failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class TrunklineError(Exception):
    """The root: `except TrunklineError` catches whatever this library raises on purpose."""

    kind: ClassVar[str] = "TrunklineError"
    """The word for this sort of error in records, metrics and settings."""
    status: int | None = None
    """The HTTP status that the provider answered, or that our gateway should answer; None where there was none."""
    transient: bool = False
    """Whether the same request to the same target may succeed later."""
    sent: bool = True
    """Whether the request may have reached a provider: what was reserved for one that did not is given back."""
    partial: Any = None
    """What had come of the answer (a `Reply`) when a stream broke."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        dialect: str | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        self.code = code
        """The provider's own word for the error (`rate_limit_exceeded`, `invalid_api_key`, …)."""
        self.param = param
        """The request's field that is to blame, if the provider named one."""
        self.provider = provider
        self.model = model
        self.request_id = request_id
        """The provider's id of the failed request, for its support desk."""
        self.retry_after = retry_after
        """Seconds the provider asked us to wait, if it named any."""
        self.headers: Mapping[str, str] = headers or {}
        """The provider's rate-limit and request-id headers, lower-case names."""
        self.body = body
        """The provider's answer, as it came, in `dialect`."""
        self.dialect = dialect
        if transient is not None:
            self.transient = transient

    def __str__(self) -> str:
        where = "/".join(word for word in (self.provider, self.model) if word)
        tail = ", ".join(
            f"{name} {value}"
            for name, value in (
                ("status", self.status if self.provider else None),
                ("code", self.code),
                ("request id", self.request_id),
            )
            if value is not None
        )
        return f"{where}: {self.message}" * bool(where) + self.message * (not where) + f" ({tail})" * bool(tail)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: type[TrunklineError], message: str, state: dict[str, Any]) -> TrunklineError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class ConfigurationError(TrunklineError, ValueError):
    """A setting, a name or a key is missing or malformed; the message says what to change. Nothing was sent."""

    kind = "ConfigurationError"


class UnknownProvider(ConfigurationError):
    """No provider has that name."""

    kind = "UnknownProvider"
    status = 404


class ModelNotRegistered(ConfigurationError):
    """No target answers to that model name."""

    kind = "ModelNotRegistered"
    status = 404


class AuthenticationError(TrunklineError):
    """The key is missing, wrong, or lacks the permission. Never retried with the same key."""

    kind = "AuthenticationError"


class RateLimitError(TrunklineError):
    """The provider asked us to slow down; `retry_after` holds its seconds, if it named any."""

    kind = "RateLimitError"
    transient = True


class LimitError(RateLimitError):
    """One of our own limits on requests, tokens or concurrency said no."""

    kind = "LimitError"
    status = 429
    transient = False


class ResourceExhaustedError(TrunklineError):
    """The account's quota or credit is spent: waiting a moment does not help."""

    kind = "ResourceExhaustedError"


class BudgetError(ResourceExhaustedError):
    """One of our own budgets is spent."""

    kind = "BudgetError"
    status = 402


class InvalidRequestError(TrunklineError):
    """The request cannot be answered as it is; the message says what to change."""

    kind = "InvalidRequestError"


class ContextWindowError(InvalidRequestError):
    """The prompt (and the asked-for output) do not fit into the model's context window."""

    kind = "ContextWindowError"


class ContentPolicyError(InvalidRequestError):
    """The provider's content policy refuses the request or withholds the answer."""

    kind = "ContentPolicyError"


class ModelError(TrunklineError):
    """The provider does not have the model, or not for this account, or it is down."""

    kind = "ModelError"


class ServiceError(TrunklineError):
    """The provider failed to answer: its fault, and usually a passing one."""

    kind = "ServiceError"
    transient = True


class OverloadedError(ServiceError):
    """The provider has more work than it can do (529, 503)."""

    kind = "OverloadedError"


class APIConnectionError(TrunklineError):
    """The network failed: no such host, refused, reset, dropped, TLS."""

    kind = "ConnectionError"
    transient = True


class CutOff(APIConnectionError):
    """A stream ended without its terminal event: what came is not the whole answer."""

    kind = "CutOff"


class APITimeoutError(TrunklineError):
    """A deadline passed before the answer did; the message says which."""

    kind = "TimeoutError"
    transient = True


class ResponseParseError(TrunklineError):
    """The provider answered something that cannot be read as what was asked for."""

    kind = "ResponseParseError"
    transient = True


class AllTargetsFailed(TrunklineError):
    """Every target that was allowed to answer failed; `causes` holds each one's error, in order."""

    kind = "AllTargetsFailed"

    def __init__(self, causes: Sequence[TrunklineError]) -> None:
        self.causes = tuple(causes)
        self.last = self.causes[-1]
        waits = [cause.retry_after for cause in self.causes if cause.retry_after is not None]
        told = "; ".join(str(cause) for cause in self.causes)
        super().__init__(
            f"all {len(self.causes)} targets failed: {told}",
            status=self.last.status,
            code=self.last.code,
            retry_after=min(waits) if waits else None,
        )
