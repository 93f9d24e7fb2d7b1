"""The process in which a client library is measured: it hosts one driver, and does what it is told.

    python host.py DRIVER BASE_URL

Reads `call CALLERS SECONDS` or `stream SECONDS` from standard input and prints how many calls (or pieces with words)
there were. A driver's `Driver(base_url)` has `call()` → (text, tokens in, tokens out), and `stream()`, an iterator over
pieces of text: a coroutine and an async iterator, or, where it says `sync = True`, plain ones. Answers are checked.
"""

import asyncio
import importlib
import sys
import time
from pathlib import Path

MESSAGES = [
    {"role": "system", "content": "You are a careful assistant. Answer briefly, and cite the passage you used. " * 2},
    {
        "role": "user",
        "content": "Summarise this in one sentence: " + "The quick brown fox jumps over the lazy dog. " * 5,
    },
]
ASKED = {"temperature": 0.2, "max_tokens": 256}
ANSWER = "The quick brown fox jumps over the lazy dog. " * 6
TOKENS = (96, 40)
STREAMED = "".join(f" word{at}" for at in range(200))
PIECES = 200


def check_call(answer: tuple[str, int, int]) -> None:
    """The whole answer is what the mock said."""
    assert answer == (ANSWER, *TOKENS), answer


def check_stream(pieces: list[str]) -> None:
    """Nothing of the stream is lost or doubled."""
    assert len(pieces) == PIECES, len(pieces)
    assert "".join(pieces) == STREAMED


class Asynchronous:
    """A driver of coroutines. Its loop lives as long as the process, so connections are kept between commands."""

    def __init__(self, kind: type, base_url: str) -> None:
        self.runner = asyncio.Runner()
        self.driver = self.runner.run(self._made(kind, base_url))

    def call(self, callers: int, seconds: float) -> int:
        return self.runner.run(self._call(callers, seconds))

    def stream(self, seconds: float) -> int:
        return self.runner.run(self._stream(seconds))

    async def _made(self, kind: type, base_url: str) -> object:
        return kind(base_url)

    async def _call(self, callers: int, seconds: float) -> int:
        end, calls = time.perf_counter() + seconds, 0

        async def live() -> None:
            nonlocal calls
            while time.perf_counter() < end:
                check_call(await self.driver.call())
                calls += 1

        await asyncio.gather(*[live() for _ in range(callers)])
        return calls

    async def _stream(self, seconds: float) -> int:
        end, events = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            pieces = [piece async for piece in self.driver.stream()]
            check_stream(pieces)
            events += len(pieces)
        return events


class Synchronous:
    """A driver of plain functions: one caller."""

    def __init__(self, kind: type, base_url: str) -> None:
        self.driver = kind(base_url)

    def call(self, callers: int, seconds: float) -> int:
        assert callers == 1, "one thread, one caller"
        end, calls = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            check_call(self.driver.call())
            calls += 1
        return calls

    def stream(self, seconds: float) -> int:
        end, events = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            pieces = list(self.driver.stream())
            check_stream(pieces)
            events += len(pieces)
        return events


def main(name: str, base_url: str) -> None:
    """Serve commands until there are no more."""
    sys.path.insert(0, str(Path(__file__).parent))
    kind = importlib.import_module(name).Driver
    host = (Synchronous if getattr(kind, "sync", False) else Asynchronous)(kind, base_url)
    print("ready", flush=True)
    for line in sys.stdin:
        word, *numbers = line.split()
        print(getattr(host, word)(*[float(number) if "." in number else int(number) for number in numbers]), flush=True)


if __name__ == "__main__":
    sys.modules["host"] = sys.modules["__main__"]  # drivers take the question from here
    main(*sys.argv[1:])
