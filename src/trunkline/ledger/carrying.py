"""Carrying: records from the spools into the database, each of them once.

Owns the order in which that is safe. How far a spool has been carried is written in the transaction that writes its
records, so a crash anywhere repeats nothing and skips nothing; a spool is deleted when the database has it on the disk,
and only by whoever holds its lock: its writer, or, when that process is dead, whoever takes it over.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from .database import Database
from .folders import SPOOL, UNREAD
from .lines import UNREADABLE, body_of, record_of
from .rows import UNBELIEVABLE, Rows
from .spool import Spool, SpoolFile

logger = logging.getLogger("trunkline")

READ = 256 * 1024
"""Bytes of a spool that one transaction carries, if they hold a whole line: some 400 records."""
TOGETHER = 50
"""Records that are made into rows before the database gets them: between two lots an event loop has its turn."""


def carry(spool: Spool, database: Database, *, all_spools: bool) -> None:
    """Carry this process's spool and those of dead processes; with `all_spools` those of the living too, which go on
    writing theirs. Raises Unavailable and OSError."""
    full, written = spool.files()
    for file in full:
        _carry_to_its_end(file, database, over=True)
        _delete(file, database)
        spool.drop(file)
    if written is not None:
        _carry_to_its_end(written, database, over=False)
    own = written.path if written is not None else None
    for path in sorted(spool.folder.glob(f"*{SPOOL}")):
        if path != own:
            with suppress(FileNotFoundError):  # somebody else was quicker
                _take_over(SpoolFile.open(path), database, all_spools=all_spools)


def sync(spool: Spool) -> None:
    """Bring what was written onto the disk itself: from there it survives a loss of power. Raises OSError."""
    full, written = spool.files()
    for file in (*full, written):
        if file is not None:
            os.fsync(file.fd)


def _take_over(file: SpoolFile, database: Database, *, all_spools: bool) -> None:
    try:
        if file.claim():
            _carry_to_its_end(file, database, over=True)
            _delete(file, database)
        elif all_spools:
            _carry_to_its_end(file, database, over=False)
    finally:
        file.close()


def _carry_to_its_end(file: SpoolFile, database: Database, *, over: bool) -> None:
    while database.carried(file.path.name)[0] < file.size and _carry_some(file, database, over=over):
        pass


def _carry_some(file: SpoolFile, database: Database, *, over: bool) -> bool:
    """One transaction. False where there is nothing more to be read now."""
    with database.transaction():
        offset, unread = database.carried(file.path.name)
        lines = _whole_lines(file, offset, over=over)
        if not lines:
            return False
        each = lines.split(b"\n")
        for start in range(0, len(each), TOGETHER):
            rows, unreadable = _rows(each[start : start + TOGETHER])
            database.add(rows)
            unread += unreadable
        database.mark(file.path.name, offset + len(lines), unread)
    return True


def _rows(lines: list[bytes]) -> tuple[Rows, int]:
    """The rows of lines, and how many of these are whole and cannot be read all the same."""
    rows, unread = Rows(), 0
    for line in lines:
        if (body := body_of(line)) is None:
            continue
        try:
            rows.add(record_of(body))
        except (*UNREADABLE, *UNBELIEVABLE):
            unread += 1
    return rows, unread


def _whole_lines(file: SpoolFile, offset: int, *, over: bool) -> bytes:
    """What follows, up to the end of a line; in a file that gets no more lines, at last the piece of one as well."""
    size = READ
    while True:
        text = file.read(offset, size)
        end = text.rfind(b"\n") + 1
        if end:
            return text[:end]
        if len(text) < size:
            return text if over else b""
        size *= 2


def _delete(file: SpoolFile, database: Database) -> None:
    """A spool whose every line is in the database. One with lines that cannot be read here is kept under another
    name."""
    _, unread = database.carried(file.path.name)
    with database.transaction(durable=True):
        database.unmark(file.path.name)
    if not unread:
        file.path.unlink(missing_ok=True)
        return
    kept = file.path.with_suffix(UNREAD)
    with suppress(FileNotFoundError):
        file.path.rename(kept)
    logger.warning("%d records in %s are of a kind that this version of Trunkline cannot read", unread, kept)
