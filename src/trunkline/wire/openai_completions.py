"""OpenAI completions: the API of the time before chat, which goes on from a text.

A prompt is one turn of the user's; an answer is text. Several prompts at once, or one in token ids, are kept whole:
only this API takes them. A conversation is written as a transcript, and so loses its form.
Source: platform.openai.com/docs/api-reference/completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.events import Ended, Event, Finished, Noted, RefusalDelta, Started, TextDelta, UsageReported
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Opaque, Refusal, Text
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Choice, Loss, Reply
from trunkline.vocabulary.requests import Operation, Request, Words
from trunkline.vocabulary.usage import Usage

from .grammar import fields, matrix
from .grammar.crossing import WHOLE, at_home
from .grammar.fields import Field, an_object, as_array, as_flag, as_object, text_at
from .grammar.sse import frame
from .openai_chat import broken, error_from_wire, error_to_wire, glance
from .openai_chat.errors import hidden_error
from .openai_chat.reply import finish_from_word, finish_word, usage_from_wire, usage_to_wire
from .openai_chat.request import asks_for_usage, stops, words_to_wire
from .openai_chat.stream import DONE, ChatDecoder, ChatTap, Growing

name: Literal["openai_completions"] = "openai_completions"
operation: Operation = "chat"
path = stream_path = "/completions"
media_type = "text/event-stream"
addressed: tuple[str, ...] = ()
required = ("model", "prompt")

__all__ = ["broken", "error_from_wire", "error_to_wire", "glance", "words_to_wire"]

SETTINGS = (
    Field("max_tokens", "max_tokens"),
    Field("temperature", "temperature"),
    Field("top_p", "top_p"),
    Field("stop", "stop", encode=list, decode=stops),
    Field("seed", "seed"),
    Field("frequency_penalty", "frequency_penalty"),
    Field("presence_penalty", "presence_penalty"),
    Field("n", "n"),
    Field("top_logprobs", "logprobs"),
    Field("logit_bias", "logit_bias"),
    Field("user", "user"),
)

says = matrix.says(SETTINGS, native="text", translated="logprobs", emulated="system system_midway")


def request_from_wire(body: Json) -> Request:
    """Read a caller's request."""
    body = dict(body)
    model = text_at(body, "model")
    if "prompt" not in body:
        raise InvalidRequestError("prompt is missing", param="prompt", code="missing_required_parameter")
    part = _prompt_from_wire(body.pop("prompt"))
    stream = as_flag(body.pop("stream", None), "stream")
    options = as_object(body.pop("stream_options", None) or {}, "stream_options")
    settings = fields.read(SETTINGS, body)
    return Request(
        model=model,
        messages=(Message("user", (part,), dialect=name),),
        settings=replace(settings, logprobs=None if settings.top_logprobs is None else True),
        stream=stream,
        include_usage=as_flag(options.get("include_usage"), "stream_options.include_usage"),
        extra=body,
        dialect=name,
    )


def _prompt_from_wire(prompt: Any) -> AnyPart:
    match prompt:
        case str():
            return Text(prompt)
        case [str(only)]:
            return Text(only, extra={"~listed": True})
        case _:
            return Opaque(name, {"type": "prompt", "prompt": as_array(prompt, "prompt")}, extra={WHOLE: True})


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request: one turn as it is, a conversation as a transcript for the model to go on with."""
    own = request.dialect == name
    request, loss = at_home(request, facts, name, says)
    losses = [*loss]
    body: Json = {"model": facts.model, "prompt": _prompt_to_wire(request.messages, losses)}
    losses += fields.write(SETTINGS, replace(request.settings, logprobs=None), facts, body, own=own)
    if request.settings.logprobs and "logprobs" not in body:
        body["logprobs"] = 0
    if request.stream:
        body["stream"] = True
    if (request.stream and facts.quirks.usage_on_request) or (own and request.include_usage):
        body["stream_options"] = {"include_usage": True}
    losses += fields.apply_quirks(body, facts)
    body.update(request.extra)
    return Written(body, tuple(losses))


def _prompt_to_wire(messages: Sequence[Message], losses: list[Loss]) -> Any:
    if len(messages) == 1 and messages[0].role == "user":
        match messages[0].parts:
            case (Opaque(body={"prompt": prompt}),):
                return prompt
            case (Text() as only,) if "~listed" in only.extra:
                return [only.text]
            case _:
                return messages[0].text
    if any(message.role in {"system", "developer"} for message in messages):
        losses.append(Loss("messages", "emulated: instructions stand in a transcript", "system"))
    turns = [f"{_SPEAKERS.get(message.role, 'User')}: {message.text}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"])


_SPEAKERS = {"system": "System", "developer": "System", "assistant": "Assistant"}


def reply_from_wire(body: Json) -> Reply:
    """Read a whole completion; an error that hides in a 200 is raised as what it is."""
    body = {key: value for key, value in body.items() if value is not None}
    if "choices" not in body:
        if "error" in body:
            raise hidden_error(body)
        raise ResponseParseError("the provider's answer has no 'choices'", body=msgspec.json.encode(body), dialect=name)
    usage = body.pop("usage", None)
    if body.get("object") == "text_completion":
        del body["object"]
    try:
        choices = as_array(body.pop("choices"), "choices")
        return Reply(
            id=body.pop("id", None),
            model=body.pop("model", None),
            created=body.pop("created", None),
            service_tier=body.pop("service_tier", None),
            choices=tuple(_choice_from_wire(choice, at) for at, choice in enumerate(choices)),
            usage=usage_from_wire(usage) if usage else None,
            extra=body,
            dialect=name,
        )
    except InvalidRequestError as error:  # the reader's complaint, but about the provider's words
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None


def _choice_from_wire(value: Any, at: int) -> Choice:
    body = as_object(value, f"choices[{at}]")
    text = body.pop("text", None) or ""
    index, word = body.pop("index", at), body.pop("finish_reason", None)
    extra = {key: inside for key, inside in body.items() if inside is not None and key != "logprobs"}
    return Choice(
        Message("assistant", (Text(text),), dialect=name),
        finish=finish_from_word(word, called=False),
        index=index,
        word=word,
        logprobs=logprobs_from_wire(body.get("logprobs")),
        extra=extra,
    )


def logprobs_from_wire(said: Any) -> Any:
    """Lists side by side, as the list of objects that chat completions have; the offsets are kept beside it."""
    if said is None:
        return None
    lists = an_object(said)
    likely: list[Any] = lists.get("top_logprobs") or []
    tokens: list[Any] = lists.get("tokens") or []
    chances: list[Any] = lists.get("token_logprobs") or []
    content: list[Json] = []
    for at, (token, chance) in enumerate(zip(tokens, chances, strict=False)):
        others = an_object(likely[at]).items() if at < len(likely) else ()
        top = [{"token": other, "logprob": value} for other, value in others]
        content.append({"token": token, "logprob": chance, "top_logprobs": top})
    return {"content": content, "text_offset": lists.get("text_offset") or []}


def logprobs_to_wire(logprobs: Any) -> Json | None:
    """The lists again."""
    if logprobs is None:
        return None
    content = [an_object(one) for one in an_object(logprobs).get("content") or ()]
    return {
        "tokens": [one.get("token") for one in content],
        "token_logprobs": [one.get("logprob") for one in content],
        "top_logprobs": [
            {other.get("token"): other.get("logprob") for other in map(an_object, one.get("top_logprobs") or ())}
            for one in content
        ],
        "text_offset": an_object(logprobs).get("text_offset") or [],
    }


def reply_to_wire(reply: Reply) -> Json:
    """Write a whole completion for a caller: the text of each choice."""
    own = reply.dialect == name
    body: Json = {
        "id": reply.id or "",
        "object": "text_completion",
        "created": reply.created or 0,
        "model": reply.model or "",
        "choices": [_choice_to_wire(choice, own=own) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = usage_to_wire(reply.usage, own=own)
    if reply.service_tier is not None:
        body["service_tier"] = reply.service_tier
    return {**body, **reply.extra} if own else body


def _choice_to_wire(choice: Choice, *, own: bool) -> Json:
    said = "".join(part.text for part in choice.message.parts if isinstance(part, Text | Refusal))
    wire: Json = {
        "text": said,
        "index": choice.index,
        "logprobs": logprobs_to_wire(choice.logprobs),
        "finish_reason": choice.word if own and choice.word is not None else finish_word(choice.finish),
    }
    return {**wire, **choice.extra} if own else wire


def decoder() -> CompletionsDecoder:
    """A reader for one stream."""
    return CompletionsDecoder()


def encoder(request: Request) -> CompletionsEncoder:
    """A writer for the stream that answers `request`."""
    return CompletionsEncoder(request.include_usage)


def tap(words: Words) -> ChatTap:
    """A watcher for the stream that answers `words` and passes through."""
    return ChatTap(asks_for_usage(words), CompletionsDecoder())


class CompletionsDecoder(ChatDecoder):
    """Reads a provider's stream: its chunks are those of chat completions, its choices hold text."""

    dialect = name

    def _choice(self, choice: Json, events: list[Event]) -> None:
        at: int = choice.get("index") or 0
        growing = self._choices.setdefault(at, Growing())
        text, logprobs = choice.get("text"), choice.get("logprobs")
        if text or logprobs is not None:
            events.append(TextDelta(choice=at, delta=text or "", logprobs=logprobs_from_wire(logprobs)))
        growing.learn({key: value for key, value in choice.items() if key not in _CHOICE and value is not None})
        self._settle(at, growing, choice.get("finish_reason"), events)


_CHOICE = frozenset({"index", "text", "logprobs", "finish_reason", "obfuscation"})


class CompletionsEncoder:
    """Writes a stream for a caller: text, one finish a choice, usage if asked for, `[DONE]`."""

    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: Json = {"id": "", "object": "text_completion", "created": 0, "model": ""}
        self._usage: Usage | None = None
        self._own = False

    def encode(self, events: list[Event]) -> bytes:
        """These events as chunks."""
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._chunk(event.choice, event.delta, logprobs=logprobs_to_wire(event.logprobs))
            case RefusalDelta():
                return self._chunk(event.choice, event.delta)
            case Finished():
                word = event.word if self._own and event.word else finish_word(event.finish)
                return self._chunk(event.choice, "", finish=word, extra=event.extra if self._own else {})
            case Started():
                self._own = event.dialect == name
                known: Json = {"id": event.id, "model": event.model, "created": event.created}
                self._head |= {key: value for key, value in known.items() if value is not None}
                if self._own:
                    self._head |= event.extra
            case UsageReported():
                self._usage = event.usage
            case Noted(of="choice") if self._own:
                return self._chunk(event.choice, "", extra=event.extra)
            case Noted(of="reply") if self._own:
                self._head |= event.extra
            case Ended():
                return self._end()
            case _:
                pass
        return b""

    def _chunk(
        self, choice: int, text: str, *, finish: str | None = None, logprobs: Any = None, extra: Json | None = None
    ) -> bytes:
        wire: Json = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": finish, **(extra or {})}
        return frame(msgspec.json.encode({**self._head, "choices": [wire]}))

    def _end(self) -> bytes:
        usage = b""
        if self._include_usage and self._usage is not None:
            counts = usage_to_wire(self._usage, own=self._own)
            usage = frame(msgspec.json.encode({**self._head, "choices": [], "usage": counts}))
        return usage + frame(DONE)
