"""Ways: every way to ask that the faults are crossed with.

Owns, for each API, who speaks it, how a program asks through it and what a caller of the gateway sends. Knows no fault.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.vocabulary.protocols import Dialect
from trunkline.wire import (
    anthropic_messages,
    bedrock_converse,
    gemini,
    openai_chat,
    openai_embeddings,
    openai_responses,
)

ROUTE = "r"
"""The name that is asked for."""
TURN = [{"role": "user", "content": "Hello"}]


class Way(Struct, frozen=True):
    """An API, asked for a whole answer or for a stream."""

    name: str
    dialect: Dialect
    provider: str
    """Who is spoken to in it."""
    base: str
    """What stands before the API's own path there."""
    path: str
    """Where the gateway serves it, if it does."""
    said: dict[str, Any]
    """The body that its callers send."""
    stream: bool = False
    models: tuple[str, str] = ("one", "two")
    """Who is asked there: two of the same abilities."""
    doors: tuple[str, ...] = ("library", "gateway", "across")
    """Through which it can be asked."""

    @property
    def body(self) -> dict[str, Any]:
        """What a caller of the gateway sends; Gemini says in the path that it streams."""
        return {**self.said, "stream": True} if self.stream and "stream" not in self.dialect.addressed else self.said


def _ways(
    name: str, dialect: Dialect, provider: str, base: str, path: str, said: dict[str, Any], **more: Any
) -> tuple[Way, ...]:
    said = said if dialect.addressed else {"model": ROUTE, **said}
    plain = Way(name, dialect, provider, base, path, said, **more)
    if dialect.operation != "chat":
        return (plain,)
    path = path.replace(":generateContent", ":streamGenerateContent?alt=sse").replace("/converse", "/converse-stream")
    return plain, Way(f"{name}~", dialect, provider, base, path, said, stream=True, **more)


GEMINI = f"/v1beta/models/{ROUTE}:generateContent"
CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]

CONVERSE = f"/model/{ROUTE}/converse"
SAID = [{"role": "user", "content": [{"text": "Hello"}]}]

RESPONSES_ONLY = ("gpt-5-pro", "o1-pro")
"""Models for which the library speaks Responses too: it prefers chat completions where both are served."""

PASSING = ("library", "gateway")

WAYS: tuple[Way, ...] = (
    *_ways("chat", openai_chat, "groq", "/openai/v1", "/v1/chat/completions", {"messages": TURN}),
    *_ways("responses", openai_responses, "openai", "/v1", "/v1/responses", {"input": "Hello"}, models=RESPONSES_ONLY),
    *_ways("messages", anthropic_messages, "anthropic", "/v1", "/v1/messages", {"messages": TURN, "max_tokens": 50}),
    *_ways("gemini", gemini, "google", "/v1beta", GEMINI, {"contents": CONTENTS}),
    *_ways("converse", bedrock_converse, "bedrock", "", CONVERSE, {"messages": SAID}, doors=("library",)),
    *_ways("embeddings", openai_embeddings, "openai", "/v1", "/v1/embeddings", {"input": ["a", "b"]}, doors=PASSING),
)
"""A `~` behind a name: streamed."""

OTHERS = {"chat": "messages", "responses": "gemini", "messages": "responses", "gemini": "chat"}
"""Whose words a caller's are translated into, where the one that is asked speaks another API."""


def asked_in(way: Way, door: str) -> Way:
    """How the target of a call is spoken to: as its caller speaks, but for those that go across."""
    if door != "across":
        return way
    name = OTHERS[way.name.removesuffix("~")] + "~" * way.stream
    return next(other for other in WAYS if other.name == name)
