"""Places: where a provider's calls go.

Owns the words of a provider's configuration (`max_retries`, `connection_pool_size`, …) and what they come to: a target
of the engine, or a Python function that stands in the place of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Protocol, cast

import msgspec
from msgspec import Meta, Struct

from trunkline.config.shapes import Count, CountFromZero, Seconds, SecondsFromZero
from trunkline.interfaces.line import Place, line, manner, place_of_function
from trunkline.providers.function import Function
from trunkline.providers.provider import Provider
from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.settings import KNOWN, OTHER_WORDS, settings_from

from .faults import LLMConfigurationError

USUAL_MODELS = {"openai": "gpt-4", "anthropic": "claude-3-sonnet-20240229"}
MOCK_DELAY = 0.1
MOCK_RESPONSE = "This is a mock response."


class ProviderConfig(Struct, frozen=True, kw_only=True):
    """What a built-in provider can be told, beside the settings of its requests."""

    api_key: str | None = None
    model: str | None = None
    base_url: str | None = None
    organization: str | None = None
    timeout: Seconds = 30.0
    """Seconds of an attempt."""
    max_retries: CountFromZero = 3
    """How often a call asks again after its first attempt."""
    retry_delay: SecondsFromZero = 1.0
    backoff_factor: Annotated[float, Meta(ge=1)] = 2.0
    connection_pool_size: Count | None = None
    """How many connections are kept."""
    connection_pool_maxsize: Count | None = None
    """How many there are at the most."""
    keep_alive: bool = True


class MockConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the mock answers."""

    responses: dict[str, str] = {}
    """Answers by a word of the last question; `default` is for the rest."""
    default_response: str | None = None
    delay: SecondsFromZero = MOCK_DELAY
    """Seconds before an answer."""
    api_key: str | None = None
    model: str | None = None


def place_of_kind(kind: str, name: str, config: Mapping[str, Any]) -> Place:
    """Where the calls to a built-in provider go. Raises LLMConfigurationError that says what to change."""
    if kind == "mock":
        return place_of_function(name, scripted(_converted(config, MockConfig, name)))
    catalog = line().catalog
    if kind not in catalog:
        known = ["openai", "anthropic", "mock", *catalog.names()]
        close = get_close_matches(kind, known, n=1)
        hint = f", did you mean '{close[0]}'?" if close else ": register its class first, with register_provider_class"
        raise LLMConfigurationError(f"unknown provider '{kind}'{hint}")
    settings = {word: value for word, value in config.items() if word in KNOWN or word in OTHER_WORDS}
    said = {word: value for word, value in config.items() if word not in settings and value not in (None, "")}
    for word in said:
        if word not in ProviderConfig.__struct_fields__:
            close = get_close_matches(word, [*ProviderConfig.__struct_fields__, *KNOWN], n=1)
            hint = f", did you mean '{close[0]}'?" if close else ""
            raise LLMConfigurationError(f"{name}: unknown word '{word}' in its configuration{hint}", param=word)
    own = _converted(said, ProviderConfig, name)
    try:
        settings_from(settings)
    except InvalidRequestError as error:
        raise LLMConfigurationError(f"{name}: {error.message}", param=error.param) from None
    row = catalog[kind]
    model = own.model or USUAL_MODELS.get(kind) or row.own_models.get("chat")
    if not model:
        raise LLMConfigurationError(f"{name}: no model is named in its configuration", param="model")
    if own.api_key is None and row.key_env and row.credential is None and not row.key_optional and not _has_key(row):
        raise LLMConfigurationError(f"{name} has no api_key: give it one, or set {row.key_env}", param="api_key")
    return Place(_target(kind, model, own, settings))


def _target(kind: str, model: str, own: ProviderConfig, settings: Json) -> Json:
    target: Json = {
        "model": f"{kind}/{model}",
        "api_key": own.api_key,
        "base_url": own.base_url,
        "headers": {"OpenAI-Organization": own.organization} if own.organization else {},
        "settings": settings,
        **manner(
            retries=own.max_retries,
            timeout=own.timeout,
            first=own.retry_delay,
            factor=own.backoff_factor,
            always_moves=True,
        ),
    }
    if own.connection_pool_size or own.connection_pool_maxsize or not own.keep_alive:
        kept = own.connection_pool_size if own.keep_alive else 0
        target["connections"] = {"most": own.connection_pool_maxsize or own.connection_pool_size, "kept": kept}
    return target


def _has_key(row: Provider) -> bool:
    said = line().config.providers.get(row.name)
    variables = (row.key_env or "", *row.key_env_also)
    return any(os.environ.get(variable) for variable in variables) or bool(said is not None and said.api_key)


def _converted(said: Mapping[str, Any], kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(dict(said), kind)
    except msgspec.ValidationError as error:
        raise LLMConfigurationError(f"{name}: {error}") from None


# -- functions ---------------------------------------------------------------------------------------------------------


class Answers(Protocol):
    """What a class of the program's own offers."""

    async def generate_response(self, messages: list[dict[str, Any]], **kwargs: Any) -> str: ...


def place_of_object(name: str, provider: Answers) -> Place:
    """An object of a program's own class in the place of a target: it is asked with what the call says, and no more."""

    async def ask(body: Json) -> str:
        messages = body.pop("messages")
        return await provider.generate_response(messages, **{k: v for k, v in body.items() if k not in _ENGINES})

    return place_of_function(name, ask)


_ENGINES = frozenset({"model", "stream", "stream_options"})
"""What the engine says in a body."""


def for_a_function(kwargs: Mapping[str, Any]) -> Json:
    """What is said to a function of the program's own, which takes any word: those that the engine has none for go
    beside."""
    known = {word: value for word, value in kwargs.items() if word in _WORDS}
    others = {word: value for word, value in kwargs.items() if word not in _WORDS}
    return {**known, "extra_body": {**known.get("extra_body", {}), **others}} if others else known


_WORDS = frozenset({*KNOWN, *OTHER_WORDS, "tools", "tool_choice", "stream", "extra_body"})


def scripted(said: MockConfig) -> Function:
    """Answers by a word of the last question, in whichever case; the first that fits."""
    otherwise = said.default_response or said.responses.get("default") or MOCK_RESPONSE

    async def answer(body: Json) -> str:
        if said.delay:
            await line().runtime.clock.sleep(said.delay)
        question = _last_question(body.get("messages") or []).lower()
        words = (word for word in said.responses if word != "default" and word.lower() in question)
        return said.responses.get(next(words, ""), otherwise)

    return answer


def _last_question(messages: Sequence[Json]) -> str:
    asked = [message.get("content") for message in messages if message.get("role") == "user"]
    content = asked[-1] if asked else ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in cast("list[Json]", content or []))
