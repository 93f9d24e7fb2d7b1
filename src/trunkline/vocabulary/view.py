"""The read-only OpenAI-shaped view of a reply or an event.

Programs written for the `openai` package read `reply.choices[0].message.content` or
`reply["choices"][0]["message"]["content"]`. Both work on our own values: a class lists, in `shape`, which OpenAI keys
it shows and which of its attributes answers them. Nothing is copied until it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec


class OpenAIShape:
    """Adds mapping access in OpenAI's shape to a struct. Subclasses give `shape`."""

    __slots__ = ()

    shape: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of OpenAI key and our attribute, in the order OpenAI prints them."""

    def __getitem__(self, key: str) -> Any:
        for name, attribute in self.shape:
            if name == key:
                return getattr(self, attribute)
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value under an OpenAI key, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> list[str]:
        """The OpenAI keys, in OpenAI's order; with `__getitem__` this makes `dict(reply)` work."""
        return [name for name, _ in self.shape]

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def model_dump(self) -> dict[str, Any]:
        """Plain dicts and lists in OpenAI's shape, as the `openai` package's objects give them."""
        return {name: _plain(getattr(self, attribute)) for name, attribute in self.shape}

    def model_dump_json(self) -> str:
        """The same as JSON text."""
        return msgspec.json.encode(self.model_dump()).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, OpenAIShape):
        return value.model_dump()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
