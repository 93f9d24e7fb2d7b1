"""Refusals of Cohere, both ways: `{"id", "message"}`.

Source: docs.cohere.com/reference/errors.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.vocabulary.errors import ServiceError, TrunklineError
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import object_of, refusal, status_of

name = "cohere_chat"


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is. Its id is the body's."""
    error = refusal(name, status, headers, body)
    said = object_of(body).get("id")
    if error.request_id is None and isinstance(said, str):
        error.request_id = said
    return error


def failed(why: object) -> TrunklineError:
    """The error that an answer ends with whose finish is `ERROR`."""
    message = why if isinstance(why, str) and why else "the answer failed while it was being written"
    return ServiceError(message, status=500, code="ERROR", dialect=name)


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    said = error.body if error.dialect == name and error.body is not None else b""
    body = said if object_of(said).get("message") else msgspec.json.encode(envelope(error))
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers["x-request-id"] = error.request_id
    return Refused(status_of(error), headers, body)


def envelope(error: TrunklineError) -> Json:
    """The error as an object."""
    said = {} if error.request_id is None else {"id": error.request_id}
    return {**said, "message": str(error)}
