"""Mock: a provider that answers from a script, without a network and without a key.

A transport that speaks chat completions and embeddings, so that nothing above knows it. Scripts are lists of answers by
model name; each call takes the next one, the last one repeats. `mock/echo` says what it was told; a model without a
script gives one fixed sentence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError, CutOff
from trunkline.vocabulary.protocols import Json, Receiving, Sending
from trunkline.wire.grammar.fields import an_object
from trunkline.wire.grammar.sse import frame


class MockAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scripted answer: words, a tool call, or a failure."""

    text: str | None = None
    tool: str | None = None
    """A tool to call, with `arguments`."""
    arguments: Mapping[str, Any] = {}
    status: int = 200
    """An HTTP status of 400 and above is a refusal with `text` as its message."""
    code: str | None = None
    retry_after: float | None = None
    delay: float = 0.0
    """Seconds before the answer begins."""
    chunk_delay: float = 0.0
    """Seconds between two pieces of a stream."""
    cut_after: int | None = None
    """The connection breaks after so many pieces of a stream."""
    disconnect: bool = False
    """The connection breaks before the answer."""
    finish: str = "stop"


DEFAULT = MockAnswer(text="This is a mock answer.")
ECHO = "echo"


class MockTransport:
    """Answers `mock/…` from scripts; keeps what it was asked in `asked`, the latest last (at most `kept`)."""

    def __init__(
        self, clock: Clock, scripts: Mapping[str, Sequence[MockAnswer]] | None = None, kept: int = 100
    ) -> None:
        self._clock = clock
        self._scripts = {model: list(answers) for model, answers in (scripts or {}).items()}
        self._kept = kept
        self._count = 0
        self.asked: list[Json] = []

    async def send(self, request: Sending) -> Receiving:
        """Answer as scripted."""
        body: Json = msgspec.json.decode(request.body)
        self.asked = [*self.asked[1 - self._kept :], body]
        self._count += 1
        answer = self._next(str(body.get("model", "")), body)
        if answer.delay:
            await self._clock.sleep(answer.delay)
        if answer.disconnect:
            raise APIConnectionError("the mock closed the connection without an answer")
        return _Scripted(answer, body, request.url, f"mock-{self._count}", self._clock)

    async def close(self) -> None:
        """Nothing is open."""

    def _next(self, model: str, body: Json) -> MockAnswer:
        script = self._scripts.get(model)
        if script is None:
            return MockAnswer(text=_last_words(body)) if model == ECHO else DEFAULT
        if not script:
            raise ConfigurationError(f"the script of mock/{model} has no answers")
        return script.pop(0) if len(script) > 1 else script[0]


def _last_words(body: Json) -> str:
    messages: list[Json] = body.get("messages") or [{"content": ""}]
    content: Any = messages[-1].get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[Json]", content or [])
    return "".join(str(part.get("text", "")) for part in parts)


class _Scripted:
    """A scripted answer as an HTTP response."""

    def __init__(self, answer: MockAnswer, body: Json, url: str, request_id: str, clock: Clock) -> None:
        self._answer = answer
        self._asked = body
        self._embeds = url.endswith("/embeddings")
        self._id = request_id
        self._clock = clock
        self._streamed: list[bytes] = []
        self._said = 0
        self.status = answer.status
        kind = "text/event-stream" if body.get("stream") and answer.status < 400 else "application/json"
        self.headers: Mapping[str, str] = {"content-type": kind, "x-request-id": request_id}
        if answer.retry_after is not None:
            self.headers = {**self.headers, "retry-after": f"{answer.retry_after:g}"}

    async def read(self) -> bytes:
        if self.status >= 400:
            error = {"message": self._answer.text or "scripted failure", "type": None, "code": self._answer.code}
            return msgspec.json.encode({"error": error})
        return msgspec.json.encode(self._vectors() if self._embeds else self._completion())

    async def more(self) -> bytes | None:
        at = self._said
        pieces = self._streamed = self._streamed or self._pieces()
        if at == self._answer.cut_after:
            raise CutOff("the mock broke off in the middle of its answer")
        if at >= len(pieces):
            return None
        if at and self._answer.chunk_delay:
            await self._clock.sleep(self._answer.chunk_delay)
        self._said += 1
        return frame(pieces[at])

    def release(self) -> None:
        """Nothing is held."""

    def _usage(self) -> Json:
        asked, said = _words(str(self._asked.get("messages", ""))), _words(self._answer.text or "")
        return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}

    def _frame(self, kind: str) -> Json:
        return {"id": self._id, "object": kind, "created": int(self._clock.wall()), "model": self._asked["model"]}

    def _calls(self) -> list[Json]:
        if self._answer.tool is None:
            return []
        arguments = msgspec.json.encode(self._answer.arguments).decode()
        function = {"name": self._answer.tool, "arguments": arguments}
        return [{"id": f"call_{self._id}", "type": "function", "function": function}]

    def _finish(self) -> str:
        return "tool_calls" if self._answer.tool is not None else self._answer.finish

    def _completion(self) -> Json:
        message: Json = {"role": "assistant", "content": self._answer.text, "refusal": None}
        if calls := self._calls():
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": self._finish(), "logprobs": None}
        return {**self._frame("chat.completion"), "choices": [choice], "usage": self._usage()}

    def _pieces(self) -> list[bytes]:
        head = self._frame("chat.completion.chunk")
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in _by_word(self._answer.text or "")]
        deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(self._calls())]
        chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": self._finish()}]})
        if an_object(self._asked.get("stream_options")).get("include_usage"):
            chunks.append({**head, "choices": [], "usage": self._usage()})
        return [*(msgspec.json.encode(chunk) for chunk in chunks), b"[DONE]"]

    def _vectors(self) -> Json:
        said = self._asked.get("input")
        texts: list[Any] = cast("list[Any]", said) if isinstance(said, list) else [said]
        width = self._asked.get("dimensions") or 8
        data = [
            {"object": "embedding", "index": at, "embedding": _vector(text, width)} for at, text in enumerate(texts)
        ]
        tokens = sum(_words(str(text)) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": self._asked["model"], "usage": usage}


def _words(text: str) -> int:
    return len(text.split())


def _by_word(text: str) -> list[str]:
    pieces = text.split(" ")
    return [word if at == 0 else f" {word}" for at, word in enumerate(pieces)] if text else []


def _vector(text: Any, width: int) -> list[float]:
    """Numbers that depend on the text alone: equal texts, equal vectors."""
    digest = hashlib.sha256(str(text).encode()).digest()
    return [digest[at % len(digest)] / 255 for at in range(width)]
