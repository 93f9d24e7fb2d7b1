"""Forks: what a forked child must not share with its parent.

Owns that everybody who holds locks or connections is told, in the child, before anything else runs there. Knows nobody
by name.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Holds what belongs to one process."""

    def leave_to_parent(self) -> None:
        """In a forked child: make new locks, and leave the parent's connections alone."""
        ...


def watch(owner: Forkable) -> None:
    """Tell it when the process has forked, for as long as it lives."""
    _OWNERS.add(owner)


_OWNERS: weakref.WeakSet[Forkable] = weakref.WeakSet()


def _forked() -> None:
    for owner in list(_OWNERS):
        owner.leave_to_parent()


if sys.platform != "win32":  # where processes do not fork
    os.register_at_fork(after_in_child=_forked)
