"""The official SDKs with the embedded model behind the gateway: a real answer at the end of the line."""

import anthropic
import openai
import pydantic
import pytest
from google import genai
from google.genai import types

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


@pytest.fixture
def gemini(gateway):
    sdk = genai.Client(api_key="anything", http_options=types.HttpOptions(base_url=gateway.url))
    yield sdk
    sdk.close()


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


# --- Responses, token counts, and Google's SDK ------------------------------------------------------------------------


def test_responses_whole_and_streamed(gpt):
    whole = gpt.responses.create(model="local", input=QUESTION[0]["content"])
    with gpt.responses.stream(model="local", input=QUESTION[0]["content"]) as answer:
        words = [event.delta for event in answer if event.type == "response.output_text.delta"]
    assert "Paris" in whole.output_text
    assert "".join(words) == whole.output_text


def test_responses_tools(gpt):
    tool = {"type": "function", "name": "get_weather", "description": "now", "parameters": WEATHER, "strict": None}
    asked = [{"role": "user", "content": "What is the weather in Oslo?"}]
    first = gpt.responses.create(model="local", input=asked, tools=[tool], tool_choice="required")
    (call,) = first.output
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Oslo"}')
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
    second = gpt.responses.create(model="local", input=[*asked, call, result], tools=[tool])
    assert "18" in second.output_text


def test_responses_parse_into_a_class(gpt):
    class Capital(pydantic.BaseModel):
        city: str
        country: str

    asked = "Which city is the capital of France?"
    assert gpt.responses.parse(model="local", input=asked, text_format=Capital).output_parsed.city == "Paris"


def test_legacy_completions(gpt):
    answer = gpt.completions.create(model="local", prompt=QUESTION[0]["content"], max_tokens=20)
    assert "Paris" in answer.choices[0].text


def test_anthropic_counts_about_as_many_tokens_as_it_is_charged(claude):
    counted = claude.messages.count_tokens(model="local", messages=QUESTION).input_tokens
    used = claude.messages.create(model="local", messages=QUESTION, max_tokens=5).usage
    charged = used.input_tokens + (used.cache_read_input_tokens or 0)  # an earlier test has asked the same
    assert charged / 4 < counted < charged


def test_google_whole_and_streamed(gemini):
    whole = gemini.models.generate_content(model="local", contents=QUESTION[0]["content"])
    pieces = gemini.models.generate_content_stream(model="local", contents=QUESTION[0]["content"])
    assert "Paris" in whole.text
    assert "".join(piece.text or "" for piece in pieces) == whole.text


def test_google_functions(gemini):
    """The SDK calls the function by itself and sends what it gave."""
    asked = []

    def get_weather(city: str) -> str:
        """The weather now."""
        asked.append(city)
        return "18 degrees"

    calling = types.FunctionCallingConfig(mode="ANY")
    config = types.GenerateContentConfig(
        tools=[get_weather],
        tool_config=types.ToolConfig(function_calling_config=calling),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(maximum_remote_calls=2),
    )
    gemini.models.generate_content(model="local", contents="What is the weather in Oslo?", config=config)
    assert asked[0] == "Oslo"


def test_google_counts_and_embeds(gemini):
    assert gemini.models.count_tokens(model="local", contents="Hello there").total_tokens > 1
    one, same = gemini.models.embed_content(model="local", contents=["a cat", "a cat"]).embeddings
    assert one.values == same.values
    assert len(one.values) == 256
