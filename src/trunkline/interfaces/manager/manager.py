"""Manager: providers by name, which of them is asked, and who then."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from trunkline.client import AsyncClient
from trunkline.config.file import suggestion
from trunkline.interfaces.line import Place, line, place_of_function
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Reply

from .faults import LLMConfigurationError, in_our_words
from .places import for_a_function
from .providers import (
    BuiltInProvider,
    LLMProvider,
    Messages,
    asking_for,
    place_of,
    structured,
)

logger = logging.getLogger("trunkline.interfaces.manager")

ProviderClass = Callable[[dict[str, Any]], LLMProvider]
Number = TypeVar("Number", int, float)


class LLMManager:
    """Providers by name. One of them is the default: the first, unless another is set."""

    def __init__(self) -> None:
        self._providers: dict[str, LLMProvider] = {}
        self._places: dict[str, Place] = {}
        self._classes: dict[str, ProviderClass] = {}
        self._default: str | None = None
        self._sequence: tuple[str, ...] = ()
        self._clients: dict[tuple[tuple[str, ...], str | None], AsyncClient] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._providers)})"

    # -- who there is --------------------------------------------------------------------------------------------------

    def add_provider(self, name: str, provider: str | LLMProvider, config: Mapping[str, Any] | None = None) -> None:
        """Add a provider under a name, or replace the one that has it: `openai`, `anthropic`, `mock`, any other that
        the engine knows, a class that was registered, or an object that is there already. Raises LLMError where its
        configuration makes no sense."""
        with in_our_words():
            made = provider if isinstance(provider, LLMProvider) else self._made(name, provider, config)
            place = place_of(made, name)
            line().asking({name: place})  # what makes no sense is told here, not by a call
        self._providers[name], self._places[name] = made, place
        self._default = self._default or name
        self._clients.clear()

    def _made(self, name: str, kind: Any, config: Any) -> LLMProvider:
        if not isinstance(name, str) or not name:
            raise LLMConfigurationError(f"a provider's name is a word, not {name!r}")
        if not isinstance(kind, str):
            raise LLMConfigurationError(f"{name}: a provider is 'openai', 'anthropic', 'mock' …, not {kind!r}")
        if config is not None and not isinstance(config, Mapping):
            raise LLMConfigurationError(f"{name}: its configuration is a dict, not {type(config).__name__}")
        said = dict(cast("Mapping[str, Any]", config or {}))
        own = self._classes.get(kind)
        if own is None:
            return BuiltInProvider(kind, name, said)
        try:
            return own(said)
        except KeyError as error:
            raise LLMConfigurationError(f"{name}: its configuration has no {error}") from error

    def register_provider_class(self, kind: str, cls: ProviderClass) -> None:
        """A word for a class of the program's own: `add_provider` calls it with the configuration."""
        if not callable(getattr(cls, "generate_response", None)):
            raise LLMConfigurationError(f"{cls!r} has no generate_response: inherit from LLMProvider")
        self._classes[kind] = cls

    def get_provider(self, name: str | None = None) -> LLMProvider:
        """The provider of that name, else the default."""
        return self._providers[self.named(name)]

    def get_available_providers(self) -> list[str]:
        """The names, in the order in which they were added."""
        return list(self._providers)

    def set_default_provider(self, name: str) -> None:
        """Who is asked where nobody is named."""
        self._default = self.named(name)

    def set_failover_sequence(self, names: Sequence[str]) -> None:
        """Who is asked, in order, when one fails."""
        if not isinstance(names, list | tuple):
            raise LLMConfigurationError(f"the failover sequence is a list of names, not {names!r}")
        self._sequence = tuple(self.named(name) for name in names)

    def named(self, name: str | None) -> str:
        """The name of somebody who is there: the default, where nobody is named."""
        name = name or self._default
        if name is None:
            raise LLMConfigurationError("there is no provider yet: add one with add_provider")
        if name not in self._providers:
            raise LLMConfigurationError(f"no provider is called '{name}'{suggestion(name, self._providers)}")
        return name

    # -- asking --------------------------------------------------------------------------------------------------------

    async def generate_response(self, provider_name: str | None, messages: Messages, **kwargs: Any) -> str:
        """The text of the answer of a provider; where it fails and there is a failover sequence, of the next one in
        it. What `kwargs` say counts more than its configuration. Raises LLMError."""
        return (await self._reply(provider_name, messages, **self._words(provider_name, kwargs))).text

    async def generate_structured_response(
        self, provider_name: str | None, messages: Messages, response_format: Mapping[str, Any], **kwargs: Any
    ) -> dict[str, Any]:
        """The answer as an object of that format; `{"response": text}` where there is none in it."""
        with in_our_words():
            asked = asking_for(response_format, messages)
        own = self._own_way(self.named(provider_name), messages, response_format, kwargs)
        said = self._words(provider_name, kwargs)
        return structured((await self._reply(provider_name, asked, own=own, **said)).text)

    def _words(self, name: str | None, kwargs: Json) -> Json:
        """What is said to whoever is asked first: a function of the program's own takes any word."""
        return for_a_function(kwargs) if self._places[self._order(name)[0]].in_python else kwargs

    def _own_way(
        self, name: str, messages: Messages, response_format: Mapping[str, Any], kwargs: Mapping[str, Any]
    ) -> Place | None:
        """Where a class of the program's own has a way to answer with objects: it is asked in that way."""
        provider = self._providers[name]
        if type(provider).generate_structured_response is LLMProvider.generate_structured_response:
            return None

        async def answer(body: Json) -> str:
            asked = [dict(message) for message in messages]
            given = await provider.generate_structured_response(asked, dict(response_format), **kwargs)
            return msgspec.json.encode(given).decode()

        return place_of_function(name, answer)

    async def complete(self, messages: Any, model: str | None = None, **kwargs: Any) -> Reply:
        """The whole reply of the provider that `model` names; of nobody in particular, the failover sequence's first is
        asked, or the default. This is what agents ask."""
        return await self._reply(model, messages, **kwargs)

    async def _reply(self, name: str | None, messages: Any, *, own: Place | None = None, **kwargs: Any) -> Reply:
        """The reply of the first who answers. `own`: how the one who is named is asked this time."""
        with in_our_words():
            order = self._order(name)
            model = kwargs.pop("model", None)
            client = self._client(order, model) if own is None else line().asking(self._asked(order) | {order[0]: own})
            return await client.complete(messages, **kwargs)

    def calls_tools(self, model: str | None = None) -> bool:
        """Whether a provider has tools of its own: who is a function of this program has not."""
        order = self._order(model)
        return not any(self._places[name].in_python for name in order) and self._client(order, None).calls_tools()

    def _order(self, name: str | None) -> tuple[str, ...]:
        """Who is asked, in order."""
        if name is None and self._sequence:
            return self._sequence
        first = self.named(name)
        return (first, *(other for other in self._sequence if other != first))

    def _asked(self, order: Sequence[str]) -> dict[str, Place]:
        return {name: self._places[name] for name in order}

    def _client(self, order: tuple[str, ...], model: str | None) -> AsyncClient:
        client = self._clients.get((order, model))
        if client is None:
            places = self._asked(order)
            if model is not None:
                first = places[order[0]]
                kind = first.target["model"].partition("/")[0]
                places[order[0]] = replace(first, target={**first.target, "model": f"{kind}/{model}"})
            client = self._clients[order, model] = line().asking(places)
        return client


class MonitoredLLMManager(LLMManager):
    """A manager that counts: calls, failures and tokens, those of agents too."""

    def __init__(self) -> None:
        super().__init__()
        self.usage_stats: dict[str, Any] = {"requests": 0, "tokens_used": 0.0, "errors": 0, "by_provider": {}}

    async def _reply(self, name: str | None, messages: Any, *, own: Place | None = None, **kwargs: Any) -> Reply:
        """Counted under the name that was asked."""
        asked, clock = self._order(name)[0], line().runtime.clock
        began = clock.now()
        stats = self.usage_stats
        theirs: dict[str, int] = stats["by_provider"].setdefault(asked, {"requests": 0, "errors": 0})
        for counts in (stats, theirs):
            counts["requests"] += 1
        try:
            reply = await super()._reply(name, messages, own=own, **kwargs)
        except Exception as error:
            for counts in (stats, theirs):
                counts["errors"] += 1
            logger.error("LLM request to %s failed: %s", asked, getattr(error, "kind", type(error).__name__))  # noqa: TRY400
            raise
        usage = reply.usage
        stats["tokens_used"] += usage.total_tokens if usage is not None else _estimated(messages)
        logger.info("LLM request to %s completed in %.2fs", asked, clock.now() - began)
        return reply

    def get_usage_report(self) -> dict[str, Any]:
        """`total_requests`, `total_errors`, `success_rate` from 0 to 1, `estimated_tokens`, `by_provider`."""
        requests, errors = self.usage_stats["requests"], self.usage_stats["errors"]
        return {
            "total_requests": requests,
            "total_errors": errors,
            "success_rate": (requests - errors) / max(1, requests),
            "estimated_tokens": self.usage_stats["tokens_used"],
            "by_provider": self.usage_stats["by_provider"],
        }


TOKENS_IN_A_WORD = 1.3


def _estimated(messages: Any) -> float:
    """About how many tokens were read, where the provider does not say."""
    turns = [cast("Mapping[str, Any]", each) for each in messages if isinstance(each, Mapping)]
    said: list[Any] = [turn.get("content") for turn in turns]
    return TOKENS_IN_A_WORD * sum(len(content.split()) for content in said if isinstance(content, str))


# -- from the environment ----------------------------------------------------------------------------------------------


def create_llm_manager_from_env() -> LLMManager:
    """A manager with those providers whose key is set: `openai` and `claude`. Raises LLMError that names a variable
    that is no number."""
    manager = LLMManager()
    if key := os.environ.get("OPENAI_API_KEY"):
        manager.add_provider(
            "openai",
            "openai",
            {
                "api_key": key,
                "model": os.environ.get("OPENAI_MODEL", "gpt-4"),
                "temperature": _number("OPENAI_TEMPERATURE", 0.7, float),
                "max_tokens": _number("OPENAI_MAX_TOKENS", 500, int),
            },
        )
    if key := os.environ.get("ANTHROPIC_API_KEY"):
        manager.add_provider(
            "claude",
            "anthropic",
            {
                "api_key": key,
                "model": os.environ.get("ANTHROPIC_MODEL", "claude-3-sonnet-20240229"),
                "max_tokens": _number("ANTHROPIC_MAX_TOKENS", 500, int),
            },
        )
    default = os.environ.get("DEFAULT_LLM_PROVIDER", "openai")
    if default in manager.get_available_providers():
        manager.set_default_provider(default)
    return manager


def _number(variable: str, usual: Number, kind: type[Number]) -> Number:
    said = os.environ.get(variable)
    if not said:
        return usual
    try:
        return kind(said)
    except ValueError:
        raise LLMConfigurationError(f"{variable} must be a number, not {said!r}") from None
