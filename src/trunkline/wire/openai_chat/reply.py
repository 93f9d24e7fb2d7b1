"""Whole chat completions, both ways, and how their tokens are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.parts import Thinking
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.fields import an_object, as_array, as_object

from .errors import hidden_error
from .messages import assistant_to_wire, message_from_wire, name

FINISH: Mapping[str, str] = {"function_call": "tool_calls", "eos": "stop"}
"""Words for why a choice ended, where they are not ours: OpenAI's older one, and that of docs.together.ai."""

FINISH_WORD: Mapping[str, str] = {
    "stop_sequence": "stop",
    "refusal": "stop",
    "pause": "stop",
    "context_window": "length",
}
"""Our words, where OpenAI has another."""


def reply_from_wire(body: Json) -> Reply:
    """Read a whole chat completion; an error that hides in a 200 is raised as what it is."""
    body = dict(body)
    if "choices" not in body:
        if "error" in body:
            raise hidden_error(body)
        raise ResponseParseError("the provider's answer has no 'choices'", body=msgspec.json.encode(body), dialect=name)
    choices = body.pop("choices")
    usage = body.pop("usage", None)
    body.pop("object", None)
    try:
        return Reply(
            id=body.pop("id", None),
            model=body.pop("model", None),
            created=body.pop("created", None),
            service_tier=body.pop("service_tier", None),
            choices=tuple(_choice_from_wire(choice, at) for at, choice in enumerate(as_array(choices, "choices"))),
            usage=usage_from_wire(usage) if usage else None,
            extra=body,
            dialect=name,
        )
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None


def _choice_from_wire(value: Any, at: int) -> Choice:
    body: Json = as_object(value, f"choices[{at}]")
    message = message_from_wire({"role": "assistant", **an_object(body.pop("message", None))}, f"choices[{at}].message")
    word = body.pop("finish_reason", None)
    return Choice(
        message,
        finish=finish_from_word(word, called=bool(message.tool_calls)),
        index=body.pop("index", at),
        word=word,
        logprobs=body.pop("logprobs", None),
        extra=body,
    )


def finish_from_word(word: str | None, *, called: bool) -> str | None:
    """Why a choice ended. Some servers say `stop` though tools are called."""
    if word == "stop" and called:
        return "tool_calls"
    return FINISH.get(word, word) if word else None


def usage_from_wire(usage: Json) -> Usage:
    """Disjoint buckets: cached and audio tokens are inside `prompt_tokens`, reasoning inside `completion_tokens`.

    Some servers count reasoning beside the completion; then the total tells.
    """
    rest = dict(usage)
    prompt, completion = rest.pop("prompt_tokens", None) or 0, rest.pop("completion_tokens", None) or 0
    total = rest.pop("total_tokens", None)
    inside = dict(rest.pop("prompt_tokens_details", None) or {})
    outside = dict(rest.pop("completion_tokens_details", None) or {})
    read = inside.pop("cached_tokens", None) or 0
    written = inside.pop("cache_write_tokens", None) or 0
    heard = inside.pop("audio_tokens", None) or 0
    reasoning = outside.pop("reasoning_tokens", None) or 0
    spoken = outside.pop("audio_tokens", None) or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    for key, details in (("prompt_tokens_details", inside), ("completion_tokens_details", outside)):
        if any(details.values()):
            rest[key] = {name: value for name, value in details.items() if value}
    return Usage(
        input=max(0, prompt - read - written - heard),
        cache_read=read,
        cache_write=written,
        input_audio=heard,
        output=max(0, completion - reasoning - spoken),
        reasoning=reasoning,
        output_audio=spoken,
        extra=rest,
    )


def usage_to_wire(usage: Usage) -> Json:
    """OpenAI's totals from our buckets."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": usage.prompt_tokens_details,
        "completion_tokens_details": usage.completion_tokens_details,
    }


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole chat completion for a caller."""
    body: Json = {
        "id": reply.id or "",
        "object": "chat.completion",
        "created": reply.created or 0,
        "model": reply.model or "",
        "choices": [_choice_to_wire(choice, own=reply.dialect == name) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = usage_to_wire(reply.usage)
    if reply.service_tier is not None:
        body["service_tier"] = reply.service_tier
    if reply.dialect == name:
        body.update(reply.extra)
    return body


def _reasoning_key(part: Thinking) -> str:
    return part.extra.get("key", "reasoning_content")


def _choice_to_wire(choice: Choice, *, own: bool) -> Json:
    message: Json = {"role": "assistant"}
    parts = choice.message.parts
    if not own:  # its unknown keys are another API's
        parts = tuple(replace(part, extra={}) if part.extra else part for part in parts)
    assistant_to_wire(parts, "message", [], message, _reasoning_key)
    message.setdefault("refusal", None)
    wire: Json = {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": finish_word(choice.finish),
    }
    if own:
        message.update(choice.message.extra)
        wire.update(choice.extra)
    return wire


def finish_word(finish: str | None) -> str | None:
    """OpenAI's word for why a choice ended."""
    if finish is None:
        return None
    return FINISH_WORD.get(finish, finish)


class _Glance(Struct):
    usage: Json | None = None
    choices: list[_ChoiceGlance] = []
    service_tier: str | None = None


class _ChoiceGlance(Struct):
    finish_reason: str | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage, finish and tier of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except msgspec.MsgspecError:
        return Seen()
    word = seen.choices[0].finish_reason if seen.choices else None
    usage = usage_from_wire(seen.usage) if seen.usage else None
    return Seen(usage, finish_from_word(word, called=False), seen.service_tier)
