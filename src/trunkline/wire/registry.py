"""Registry: every chat dialect there is, for whoever must go through them all: the matrix, tests, reports."""

from __future__ import annotations

from trunkline.vocabulary.protocols import StreamingDialect

from . import (
    anthropic_messages,
    bedrock_converse,
    cohere_chat,
    gemini,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_responses,
)

CHAT: tuple[StreamingDialect, ...] = (
    openai_chat,
    openai_responses,
    anthropic_messages,
    gemini,
    bedrock_converse,
    cohere_chat,
    ollama_chat,
    openai_completions,
)
"""The dialects in which a model is talked to."""

STORING = frozenset({openai_responses.name})
"""Those whose answers live on at the provider: a later request may name them."""
