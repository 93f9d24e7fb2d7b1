"""The official SDKs with the embedded model behind the gateway: a real answer at the end of the line."""

import anthropic
import openai
import pydantic
import pytest

pytestmark = pytest.mark.local_model

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def gateway(lasting_gateway_for):
    return lasting_gateway_for([])


@pytest.fixture
def gpt(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="anything", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="anything", max_retries=0) as sdk:
        yield sdk


def test_openai_whole_and_streamed(gpt):
    whole = gpt.chat.completions.create(model="local", messages=QUESTION)
    pieces = list(gpt.chat.completions.create(model="local", messages=QUESTION, stream=True))
    assert "Paris" in whole.choices[0].message.content
    assert whole.model == "smollm2-135m"
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert {piece.model for piece in pieces} == {"smollm2-135m"}


def test_openai_parses_into_a_class(gpt):
    class City(pydantic.BaseModel):
        city: str
        country: str

    asked = [{"role": "user", "content": "Which city is the capital of France?"}]
    answer = gpt.chat.completions.parse(model="local", messages=asked, response_format=City)
    assert answer.choices[0].message.parsed.city == "Paris"


def test_openai_tools_streamed(gpt):
    tool = {"type": "function", "function": {"name": "get_weather", "description": "now", "parameters": WEATHER}}
    asked = [{"role": "user", "content": "What is the weather in Oslo?"}]
    with gpt.chat.completions.stream(model="local", messages=asked, tools=[tool], tool_choice="required") as answer:
        for _ in answer:
            pass
        (choice,) = answer.get_final_completion().choices
    (call,) = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Oslo"}')
    assert choice.finish_reason == "tool_calls"


def test_anthropic_whole_and_streamed(claude):
    whole = claude.messages.create(model="local", messages=QUESTION, max_tokens=60)
    with claude.messages.stream(model="local", messages=QUESTION, max_tokens=60) as answer:
        assert "".join(answer.text_stream) == whole.content[0].text
    assert "Paris" in whole.content[0].text


def test_anthropic_tools(claude):
    tool = {"name": "get_weather", "description": "now", "input_schema": WEATHER}
    asked = [{"role": "user", "content": "What is the weather in Oslo?"}]
    choice = {"type": "tool", "name": "get_weather"}
    with claude.messages.stream(
        model="local", messages=asked, tools=[tool], tool_choice=choice, max_tokens=60
    ) as answer:
        (use,) = answer.get_final_message().content
    assert (use.type, use.name, use.input) == ("tool_use", "get_weather", {"city": "Oslo"})
    turns = [
        *asked,
        {"role": "assistant", "content": [use.model_dump()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "18 degrees"}]},
    ]
    last = claude.messages.create(model="local", messages=turns, tools=[tool], max_tokens=60)
    assert "18" in last.content[0].text


def test_vectors(gpt):
    one, same = gpt.embeddings.create(model="local", input=["a cat", "a cat"]).data
    assert one.embedding == same.embedding
    assert len(one.embedding) == 256
