"""Providers: what a manager asks, built in or of a class of the program's own."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

from trunkline.asking.lenient import lenient
from trunkline.interfaces.line import FOREVER, Place, line
from trunkline.vocabulary.errors import InvalidRequestError

from .faults import in_our_words
from .places import for_a_function, place_of_kind, place_of_object

Messages = Sequence[Mapping[str, Any]]


class LLMProvider(ABC):
    """Somebody who answers. A class of your own has `generate_response`; `add_provider` makes it of a config dict."""

    @abstractmethod
    async def generate_response(self, messages: list[dict[str, Any]], **kwargs: Any) -> str:
        """The text of the answer to a conversation."""

    async def generate_structured_response(
        self, messages: list[dict[str, Any]], response_format: dict[str, Any], **kwargs: Any
    ) -> dict[str, Any]:
        """The answer as an object of that format; `{"response": text}` where there is none in it."""
        return structured(await self.generate_response(asking_for(response_format, messages), **kwargs))


def asking_for(response_format: Mapping[str, Any], messages: Messages) -> list[dict[str, Any]]:
    """A copy of the conversation, that asks for a format at its end."""
    if not isinstance(messages, list | tuple) or not all(isinstance(each, Mapping) for each in cast("Any", messages)):
        raise InvalidRequestError("messages must be a list of dicts with role and content", param="messages")
    asked = [dict(message) for message in messages]
    if asked:
        words, content = f"\nPlease respond in the following JSON format: {response_format}", asked[-1].get("content")
        parts = cast("list[Any]", content) if isinstance(content, list) else []
        asked[-1]["content"] = content + words if isinstance(content, str) else [*parts, _part(words)]
    return asked


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def structured(text: str) -> dict[str, Any]:
    """The object in an answer; `{"response": text}` where there is none."""
    with contextlib.suppress(ValueError):
        value = lenient(text)
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
    return {"response": text}


class BuiltInProvider(LLMProvider):
    """One of the engine's providers, or the mock."""

    def __init__(self, kind: str, name: str, config: Mapping[str, Any]) -> None:
        self.kind = kind
        self.name = name
        self.place = place_of_kind(kind, name, config)
        self._client = line().asking({name: self.place})

    def __repr__(self) -> str:
        return f"BuiltInProvider(kind={self.kind!r}, name={self.name!r})"  # the key is left out

    async def generate_response(self, messages: Messages, **kwargs: Any) -> str:
        """Ask this provider and nobody else. Raises LLMError."""
        with in_our_words():
            return (await self._client.complete(cast("Any", messages), **kwargs)).text


class CachedLLMProvider(LLMProvider):
    """Another provider's answers, kept: the same question with the same words is asked once. Failures are not kept."""

    def __init__(self, base_provider: LLMProvider, cache_size: int = 128) -> None:
        """`cache_size`: how many answers; the one that was not asked for the longest is forgotten first."""
        self.base_provider = base_provider
        self._takes_anything = not isinstance(base_provider, BuiltInProvider)
        cache = {"always": True, "max_entries": cache_size, "seconds": A_YEAR}
        with in_our_words():
            self._client = line().asking({"cached": place_of(base_provider, "cached")}, cache=cache)

    async def generate_response(self, messages: Messages, **kwargs: Any) -> str:
        """The answer that is kept, or a new one. Raises LLMError."""
        with in_our_words():
            said = for_a_function(kwargs) if self._takes_anything else kwargs
            return (await self._client.complete(cast("Any", messages), **said)).text


A_YEAR = 365 * FOREVER


def place_of(provider: LLMProvider, name: str) -> Place:
    """Where a provider's calls go."""
    return provider.place if isinstance(provider, BuiltInProvider) else place_of_object(name, provider)
