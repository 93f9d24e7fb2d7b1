"""Rig: processes under measurement, looked at from outside.

Owns starting them on a core, reading what they used from /proc, and ending them whatever happens. Knows nobody's name.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Self

BENCH = Path(__file__).resolve().parent
ENVIRONMENTS = BENCH.parent / ".bench"
PYTHON = sys.executable

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

_CORES = sorted(os.sched_getaffinity(0))
MEASURED = {_CORES[0]} if len(_CORES) > 1 else set(_CORES)
"""The core of the process that is measured."""
LOAD = {_CORES[1]} if len(_CORES) > 1 else set(_CORES)
"""The core of the mock provider, of the load, and of us."""

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None)


def python_of(environment: str) -> str:
    """The interpreter of one of the environments that `run` makes."""
    return str(ENVIRONMENTS / environment / "bin" / "python")


class Running:
    """A process on a core, ended with all its children when the block is left, or when we die."""

    def __init__(
        self, command: list[str], cores: set[int] = LOAD, *, env: dict[str, str] | None = None, log: Path
    ) -> None:
        self._log = log

        def prepare() -> None:
            os.sched_setaffinity(0, cores)
            _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)

        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            env={**os.environ, **(env or {})},
            cwd=log.parent,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 nothing here has a second thread
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()

    def line(self) -> str:
        """The next line that it prints."""
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError(f"{self.process.args} ended: {self._log.read_text()[-3000:]}")
        return said

    def ask(self, words: str) -> str:
        """Say a line to it, and read its answer."""
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self.line()

    def cpu(self) -> float:
        """Seconds of user and system time that the process and its children have used."""
        return sum(sum(int(field) for field in _stat(pid)[11:13]) for pid in self._tree()) / TICK

    def memory(self) -> float:
        """Resident megabytes of the process and its children."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._tree()) * PAGE / 1e6

    def _tree(self) -> list[int]:
        found, look = [], [self.process.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):  # a thread that has just ended
                    look += [int(child) for child in (task / "children").read_text().split()]
        return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat that follow the name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def calibration() -> float:
    """CPU milliseconds of a fixed loop on the measured core: how much the neighbours slow it at this moment."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, MEASURED)
    try:
        return median(_loop() for _ in range(7))
    finally:
        os.sched_setaffinity(0, here)


def _loop() -> float:
    began, total, seen = time.process_time(), 0, {}
    for at in range(200_000):
        seen[at & 1023] = total
        total += at % 7
    return (time.process_time() - began) * 1e3
