"""Serve: the child process that holds the embedded model.

Owns the child's life and the runtime's settings. Its contract with `launcher.py`: the first line of stdin is the key;
one line of JSON on stdout says where it listens, or why it cannot; when stdin closes, the parent is gone or wants it
gone, and it ends at once, in the middle of a generation too. Imports as little as it can: a user is waiting.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from typing import Any, NoReturn

import msgspec

from trunkline.vocabulary.errors import ConfigurationError

from .vectors_http import VectorServer
from .weights import chat_model

MODEL = "smollm2-135m"
SLOTS = 2
"""Calls answered at once; a third waits its turn. The slots share out the key-value memory, 22 KB a token (at a lower
precision this model answers in French), and on two cores four answer no more tokens a second than two."""
CONTEXT = 4096
"""Tokens that one call may hold, its answer included."""
LONGEST = 1024
"""Tokens of an answer whose caller set no `max_tokens`: a model this small may never find its own end."""


def main() -> NoReturn:
    """Read the key, load the model, say where it is, and serve until stdin closes."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # sent to the whole group, they are the parent's to decide
    key = sys.stdin.buffer.readline().decode().strip()
    if not key:
        os._exit(1)  # nobody speaks to us: the runtime would take an empty key for no lock at all
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        chat = _chat_server(key)
    except ConfigurationError as error:
        _say({"error": error.message})
        os._exit(1)
    vectors = VectorServer(key)
    _say({"chat_url": f"{chat.listening_address}/v1", "embeddings_url": vectors.base_url})
    vectors.serve_forever(poll_interval=3600)  # nobody calls shutdown(), so nothing needs to look for it
    os._exit(0)


def _end_with_parent() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(0)  # no clean-up: the runtime's own takes seconds when it is busy, or aborts


def _chat_server(key: str) -> Any:
    """The runtime's server, listening. It lives as long as the object."""
    path = chat_model()
    xllamacpp = runtime()
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {MODEL}
    settings.api_keys = [key]
    settings.n_parallel = SLOTS
    settings.n_ctx = SLOTS * CONTEXT
    settings.n_predict = LONGEST
    settings.n_batch = 512
    settings.n_ubatch = 128  # 13 MB less than the default, for prompts read a tenth slower
    settings.n_threads_http = 32  # a waiting call holds one, and must be seen to hang up
    settings.cpuparams.n_threads = threads()
    settings.warmup = False
    settings.cache_ram_mib = 0  # its default keeps up to 8 GB of old prompts
    settings.cache_idle_slots = False
    settings.ui = False
    settings.endpoint_slots = False
    settings.verbosity = -1
    return xllamacpp.Server(settings)


def threads() -> int:
    """What TRUNKLINE_LOCAL_THREADS says; else one for each core but one, two at most.

    The threads wait for each other by spinning: where two must share a core with the caller's own work, they yield a
    few tokens a second instead of a hundred. One alone does not mind company.
    """
    word = os.environ.get("TRUNKLINE_LOCAL_THREADS", "")
    if not word:
        return min(2, max(1, _cores() - 1))
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise ConfigurationError(f"TRUNKLINE_LOCAL_THREADS is a number of threads, not {word!r}.")


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # a container may be given fewer than the machine has
    return os.cpu_count() or 1


def runtime() -> Any:
    """The module xllamacpp, which ships no types. Raises ConfigurationError that says what it lacks."""
    try:
        return import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The embedded model's runtime is not installed; run: pip install 'trunkline[local]'"
        ) from error
    except ImportError as error:
        if "libgomp" in str(error):
            raise ConfigurationError(
                "The embedded model needs the Debian package 'libgomp1' (apt-get install libgomp1)."
            ) from error
        raise ConfigurationError(f"The embedded model's runtime does not load: {error}") from error


def _say(line: dict[str, str]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
