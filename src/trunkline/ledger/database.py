"""Database: everything that is said in SQL.

Owns the connection to SQLite, its transactions and its questions; the gateway's Postgres will stand beside it with the
same methods. Knows no file but its own, and no thread: whoever holds it uses it from one at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.usage import BUCKETS, Usage

from .rows import ATTEMPTS, CALLS, Row, Rows
from .schema import APPLICATION, STEPS
from .spending import Column, Spend

PATIENCE = 5.0
"""Seconds that a transaction waits for another process's."""


class Unavailable(Exception):
    """The database cannot be read or written now; nothing that was carried is lost, and nothing was half done."""


LOT = 25
"""Rows that one statement writes. SQLite works without Python's lock, and has to ask for it again after each statement;
older versions take 999 values at the most."""


def _insert(table: str, columns: Sequence[str], rows: int) -> str:
    """What is there already stays as it is."""
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 our own tables


_INSERT = {
    (table, rows): _insert(table, columns, rows)
    for table, columns in (("calls", CALLS), ("attempts", ATTEMPTS))
    for rows in (LOT, 1)
}


class Database:
    """A ledger in SQLite. Every method may raise Unavailable."""

    def __init__(self, path: Path) -> None:
        """Open it, make it, or bring it to this version. Raises ConfigurationError where it is something else, or of a
        version that this one does not know; OSError where it cannot be made."""
        self.path = path
        path.touch(mode=0o600)  # whose payers are nobody else's business
        with _told(path):
            self._sql = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._sql.close()
            raise

    def _prepare(self) -> None:
        with _told(self.path):
            try:
                self._refuse_strangers()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
                    raise
                raise ConfigurationError(f"{self.path} is no ledger: it is no SQLite database at all") from error
            self._sql.execute("PRAGMA journal_mode = WAL")
            self._sql.execute("PRAGMA synchronous = NORMAL")
        while self._version() < len(STEPS):
            with self.transaction():
                version = self._version()  # another process may have been here
                for statement in STEPS[version] if version < len(STEPS) else ():
                    self._sql.execute(statement)
                if version < len(STEPS):
                    self._sql.execute(f"PRAGMA user_version = {version + 1}")

    def _refuse_strangers(self) -> None:
        """A file that is not ours is not touched."""
        version, application = self._version(), self._one("PRAGMA application_id")
        if application != APPLICATION and (version or application or self._one("SELECT count(*) FROM sqlite_schema")):
            raise ConfigurationError(f"{self.path} is no ledger, but another program's SQLite database")
        if version > len(STEPS):
            raise ConfigurationError(
                f"{self.path} was written by a newer Trunkline: its version is {version}, this one knows {len(STEPS)}. "
                "Upgrade, or name another folder"
            )

    def _version(self) -> int:
        return self._one("PRAGMA user_version")

    def _one(self, question: str, *values: Any) -> Any:
        row = self._sql.execute(question, values).fetchone()
        return row[0] if row is not None else None

    @property
    def there(self) -> bool:
        """Whether its file is still there: somebody may have deleted it."""
        return self.path.exists()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Generator[None]:
        """All that is done inside, or nothing. A durable one survives a loss of power, and so does all before it."""
        with _told(self.path):
            if durable:
                self._sql.execute("PRAGMA synchronous = FULL")
            try:
                self._sql.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._sql.execute("COMMIT")
                except BaseException:
                    if self._sql.in_transaction:
                        self._sql.execute("ROLLBACK")
                    raise
            finally:
                if durable:
                    self._sql.execute("PRAGMA synchronous = NORMAL")

    # --- carrying ---

    def carried(self, spool: str) -> tuple[int, int]:
        """How far a spool has been carried, in bytes, and how many of its lines could not be read."""
        with _told(self.path):
            row = self._sql.execute("SELECT offset, unread FROM spools WHERE name = ?", (spool,)).fetchone()
        return row or (0, 0)

    def add(self, rows: Rows) -> None:
        """Each of them once, whatever is there already."""
        self._insert("calls", rows.calls)
        self._insert("attempts", rows.attempts)

    def _insert(self, table: str, rows: list[Row]) -> None:
        whole = len(rows) - len(rows) % LOT
        for start in range(0, whole, LOT):
            self._sql.execute(_INSERT[table, LOT], [*chain.from_iterable(rows[start : start + LOT])])
        self._sql.executemany(_INSERT[table, 1], rows[whole:])

    def mark(self, spool: str, offset: int, unread: int) -> None:
        """A spool has been carried so far."""
        self._sql.execute("INSERT OR REPLACE INTO spools VALUES (?, ?, ?)", (spool, offset, unread))

    def unmark(self, spool: str) -> None:
        """A spool is about to be deleted."""
        self._sql.execute("DELETE FROM spools WHERE name = ?", (spool,))

    def unmark_all_but(self, spools: Iterable[str]) -> None:
        """Forget the spools that are no longer there."""
        named = msgspec.json.encode(list(spools)).decode()
        self._sql.execute("DELETE FROM spools WHERE name NOT IN (SELECT value FROM json_each(?))", (named,))

    def forget(self, before: float, most: int) -> int:
        """Delete calls that began before a time (seconds since 1970), so many at the most. Gives how many."""
        old = "SELECT id FROM calls WHERE at < ? ORDER BY at, id LIMIT ?"
        self._sql.execute(f"DELETE FROM attempts WHERE call IN ({old})", (before, most))  # noqa: S608 no text of others
        return self._sql.execute(f"DELETE FROM calls WHERE id IN ({old})", (before, most)).rowcount  # noqa: S608 same

    # --- asking ---

    def usage(
        self, by: Sequence[Column], since: float | None = None, until: float | None = None, payer: str | None = None
    ) -> list[Spend]:
        """Sums over the calls that began in a time (seconds since 1970, the end excluded), by columns; in their order,
        and the dearest first."""
        within = {
            "calls.at >= :since": since,
            "calls.at < :until": until,
            "calls.payer = :payer": payer,
        }
        question = _sums(by, [condition for condition, value in within.items() if value is not None])
        with _told(self.path):
            rows = self._sql.execute(question, {"since": since, "until": until, "payer": payer}).fetchall()
        found = (_spend(by, row) for row in rows)
        return [spend for spend in found if spend.calls or spend.attempts]

    def close(self) -> None:
        """Close it."""
        with _told(self.path):
            self._sql.close()


@contextmanager
def _told(path: Path) -> Generator[None]:
    """The one door at which SQLite's errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"{path}: {error}") from error


_ATTEMPTED = {"target": "attempts.target", "provider": "attempts.provider", "kind": "attempts.error"}
"""What an attempt says of itself; the rest is its call's."""
_ASKED = {"day": "date(calls.at, 'unixepoch')", "kind": "calls.error"}
"""Columns of a question that are not columns of `calls`."""
_TOKENS = " + ".join(f"attempts.{bucket}" for bucket in BUCKETS)
_SUMS = {
    "calls": ("count(*)", "0"),
    "attempts": ("0", "count(*)"),
    "failed": ("0", "sum(attempts.failed)"),
    **{bucket: ("0", f"sum(attempts.{bucket})") for bucket in BUCKETS},
    "estimated": ("0", f"sum(CASE WHEN attempts.estimated THEN {_TOKENS} ELSE 0 END)"),
    "nanos": ("NULL", "sum(attempts.nanos)"),
    "unpriced": ("0", "sum(attempts.unpriced)"),
}
"""What is summed: over calls, and over attempts."""


def _sums(by: Sequence[Column], within: Sequence[str]) -> str:
    """The question. Calls and attempts are summed apart, so that a call with two attempts is one call."""
    of_calls = [_ASKED.get(column, f"calls.{column}") for column in by]
    of_attempts = [_ATTEMPTED.get(column, asked) for column, asked in zip(by, of_calls, strict=True)]
    keys = [f"by_{place}" for place in range(len(by))]
    where = f"WHERE {' AND '.join(within)}" if within else ""
    group = f"GROUP BY {', '.join(keys)}" if keys else ""
    day = [f"by_{by.index('day')}"] if "day" in by else []
    halves = " UNION ALL ".join(
        f"SELECT {_named(keys, asked, half)} FROM {tables} {where} {group}"  # noqa: S608 no text of others
        for half, asked, tables in (
            (0, of_calls, "calls"),
            (1, of_attempts, "calls CROSS JOIN attempts ON attempts.call = calls.id"),
        )
    )
    named = ", ".join([*keys, *(f"sum({name}) AS {name}" for name in _SUMS)])
    order = ", ".join([*day, "nanos DESC", *keys])
    return f"SELECT {named} FROM ({halves}) {group} ORDER BY {order}"  # noqa: S608 the same


def _named(keys: Sequence[str], asked: Sequence[str], half: int) -> str:
    columns = [f"{column} AS {key}" for key, column in zip(keys, asked, strict=True)]
    return ", ".join([*columns, *(f"{sums[half]} AS {name}" for name, sums in _SUMS.items())])


def _spend(by: Sequence[Column], row: Sequence[Any]) -> Spend:
    sums = dict(zip(_SUMS, row[len(by) :], strict=True))
    return Spend(
        by=dict(zip(by, row, strict=False)),
        calls=sums["calls"],
        attempts=sums["attempts"],
        failed=sums["failed"],
        usage=Usage(**{bucket: sums[bucket] for bucket in BUCKETS}, estimated=sums["estimated"] > 0),
        estimated=sums["estimated"],
        nanos=sums["nanos"] or 0,
        unpriced=sums["unpriced"],
    )
