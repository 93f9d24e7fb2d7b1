"""The embedded model, asked for real: words, JSON, tools and vectors, without a key and without a network."""

import asyncio

import msgspec
import pytest

from trunkline import AsyncClient, Client, InvalidRequestError

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def line():
    with Client({}, env={}) as client:
        yield client


def test_it_knows_the_capital_of_france(line):
    answer = line.complete("What is the capital of France?")
    assert "Paris" in answer.text
    assert (answer.model, answer.target, answer.cost) == ("smollm2-135m", "local/smollm2-135m", 0)
    assert ".gguf" not in str(answer.raw)


def test_it_streams_token_by_token(line):
    with line.stream("What is the capital of France?") as answer:
        words = list(answer.text)
    assert len(words) > 5
    assert "Paris" in "".join(words)
    assert answer.reply.usage.output == pytest.approx(len(words), abs=2)


def test_it_keeps_to_a_schema(line):
    class City(msgspec.Struct):
        city: str
        country: str

    assert line.complete("Which city is the capital of France?", response_format=City).parsed.city == "Paris"


def test_it_calls_a_tool_and_uses_its_result(line):
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return "18 degrees"

    question = {"role": "user", "content": "What is the weather in Oslo?"}
    first = line.complete([question], tools=[get_weather], tool_choice="required")
    (call,) = first.tool_calls
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"city": "Oslo"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    assert "18" in line.complete([question, first.to_message(), result], tools=[get_weather]).text


def test_its_vectors_know_what_is_alike(line):
    cat, kitten, tax = line.embed(["a cat", "a kitten", "the income tax law"]).vectors

    def likeness(one, other):
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, kitten) > 2 * likeness(cat, tax)


def test_a_prompt_that_is_too_long_is_refused_clearly(line):
    with pytest.raises(InvalidRequestError, match=r"(?i)context"):
        line.complete("word " * 6000)


def test_concurrent_calls_share_one_model():
    async def ask():
        async with AsyncClient({}, env={}) as line:
            answers = await asyncio.gather(*(line.complete("What is the capital of France?") for _ in range(4)))
            return [answer.text for answer in answers]

    assert all("Paris" in text for text in asyncio.run(ask()))


def test_a_cancelled_call_frees_the_model_for_the_next():
    async def ask():
        async with AsyncClient({}, env={}) as line:
            long_ones = [asyncio.create_task(line.complete("Tell a long story.", max_tokens=900)) for _ in range(2)]
            await asyncio.sleep(0.3)
            for task in long_ones:
                task.cancel()
            await asyncio.gather(*long_ones, return_exceptions=True)
            answer = await line.complete("What is the capital of France?", max_tokens=20, timeout=20)
            return answer.text

    assert "Paris" in asyncio.run(ask())
