"""Schema: the tables of the database, and how a database of an older version becomes one of this version.

Owns the steps. A step that was released is never changed and takes nothing away; a new one is added behind it, and the
number of steps is the version (`PRAGMA user_version`). What stands in the columns is `rows.py`'s to say.

Money stands twice in an attempt: `cost` is the exact decimal, as text; `nanos` is in billionths of a dollar, a whole
number that can be summed without an error.
"""

from __future__ import annotations

APPLICATION = 0x54724C31
"""`PRAGMA application_id`, by which a ledger is told from any other SQLite database."""

_TOKENS = """
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    input_audio INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL, output_audio INTEGER NOT NULL,
    estimated INTEGER NOT NULL, extra TEXT"""

_FIRST = (
    f"""CREATE TABLE calls (
    id TEXT PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, model TEXT NOT NULL, route TEXT,
    target TEXT, provider TEXT, payer TEXT, owner TEXT, stream INTEGER NOT NULL, cached INTEGER NOT NULL,
    outcome TEXT NOT NULL, finish TEXT, error TEXT, status INTEGER, seconds REAL NOT NULL, first_content REAL,
    waited REAL NOT NULL, request_id TEXT, tier TEXT, tags TEXT, loss TEXT, cost TEXT, {_TOKENS}
    ) WITHOUT ROWID""",
    "CREATE INDEX calls_at ON calls (at)",
    f"""CREATE TABLE attempts (
    call TEXT NOT NULL, number INTEGER NOT NULL, target TEXT NOT NULL, provider TEXT, started REAL NOT NULL,
    outcome TEXT, finish TEXT, error TEXT, status INTEGER, seconds REAL, first_content REAL, waited REAL NOT NULL,
    request_id TEXT, hedge INTEGER NOT NULL, tier TEXT, failed INTEGER NOT NULL,
    cost TEXT, nanos INTEGER, priced TEXT, unpriced INTEGER NOT NULL, {_TOKENS},
    PRIMARY KEY (call, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE spools (name TEXT PRIMARY KEY, offset INTEGER NOT NULL, unread INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION}",
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""From version n to n + 1, each in one transaction."""
