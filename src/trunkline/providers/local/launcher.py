"""Launcher: the parent's side of the embedded model.

Owns one child process: it is started at first use, once however many threads and loops ask, started anew when it died,
and gone when we are, however we go. Its only bond to us is its stdin, which the kernel closes with us. Knows neither
what is asked of the model nor how.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import subprocess
import sys
import threading
import weakref
from typing import IO, Any, NoReturn

import msgspec

from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError
from trunkline.vocabulary.secret import Secret

START_SECONDS = 60.0
"""How long the child may take to load the model: half a second here, longer from a cold or distant disk."""
END_SECONDS = 1.0
"""How long a child that was told to end may take before it is killed."""


class Address(msgspec.Struct, frozen=True):
    """Where the child listens. The URLs end in `/v1`; the key is the bearer token of both."""

    chat_url: str
    embeddings_url: str
    key: Secret


class LocalModel:
    """The embedded model's process. Safe to share between threads, event loops and forks."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._child: _Child | None = None
        _models.add(self)

    async def address(self) -> Address:
        """Where the model listens, starting it if it is not running.

        Raises ConfigurationError when something is missing, APIConnectionError when the child fails for another reason.
        """
        return self._running() or await asyncio.to_thread(self.start)

    def start(self) -> Address:
        """The same for callers without a loop: blocks while the model loads (about half a second)."""
        with self._starting:
            return self._running() or self._launch()

    def close(self) -> None:
        """End the child, whatever it is doing. May be called again; the next `address` starts another."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.address is None:
            child.process.kill()  # whoever is starting it hears that, and tidies up
        else:
            child.end()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    def _running(self) -> Address | None:
        child = self._child
        return child.address if child is not None and child.alive else None

    def _launch(self) -> Address:
        self.close()  # of one that died, a pipe and the exit status are left
        with _spawning:
            child = self._child = _Child()
        try:
            child.address = child.wait_until_ready()
            return child.address
        finally:
            if child.address is None or self._child is not child:  # it failed, or was closed meanwhile
                child.end()

    def forget(self) -> None:
        """After a fork, in the new process: the child is not ours. Let go of it without touching it."""
        self._starting = threading.Lock()  # another thread, which does not exist here, may have held it
        child, self._child = self._child, None
        if child is not None:
            child.disown()

    def let_go(self) -> None:
        """When the program ends: leave the child to the kernel, which closes its stdin with ours."""
        child = self._child
        if child is not None:
            child.let_go()


class _Child:
    """One run of `serve.py`, from its start to its end."""

    def __init__(self) -> None:
        self.address: Address | None = None
        self._key = secrets.token_urlsafe(32)
        self._ending = threading.Lock()
        its_end, self._lifeline = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603  # our own words only
                _command(),
                stdin=its_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,  # no buffer, no buffer's lock: a fork may close the pipe at any moment
                start_new_session=True,  # what the terminal sends to our group is for us to act on
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(its_end)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_until_ready(self) -> Address:
        timer = threading.Timer(START_SECONDS, self.process.kill)  # the pipe then ends, and with it the reading
        timer.daemon = True
        timer.start()
        try:
            line = self._converse()
            late = timer.finished.is_set()
        finally:
            timer.cancel()
        if line is None:
            self._explain(late=late)
        if "error" in line:
            raise ConfigurationError(line["error"], provider="local")
        self._close_output()  # it has said all there is to hear
        return Address(line["chat_url"], line["embeddings_url"], Secret(self._key))

    def end(self) -> None:
        with self._ending:  # whoever starts it and whoever closes it may both see that it must end
            self._cut_lifeline()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self._close_output()

    def let_go(self) -> None:
        """From here on it is nobody's child: collecting the Popen neither waits for it nor warns of it."""
        self.process.returncode = 0

    def disown(self) -> None:
        self.let_go()
        self._cut_lifeline()
        self._close_output()

    def _converse(self) -> dict[str, str] | None:
        """Hand over the key; hear the one line that the child says, or None if it ended without a word."""
        stdout = self.process.stdout
        if stdout is None:
            return None
        try:
            os.write(self._lifeline, self._key.encode() + b"\n")
            return msgspec.json.decode(stdout.readline(), type=dict[str, str])
        except (OSError, ValueError, msgspec.DecodeError):
            return None

    def _cut_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def _explain(self, *, late: bool) -> NoReturn:
        if late:
            raise APIConnectionError(
                f"The embedded model did not start within {START_SECONDS:g} seconds.", provider="local"
            )
        code = self.process.wait()
        stderr = self.process.stderr.read() if self.process.stderr else b""
        words = stderr.decode(errors="replace").strip().splitlines()[-3:]
        said = "; ".join(["", *words]) if words else ", without a word"
        raise APIConnectionError(f"The embedded model's process ended with status {code}{said}", provider="local")

    def _close_output(self) -> None:
        _close(self.process.stdout)
        _close(self.process.stderr)


def _command() -> list[str]:
    # -P: a file of the caller's folder must not stand in for a module of ours.
    return [sys.executable, "-P", "-m", f"{__package__}.serve"]


def _close(file: IO[Any] | None) -> None:
    if file is not None:
        file.close()


_models: weakref.WeakSet[LocalModel] = weakref.WeakSet()
_spawning = threading.Lock()
"""Held while a child's pipes are made: a fork in that moment would keep a copy of them that nobody closes."""


def _after_fork_in_child() -> None:
    _spawning.release()
    for model in list(_models):
        model.forget()


def _at_exit() -> None:
    # The kernel closes the pipes in a moment. Doing it here would break what a daemon thread still reads, aloud.
    for model in list(_models):
        model.let_go()


if sys.platform != "win32":
    os.register_at_fork(
        before=_spawning.acquire, after_in_parent=_spawning.release, after_in_child=_after_fork_in_child
    )
atexit.register(_at_exit)

local_model = LocalModel()
"""The one that a process shares."""
