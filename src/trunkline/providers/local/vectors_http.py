"""Vectors over HTTP: `POST /v1/embeddings` as OpenAI says it.

Owns the request's and the reply's shape, the bearer key and the errors. Knows nothing of vectors but `Vectors.embed`.
It is the standard library's server because the runtime's own cannot be given a route.
"""

from __future__ import annotations

import base64
import hmac
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

import msgspec

from trunkline.vocabulary.errors import ConfigurationError

from .embeddings import WIDTH, Vectors

MODEL = "wordllama-256"
PATH = "/v1/embeddings"
MOST_BYTES = 16 * 1024 * 1024
MOST_TEXTS = 2048  # as at OpenAI


class Wanted(msgspec.Struct):
    """The request's fields that mean something here; others are ignored."""

    input: str | list[str]
    model: str = MODEL
    encoding_format: str = "float"
    dimensions: int | None = None


class Refusal(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"message": message, "type": _TYPES.get(status, "server_error"), "param": param, "code": code}
        }


_TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "invalid_request_error"}


class VectorServer(ThreadingTCPServer):
    """Listens on a free loopback port; `serve_forever` answers until the process ends."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, key: str, load: Callable[[], Vectors] = Vectors) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = key
        self._load = load
        self._loading = threading.Lock()
        self._vectors: Vectors | None = None

    @property
    def base_url(self) -> str:
        """What stands before `/embeddings`."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def vectors(self) -> Vectors:
        """The weights, loaded by whoever asks first."""
        with self._loading:
            if self._vectors is None:
                self._vectors = self._load()
            return self._vectors

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no news; stderr belongs to the program that started us."""


class Handler(BaseHTTPRequestHandler):
    """One connection, any number of requests. `http.server` calls `do_GET`, `do_POST` and `log_message` by name."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: VectorServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        """Embed, or say why not."""
        try:
            body = self._read()
            self._authorize()
            self._answer(200, answer(body, self.server.vectors()))
        except Refusal as refusal:
            self._answer(refusal.status, refusal.body)
        except ConfigurationError as error:
            self._answer(500, Refusal(500, error.message).body)

    def do_GET(self) -> None:
        """Nothing here is got."""
        self._answer(404, Refusal(404, f"Only POST {PATH} is served here.", code="not_found").body)

    def _read(self) -> bytes:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True  # what follows on this connection is a body that nobody will read
            raise Refusal(400, f"A Content-Length of at most {MOST_BYTES} is needed.")
        return self.rfile.read(int(length))

    def _authorize(self) -> None:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), self.server.key.encode()):
            raise Refusal(401, "Invalid API key.", code="invalid_api_key")
        if self.path.partition("?")[0] != PATH:
            raise Refusal(404, f"Only POST {PATH} is served here.", code="not_found")

    def _answer(self, status: int, body: Any) -> None:
        content = msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that http.server uses
        """Say nothing."""


def answer(body: bytes, vectors: Vectors) -> dict[str, Any]:
    """The reply to a request's body. Raises Refusal."""
    wanted, texts = _understand(body)
    found, tokens = vectors.embed(texts, wanted.dimensions or WIDTH)
    write = _base64 if wanted.encoding_format == "base64" else _floats
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": write(one)} for i, one in enumerate(found)],
        "model": MODEL,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _understand(body: bytes) -> tuple[Wanted, list[str]]:
    try:
        wanted = msgspec.json.decode(body, type=Wanted)
    except msgspec.DecodeError as error:
        raise Refusal(400, f"The request cannot be read: {error}") from error
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if wanted.model != MODEL:
        raise Refusal(404, f"The model {wanted.model!r} does not exist.", code="model_not_found", param="model")
    if wanted.encoding_format not in ("float", "base64"):
        raise Refusal(400, "encoding_format is 'float' or 'base64'.", param="encoding_format")
    if wanted.dimensions is not None and not 1 <= wanted.dimensions <= WIDTH:
        raise Refusal(400, f"dimensions lies between 1 and {WIDTH}.", param="dimensions")
    if not 1 <= len(texts) <= MOST_TEXTS or "" in texts:
        raise Refusal(400, f"input is 1 to {MOST_TEXTS} strings, none of them empty.", param="input")
    return wanted, texts


def _floats(vector: bytes) -> list[float]:
    return list(memoryview(vector).cast("f"))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
