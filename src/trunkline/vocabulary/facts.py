"""Facts: what a writer must know of its target.

A dialect is a pure function of the request and these. They join what the provider's row declares (`Quirks`) with what
the model's facts say, so that neither a provider's nor a model's name ever appears in `wire/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct


class Quirks(Struct, frozen=True, kw_only=True):
    """How a provider's API differs from the dialect it speaks. All names are those on the wire."""

    drop: frozenset[str] = frozenset()
    """Top-level keys of a request that the server rejects: left out, and listed as loss."""
    omit: frozenset[str] = frozenset()
    """Top-level keys that stand elsewhere at this server (its address): left out, and no loss."""
    accepts: frozenset[str] = frozenset()
    """Keys beyond the dialect's own that the server understands (`top_k`, `cache_control`), and `file_url` where it
    fetches files that are only linked to."""
    rename: Mapping[str, str] = {}
    """Top-level keys that the server calls otherwise."""
    defaults: Mapping[str, Any] = {}
    """Keys that are added where the caller gives none."""
    system: str | None = None
    """A system prompt for callers who give none."""
    usage_on_request: bool = True
    """Streams report usage only when asked (`stream_options.include_usage`)."""
    developer_role: bool = False
    """Knows the role `developer`; elsewhere it is written as `system`."""
    max_completion_tokens: bool = False
    """Always wants `max_completion_tokens` where others say `max_tokens`."""
    schemas: bool = True
    """The server can hold its models to a JSON schema; elsewhere it knows JSON at the most."""
    tools_by_schema: bool = False
    """Tools are emulated: the answer is constrained to a JSON schema that holds the call."""
    reasoning_key: str | None = None
    """The key of an assistant message under which the server wants its visible reasoning back."""
    defaults_with_tools: Mapping[str, Any] = {}
    """The same where tools are emulated; they go before `defaults`."""
    keep_alive: bool = True
    """Connections may be used again."""


class Facts(Struct, frozen=True, kw_only=True):
    """One target, as a writer sees it."""

    model: str
    """The model's name on the wire."""
    quirks: Quirks = Quirks()
    signer: str | None = None
    """Whose signatures (of reasoning, of calls) are good here: a message signed by another is sent without them."""
    only: str | None = None
    """The one dialect in which its provider lets the model be asked; None: any that it speaks."""
    maker: str | None = None
    """Who made the model, in one word, where its name tells: some APIs have settings of a maker's own."""
    max_output: int | None = None
    """The most tokens the model can generate, where known."""
    sampling: bool = True
    """Whether the model accepts temperature and its like; reasoning models often do not."""
    reasoning: bool | None = None
    """Whether the model thinks before it answers; None where nobody knows."""
    tools: bool | None = None
    """Whether it calls tools; None where nobody knows."""
    structured_output: bool | None = None
    """Whether it can be held to a JSON schema; None where nobody knows."""
    adaptive_thinking: bool = False
    """Whether it decides by itself how much to think: it is told an effort in words, not a number of tokens."""
    least_thinking: int = 0
    """The fewest tokens of thinking that it can be told; above 0, it cannot be told not to think."""


Unsupported = Literal["error", "warn", "drop"]
"""What to do with a field that cannot be said to the target."""
