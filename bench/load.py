"""The load: callers on kept-alive connections, each asking again as soon as it has its answer.

    python load.py PORT

Reads commands from standard input, one JSON object a line: {"path", "body", "callers", and at most so many "seconds" or
"requests"}. Prints what came of each: {"answers", "seconds"}. Every answer is checked: status, words, mark at its end.
"""

import asyncio
import json
import sys
import time

import httptools
import uvloop

WORDS = 200
END_MARKS = (b"data: [DONE]", b'"message_stop"')
USAGE = (b'"completion_tokens":40', b'"output_tokens":40')


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, *, streams: bool) -> None:
        self.request = request
        self.streams = streams
        self.answered: asyncio.Future[None]

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(error or ConnectionError("the connection was closed"))

    async def ask(self) -> None:
        """One request, until its answer is complete and right."""
        self.answered = asyncio.get_running_loop().create_future()
        self.pieces: list[bytes] = []
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(self.request)
        await self.answered

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        mistake = self.mistake(self.parser.get_status_code(), b"".join(self.pieces))
        if mistake:
            self.answered.set_exception(AssertionError(mistake))
        else:
            self.answered.set_result(None)

    def mistake(self, status: int, body: bytes) -> str | None:
        """What is wrong with an answer."""
        if status != 200:
            return f"status {status}: {body[:500]!r}"
        if not self.streams:
            compact = body.replace(b": ", b":")
            return None if any(usage in compact for usage in USAGE) else f"no usage: {body[:500]!r}"
        words = body.count(b'" word')
        if words != WORDS or not any(mark in body[-300:] for mark in END_MARKS):
            return f"{words} of {WORDS} words, ending in {body[-300:]!r}"
        return None


async def run(port: int, command: dict) -> dict:
    """One command: so many callers, for so long."""
    body = json.dumps(command["body"], separators=(",", ":")).encode()
    head = (
        f"POST {command['path']} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer sk-bench\r\nanthropic-version: 2023-06-01\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    streams = bool(command["body"].get("stream"))
    began = time.perf_counter()
    end = began + command.get("seconds", 3600)
    left = command.get("requests", 10**9)
    answers = 0

    async def live() -> None:
        nonlocal answers, left
        _, caller = await asyncio.get_running_loop().create_connection(
            lambda: Caller(head.encode() + body, streams=streams), "127.0.0.1", port
        )
        try:
            while left > 0 and time.perf_counter() < end:
                left -= 1
                await caller.ask()
                answers += 1
        finally:
            caller.transport.abort()

    async with asyncio.TaskGroup() as callers:  # one wrong answer ends them all
        for _ in range(command["callers"]):
            callers.create_task(live())
    return {"answers": answers, "seconds": time.perf_counter() - began}


async def main(port: int) -> None:
    """Read commands until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            result = await run(port, json.loads(line))
        except ExceptionGroup as errors:
            result = {"error": repr(errors.exceptions[0])}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
