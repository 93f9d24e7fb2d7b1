"""The synchronous client: a door to the asynchronous one.

Owns one daemon thread with one event loop for the whole process. Words only, no behaviour: every call is run over
there and its result handed back. Works in threads, inside a running loop (a notebook), after a fork, and leaves quietly
when the interpreter does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeVar

from trunkline.asking import NOTHING, Callables, Growing, Messages
from trunkline.client import AsyncClient, AsyncStream, Configuration, Rendered
from trunkline.providers.keys import Key
from trunkline.providers.mock import MockAnswer
from trunkline.providers.provider import Provider
from trunkline.runtime import Runtime
from trunkline.snapshot import Available
from trunkline.vocabulary.decisions import Decision
from trunkline.vocabulary.events import Event
from trunkline.vocabulary.replies import EmbeddingReply, ModerationReply, Reply, RerankReply, TokenCount

T = TypeVar("T")


class Portal:
    """A thread with an event loop, and the way in."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="trunkline", daemon=True)
        self._thread.start()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine over there and wait for it. An interrupt here cancels it there."""
        visit = _Visit(doing)
        self.loop.call_soon_threadsafe(visit.begin)
        try:
            return visit.result()
        except BaseException:
            if not visit.finished:
                self.loop.call_soon_threadsafe(visit.cancel)
            raise

    def post(self, fn: Callable[[], object]) -> None:
        """Have `fn` called over there, soon; nothing happens when the loop is gone."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(fn)

    def close(self) -> None:
        """Cancel what is running, close the connections, end the thread."""
        self.post(self.loop.stop)
        self._thread.join(timeout=2.0)

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


class _Visit(Generic[T]):
    """One coroutine's trip: begun and finished over there, awaited here. A bare lock is the cheapest bell."""

    __slots__ = ("_bell", "_doing", "_error", "_task", "_value", "finished")

    def __init__(self, doing: Coroutine[Any, Any, T]) -> None:
        self._doing = doing
        self._bell = threading.Lock()
        self._bell.acquire()
        self._task: asyncio.Task[None] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self.finished = False

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._travel())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> T:
        self._bell.acquire()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle of error, traceback and this frame
        return self._value

    async def _travel(self) -> None:
        """Do it, and ring at once: a task's own callback would come a turn of the loop later."""
        try:
            self._value = await self._doing
        except BaseException as error:  # noqa: BLE001 it is the caller's, whatever it is: raised over there
            self._error = error
        finally:
            self.finished = True
            self._bell.release()


_portal: Portal | None = None
_opening = threading.Lock()
_leaving = False


def portal() -> Portal:
    """The process's portal, opened at the first need."""
    global _portal  # noqa: PLW0603 one per process is the point
    if _portal is None:
        with _opening:
            if _portal is None:
                _portal = Portal()
    return _portal


def _close_at_exit() -> None:
    global _leaving  # noqa: PLW0603
    _leaving = True
    if _portal is not None:
        _portal.close()


def _forked() -> None:
    """In a forked child: the thread is not there any more, and the loop is the parent's."""
    global _portal, _opening  # noqa: PLW0603
    if _portal is not None:
        _left_to_the_parent.append(_portal)
    _portal = None
    _opening = threading.Lock()


_left_to_the_parent: list[Portal] = []
atexit.register(_close_at_exit)
if sys.platform != "win32":  # where processes do not fork
    os.register_at_fork(after_in_child=_forked)


class Client:
    """One line to every model. Safe to share between threads.

    The methods are those of `AsyncClient`, without `await`.
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
        self._core = AsyncClient(
            config, model=model, mock=mock, runtime=runtime, env=env, keys=keys, providers=providers, alone=alone
        )

    def with_options(self, *, model: str | None = None, **options: Any) -> Self:
        """This client with other defaults: settings and rules that hold for each of its calls."""
        other = type(self).__new__(type(self))
        other._core = self._core.with_options(model=model, **options)
        return other

    def complete(
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
        return portal().run(
            self._core.complete(
                messages,
                model,
                system=system,
                tools=tools,
                tool_choice=tool_choice,
                response_format=response_format,
                **options,
            )
        )

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
    ) -> Stream:
        """Ask, and read the answer as it comes: `with client.stream(…) as s: for event in s`."""
        return Stream(
            self._core.stream(
                messages,
                model,
                system=system,
                tools=tools,
                tool_choice=tool_choice,
                response_format=response_format,
                **options,
            )
        )

    def embed(
        self, texts: str | Sequence[str], model: str | None = None, *, dimensions: int | None = None, **options: Any
    ) -> EmbeddingReply:
        """Turn texts into vectors, in their order."""
        return portal().run(self._core.embed(texts, model, dimensions=dimensions, **options))

    def rerank(
        self,
        query: str,
        documents: Sequence[str | dict[str, Any]],
        model: str | None = None,
        *,
        top_n: int | None = None,
        **options: Any,
    ) -> RerankReply:
        """Put documents in the order of their relevance to a query, the best first."""
        return portal().run(self._core.rerank(query, documents, model, top_n=top_n, **options))

    def moderate(self, input: Any, model: str | None = None, **options: Any) -> ModerationReply:  # noqa: A002
        """Say what a policy forbids in a text, in each of several, or in the parts of one message."""
        return portal().run(self._core.moderate(input, model, **options))

    def count_tokens(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Callables] = (),
        **options: Any,
    ) -> TokenCount:
        """How many tokens a request would put in: the provider's count where it has one, else an estimate, marked."""
        return portal().run(self._core.count_tokens(messages, model, system=system, tools=tools, **options))

    def render(self, messages: Messages, model: str | None = None, **options: Any) -> Rendered:
        """The HTTP request that `complete` would send, without sending it. Keys are left out."""
        return self._core.render(messages, model, **options)

    def explain(self, messages: Messages, model: str | None = None, **options: Any) -> Decision:
        """How such a call would find its target now: who would be asked first, and why not the others. Asks nobody."""
        return self._core.explain(messages, model, **options)

    def models(self) -> list[Available]:
        """What can be called now, and why the rest cannot."""
        return self._core.models()

    def calls_tools(self, model: str | None = None) -> bool:
        """Whether the first model behind a name calls tools; where nobody knows, it does. Asks nobody."""
        return self._core.calls_tools(model)

    def close(self) -> None:
        """Close the connections; safe to call again. The next call opens them anew."""
        portal().run(self._core.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Stream:
    """An answer as it comes. Iterate for events; `text` gives the words alone; `reply` what has come so far.

    Used as a context manager, or iterated to its end, it gives its connection back. One that is dropped half read does
    so too, with a ResourceWarning.
    """

    def __init__(self, core: AsyncStream) -> None:
        self._core = core
        self._pump: _Pump | None = None
        self._events: list[Event] = []
        self._next = 0

    def open(self) -> None:
        """Send the request and wait for the first content; iterating does this by itself."""
        if self._pump is None:
            home = portal()
            home.run(self._core.open())
            self._pump = _Pump(self._core, home)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while self._next >= len(self._events):
            self._events, self._next = self._more(), 0
        event = self._events[self._next]
        self._next += 1
        return event

    def _more(self) -> list[Event]:
        if self._pump is None:
            self.open()
        assert self._pump is not None
        return self._pump.take()

    @property
    def text(self) -> Iterator[str]:
        """The words of the first choice, as they come."""
        for event in self:
            if event.text and event.choice == 0:
                yield event.text

    @property
    def partial(self) -> Iterator[Any]:
        """The object that `response_format` asked for, as it grows: dicts and lists, at last all of it."""
        growing = Growing(self._core.form)
        for event in self:
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
        return self._core.reply

    def final(self) -> Reply:
        """Read to the end, and give the whole reply."""
        for _ in self:
            pass
        return portal().run(self._core.final())

    def close(self) -> None:
        """Give the connection back; what was not read is lost. Safe to call again."""
        if self._pump is not None:
            self._pump.stop()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        pump = getattr(self, "_pump", None)
        if pump is None or pump.over or _leaving:
            return
        warnings.warn("a stream was dropped half read: use 'with', or read it to its end", ResourceWarning, 2)
        pump.abandon()


class _Pump:
    """Carries a stream's events from the loop's thread into a queue: one hop of threads a batch at most, not one an
    event. It holds a bounded number of batches, so that a slow reader slows the network and not the memory down."""

    most = 64

    def __init__(self, source: AsyncStream, home: Portal) -> None:
        self._source = source
        self._home = home
        self._queue: SimpleQueue[list[Event] | BaseException | None] = SimpleQueue()
        self._waiting = False
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.over = False
        home.post(self._begin)

    def take(self) -> list[Event]:
        """The next batch. Raises StopIteration after the last, or what the stream broke with."""
        if self.over:
            raise StopIteration
        batch = self._queue.get()
        if self._waiting and self._queue.qsize() < self.most // 2:
            self._waiting = False
            self._home.post(self._room.set)
        if isinstance(batch, list):
            return batch
        self.over = True
        if batch is None:
            raise StopIteration
        raise batch

    def stop(self) -> None:
        """End it, and wait until its connection is given back."""
        if not self.over:
            self.over = True
            self._home.run(self._stop())

    def abandon(self) -> None:
        """End it without waiting: the caller is being collected."""
        self.over = True
        self._home.post(lambda: asyncio.ensure_future(self._stop()))

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while True:
                self._queue.put(await self._source.next_events())
                if self._queue.qsize() >= self.most:
                    self._room.clear()
                    self._waiting = True
                    await self._room.wait()
        except StopAsyncIteration:
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
            if isinstance(error, asyncio.CancelledError):
                raise

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._source.close()
