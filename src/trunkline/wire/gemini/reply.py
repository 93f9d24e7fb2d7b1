"""Whole replies, both ways, why they ended, and how their tokens are counted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
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
from trunkline.wire.grammar.fields import an_object, as_array, as_object

from .errors import hidden_error
from .grounding import citations_of, grounding_of
from .messages import content_from_wire
from .parts import Ids, name, part_to_wire, parts_to_wire
from .spelling import public

FINISH: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Why an answer ended. Other words (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, LANGUAGE, OTHER, …) stay as they
are: the answer failed in a way that no word of ours names."""

NUMBERED: Mapping[int, str] = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""The words whose number is the same at all of Google's servers, for JSON that has numbers for words."""

FINISH_WORD: Mapping[str, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
}

BLOCKED = "~blocked"
"""The note on a choice that we made up: the prompt was refused, and there is no candidate."""

TIERS: Mapping[str, str] = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
"""Vertex's traffic types that are sold at a price of their own."""


def ids_for(response_id: Any, choice: int) -> Ids:
    """Ids for calls without one, unlike those of any other answer: this one's own id is in them."""
    known = isinstance(response_id, str) and response_id
    return Ids(f"call_{response_id}_{choice}" if known else None)


def reply_from_wire(body: Json) -> Reply:
    """Read a whole answer; an error that hides in a 200 is raised as what it is."""
    body = dict(body)
    if body.get("error"):
        raise hidden_error(body)
    candidates: Any = body.pop("candidates", None) or []
    if not candidates and "promptFeedback" not in body:
        raise ResponseParseError(
            "the provider's answer has no candidates", body=msgspec.json.encode(body), dialect=name
        )
    usage = body.pop("usageMetadata", None)
    response_id = body.pop("responseId", None)
    try:
        choices = tuple(
            _choice_from_wire(as_object(one, f"candidates[{at}]"), at, response_id)
            for at, one in enumerate(as_array(candidates, "candidates"))
        )
        return Reply(
            id=response_id,
            model=body.pop("modelVersion", None),
            created=created_from(body.get("createTime")),
            choices=choices or (_blocked(body["promptFeedback"]),),
            usage=usage_from_wire(as_object(usage, "usageMetadata")) if usage else None,
            service_tier=tier_of(usage),
            extra=body,
            dialect=name,
        )
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None


def _choice_from_wire(body: Json, at: int, response_id: Any) -> Choice:
    said = body.pop("content", None)
    where = f"candidates[{at}].content"
    content = as_object(said, where) if said is not None else {}
    index = body.pop("index", None)
    if index is None:
        body["~unnumbered"] = True
    index = index if isinstance(index, int) else at
    bare = not content.get("parts")
    parts = content_from_wire(content, where, ids_for(response_id, index))
    finish, word = finish_from_wire(body, called=any(isinstance(part, ToolCall) for part in parts))
    return Choice(
        Message("assistant", cited(parts, body), extra=shell_of(content, said, bare=bare), dialect=name),
        finish=finish,
        index=index,
        word=word,
        logprobs=logprobs_from_wire(body.get("logprobsResult")),
        extra=body,
    )


def shell_of(content: Json, said: Any, *, bare: bool) -> Extra:
    """What is to be kept of a candidate's content beside its parts."""
    role = content.pop("role", None)
    if role != "model" or bare:
        content["~content"] = None if said is None else {} if role is None else {"role": role}
    return content


def cited(parts: tuple[AnyPart, ...], candidate: Json) -> tuple[AnyPart, ...]:
    """The parts with the candidate's sources on their texts."""
    places = [at for at, part in enumerate(parts) if type(part) is Text]
    found = citations_of([cast("Text", parts[at]).text for at in places], candidate)
    if not found:
        return parts
    changed = list(parts)
    for text in {text for text, _ in found}:
        sources = tuple(citation for at, citation in found if at == text)
        changed[places[text]] = replace(cast("Text", parts[places[text]]), citations=sources)
    return tuple(changed)


def finish_from_wire(candidate: Json, *, called: bool) -> tuple[str | None, str | None]:
    """Why it ended, in our word and in the API's; `candidate` loses the key. `STOP` is said for calls too."""
    said = candidate.pop("finishReason", None)
    if not said:
        return None, None
    if isinstance(said, int):
        candidate["~finishReason"] = said
        said = NUMBERED.get(said)
        if said is None:
            return "OTHER", None
    word = str(said)
    return finish_of(word, called=called), word


def finish_of(word: str, *, called: bool) -> str:
    """Why it ended, in our word."""
    return "tool_calls" if word == "STOP" and called else FINISH.get(word, word)


def _blocked(feedback: Any) -> Choice:
    word = an_object(feedback).get("blockReason")
    message = Message("assistant", dialect=name)
    return Choice(message, "content_filter", word=str(word) if word else None, extra={BLOCKED: True})


def created_from(said: Any) -> int | None:
    """Seconds since 1970, of a time as protobuf writes it."""
    with contextlib.suppress(TypeError, ValueError):
        return int(datetime.fromisoformat(said).timestamp())
    return None


def tier_of(usage: Any) -> str | None:
    """The service tier that was billed: it stands among the counts."""
    said = an_object(usage)
    tier = said.get("serviceTier")
    if isinstance(tier, str):
        return tier
    traffic = said.get("trafficType")
    return TIERS.get(traffic) if isinstance(traffic, str) else None


def usage_from_wire(usage: Json) -> Usage:
    """Disjoint buckets: the prompt's count has cached and audio tokens in it; what tools put in, and thoughts, stand
    beside it."""
    prompt, cached = _count(usage, "promptTokenCount"), _count(usage, "cachedContentTokenCount")
    tools, thought = _count(usage, "toolUsePromptTokenCount"), _count(usage, "thoughtsTokenCount")
    said = _count(usage, "candidatesTokenCount")
    cached = min(cached, prompt) if prompt else cached
    heard = _audio(usage, "promptTokensDetails") - _audio(usage, "cacheTokensDetails")
    heard = min(max(0, heard), max(0, prompt - cached))
    spoken = min(_audio(usage, "candidatesTokensDetails"), said)
    extra = {key: value for key, value in usage.items() if key not in _COUNTED and value is not None}
    if (total := usage.get("totalTokenCount")) and total != prompt + said + thought + tools:
        extra["totalTokenCount"] = total
    return Usage(
        input=max(0, prompt - cached - heard) + tools,
        cache_read=cached,
        input_audio=heard,
        output=said - spoken,
        reasoning=thought,
        output_audio=spoken,
        extra=extra,
    )


_COUNTED = frozenset({
    "promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount",
    "serviceTier",
})  # fmt: skip
"""What our buckets and the reply's tier say. What tools put in is in a bucket with the rest of the input, so its count
is kept too."""


def _count(usage: Json, key: str) -> int:
    value = usage.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _audio(usage: Json, key: str) -> int:
    details = usage.get(key)
    if not isinstance(details, list):
        return 0
    counts = [an_object(one) for one in cast("list[Any]", details)]
    return sum(_count(one, "tokenCount") for one in counts if one.get("modality") in _AUDIO)


_AUDIO = ("AUDIO", 4)
"""By word and by number."""


def usage_to_wire(usage: Usage, tier: str | None = None, *, own: bool) -> Json:
    """The API's counts from our buckets; `own` are those that it counted itself."""
    extra = usage.extra if own else {}
    tools = _count(extra, "toolUsePromptTokenCount")
    prompt, said = usage.prompt_tokens - tools, usage.output + usage.output_audio
    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.total_tokens,
    }
    wire: Json = {key: count for key, count in counts.items() if count}
    if not own:
        for key, heard, all_ in (
            ("promptTokensDetails", usage.input_audio, prompt),
            ("candidatesTokensDetails", usage.output_audio, said),
        ):
            if heard:
                rest = [{"modality": "TEXT", "tokenCount": all_ - heard}] if all_ > heard else []
                wire[key] = [*rest, {"modality": "AUDIO", "tokenCount": heard}]
    if own and tier is not None and "trafficType" not in extra:
        wire["serviceTier"] = tier
    return {**wire, **extra}


def logprobs_from_wire(result: Any) -> Any:
    """Log probabilities in OpenAI's shape; the original stays with the choice."""
    said = an_object(result)
    chosen, top = said.get("chosenCandidates"), said.get("topCandidates")
    if not isinstance(chosen, list):
        return None
    others = [an_object(one).get("candidates") for one in cast("list[Any]", top)] if isinstance(top, list) else []
    content: list[Json] = []
    for at, one in enumerate(cast("list[Any]", chosen)):
        rivals: Any = others[at] if at < len(others) else None
        listed = [_token(an_object(rival)) for rival in rivals] if isinstance(rivals, list) else []  # pyright: ignore[reportUnknownVariableType]
        content.append({**_token(an_object(one)), "top_logprobs": listed})
    return {"content": content}


def _token(said: Json) -> Json:
    token = said.get("token")
    token = token if isinstance(token, str) else ""
    return {"token": token, "logprob": said.get("logProbability"), "bytes": list(token.encode("utf-8", "replace"))}


def logprobs_to_wire(logprobs: Any) -> Json | None:
    """OpenAI's log probabilities as this API has them."""
    content = an_object(logprobs).get("content")
    if not isinstance(content, list):
        return None
    tokens = [an_object(one) for one in cast("list[Any]", content)]
    return {
        "chosenCandidates": [_candidate(one) for one in tokens],
        "topCandidates": [
            {"candidates": [_candidate(an_object(rival)) for rival in one.get("top_logprobs") or ()]} for one in tokens
        ],
    }


def _candidate(token: Json) -> Json:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole answer for a caller."""
    own = reply.dialect == name
    body: Json = {}
    candidates = [_choice_to_wire(choice, own=own) for choice in reply.choices if not (own and BLOCKED in choice.extra)]
    if candidates:
        body["candidates"] = candidates
    if reply.usage is not None:
        body["usageMetadata"] = usage_to_wire(reply.usage, reply.service_tier, own=own)
    for key, value in (("modelVersion", reply.model), ("responseId", reply.id)):
        if value is not None:
            body[key] = value
    return {**body, **public(reply.extra)} if own else body


def _choice_to_wire(choice: Choice, *, own: bool) -> Json:
    wire: Json = {}
    content = content_to_wire(choice.message, own=own)
    if content is not None:
        wire["content"] = content
    word = choice.extra.get("~finishReason") if own else None
    if word is None:
        word = word_of(choice.finish, choice.word if own else None)
    if word is not None:
        wire["finishReason"] = word
    if not (own and "~unnumbered" in choice.extra):
        wire["index"] = choice.index
    if own:
        return {**wire, **public(choice.extra)}
    if metadata := grounding_of([(part.text, part.citations) for part in choice.message.parts if type(part) is Text]):
        wire["groundingMetadata"] = metadata
    if (result := logprobs_to_wire(choice.logprobs)) is not None:
        wire["logprobsResult"] = result
    return wire


def content_to_wire(message: Message, *, own: bool) -> Json | None:
    """The content of an answer."""
    if not own:
        return {"parts": foreign_parts(message.parts), "role": "model"}
    kept: Any = message.extra.get("~content", ...)
    shell: Json = {"role": "model"} if kept is ... else kept or {}
    if kept is None and not message.parts:
        return None
    parts: Json = {"parts": parts_to_wire(message.parts)} if message.parts else {}
    return {**shell, **parts, **public(message.extra)}


def foreign_parts(parts: Sequence[AnyPart]) -> list[Json]:
    """Parts of another API's answer: its unknown keys stay behind, and so do its signatures."""
    wires: list[Json] = []
    for part in parts:
        if isinstance(part, Text | Refusal) and not part.text:
            continue
        if type(part) is Thinking and part.redacted is not None:
            continue
        wire = part_to_wire(replace(part, extra={}) if part.extra else part)
        if wire is not None:
            wires.append(wire)
    return wires


def word_of(finish: str | None, word: str | None = None) -> str | None:
    """The API's word for why an answer ended: its own, or the nearest."""
    if word is not None or finish is None:
        return word
    return FINISH_WORD.get(finish, finish if finish.isupper() else "OTHER")


class _Glance(Struct, rename="camel"):
    usage_metadata: Json | None = None
    candidates: list[_CandidateGlance] = []


class _CandidateGlance(Struct, rename="camel"):
    finish_reason: str | int | None = None


_glances = msgspec.json.Decoder(_Glance)


def glance(body: bytes) -> Seen:
    """Usage, finish and tier of a whole answer that passes through; everything else is skipped, not built."""
    try:
        seen = _glances.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen()
    usage = usage_from_wire(seen.usage_metadata) if seen.usage_metadata else None
    word = seen.candidates[0].finish_reason if seen.candidates else None
    if isinstance(word, int):
        word = NUMBERED.get(word)
    finish = finish_of(word, called=b'"functionCall"' in body) if word else None
    return Seen(usage, finish, tier_of(seen.usage_metadata))
