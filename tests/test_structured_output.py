"""Structured output through the whole engine: the ladder, one repair, what it costs, and objects that still grow."""

import dataclasses

import msgspec
import pytest

from samples import USAGE, chat, chunks
from trunkline import AsyncClient, Client, MockAnswer, ResponseParseError
from trunkline.asking import NOTHING, Growing, form_from
from trunkline.models.facts import book
from trunkline.runtime import Runtime
from trunkline.testing import FakeUpstream, reply, stream
from trunkline.vocabulary.events import TextDelta

pytestmark = pytest.mark.anyio

UNABLE = "openai/gpt-3.5-turbo"
"""Has tools and no structured output."""
SPEECHLESS = next(
    f"openrouter/{facts.model}"
    for facts in book().known()
    if (facts.provider, facts.structured_output, facts.tools) == ("openrouter", False, False) and facts.prices
)
"""Has neither."""

GOOD = '{"name":"Paris","people":2}'
BAD = '{"name":"Paris","people":"two millions"}'
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


@dataclasses.dataclass
class City:
    name: str
    people: int


def client(upstream, records=None, **more):
    env = dict.fromkeys(("OPENAI_API_KEY", "OPENROUTER_API_KEY"), "k")
    env |= dict.fromkeys(("OPENAI_BASE_URL", "OPENROUTER_BASE_URL"), upstream.url)
    return AsyncClient(env=env, runtime=Runtime(sinks=[] if records is None else [records.append]), **more)


def called(arguments, name="City"):
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return chat(None, tool_calls=[call])


async def test_a_model_that_cannot_be_held_to_a_schema_answers_by_a_tool():
    async with FakeUpstream([reply(200, called(GOOD))]) as upstream, client(upstream) as line:
        answer = await line.complete("A city?", UNABLE, response_format=City)
    (asked,) = upstream.served
    assert asked.json["tool_choice"] == {"type": "function", "function": {"name": "City"}}
    assert "response_format" not in asked.json
    assert (answer.parsed, answer.text, answer.tool_calls, answer.finish) == (City("Paris", 2), GOOD, (), "stop")
    assert [(loss.field, loss.row) for loss in answer.loss] == [("response_format", "schema")]


async def test_a_model_without_tools_is_asked_in_words():
    text = f"Sure!\n```json\n{GOOD}\n```"
    async with FakeUpstream([reply(200, chat(text))]) as upstream, client(upstream) as line:
        answer = await line.complete("A city?", SPEECHLESS, response_format=City)
    assert upstream.served[0].json["messages"][0]["role"] == "system"
    assert (answer.parsed, answer.text) == (City("Paris", 2), GOOD)


async def test_an_answer_that_does_not_fit_is_asked_for_once_more():
    records = []
    script = [reply(200, chat(BAD)), reply(200, chat(GOOD))]
    async with FakeUpstream(script) as upstream, client(upstream, records) as line:
        answer = await line.complete("A city?", SPEECHLESS, response_format=City)
        once = await line.complete("A city?", SPEECHLESS)
    assert answer.parsed == City("Paris", 2)
    first, second, _ = (asked.json["messages"] for asked in upstream.served)
    assert second[: len(first)] == first
    bad, complaint = second[len(first) :]
    assert bad == {"role": "assistant", "content": BAD}
    assert "$.people" in complaint["content"]
    record, _ = records
    assert answer.usage.total_tokens == record.usage.total_tokens == 2 * USAGE["total_tokens"]
    assert answer.cost == record.cost == 2 * once.cost
    assert [attempt.error for attempt in record.attempts] == ["ResponseParseError", None]
    assert len({attempt.id for attempt in record.attempts}) == 2


async def test_a_tools_arguments_are_checked_too():
    async with FakeUpstream([reply(200, called(BAD)), reply(200, called(GOOD))]) as upstream, client(upstream) as line:
        answer = await line.complete("A city?", UNABLE, response_format=City)
    assert answer.parsed == City("Paris", 2)
    assert upstream.served[1].json["messages"][1] == {"role": "assistant", "content": BAD}


async def test_a_second_bad_answer_is_an_error_that_was_paid_for():
    records = []
    async with FakeUpstream([reply(200, chat(BAD))]) as upstream, client(upstream, records) as line:
        with pytest.raises(ResponseParseError, match=r"\$\.people: it is not of type") as caught:
            await line.complete("A city?", SPEECHLESS, response_format=City)
    assert len(upstream.served) == 2
    assert "millions" not in str(caught.value)
    (record,) = records
    assert (record.outcome, record.error) == ("error", "ResponseParseError")
    assert record.usage.total_tokens == 2 * USAGE["total_tokens"]
    assert record.cost > 0
    assert [attempt.error for attempt in record.attempts] == ["ResponseParseError"] * 2


async def test_a_repair_that_fails_leaves_the_first_complaint():
    records = []
    script = [reply(200, chat(BAD)), reply(400, {"error": {"message": "no"}})]
    async with FakeUpstream(script) as upstream, client(upstream, records) as line:
        with pytest.raises(ResponseParseError, match=r"\$\.people") as caught:
            await line.complete("A city?", SPEECHLESS, response_format=City)
    assert caught.value.__cause__ is not None
    (record,) = records
    assert record.usage.total_tokens == USAGE["total_tokens"]


@pytest.mark.parametrize(
    "answer", [chat('{"name":"Pa') | {"choices": [{**chat('{"name":"Pa')["choices"][0], "finish_reason": "length"}]}]
)
async def test_an_answer_that_was_cut_is_not_asked_for_again(answer):
    async with FakeUpstream([reply(200, answer)]) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError, match="cut by max_tokens"):
            await line.complete("A city?", SPEECHLESS, response_format=City)
    assert len(upstream.served) == 1


async def test_a_form_that_the_provider_holds_is_not_checked_twice():
    async with FakeUpstream([reply(200, chat(BAD))]) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError):
            await line.complete("A city?", "openai/gpt-4o", response_format=City)
        assert (await line.complete("?", "openai/gpt-4o", response_format=SCHEMA)).text == BAD
    assert len(upstream.served) == 2


async def test_a_stream_is_checked_at_its_end_and_not_repaired():
    script = [stream(*chunks("Sure: ", '{"name":"Paris",', '"people":"secret"}'))]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        async with line.stream("A city?", SPEECHLESS, response_format=SCHEMA) as answer:
            with pytest.raises(ResponseParseError, match=r"\$\.people") as caught:
                await answer.final()
        assert "secret" not in str(caught.value)
    assert len(upstream.served) == 1


async def test_a_streamed_tool_call_is_streamed_text():
    first, middle, last, usage = chunks("x")
    function = {"index": 0, "id": "c", "type": "function", "function": {"name": "City", "arguments": ""}}
    pieces = [{"name": ""}, *({"arguments": piece} for piece in ('{"name":"Pa', 'ris","people":2}'))]
    deltas = [{"tool_calls": [function]}, *({"tool_calls": [{"index": 0, "function": one}]} for one in pieces[1:])]
    told = [{**middle, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = {**last, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    async with FakeUpstream([stream(first, *told, end, usage)]) as upstream, client(upstream) as line:
        async with line.stream("A city?", UNABLE, response_format=City) as answer:
            assert [piece async for piece in answer.text] == ['{"name":"Pa', 'ris","people":2}']
            whole = await answer.final()
    assert (whole.parsed, whole.finish) == (City("Paris", 2), "stop")


async def test_without_a_form_nobody_looks_at_the_answer():
    async with FakeUpstream([reply(200, chat("not json"))]) as upstream, client(upstream) as line:
        assert (await line.complete("Hi", SPEECHLESS)).text == "not json"
        assert (await line.complete("Hi", SPEECHLESS, response_format="text")).parsed == "not json"
    assert len(upstream.served) == 2


async def test_a_complaint_of_pydantics_names_the_place():
    import pydantic

    class Town(pydantic.BaseModel):
        people: list[int]

    script = {"m": [MockAnswer(text='{"people":[1,"secret"]}')]}
    async with AsyncClient(mock=script, env={}) as line:
        with pytest.raises(ResponseParseError, match=r"\$\.people\[1\]: Input should be a valid integer") as caught:
            await line.complete("?", "mock/m", response_format=Town)
    assert "secret" not in str(caught.value)


# --- objects that still grow ------------------------------------------------------------------------------------------


async def test_a_partial_object_grows():
    script = {"m": [MockAnswer(text='{"name": "Le Mans", "people": 2, "near": ["Tours", "La Flèche"]}')]}
    async with AsyncClient(mock=script, env={}) as line:
        async with line.stream("?", "mock/m", response_format=SCHEMA) as answer:
            grown = [partial async for partial in answer.partial]
            final = await answer.final()
    assert grown[0] == {}
    assert {"name": "Le"} in grown
    assert {"name": "Le Mans", "people": 2, "near": ["Tours", "La"]} in grown
    assert grown[-1] == final.parsed == msgspec.json.decode(final.text)


def test_a_synchronous_program_sees_it_grow_too():
    with Client(mock={"m": [MockAnswer(text='{"name": "Le Mans", "people": 2}')]}, env={}) as line:
        with line.stream("?", "mock/m", response_format=City) as answer:
            grown = list(answer.partial)
            assert answer.final().parsed == City("Le Mans", 2)
    assert grown[-1] == {"name": "Le Mans", "people": 2}
    assert len(grown) > 2


async def test_a_partial_list_is_the_list_itself():
    script = {"m": [MockAnswer(text='{"answer": [1, 2, 3]}')]}
    async with AsyncClient(mock=script, env={}) as line:
        async with line.stream("?", "mock/m", response_format=list[int]) as answer:
            grown = [partial async for partial in answer.partial]
            assert (await answer.final()).parsed == [1, 2, 3]
    assert grown == [[1], [1, 2], [1, 2, 3]]


async def test_an_answer_that_is_no_json_has_no_partial_object():
    async with AsyncClient(mock={"m": [MockAnswer(text="No { object here")]}, env={}) as line:
        async with line.stream("?", "mock/m", response_format=City) as answer:
            assert [partial async for partial in answer.partial] == []
            with pytest.raises(ResponseParseError):
                await answer.final()


def test_a_code_fence_is_no_part_of_it():
    growing = Growing(form_from(SCHEMA))
    growing.add([TextDelta(delta='```json\n{"name": "Pa')])
    assert growing.value() == {"name": "Pa"}
    assert growing.value() is NOTHING
    growing.add([TextDelta(delta='ris"}\n```')])
    assert growing.value(over=True) == {"name": "Paris"}


def test_a_long_answer_is_not_read_again_with_every_piece():
    text = msgspec.json.encode({"cities": [{"name": f"City {at}", "people": at} for at in range(5000)]}).decode()
    growing = Growing(None)
    read = 0
    values = []
    for at in range(0, len(text), 4):
        growing.add([TextDelta(delta=text[at : at + 4])])
        if (value := growing.value()) is not NOTHING:
            read += at
            values.append(value)
    values.append(growing.value(over=True))
    assert read < 40 * len(text)
    assert len(values) > 200
    assert values[-1] == msgspec.json.decode(text)
