"""Whole replies of Ollama's chat, both ways, and how their tokens are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Image, Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import as_array, as_object
from trunkline.wire.grammar.fields import said as public

from .errors import hidden_error, name
from .messages import call_from_wire, content_from_wire, said_in, stamped

FINISH_WORD: Mapping[str, str] = {"length": "length", "context_window": "length"}
"""Our words that the API has another for than `stop`."""


def reply_from_wire(body: Json) -> Reply:
    """Read a whole answer; an error that hides in a 200 is raised as what it is."""
    body = dict(body)
    if "message" not in body:
        if "error" in body:
            raise hidden_error(body)
        raise ResponseParseError("the server's answer has no 'message'", body=msgspec.json.encode(body), dialect=name)
    created = body.get("created_at")
    try:
        message = as_object(body.pop("message"), "message")
        parts = content_from_wire(message, "message")
        for at, value in enumerate(as_array(message.pop("tool_calls", None) or [], "message.tool_calls")):
            parts.append(stamped(call_from_wire(value, f"message.tool_calls[{at}]"), created, at))
        logprobs = as_array(body.pop("logprobs", None) or [], "logprobs")
    except InvalidRequestError as error:  # the reader's complaint, but about the server's words
        raise ResponseParseError(f"the server's answer cannot be read: {error.message}", dialect=name) from None
    message.pop("role", None)
    word = body.pop("done_reason", None)
    choice = Choice(
        Message("assistant", tuple(parts), extra=message, dialect=name),
        finish=finish_of(word, called=any(isinstance(part, ToolCall) for part in parts)),
        word=word if isinstance(word, str) else None,
        logprobs={"content": logprobs} if logprobs else None,
    )
    usage = usage_from_wire(body)
    model = body.pop("model", None)
    body.pop("done", None)
    return Reply(
        model=model,
        created=seconds_of(created),
        choices=(choice,),
        usage=usage,
        extra={key: value for key, value in body.items() if value is not None},
        dialect=name,
    )


def finish_of(word: Any, *, called: bool) -> str | None:
    """Why an answer ended. The API says `stop` of calls too."""
    if not isinstance(word, str) or not word:
        return None
    return "tool_calls" if word == "stop" and called else word


def seconds_of(created: Any) -> int | None:
    """When an answer was made, in seconds since 1970; it is said in nanoseconds."""
    if not isinstance(created, str):
        return None
    whole, _, rest = created.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    try:
        return int(datetime.fromisoformat(whole + zone).timestamp())
    except ValueError:
        return None


def usage_from_wire(body: Json) -> Usage | None:
    """The counts, taken out of an answer's last piece. Tokens of the prompt that were still in memory go uncounted."""
    asked, written = body.pop("prompt_eval_count", None), body.pop("eval_count", None)
    if asked is None and written is None:
        return None
    return Usage(input=asked if isinstance(asked, int) else 0, output=written if isinstance(written, int) else 0)


def counts_of(usage: Usage | None) -> Json:
    """The counts in this API's words."""
    if usage is None:
        return {}
    return {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}


DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
"""What an answer says of its time, in nanoseconds."""


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole answer for a caller. This API has one answer to a request: the first choice."""
    own = reply.dialect == name
    choice = reply.choices[0] if reply.choices else Choice(Message("assistant"))
    parts = choice.message.parts if own else tuple(shown(choice.message.parts))
    message: Json = {"role": "assistant", **said_in(parts, "message", [])}
    body: Json = {
        "model": reply.model or "",
        "created_at": stamp_of(reply.created),
        "message": {**message, **(public(choice.message.extra) if own else {})},
        "done": True,
        "done_reason": word_of(choice.finish, choice.word if own else None),
        **counts_of(reply.usage),
    }
    if choice.logprobs is not None:
        body["logprobs"] = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else []  # pyright: ignore[reportUnknownMemberType]
    if own:
        return {**body, **public(reply.extra)}
    return {**body, "total_duration": round((reply.seconds or 0) * 1e9)}


def stamp_of(created: int | None) -> str:
    """When an answer was made, as the API says it."""
    try:
        return datetime.fromtimestamp(created or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a date beyond the calendar
        return "1970-01-01T00:00:00Z"


def word_of(finish: str | None, word: str | None = None) -> str:
    """The API's word for why an answer ended."""
    return word or FINISH_WORD.get(finish or "", "stop")


def shown(parts: Iterable[AnyPart]) -> Iterable[AnyPart]:
    """What another API's answer has to show here: without signatures and unknown keys, and no part of its own."""
    for part in parts:
        match part:
            case Thinking(text=str(text)) if text:
                yield Thinking(text)
            case Text() | Refusal() if part.text:
                yield Text(part.text)
            case Image() if part.source.data is not None:
                yield Image(part.source)
            case ToolCall():
                yield replace(part, extra={}) if part.extra else part
            case _:
                pass


class _Calling(Struct):
    tool_calls: list[msgspec.Raw] = []


class _Glance(Struct):
    message: _Calling | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage and finish of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except msgspec.MsgspecError:
        return Seen()
    usage = usage_from_wire({"prompt_eval_count": seen.prompt_eval_count, "eval_count": seen.eval_count})
    called = bool(seen.message and seen.message.tool_calls)
    return Seen(usage, finish_of(seen.done_reason, called=called))
