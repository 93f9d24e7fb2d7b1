"""A mock provider: fixed answers over asyncio.Protocol and httptools, as cheap as Python can.

    python upstream.py PORT

It speaks two dialects: `…/chat/completions` and `…/messages`. Each answers 600 bytes, or, when the body says
`"stream":true`, a stream with 200 words in one piece. Below `/paced/` every event is a write of its own, 5 ms apart.
"""

import asyncio
import json
import sys

import httptools
import uvloop

WORDS = 200
PACE_SECONDS = 0.005
ANSWER = "The quick brown fox jumps over the lazy dog. " * 6
INPUT_TOKENS, OUTPUT_TOKENS = 96, 40


def _openai() -> tuple[bytes, list[bytes]]:
    head = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1750000000,
        "model": "gpt-4o-mini-2024-07-18",
    }
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    usage["total_tokens"] = INPUT_TOKENS + OUTPUT_TOKENS
    message = {"role": "assistant", "content": ANSWER, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    whole = {**head, "choices": [choice], "usage": usage, "system_fingerprint": "fp"}

    def chunk(delta: dict, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**head, "object": "chat.completion.chunk", "system_fingerprint": "fp", "choices": [choice]})

    return _json(whole), [
        chunk({"role": "assistant", "content": ""}),
        *[chunk({"content": f" word{at}"}) for at in range(WORDS)],
        chunk({}, "stop"),
        _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]


def _anthropic() -> tuple[bytes, list[bytes]]:
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    head = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "stop_sequence": None,
    }
    content = [{"type": "text", "text": ANSWER}]
    whole = {**head, "content": content, "stop_reason": "end_turn", "usage": usage}
    opening = {**head, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}

    def named(body: dict) -> bytes:
        return b"event: " + body["type"].encode() + b"\n" + _event(body)

    return _json(whole), [
        named({"type": "message_start", "message": opening}),
        named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *[
            named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f" word{at}"}})
            for at in range(WORDS)
        ],
        named({"type": "content_block_stop", "index": 0}),
        named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}),
        named({"type": "message_stop"}),
    ]


def _json(body: dict) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _event(body: dict) -> bytes:
    return b"data: " + _json(body) + b"\n\n"


def _chunked(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


PLAIN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Answers:
    """What one dialect answers, ready for the wire."""

    def __init__(self, whole: bytes, events: list[bytes]) -> None:
        self.plain = PLAIN_HEAD % len(whole) + whole
        self.pieces = [_chunked(event) for event in events]
        self.burst = STREAM_HEAD + b"".join(self.pieces) + END


OPENAI, ANTHROPIC = Answers(*_openai()), Answers(*_anthropic())


class Mock(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        answers = ANTHROPIC if b"/messages" in self.url else OPENAI
        if b'"stream":true' not in self.body and b'"stream": true' not in self.body:
            self.transport.write(answers.plain)
        elif b"/paced/" in self.url:
            self.pace(iter([STREAM_HEAD + answers.pieces[0], *answers.pieces[1:-1], answers.pieces[-1] + END]))
        else:
            self.transport.write(answers.burst)

    def pace(self, pieces) -> None:
        """Write the next piece, and come back for the one after it."""
        piece = next(pieces, None)
        if piece is not None:
            self.transport.write(piece)
            asyncio.get_running_loop().call_later(PACE_SECONDS, self.pace, pieces)


async def main(port: int) -> None:
    """Listen until killed."""
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
