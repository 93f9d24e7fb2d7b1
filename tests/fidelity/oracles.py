"""Oracles: what an answer says, read from its bytes by other means than the dialects'.

Two of them. `leaves` wants every word of the recorded body to be somewhere in what was read. The functions of `SAID`
know where each API has its text, its calls and its counts, in a few lines each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from neutral import arguments
from trunkline.vocabulary.parts import Thinking
from trunkline.vocabulary.replies import Reply

Json = dict[str, Any]


class Said(Struct):
    """What the first choice of an answer says."""

    text: str = ""
    calls: list[tuple[str | None, str, Any]] = []
    """Id (None where the API gives none), name, arguments parsed."""
    thinking: str = ""
    prompt: int | None = None
    """All input tokens, cached ones included."""
    completion: int | None = None
    """All output tokens, reasoning included."""
    cached: int = 0
    id: str | None = None
    model: str | None = None


def words(value: Any) -> Iterator[str]:
    """Every text in a parsed body that is not the name of a kind."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if key not in _KINDS:
                yield from words(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from words(inside)
    elif isinstance(value, str) and value:
        yield value


_KINDS = frozenset({"object", "type", "role", "obfuscation", "p", "item_id"})
"""Kinds, noise against who measures the lengths of packets (two keys), and an id that some servers make up anew for
each event."""


def missing_words(body: Any, read: Any) -> list[str]:
    """The texts of a recorded body that are nowhere in what was read."""
    haystack = "\n".join(words(msgspec.to_builtins(read)))
    lost = (word for word in words(body) if word not in haystack)
    return [word for word in lost if not _is_json_of(word, haystack)]


def _is_json_of(word: str, haystack: str) -> bool:
    """JSON in a string may have been read into its values."""
    if word[:1] not in "{[":
        return False
    try:
        return all(inside in haystack for inside in words(msgspec.json.decode(word)))
    except msgspec.MsgspecError:
        return False


def neutral(reply: Reply) -> Said:
    """The same of what was read."""
    usage = reply.usage
    thinking = "".join(part.text for part in reply.message.parts if type(part) is Thinking) if reply.choices else ""
    return Said(
        text=reply.text,
        calls=[(call.id, call.name, arguments(call.arguments)) for call in reply.tool_calls],
        thinking=thinking,
        prompt=usage.prompt_tokens if usage else None,
        completion=usage.completion_tokens if usage else None,
        cached=usage.cache_read if usage else 0,
        id=reply.id,
        model=reply.model,
    )


def unlike(said: Said, read: Said) -> list[str]:
    """Where the two accounts differ. An id that we had to invent is no difference; nor is a count nobody gave."""
    found: list[str] = []
    for name in ("text", "thinking", "id", "model", "cached"):
        ours, theirs = getattr(read, name), getattr(said, name)
        if ours != theirs and (ours or theirs):
            found.append(f"{name}: read {str(ours)[:60]!r}, said {str(theirs)[:60]!r}")
    for name in ("prompt", "completion"):
        ours, theirs = getattr(read, name), getattr(said, name)
        if theirs is not None and ours != theirs:
            found.append(f"{name} tokens: read {ours}, said {theirs}")
    if len(said.calls) != len(read.calls):
        found.append(f"{len(read.calls)} calls read, {len(said.calls)} said")
    for (call_id, name, given), ours in zip(said.calls, read.calls, strict=False):
        if (call_id or ours[0], name, given) != ours:
            found.append(f"call: read {ours}, said {(call_id, name, given)}")
    return found


def _chat(body: Json) -> Said:
    choice: Json = (body.get("choices") or [{}])[0]
    message: Json = choice.get("message") or {}
    usage: Json = body.get("usage") or {}
    content: Any = message.get("content")
    thought: str = message.get("reasoning_content") or message.get("reasoning") or ""
    text = content or ""
    if isinstance(content, list):
        text = "".join(part.get("text", "") for part in content if part.get("type") == "text")
        for part in content:
            for piece in part.get("thinking") or ():
                thought += piece.get("text", "")
    calls = [call for call in message.get("tool_calls") or () if call.get("type", "function") == "function"]
    if (message.get("function_call") or {}).get("name"):  # of the time before tools
        calls.append({"id": "", "function": message["function_call"]})
    prompt, completion, total = (usage.get(f"{key}_tokens") for key in ("prompt", "completion", "total"))
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    cached = cached or usage.get("cached_tokens") or usage.get("num_cached_tokens") or 0
    if completion is not None and (total == (prompt or 0) + completion + reasoning or reasoning > completion):
        completion += reasoning  # some servers count it beside the answer
    heard = (usage.get("prompt_tokens_details") or {}).get("audio_tokens") or 0
    if prompt is not None:
        prompt += (cached if cached > prompt else 0) + (heard if heard > prompt else 0)
    return Said(
        text=text,
        calls=[
            (call.get("id"), call["function"]["name"], arguments(call["function"].get("arguments"))) for call in calls
        ],
        thinking=thought,
        prompt=prompt,
        completion=completion,
        cached=cached,
        id=body.get("id"),
        model=body.get("model"),
    )


def _messages(body: Json) -> Said:
    blocks: list[Json] = body.get("content") or []
    usage: Json = body.get("usage") or {}
    apart = [one for one in usage.get("iterations") or () if one.get("type") == "compaction"]
    counts = [usage, *apart]

    def total(*names: str) -> int:
        return sum(one.get(name) or 0 for one in counts for name in names)

    return Said(
        text="".join(block.get("text", "") for block in blocks if block["type"] == "text"),
        calls=[
            (block["id"], block["name"], block.get("input") or {}) for block in blocks if block["type"] == "tool_use"
        ],
        thinking="".join(block.get("thinking", "") for block in blocks if block["type"] == "thinking"),
        prompt=total("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        completion=total("output_tokens"),
        cached=total("cache_read_input_tokens"),
        id=body.get("id"),
        model=body.get("model"),
    )


def _responses(body: Json) -> Said:
    output: list[Json] = body.get("output") or []
    usage: Json = body.get("usage") or {}
    spoken = [part for item in output if item["type"] == "message" for part in item.get("content") or ()]
    thought = [
        part.get("text", "")
        for item in output
        if item["type"] == "reasoning"
        for part in [*(item.get("summary") or ()), *(item.get("content") or ())]
    ]
    return Said(
        text="".join(part["text"] for part in spoken if part["type"] == "output_text"),
        calls=[
            (item.get("call_id"), item["name"], arguments(item.get("arguments")))
            for item in output
            if item["type"] == "function_call"
        ],
        thinking="".join(thought),
        prompt=usage.get("input_tokens"),
        completion=usage.get("output_tokens"),
        cached=(usage.get("input_tokens_details") or {}).get("cached_tokens") or 0,
        id=body.get("id"),
        model=body.get("model"),
    )


def _gemini(body: Json) -> Said:
    candidate: Json = (body.get("candidates") or [{}])[0]
    parts: list[Json] = (candidate.get("content") or {}).get("parts") or []
    usage: Json = body.get("usageMetadata") or {}
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return Said(
        text="".join(part["text"] for part in parts if "text" in part and not part.get("thought")),
        calls=[(call.get("id"), call["name"], call.get("args") or {}) for call in calls],
        thinking="".join(part["text"] for part in parts if "text" in part and part.get("thought")),
        prompt=(usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0) if usage else None,
        completion=(usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0) if usage else None,
        cached=usage.get("cachedContentTokenCount") or 0,
        id=body.get("responseId"),
        model=body.get("modelVersion"),
    )


def _converse(body: Json) -> Said:
    blocks: list[Json] = ((body.get("output") or {}).get("message") or {}).get("content") or []
    usage: Json = body.get("usage") or {}
    cached, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    used = [block["toolUse"] for block in blocks if "toolUse" in block]
    calls = [call for call in used if call.get("type") != "server_tool_use"]  # the others ran at the provider
    cited = [block.get("citationsContent", block) for block in blocks]
    texts = [piece.get("text", "") for block in cited for piece in block.get("content") or (block,)]
    thoughts = [block["reasoningContent"].get("reasoningText", {}) for block in blocks if "reasoningContent" in block]
    return Said(
        text="".join(text for text in texts if isinstance(text, str)),
        calls=[(call["toolUseId"], call["name"], call.get("input") or {}) for call in calls],
        thinking="".join(thought.get("text", "") for thought in thoughts),
        prompt=usage["inputTokens"] + cached + written if "inputTokens" in usage else None,
        completion=usage.get("outputTokens"),
        cached=cached,
    )


def _cohere(body: Json) -> Said:
    message: Json = body.get("message") or {}
    content: list[Json] = message.get("content") or []
    usage: Json = body.get("usage") or {}
    tokens: Json = usage.get("tokens") or {}
    calls: list[Json] = message.get("tool_calls") or []
    thinking = "".join(part.get("thinking", "") for part in content) or message.get("tool_plan") or ""
    return Said(
        text="".join(part.get("text", "") for part in content),
        calls=[(call["id"], call["function"]["name"], arguments(call["function"].get("arguments"))) for call in calls],
        thinking=thinking,
        prompt=tokens.get("input_tokens"),
        completion=tokens.get("output_tokens"),
        cached=usage.get("cached_tokens") or 0,
        id=body.get("id"),
    )


def _ollama(body: Json) -> Said:
    message: Json = body.get("message") or {}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return Said(
        text=message.get("content") or "",
        calls=[(None, call["name"], call.get("arguments") or {}) for call in calls],
        thinking=message.get("thinking") or "",
        prompt=body.get("prompt_eval_count"),
        completion=body.get("eval_count"),
        model=body.get("model"),
    )


def _completions(body: Json) -> Said:
    choice: Json = (body.get("choices") or [{}])[0]
    usage: Json = body.get("usage") or {}
    return Said(
        text=choice.get("text") or "",
        prompt=usage.get("prompt_tokens"),
        completion=usage.get("completion_tokens"),
        cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        id=body.get("id"),
        model=body.get("model"),
    )


SAID: Mapping[str, Callable[[Json], Said]] = {
    "openai_chat": _chat,
    "openai_completions": _completions,
    "anthropic_messages": _messages,
    "openai_responses": _responses,
    "gemini": _gemini,
    "bedrock_converse": _converse,
    "cohere_chat": _cohere,
    "ollama_chat": _ollama,
}
"""How each dialect's answers are read here."""
