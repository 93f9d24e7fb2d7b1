"""Speakers: which dialect a recorded exchange speaks, and what Trunkline does not speak and why."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from recorded import Exchange

PATHS: tuple[tuple[str, str], ...] = (
    (r"/chat/completions$|^/v1/chat$", "openai_chat"),  # the latter is Writer's; Cohere's is told apart by its api
    (r"/responses/input_tokens$", "openai_tokens"),
    (r"/responses(/resp_[^/]*)?$", "openai_responses"),  # one that is fetched again is the same answer
    (r"/completions$", "openai_completions"),
    (r"/messages$", "anthropic_messages"),
    (r"/messages/count_tokens$", "anthropic_tokens"),
    (r"/converse(-stream)?$", "bedrock_converse"),
    (r"anthropic\.claude-(?!v\d|instant).*/invoke(-with-response-stream)?$", "anthropic_messages"),
    (r":(stream)?rawPredict$", "anthropic_messages"),
    (r":(stream)?GenerateContent$", "gemini"),
    (r":countTokens$", "gemini_tokens"),
    (r":(batchEmbedContents|embedContent)$", "gemini_embeddings"),
    (r"embedding.*:predict$", "vertex_embeddings"),
    (r"/v2/chat$", "cohere_chat"),
    (r"/v2/embed$", "cohere_embeddings"),
    (r"/rerank$", "cohere_rerank"),
    (r"/api/chat$", "ollama_chat"),
    (r"/api/embed$", "ollama_embeddings"),
    (r"/moderations$", "openai_moderations"),
    (r"/embeddings$", "openai_embeddings"),
    (r"titan-embed.*/invoke$", "titan_embeddings"),
    (r"cohere\.embed.*/invoke$", "cohere_embeddings"),
    (r"cohere\.rerank.*/invoke$", "cohere_rerank"),
)
"""The end of a path, and the dialect that is spoken there: the first that fits."""

APIS: Mapping[str, str] = {
    "chat": "openai_chat",
    "openai-chat": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic_messages",
    "completions": "openai_completions",
    "generateContent": "gemini",
    "converse": "bedrock_converse",
    "converse-stream": "bedrock_converse",
    "v2/chat": "cohere_chat",
    "embeddings": "openai_embeddings",
    "embed": "cohere_embeddings",
    "embedContent": "gemini_embeddings",
}
"""For answers that were recorded without their request."""

UNSPOKEN: tuple[tuple[str, str], ...] = (
    (r"batch", "batches: bulk jobs come later"),
    (
        r"/files?|/upload/|fileSearchStores|cachedContents",
        "files and caches at the provider: passed by id, not translated",
    ),
    (r"/usage/", "an administrator's report"),
    (r"/models", "a list of models, not an exchange with one"),
    (r"/conversations", "conversations stored at the provider: passed by id, not translated"),
    (r"/audio/", "speech: no operation of ours"),
    (r"/images", "pictures: no operation of ours"),
    (r"/generation", "OpenRouter's statistics of an earlier call"),
    (r"^/v1/completions$", "Writer's own completions: its chat completions are OpenAI's"),
    (r"/v1/chat$", "Cohere's first chat API, which v2 replaced"),
    (r"/v1/generate$", "Cohere's text generation, which v2 replaced"),
    (r"/v1/(tokenize|embed)$", "Cohere's first API, which v2 replaced"),
    (r"/api/(generate|embeddings)$", "Ollama's older endpoints, which /api/chat and /api/embed replaced"),
    (r"/invoke", "a model's own format: Bedrock's Converse speaks to all of them in one"),
    (r"/count-tokens$", "Bedrock's token count wraps a model's own format"),
    (r"/guardrail/", "a guardrail by itself"),
    (r"^/(pipeline|models)/", "Hugging Face's first inference API, which chat completions replaced"),
    (r"^/v1/embeddings", "Perplexity's vectors are int8, which the answer does not say"),
    (r"/input_items", "the input of an answer stored at the provider"),
    (r"interactions", "Google's Interactions API: the same models answer to generateContent"),
)
"""Paths that no dialect of ours speaks, and why."""


def dialect_of(exchange: Exchange) -> str | None:
    """The name of the dialect, or None where none of ours is spoken."""
    path = exchange.path
    if exchange.id in NO_ANSWERS:
        return None
    if exchange.provider == "ollama" and path.endswith("/embeddings"):
        return None if path == "/api/embeddings" else "openai_embeddings"
    if not path:
        if exchange.provider == "ollama" and exchange.api == "chat":
            return "ollama_chat"
        return APIS.get(exchange.api)
    if exchange.provider == "cohere" and path == "/v1/chat":
        return None
    if exchange.provider == "writer" and path.endswith("/completions"):
        return None
    if re.search(r"/usage/", path) or (exchange.provider == "perplexity" and path.endswith("/embeddings")):
        return None
    return next((name for pattern, name in PATHS if re.search(pattern, path, re.IGNORECASE)), None)


NO_ANSWERS: Mapping[str, str] = {
    "gemini-generate-1703be245ac6": "a cached prompt that was recorded alone among the answers",
}
"""Lines that are not what their family says, by their id."""


def why_not(exchange: Exchange) -> str:
    """Why an exchange is not ours."""
    if exchange.id in NO_ANSWERS:
        return NO_ANSWERS[exchange.id]
    said = exchange.path or exchange.api
    return next((why for pattern, why in UNSPOKEN if re.search(pattern, said)), f"not known: {said}")


def load(name: str) -> Any:
    """A dialect's module; None where it is not there."""
    try:
        module = importlib.import_module(f"trunkline.wire.{name}")
    except ModuleNotFoundError:
        return None
    return module if hasattr(module, "reply_from_wire") else None


CHAT = (
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "bedrock_converse",
    "cohere_chat",
    "ollama_chat",
)
"""The dialects into which every chat request is said."""
