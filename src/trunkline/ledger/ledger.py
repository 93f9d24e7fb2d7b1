"""The ledger: a sink that keeps what it is told, and answers questions about it.

Owns the thread that carries records from the spool into the database, the rhythm in which it does, and what becomes of
both in a forked child and when the program ends. Knows no call: a record reaches it when it is complete.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from trunkline.vocabulary.buckets import Period
from trunkline.vocabulary.calls import Clock, Record
from trunkline.vocabulary.errors import ConfigurationError

from .carrying import carry, sync
from .database import Database, Unavailable
from .folders import DATABASE
from .lines import UNSAYABLE, line_of
from .spending import Column, Spend, Spent, beginning
from .spool import Spool, Write

logger = logging.getLogger("trunkline")

PAUSE = 0.5
"""Seconds that records wait at most until they are carried."""
MANY = 500
"""So many of them do not wait."""
DAY = 86_400.0
SWEEP = 3600.0
"""Seconds between two looks for calls that are too old."""
FORGOTTEN_AT_ONCE = 1000
FORK_PATIENCE = EXIT_PATIENCE = 1.0
"""Seconds that a fork, and the program's end, wait for a transaction to end."""


class Ledger:
    """What happened, in a folder that processes may share. Any thread may use it.

    Called with a record it appends it to a file (`spool.py`), from where a thread carries it into a database. It never
    raises and waits for nothing but that write. Questions block; ask them in a thread of your own, not in a loop.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        durable: bool = False,
        keep_days: float | None = None,
        pause: float = PAUSE,
        write: Write = os.write,
    ) -> None:
        """`durable`: what was recorded longer than `pause` seconds ago survives a loss of power too. `keep_days`: older
        calls are deleted; None: none is. Raises ConfigurationError where the folder holds another program's database,
        or a newer Trunkline's; that the disk is full, or the folder cannot be made, is logged and may pass."""
        self.folder = folder
        self._clock = clock
        self._durable = durable
        self._keep_days = keep_days
        self._pause = pause
        self._spool = Spool(folder, write=write)
        self._unsayable = 0
        self._fresh()
        _open.add(self)
        try:
            self._base()
        except (Unavailable, OSError) as error:
            self._ail(error)

    def _fresh(self) -> None:
        self.carrying = threading.RLock()
        """Whoever holds it works with spools and database; calls never wait for it."""
        self._starting = threading.RLock()
        self._database: Database | None = None
        self._thread: threading.Thread | None = None
        self._bell = threading.Event()
        self._many = threading.Event()
        self._over = False
        self._ailing = False
        self._sweep_at = self._clock.now()

    # --- the sink ---

    def __call__(self, record: Record) -> None:
        """Keep a record. It survives the process when this returns, unless the disk takes nothing."""
        try:
            line = line_of(record)
        except UNSAYABLE as error:
            self._unsayable += 1
            logger.warning("%s cannot be written into the ledger: %s", record.id, error)
            return
        since = self._spool.append(line)
        if since == 1 or self._thread is None:
            self._wake()
        elif since == MANY:
            self._many.set()

    @property
    def lost(self) -> int:
        """Records that no file holds and none will."""
        return self._spool.lost + self._unsayable

    @property
    def unwritten(self) -> int:
        """Records that wait in memory, because the disk takes none now."""
        return self._spool.kept

    # --- questions ---

    def spent(self, period: Period) -> Mapping[str, Spent]:
        """What was used since the present period began (by the calendar, in UTC), what is still in spools included: by
        a bucket's name (`payer:alice`, `owner:research`, `route:smart`, `target:fast`; `payer:` is who was not named).
        Raises ConfigurationError where the database cannot be read."""
        spent: dict[str, Spent] = {}
        for spend in self.usage(("payer", "owner", "route", "target"), since=beginning(period, self._clock.wall())):
            for column, value in spend.by.items():
                name = f"{column}:{value or ''}"
                spent[name] = spent.get(name, Spent()).plus(spend)
        return spent

    def usage(
        self,
        by: Sequence[Column] = ("day", "target"),
        *,
        since: float | None = None,
        until: float | None = None,
        payer: str | None = None,
    ) -> list[Spend]:
        """Sums over the calls that began in a time (seconds since 1970, the end excluded), by columns: the days in
        their order, and the dearest first. Raises ConfigurationError where the database cannot be read."""
        with self._at_hand() as database:
            self._carry_all(database)
            return database.usage(by, since, until, payer)

    # --- carrying ---

    def flush(self) -> None:
        """Carry what is in the spools now. Raises ConfigurationError where the database cannot be written; the records
        stay where they are."""
        with self._at_hand() as database:
            self._carry_all(database)

    def close(self) -> None:
        """Carry what can be carried, and let go of everything; the next record opens it anew. Safe to call again."""
        self._stop(None)
        with self.carrying:
            self._spool.rotate(now=True)
            self._round()
            if self._database is not None:
                self._database.close()
            self._database = self._thread = None
            self._over = False

    def _stop(self, patience: float | None) -> None:
        """End the thread, after the transaction it is in."""
        self._over = True
        self._bell.set()
        self._many.set()
        if self._thread is not None:
            self._thread.join(patience)

    @contextmanager
    def _at_hand(self) -> Generator[Database]:
        """The database, for one at a time; what is wrong with it is said as a mistake of the configuration."""
        try:
            with self.carrying:
                yield self._base()
        except (Unavailable, OSError) as error:
            raise ConfigurationError(f"the ledger cannot be used: {error}") from error

    def _base(self) -> Database:
        if self._database is not None and not self._database.there:
            self._database.close()
            self._database = None
        if self._database is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = Database(self.folder / DATABASE)
        return self._database

    def _carry_all(self, database: Database) -> None:
        self._spool.mend()
        carry(self._spool, database, all_spools=True)

    def _wake(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._live, name="trunkline-ledger", daemon=True)
                with suppress(RuntimeError):  # the interpreter is going down: the next start carries it
                    thread.start()
                    self._thread = thread
        self._bell.set()

    def _live(self) -> None:
        while not self._over:
            self._bell.wait(self._pause if self._ailing or self._spool.kept else None)
            self._bell.clear()
            self._many.wait(self._pause)
            self._many.clear()
            if not self._over:
                self._round()

    def _round(self) -> None:
        """Carry, and leave for the next round what does not work now."""
        with self.carrying:
            self._spool.counted()
            self._spool.mend()
            self._spool.rotate()
            try:
                if self._durable:
                    sync(self._spool)
                carry(self._spool, self._base(), all_spools=False)
                self._sweep(self._base())
            except (Unavailable, OSError, ConfigurationError) as error:
                self._ail(error)
                return
            if self._ailing:
                self._ailing = False
                logger.info("the ledger in %s works again", self.folder)

    def _sweep(self, database: Database) -> None:
        """Delete what is older than it may become."""
        if self._keep_days is None or self._clock.now() < self._sweep_at:
            return
        before = self._clock.wall() - self._keep_days * DAY
        forgotten = FORGOTTEN_AT_ONCE
        while forgotten == FORGOTTEN_AT_ONCE:
            with database.transaction():
                forgotten = database.forget(before, FORGOTTEN_AT_ONCE)
        self._sweep_at = self._clock.now() + SWEEP

    def _ail(self, error: Exception) -> None:
        if not self._ailing:
            self._ailing = True
            logger.warning("the ledger in %s does not work: %s; records stay in its spool", self.folder, error)

    # --- forks, and the end ---

    def leave(self) -> None:
        """The program ends."""
        self._stop(EXIT_PATIENCE)

    def forked(self) -> None:
        """This is a child: thread, files and database are its parent's; it begins with its own at the first record."""
        if self._database is not None:
            _left_to_the_parent.append(self._database)  # closing it here could disturb the parent's
        self._spool.forked()
        self._fresh()


_open: WeakSet[Ledger] = WeakSet()
_left_to_the_parent: list[Database] = []
_stopped: list[Ledger] = []
"""Ledgers that carry nothing while a process forks: a database in the middle of a transaction is no good in a child."""


def _before_fork() -> None:
    _stopped[:] = [ledger for ledger in list(_open) if ledger.carrying.acquire(timeout=FORK_PATIENCE)]


def _forked_here() -> None:
    while _stopped:
        _stopped.pop().carrying.release()


def _forked() -> None:
    """This is a child."""
    _stopped.clear()
    for ledger in list(_open):
        ledger.forked()


def _at_exit() -> None:
    """What is in the spool is carried by the next start; only a transaction that is under way is waited for."""
    for ledger in list(_open):
        ledger.leave()


os.register_at_fork(before=_before_fork, after_in_parent=_forked_here, after_in_child=_forked)
atexit.register(_at_exit)
