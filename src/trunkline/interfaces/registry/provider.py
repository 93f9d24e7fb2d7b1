"""Provider: `LLMProvider`, from which a program makes its own, and those that ask through the engine.

Owns the shape of an answer, and how several providers are one route: the engine asks them in order, each in its own
manner, and stops at the first that answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

from trunkline.client import AsyncClient
from trunkline.interfaces.line import Place, line, place_of_function
from trunkline.vocabulary.errors import InvalidRequestError, TrunklineError
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Reply

from .errors import ours

Messages = Sequence[Mapping[str, Any]]

TEMPERATURE = 0.7
MOST_CLIENTS = 100
COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens")


class _Open(dict[str, Any]):
    """A dict whose keys are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class LLMCompletion(_Open):
    """An answer: a dict whose keys are attributes, too."""

    content: str
    model: str
    """The model that answered, as its provider names it."""
    provider: str
    """The name of the provider that answered."""
    usage: Any
    """`prompt_tokens`, `completion_tokens` and `total_tokens`."""
    finish_reason: str | None
    response_time_ms: float
    """Milliseconds of the whole call, waits and every attempt included."""


class LLMProvider(ABC):
    """A provider. One of a program's own says its name and how it is asked; the rest may stay as it is."""

    _initialized = False

    @property
    @abstractmethod
    def provider_name(self) -> str:
        """A word without '/'."""

    @property
    def default_model(self) -> str:
        """What is asked where a call names no model."""
        return ""

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` was called, and `shutdown` not since."""
        return self._initialized

    async def initialize(self) -> None:
        """Get ready; calls do so by themselves. Raises LLMProviderError where it cannot."""
        self._initialized = True

    async def shutdown(self) -> None:
        """Let go of what is held; safe at any time, and a later call begins anew."""
        self._initialized = False

    async def close(self) -> None:
        """The same as `shutdown`."""
        await self.shutdown()

    async def generate_completion(
        self,
        prompt: str,
        model: str | None = None,
        temperature: float | None = TEMPERATURE,
        max_tokens: int | None = None,
        agent_type: str | None = None,
        **options: Any,
    ) -> LLMCompletion:
        """Answer a text: a conversation of one turn."""
        talk = [{"role": "user", "content": prompt}]
        return await self.generate_chat_completion(talk, model, temperature, max_tokens, agent_type, **options)

    @abstractmethod
    async def generate_chat_completion(
        self,
        messages: Messages,
        model: str | None = None,
        temperature: float | None = TEMPERATURE,
        max_tokens: int | None = None,
        agent_type: str | None = None,
        **options: Any,
    ) -> LLMCompletion:
        """Answer a conversation. `agent_type` says who asks. One of a program's own may give a plain dict with
        `content`, or a text, and raises LLMProviderError: whichever it is decides whether another is asked."""

    def is_ready(self) -> bool:
        """Whether it lacks nothing that can be seen without asking it."""
        return True

    def place(self, model: str | None, agent_type: str | None) -> tuple[str, Place]:
        """Under which name the engine finds it, and where. One of a program's own is a function that retries by
        itself."""

        async def asked(body: Json) -> Any:
            if not self.is_initialized:
                await self.initialize()
            said = {name: value for name, value in body.items() if name not in ("model", "messages")}
            temperature, max_tokens = said.pop("temperature", None), said.pop("max_tokens", None)
            messages = body["messages"]
            result = await self.generate_chat_completion(messages, model, temperature, max_tokens, agent_type, **said)
            return _chat(result)

        return self.provider_name, place_of_function(self.provider_name, asked)


class EngineProvider(LLMProvider):
    """A provider whose calls are the engine's: it only says where they may go."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str | None, str | None], AsyncClient] = {}

    @abstractmethod
    def places(self, model: str | None, agent_type: str | None) -> Mapping[str, Place]:
        """Where a call may go, in order, by name."""

    async def initialize(self) -> None:
        """Read what the machine says. Raises LLMProviderError where something is missing; asks nobody."""
        if not self._initialized:
            self._clients.clear()
            self._check()
        await super().initialize()

    async def shutdown(self) -> None:
        """Forget what was read. The connections are everyone's and stay."""
        self._clients.clear()
        await super().shutdown()

    def is_ready(self) -> bool:
        """Whether there is a key, and all that is said makes sense."""
        try:
            self._check()
        except TrunklineError:
            return False
        return True

    async def generate_chat_completion(
        self,
        messages: Messages,
        model: str | None = None,
        temperature: float | None = TEMPERATURE,
        max_tokens: int | None = None,
        agent_type: str | None = None,
        **options: Any,
    ) -> LLMCompletion:
        """Answer a conversation. Options are those of `trunkline.AsyncClient.complete`: `timeout`, `stop`, …. Raises
        LLMProviderError."""
        if not self._initialized:
            await self.initialize()
        try:
            for said, called in ((model, "model"), (agent_type, "agent_type")):
                if said is not None and not isinstance(said, str):
                    raise InvalidRequestError(f"{called} is a name, not {said!r}", param=called)
            client = self._client(model, agent_type)
            reply = await client.complete(_talk(messages), temperature=temperature, max_tokens=max_tokens, **options)
        except TrunklineError as error:
            raise ours(error) from error
        return _completion(reply)

    def _client(self, model: str | None, agent_type: str | None) -> AsyncClient:
        client = self._clients.get((model, agent_type))
        if client is None:
            client = line().asking(self.places(model, agent_type))
            if len(self._clients) >= MOST_CLIENTS:
                self._clients.clear()
            self._clients[model, agent_type] = client
        return client

    def _check(self) -> None:
        """A request is written, and not sent: whatever is missing for it is told."""
        try:
            self._client(None, None).render("Hello!")
        except TrunklineError as error:
            raise ours(error) from error


class PreferredProvider(EngineProvider):
    """The preferred provider, and who is asked when it cannot answer. A model that a call names is the preferred one's:
    the others ask their own."""

    def __init__(self, preferred: LLMProvider, asked: Sequence[LLMProvider]) -> None:
        """`asked` are those who can be asked at all, in order."""
        super().__init__()
        self._preferred = preferred
        self._asked = asked

    @property
    def provider_name(self) -> str:
        """The preferred one's."""
        return self._preferred.provider_name

    @property
    def default_model(self) -> str:
        """The preferred one's."""
        return self._preferred.default_model

    async def shutdown(self) -> None:
        """Shut down all who are asked."""
        for one in self._asked:
            await one.shutdown()
        await super().shutdown()

    def places(self, model: str | None, agent_type: str | None) -> Mapping[str, Place]:
        """One for each."""
        return dict(one.place(model if one is self._preferred else None, agent_type) for one in self._asked)


def _talk(messages: Any) -> Any:
    turns = cast("Sequence[Any]", messages if isinstance(messages, list | tuple) else ())
    if not turns or not all(isinstance(turn, Mapping) and _says(cast("Json", turn)) for turn in turns):
        raise InvalidRequestError("messages must be a list of dicts with role and content", param="messages")
    return turns


def _says(turn: Json) -> bool:
    return "role" in turn and (turn.get("content") is not None or bool(turn.get("tool_calls")))


def _completion(reply: Reply) -> LLMCompletion:
    usage = reply.usage
    return LLMCompletion(
        content=reply.text,
        model=reply.model,
        provider=(reply.target or "").partition("/")[0],
        usage=_Open({name: getattr(usage, name, 0) for name in COUNTED}),
        finish_reason=reply.choices[0].finish_reason if reply.choices else None,
        response_time_ms=round((reply.seconds or 0.0) * 1000, 3),
    )


def _chat(result: Any) -> Any:
    """What a provider of the program's own gave, as a chat completion; a text stays one."""
    if not isinstance(result, Mapping):
        return result
    said = cast("Mapping[str, Any]", result)
    message = {"role": "assistant", "content": said["content"]}
    choice = {"index": 0, "message": message, "finish_reason": said.get("finish_reason") or "stop"}
    return {"object": "chat.completion", "model": said.get("model"), "choices": [choice], "usage": said.get("usage")}
