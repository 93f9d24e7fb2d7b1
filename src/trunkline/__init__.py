"""Trunkline: one line to every model.

    import trunkline
    print(trunkline.complete("What is the capital of France?").text)

Everything public is named here and imported at its first use, so that `import trunkline` costs next to nothing.
"""

# pyright: reportUnusedImport=false
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.agent import Agent
    from trunkline.asking import audio, file, image
    from trunkline.client import AsyncClient, AsyncStream, Rendered
    from trunkline.config import Config
    from trunkline.default import complete, embed, stream
    from trunkline.portal import Client, Stream
    from trunkline.providers.catalog import register_provider
    from trunkline.providers.function import function_provider
    from trunkline.providers.mock import MockAnswer
    from trunkline.providers.provider import Provider
    from trunkline.vocabulary.calls import Record
    from trunkline.vocabulary.errors import (
        AllTargetsFailed,
        APIConnectionError,
        APITimeoutError,
        AuthenticationError,
        BudgetError,
        ConfigurationError,
        ContentPolicyError,
        ContextWindowError,
        CutOff,
        InvalidRequestError,
        LimitError,
        ModelError,
        ModelNotRegistered,
        OverloadedError,
        RateLimitError,
        ResourceExhaustedError,
        ResponseParseError,
        ServiceError,
        TrunklineError,
        UnknownProvider,
    )
    from trunkline.vocabulary.events import Event
    from trunkline.vocabulary.messages import Message, said
    from trunkline.vocabulary.parts import Audio, File, Image, Text, Thinking, ToolCall, ToolResult
    from trunkline.vocabulary.replies import EmbeddingReply, ModerationReply, Reply, RerankReply, TokenCount
    from trunkline.vocabulary.tools import ResponseFormat, Tool, ToolChoice
    from trunkline.vocabulary.usage import Usage

__version__ = "0.1.0"

_HOMES = {
    "trunkline.agent": "Agent",
    "trunkline.asking": "audio file image",
    "trunkline.client": "AsyncClient AsyncStream Rendered",
    "trunkline.config": "Config",
    "trunkline.default": "complete embed stream",
    "trunkline.portal": "Client Stream",
    "trunkline.providers.catalog": "register_provider",
    "trunkline.providers.function": "function_provider",
    "trunkline.providers.mock": "MockAnswer",
    "trunkline.providers.provider": "Provider",
    "trunkline.vocabulary.calls": "Record",
    "trunkline.vocabulary.errors": (
        "AllTargetsFailed APIConnectionError APITimeoutError AuthenticationError BudgetError ConfigurationError "
        "ContentPolicyError ContextWindowError CutOff InvalidRequestError LimitError ModelError ModelNotRegistered "
        "OverloadedError RateLimitError ResourceExhaustedError ResponseParseError ServiceError TrunklineError "
        "UnknownProvider"
    ),
    "trunkline.vocabulary.events": "Event",
    "trunkline.vocabulary.messages": "Message said",
    "trunkline.vocabulary.parts": "Audio File Image Text Thinking ToolCall ToolResult",
    "trunkline.vocabulary.replies": "EmbeddingReply ModerationReply Reply RerankReply TokenCount",
    "trunkline.vocabulary.tools": "ResponseFormat Tool ToolChoice",
    "trunkline.vocabulary.usage": "Usage",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'trunkline' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)
