"""Whole chat completions, both ways, and how their tokens are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array, as_object, said

from .errors import hidden_error
from .messages import as_read, assistant_to_wire, message_from_wire, name

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
    if (error := _broken(choices)) is not None:
        raise hidden_error({"error": error})
    if choices == []:
        raise ResponseParseError("the provider's answer has no choice", dialect=name)
    usage = body.pop("usage", None)
    body.pop("object", None)
    for key in [key for key, value in body.items() if value is None]:
        del body[key]
    try:
        return Reply(
            id=body.pop("id", None),
            model=body.pop("model", None),
            created=body.pop("created", None),
            service_tier=body.pop("service_tier", None),
            choices=tuple(_choice_from_wire(choice, at) for at, choice in enumerate(as_array(choices, "choices"))),
            usage=_usage(usage),
            extra=body,
            dialect=name,
        )
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None


def _broken(choices: Any) -> Json | None:
    """The error with which an answer ended after it had begun: in the choice, where its status is a success
    (openrouter.ai/docs/api-reference/errors). What there is of its text is no answer."""
    for choice in cast("list[Any]", choices) if isinstance(choices, list) else ():
        if isinstance(choice, dict) and cast("Json", choice).get("finish_reason") == "error":
            body = cast("Json", choice)
            return an_object(body.get("error")) or {"message": "the provider failed in the middle of its answer"}
    return None


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


def _usage(usage: Any) -> Usage | None:
    """What was used; None where nobody can tell from what is said: the answer is good all the same."""
    if not isinstance(usage, dict) or not usage:
        return None
    try:
        return usage_from_wire(cast("Json", usage))
    except (TypeError, ValueError, AttributeError):
        return None


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
    if not read and (name := next((name for name in _CACHED if rest.get(name)), None)):
        read = rest.pop(name)
        rest["~cached"] = name
    if reasoning and (total == prompt + completion + reasoning or reasoning > completion):
        completion += reasoning
        rest["~beside"] = [*rest.get("~beside", ()), "reasoning"]
    for bucket, count in (("cached", read), ("audio", heard)):
        if count > prompt:
            prompt += count
            rest["~beside"] = [*rest.get("~beside", ()), bucket]
    if total is not None and total != prompt + completion:
        rest["~total"] = total
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


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""Where servers count cached tokens that do not in OpenAI's place."""


def usage_to_wire(usage: Usage, *, own: bool = False) -> Json:
    """OpenAI's totals from our buckets; `own` were counted in this API, and are said as they were."""
    inside, outside = usage.prompt_tokens_details, usage.completion_tokens_details
    if usage.cache_write:
        inside["cache_write_tokens"] = usage.cache_write
    wire: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": inside,
        "completion_tokens_details": outside,
    }
    return _as_counted(wire, usage) if own and usage.extra else wire


def _as_counted(wire: Json, usage: Usage) -> Json:
    """The counts with the server's own further ones, its sums where they are not OpenAI's."""
    extra = usage.extra
    if "reasoning" in extra.get("~beside", ()):
        wire["completion_tokens"] -= usage.reasoning
    if "cached" in extra.get("~beside", ()):
        wire["prompt_tokens"] -= usage.cache_read
    if "audio" in extra.get("~beside", ()):
        wire["prompt_tokens"] -= usage.input_audio
    if "~total" in extra:
        wire["total_tokens"] = extra["~total"]
    if "~cached" in extra:
        del wire["prompt_tokens_details"]["cached_tokens"]
        wire[extra["~cached"]] = usage.cache_read
    for key, value in said(extra).items():
        details = wire.get(key)
        wire[key] = {**details, **value} if isinstance(details, dict) and isinstance(value, dict) else value
    return wire


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole chat completion for a caller."""
    own = reply.dialect == name
    head: Json = {"id": reply.id, "created": reply.created, "model": reply.model}
    if not own:
        head = {"id": reply.id or "", "created": reply.created or 0, "model": reply.model or ""}
    body: Json = {
        **head,
        "object": "chat.completion",
        "choices": [_choice_to_wire(choice, own=own) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = usage_to_wire(reply.usage, own=own)
    if reply.service_tier is not None:
        body["service_tier"] = reply.service_tier
    if own:
        body.update(said(reply.extra))
    return body


def _choice_to_wire(choice: Choice, *, own: bool) -> Json:
    message: Json = {"role": "assistant"}
    parts = choice.message.parts
    if not own:  # its unknown keys are another API's
        parts = tuple(replace(part, extra={}) if part.extra else part for part in parts)
    assistant_to_wire(parts, "message", [], message, as_read)
    message.setdefault("refusal", None)
    wire: Json = {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": choice.word if own and choice.word is not None else finish_word(choice.finish),
    }
    if own:
        message.update(said(choice.message.extra))
        wire.update(said(choice.extra))
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
    if word == "error":  # whoever reads it says which
        return Seen()
    return Seen(_usage(seen.usage), finish_from_word(word, called=False), seen.service_tier)
