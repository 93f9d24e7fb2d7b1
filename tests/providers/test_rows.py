"""Every row of the catalog, as it is asked in each of its dialects: address, key, and what becomes of a caller's words.

A line of `rows.txt` is a request as a caller of that dialect would make it through the gateway: its key masked, `-`
what was left out on the way and `+` what came in. A new row or dialect adds its lines: `UPDATE_ROWS=1` writes the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from trunkline import AsyncClient
from trunkline.providers.catalog import CATALOG
from trunkline.providers.exchange import masked, speak
from trunkline.providers.provider import Provider
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Dialect
from trunkline.vocabulary.requests import Words

ENV = {
    **{row.key_env: "sk-secret" for row in CATALOG if row.key_env and row.credential is None},
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "sk-secret",
    "AWS_REGION": "eu-west-1",
    "AZURE_BASE_URL": "https://res.openai.azure.com",
    "AZURE_AI_BASE_URL": "https://res.services.ai.azure.com",
    "GOOGLE_CLOUD_PROJECT": "proj",
    "OPENAI_COMPATIBLE_BASE_URL": "http://llm.internal:8080/v1",
}

TURNS = [{"role": "user", "content": "Hi"}]
OPENAI = {"temperature": 0.5, "top_p": 0.9, "seed": 1, "user": "u", "frequency_penalty": 1, "logit_bias": {"1": 1}}
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
SAID: dict[str, dict[str, Any]] = {
    "anthropic_messages": {"messages": TURNS, "max_tokens": 5},
    "anthropic_tokens": {"messages": TURNS},
    "bedrock_converse": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    "cohere_chat": {"messages": TURNS},
    "cohere_embeddings": {"texts": ["Hi"], "input_type": "search_query", "embedding_types": ["float"]},
    "cohere_rerank": {"query": "q", "documents": ["a"], "top_n": 1},
    "gemini": {"contents": CONTENTS, "serviceTier": "flex"},
    "gemini_embed_content": {"content": CONTENTS[0]},
    "gemini_embeddings": {"requests": [{"model": "models/m", "content": CONTENTS[0]}]},
    "gemini_tokens": {"contents": CONTENTS},
    "ollama_chat": {"messages": TURNS},
    "ollama_embeddings": {"input": "Hi"},
    "openai_chat": {"messages": TURNS, **OPENAI, "logprobs": True, "store": True},
    "openai_completions": {"prompt": "Hi", **OPENAI},
    "openai_embeddings": {"input": "Hi", "dimensions": 3, "user": "u"},
    "openai_moderations": {"input": "Hi"},
    "openai_responses": {"input": "Hi", "temperature": 0.5, "user": "u"},
    "openai_tokens": {"input": "Hi"},
    "titan_embeddings": {"inputText": "Hi"},
    "voyage_rerank": {"query": "q", "documents": ["a"], "top_k": 1},
    "vertex_embeddings": {"instances": [{"content": "Hi"}]},
}
"""What a caller says, by dialect."""


GOLDEN = Path(__file__).with_name("rows.txt")


def line(row: Provider, dialect: Dialect, *, streamed: bool = False) -> str:
    """How a provider is asked in one of its dialects."""
    client = AsyncClient({}, env=ENV)
    engine = client._engine
    said = {"model": f"{row.name}/m", **SAID[dialect.name], **({"stream": True} if streamed else {})}
    words = Words(dialect.name, {key: Raw(msgspec.json.encode(value)) for key, value in said.items()})
    call = engine.call(
        dialect.operation,
        f"{row.name}/m",
        client._rules,
        stream=streamed,
        words=words,
        read=lambda words: dialect.request_from_wire(said),
    )
    spoken = speak(call, row, engine.snapshot.facts(call.target, row))
    assert spoken.dialect is dialect
    sending = masked(spoken, call, row)
    body: dict[str, Any] = msgspec.json.decode(sending.body)
    assert body.pop("model", "m") == "m"
    edits = [f"-{key}" for key in said if key not in body and key != "model"]
    edits += [f"+{key}={value}" for key, value in body.items() if said.get(key) != value]
    keys = [f"{name}: {value.partition('/')[0]}" for name, value in sending.headers.items() if "[key]" in value]
    own = [f"{name}: {value}" for name, value in row.headers.items()]
    shown = ["; ".join([*keys, *own]) or "no key", " ".join(edits)]
    return " | ".join(filter(None, [f"{sending.method} {sending.url}", *shown]))


def table() -> str:
    lines: list[str] = []
    for row in CATALOG:
        for dialect in row.speaks:
            lines.append(f"{row.name} {dialect.name}: {line(row, dialect)}")
            if dialect.operation == "chat":
                lines.append(f"{row.name} {dialect.name}, streamed: {line(row, dialect, streamed=True)}")
    return "".join(f"{one}\n" for one in lines)


def test_how_each_provider_is_asked():
    if os.environ.get("UPDATE_ROWS"):
        GOLDEN.write_text(table())
    assert table() == GOLDEN.read_text(), (
        "look at each difference, then: UPDATE_ROWS=1 pytest tests/providers/test_rows.py"
    )


def test_what_counts_unasked_is_not_asked_to_count():
    """Mistral refuses `stream_options`; its streams count all the same."""
    words = {"model": "mistral/m", "messages": TURNS, "stream": True, "stream_options": {"include_usage": True}}
    fields = {key: Raw(msgspec.json.encode(value)) for key, value in words.items()}
    for name, asked in (("mistral", False), ("groq", True)):
        row = CATALOG[name]
        written = row.dialect_for("chat", None).words_to_wire(
            Words("openai_chat", fields), Facts(model="m", quirks=row.quirks)
        )
        assert ("stream_options" in written.body) is asked
