"""An upstream on the loopback: real HTTP over a real socket, answering as a test tells it.

Owns the script and what it was asked. Knows no API: a test says which bytes come back, when, and where the connection
breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .server import Served, Told, Upstream


def reply(status: int = 200, body: Any = None, *, delay: float = 0.0, **headers: str) -> Told:
    """A whole JSON answer, after `delay` seconds; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else msgspec.json.encode(body if body is not None else {})
    return Told(status=status, headers={"content-type": "application/json", **named}, pieces=(content,), delay=delay)


def stream(*events: Any, done: bool = True, **how: Any) -> Told:
    """A server-sent stream of JSON events, one piece each; `done` ends it as chat completions do."""
    pieces = [
        b"data: " + (event if isinstance(event, bytes) else msgspec.json.encode(event)) + b"\n\n" for event in events
    ]
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces, **how)


class FakeUpstream(Upstream[Served]):
    """`async with FakeUpstream([reply(429), reply(200, HELLO)]) as upstream`: answers in order, the last one again and
    again; or a function of the request. `upstream.url` is its address, `upstream.served` what it was asked.

    In a test without a loop, `with` does: the upstream then lives on the loop of the synchronous clients.
    """

    def __init__(self, script: Sequence[Told] | Callable[[Served], Told]) -> None:
        super().__init__()
        self._script = script
        self.served: list[Served] = []

    def tell(self, asked: Served) -> Told:
        """The next of the script."""
        self.served.append(asked)
        if callable(self._script):
            return self._script(asked)
        return self._script[min(len(self.served), len(self._script)) - 1]
