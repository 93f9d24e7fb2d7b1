"""LiteLLM: the providers that we have no row for, through the `litellm` package, where a program has it anyway.

A transport that answers in chat completions and embeddings, so that nothing above knows it. It costs what that package
costs: seconds of import, milliseconds of work for each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import msgspec

from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError
from trunkline.vocabulary.protocols import Json, Receiving, Sending
from trunkline.wire.grammar.sse import frame

from .made import Made

INSTALL = "pip install 'trunkline[litellm]'"


def missing() -> str | None:
    """What this machine lacks."""
    return None if find_spec("litellm") is not None else f"litellm is not installed: {INSTALL}"


class LitellmTransport:
    """Hands a request to the package and its answer back."""

    async def send(self, request: Sending) -> Receiving:
        """Ask; what the package raises becomes the refusal that its provider gave."""
        package = _package()
        body: Json = msgspec.json.decode(request.body)
        embeds = request.url.endswith("/embeddings")
        ask = package.aembedding if embeds else package.acompletion
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        options: Json = {"num_retries": 0, **({"api_key": key} if key else {})}  # retries are the engine's
        try:
            answer: Any = await ask(**body, **options)
        except Exception as error:
            refused = _refused(error)
            if refused is None:
                raise
            return refused
        if body.get("stream"):
            return _Streaming(answer)
        return Made(200, msgspec.json.encode(answer.model_dump()))

    async def close(self) -> None:
        """Its connections are the package's own."""


def _package() -> ModuleType:
    try:
        return import_module("litellm")
    except ImportError:
        raise ConfigurationError(f"the provider litellm needs a package: {INSTALL}") from None


def _refused(error: Exception) -> Made | None:
    """The package's errors carry the status of the provider's, and the response with its headers; any other is a
    mistake, and not hidden."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return None
    said = {"message": str(getattr(error, "message", error)), "type": type(error).__name__}
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    told = {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}
    return Made(status, msgspec.json.encode({"error": said}), told)


class _Streaming:
    """An answer that comes in chunks."""

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream"}
        self._chunks: AsyncIterator[Any] | None = chunks
        self._waiting: asyncio.Task[Any] | None = None
        self._released = False

    async def read(self) -> bytes:
        pieces: list[bytes] = []
        while (piece := await self.more()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def more(self) -> bytes | None:
        if self._chunks is None:
            return None
        self._waiting = asyncio.ensure_future(_next(self._chunks))
        try:
            chunk = await self._waiting
        except asyncio.CancelledError:
            if not self._released:
                raise
            return None
        except Exception as error:
            self._chunks = None
            refused = _refused(error)
            if refused is None:
                raise APIConnectionError(f"litellm broke the stream: {type(error).__name__}") from error
            return frame(await refused.read())
        if chunk is None:
            self._chunks = None
            return frame(b"[DONE]")
        return frame(msgspec.json.encode(chunk.model_dump()))

    def release(self) -> None:
        """Let go of the chunks, and wake who waits for one; whoever makes them closes when they are collected."""
        self._chunks, self._released = None, True
        if self._waiting is not None:
            self._waiting.cancel()


async def _next(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, None)
