"""Requests: messages, tools, form and settings together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.requests import EmbeddingRequest, ModerationRequest, Request, RerankRequest
from trunkline.vocabulary.rules import Rules
from trunkline.vocabulary.settings import settings_from

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
        settings=settings_from(settings, _BESIDE),
        stream=stream,
        include_usage=stream,
    )


def _model(model: Any) -> str:
    if not isinstance(model, str):
        raise InvalidRequestError(f"model must be text, as in openai/gpt-4o, not {type(model).__name__}", param="model")
    return model


_BESIDE = ("model", "system", "tools", "tool_choice", "response_format", *Rules.__struct_fields__)
"""What else a call takes by name."""


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
