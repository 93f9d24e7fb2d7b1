"""The official SDKs on the paths beyond chat: Responses, completions, moderations, token counts, and Google's own."""

import anthropic
import msgspec
import openai
import pydantic
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from samples import (
    chat,
    chunks,
    completion,
    generated,
    generated_chunks,
    message,
    message_events,
    response,
    response_events,
    vectors,
)
from trunkline.testing import Told, reply, stream

SSE = {"content-type": "text/event-stream"}
GPT, CLAUDE, GEMINI = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash"
MODELS = [GPT, CLAUDE, GEMINI]
QUESTION = "What is the capital of France?"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def sse(*said, event: bool) -> Told:
    lines = [(b"event: %s\n" % one["type"].encode() if event else b"") + b"data: " + json(one) for one in said]
    return Told(headers=SSE, pieces=[line + b"\n\n" for line in lines])


def json(value) -> bytes:
    return msgspec.json.encode(value)


def any_of_them(asked) -> Told:
    """OpenAI, Anthropic and Google behind one address: words, vectors, counts and judgements."""
    body = asked.json
    match asked.path.rpartition("/")[2].partition("?")[0].rpartition(":")[2]:
        case "messages":
            said = [event for _, event in message_events("Par", "is.")]
            return sse(*said, event=True) if body.get("stream") else reply(200, message(), request_id="req_a")
        case "responses":
            said = [event for _, event in response_events("Par", "is.")]
            return sse(*said, event=True) if body.get("stream") else reply(200, response(), x_request_id="req_o")
        case "completions" if "prompt" in body:
            return (
                stream(completion("Par", finish=None), completion("is."))
                if body.get("stream")
                else reply(200, completion())
            )
        case "completions":
            return stream(*chunks("Par", "is.")) if body.get("stream") else reply(200, chat())
        case "generateContent":
            return reply(200, generated())
        case "streamGenerateContent":
            return sse(*generated_chunks("Par", "is."), event=False)
        case "embeddings":
            return reply(200, vectors([1.0, 0.0], [0.0, 1.0]))
        case "batchEmbedContents":
            return reply(200, {"embeddings": [{"values": [1.0, 0.0]}, {"values": [0.0, 1.0]}]})
        case "countTokens":
            return reply(200, {"totalTokens": 7})
        case "count_tokens" | "input_tokens":
            return reply(200, {"input_tokens": 9})
        case "moderations":
            return reply(
                400,
                {
                    "error": {
                        "message": "no such model",
                        "type": "invalid_request_error",
                        "param": "model",
                        "code": None,
                    }
                },
            )
        case other:
            raise AssertionError(other)


ANSWER = [any_of_them]


@pytest.fixture(scope="module")
def shared(lasting_gateway_for):
    return lasting_gateway_for(lambda asked: ANSWER[0](asked), "{retries: 0}")


@pytest.fixture
def gateway(shared):
    ANSWER[0] = any_of_them
    shared.upstream.served.clear()
    return shared


def answers(*told: Told) -> None:
    """What the providers say from now on, one after another."""
    said = iter(told)
    ANSWER[0] = lambda _: next(said)


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


# --- OpenAI's Responses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_responses_whole(gpt, model):
    answer = gpt.responses.create(model=model, input=QUESTION, max_output_tokens=20)
    assert (answer.output_text, answer.status, answer.error) == ("Paris.", "completed", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (12, 5, 17)


@pytest.mark.parametrize("model", MODELS)
def test_responses_streamed(gpt, model):
    with gpt.responses.stream(model=model, input=QUESTION, max_output_tokens=20) as answer:
        words = [event.delta for event in answer if event.type == "response.output_text.delta"]
        whole = answer.get_final_response()
    assert words == ["Par", "is."]
    assert (whole.output_text, whole.usage.output_tokens) == ("Paris.", 5)


def calls(model: str) -> tuple[Told, Told]:
    """A provider that calls a tool, and then has its words."""
    if model == CLAUDE:
        use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
        return reply(200, message(content=[use], stop_reason="tool_use")), reply(200, message("Sunny."))
    if model == GEMINI:
        part = {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}
        first = generated()
        first["candidates"][0]["content"]["parts"] = [part]
        return reply(200, first), reply(200, generated("Sunny."))
    function = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    item = {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", **function}
    return reply(200, response(output=[item])), reply(200, response("Sunny."))


@pytest.mark.parametrize("model", MODELS)
def test_tools_through_responses(gateway, gpt, model):
    tool = {"type": "function", "name": "get_weather", "description": "now", "parameters": WEATHER, "strict": None}
    answers(*calls(model))
    asked = [{"role": "user", "content": "The weather in Paris?"}]
    first = gpt.responses.create(model=model, input=asked, tools=[tool])
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"city": "Paris"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = gpt.responses.create(model=model, input=[*asked, *first.output, result], tools=[tool])
    assert second.output_text == "Sunny."
    assert b"sunny" in gateway.upstream.served[1].body
    assert call.call_id.encode() in gateway.upstream.served[1].body or model == GEMINI


class City(pydantic.BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_with_a_form_through_responses(gateway, gpt, model):
    text = '{"name":"Paris","people":2}'
    ANSWER[0] = lambda asked: reply(200, {GPT: response, CLAUDE: message, GEMINI: generated}[model](text))
    answer = gpt.responses.parse(model=model, input=QUESTION, text_format=City)
    assert answer.output_parsed == City(name="Paris", people=2)
    assert b'"people"' in gateway.upstream.served[0].body


def test_a_responses_stream_that_breaks(gpt):
    pieces = any_of_them_streamed()
    answers(Told(headers=SSE, pieces=pieces[:5], cut=True))
    seen = []
    with pytest.raises(openai.APIError, match=r"broke off|ended before"):
        for event in gpt.responses.create(model=GPT, input=QUESTION, stream=True):
            seen.append(event.type)
    assert "response.output_text.delta" in seen
    assert "response.completed" not in seen


def any_of_them_streamed() -> list[bytes]:
    return list(sse(*[event for _, event in response_events("Par", "is.")], event=True).pieces)


# --- OpenAI's other paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["openai/gpt-3.5-turbo-instruct", CLAUDE, GEMINI])
def test_legacy_completions(gpt, model):
    answer = gpt.completions.create(model=model, prompt="The capital of France is", max_tokens=20)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Paris.", "stop")
    pieces = gpt.completions.create(model=model, prompt="The capital of France is", max_tokens=20, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == "Paris."


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "google/gemini-embedding-001"])
def test_embeddings_as_the_sdk_asks_for_them(gpt, model):
    """It asks for base64 by itself, and reads numbers where a server has no such thing."""
    answer = gpt.embeddings.create(model=model, input=["a", "b"])
    assert [list(row.embedding) for row in answer.data] == [[1.0, 0.0], [0.0, 1.0]]


def test_a_refused_moderation(gpt):
    with pytest.raises(openai.BadRequestError, match="no such model") as caught:
        gpt.moderations.create(input="Hello", model="openai/nothing")
    assert caught.value.param == "model"


def test_a_moderation(gateway, gpt):
    judged = {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}
    answers(reply(200, {"id": "m", "model": "omni-moderation-latest", "results": [judged]}))
    (result,) = gpt.moderations.create(input="Hello").results
    assert (result.flagged, result.categories.violence) == (True, True)
    assert gateway.upstream.served[0].json["model"] == "omni-moderation-latest"


# --- counting tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "counted"), [(GPT, 9), (CLAUDE, 9), (GEMINI, 7)])
def test_counting_tokens(claude, model, counted):
    tool = {"name": "get_weather", "description": "now", "input_schema": WEATHER}
    asked = [{"role": "user", "content": QUESTION}]
    count = claude.messages.count_tokens(model=model, messages=asked, system="Be brief.", tools=[tool])
    assert count.input_tokens == counted


@pytest.mark.parametrize(("model", "counted"), [(GPT, 9), (CLAUDE, 9), (GEMINI, 7)])
def test_counting_tokens_through_responses(gpt, model, counted):
    assert gpt.responses.input_tokens.count(model=model, input=QUESTION).input_tokens == counted


def test_counting_tokens_where_nobody_counts(claude):
    raw = claude.messages.with_raw_response.count_tokens(model="mock", messages=[{"role": "user", "content": QUESTION}])
    assert raw.headers["x-trunkline-estimated"] == "true"
    assert 5 < raw.parse().input_tokens < 20


def test_anthropic_streams_tools_of_gemini(claude):
    first = generated(finish=None)
    part = {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"}
    last = generated()
    last["candidates"][0]["content"]["parts"] = [part]
    answers(sse(first, last, event=False))
    tool = {"name": "get_weather", "description": "now", "input_schema": WEATHER}
    asked = [{"role": "user", "content": "The weather in Paris?"}]
    with claude.messages.stream(model=GEMINI, messages=asked, tools=[tool], max_tokens=50) as answer:
        text, use = answer.get_final_message().content
    assert (text.text, use.name, use.input) == ("Paris.", "get_weather", {"city": "Paris"})
    assert answer.get_final_message().stop_reason == "tool_use"


# --- google-genai -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_google_whole(gemini, model):
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=20)
    answer = gemini.models.generate_content(model=model, contents=QUESTION, config=config)
    assert answer.text == "Paris."
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (12, 5)


@pytest.mark.parametrize("model", MODELS)
def test_google_streamed(gemini, model):
    pieces = list(gemini.models.generate_content_stream(model=model, contents=QUESTION))
    assert "".join(piece.text or "" for piece in pieces) == "Paris."
    assert pieces[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert pieces[-1].usage_metadata.total_token_count == 17


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize("model", MODELS)
async def test_google_async(gateway, model):
    sdk = genai.Client(api_key="anything", http_options=types.HttpOptions(base_url=gateway.url))
    async with sdk.aio as line:
        assert (await line.models.generate_content(model=model, contents=QUESTION)).text == "Paris."
        stream = await line.models.generate_content_stream(model=model, contents=QUESTION)
        assert "".join([piece.text or "" async for piece in stream]) == "Paris."
    sdk.close()


@pytest.mark.parametrize("model", MODELS)
def test_google_functions(gateway, gemini, model):
    """The SDK calls the function by itself and sends what it gave."""
    asked = []

    def get_weather(city: str) -> str:
        """The weather now."""
        asked.append(city)
        return "sunny"

    first, second = calls(model)
    if model == GPT:
        function = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        first, second = reply(200, chat(None, tool_calls=[call])), reply(200, chat("Sunny."))
    answers(first, second)
    config = types.GenerateContentConfig(tools=[get_weather])
    answer = gemini.models.generate_content(model=model, contents="The weather in Paris?", config=config)
    assert (answer.text, asked) == ("Sunny.", ["Paris"])
    assert b"sunny" in gateway.upstream.served[1].body


@pytest.mark.parametrize("model", MODELS)
def test_google_parses_into_a_class(gemini, model):
    text = '{"name":"Paris","people":2}'
    ANSWER[0] = lambda asked: reply(200, {GPT: chat, CLAUDE: message, GEMINI: generated}[model](text))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    answer = gemini.models.generate_content(model=model, contents=QUESTION, config=config)
    assert answer.parsed == City(name="Paris", people=2)


@pytest.mark.parametrize(("model", "counted"), [(GPT, 9), (CLAUDE, 9), (GEMINI, 7)])
def test_google_counts_tokens(gemini, model, counted):
    assert gemini.models.count_tokens(model=model, contents=QUESTION).total_tokens == counted
    estimated = gemini.models.count_tokens(model="mock", contents=QUESTION).total_tokens
    assert 5 < estimated < 20


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "google/gemini-embedding-001"])
def test_google_embeds(gateway, gemini, model):
    config = types.EmbedContentConfig(output_dimensionality=2)
    answer = gemini.models.embed_content(model=model, contents=["a", "b"], config=config)
    assert [row.values for row in answer.embeddings] == [[1.0, 0.0], [0.0, 1.0]]
    assert b'"models/openai' not in gateway.upstream.served[0].body


def test_google_lists_models(gemini):
    names = [model.name for model in gemini.models.list()]
    assert {f"models/{GEMINI}", f"models/{GPT}", "models/local/smollm2-135m"} <= set(names)
    assert gemini.models.get(model=GPT).name == f"models/{GPT}"


def test_google_finds_errors(gemini):
    with pytest.raises(google_errors.ClientError, match="unknown model 'whatever'") as caught:
        gemini.models.generate_content(model="whatever", contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    answers(reply(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, retry_after="7"))
    with pytest.raises(google_errors.ClientError, match="slow down") as caught:
        gemini.models.generate_content(model=GPT, contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    answers(reply(503, {"error": {"message": "busy"}}))
    with pytest.raises(google_errors.ServerError, match="busy"):
        gemini.models.generate_content(model=GPT, contents=QUESTION)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_is_an_error_for_google(gemini, model):
    whole = {
        GPT: stream(*chunks("Par")).pieces[:2],
        CLAUDE: sse(*[event for _, event in message_events("Par")], event=True).pieces[:4],
        GEMINI: sse(*generated_chunks("Par", "is."), event=False).pieces[:1],
    }
    answers(Told(headers=SSE, pieces=whole[model], cut=True))
    seen = []
    with pytest.raises(google_errors.APIError, match=r"broke off|ended before"):
        for piece in gemini.models.generate_content_stream(model=model, contents=QUESTION):
            seen.append(piece.text or "")
    assert "".join(seen) == "Par"
