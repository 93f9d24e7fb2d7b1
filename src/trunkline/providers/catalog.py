"""The catalog: every provider we know, one row each. Adding an OpenAI-compatible one means adding a row.

The list is the documentation: the address, the variable of the key, the dialects, and each way in which the provider
differs, with the page that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trunkline.vocabulary.facts import Quirks
from trunkline.vocabulary.protocols import Dialect
from trunkline.wire import anthropic_messages, openai_chat, openai_embeddings

from .auth import header
from .local import transport as local
from .provider import Provider

OPENAI_COMPATIBLE: tuple[Dialect, ...] = (openai_chat, openai_embeddings)
OPEN_SERVER = frozenset({"top_k", "min_p", "repetition_penalty"})
"""Sampling keys that the open-source servers understand beyond OpenAI's."""

ROWS = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(developer_role=True),
        docs="https://platform.openai.com/docs/api-reference",
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com/v1",
        key_env="ANTHROPIC_API_KEY",
        auth=header("x-api-key"),
        speaks=(anthropic_messages,),
        headers={"anthropic-version": "2023-06-01"},
        docs="https://docs.anthropic.com/en/api/messages",
    ),
    Provider(
        "azure",
        None,
        key_env="AZURE_API_KEY",
        auth=header("api-key"),
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(developer_role=True),
        paths={
            "openai_chat": "/openai/deployments/{model}/chat/completions?api-version={api_version}",
            "openai_embeddings": "/openai/deployments/{model}/embeddings?api-version={api_version}",
        },
        options={"api_version": "2024-10-21"},
        option_env={"api_version": "AZURE_API_VERSION"},
        docs="https://learn.microsoft.com/azure/ai-services/openai/reference",
    ),
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(accepts=OPEN_SERVER | {"cache_control", "file_url"}, reasoning_key="reasoning"),
        docs="https://openrouter.ai/docs",
    ),
    Provider(
        "portkey",
        "https://api.portkey.ai/v1",
        key_env="PORTKEY_API_KEY",
        auth=header("x-portkey-api-key"),
        speaks=OPENAI_COMPATIBLE,
        docs="https://portkey.ai/docs/api-reference/headers",
    ),
    Provider(
        "groq",
        "https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(drop=frozenset({"logit_bias", "logprobs", "top_logprobs"})),
        docs="https://console.groq.com/docs/openai",
    ),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        speaks=(openai_chat,),
        docs="https://api-docs.deepseek.com",
    ),
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(
            usage_on_request=False,  # always sent; `stream_options` is refused
            rename={"seed": "random_seed"},
            drop=frozenset({"logit_bias", "logprobs", "top_logprobs", "user", "service_tier", "store", "metadata"}),
        ),
        docs="https://docs.mistral.ai/api",
    ),
    Provider(
        "together",
        "https://api.together.xyz/v1",
        key_env="TOGETHER_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.together.ai/reference",
    ),
    Provider(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        key_env="FIREWORKS_API_KEY",
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.fireworks.ai/api-reference",
    ),
    Provider(
        "xai",
        "https://api.x.ai/v1",
        key_env="XAI_API_KEY",
        speaks=(openai_chat,),
        docs="https://docs.x.ai/docs/api-reference",
    ),
    Provider(
        "ollama",
        "http://127.0.0.1:11434/v1",
        key_env="OLLAMA_API_KEY",
        key_optional=True,
        speaks=OPENAI_COMPATIBLE,
        docs="https://github.com/ollama/ollama/blob/main/docs/openai.md",
    ),
    Provider(
        "vllm",
        "http://127.0.0.1:8000/v1",
        key_env="VLLM_API_KEY",
        key_optional=True,
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Provider(
        "openai-compatible",
        None,
        key_env="OPENAI_COMPATIBLE_API_KEY",
        key_optional=True,
        speaks=OPENAI_COMPATIBLE,
        quirks=Quirks(accepts=OPEN_SERVER),
    ),
    Provider(
        "mock",
        "mock:",
        speaks=OPENAI_COMPATIBLE,
        transport="mock",
        own_models={"chat": "mock", "embeddings": "mock"},
    ),
    Provider(
        "local",
        "local:",
        speaks=OPENAI_COMPATIBLE,
        transport="local",
        own_models={"chat": "smollm2-135m", "embeddings": "wordllama-256"},
        missing=local.missing,
        quirks=Quirks(
            system="You are a helpful assistant.",
            # At its runtime's defaults this small model misses Paris half of the time.
            defaults={"temperature": 0, "top_k": 1, "min_p": 0, "repeat_penalty": 1.1},
            accepts=OPEN_SERVER,
            tools_by_schema=True,  # its chat template ignores tools
            defaults_with_tools={"repeat_penalty": 1.0},  # above 1 it shuns the very words it must copy
            keep_alive=False,  # kept connections broke in 3 of 50 runs after two concurrent streams
        ),
    ),
)


class Catalog:
    """The rows by name: the built-in ones, and those that a program adds."""

    def __init__(self, rows: Mapping[str, Provider]) -> None:
        self._rows = rows

    def __getitem__(self, name: str) -> Provider:
        return self._rows[name]

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._rows.values())

    def names(self) -> list[str]:
        """All names, in the order of the rows."""
        return list(self._rows)

    def with_rows(self, *rows: Provider) -> Catalog:
        """This catalog and more rows; a row with a known name replaces it."""
        return Catalog({**self._rows, **{row.name: row for row in rows}})


CATALOG = Catalog({row.name: row for row in ROWS})
"""The built-in rows."""
