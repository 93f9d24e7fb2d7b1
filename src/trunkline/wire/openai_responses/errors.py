"""Refusals in OpenAI's envelope, and the errors that stand inside an answer or a stream, both ways.

Source: platform.openai.com/docs/api-reference/responses-streaming (`error`, `response.failed`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.vocabulary.errors import RateLimitError, TrunklineError
from trunkline.vocabulary.protocols import Json, Refused
from trunkline.wire.grammar.classify import inside_of, object_of, refusal, status_of
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.openai_chat.errors import envelope

from .items import name

__all__ = ["envelope", "error_from_wire", "error_to_wire", "hidden_error"]

STATUS: Mapping[str, int] = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "vector_store_timeout": 504,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "failed_to_download_image": 400,
    "empty_image_file": 400,
    "unsupported_image_media_type": 400,
}
"""The status that an error inside an answer would have had, by its code."""

_REQUESTS = re.compile(r"^(invalid_|image_)")
"""Codes that blame the request, of which there are many."""

_WAIT = re.compile(r"try again in (?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)(ms|s))?", re.IGNORECASE)
"""How the API says in words how long to wait: `6ms`, `1.2s`, `7m12s`."""


def error_from_wire(status: int, headers: Mapping[str, str], body: bytes) -> TrunklineError:
    """Read a provider's refusal as the kind of error it is."""
    error = refusal(name, status, headers, body)
    if isinstance(error, RateLimitError) and error.retry_after is None:
        error.retry_after = _wait(error.message)
    return error


def _wait(message: str) -> float | None:
    found = _WAIT.search(message)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, rest, unit = found.groups()
    try:
        seconds = float(rest or 0) / (1000 if unit == "ms" else 1)
    except ValueError:
        return None
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def hidden_error(said: Any) -> TrunklineError:
    """The error that came inside an answer or a stream: `said` is the object with its code and its message."""
    inside: Json = {key: value for key, value in an_object(said).items() if key != "sequence_number"}
    if inside.get("type") == "error":  # the event itself
        del inside["type"]
    if not isinstance(said, dict) or not inside:
        inside = {"message": said if isinstance(said, str) else "the provider failed without saying why"}
    return error_from_wire(_status_of(inside), {}, msgspec.json.encode({"error": inside}))


def _status_of(inside: Json) -> int:
    for key in ("code", "status_code", "status"):
        code = inside.get(key)
        if isinstance(code, int) and 400 <= code < 600:
            return code
        if isinstance(code, str) and code in STATUS:
            return STATUS[code]
        if isinstance(code, str) and _REQUESTS.search(code):
            return 400
    return 400 if inside.get("type") == "invalid_request_error" else 500


def error_to_wire(error: TrunklineError) -> Refused:
    """Write an error for a caller. An answer that came in this dialect goes on as it is."""
    if error.dialect in _COUSINS and error.body is not None and inside_of(object_of(error.body)):
        body = error.body
    else:
        body = msgspec.json.encode(envelope(error))
    headers = {"content-type": "application/json", **error.headers}
    if error.retry_after is not None and "retry-after" not in headers:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.request_id is not None:
        headers["x-request-id"] = error.request_id
    return Refused(status_of(error), headers, body)


_COUSINS = frozenset({name, "openai_chat"})
"""Dialects that have the same envelope."""
