"""Lenient: the value in an answer that is nearly JSON.

Owns what models do to JSON when nobody holds them to it: words and code fences around it, commas before a bracket that
closes, quotes as Python has them, and an end that was cut off.
"""

from __future__ import annotations

import ast
import contextlib
import re
from itertools import islice
from typing import Any

import jiter

_FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL)
_START = re.compile(r"[{\[]")
MOST_STARTS = 5
"""Brackets in the words before the value."""
_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\Z))|,(?=\s*[}\]])', re.DOTALL)
"""Texts, to step over them (one that is cut off goes to the end), and commas that nothing follows."""
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_RAW = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def lenient(text: str) -> Any:
    """The value that a text holds: an object, a list, or what the whole text says. Raises ValueError where it is none.

    What was cut off ends where it was cut: `{"a": 1, "b": "tw` is `{"a": 1, "b": "tw"}`.
    """
    text = _THOUGHT.sub("", text).strip()
    candidates = [text, *(found.strip() for found in _FENCED.findall(text))]
    for candidate in candidates:
        try:
            return jiter.from_json(candidate.encode())
        except ValueError:
            continue
    for candidate in reversed(candidates):  # what stands in a fence is nearer than the words around it
        for start in islice(_START.finditer(candidate), MOST_STARTS):
            with contextlib.suppress(ValueError):
                return _mended(candidate[start.start() :])
    raise ValueError("there is no JSON in the answer")


def _mended(text: str) -> Any:
    """The value that begins a text; what follows it is left out."""
    mended = _LAST_COMMA.sub(lambda found: (found[1] or "").translate(_RAW), text)
    whole = _first_value(mended)
    try:
        return jiter.from_json(whole.encode(), partial_mode="trailing-strings")
    except ValueError as error:
        try:
            return ast.literal_eval(whole)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(str(error)) from None


_BRACKETS = re.compile(r"""("(?:[^"\\]|\\.)*(?:"|\Z))|('(?:[^'\\]|\\.)*'(?=\s*[:,}\]]))|([{\[])|([}\]])""", re.DOTALL)


def _first_value(text: str) -> str:
    """Up to the bracket that closes the first one; all of it, where none does."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += bool(found[3]) - bool(found[4])
        if depth == 0 and (found[3] or found[4]):
            return text[: found.end()]
    return text
