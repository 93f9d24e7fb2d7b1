"""Whole replies of Cohere's chat, both ways, and how their tokens are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Image, Opaque, Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array

from .errors import error_from_wire, failed, name
from .messages import assistant_to_wire, message_from_wire, public

FINISH: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
"""The API's words for why an answer ended. `ERROR` is an error, `TIMEOUT` has no word of ours."""

FINISH_WORD: Mapping[str, str] = {
    **{ours: theirs for theirs, ours in FINISH.items()},
    "context_window": "MAX_TOKENS",
    "content_filter": "ERROR",
    "refusal": "COMPLETE",
    "pause": "COMPLETE",
}


def reply_from_wire(body: Json) -> Reply:
    """Read a whole answer; an error that hides in a 200 is raised as what it is."""
    body = dict(body)
    said = body.pop("message", None)
    if not isinstance(said, dict):
        if isinstance(said, str):
            raise error_from_wire(500, {}, msgspec.json.encode({**body, "message": said}))
        raise ResponseParseError("the provider's answer has no 'message'", body=msgspec.json.encode(body), dialect=name)
    word = body.pop("finish_reason", None)
    if word == "ERROR":
        raise failed(body.get("error"))
    try:
        message = message_from_wire({"role": "assistant", **said}, "message")
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    usage, logprobs = body.pop("usage", None), body.pop("logprobs", None)
    choice = Choice(
        message,
        finish=finish_of(word),
        word=word if isinstance(word, str) else None,
        logprobs={"content": [logprob_from_wire(one) for one in as_array(logprobs, "logprobs")]} if logprobs else None,
    )
    return Reply(
        id=body.pop("id", None),
        choices=(choice,),
        usage=usage_from_wire(usage) if usage else None,
        extra={key: value for key, value in body.items() if value is not None},
        dialect=name,
    )


def logprob_from_wire(value: Any) -> Json:
    """A piece of text, which may be several tokens, in OpenAI's form, its own words beside."""
    said = an_object(value)
    text, each = str(said.get("text") or ""), said.get("logprobs")
    total = sum(one for one in each if isinstance(one, int | float)) if isinstance(each, list) else 0  # pyright: ignore[reportUnknownVariableType]
    return {"token": text, "logprob": total, "bytes": [*text.encode()], "top_logprobs": [], "~said": value}


def logprobs_to_wire(logprobs: Any) -> list[Any]:
    """The pieces in this API's form."""
    pieces: list[Any] = []
    for one in map(an_object, an_object(logprobs).get("content") or ()):
        ours = {"token_ids": [], "text": one.get("token"), "logprobs": [one.get("logprob")]}
        pieces.append(one.get("~said", ours))
    return pieces


def usage_from_wire(usage: Any) -> Usage:
    """Disjoint buckets: cached tokens are inside the input, those of thinking inside the output. What is billed is less
    than what is used, and stays beside."""
    said = dict(an_object(usage))
    tokens = dict(an_object(said.pop("tokens", None)))
    billed = not tokens
    counted = {**an_object(said.get("billed_units"))} if billed else tokens
    read = _count(said, "cached_tokens")
    asked, written, thought = (_count(counted, key) for key in ("input_tokens", "output_tokens", "reasoning_tokens"))
    if billed:
        said["~billed"] = True
        counted = {}
    if read > asked:
        asked += read
        said["~beside"] = True
    if rest := {key: value for key, value in counted.items() if value}:
        said["tokens"] = rest
    return Usage(
        input=asked - read,
        cache_read=read,
        output=max(0, written - thought),
        reasoning=thought,
        extra={key: value for key, value in said.items() if value},
    )


def _count(said: Json, key: str) -> int:
    value = said.pop(key, None)
    return int(value) if isinstance(value, int | float) else 0


def usage_to_wire(usage: Usage | None, *, own: bool) -> Json:
    """The API's counts from our buckets; `own` are those that it counted itself."""
    usage = usage or Usage()
    extra = usage.extra if own else {}
    asked = usage.prompt_tokens - (usage.cache_read if "~beside" in extra else 0)
    tokens: Json = {"input_tokens": asked, "output_tokens": usage.completion_tokens}
    if usage.reasoning:
        tokens["reasoning_tokens"] = usage.reasoning
    if not own:
        both = ("input_tokens", "output_tokens")
        wire: Json = {"billed_units": {key: tokens[key] for key in both}, "tokens": tokens}
        return {**wire, "cached_tokens": usage.cache_read} if usage.cache_read else wire
    wire = public(extra)
    if "~billed" not in extra:
        wire = {**wire, "tokens": {**tokens, **an_object(wire.get("tokens"))}}
    return {**wire, "cached_tokens": usage.cache_read} if usage.cache_read else wire


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole answer for a caller. This API has one answer to a request: the first choice."""
    own = reply.dialect == name
    choice = reply.choices[0] if reply.choices else Choice(Message("assistant"))
    message: Json = {"role": "assistant"}
    assistant_to_wire(choice.message.parts if own else [*shown(choice.message.parts)], "message", [], message)
    if isinstance(text := message.get("content"), str):
        message["content"] = [{"type": "text", "text": text}]
    body: Json = {
        "id": reply.id if own else reply.id or str(uuid4()),
        "message": {**message, **(public(choice.message.extra) if own else {})},
        "finish_reason": word_of(choice.finish, choice.word if own else None),
        "usage": usage_to_wire(reply.usage, own=own),
    }
    if choice.logprobs is not None:
        body["logprobs"] = logprobs_to_wire(choice.logprobs)
    if not own:
        return body
    if reply.usage is None:
        del body["usage"]
    return {**body, **public(reply.extra)}


def shown(parts: Iterable[AnyPart]) -> Iterable[AnyPart]:
    """What another API's answer has to show here: without signatures and unknown keys, and no part of its own."""
    for part in parts:
        match part:
            case Thinking(text=str(text)) if text:
                yield Thinking(text)
            case Text() if part.text or part.citations:
                yield replace(part, extra={}) if part.extra else part
            case Refusal():
                yield Text(part.text)
            case ToolCall():
                yield replace(part, extra={}) if part.extra else part
            case Image() | Opaque():
                pass
            case _:
                pass


def finish_of(word: Any) -> str | None:
    """Why an answer ended, in our words."""
    return FINISH.get(word, word) if isinstance(word, str) and word else None


def word_of(finish: str | None, word: str | None = None) -> str | None:
    """The API's word for why an answer ended."""
    if word is not None or finish is None:
        return word
    return FINISH_WORD.get(finish, finish.upper())


class _Glance(Struct):
    usage: Json | None = None
    finish_reason: str | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage and finish of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except msgspec.MsgspecError:
        return Seen()
    word = seen.finish_reason
    if word == "ERROR":
        return Seen()  # which the reader raises
    return Seen(usage_from_wire(seen.usage) if seen.usage else None, finish_of(word))
