"""Refusals: what kind of error each recorded or documented failure must be read as.

The recordings name a kind by script, and their README asks to check it: where ours differs, the line says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from laws import events_of, stream_bytes
from recorded import FOLDER, Exchange
from speakers import dialect_of, load

from trunkline.vocabulary import errors
from trunkline.vocabulary.errors import TrunklineError

KINDS: Mapping[str, tuple[type[TrunklineError], ...]] = {
    "authentication": (errors.AuthenticationError,),
    "permission": (errors.AuthenticationError,),
    "invalid_request": (errors.InvalidRequestError,),
    "context_length": (errors.ContextWindowError,),
    "content_filter": (errors.ContentPolicyError,),
    "model_not_found": (errors.ModelError,),
    "not_found": (errors.ModelError,),
    "rate_limit": (errors.RateLimitError,),
    "insufficient_quota": (errors.ResourceExhaustedError,),
    "insufficient_credits": (errors.ResourceExhaustedError,),
    "overloaded": (errors.OverloadedError,),
    "server_error": (errors.ServiceError,),
    "timeout": (errors.APITimeoutError,),
    "request_too_large": (errors.InvalidRequestError,),
}
"""The class of our tree for each kind (seeds/CONTRACT.md 4.3)."""

OTHERWISE: Mapping[str, tuple[str, str]] = {
    "Input Tokens Exceeded": ("context_length", "the script took it for any invalid request"),
}
"""By a piece of the message: the right kind, and why the script's is not."""


def refusals(folder: Path = FOLDER) -> Iterator[Exchange]:
    """The lines of `errors.jsonl`."""
    path = folder / "errors.jsonl"
    for line in path.read_bytes().splitlines() if path.exists() else ():
        exchange = msgspec.json.decode(line, type=Exchange, strict=False)
        exchange.family = exchange.id.rpartition("-")[0]
        yield exchange


def misread(exchange: Exchange) -> list[str]:
    """In which ways a refusal is not read as it should be."""
    name = dialect_of(exchange) or "openai_chat"
    dialect = load(name)
    if dialect is None:
        return [f"there is no dialect {name}"]
    status = exchange.response.status
    if status < 400:
        return _hidden(exchange, dialect)
    raw = exchange.raw
    error = dialect.error_from_wire(status, exchange.headers, raw)
    said = raw.decode("utf-8", "replace")
    kind = next((right for piece, (right, _) in OTHERWISE.items() if piece in said), exchange.error_kind or "")
    found: list[str] = []
    wanted = KINDS.get(kind)
    if wanted is None or not isinstance(error, wanted):
        found.append(f"{kind} {status} was read as {type(error).__name__}: {said[:120]}")
    found += _details(exchange, error)
    return found


def _hidden(exchange: Exchange, dialect: object) -> list[str]:
    """An error in a 200: in the body, or in the middle of a stream."""
    if exchange.response.body is None and exchange.response.decoded_events is None:
        return []  # only the headers were documented
    raw = stream_bytes(exchange, dialect)
    _, error = events_of(dialect, raw)
    return (
        [] if isinstance(error, TrunklineError) and not isinstance(error, errors.CutOff) else [f"no error: {error!r}"]
    )


def _details(exchange: Exchange, error: TrunklineError) -> list[str]:
    """Delay, message and request id, found by other means."""
    found: list[str] = []
    headers = exchange.headers
    said = exchange.raw.decode("utf-8", "replace")
    wait = headers.get("retry-after")
    if wait is not None and wait.isdigit() and error.retry_after != int(wait) and "retry-after-ms" not in headers:
        found.append(f"retry-after {wait} was read as {error.retry_after}")
    if '"retryDelay"' in said and error.retry_after is None:
        found.append("the delay in the body was not read")
    for name in ("x-request-id", "request-id", "x-amzn-requestid"):
        if name in headers and error.request_id != headers[name]:
            found.append(f"{name} {headers[name]} was read as {error.request_id}")
            break
    if error.body != exchange.raw:
        found.append("the body was not kept")
    return found
