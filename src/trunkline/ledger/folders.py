"""Folders: where a ledger lies, and what is in there.

Owns the names of its files. Opens none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

DATABASE = "ledger.db"
SPOOL = ".spool"
"""How the name of a process's file ends."""
UNREAD = ".unread"
"""How the name ends of a spool with records that this version cannot read: it is kept for a newer one."""


def default_folder(env: Mapping[str, str] | None = None) -> Path:
    """The ledger's folder where nobody names another: `$XDG_STATE_HOME/trunkline`, else `~/.local/state/trunkline`."""
    state = (os.environ if env is None else env).get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "trunkline"


def is_empty(folder: Path) -> bool:
    """Whether nothing was ever recorded there, or the folder is not there at all."""
    return not (folder / DATABASE).exists() and not any(folder.glob(f"*{SPOOL}"))
