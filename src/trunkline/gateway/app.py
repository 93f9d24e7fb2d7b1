"""App: which path is answered by whom.

A plain ASGI callable. Every request passes the guard, then the table of routes; a new operation is one line there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from trunkline.compose import NO_RULES, Engine
from trunkline.config import load
from trunkline.opening import folder_of, opened
from trunkline.snapshot import Snapshot
from trunkline.telemetry import log, page
from trunkline.vocabulary.errors import InvalidRequestError, TrunklineError
from trunkline.vocabulary.protocols import Dialect
from trunkline.vocabulary.rules import Rules
from trunkline.wire import anthropic_messages, gemini, openai_chat

from .guard import Headers, refusal
from .listing import Listing
from .reading import Gone, Receive, body_of, model_of, streams, words_of
from .relay import JSON, Send, refuse, relay, respond, unexpected
from .routes import Found, find

logger = logging.getLogger("trunkline.gateway")


LISTS = ("/v1/models", "/v1beta/models")
"""Where the list of models is, and below it each of them: OpenAI's and Anthropic's place, and Gemini's."""
TOLD = frozenset({"/", *LISTS, "/health/live", "/health/ready", "/metrics"})
"""Paths that tell something of the gateway; one for each model comes on top."""
ONE_MODEL = tuple(f"{path}/" for path in LISTS)

STATED = frozenset(
    {
        *("timeout", "retries", "attempts", "fallbacks", "cache", "tags", "payer", "priority", "max_cost", "truncate"),
        *("explain", "on_unsupported"),
    }
)
"""Rules that a caller may state, as `x-trunkline-<rule>`."""
LISTED = frozenset({"fallbacks", "tags"})
"""Those that are lists, with commas."""

WELCOME = (
    b'{"service":"trunkline","docs":"POST /v1/chat/completions, /v1/responses, /v1/messages, '
    b'/v1beta/models/{model}:generateContent or /v1/embeddings; GET /v1/models"}'
)


class App:
    """The gateway as an ASGI application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._most = engine.snapshot.config.gateway.max_body
        self.listing = Listing(engine.snapshot)
        self.ledger = engine.runtime.ledger
        self.metrics = engine.runtime.metrics

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:  # a websocket: refused before it is accepted
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._engine.runtime.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _http(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        method: str = scope["method"]
        found = find(path, scope["query_string"])
        dialect = found.route.dialect if found is not None else _dialect_of(path, scope["headers"])
        try:
            refused = refusal(scope["headers"], has_body=method == "POST")
            if refused is not None:
                raise refused
            if found is not None and method == "POST":
                await self._ask(found, scope["headers"], receive, send)
            elif method in {"GET", "HEAD"} and found is None:
                await self._tell(path, scope["headers"], send)
            elif found is not None or path in TOLD or path.startswith(ONE_MODEL):
                raise InvalidRequestError(f"{path} does not take {method}", status=405, code="method_not_allowed")
            else:
                raise _nothing_at(path)
        except TrunklineError as error:
            await refuse(error, dialect, send)
        except Gone:
            return
        except Exception:
            logger.exception("a request to %s failed", path)
            await refuse(unexpected(), dialect, send)

    async def _ask(self, found: Found, headers: Headers, receive: Receive, send: Send) -> None:
        body = await body_of(receive, self._most)
        route = found.route
        dialect = route.dialect
        words = words_of(body, dialect, _passed(headers, route.passed) if route.passed else {}, found.said)
        call = self._engine.call(
            dialect.operation,
            model_of(words, route.model),
            _rules(headers),
            stream=streams(words),
            words=words,
            read=lambda words: dialect.request_from_wire(
                {key: msgspec.json.decode(value) for key, value in words.fields.items()}
            ),
        )
        await relay(self._engine, call, dialect, receive, send, array=found.array)

    async def _tell(self, path: str, headers: Headers, send: Send) -> None:
        status, kind = 200, JSON
        if path in LISTS:
            body = self.listing.all(_dialect_of(path, headers).name)
        elif path.startswith(ONE_MODEL):
            model = unquote(path.partition("/models/")[2])
            body = self.listing.one(model, _dialect_of(path, headers).name)
        elif path == "/health/live":
            body = b'{"status":"live"}'
        elif path == "/health/ready":
            status, body = (200, b'{"status":"ready"}') if self.listing.ready else (503, b'{"status":"no model"}')
        elif path == "/metrics":
            kind, body = (b"content-type", page.MEDIA_TYPE.encode()), page.text(self.metrics)
        elif path == "/":
            body = WELCOME
        else:
            raise _nothing_at(path)
        await respond(status, body, [kind], send)


def _nothing_at(path: str) -> InvalidRequestError:
    return InvalidRequestError(f"there is nothing at {path}", status=404, code="not_found")


def _dialect_of(path: str, headers: Headers) -> Dialect:
    """The dialect in which a caller of a path without one is answered: all three have `/v1/models`."""
    for name, _ in headers:
        if name == b"anthropic-version":
            return anthropic_messages
        if name.startswith(b"x-goog-api-"):  # a key or a client: Google's SDK asks below /v1 too
            return gemini
    return gemini if path.startswith("/v1beta/") else openai_chat


def _passed(headers: Headers, names: frozenset[bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name in names}


def _rules(headers: Headers) -> Rules:
    """The rules that a caller states in headers: its trace, and `x-trunkline-…`."""
    said: dict[str, Any] = {}
    for name, value in headers:
        if name == b"traceparent":
            said["traceparent"] = value.decode("latin-1")
        elif name.startswith(b"x-trunkline-"):
            rule, text = name[12:].decode("latin-1").replace("-", "_"), value.decode("latin-1").strip()
            if rule not in STATED:
                raise InvalidRequestError(
                    f"there is no header x-trunkline-{rule}; there are {', '.join(sorted(STATED))}", param=rule
                )
            said[rule] = [word.strip() for word in text.split(",")] if rule in LISTED else text
    return _read(said) if said else NO_RULES


def _read(said: dict[str, Any]) -> Rules:
    try:
        return msgspec.convert(said, Rules, strict=False)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        raise InvalidRequestError(f"the header x-trunkline-{path.rstrip('`')} is wrong: {what}") from None


def from_environment() -> App:
    """The application that the environment describes."""
    config = load()
    log.to_stderr(config.gateway.log_level)
    return App(Engine(Snapshot(config), opened(config, ledger=folder_of(config))))
