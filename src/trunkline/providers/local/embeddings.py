"""Embeddings: text to vectors, with WordLlama's weights.

Owns the arithmetic: a text's vector is the mean of its tokens' vectors, scaled to length one. Knows no HTTP. Numpy and
the table (16 MB) are loaded with the first `Vectors`, so that whoever only chats pays nothing for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from trunkline.vocabulary.errors import ConfigurationError

from .weights import word_tokenizer, word_vectors

WIDTH = 256


class Tokenizer(Protocol):
    """The one function that we use of splintr, which ships no types."""

    def encode_raw(self, text: str, /) -> list[int]:
        """Token ids, without any that mark a beginning or an end."""
        ...


class Vectors:
    """The loaded weights. Raises ConfigurationError when the weights, numpy or splintr are missing."""

    def __init__(self) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one vector at a time: its pool would be idle memory
        self._numpy = _runtime("numpy")
        self._tokenizer = cast("Tokenizer", _runtime("splintr").from_json(str(word_tokenizer())))
        self._table = _read_table(self._numpy, word_vectors())

    def embed(self, texts: Sequence[str], width: int = WIDTH) -> tuple[list[bytes], int]:
        """Each text as `width` little-endian float32, and how many tokens they had in all.

        The weights were trained to be cut (Matryoshka): the first numbers of a vector are themselves a vector.
        """
        ids = [self._tokenizer.encode_raw(text) for text in texts]
        return [self._vector(one, width).tobytes() for one in ids], sum(map(len, ids))

    def _vector(self, ids: list[int], width: int) -> Any:
        numpy = self._numpy
        vector = self._table[ids, :width].astype("<f4").mean(axis=0)
        return vector / max(float(numpy.linalg.norm(vector)), 1e-12)


def _runtime(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"Local embeddings need {name}; run: pip install 'trunkline[local]'") from error


def _read_table(numpy: Any, path: Path) -> Any:
    """A safetensors file is the length of its header, the header, and here one tensor of halves."""
    with path.open("rb") as file:
        header = 8 + int.from_bytes(file.read(8), "little")
    return numpy.memmap(path, dtype="<f2", mode="r", offset=header).reshape(-1, WIDTH)
