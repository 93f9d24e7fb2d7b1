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


def response(text: str = "Paris.", **more: Any) -> dict[str, Any]:
    """A whole answer of the Responses API."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    said = {"id": "msg_r1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    counted = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1750000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o-mini-2024-07-18",
        "output": [said],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17, **counted},
        **more,
    }


def response_events(*words: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a streamed answer of the Responses API."""
    end = response("".join(words))
    start = {**end, "status": "in_progress", "output": [], "usage": None}
    item = end["output"][0]
    part = item["content"][0]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    opened = {**item, "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": start},
        {"type": "response.in_progress", "response": start},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": end},
    ]
    return [(event["type"], {**event, "sequence_number": at}) for at, event in enumerate(events)]


def generated(text: str = "Paris.", *, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """An answer of Gemini's, or a chunk of one."""
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r-1",
        **more,
    }


def generated_chunks(*words: str) -> list[dict[str, Any]]:
    """The chunks of a streamed answer of Gemini's."""
    return [generated(word, finish=None if at < len(words) - 1 else "STOP") for at, word in enumerate(words)]


def completion(text: str = "Paris.", *, finish: str | None = "stop", usage: bool = True) -> dict[str, Any]:
    """A legacy completion, or a chunk of one."""
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    told = {"id": "cmpl-1", "object": "text_completion", "created": 1750000000, "model": "gpt-3.5-turbo-instruct"}
    return {**told, "choices": [choice], **({"usage": USAGE} if usage else {})}
