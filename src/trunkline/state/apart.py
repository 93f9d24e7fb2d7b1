"""Apart: targets that are called the same and are not.

Owns the names under which everybody's experience with a target is kept. Clients of one runtime may give one name to a
model at another address, or asked with another key: that the one has no credit says nothing of the other.
"""

from __future__ import annotations

import threading
from typing import Any

MOST_NAMES = 10_000
"""How many are remembered: programs make clients for each of their users."""


class Apart:
    """Tells targets of one name apart. Any thread may ask."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[Any, ...]]] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, name: str, *what: Any) -> str:
        """The name for the first target of that name, a numbered one for each that is something else."""
        with self._lock:
            if self._count >= MOST_NAMES:
                self._seen.clear()
                self._count = 0
            seen = self._seen.setdefault(name, [])
            if what not in seen:
                seen.append(what)
                self._count += 1
            number = seen.index(what) + 1
        return name if number == 1 else f"{name} #{number}"
