"""Whole replies of Anthropic Messages, both ways, and how their tokens are counted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Refusal, Text, Thinking
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array, said

from .errors import hidden_error
from .messages import content_from_wire, name, part_to_wire

FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "model_context_window_exceeded": "context_window",
}
"""The API's words for why an answer ended, where they are not ours (…/build-with-claude/handling-stop-reasons)."""

FINISH_WORD: Mapping[str, str] = {ours: theirs for theirs, ours in FINISH.items()} | {"content_filter": "refusal"}


def reply_from_wire(body: Json) -> Reply:
    """Read a whole message; an error that hides in a 200 is raised as what it is."""
    body = dict(body)
    if "content" not in body:
        if "error" in body:
            raise hidden_error(body)
        raise ResponseParseError("the provider's answer has no 'content'", body=msgspec.json.encode(body), dialect=name)
    content = body.pop("content")
    usage = body.pop("usage", None)
    for key in ("type", "role"):
        body.pop(key, None)
    try:
        parts = content_from_wire(as_array(content, "content"), "content")
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    word = body.pop("stop_reason", None)
    choice = Choice(
        Message("assistant", parts, dialect=name),
        finish=finish_from_word(word),
        word=word,
        stop_sequence=body.pop("stop_sequence", None),
        extra=known(body, "stop_details"),
    )
    return Reply(
        id=body.pop("id", None),
        model=body.pop("model", None),
        choices=(choice,),
        usage=usage_from_wire(usage) if usage else None,
        service_tier=tier_of(usage),
        extra={key: value for key, value in body.items() if value is not None and key != "stop_details"},
        dialect=name,
    )


def known(source: Json, *keys: str) -> Json:
    """The named keys of an object, as far as they say something."""
    return {key: source[key] for key in keys if source.get(key) is not None}


def finish_from_word(word: str | None) -> str | None:
    """Why an answer ended, in our words."""
    return FINISH.get(word, word) if word is not None else None


def finish_word(finish: str | None, *, refused: bool = False) -> str | None:
    """The API's word for why an answer ended. It has no part for a refusal, so the word must tell."""
    if finish is None:
        return None
    return "refusal" if refused and finish == "stop" else FINISH_WORD.get(finish, finish)


def tier_of(usage: Any) -> str | None:
    """The service tier that was billed: it stands among the counts."""
    return an_object(usage).get("service_tier")


TIERS: Mapping[str, str] = {word: word for word in ("standard", "priority", "batch")} | {"default": "standard"}
"""The tiers that this API bills, and what OpenAI calls them."""


def usage_from_wire(usage: Json) -> Usage:
    """Disjoint buckets: `input_tokens` has no cached tokens in it, `output_tokens` has those of thinking.

    A compaction is a sampling of its own, billed but left out of the totals (…/build-with-claude/compaction).
    """
    total = _count(usage)
    for compaction in _compactions(usage):
        total += _count(compaction)
    extra = {key: value for key, value in usage.items() if key not in _COUNTED and value is not None}
    said, counted = usage.get("cache_creation"), _by_lifetime(_count(usage))
    if said != counted and (said or any(counted.values())):
        extra["~cache_creation"] = said  # left out, or at odds with the sum
    return replace(total, extra=extra)


def _by_lifetime(usage: Usage) -> Json:
    return {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": usage.cache_write_1h}


_COUNTED = frozenset({
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
    "output_tokens_details", "service_tier",
})  # fmt: skip


def _compactions(usage: Json) -> list[Json]:
    return [one for one in map(an_object, usage.get("iterations") or ()) if one.get("type") == "compaction"]


def _count(usage: Json) -> Usage:
    created = an_object(usage.get("cache_creation"))
    hour: int = created.get("ephemeral_1h_input_tokens") or 0
    written: int | None = usage.get("cache_creation_input_tokens")
    output: int = usage.get("output_tokens") or 0
    thought: int = an_object(usage.get("output_tokens_details")).get("thinking_tokens") or 0
    return Usage(
        input=usage.get("input_tokens") or 0,
        cache_read=usage.get("cache_read_input_tokens") or 0,
        cache_write=max(0, written - hour) if written is not None else created.get("ephemeral_5m_input_tokens") or 0,
        cache_write_1h=hour,
        output=max(0, output - thought),
        reasoning=thought,
    )


def usage_to_wire(usage: Usage | None, *, own: bool = True) -> Json:
    """The API's counts from our buckets; `own` are those that it counted itself."""
    usage = usage or Usage()
    extra = usage.extra if own else {}
    apart = [_count(compaction) for compaction in _compactions(extra)]

    def left(bucket: str) -> int:
        return getattr(usage, bucket) - sum(getattr(one, bucket) for one in apart)

    short, hour, thought = left("cache_write"), left("cache_write_1h"), left("reasoning")
    wire: Json = {
        "input_tokens": left("input") + usage.input_audio,
        "cache_creation_input_tokens": short + hour,
        "cache_read_input_tokens": left("cache_read"),
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": hour},
        "output_tokens": left("output") + thought + usage.output_audio,
    }
    if thought:
        wire["output_tokens_details"] = {"thinking_tokens": thought}
    if "~cache_creation" in extra:
        wire["cache_creation"] = extra["~cache_creation"]
    return {**wire, **said(extra)}


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole message for a caller. This API has one answer to a request: the first choice."""
    own = reply.dialect == name
    choice = reply.choices[0] if reply.choices else Choice(Message("assistant"))
    parts = choice.message.parts
    usage = usage_to_wire(reply.usage, own=own)
    tier = reply.service_tier
    if tier is not None and (own or tier in TIERS):
        usage["service_tier"] = TIERS.get(tier, tier)
    body: Json = {
        "id": reply.id or new_id(),
        "type": "message",
        "role": "assistant",
        "model": reply.model or "",
        "content": [wire for part in parts if (wire := _block(part, own=own)) is not None],
        "stop_reason": finish_word(choice.finish, refused=any(type(part) is Refusal for part in parts)),
        "stop_sequence": choice.stop_sequence,
        "usage": usage,
    }
    return {**body, **choice.extra, **reply.extra} if own else body


def _block(part: AnyPart, *, own: bool) -> Json | None:
    """A block of an answer. Reasoning of another provider is shown, with a signature that proves nothing."""
    if type(part) is Text and not part.text and not own:
        return None
    if type(part) is Thinking and part.redacted is None and part.dialect != name:
        return {"type": "thinking", "thinking": part.text, "signature": ""}
    wire = part_to_wire(part, "content", [])
    return wire if own or wire is None else {key: wire[key] for key in wire if key not in part.extra}


def new_id() -> str:
    """An id that looks like one of this API's, for an answer that came without."""
    return "msg_" + os.urandom(12).hex()


class _Glance(Struct):
    usage: Json | None = None
    stop_reason: str | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage, finish and tier of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except msgspec.MsgspecError:
        return Seen()
    usage = usage_from_wire(seen.usage) if seen.usage else None
    return Seen(usage, finish_from_word(seen.stop_reason), tier_of(seen.usage))
