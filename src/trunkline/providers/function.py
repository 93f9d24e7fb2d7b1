"""Function: a provider that is a Python function of the program's own.

A transport that asks it for a chat completion, so that nothing above knows it: it stands in routes beside every other
provider, with the same retries, fallbacks, limits, cache and ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from trunkline.vocabulary.errors import ServiceError, TrunklineError
from trunkline.vocabulary.protocols import Json, Receiving, Sending
from trunkline.wire import openai_chat
from trunkline.wire.grammar.sse import frame

from .made import Made
from .provider import Provider

Function = Callable[[Json], Awaitable[str | Json]]
"""Takes the body of a chat completion's request (`messages`, `temperature`, …) and gives the text of the answer, or the
body of a chat completion. What it raises moves the call to the next target: whether to try again is its own to know,
unless it raises one of our errors."""

OWN_MODEL = "function"


def function_provider(name: str, function: Function) -> Provider:
    """A row of the catalog for a function; as a model it is called by that name alone."""
    return Provider(
        name,
        "python:",
        speaks=(openai_chat,),
        transport=FunctionTransport(function),
        own_models={"chat": OWN_MODEL},
    )


class FunctionTransport:
    """Asks the function, and makes a chat completion of what it says."""

    def __init__(self, function: Function) -> None:
        self._function = function

    async def send(self, request: Sending) -> Receiving:
        """Ask. An exception that is not one of ours becomes a ServiceError with its words."""
        body: Json = msgspec.json.decode(request.body)
        try:
            said = await self._function(body)
        except TrunklineError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ServiceError(told, transient=False) from error
        completion = said if isinstance(said, dict) else _completion(said)
        try:
            if body.get("stream"):
                return Made(200, _streamed(completion), {"content-type": "text/event-stream"})
            return Made(200, msgspec.json.encode(completion))
        except (TypeError, ValueError, RecursionError) as error:
            raise ServiceError(f"the function gave what is no JSON: {error}", transient=False) from None

    async def close(self) -> None:
        """Nothing is open."""


def _completion(text: str) -> Json:
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] it is the program's function
        raise ServiceError(f"the function gave {type(text).__name__}, not a text", transient=False)
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": OWN_MODEL, "choices": [choice]}


def _streamed(completion: Json) -> bytes:
    """A whole answer as a stream: one piece, for it is all there."""
    choices: list[Json] = completion.get("choices") or []
    said = [{**_without(choice, "message"), "delta": _delta(choice.get("message") or {})} for choice in choices]
    chunk = {**completion, "object": "chat.completion.chunk", "choices": said}
    return frame(msgspec.json.encode(chunk)) + frame(b"[DONE]")


def _without(body: Json, key: str) -> Json:
    return {name: value for name, value in body.items() if name != key}


def _delta(message: Json) -> Json:
    calls: list[Json] = message.get("tool_calls") or []
    numbered = [{"index": at, **call} for at, call in enumerate(calls)]
    return {**message, "tool_calls": numbered} if numbered else message
