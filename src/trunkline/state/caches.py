"""Caches: where answers are kept, as bytes under a name.

Owns size, age and durability; each is a `vocabulary.stored.Store`. Knows neither what an answer is nor whose it is: the
rule that asks puts both into the name. A cache never fails a call: what cannot be read is not there, what cannot be
written is not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections import OrderedDict, deque
from pathlib import Path
from typing import cast
from weakref import WeakKeyDictionary

from trunkline.vocabulary.calls import Clock

from . import forks
from .link import Link, Links, Rejected, Unreachable

logger = logging.getLogger("trunkline")

ENTRY_BYTES = 200
"""What an entry costs beside its name and its value, about."""
MOST_UNWRITTEN = 1000
"""How many entries wait to be written; more are not kept."""
BATCH = 100
IDLE_SECONDS = 5.0
"""After so long without an entry the thread that writes to the disk ends."""
BUSY_SECONDS = 5.0
"""How long another process may write before one gives up."""
TURNS = 10
"""How often one tries what others do at the same moment."""


class MemoryCache:
    """A cache of this process, which forgets what was not asked for the longest."""

    def __init__(self, clock: Clock, max_bytes: int, max_entries: int | None = None) -> None:
        self._clock = clock
        self._most = max_bytes
        self._most_entries = max_entries
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.bytes = 0
        """How many it holds, about."""
        forks.watch(self)

    async def get(self, key: str) -> bytes | None:
        """What was put under that name."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, until = entry
            if until <= self._clock.now():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep it, and forget others for it."""
        with self._lock:
            if key in self._entries:
                self._drop(key)
            if seconds <= 0 or _size(key, value) > self._most:
                return
            self._entries[key] = value, self._clock.now() + seconds
            self.bytes += _size(key, value)
            while self.bytes > self._most or len(self._entries) > (self._most_entries or len(self._entries)):
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self.bytes -= _size(key, value)

    async def close(self) -> None:
        """Nothing is open."""

    def leave_to_parent(self) -> None:
        """In a forked child: a lock that another thread of the parent held would never open."""
        self._lock = threading.Lock()


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_BYTES


class DiskCache:
    """A cache in a file, that survives restarts and is shared by the processes of one machine.

    SQLite keeps it whole. One thread writes, in batches, and ends when there is nothing to write; reading is done in
    the loops' threads. `max_bytes` bounds the file but for its write-ahead log; what was put first is forgotten first.
    """

    def __init__(self, path: Path, clock: Clock, max_bytes: int) -> None:
        self._path = path
        self._clock = clock
        self._most = max_bytes
        self._complained = False
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._unwritten: queue.Queue[_Entry | threading.Event] = queue.Queue(MOST_UNWRITTEN)
        self._writer: threading.Thread | None = None
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None

    async def get(self, key: str) -> bytes | None:
        """What was put under that name, by whichever process."""
        return await asyncio.to_thread(self._read, key)

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Write it, soon."""
        if seconds > 0 and _size(key, value) <= self._most // 2:  # half of it, for nothing is forgotten but in pieces
            with contextlib.suppress(queue.Full):  # the disk is slower than the answers come: this one is not kept
                self._hand_over((key, value, self._clock.wall() + seconds))

    async def close(self) -> None:
        """Wait until everything is written, and close the file."""
        if self._writer is not None:
            written = threading.Event()
            with contextlib.suppress(queue.Full):
                self._hand_over(written)
                await asyncio.to_thread(written.wait)
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def leave_to_parent(self) -> None:
        """In a forked child: the parent's file handle and its thread are not ours."""
        _LEFT_TO_THE_PARENT.append(self._reader)
        self._begin()

    def _hand_over(self, entry: _Entry | threading.Event) -> None:
        with self._lock:
            self._unwritten.put_nowait(entry)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="trunkline-cache", daemon=True)
                self._writer.start()

    def _read(self, key: str) -> bytes | None:
        with self._reading:
            try:
                if self._reader is None:
                    if not self._path.exists():
                        return None
                    self._reader = _open(self._path)
                found = self._reader.execute(
                    "SELECT value FROM answers WHERE name = ? AND until > ?", (key, self._clock.wall())
                )
                row = cast("tuple[bytes] | None", found.fetchone())
            except sqlite3.Error as error:
                self._complain(error)
                return None
        return None if row is None else row[0]

    def _write_all(self) -> None:
        try:
            with contextlib.closing(_open(self._path)) as connection:
                while (batch := self._next_batch()) is not None:
                    self._write(connection, batch)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
            with self._lock:  # whoever waits for a write is not to wait for ever
                self._writer = None
                while not self._unwritten.empty():
                    _tell([self._unwritten.get_nowait()])

    def _next_batch(self) -> list[_Entry | threading.Event] | None:
        """What waits, or None when nothing came for a while: the thread ends, and the next entry begins another."""
        try:
            batch = [self._unwritten.get(timeout=IDLE_SECONDS)]
        except queue.Empty:
            with self._lock:
                if self._unwritten.empty():
                    self._writer = None
                    return None
            return []
        with contextlib.suppress(queue.Empty):
            while len(batch) < BATCH:
                batch.append(self._unwritten.get_nowait())
        return batch

    def _write(self, connection: sqlite3.Connection, batch: list[_Entry | threading.Event]) -> None:
        entries = [entry for entry in batch if not isinstance(entry, threading.Event)]
        try:
            if entries:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(
                        "INSERT OR REPLACE INTO answers (name, value, until) VALUES (?, ?, ?)", entries
                    )
                    self._make_room(connection)
        except sqlite3.Error as error:
            self._complain(error)
        finally:
            _tell(batch)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Forget what is too old, then a tenth of the rest, the first first, until what is left fits."""
        if _bytes_in(connection) <= self._most:
            return
        connection.execute("DELETE FROM answers WHERE until <= ?", (self._clock.wall(),))
        while _bytes_in(connection) > self._most:
            gone = connection.execute(
                "DELETE FROM answers WHERE id IN"
                " (SELECT id FROM answers ORDER BY id LIMIT (SELECT COUNT(*) / 10 + 1 FROM answers))"
            )
            if gone.rowcount == 0:
                return

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("the cache in %s cannot be used: %s", self._path, error)


_Entry = tuple[str, bytes, float]
"""Name, value, and until when it is kept, in seconds since 1970."""


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _turn_on_the_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " name TEXT UNIQUE NOT NULL, value BLOB NOT NULL, until REAL NOT NULL)"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _turn_on_the_log(connection: sqlite3.Connection) -> None:
    """SQLite waits for nobody who turns it on at the same moment, but does for a transaction: then it is done."""
    for _ in range(TURNS):
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")


def _bytes_in(connection: sqlite3.Connection) -> int:
    """How large the file is without the pages that are free: those are used first."""
    pages, free, size = (
        cast("tuple[int]", connection.execute(f"PRAGMA {what}").fetchone())[0]
        for what in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _tell(batch: list[_Entry | threading.Event]) -> None:
    for entry in batch:
        if isinstance(entry, threading.Event):
            entry.set()


_LEFT_TO_THE_PARENT: list[object] = []
"""Keeps a forked child from collecting, and so from closing, what its parent still uses."""


class RedisCache:
    """A cache in one Redis or Valkey server or cluster. While that is away this process keeps its own answers, where
    it may; else nothing is found and nothing is kept."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        prefix: str = "trunkline",
        timeout: float = 0.05,
        meanwhile: MemoryCache | None = None,
    ) -> None:
        """`timeout` is how many seconds a call waits for the server. Raises ConfigurationError without redis-py."""
        self._meanwhile = meanwhile
        told = "answers are cached by this process alone" if meanwhile is not None else "no answers are cached"
        self._links = Links(url, clock, timeout, told)
        self._prefix = prefix
        self._writers: WeakKeyDictionary[Link, _Writer] = WeakKeyDictionary()

    async def get(self, key: str) -> bytes | None:
        """What was put under that name."""
        name = self._name(key)
        try:
            return await self._links.here().ask(name, "GET", name)
        except (Unreachable, Rejected):
            return await self._meanwhile.get(key) if self._meanwhile is not None else None

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Write it, soon."""
        link = self._links.here()
        if link.away and self._meanwhile is not None:
            self._meanwhile.put(key, value, seconds)
        writer = self._writers.get(link)
        if writer is None:
            writer = self._writers[link] = _Writer()
        if seconds > 0 and not link.away:
            writer.put(link, (self._name(key), value, max(1, int(seconds * 1000))))

    async def close(self) -> None:
        """Write what is not written yet, and close the running loop's connections."""
        writer = self._writers.get(self._links.here())
        if writer is not None:
            await writer.finish()
        await self._links.close()

    def _name(self, key: str) -> str:
        return f"{self._prefix}:answer:{key}"


class _Writer:
    """What one event loop writes to the server."""

    def __init__(self) -> None:
        self._unwritten: deque[tuple[str, bytes, int]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, link: Link, entry: tuple[str, bytes, int]) -> None:
        if len(self._unwritten) < MOST_UNWRITTEN:
            self._unwritten.append(entry)
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._write(link))

    async def finish(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _write(self, link: Link) -> None:
        while self._unwritten:
            name, value, milliseconds = self._unwritten.popleft()
            with contextlib.suppress(Unreachable, Rejected):  # then it is not kept
                await link.ask(name, "SET", name, value, "PX", milliseconds)
