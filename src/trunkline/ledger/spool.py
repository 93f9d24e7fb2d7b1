"""Spool: the file of this process, to which a record is appended before the call's last byte is given to its caller.

Owns that a record is one write, so that it survives the death of the process; that a disk which takes nothing fails no
call; and whose a file is: its writer holds a lock on it, and a file without a lock may be taken over by anybody. Knows
no database, and not what is in a line.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .folders import SPOOL

logger = logging.getLogger("trunkline")

LARGE = 8 * 2**20
"""Bytes after which a spool is closed and the next one begun."""
KEPT = 10_000
"""Lines that wait in memory while the disk takes none. Of more than that the oldest are lost."""
AT_ONCE = 100
"""So many of them are written without letting go of the lock, for which calls wait."""

Write = Callable[[int, bytes], int]
"""Writes bytes to a file descriptor and says how many it took: `os.write`."""


class SpoolFile:
    """A spool that is open here."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """A new one, which nobody takes over while this process lives. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = folder / f"{os.getpid()}-{os.urandom(6).hex()}{SPOOL}"
            file = cls(path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600))
            if file.claim():
                return file
            file.close()  # somebody has taken it for a file without a writer, in the moment before it was claimed

    @classmethod
    def open(cls, path: Path) -> SpoolFile:
        """One that is there, to be read. Raises OSError."""
        return cls(path, os.open(path, os.O_RDONLY))

    def claim(self) -> bool:
        """Lock it for this process; False where a writer lives, or where the file is no longer there."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return self.linked

    @property
    def linked(self) -> bool:
        """Whether it still has a name: a file without one is gone when it is closed."""
        return os.fstat(self.fd).st_nlink > 0

    @property
    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self.fd).st_size

    def read(self, start: int, size: int) -> bytes:
        """Bytes from `start` on, as many as are there."""
        return os.pread(self.fd, size, start)

    def close(self) -> None:
        """Close it, which gives up its lock."""
        os.close(self.fd)


class Spool:
    """What this process appends to: one file at a time, begun at the first line. Any thread may append."""

    def __init__(self, folder: Path, *, write: Write = os.write) -> None:
        self.folder = folder
        self.lost = 0
        """Lines that were given up, because the disk took none for too long."""
        self._write = write
        self._fresh()

    def _fresh(self) -> None:
        self.lock = threading.RLock()  # a finalizer that ends a call may run in the middle of another's append
        self._file: SpoolFile | None = None
        self._full: list[SpoolFile] = []
        self._kept: deque[bytes] = deque()
        self._since = 0
        self._torn = False
        self._ailing = False

    @property
    def kept(self) -> int:
        """Lines that wait in memory for a disk that takes them."""
        return len(self._kept)

    def append(self, line: bytes) -> int:
        """Write a line, or keep it for later. Gives how many came since somebody last counted."""
        with self.lock:
            if self._kept or not self._put(line):
                self._keep(line)
            self._since += 1
            return self._since

    def counted(self) -> None:
        """Count from here."""
        with self.lock:
            self._since = 0

    def mend(self) -> None:
        """Write what was kept, as far as the disk takes it."""
        while self._kept:
            with self.lock:
                for _ in range(min(AT_ONCE, len(self._kept))):
                    if not self._put(self._kept[0]):
                        return
                    self._kept.popleft()
        if self._ailing:
            self._ailing = False
            logger.info("the ledger's spool in %s is written again", self.folder)

    def rotate(self, *, now: bool = False) -> None:
        """Begin a new file with the next line if this one is large, or if somebody has deleted it."""
        with self.lock:
            file = self._file
            if file is not None and (now or file.size > LARGE or not file.linked):
                self._full.append(file)
                self._file = None

    def files(self) -> tuple[list[SpoolFile], SpoolFile | None]:
        """The files that get no more lines, and the one that is written."""
        with self.lock:
            return [*self._full], self._file

    def drop(self, file: SpoolFile) -> None:
        """A file that gets no more lines is done with."""
        self._full.remove(file)
        file.close()

    def forked(self) -> None:
        """This is a child: the files, and the lines in memory, are its parent's."""
        for file in (*self._full, *([self._file] if self._file is not None else [])):
            with suppress(OSError):
                file.close()  # the lock stays the parent's, who has it open too
        self._fresh()

    def _put(self, line: bytes) -> bool:
        """Write a line; False if that did not work. After half a line the next begins on a line of its own."""
        try:
            if self._file is None:
                self._file = SpoolFile.create(self.folder)
                self._torn = False
            begun = b"\n" + line if self._torn else line
            self._torn = self._write(self._file.fd, begun) != len(begun)
        except OSError as error:
            self._torn = True
            self._ail(error)
            return False
        if self._torn:
            self._ail(OSError("it took a part of a line"))
        return not self._torn

    def _keep(self, line: bytes) -> None:
        if len(self._kept) >= KEPT:
            self._kept.popleft()
            self.lost += 1
        self._kept.append(line)

    def _ail(self, error: OSError) -> None:
        if not self._ailing:
            self._ailing = True
            why = error.strerror or error
            logger.warning("the ledger's spool in %s cannot be written: %s; records wait in memory", self.folder, why)
