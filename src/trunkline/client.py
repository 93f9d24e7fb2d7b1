"""The asynchronous client: `complete`, `stream`, `embed`, `rerank`, `moderate`, `count_tokens`.

Owns the words in which a program asks, and the stream it reads. Behaviour is the engine's; the synchronous client in
`portal` is a door to this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline import config as configuration
from trunkline.asking import (
    NOTHING,
    Callables,
    Form,
    Growing,
    Messages,
    embedding_request_from,
    form_from,
    moderation_request_from,
    parsed,
    request_from,
    rerank_request_from,
)
from trunkline.compose import NO_RULES, Engine, merged
from trunkline.opening import opened
from trunkline.providers.exchange import masked, speak
from trunkline.providers.keys import Key
from trunkline.providers.mock import MockAnswer
from trunkline.providers.provider import Provider
from trunkline.runtime import Runtime
from trunkline.snapshot import Available, Snapshot
from trunkline.vocabulary.calls import Answer, Call
from trunkline.vocabulary.decisions import Decision
from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError, TrunklineError
from trunkline.vocabulary.events import Event
from trunkline.vocabulary.replies import (
    Accumulator,
    EmbeddingReply,
    Loss,
    ModerationReply,
    Reply,
    RerankReply,
    TokenCount,
)
from trunkline.vocabulary.requests import AnyRequest, Operation
from trunkline.vocabulary.rules import Rules

Configuration = configuration.Config | str | Path | Mapping[str, Any]
"""A configuration: read, a file's path, or what such a file would hold."""


class Rendered(Struct, frozen=True):
    """An HTTP request as it would be sent, without its key."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    loss: tuple[Loss, ...]
    """What could not be said to the target."""


class AsyncClient:
    """One line to every model, for asyncio programs. Safe to share between tasks and event loops.

    Settings (`temperature`, `max_tokens`, …) and rules (`timeout`, `retries`, `fallbacks`, `tags`, `payer`,
    `extra_headers`, `extra_body`, `on_unsupported`) are keyword arguments of each call; `with_options` keeps them.
    """

    def __init__(
        self,
        config: Configuration | None = None,
        *,
        model: str | None = None,
        mock: Mapping[str, Sequence[MockAnswer]] | None = None,
        runtime: Runtime | None = None,
        env: Mapping[str, str] | None = None,
        keys: Mapping[str, Key] | None = None,
        providers: Sequence[Provider] = (),
        alone: Collection[str] = (),
    ) -> None:
        """`keys` are the program's own, by target or provider: `{"azure": get_token}` asks a function for each.
        `providers` are rows of its own, which no other client has. `alone` are targets of its own: what it learns of
        them (rests after failures, latencies) no other client of the runtime goes by."""
        if mock is not None and runtime is not None:
            raise ConfigurationError("the runtime has the mock: give it the scripts, as in Runtime(mock=…)")
        loaded = _loaded(config, os.environ if env is None else env, providers)
        runtime = runtime or opened(loaded, mock=mock)
        ids = {name: runtime.apart.another(name) for name in alone}
        snapshot = Snapshot(loaded, env, keys, providers, runtime.apart, ids.get)
        self._engine = Engine(snapshot, runtime)
        self._model = model or snapshot.model
        self._options: Mapping[str, Any] = {}
        self._rules = NO_RULES

    def with_options(self, *, model: str | None = None, **options: Any) -> Self:
        """This client with other defaults: settings and rules that hold for each of its calls."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._model = model or self._model
        rules, settings = _split(options)
        other._options = {**self._options, **settings}
        other._rules = merged(self._rules, rules)
        return other

    # -- asking --------------------------------------------------------------------------------------------------------

    async def complete(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Callables] = (),
        tool_choice: Any = None,
        response_format: Any = None,
        **options: Any,
    ) -> Reply:
        """Ask, and wait for the whole answer. `response_format` fills `reply.parsed`."""
        form = form_from(response_format) if response_format is not None else None
        call = self._call(messages, model, system, tools, tool_choice, form, options, stream=False)
        reply: Reply = await self._whole(call)
        return parsed(reply, form) if form is not None else reply

    def stream(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Callables] = (),
        tool_choice: Any = None,
        response_format: Any = None,
        **options: Any,
    ) -> AsyncStream:
        """Ask, and read the answer as it comes: `async with client.stream(…) as s: async for event in s`."""
        form = form_from(response_format) if response_format is not None else None
        call = self._call(messages, model, system, tools, tool_choice, form, options, stream=True)
        return AsyncStream(self._engine, call, form)

    async def embed(
        self, texts: str | Sequence[str], model: str | None = None, *, dimensions: int | None = None, **options: Any
    ) -> EmbeddingReply:
        """Turn texts into vectors, in their order."""
        rules, settings = _split(options)
        _no_settings("embed", settings)
        name = model or self._engine.snapshot.embedding_model
        return await self._ask("embeddings", name, rules, embedding_request_from(name, texts, dimensions))

    async def rerank(
        self,
        query: str,
        documents: Sequence[str | dict[str, Any]],
        model: str | None = None,
        *,
        top_n: int | None = None,
        **options: Any,
    ) -> RerankReply:
        """Put documents in the order of their relevance to a query, the best first."""
        rules, settings = _split(options)
        name = model or self._model
        request = rerank_request_from(name, query, documents, top_n, settings)
        return await self._ask("rerank", name, rules, request)

    async def moderate(self, input: Any, model: str | None = None, **options: Any) -> ModerationReply:  # noqa: A002
        """Say what a policy forbids in a text, in each of several, or in the parts of one message."""
        rules, settings = _split(options)
        _no_settings("moderate", settings)
        name = model or MODERATION_MODEL
        return await self._ask("moderations", name, rules, moderation_request_from(name, input))

    async def count_tokens(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Callables] = (),
        **options: Any,
    ) -> TokenCount:
        """How many tokens a request would put in: the provider's count where it has one, else an estimate, marked."""
        call = self._call(messages, model, system, tools, None, None, options, stream=False, operation="tokens")
        return await self._whole(call)

    async def _ask(self, operation: Operation, name: str, rules: Rules, request: AnyRequest) -> Any:
        return await self._whole(self._engine.call(operation, name, merged(self._rules, rules), request=request))

    async def _whole(self, call: Call) -> Any:
        try:
            answer = await self._engine.step(call)
        except UnicodeEncodeError:
            raise _half_a_character() from None
        reply = answer.whole()
        reply.seconds = self._engine.runtime.clock.now() - call.started
        reply.route = call.decided
        return reply

    def render(self, messages: Messages, model: str | None = None, **options: Any) -> Rendered:
        """The HTTP request that `complete` would send, without sending it. Keys are left out."""
        named = {key: options.pop(key) for key in ("system", "tools", "tool_choice") if key in options}
        form = form_from(shape) if (shape := options.pop("response_format", None)) is not None else None
        stream = bool(options.pop("stream", False))
        call = self._call(
            messages,
            model,
            named.get("system"),
            named.get("tools", ()),
            named.get("tool_choice"),
            form,
            options,
            stream=stream,
        )
        provider = self._engine.snapshot.catalog[call.target.provider]
        spoken = speak(call, provider, self._engine.snapshot.facts(call.target, provider))
        sending = masked(spoken, call, provider)
        return Rendered(sending.method, sending.url, sending.headers, msgspec.json.decode(sending.body), spoken.loss)

    def explain(self, messages: Messages, model: str | None = None, **options: Any) -> Decision:
        """How such a call would find its target now: who would be asked first, and why not the others. Asks nobody."""
        named = {key: options.pop(key) for key in ("system", "tools", "tool_choice") if key in options}
        call = self._call(
            messages,
            model,
            named.get("system"),
            named.get("tools", ()),
            named.get("tool_choice"),
            None,
            options,
            stream=bool(options.pop("stream", False)),
        )
        return self._engine.explain(call)

    def models(self) -> list[Available]:
        """What can be called now, and why the rest cannot."""
        return list(self._engine.snapshot.available())

    def calls_tools(self, model: str | None = None) -> bool:
        """Whether the first model behind a name calls tools; where nobody knows, it does. One that is told its tools by
        a schema calls them too: the embedded one does so far better than in words (docs/agent.md). Asks nobody."""
        snapshot = self._engine.snapshot
        target = snapshot.route(model or self._model).entries[0].members[0].target
        return snapshot.facts(target, snapshot.catalog[target.provider]).tools is not False

    def _call(
        self,
        messages: Messages,
        model: str | None,
        system: str | None,
        tools: Sequence[Callables],
        tool_choice: Any,
        form: Form | None,
        options: Mapping[str, Any],
        *,
        stream: bool,
        operation: Operation = "chat",
    ) -> Call:
        rules, settings = _split(options)
        name = model or self._model
        request = request_from(
            name,
            messages,
            system=system,
            tools=tools,
            tool_choice=tool_choice,
            form=form,
            stream=stream,
            settings={**self._options, **settings} if self._options else settings,
        )
        return self._engine.call(operation, name, merged(self._rules, rules), stream=stream, request=request)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connections of the running loop; safe to call again. The next call opens them anew."""
        await self._engine.runtime.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncStream:
    """An answer as it comes. Iterate for events; `text` gives the words alone; `reply` what has come so far.

    Used as a context manager, or iterated to its end, it gives its connection back. One that is dropped half read does
    so too, with a ResourceWarning.
    """

    def __init__(self, engine: Engine, call: Call, form: Form | None) -> None:
        self._engine = engine
        self._call = call
        self.form = form
        """The form that was asked for."""
        self._answer: Answer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: list[Event] = []
        self._next = 0
        self._gathered = Accumulator()
        self._done = False

    async def open(self) -> None:
        """Send the request and wait for the first content; iterating does this by itself."""
        if self._answer is None and not self._done:
            self._loop = asyncio.get_running_loop()
            try:
                self._answer = await self._engine.step(self._call)
            except UnicodeEncodeError:
                raise _half_a_character() from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while self._next >= len(self._events):
            self._events, self._next = await self.next_events(), 0
        event = self._events[self._next]
        self._next += 1
        return event

    async def next_events(self) -> list[Event]:
        """The events that came together from the network. Raises StopAsyncIteration after the last."""
        if self._answer is None:
            await self.open()
        if self._answer is None or self._done:
            raise StopAsyncIteration
        assert self._answer.events is not None, "a library's stream is made of events"
        try:
            events = await anext(self._answer.events)
        except TrunklineError as error:
            self._done = True
            error.partial = self.reply
            raise
        except BaseException:
            self._done = True
            raise
        self._gathered.add(events)
        return events

    @property
    async def text(self) -> AsyncIterator[str]:
        """The words of the first choice, as they come."""
        async for event in self:
            if event.text and event.choice == 0:
                yield event.text

    @property
    async def partial(self) -> AsyncIterator[Any]:
        """The object that `response_format` asked for, as it grows: dicts and lists, at last all of it."""
        growing = Growing(self.form)
        async for event in self:
            together = [event, *self._events[self._next :]]  # what came in one piece is read once
            self._next = len(self._events)
            growing.add(together)
            if (value := growing.value()) is not NOTHING:
                yield value
        if (value := growing.value(over=True)) is not NOTHING:
            yield value

    @property
    def reply(self) -> Reply:
        """What has come so far, as a whole reply; after the end, with usage and cost."""
        reply = self._gathered.reply()
        answer = self._answer
        if answer is not None:
            reply.dialect, reply.request_id, reply.loss = answer.dialect, answer.request_id, answer.loss
            reply.provider, reply.target, reply.cost = answer.target.provider, answer.target.name, answer.cost
            reply.signer = answer.signer
        reply.seconds = self._engine.runtime.clock.now() - self._call.started
        reply.route = self._call.decided
        return reply

    async def final(self) -> Reply:
        """Read to the end, and give the whole reply."""
        async for _ in self:
            pass
        if self.form is None:
            return self.reply
        return parsed(self.reply, self.form, self._answer.unheld if self._answer is not None else None)

    async def close(self) -> None:
        """Give the connection back; what was not read is lost. Safe to call again."""
        self._done = True
        if self._answer is not None:
            self._answer.abandon()
            if self._answer.events is not None:
                await self._answer.events.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __del__(self) -> None:
        answer = getattr(self, "_answer", None)
        if answer is None or answer.outcome is not None or self._done:
            return
        warnings.warn("a stream was dropped half read: use 'async with', or read it to its end", ResourceWarning, 2)
        with contextlib.suppress(RuntimeError):  # its loop is closed, and its connections with it
            assert self._loop is not None
            self._loop.call_soon_threadsafe(answer.abandon)


def _half_a_character() -> InvalidRequestError:
    return InvalidRequestError("the request holds half a character (a lone surrogate), which is no text")


def _loaded(
    config: Configuration | None, env: Mapping[str, str], providers: Sequence[Provider]
) -> configuration.Config:
    if isinstance(config, configuration.Config):
        return config
    if isinstance(config, Mapping):
        text = msgspec.json.encode(config).decode()  # JSON is YAML
        read, mistakes = configuration.parse(text, "the given configuration", env, providers)
        if mistakes:
            raise ConfigurationError("\n".join(str(replace(mistake, line=0)) for mistake in mistakes))
        return read
    return configuration.load(config, env, providers)


MODERATION_MODEL = "openai/omni-moderation-latest"
"""Who judges where nobody is named: it costs nothing."""


def _no_settings(method: str, settings: Mapping[str, Any]) -> None:
    if settings:
        raise TypeError(f"{method}() got an unexpected argument '{next(iter(settings))}'")


_RULES = frozenset(Rules.__struct_fields__)


def _split(options: Mapping[str, Any]) -> tuple[Rules, dict[str, Any]]:
    """Rules (how the call is made) and settings (what is asked of the model)."""
    if not options:
        return NO_RULES, {}
    rules = {name: value for name, value in options.items() if name in _RULES}
    settings = {name: value for name, value in options.items() if name not in _RULES}
    for name in ("fallbacks", "tags"):
        if isinstance(value := rules.get(name), str):
            raise ConfigurationError(f"{name} is a list, as in {name}=['{value}']")
    try:
        said = msgspec.convert(rules, Rules) if rules else NO_RULES
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        raise ConfigurationError(f"{path.rstrip('`')}: {what[:1].lower()}{what[1:]}") from None
    if said.timeout is not None and said.timeout <= 0:
        raise ConfigurationError("timeout is in seconds and must be above 0")
    if said.retries is not None and said.retries < 0:
        raise ConfigurationError("retries is a number from 0 up")
    return said, settings
