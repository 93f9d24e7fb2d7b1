"""Usage and cost: what a call used, in disjoint buckets, and what that costs.

APIs count differently (OpenAI's prompt tokens include cached ones, Anthropic's input tokens do not). Here each token is
counted in exactly one bucket; a dialect derives its own totals from the buckets, and a price applies to each bucket.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from .view import OpenAIShape


class Usage(Struct, OpenAIShape, frozen=True, omit_defaults=True, kw_only=True):
    """Tokens by kind. No token is in two buckets; all are counts, 0 when the provider named none."""

    input: int = 0
    """Prompt tokens that were neither read from nor written to a cache, without audio and image tokens."""
    cache_read: int = 0
    cache_write: int = 0
    """Tokens written to the provider's cache at its default lifetime (Anthropic: 5 minutes)."""
    cache_write_1h: int = 0
    """Tokens written to the provider's cache for an hour."""
    input_audio: int = 0
    output: int = 0
    """Generated tokens that are neither reasoning nor audio."""
    reasoning: int = 0
    output_audio: int = 0
    estimated: bool = False
    """True when we counted, because the provider did not say."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Counters that have no bucket (accepted predictions, server tool uses, …) as the provider gave them."""

    @property
    def prompt_tokens(self) -> int:
        """All input tokens, cached ones included: OpenAI's meaning."""
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.input_audio

    @property
    def completion_tokens(self) -> int:
        """All generated tokens, reasoning included: OpenAI's meaning."""
        return self.output + self.reasoning + self.output_audio

    @property
    def total_tokens(self) -> int:
        """Everything that was read and written."""
        read = self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.input_audio
        return read + self.output + self.reasoning + self.output_audio

    @property
    def prompt_tokens_details(self) -> dict[str, int]:
        """OpenAI's breakdown of the input."""
        return {"cached_tokens": self.cache_read, "audio_tokens": self.input_audio}

    @property
    def completion_tokens_details(self) -> dict[str, int]:
        """OpenAI's breakdown of the output."""
        return {"reasoning_tokens": self.reasoning, "audio_tokens": self.output_audio}

    shape = (
        ("prompt_tokens", "prompt_tokens"),
        ("completion_tokens", "completion_tokens"),
        ("total_tokens", "total_tokens"),
        ("prompt_tokens_details", "prompt_tokens_details"),
        ("completion_tokens_details", "completion_tokens_details"),
    )

    def __add__(self, other: Usage) -> Usage:
        """Both together, bucket by bucket."""
        mine, theirs = asdict(self), asdict(other)
        buckets = {name: mine[name] + theirs[name] for name in BUCKETS}
        return Usage(**buckets, estimated=self.estimated or other.estimated, extra={**self.extra, **other.extra})


BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output",
    "reasoning",
    "output_audio",
)
"""The names of the counters of `Usage`, in the order a bill lists them."""

Cost = Decimal
"""US dollars, exact. An unknown price is None, never 0."""
