"""The agent's loop: over tools and over text, its steps, its memory, its end."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pydantic
import pytest

from trunkline import (
    AsyncClient,
    ConfigurationError,
    InvalidRequestError,
    Message,
    MockAnswer,
    Reply,
    ServiceError,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    said,
)
from trunkline.agent import LONGEST, Act, Agent, Final, Observation, OutOfSteps, Runnable, Step, Thought
from trunkline.asking.tools import name_of
from trunkline.vocabulary.parts import Refusal
from trunkline.vocabulary.replies import Choice

pytestmark = pytest.mark.anyio


def add(a: int, b: int = 2) -> int:
    """Adds two numbers."""
    return a + b


def look_up(word: str) -> str:
    """Looks a word up."""
    return {"line": "a long thin mark"}[word]


class Scripted:
    """A client that answers as told, and keeps what it was asked."""

    def __init__(self, *answers: str | Sequence[ToolCall] | Message | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[list[Message]] = []
        self.models: list[str | None] = []
        self.options: list[dict[str, Any]] = []

    async def complete(
        self, messages: Sequence[Message], model: str | None = None, *, tools: Sequence[Tool] = (), **options: Any
    ) -> Reply:
        self.asked.append(list(messages))
        self.models.append(model)
        self.options.append({"tools": [tool.name for tool in tools], **options})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, Message):
            answer = said("assistant", *([answer] if isinstance(answer, str) else answer))
        return Reply(choices=(Choice(answer),))

    @property
    def last(self) -> str:
        """The last words that it was told."""
        message = self.asked[-1][-1]
        return message.text or "".join(part.text for part in message.parts if isinstance(part, ToolResult))


def call(tool: str, call_id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, tool, msgspec.json.encode(arguments).decode())


async def steps_of(agent: Agent, problem: str = "What is 2+2?") -> list[Step]:
    return [step async for step in agent.stream(problem)]


async def observation(tool: Any, /, **arguments: Any) -> Observation:
    """What comes of one call of a tool."""
    agent = Agent(Scripted([call(name_of(tool), **arguments)], "Done."), tools=[tool])
    (seen,) = [step for step in await steps_of(agent) if isinstance(step, Observation)]
    return seen


# --- over tools -------------------------------------------------------------------------------------------------------


async def test_a_sum_over_tools():
    script = [MockAnswer(text="A sum.", tool="add", arguments={"a": 2, "b": 2}), MockAnswer(text="It is 4.")]
    async with AsyncClient(mock={"m": script}, env={}) as line:
        agent = Agent(line, "mock/m", tools=[add])
        steps = await steps_of(agent)
    assert steps == [Thought("A sum."), Act("add", {"a": 2, "b": 2}), Observation("add", "4"), Final("It is 4.")]


async def test_the_result_goes_back_to_the_call_that_asked():
    line = Scripted([call("add", "c7", a=1)], "3")
    assert await Agent(line, tools=[add], instructions="Be brief.").solve("1+2?") == "3"
    system, question, asked, result = line.asked[-1]
    assert (system, question) == (said("system", "Be brief."), said("user", "1+2?"))
    assert asked.tool_calls == (call("add", "c7", a=1),)
    assert result == Message("tool", (ToolResult("c7", (Text("3"),), name="add"),))
    assert line.options[0] == {"tools": ["add"], "truncate": True}


async def test_the_calls_of_one_reply_run_together_and_are_told_in_order():
    gate = asyncio.Event()

    async def first() -> str:
        await asyncio.wait_for(gate.wait(), 5)  # until the second has run
        return "one"

    async def second() -> str:
        gate.set()
        return "two"

    line = Scripted([call("first", "c1"), call("second", "c2")], "Both.")
    steps = await steps_of(Agent(line, tools=[[first, second]]))
    assert steps == [
        Act("first", {}),
        Act("second", {}),
        Observation("first", "one"),
        Observation("second", "two"),
        Final("Both."),
    ]
    results = [part for message in line.asked[-1][-2:] for part in message.parts if isinstance(part, ToolResult)]
    assert [(result.call_id, result.text) for result in results] == [("c1", "one"), ("c2", "two")]


async def test_a_model_with_tools_may_still_use_the_words():
    line = Scripted("THINK: Hm.", "ACT: add(2, 2)\nOBSERVE: 5", "All done.\nFINAL_ANSWER: 4")
    steps = await steps_of(Agent(line, tools=[add]))
    assert steps == [
        Thought("Hm."),
        Act("add", {"a": 2, "b": 2}),
        Observation("add", "4"),
        Thought("All done."),
        Final("4"),
    ]


async def test_a_refusal_is_the_answer_that_there_is():
    line = Scripted(said("assistant", Refusal("I would rather not.")))
    assert await Agent(line).solve("Hello") == "I would rather not."


# --- over text --------------------------------------------------------------------------------------------------------


async def test_a_sum_over_text():
    script = [
        MockAnswer(text="THINK: A sum.\nACT: add(a=2, b=2)\nOBSERVE: 5\nFINAL_ANSWER: 5"),
        MockAnswer(text="FINAL_ANSWER: It is\n4."),
    ]
    async with AsyncClient(mock={"m": script}, env={}) as line:
        agent = Agent(line, "mock/m", tools=[add], over="text")
        steps = await steps_of(agent)
    assert steps == [Thought("A sum."), Act("add", {"a": 2, "b": 2}), Observation("add", "4"), Final("It is\n4.")]


async def test_a_made_up_observation_is_not_what_the_model_reads():
    line = Scripted("ACT: add(a=2, b=2)\nOBSERVE: 5", "FINAL_ANSWER: 4")
    await Agent(line, tools=[add], over="text").solve("2+2?")
    _, _, acted, observed = line.asked[-1]
    assert acted == said("assistant", "ACT: add(a=2, b=2)")
    assert observed == said("user", "OBSERVE: 4")
    assert line.options[0]["tools"] == []


async def test_plain_words_twice_are_the_answer():
    line = Scripted("It might be 4.", "It is 4.")
    assert await steps_of(Agent(line, over="text")) == [Thought("It might be 4."), Final("It is 4.")]
    assert "FINAL_ANSWER: and the answer" in line.last


async def test_a_word_of_the_protocol_begins_the_count_anew():
    line = Scripted("Hm.", "THINK: Hm.", "Hm, hm.", "4")
    steps = await steps_of(Agent(line, over="text"))
    assert steps == [Thought("Hm."), Thought("Hm."), Thought("Hm, hm."), Final("4")]


async def test_an_answer_without_words_is_not_said_again():
    line = Scripted("", "4")
    await Agent(line, over="text").solve("2+2?")
    assert [message.role for message in line.asked[-1]] == ["system", "user", "user"]


async def test_a_call_that_cannot_be_read_is_an_observation():
    line = Scripted("ACT: add(a=two)", "FINAL_ANSWER: 4")
    (seen, _) = await steps_of(Agent(line, tools=[add], over="text"))
    assert isinstance(seen, Observation)
    assert (seen.tool, seen.failed) == ("add", True)
    assert line.last.startswith("OBSERVE: 'add(a=two)' is no call in Python's syntax")


# --- which of the two -------------------------------------------------------------------------------------------------


async def test_models_without_tools_are_told_in_words():
    keys = {"OPENAI_API_KEY": "sk-test"}
    async with AsyncClient({"routes": {"mine": {"targets": ["openai/o1-mini"]}}}, env=keys) as line:
        assert [line.calls_tools(name) for name in ("openai/o1-mini", "mine")] == [False, False]
        assert [line.calls_tools(name) for name in ("openai/gpt-4o", "mock/nobody-knows", "local")] == [True] * 3
        assert line.with_options(model="openai/o1-mini").calls_tools() is False


@pytest.mark.parametrize(("over", "told"), [(None, ["two"]), ("tools", ["one", "two"]), ("text", [])])
async def test_who_is_given_tools(over: Any, told: list[str]):
    class Knowing(Scripted):
        def calls_tools(self, model: str | None) -> bool:
            return model == "two"

    line = Knowing("FINAL_ANSWER: 4")
    agent = Agent(line, "one", tools=[add], over=over)
    await agent.solve("2+2?")
    agent.model = "two"
    await agent.solve("2+2?")
    given = zip(line.models, line.options, strict=True)
    assert [model for model, options in given if options["tools"]] == told


# --- tools ------------------------------------------------------------------------------------------------------------


async def test_what_a_tool_raises_is_an_observation():
    assert await observation(look_up, word="dot") == Observation("look_up", "KeyError: 'dot'", failed=True)
    assert await observation(look_up, word="line") == Observation("look_up", "a long thin mark")


async def test_an_unknown_tool_is_told_which_there_are():
    for line in (Scripted([call("sum", a=1)], "Sorry."), Scripted("ACT: sum(1, 2)", "FINAL_ANSWER: Sorry.")):
        steps = await steps_of(Agent(line, tools=[add, look_up]))
        seen = Observation("sum", "there is no tool 'sum'; the tools are: add, look_up", failed=True)
        assert seen in steps
        assert steps[-1] == Final("Sorry.")


async def test_arguments_are_converted_and_complaints_say_what_is_wrong():
    assert await observation(add, a="2", b=2.0) == Observation("add", "4")
    bad = "the arguments do not fit add(a: integer, b: integer = 2): "
    assert (await observation(add, a="two")).text == bad + "Expected `int`, got `str` - at `$.a`"
    assert (await observation(add, b=1)).text == bad + "Object missing required field `a`"
    assert (await observation(add, a=1, c=1)).text == bad + "Object contains unknown field `c`"


async def test_arguments_that_are_no_json_are_an_observation():
    line = Scripted([ToolCall("c1", "add", '{"a": 2')], "Sorry.")
    seen, _ = await steps_of(Agent(line, tools=[add]))
    assert isinstance(seen, Observation)
    assert seen.failed
    assert seen.text.startswith("the arguments are no JSON object: ")


async def test_arguments_become_what_the_function_says():
    class City(pydantic.BaseModel):
        name: str

    class Box(msgspec.Struct):
        size: float

    def pack(city: City, box: Box | None = None, note: Any = "none", *, often: int = 1) -> list[Any]:
        return [city.name, box.size if box else 0, note, often]

    assert (await observation(pack, city={"name": "Oslo"}, box={"size": 1}, note=3)).text == '["Oslo",1.0,3,1]'
    assert "name" in (await observation(pack, city={})).text


async def test_methods_partials_and_objects_are_tools_too():
    class Adder:
        def __init__(self, by: int) -> None:
            self.by = by

        def plus(self, a: int) -> int:
            return a + self.by

        async def __call__(self, a: int) -> int:
            return a + self.by

    tools = [Adder(5).plus, partial(add, b=10), Adder(7)]
    line = Scripted([call("plus", a=1), call("add", a=1), call("Adder", a=1)], "Done.")
    seen = [step.text for step in await steps_of(Agent(line, tools=tools)) if isinstance(step, Observation)]
    assert seen == ["6", "11", "8"]
    assert "unknown field `b`" in (await observation(partial(add, b=10), a=1, b=2)).text


async def test_a_schema_of_ones_own_comes_with_a_function():
    def run(**arguments: Any) -> dict[str, Any]:
        return arguments

    tool = Runnable(Tool("now", "The time."), run)
    line = Scripted([call("now", zone="UTC")], "Done.")
    assert Observation("now", '{"zone":"UTC"}') in await steps_of(Agent(line, tools=[tool]))


async def test_a_result_is_told_in_json_or_in_its_own_words():
    def tool(which: int) -> Any:
        return ["plain", None, {"a": [1]}, 3 + 4j][which]

    assert [(await observation(tool, which=at)).text for at in range(4)] == ["plain", "null", '{"a":[1]}', "(3+4j)"]


async def test_a_long_observation_is_cut_and_says_so():
    def tool() -> str:
        return "x" * 12_345

    text = (await observation(tool)).text
    assert text == "x" * LONGEST + "… (cut: the first 8,000 of 12,345 characters)"


async def test_plain_functions_do_not_hold_up_the_loop():
    opened = threading.Event()

    def tool() -> bool:
        return opened.wait(5)

    solving = asyncio.create_task(observation(tool))
    await asyncio.sleep(0.05)
    opened.set()  # the loop is free to say so
    assert (await solving).text == "true"


CANNOT_BE_RUN: list[tuple[list[Any], str]] = [
    ([add, [add]], "two tools are called 'add'"),
    ([Tool("now")], "an agent runs its tools"),
    ([{"name": "now", "parameters": {}}], "an agent runs its tools"),
    ([lambda: 1], "cannot be called '<lambda>'"),
]


@pytest.mark.parametrize(("tools", "why"), CANNOT_BE_RUN)
async def test_tools_that_cannot_be_run_are_refused(tools: list[Any], why: str):
    with pytest.raises(InvalidRequestError, match=why):
        Agent(Scripted("Hi."), tools=tools)


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_the_steps_are_limited():
    line = Scripted([call("add", a=1)])
    agent = Agent(line, tools=[add], steps=3)
    with pytest.raises(OutOfSteps, match=r"no answer after 3 replies: .* raise steps=3") as raised:
        await agent.solve("1+2?")
    assert len(line.asked) == 3
    assert raised.value.kind == "OutOfSteps"
    assert raised.value.partial == (Act("add", {"a": 1}), Observation("add", "3")) * 3
    assert agent.memory == ()


@pytest.mark.parametrize("options", [{"steps": 0}, {"over": "air"}])
async def test_what_makes_no_sense_is_refused(options: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Agent(Scripted("Hi."), **options)


async def test_options_go_with_every_call():
    line = Scripted([call("add", a=1)], "3")
    await Agent(line, tools=[add], truncate=False, temperature=0).solve("1+2?")
    assert [options["truncate"] for options in line.options] == [False, False]
    assert [options["temperature"] for options in line.options] == [0, 0]


async def test_steps_are_told_as_they_are_made():
    line = Scripted([call("add", a=2)], "4")
    async with contextlib.aclosing(Agent(line, tools=[add]).stream("2+2?")) as steps:
        assert await anext(steps) == Act("add", {"a": 2})
        assert await anext(steps) == Observation("add", "4")
        assert len(line.asked) == 1


async def test_steps_can_be_written_down_and_read_again():
    steps: list[Step] = [Thought("Hm."), Act("add", {"a": 1}), Observation("add", "3"), Final("3")]
    written = msgspec.json.encode(steps)
    assert msgspec.json.decode(written, type=list[Step]) == steps
    assert b'"kind":"observation"' in written


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_memory_holds_questions_and_answers_whoever_answers():
    script = [MockAnswer(tool="add", arguments={"a": 2}), MockAnswer(text="4")]
    async with AsyncClient(mock={"one": script, "two": [MockAnswer(text="FINAL_ANSWER: 8")]}, env={}) as line:
        agent = Agent(line, "mock/one", tools=[add])
        await agent.solve("2+2?")
        agent.model, agent.over = "mock/two", "text"
        assert await agent.solve("Twice that?") == "8"
    assert [(message.role, message.text) for message in agent.memory] == [
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "Twice that?"),
        ("assistant", "8"),
    ]


async def test_the_next_problem_is_told_what_was_answered():
    line = Scripted("4", "8")
    agent = Agent(line, instructions="Be brief.")
    await agent.solve("2+2?")
    remembered = agent.memory
    await agent.solve("Twice that?")
    assert line.asked[-1] == [said("system", "Be brief."), *remembered, said("user", "Twice that?")]
    agent.forget()
    assert agent.memory == ()


async def test_a_failure_leaves_the_memory_alone_and_comes_out_unchanged():
    error = ServiceError("broken", status=500)
    agent = Agent(Scripted("4", [call("add", a=1)], error), tools=[add])
    await agent.solve("2+2?")
    before = agent.memory
    with pytest.raises(ServiceError) as raised:
        await agent.solve("And then?")
    assert raised.value is error
    assert agent.memory == before


async def test_a_solve_that_is_left_leaves_the_memory_alone():
    agent = Agent(Scripted([call("add", a=1)], "3"), tools=[add])
    async with contextlib.aclosing(agent.stream("1+2?")) as steps:
        await anext(steps)
    assert agent.memory == ()


async def test_a_cancellation_reaches_the_tools_and_the_caller():
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = Agent(Scripted([call("wait")], "Done."), tools=[wait])
    solving = asyncio.create_task(agent.solve("Wait."))
    await began.wait()
    solving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await solving
    assert ended.is_set()
    assert agent.memory == ()


async def test_a_cancellation_in_a_tool_is_no_observation():
    async def wait() -> None:
        other = asyncio.ensure_future(asyncio.Event().wait())
        other.cancel()
        await other

    with pytest.raises(asyncio.CancelledError):
        await Agent(Scripted([call("wait")], "Done."), tools=[wait]).solve("Wait.")


async def test_problems_at_the_same_time_do_not_mix():
    script = [MockAnswer(text="fine", delay=0.01)]
    async with AsyncClient(mock={"m": script}, env={}) as line:
        agent = Agent(line, "mock/m")
        await asyncio.gather(*(agent.solve(f"question {at}") for at in range(5)))
    asked = [message.text for message in agent.memory[::2]]
    assert sorted(asked) == [f"question {at}" for at in range(5)]
    assert {message.text for message in agent.memory[1::2]} == {"fine"}


async def test_a_problem_begins_with_the_memory_as_it_then_is():
    line = Scripted([call("add", a=1)], "quick", "slow")
    agent = Agent(line, tools=[add])
    slow = agent.stream("slow?")
    await anext(slow)
    await agent.solve("quick?")
    assert [step async for step in slow][-1] == Final("slow")
    assert "quick?" not in [message.text for message in line.asked[-1]]
    assert [message.text for message in agent.memory] == ["quick?", "quick", "slow?", "slow"]


# --- a real one -------------------------------------------------------------------------------------------------------


@pytest.mark.local_model
@pytest.mark.parametrize("over", ["tools", "text"])
async def test_the_embedded_model_comes_to_an_end(over: Any):
    """It is no clever agent: over tools it makes one right call or two, over text it chats. Either way it ends."""
    async with AsyncClient({}, env={}) as line:
        agent = Agent(line, "local", tools=[add, look_up], steps=4, over=over, max_tokens=60)
        try:
            answer = await agent.solve("What is 17 plus 25?")
        except OutOfSteps:
            return
    assert answer
    assert agent.memory == (said("user", "What is 17 plus 25?"), said("assistant", answer))
