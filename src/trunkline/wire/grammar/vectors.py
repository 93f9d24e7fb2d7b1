"""Vectors: numbers packed for the wire, and out of it again. Little-endian float32 in base64, as most APIs have it."""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from typing import Any

from .fields import as_array


def vector_of(value: Any, where: str) -> tuple[float, ...]:
    """The numbers of a list, or of packed ones. Raises ValueError or InvalidRequestError for what is neither."""
    if isinstance(value, str):
        try:
            return tuple(_swapped(array("f", base64.b64decode(value, validate=True))))
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{where} holds no numbers: {error}") from None
    numbers = as_array(value, where)
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError(f"{where} holds something that is no number")
    return tuple(map(float, numbers))


def packed(vector: tuple[float, ...]) -> str:
    """The numbers in one text."""
    return base64.b64encode(_swapped(array("f", vector)).tobytes()).decode()


def _swapped(numbers: array[float]) -> array[float]:
    """The same numbers between this machine's order of bytes and the wire's."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
