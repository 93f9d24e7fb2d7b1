"""Requests: what is asked, before anyone decides whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Raw, Struct, field

from .messages import Message
from .parts import AnyPart, Extra
from .settings import Settings
from .tools import AnyTool, ResponseFormat, ToolChoice

Operation = Literal["chat", "embeddings", "rerank", "moderations", "tokens"]
"""What is asked for. A dialect speaks exactly one; `tokens` counts those of a chat request."""


class Request(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A chat request in the neutral vocabulary."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[AnyTool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    settings: Settings = Settings()
    stream: bool = False
    include_usage: bool = False
    """The caller asked for usage at the end of the stream."""
    extra: Extra = field(default_factory=dict)
    """Top-level keys without a word here. They belong to `dialect`: another one lists them as loss."""
    dialect: str | None = None
    """The dialect it was read from; None when our own library made it."""


class EmbeddingRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Texts (or lists of token ids) to be turned into vectors, in order."""

    model: str
    input: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    encoding_format: str | None = None
    """How the caller wants the numbers: `float` or `base64` (little-endian float32)."""
    user: str | None = None
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None
    single: bool = False
    """The input was one bare text, not a list."""

    @property
    def stream(self) -> bool:
        """Embeddings never stream."""
        return False


class RerankRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Documents to be put in the order of their relevance to a query."""

    model: str
    query: str
    documents: tuple[str | Extra, ...]
    """Texts, or objects with the fields that the provider ranks by."""
    top_n: int | None = None
    """How many results to give; all when not said."""
    return_documents: bool | None = None
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None

    @property
    def stream(self) -> bool:
        """A ranking never streams."""
        return False


class ModerationRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Inputs to be checked for what a policy forbids: each is a message's parts, checked together."""

    model: str | None = None
    inputs: tuple[tuple[AnyPart, ...], ...]
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None
    form: Literal["text", "texts", "parts"] = "texts"
    """How the caller wrote them: one bare text, a list of texts, or one list of parts."""

    @property
    def stream(self) -> bool:
        """A judgement never streams."""
        return False


AnyRequest = Request | EmbeddingRequest | RerankRequest | ModerationRequest
"""What may be asked: one shape for each operation; a count of tokens is asked for with a chat request."""


class Words(Struct, frozen=True):
    """A request body as it arrived: each top-level value keeps its bytes.

    A target that speaks `dialect` gets these words back, with only the edits that its row declares.
    """

    dialect: str
    fields: Mapping[str, Raw]
    headers: Mapping[str, str] = {}
    """The caller's headers that belong to the dialect (`anthropic-beta`, …), lower-case names."""
