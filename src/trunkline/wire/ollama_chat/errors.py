"""Refusals of Ollama, both ways: `{"error": "…"}`, in a stream too."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import object_of, refusal, status_of

name = "ollama_chat"


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a server's refusal as the kind of error it is."""
    return refusal(name, status, headers, body)


def hidden_error(body: Json) -> TrunklineError:
    """The error that came inside a 200. A newer server says its status, too."""
    status = body.get("status_code")
    known = isinstance(status, int) and status >= 400
    return error_from_wire(status if known else 500, {}, msgspec.json.encode(body))  # pyright: ignore[reportArgumentType]


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    said = error.body if error.dialect == name and error.body is not None else b""
    body = said if object_of(said).get("error") else msgspec.json.encode({"error": str(error)})
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return Refused(status_of(error), headers, body)
