"""Refusals in AWS's form, both ways: `{"message"}`, and the type of the error in a header.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, "Errors". In a stream an error is a
frame of its own, called by the type, its first letter small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from trunkline.wire.grammar.eventstream import EventFrame
from trunkline.wire.grammar.fields import an_object

from .media import name

STATUS: Mapping[str, int] = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
"""The API's types of error, each with the status under which it comes."""

_TYPES: tuple[tuple[type[TrunklineError], str], ...] = (
    (ResourceExhaustedError, "ServiceQuotaExceededException"),
    (RateLimitError, "ThrottlingException"),
    (AuthenticationError, "AccessDeniedException"),
    (UnknownProvider, "ResourceNotFoundException"),
    (ModelNotRegistered, "ResourceNotFoundException"),
    (ModelError, "ResourceNotFoundException"),
    (ConfigurationError, "ValidationException"),
    (InvalidRequestError, "ValidationException"),
    (OverloadedError, "ServiceUnavailableException"),
    (APITimeoutError, "ModelTimeoutException"),
)
"""The API's type for our errors; all others are its internal failure."""

_IN_STREAM = frozenset({
    "InternalServerException", "ModelStreamErrorException", "ValidationException", "ThrottlingException",
    "ServiceUnavailableException",
})  # fmt: skip
"""The types that a stream may end with."""

TYPE_HEADER, ID_HEADER = "x-amzn-errortype", "x-amzn-requestid"


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is."""
    return refusal(name, status, headers, body)


def frame_error(frame: EventFrame) -> TrunklineError:
    """The error that ends a stream."""
    kind = frame.name[:1].upper() + frame.name[1:]
    body = frame.payload or msgspec.json.encode({"message": frame.message or frame.name})
    said = object_of(body)
    status = said.get("originalStatusCode") if kind == "ModelStreamErrorException" else None
    if not isinstance(status, int) or status < 400:
        status = STATUS.get(kind, 500)
    if not inside_of(said).get("message"):
        body = msgspec.json.encode({**said, "message": said.get("originalMessage") or frame.message or frame.name})
    return error_from_wire(status, {TYPE_HEADER: kind}, body)


def hidden_error(body: Json) -> TrunklineError | None:
    """The error that came inside a 200, if the body is one."""
    kind = str(body.get("__type") or "").rpartition("#")[2]
    message: Any = body.get("message") or body.get("Message")
    if not kind and not isinstance(message, str):
        return None
    said = msgspec.json.encode({"message": message or kind})
    return error_from_wire(STATUS.get(kind, 500), {TYPE_HEADER: kind} if kind else {}, said)


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    kind, status = type_of(error), status_of(error)
    if error.dialect == name and error.body is not None and an_object(object_of(error.body)).get("message"):
        body = error.body
    else:
        status = STATUS.get(kind, status) if kind != "InternalServerException" else max(500, status)
        body = msgspec.json.encode({"message": str(error)})
    headers = {"content-type": "application/json", **error.headers, TYPE_HEADER: kind}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers[ID_HEADER] = error.request_id
    return Refused(status, headers, body)


def type_of(error: TrunklineError) -> str:
    """The API's type of an error."""
    if error.dialect == name and error.code is not None and error.code in STATUS:
        return error.code
    return next((kind for cls, kind in _TYPES if isinstance(error, cls)), "InternalServerException")


def frame_of(error: TrunklineError) -> tuple[str, bytes]:
    """The frame that ends a stream: its exception's name and its payload."""
    kind = type_of(error)
    kind = kind if kind in _IN_STREAM else "ModelStreamErrorException"
    said: Json = {"message": str(error)}
    if kind == "ModelStreamErrorException":
        said |= {"originalStatusCode": status_of(error), "originalMessage": error.message}
    return kind[:1].lower() + kind[1:], msgspec.json.encode(said)
