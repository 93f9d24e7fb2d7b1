"""The agent: think, act, observe, until there is an answer.

Owns the loop, its steps and its memory. Retries, fallbacks and limits are the client's; its errors come out unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError, TrunklineError
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text, ToolCall, ToolResult
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.tools import Tool

from .text import GO_ON, Call, explained, read
from .tools import observed, runnables_from


class Asks(Protocol):
    """What an agent needs of a client. One that also has `calls_tools(model)` says by it which models have tools."""

    async def complete(
        self, messages: Sequence[Message], model: str | None = None, *, tools: Sequence[Tool] = (), **options: Any
    ) -> Reply:
        """Ask, and wait for the whole answer."""
        ...


class Thought(Struct, frozen=True, tag_field="kind", tag="thought"):
    """What the model says on its way."""

    text: str


class Act(Struct, frozen=True, tag_field="kind", tag="act"):
    """The model has a tool run."""

    tool: str
    arguments: dict[str, Any]


class Observation(Struct, frozen=True, tag_field="kind", tag="observation"):
    """What the tool said, or why it could not."""

    tool: str
    text: str
    failed: bool = False


class Final(Struct, frozen=True, tag_field="kind", tag="final"):
    """The answer."""

    text: str


Step = Thought | Act | Observation | Final


class OutOfSteps(TrunklineError):
    """An agent had no answer after as many replies of its model as it may ask for."""

    kind = "OutOfSteps"
    partial: tuple[Step, ...] = ()
    """The steps so far."""


class Agent:
    """Solves problems with a model and tools. `model` may be changed between two problems; the memory stays.

    Problems may be solved at the same time: each begins with the memory as it then is.
    """

    def __init__(
        self,
        client: Asks,
        model: str | None = None,
        *,
        tools: Iterable[Any] = (),
        steps: int = 20,
        instructions: str | None = None,
        over: Literal["tools", "text"] | None = None,
        **options: Any,
    ) -> None:
        """`steps`: how many replies a problem may take. `over`: how tools are asked for; None: as the model can.
        `options` are settings and rules of each call."""
        if steps < 1:
            raise ConfigurationError("steps is a number from 1 up: how many replies a problem may take")
        if over not in (None, "tools", "text"):
            raise ConfigurationError(f"over is 'tools', 'text' or None, not {over!r}")
        self.client = client
        self.model = model
        self.steps = steps
        self.instructions = instructions
        self.over = over
        self.options: Mapping[str, Any] = {"truncate": True, **options}
        self.memory: tuple[Message, ...] = ()
        """Each question that was answered, and its answer: words alone, which any model understands."""
        self._runnables = runnables_from(tools or ())
        self._tools = {name: each.tool for name, each in self._runnables.items()}

    def forget(self) -> None:
        """Begin anew."""
        self.memory = ()

    async def solve(self, problem: str) -> str:
        """The answer to a problem. Raises `OutOfSteps`, and what the client raises."""
        answer = ""
        async for step in self.stream(problem):
            if isinstance(step, Final):
                answer = step.text
        return answer

    async def stream(self, problem: Any) -> AsyncGenerator[Step]:
        """The steps to an answer, each as it is made; the last one is `Final`."""
        if not isinstance(problem, str):
            raise InvalidRequestError(f"a problem is a text, not {type(problem).__name__}", param="problem")
        model, native = self.model, self._native()
        question = said("user", problem)
        talk = [*self._system(native), *self.memory, question]
        offered = tuple(self._tools.values()) if native else ()
        told: list[Step] = []
        undecided = 0
        for _ in range(self.steps):
            turn = _turn_of(await self.client.complete(talk, model, tools=offered, **self.options), self._tools)
            undecided = undecided + 1 if turn.plain else 0
            if native or undecided == 2:  # a weak model may never learn to say FINAL_ANSWER
                turn = turn.taken_as_answer()
            for step in turn.steps():
                told.append(step)
                yield step
            if turn.answer is not None:
                self.memory = (*self.memory, question, said("assistant", turn.answer))
                yield Final(turn.answer)
                return
            observations = await self._observe(turn.calls)
            for step in observations:
                told.append(step)
                yield step
            talk += turn.said(observations)
        error = OutOfSteps(f"no answer after {self.steps} replies: ask for less at once, or raise steps={self.steps}")
        error.partial = tuple(told)
        raise error

    def _native(self) -> bool:
        """Whether the model is given its tools as such."""
        if self.over is not None:
            return self.over == "tools"
        calls_tools: Callable[[str | None], bool] | None = getattr(self.client, "calls_tools", None)
        return calls_tools is None or calls_tools(self.model)

    def _system(self, native: bool) -> list[Message]:
        text = self.instructions if native else explained(self._tools.values(), self.instructions)
        return [said("system", text)] if text else []

    async def _observe(self, calls: Sequence[Call]) -> list[Observation]:
        """What comes of the calls of one reply: they run at the same time, and are told in their order."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(observed(call, self._runnables)) for call in calls]
        return [Observation(call.tool, *task.result()) for call, task in zip(calls, running, strict=True)]


# --- one reply --------------------------------------------------------------------------------------------------------


class _Turn(Struct, frozen=True):
    """What a reply means for the loop."""

    message: Message
    """The reply as it stays in the conversation."""
    thought: str = ""
    calls: tuple[Call, ...] = ()
    answer: str | None = None
    plain: bool = False
    """It says no word of the protocol and calls no tool."""

    def taken_as_answer(self) -> _Turn:
        return replace(self, thought="", answer=self.thought) if self.plain else self

    def steps(self) -> Iterator[Step]:
        """What it thinks, and what it has run: not a call that nobody can read."""
        if self.thought:
            yield Thought(self.thought)
        yield from (Act(call.tool, call.arguments) for call in self.calls if call.wrong is None)

    def said(self, observations: Sequence[Observation]) -> Iterator[Message]:
        """How the conversation goes on: itself, and what came of it. That a tool failed is said in words, which every
        API has."""
        if self.message.parts:
            yield self.message
        if asked := self.message.tool_calls:
            for call, seen in zip(asked, observations, strict=True):
                yield Message("tool", (ToolResult(call.id, (Text(seen.text),), name=call.name),))
        else:
            yield said("user", f"OBSERVE: {observations[0].text}" if observations else GO_ON)


def _turn_of(reply: Reply, tools: Mapping[str, Tool]) -> _Turn:
    if reply.tool_calls:
        return _Turn(reply.to_message(), reply.text.strip(), tuple(_call(call) for call in reply.tool_calls))
    declined = reply.message.refusal if reply.choices else None
    meant = read(reply.text or declined or "", tools)
    message = said("assistant", meant.kept) if meant.kept else Message("assistant")
    calls = (meant.call,) if meant.call is not None else ()
    return _Turn(message, meant.thought, calls, meant.answer, plain=not meant.spoken)


def _call(asked: ToolCall) -> Call:
    try:
        return Call(asked.name, msgspec.json.decode(asked.arguments or "{}", type=dict[str, Any]))
    except msgspec.MsgspecError as error:
        return Call(asked.name, wrong=f"the arguments are no JSON object: {error}")
