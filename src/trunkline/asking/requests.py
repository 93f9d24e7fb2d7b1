"""Requests: messages, tools, form and settings together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import EmbeddingRequest, ModerationRequest, Request, RerankRequest, Settings
from trunkline.vocabulary.rules import Rules
from trunkline.vocabulary.tools import Reasoning

from .forms import Form
from .messages import Messages, messages_from
from .tools import Callables, choice_from, tools_from


def request_from(
    model: str,
    messages: Messages,
    *,
    system: str | None = None,
    tools: Sequence[Callables] = (),
    tool_choice: Any = None,
    form: Form | None = None,
    stream: bool = False,
    settings: Mapping[str, Any],
) -> Request:
    """A chat request. A setting that has no word of ours is an error that names those there are."""
    made = tools_from(tools) if tools else ()
    return Request(
        model=_model(model),
        messages=messages_from(messages, system),
        tools=made,
        tool_choice=choice_from(tool_choice, made),
        response_format=form.format if form is not None else None,
        settings=_settings(dict(settings)),
        stream=stream,
        include_usage=stream,
    )


def _model(model: Any) -> str:
    if not isinstance(model, str):
        raise InvalidRequestError(f"model must be text, as in openai/gpt-4o, not {type(model).__name__}", param="model")
    return model


_KNOWN = frozenset(Settings.__struct_fields__)
_BESIDE = ("model", "system", "tools", "tool_choice", "response_format", *Rules.__struct_fields__)
"""What else a call takes by name."""


def _settings(said: Json) -> Settings:
    dials = {name: value for name, value in said.items() if value is not None}
    if isinstance(stop := dials.get("stop"), str):
        dials["stop"] = (stop,)
    if isinstance(effort := dials.pop("reasoning_effort", None), str):
        dials["reasoning"] = Reasoning(off=True) if effort == "none" else Reasoning(effort=effort)
    if (most := dials.pop("max_completion_tokens", None)) is not None:
        dials["max_tokens"] = most
    for name in said:
        if name not in _KNOWN and name not in _OTHER_WORDS:
            raise _unknown(name)
    try:
        return msgspec.convert(dials, Settings)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise InvalidRequestError(f"{name}: {what[:1].lower()}{what[1:]}", param=name) from None


_OTHER_WORDS = frozenset({"reasoning_effort", "max_completion_tokens"})
"""OpenAI's words for settings that have another name here."""


def _unknown(name: str) -> InvalidRequestError:
    if name == "stream":
        return InvalidRequestError("complete() gives whole answers: use client.stream(…) instead", param=name)
    close = get_close_matches(name, [*_KNOWN, *_OTHER_WORDS, *_BESIDE], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return InvalidRequestError(
        f"unknown setting '{name}'; there are {', '.join(sorted(_KNOWN))}.{hint} What only a provider knows goes into "
        "extra_body",
        param=name,
    )


def rerank_request_from(
    model: str, query: str, documents: Sequence[str | Json], top_n: int | None, extra: Json
) -> RerankRequest:
    """A ranking to ask for."""
    if isinstance(documents, str) or not documents:
        raise InvalidRequestError("documents must be a list of texts, and not empty", param="documents")
    return RerankRequest(model=_model(model), query=query, documents=tuple(documents), top_n=top_n, extra=extra)


def moderation_request_from(model: str, said: Any) -> ModerationRequest:
    """Something to be judged: a text, several, or the parts of one message."""
    if isinstance(said, str):
        return ModerationRequest(model=_model(model), inputs=((Text(said),),), form="text")
    parts = list(said)
    if parts and all(isinstance(part, str) for part in parts):
        return ModerationRequest(model=_model(model), inputs=tuple((Text(part),) for part in parts))
    if not parts:
        raise InvalidRequestError("input must not be empty", param="input")
    (message,) = messages_from([{"role": "user", "content": parts}])
    return ModerationRequest(model=_model(model), inputs=(message.parts,), form="parts")


def embedding_request_from(model: str, texts: str | Sequence[str], dimensions: int | None) -> EmbeddingRequest:
    """An embedding request for one text or several."""
    inputs: tuple[Any, ...] = (texts,)
    if isinstance(texts, Sequence) and not isinstance(texts, str | bytes | bytearray):
        inputs = tuple(texts)
    if not inputs or not all(isinstance(text, str) for text in inputs):
        raise InvalidRequestError("embed takes a text or a list of texts, at least one", param="input")
    if dimensions is not None and (not isinstance(dimensions, int) or dimensions < 1):
        raise InvalidRequestError(f"dimensions must be a whole number from 1 up, not {dimensions}", param="dimensions")
    return EmbeddingRequest(model=_model(model), input=inputs, dimensions=dimensions, single=isinstance(texts, str))
