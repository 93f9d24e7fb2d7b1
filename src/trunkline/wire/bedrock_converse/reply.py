"""Whole replies of Converse, both ways, and how their tokens are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Audio, File, Image, Opaque, Text, Thinking, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_object

from .blocks import content_from_wire, part_to_wire, public
from .errors import hidden_error
from .media import Names, name

FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "model_context_window_exceeded": "context_window",
}
"""The API's words for why an answer ended, where they are not ours (API_runtime_Converse.html, stopReason)."""

FINISH_WORD: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "context_window": "model_context_window_exceeded",
    "refusal": "content_filtered",
    "pause": "end_turn",
}


def reply_from_wire(body: Json) -> Reply:
    """Read a whole answer. It has neither an id nor a model's name: both are the caller's own."""
    body = dict(body)
    if "output" not in body:
        if error := hidden_error(body):
            raise error
        raise ResponseParseError("the provider's answer has no 'output'", body=msgspec.json.encode(body), dialect=name)
    try:
        output = as_object(body.pop("output"), "output")
        said = as_object(output.pop("message", None) or {}, "output.message")
        parts = content_from_wire(said.pop("content", None) or [], "output.message.content", assistant=True)
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    said.pop("role", None)
    if output:
        body["output"] = output
    word, usage, tier = body.pop("stopReason", None), body.pop("usage", None), body.pop("serviceTier", None)
    choice = Choice(
        Message("assistant", parts, extra=said, dialect=name),
        finish=finish_of(word),
        word=word if isinstance(word, str) else None,
        stop_sequence=stop_of(body.get("additionalModelResponseFields")),
    )
    return Reply(
        choices=(choice,),
        usage=usage_from_wire(usage) if usage else None,
        service_tier=tier_of(tier),
        extra={key: value for key, value in body.items() if value is not None},
        dialect=name,
    )


def finish_of(word: Any) -> str | None:
    """Why an answer ended, in our words."""
    return FINISH.get(word, word) if isinstance(word, str) and word else None


def tier_of(tier: Any) -> str | None:
    """The service tier that served the call, in the API's word, which is ours too."""
    word = an_object(tier).get("type")
    return word if isinstance(word, str) else None


def stop_of(fields: Any) -> str | None:
    """The stop sequence that the model wrote, where the caller asked for it by path."""
    said = an_object(fields)
    word = said.get("stop_sequence") or an_object(said.get("delta")).get("stop_sequence")
    return word if isinstance(word, str) else None


def usage_from_wire(usage: Any) -> Usage:
    """Disjoint buckets: `inputTokens` has no cached tokens in it; all that is written to the cache is one number, of
    which `cacheDetails` may tell the lifetimes."""
    said = dict(an_object(usage))
    asked, written_out, total = (_count(said, key) for key in ("inputTokens", "outputTokens", "totalTokens"))
    read, written = (_count(said, key) for key in ("cacheReadInputTokens", "cacheWriteInputTokens"))
    details = said.get("cacheDetails")
    apart = map(an_object, cast("list[Any]", details) if isinstance(details, list) else ())
    hour = min(written, sum(_count({**one}, "inputTokens") for one in apart if one.get("ttl") == "1h"))
    if total not in (0, asked + read + written + written_out):
        said["~total"] = total
    return Usage(
        input=asked,
        cache_read=read,
        cache_write=written - hour,
        cache_write_1h=hour,
        output=written_out,
        extra={key: value for key, value in said.items() if value},
    )


def _count(said: Json, key: str) -> int:
    value = said.pop(key, None)
    return value if isinstance(value, int) else 0


def usage_to_wire(usage: Usage | None, *, own: bool) -> Json:
    """The API's counts from our buckets; `own` are those that it counted itself."""
    usage = usage or Usage()
    written = usage.cache_write + usage.cache_write_1h
    wire: Json = {
        "inputTokens": usage.input + usage.input_audio,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.extra["~total"] if own and "~total" in usage.extra else usage.total_tokens,
    }
    if usage.cache_read or written:
        wire |= {"cacheReadInputTokens": usage.cache_read, "cacheWriteInputTokens": written}
    if own:
        return {**wire, **public(usage.extra)}
    by_ttl = (("1h", usage.cache_write_1h), ("5m", usage.cache_write))
    if written:
        wire["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in by_ttl if count]
    return wire


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole answer for a caller. This API has one answer to a request: the first choice."""
    own = reply.dialect == name
    choice = reply.choices[0] if reply.choices else Choice(Message("assistant"))
    message: Json = {"role": "assistant", "content": blocks_of(choice.message.parts, own=own)}
    body: Json = {
        "output": {"message": {**message, **(public(choice.message.extra) if own else {})}},
        "stopReason": word_of(choice.finish, choice.word if own else None),
        "usage": usage_to_wire(reply.usage, own=own),
        "metrics": {"latencyMs": round((reply.seconds or 0) * 1000)},
    }
    if reply.service_tier is not None and (own or reply.service_tier in _TIERS):
        body["serviceTier"] = {"type": reply.service_tier}
    if not own:
        return body
    if reply.usage is None:
        del body["usage"]
    if "metrics" not in reply.extra:
        del body["metrics"]
    extra = public(reply.extra)
    if isinstance(beside := extra.get("output"), dict):
        extra["output"] = {**beside, **body["output"]}
    return {**body, **extra}


_TIERS = frozenset({"default", "priority", "flex", "reserved"})


def word_of(finish: str | None, word: str | None = None) -> str:
    """The API's word for why an answer ended; it always has one."""
    return word or FINISH_WORD.get(finish or "stop", finish or "end_turn")


def blocks_of(parts: Iterable[AnyPart], *, own: bool) -> list[Json]:
    """The blocks of an answer."""
    names = None if own else Names()
    written = (part_to_wire(part, "content", [], names) for part in (parts if own else shown(parts)))
    return [block for block in written if block is not None]


def shown(parts: Iterable[AnyPart]) -> Iterable[AnyPart]:
    """What another API's answer has to show here: without signatures and unknown keys, and no part of its own."""
    for part in parts:
        match part:
            case Thinking(text=""):
                pass
            case Thinking():
                yield Thinking(part.text)
            case Text(text="", citations=()) | Opaque() | ToolResult():
                pass
            case ToolCall():
                yield replace(part, extra={})
            case Image() | Audio() | File() if part.source.data is None:
                pass
            case _:
                yield replace(part, extra={}) if part.extra else part


class _Glance(Struct, rename="camel"):
    usage: Json | None = None
    stop_reason: str | None = None
    service_tier: Json | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage, finish and tier of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except msgspec.MsgspecError:
        return Seen()
    usage = usage_from_wire(seen.usage) if seen.usage else None
    return Seen(usage, finish_of(seen.stop_reason), tier_of(seen.service_tier))
