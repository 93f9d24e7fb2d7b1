"""Model names: how else a model may be spelled, and which lab's family a new name belongs to.

Owns rules about spelling only, as tables. Knows no facts and no prices; `facts.py` tries the names in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LABS = frozenset({"anthropic", "cohere", "deepseek", "google", "mistral", "openai", "xai"})
"""Providers that make the models they sell: a bare name that one of them lists is theirs."""


class Alias(NamedTuple):
    """A model whose whole name matches `pattern` at `provider` (`*`: anywhere) may be listed as `name` at `to`."""

    provider: str
    pattern: str
    to: str
    name: str

    def of(self, provider: str, model: str) -> tuple[str, str] | None:
        """The other name, if this rule knows one."""
        if self.provider not in ("*", provider):
            return None
        match = re.fullmatch(self.pattern, model)
        return match and (provider if self.to == "*" else match.expand(self.to), match.expand(self.name))


ALIASES = (
    # A dated snapshot has the facts of its model; a bare name those of its newest snapshot.
    Alias("*", r"(.+)-(?:\d{4}-\d{2}-\d{2}|\d{8})", "*", r"\1"),
    Alias("*", r"(.+)(?<!-latest)", "*", r"\1-latest"),
    # Other spellings of the same provider's names.
    Alias("openai", r"(ft:[^:]+):.*", "openai", r"\1"),
    Alias("google", r"models/(.+)", "google", r"\1"),
    Alias("fireworks", r"(?!accounts/)(.+)", "fireworks", r"accounts/fireworks/models/\1"),
    Alias("bedrock", r"(?:us|us-gov|eu|apac|au|jp|global)\.(.+)", "bedrock", r"\1"),
    Alias("azure", r"gpt-35(.*)", "azure", r"gpt-3.5\1"),
    Alias("ollama-native", r"(.+)", "ollama", r"\1"),
    Alias("bedrock-anthropic", r"(.+)", "bedrock", r"\1"),
    Alias("bedrock-openai", r"(.+)", "bedrock", r"\1"),
    Alias("vertex-anthropic", r"(.+)@(\d{8})", "vertex-anthropic", r"\1-\2"),
    # Resellers that pass a lab's model on at the lab's price.
    Alias("azure", r"(.+)", "openai", r"\1"),
    Alias("vertex", r"(.+)", "google", r"\1"),
    Alias("vertex-anthropic", r"(.+)", "anthropic", r"\1"),
    Alias("openrouter", r"anthropic/(.+)\.(.+)", "anthropic", r"\1-\2"),
    Alias("openrouter", r"(anthropic|cohere|deepseek|google|openai)/(.+)", r"\1", r"\2"),
    Alias("openrouter", r"mistralai/(.+)", "mistral", r"\1"),
    Alias("openrouter", r"x-ai/(.+)", "xai", r"\1"),
    # What runs on the user's own machine costs nothing, whatever its name. Ollama's cloud models do not run there.
    Alias("local", r".+", "local", "*"),
    Alias("mock", r".+", "mock", "*"),
    Alias("ollama", r"(?!.*cloud).+", "ollama", "*"),
)

FAMILIES = (
    (r"gpt-oss.*", None),  # open weights: everyone serves them but OpenAI
    (r"(ft:)?(gpt|chatgpt)-.+|o\d+(-.+)?|text-embedding-3-.+|(omni|text)-moderation-.+", "openai"),
    (r"claude-.+", "anthropic"),
    (r"gemini-.+", "google"),
    (r"(mistral|magistral|ministral|codestral|devstral|pixtral|voxtral)-.+", "mistral"),
    (r"grok-.+", "xai"),
    (r"command-.+|embed-(english|multilingual|v\d).*", "cohere"),
    (r"sonar(-.+)?", "perplexity"),
)
"""Whose a name is that nobody lists yet; the first pattern that fits decides."""


MAKERS = frozenset({
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "stability", "writer", "xai", "zai",
})  # fmt: skip
"""Words by which resellers' names tell who made a model: `us.anthropic.claude-…`, `meta/llama-…`."""


def maker(model: str) -> str | None:
    """Who made a model, as far as its name tells."""
    words = re.split(r"[./]", model.rpartition(":model/")[2].lower())
    return next((word for word in words if word in MAKERS), None) or family(words[-1])


def spellings(provider: str, model: str) -> Iterator[tuple[str, str]]:
    """All (provider, model) names to look under: the given one, its aliases, their aliases …"""
    names = [(provider, model)]
    for name in names:  # grows while it is walked
        yield name
        names += (alias for rule in ALIASES if (alias := rule.of(*name)) and alias not in names)


def family(model: str) -> str | None:
    """The lab whose naming habits the model follows, or None."""
    return next((lab for pattern, lab in FAMILIES if re.fullmatch(pattern, model)), None)
