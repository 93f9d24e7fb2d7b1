"""Routes: which path asks what, in which dialect.

A new operation is one line of the table. Gemini has the model and the way of answering in the path: what is found there
is put into the caller's words, where the dialect looks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from trunkline.client import MODERATION_MODEL
from trunkline.vocabulary.protocols import Dialect
from trunkline.wire import (
    anthropic_messages,
    anthropic_tokens,
    cohere_rerank,
    gemini,
    gemini_embed_content,
    gemini_embeddings,
    gemini_tokens,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_moderations,
    openai_responses,
    openai_tokens,
)


class Route(Struct, frozen=True):
    """A path that asks something of a model."""

    dialect: Dialect
    passed: frozenset[bytes] = frozenset()
    """Headers that belong to the dialect and go on to a provider that speaks it."""
    model: str | None = None
    """Who is asked where the caller names no model."""


class Found(Struct, frozen=True):
    """A route, and what its path says beside it."""

    route: Route
    said: Mapping[str, Raw] = {}
    """Top-level keys that stand in the path."""
    array: bool = False
    """The caller reads a stream as a JSON array."""


ANTHROPIC = frozenset({b"anthropic-version", b"anthropic-beta"})

ROUTES: Mapping[str, Found] = {
    path: Found(route)
    for path, route in {
        "/v1/chat/completions": Route(openai_chat),
        "/v1/responses": Route(openai_responses),
        "/v1/responses/input_tokens": Route(openai_tokens),
        "/v1/completions": Route(openai_completions),
        "/v1/embeddings": Route(openai_embeddings),
        "/v1/moderations": Route(openai_moderations, model=MODERATION_MODEL),
        "/v1/rerank": Route(cohere_rerank),
        "/v1/messages": Route(anthropic_messages, ANTHROPIC),
        "/v1/messages/count_tokens": Route(anthropic_tokens, ANTHROPIC),
    }.items()
}

GEMINI: Mapping[str, Route] = {
    "generateContent": Route(gemini),
    "streamGenerateContent": Route(gemini),
    "countTokens": Route(gemini_tokens),
    "embedContent": Route(gemini_embed_content),
    "batchEmbedContents": Route(gemini_embeddings),
}
"""What may be asked of a model whose name stands in the path, by Google's word for it."""

_GEMINI_PATH = re.compile(r"/v1(?:beta\d?)?/models/(.+):(\w+)")


def find(path: str, query: bytes) -> Found | None:
    """The route of a path; None where there is none."""
    found = ROUTES.get(path)
    return found if found is not None else _in_path(path, query)


def _in_path(path: str, query: bytes) -> Found | None:
    match = _GEMINI_PATH.fullmatch(path)
    route = GEMINI.get(match[2]) if match is not None else None
    if match is None or route is None:
        return None
    stream = match[2] == "streamGenerateContent"
    in_path = {"model": Raw(msgspec.json.encode(match[1])), "stream": Raw(b"true" if stream else b"false")}
    said = {key: in_path[key] for key in route.dialect.addressed}
    return Found(route, said, array=stream and b"alt=sse" not in query)
