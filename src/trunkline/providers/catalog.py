"""The catalog: every provider we know, one row each. Adding an OpenAI-compatible one means adding a row.

The list is the documentation: the address, the variable of the key, the dialects, and each way in which the provider
differs, with the page that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.facts import Quirks
from trunkline.vocabulary.protocols import Dialect
from trunkline.wire import (
    anthropic_messages,
    anthropic_tokens,
    bedrock_converse,
    cohere_chat,
    cohere_embeddings,
    cohere_rerank,
    gemini,
    gemini_embed_content,
    gemini_embeddings,
    gemini_tokens,
    ollama_chat,
    ollama_embeddings,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_moderations,
    openai_responses,
    openai_tokens,
    titan_embeddings,
    vertex_embeddings,
    voyage_rerank,
)

from . import litellm
from .auth import aws, google, header
from .local import transport as local
from .provider import Provider

OPENAI_COMPATIBLE: tuple[Dialect, ...] = (openai_chat, openai_embeddings)
OPEN_SERVERS: tuple[Dialect, ...] = (openai_chat, openai_completions, openai_embeddings)
OPEN_SERVER = frozenset({"top_k", "min_p", "repetition_penalty"})
"""Sampling keys that the open-source servers understand beyond OpenAI's."""

ROWS = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        speaks=(
            openai_chat,
            openai_responses,
            openai_completions,
            openai_embeddings,
            openai_moderations,
            openai_tokens,
        ),
        quirks=Quirks(developer_role=True),
        docs="https://platform.openai.com/docs/api-reference",
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com/v1",
        key_env="ANTHROPIC_API_KEY",
        auth=header("x-api-key"),
        speaks=(anthropic_messages, anthropic_tokens),
        headers={"anthropic-version": "2023-06-01"},
        docs="https://docs.anthropic.com/en/api/messages",
    ),
    Provider(
        "google",
        "https://generativelanguage.googleapis.com/v1beta",
        key_env="GEMINI_API_KEY",
        key_env_also=("GOOGLE_API_KEY",),
        auth=header("x-goog-api-key"),
        speaks=(gemini, gemini_embeddings, gemini_embed_content, gemini_tokens),
        docs="https://ai.google.dev/api",
    ),
    Provider(
        "vertex",
        "https://{host}/v1/projects/{project}/locations/{location}/publishers/google",
        credential=google.credential,
        speaks=(gemini, vertex_embeddings, gemini_tokens),
        quirks=Quirks(accepts=frozenset({"systemInstruction"}), drop=frozenset({"serviceTier"})),
        options={"host": "aiplatform.googleapis.com", "location": "global", "credentials_file": ""},
        option_env={"project": "GOOGLE_CLOUD_PROJECT", "location": "GOOGLE_CLOUD_LOCATION"},
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
    ),
    Provider(
        "vertex-anthropic",
        "https://{host}/v1/projects/{project}/locations/{location}/publishers/anthropic",
        credential=google.credential,
        speaks=(anthropic_messages,),
        paths={"anthropic_messages": ("/models/{model}:rawPredict", "/models/{model}:streamRawPredict")},
        quirks=Quirks(omit=frozenset({"model"}), defaults={"anthropic_version": "vertex-2023-10-16"}),
        signatures="anthropic",
        options={"host": "aiplatform.googleapis.com", "location": "global", "credentials_file": ""},
        option_env={"project": "GOOGLE_CLOUD_PROJECT", "location": "GOOGLE_CLOUD_LOCATION"},
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude",
    ),
    Provider(
        "bedrock",
        "https://bedrock-runtime.{aws_region}.amazonaws.com",
        key_env="AWS_BEARER_TOKEN_BEDROCK",
        credential=aws.credential,
        auth=aws.sigv4("bedrock"),
        speaks=(bedrock_converse, titan_embeddings, cohere_embeddings),
        by_model={"cohere.embed": "cohere_embeddings"},
        paths={"cohere_embeddings": "/model/{model}/invoke"},
        quirks=Quirks(omit=frozenset({"model"})),
        signatures="anthropic",  # of Claude's reasoning, the only one that signs there
        options={"aws_profile": ""},
        option_env={"aws_region": "AWS_REGION"},
        docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
    ),
    Provider(
        "bedrock-anthropic",
        "https://bedrock-runtime.{aws_region}.amazonaws.com",
        key_env="AWS_BEARER_TOKEN_BEDROCK",
        credential=aws.credential,
        auth=aws.sigv4("bedrock"),
        speaks=(anthropic_messages,),
        paths={"anthropic_messages": ("/model/{model}/invoke", "/model/{model}/invoke-with-response-stream")},
        quirks=Quirks(omit=frozenset({"model", "stream"}), defaults={"anthropic_version": "bedrock-2023-05-31"}),
        headers_in_body={"anthropic-beta": "anthropic_beta"},
        wraps_streams=True,
        signatures="anthropic",
        options={"aws_profile": ""},
        option_env={"aws_region": "AWS_REGION"},
        docs="https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html",
    ),
    Provider(
        "bedrock-openai",
        "https://bedrock-runtime.{aws_region}.amazonaws.com/openai/v1",
        key_env="AWS_BEARER_TOKEN_BEDROCK",
        credential=aws.credential,
        auth=aws.sigv4("bedrock"),
        speaks=(openai_chat, openai_responses),
        options={"aws_profile": ""},
        option_env={"aws_region": "AWS_REGION"},
        docs="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
    ),
    Provider(
        "azure",
        None,
        key_env="AZURE_API_KEY",
        key_env_also=("AZURE_OPENAI_API_KEY",),
        auth=header("api-key"),
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings),
        quirks=Quirks(developer_role=True),
        paths={
            "openai_chat": "/openai/deployments/{model}/chat/completions?api-version={api_version}",
            "openai_completions": "/openai/deployments/{model}/completions?api-version={api_version}",
            "openai_embeddings": "/openai/deployments/{model}/embeddings?api-version={api_version}",
            "openai_responses": "/openai/v1/responses",
        },
        plain_below="/openai/v1",
        options={"api_version": "2024-10-21"},
        option_env={"api_version": "AZURE_API_VERSION"},
        docs="https://learn.microsoft.com/azure/ai-services/openai/reference",
    ),
    Provider(
        "azure-ai",
        None,
        key_env="AZURE_AI_API_KEY",
        auth=header("api-key"),
        speaks=OPENAI_COMPATIBLE,
        paths={
            "openai_chat": "/models/chat/completions?api-version={api_version}",
            "openai_embeddings": "/models/embeddings?api-version={api_version}",
        },
        plain_below="/openai/v1",
        options={"api_version": "2024-05-01-preview"},
        option_env={"api_version": "AZURE_AI_API_VERSION"},
        docs="https://learn.microsoft.com/rest/api/aifoundry/modelinference",
    ),
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings),
        quirks=Quirks(accepts=OPEN_SERVER | {"cache_control", "file_url"}, reasoning_key="reasoning"),
        docs="https://openrouter.ai/docs",
    ),
    Provider(
        "portkey",
        "https://api.portkey.ai/v1",
        key_env="PORTKEY_API_KEY",
        auth=header("x-portkey-api-key"),
        speaks=OPEN_SERVERS,
        docs="https://portkey.ai/docs/api-reference/headers",
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
            reasoning_key="content",
        ),
        docs="https://docs.mistral.ai/api",
    ),
    Provider(
        "groq",
        "https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        speaks=(openai_chat, openai_responses),
        quirks=Quirks(drop=frozenset({"logit_bias", "logprobs", "top_logprobs"})),
        docs="https://console.groq.com/docs/openai",
    ),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        speaks=(openai_chat,),
        quirks=Quirks(
            reasoning_key="reasoning_content",  # between the calls of one turn it must come back
            schemas=False,  # api-docs.deepseek.com/guides/json_mode
        ),
        docs="https://api-docs.deepseek.com",
    ),
    Provider(
        "xai",
        "https://api.x.ai/v1",
        key_env="XAI_API_KEY",
        speaks=(openai_chat, openai_responses),
        quirks=Quirks(reasoning_key="reasoning_content"),
        docs="https://docs.x.ai/docs/api-reference",
    ),
    Provider(
        "together",
        "https://api.together.xyz/v1",
        key_env="TOGETHER_API_KEY",
        speaks=(*OPEN_SERVERS, cohere_rerank),
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.together.ai/reference",
    ),
    Provider(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        key_env="FIREWORKS_API_KEY",
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings, cohere_rerank),
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.fireworks.ai/api-reference",
    ),
    Provider(
        "cerebras",
        "https://api.cerebras.ai/v1",
        key_env="CEREBRAS_API_KEY",
        speaks=(openai_chat, openai_completions),
        quirks=Quirks(drop=frozenset({"frequency_penalty", "presence_penalty", "logit_bias"})),
        docs="https://inference-docs.cerebras.ai/resources/openai",
    ),
    Provider(
        "perplexity",
        "https://api.perplexity.ai",
        key_env="PERPLEXITY_API_KEY",
        key_env_also=("PPLX_API_KEY",),
        speaks=(openai_chat, openai_responses),
        paths={"openai_responses": "/v1/responses"},  # docs.perplexity.ai/docs/grounded-llm/openai-compatibility
        plain_below="/v1",
        quirks=Quirks(usage_on_request=False, accepts=frozenset({"top_k"})),  # every chunk counts
        docs="https://docs.perplexity.ai/api-reference",
    ),
    Provider(
        "cohere",
        "https://api.cohere.com/v2",
        key_env="COHERE_API_KEY",
        key_env_also=("CO_API_KEY",),
        speaks=(cohere_chat, cohere_embeddings, cohere_rerank),
        docs="https://docs.cohere.com/reference/chat",
    ),
    Provider(
        "huggingface",
        "https://router.huggingface.co/v1",
        key_env="HF_TOKEN",
        key_env_also=("HUGGINGFACE_API_KEY",),
        speaks=(openai_chat, openai_responses),
        docs="https://huggingface.co/docs/inference-providers",
    ),
    Provider(
        "nvidia",
        "https://integrate.api.nvidia.com/v1",
        key_env="NVIDIA_API_KEY",
        speaks=OPEN_SERVERS,
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.api.nvidia.com/nim/reference/llm-apis",
    ),
    Provider(
        "voyage",
        "https://api.voyageai.com/v1",
        key_env="VOYAGE_API_KEY",
        speaks=(openai_embeddings, voyage_rerank),
        quirks=Quirks(rename={"dimensions": "output_dimension"}, drop=frozenset({"user"})),
        docs="https://docs.voyageai.com/reference",
    ),
    Provider(
        "ollama",
        "http://127.0.0.1:11434/v1",
        key_env="OLLAMA_API_KEY",
        key_optional=True,
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings),
        quirks=Quirks(reasoning_key="reasoning"),
        docs="https://github.com/ollama/ollama/blob/main/docs/openai.md",
    ),
    Provider(
        "ollama-native",
        "http://127.0.0.1:11434",
        key_env="OLLAMA_API_KEY",
        key_optional=True,
        speaks=(ollama_chat, ollama_embeddings),
        docs="https://github.com/ollama/ollama/blob/main/docs/api.md",
    ),
    Provider(
        "vllm",
        "http://127.0.0.1:8000/v1",
        key_env="VLLM_API_KEY",
        key_optional=True,
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings, cohere_rerank),
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Provider(
        "lmstudio",
        "http://127.0.0.1:1234/v1",
        key_env="LMSTUDIO_API_KEY",
        key_optional=True,
        speaks=(openai_chat, openai_responses, openai_completions, openai_embeddings),
        quirks=Quirks(accepts=OPEN_SERVER),
        docs="https://lmstudio.ai/docs/api/openai-api",
    ),
    Provider(
        "openai-compatible",
        None,
        key_env="OPENAI_COMPATIBLE_API_KEY",
        key_optional=True,
        speaks=(openai_chat, openai_completions, openai_embeddings, cohere_rerank),
        quirks=Quirks(accepts=OPEN_SERVER),
    ),
    Provider(
        "litellm",
        "litellm:",
        key_env="LITELLM_API_KEY",
        key_optional=True,
        speaks=OPENAI_COMPATIBLE,
        transport="litellm",
        missing=litellm.missing,
        docs="https://docs.litellm.ai/docs/providers",
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
    """The rows by name: the built-in ones, and those that a program or an installed package adds."""

    def __init__(self, rows: Mapping[str, Provider]) -> None:
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> Provider:
        return self._rows[name]

    def __contains__(self, name: str) -> bool:
        return name in self._rows or self._installed(name)

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._rows.values())

    def names(self) -> list[str]:
        """All names, in the order of the rows."""
        return list(self._rows)

    def with_rows(self, *rows: Provider) -> Catalog:
        """This catalog and more rows; a row with a known name replaces it."""
        return Catalog({**self._rows, **{row.name: row for row in rows}})

    def add(self, row: Provider) -> None:
        """One more row, for whoever reads this catalog from now on."""
        self._rows[row.name] = row

    def _installed(self, name: str) -> bool:
        """Whether a package brings a provider of this name. Asked only for names that nobody here knows."""
        if not name:
            return False
        metadata = import_module("importlib.metadata")  # 12 ms that only an unknown name has to pay
        for found in metadata.entry_points(group=ENTRY_POINTS, name=name):
            row = found.load()
            if not isinstance(row, Provider) or row.name != name:
                raise ConfigurationError(f"the entry point '{name}' of {ENTRY_POINTS} is no Provider of that name")
            self.add(row)
            return True
        return False


ENTRY_POINTS = "trunkline.providers"
"""The group under which a package names its rows: `name = "package.module:ROW"`."""

CATALOG = Catalog({row.name: row for row in ROWS})
"""The built-in rows, and those that were registered."""


def register_provider(row: Provider) -> None:
    """Add a provider of your own, or replace one of ours, for the clients that are made from now on.

    A package does so without being imported: by an entry point of the group `trunkline.providers`.
    """
    CATALOG.add(row)
