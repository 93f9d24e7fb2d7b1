"""Equivalences: when two bodies say the same.

The table is short on purpose: each entry is a way of saying the same thing that an API itself calls the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

EQUIVALENCES = (
    "null, an empty list, an empty object, and false for `stream` and `is_error` say nothing: absent is the same",
    "a string is a list of one text part, where content is meant",
    "a stop string is a list of one",
    "a counter of 0 is an absent counter",
    "1 is 1.0",
    "a tool choice `any` is `required` (docs.mistral.ai takes both)",
)


def differences(ours: Any, recorded: Any, at: str = "") -> list[str]:
    """Where two parsed bodies differ, as paths; empty where they say the same."""
    if ours == recorded and type(ours) is type(recorded):
        return []
    ours, recorded = _plain(ours), _plain(recorded)
    if _says_nothing(ours, at) and _says_nothing(recorded, at):
        return []
    if isinstance(recorded, dict) and isinstance(ours, dict):
        found: list[str] = []
        for key in {**recorded, **ours}:
            found += differences(ours.get(key), recorded.get(key), f"{at}.{key}" if at else key)
        return found
    if isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            return [f"{at}: {len(ours)} items, recorded {len(recorded)}"]
        return [d for i, (a, b) in enumerate(zip(ours, recorded, strict=True)) for d in differences(a, b, f"{at}[{i}]")]
    if ours == recorded and isinstance(ours, str):
        return []
    if any(same(ours, recorded) or same(recorded, ours) for same in _SAME):
        return []
    return [f"{at}: {_short(ours)}, recorded {_short(recorded)}"]


def _plain(value: Any) -> Any:
    """A lone text part is its text."""
    match value:
        case [{"type": "text" | "input_text", "text": str(text), **rest}] if not any(rest.values()):
            return text
        case _:
            return value


def _says_nothing(value: Any, at: str) -> bool:
    if value is None or value == []:
        return True
    if isinstance(value, dict):
        return all(_says_nothing(inside, f"{at}.{key}") for key, inside in value.items())
    last = at.rpartition(".")[2]
    if value is False:
        return last in {"stream", "is_error"}
    return value == 0 and not isinstance(value, bool) and any(word in at.lower() for word in ("usage", "token"))


def _number(ours: Any, recorded: Any) -> bool:
    numbers = isinstance(ours, int | float) and isinstance(recorded, int | float)
    return numbers and not isinstance(ours, bool) and not isinstance(recorded, bool) and ours == recorded


def _one_of_a_list(ours: Any, recorded: Any) -> bool:
    return isinstance(ours, list) and ours == [recorded]


def _any_is_required(ours: Any, recorded: Any) -> bool:
    return (ours, recorded) == ("required", "any")


_SAME: tuple[Callable[[Any, Any], bool], ...] = (_number, _one_of_a_list, _any_is_required)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode() if not isinstance(value, bytes) else repr(value)
    return text if len(text) < 60 else text[:57] + "…"
