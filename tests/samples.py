"""Answers as providers give them, of our own making."""

from typing import Any

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def chat(text: str = "Paris.", **more: Any) -> dict[str, Any]:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None, **more}
    finish = "tool_calls" if "tool_calls" in more else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1750000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice],
        "usage": USAGE,
        "system_fingerprint": "fp_1",
    }


def chunks(*words: str, usage: bool = True) -> list[dict[str, Any]]:
    """The chunks of a streamed chat completion."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1750000000, "model": "gpt-4o-mini"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    said = [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        chunk({}, "stop"),
    ]
    return [*said, {**head, "choices": [], "usage": USAGE}] if usage else said


def message(text: str = "Paris.", **more: Any) -> dict[str, Any]:
    """A whole Anthropic message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5},
        **more,
    }


def message_events(*words: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a streamed Anthropic message."""
    start = {**message(), "content": [], "stop_reason": None, "usage": {"input_tokens": 12, "output_tokens": 1}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words
    ]
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    return [(str(event["type"]), event) for event in events]


def vectors(*rows: list[float]) -> dict[str, Any]:
    """An answer to an embedding request."""
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
