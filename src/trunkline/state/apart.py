"""Apart: targets that are called the same and are not.

Owns the names under which everybody's experience with a target is kept. Clients of one runtime may give one name to a
model at another address, or asked with another key: that the one has no credit says nothing of the other.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import count
from typing import Any

MOST = 10_000
"""How many are remembered: programs make clients for each of their users."""


class Apart:
    """Tells targets of one name apart. Any thread may ask."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._firsts: OrderedDict[str, None] = OrderedDict()
        """The names that somebody has without a number."""
        self._numbers = count(2)
        """No number is given twice: who has one may live longer than it is remembered."""
        self._lock = threading.Lock()

    def __call__(self, name: str, *what: Any) -> str:
        """The name for the first target of that name, a numbered one for each that is something else."""
        with self._lock:
            own = self._ids.get((name, what))
            if own is None:
                own = self._ids[name, what] = name if name not in self._firsts else f"{name} #{next(self._numbers)}"
                self._firsts[name] = None
                for remembered in (self._ids, self._firsts):
                    if len(remembered) > MOST:
                        remembered.popitem(last=False)
            return own

    def another(self, name: str) -> str:
        """A name that nobody else has: for a target that is its client's alone."""
        return f"{name} #{next(self._numbers)}"
