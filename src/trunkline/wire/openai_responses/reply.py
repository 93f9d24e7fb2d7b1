"""Whole answers of the Responses API, both ways, and how their tokens are counted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Extra, Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.protocols import Json, Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.usage import Usage
from trunkline.wire.grammar.fields import an_object, as_array

from .errors import hidden_error
from .items import EMPTY, ITEM, LOGPROBS, MORE, Items, Probabilities, name, parts_from_item

FINISH: Mapping[str, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""The API's reasons for an incomplete answer, in our words; any other is kept as it is."""

REASON: Mapping[str, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Our finishes that leave an answer incomplete; any other completes it."""

TIERS: Mapping[str, str] = {tier: tier for tier in ("auto", "default", "flex", "scale", "priority")} | {
    "standard": "default"
}
"""The service tiers that this API names; Anthropic's word for the usual one means the same."""

STATUSES = frozenset({"completed", "in_progress", "queued", "cancelled", "failed", "incomplete"})

AWAITED = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "shell_call", "local_shell_call", "apply_patch_call"}
)
"""Items that ask the caller for something; the provider answers some of them itself, and then says so."""


def reply_from_wire(body: Json) -> Reply:
    """Read a whole response; one that failed is raised as the error that it is."""
    body = dict(body)
    status = _word(body.pop("status", None))
    error = body.get("error")
    if error or status == "failed":
        raise hidden_error(error)
    if "output" not in body:
        raise ResponseParseError("the provider's answer has no 'output'", body=msgspec.json.encode(body), dialect=name)
    logprobs: Probabilities = []
    try:
        output = as_array(body.pop("output") or [], "output")
        parts = [part for at, item in enumerate(output) for part in parts_from_item(item, f"output[{at}]", logprobs)]
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    reason = _reason(body)
    if status == "incomplete" and body.get("incomplete_details") == {"reason": reason}:
        del body["incomplete_details"]
    body.pop("object", None)
    usage, created = body.pop("usage", None), body.get("created_at")
    created = int(created) if isinstance(created, int | float) and created > 0 else None
    if created is not None and created == body["created_at"]:
        del body["created_at"]
    choice = Choice(
        Message("assistant", tuple(parts), dialect=name),
        finish=_finish(status, reason, waits(output)),
        word=(reason or status) if status == "incomplete" else status,
        logprobs={"content": logprobs} if logprobs else None,
    )
    return Reply(
        id=_word(body.pop("id", None)),
        model=_word(body.pop("model", None)),
        created=created,
        choices=(choice,),
        usage=usage_from_wire(cast("Json", usage)) if isinstance(usage, dict) and usage else None,
        service_tier=_word(body.pop("service_tier", None)),
        extra=body,
        dialect=name,
    )


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _reason(body: Json) -> str | None:
    return _word(an_object(body.get("incomplete_details")).get("reason"))


def _finish(status: str | None, reason: str | None, waiting: bool) -> str | None:
    """Why an answer ended, in our words; None while it goes on in the background."""
    match status:
        case "queued" | "in_progress":
            return None
        case "incomplete":
            return FINISH.get(reason, reason) if reason is not None else "length"
        case None | "completed":
            return "tool_calls" if waiting else "stop"
        case _:
            return status


def waits(output: Iterable[Any]) -> bool:
    """Whether an answer's items ask the caller for something that nobody has answered yet."""
    items = [an_object(item) for item in output]
    answered = [item.get("call_id") for item in items if str(item.get("type")).endswith("_output")]
    return any(str(item.get("type")) in AWAITED and item.get("call_id") not in answered for item in items)


def usage_from_wire(usage: Json) -> Usage:
    """Disjoint buckets: what was read from a cache or written to one is inside the input, reasoning inside the output.

    A server that counts reasoning beside its output is told by the total, or by more reasoning than output.
    """
    inside, outside = (an_object(usage.get(f"{key}_tokens_details")) for key in ("input", "output"))
    taken, given, total = (_count(usage, f"{key}_tokens") for key in ("input", "output", "total"))
    cached, written = _count(inside, "cached_tokens"), _count(inside, "cache_write_tokens")
    heard, spoken = _count(inside, "audio_tokens"), _count(outside, "audio_tokens")
    reasoning = _count(outside, "reasoning_tokens")
    if reasoning and (reasoning > given or total == taken + given + reasoning):
        given += reasoning
    extra = {key: value for key, value in usage.items() if value is not None and key not in _TOTALS}
    for key, details in (("input_tokens_details", inside), ("output_tokens_details", outside)):
        if unknown := {word: value for word, value in details.items() if value and word not in _COUNTED}:
            extra[key] = unknown
    if total and total != taken + given:
        extra["total_tokens"] = total
    return Usage(
        input=max(0, taken - cached - written - heard),
        cache_read=cached,
        cache_write=written,
        input_audio=heard,
        output=max(0, given - reasoning - spoken),
        reasoning=reasoning,
        output_audio=spoken,
        extra=extra,
    )


_COUNTED = frozenset({"cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens"})
_TOTALS = frozenset({"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"})


def _count(counts: Json, key: str) -> int:
    value = counts.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def usage_to_wire(usage: Usage, *, own: bool) -> Json:
    """The API's totals from our buckets. `own` are those that it counted itself."""
    written = usage.cache_write + usage.cache_write_1h
    inside = {"cached_tokens": usage.cache_read, "cache_write_tokens": written, "audio_tokens": usage.input_audio}
    outside = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.output_audio}
    wire: Json = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {key: count for key, count in inside.items() if count or key in _ALWAYS},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {key: count for key, count in outside.items() if count or key in _ALWAYS},
        "total_tokens": usage.total_tokens,
    }
    if not own:
        return wire
    for key, value in usage.extra.items():
        known = wire.get(key)
        wire[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return wire


_ALWAYS = frozenset({"cached_tokens", "cache_write_tokens", "reasoning_tokens"})
"""Counters that the official SDK wants in every answer, 0 or not."""


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole response for a caller. This API has one answer to a request: the first choice."""
    choice = reply.choices[0] if reply.choices else Choice(Message("assistant"))
    own = reply.dialect == name
    names = Names(reply.id)
    logprobs = an_object(choice.logprobs).get("content")
    parts = choice.message.parts if own else names.named(choice.message.parts, choice.finish, logprobs)
    items = Items(names.fresh, [], logprobs)
    items.add(parts, "output")
    return response_to_wire(reply, choice, items.items)


def response_to_wire(reply: Reply, choice: Choice, output: list[Json]) -> Json:
    """The response around its items. One that was read here has the keys that it had; any other those that the official
    SDK wants."""
    if reply.dialect == name:
        return _own_response(reply, choice, output)
    reason = REASON.get(choice.finish) if choice.finish is not None else None
    return {
        "id": reply.id or Names(None).next("resp"),
        "object": "response",
        "created_at": reply.created or 0,
        "status": "completed" if choice.finish is not None and reason is None else "incomplete",
        "error": None,
        "incomplete_details": {"reason": reason} if reason is not None else None,
        "instructions": None,
        "metadata": {},
        "model": reply.model or "",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": usage_to_wire(reply.usage, own=False) if reply.usage is not None else None,
        "service_tier": TIERS.get(reply.service_tier or ""),
    }


def _own_response(reply: Reply, choice: Choice, output: list[Json]) -> Json:
    word = choice.word
    body: Json = {"object": "response", "output": output}
    for key, value in (
        ("id", reply.id),
        ("created_at", reply.created),
        ("model", reply.model),
        ("service_tier", reply.service_tier),
        ("usage", usage_to_wire(reply.usage, own=True) if reply.usage is not None else None),
        ("status", word if word is None or word in STATUSES else "incomplete"),
        ("incomplete_details", {"reason": word} if word is not None and word not in STATUSES else None),
    ):
        if value is not None:
            body[key] = value
    return {**body, **reply.extra}


class Names:
    """Ids for items that came without, in OpenAI's style: the same for the same answer, whole or streamed."""

    def __init__(self, answer: str | None) -> None:
        self._stem = sha256(answer.encode()).hexdigest()[:40] if answer else os.urandom(20).hex()
        self._count = 0

    def next(self, prefix: str) -> str:
        """A new id."""
        self._count += 1
        return f"{prefix}_{self._stem}{self._count:08x}"

    def fresh(self, kind: str, status: str = "completed") -> Json:
        """What an item of a kind starts with."""
        match kind:
            case "message":
                return {"id": self.next("msg"), "type": "message", "status": status, "role": "assistant"}
            case "reasoning":
                return {"id": self.next("rs")}
            case _:
                return {"id": self.next("fc"), "status": status}

    def named(self, parts: Iterable[AnyPart], finish: str | None, logprobs: Any) -> tuple[AnyPart, ...]:
        """The parts of another API's answer, as far as this one has them, with the notes of its own. All the log
        probabilities are those of the first text."""
        said = [part for part in parts if type(part) in _SAYABLE and (type(part) is not Thinking or part.text)]
        named: list[AnyPart] = []
        for at, part in enumerate(said):
            follows = at > 0 and type(part) in _SPOKEN and type(said[at - 1]) in _SPOKEN
            cut = finish in REASON and at == len(said) - 1
            notes: Extra = {MORE: True} if follows else {ITEM: self._note(part, cut)}
            if type(part) is Text:
                notes[EMPTY] = ["annotations", "logprobs"]
                if logprobs:
                    notes[LOGPROBS], logprobs = len(logprobs), None
            if type(part) is ToolCall and not part.id:  # whoever answers it must name it
                part = replace(part, id=notes[ITEM]["id"])
            named.append(replace(part, extra=notes))
        return tuple(named)

    def _note(self, part: AnyPart, cut: bool) -> Json:
        return self.fresh(KINDS.get(type(part), "message"), "incomplete" if cut else "completed")


KINDS: Mapping[type[AnyPart], str] = {ToolCall: "function_call", Thinking: "reasoning"}
"""The kinds of item that parts stand for; any other stands in a message."""

_SPOKEN = frozenset({Text, Refusal})
_SAYABLE = frozenset({Text, Refusal, Thinking, ToolCall})


class Glance(Struct, frozen=True):
    """A response, as far as one must see it that passes through."""

    id: str | None = None
    status: str | None = None
    incomplete_details: Json | None = None
    output: tuple[_ItemGlance, ...] = ()
    usage: Json | None = None
    service_tier: str | None = None
    error: Json | None = None


class _ItemGlance(Struct, frozen=True):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None


_glances = msgspec.json.Decoder(Glance)


def glance(body: bytes) -> Seen:
    """Usage, finish and tier of a whole answer that passes through; everything else is skipped, not built."""
    try:
        return seen(_glances.decode(body))
    except msgspec.MsgspecError:
        return Seen()


def seen(glanced: Glance) -> Seen:
    """What a glance tells."""
    if glanced.error or glanced.status == "failed":  # not an answer: whoever reads it whole will say so
        return Seen()
    usage = usage_from_wire(glanced.usage) if glanced.usage else None
    output = [{"type": item.type, "call_id": item.call_id} for item in glanced.output]
    reason = _reason({"incomplete_details": glanced.incomplete_details})
    sealed = (item.id for item in glanced.output if item.type == "reasoning")
    made = tuple(name for name in (glanced.id, *sealed) if name)
    return Seen(usage, _finish(glanced.status, reason, waits(output)), glanced.service_tier, made)


class Terminal(Struct, frozen=True):
    """The last event of a stream, as far as a watcher must know it."""

    type: str = ""
    response: Glance = Glance()
