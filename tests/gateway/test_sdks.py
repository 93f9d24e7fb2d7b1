"""The official SDKs, unmodified, against the gateway over a loopback socket: any of them with any provider."""

import http.client

import anthropic
import msgspec
import openai
import pytest

from samples import chat, chunks, message, message_events, vectors
from trunkline.testing import Told, reply, stream

KEY = "sk-upstream-123456"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def sse(events) -> Told:
    pieces = [f"event: {name}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode() for name, event in events]
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces)


def either(asked) -> Told:
    """Both providers behind one address, streamed or not."""
    streamed = asked.json.get("stream")
    if asked.path.endswith("/messages"):
        return sse(message_events("Par", "is.")) if streamed else reply(200, message("Paris."), request_id="req_a")
    if asked.path.endswith("/embeddings"):
        return reply(200, vectors([1.0, 0.0], [0.0, 1.0]))
    return stream(*chunks("Par", "is.")) if streamed else reply(200, chat("Paris."), x_request_id="req_o")


MODELS = ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"]


@pytest.fixture(scope="module")
def gateway(lasting_gateway_for):
    return lasting_gateway_for(either)


@pytest.fixture
def gpt(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="anything", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="anything", max_retries=0) as sdk:
        yield sdk


QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.mark.parametrize("model", MODELS)
def test_openai_sdk_whole(gpt, model):
    answer = gpt.chat.completions.create(model=model, messages=QUESTION, max_tokens=20)
    assert answer.choices[0].message.content == "Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 5)
    assert answer._request_id in {"req_o", "req_a"}


@pytest.mark.parametrize("model", MODELS)
def test_openai_sdk_streamed(gpt, model):
    chunks_seen = list(gpt.chat.completions.create(model=model, messages=QUESTION, max_tokens=20, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks_seen) == "Paris."
    assert chunks_seen[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks_seen)


@pytest.mark.parametrize("model", MODELS)
def test_openai_sdk_streamed_with_usage(gpt, model):
    options = {"include_usage": True}
    *_, last = gpt.chat.completions.create(model=model, messages=QUESTION, stream=True, stream_options=options)
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 12, 5)


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_sdk_whole(claude, model):
    answer = claude.messages.create(model=model, messages=QUESTION, max_tokens=20)
    assert [(block.type, block.text) for block in answer.content] == [("text", "Paris.")]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 5)


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_sdk_streamed(claude, model):
    with claude.messages.stream(model=model, messages=QUESTION, max_tokens=20) as answer:
        assert list(answer.text_stream) == ["Par", "is."]
        whole = answer.get_final_message()
    assert whole.stop_reason == "end_turn"
    assert whole.usage.output_tokens == 5


def test_embeddings(gpt):
    answer = gpt.embeddings.create(model="openai/text-embedding-3-small", input=["a", "b"])
    assert [list(row.embedding) for row in answer.data] == [[1.0, 0.0], [0.0, 1.0]]


def test_embeddings_of_the_embedded_model_in_base64(gpt):
    """The SDK asks for base64 by itself; it comes as base64, and the numbers come out right."""
    wire = gpt.embeddings.with_raw_response.create(model="local", input="hello", encoding_format="base64")
    assert isinstance(wire.http_response.json()["data"][0]["embedding"], str)
    answer = gpt.embeddings.create(model="local", input="hello")
    assert len(answer.data[0].embedding) == 256
    plain = gpt.embeddings.create(model="local", input="hello", encoding_format="float")
    assert answer.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_tools_through_the_other_dialect(gateway_for):
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
    gateway = gateway_for([reply(200, message(content=[use], stop_reason="tool_use"))])
    tool = {"type": "function", "function": {"name": "get_weather", "description": "now", "parameters": WEATHER}}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x") as gpt:
        answer = gpt.chat.completions.create(model=MODELS[1], messages=QUESTION, tools=[tool], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, msgspec.json.decode(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert answer.choices[0].finish_reason == "tool_calls"
    asked = gateway.upstream.served[0].json
    assert asked["tools"] == [{"name": "get_weather", "description": "now", "input_schema": WEATHER}]
    assert asked["tool_choice"] == {"type": "any"}


def test_tools_the_other_way(gateway_for):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    gateway = gateway_for([reply(200, chat(None, tool_calls=[call])), reply(200, chat("Sunny."))])
    tool = {"name": "get_weather", "description": "now", "input_schema": WEATHER}
    with anthropic.Anthropic(base_url=gateway.url, api_key="x") as claude:
        first = claude.messages.create(model=MODELS[0], messages=QUESTION, tools=[tool], max_tokens=50)
        (use,) = first.content
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
        turns = [*QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = claude.messages.create(model=MODELS[0], messages=turns, tools=[tool], max_tokens=50)
    assert (use.type, use.name, use.input, first.stop_reason) == (
        "tool_use",
        "get_weather",
        {"city": "Paris"},
        "tool_use",
    )
    assert second.content[0].text == "Sunny."
    sent = gateway.upstream.served[1].json["messages"]
    assert sent[1]["tool_calls"][0]["id"] == "call_1"
    assert sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def test_the_same_dialect_passes_value_for_value(gateway_for):
    gateway = gateway_for([reply(200, chat("Paris."))])
    odd = '{"model": "openai/gpt-4o-mini" , "messages":[ {"role":"user","content":"h\\u00e9"} ],'
    odd += ' "seed": 12345678901234567890, "future_key": {"b": 1.10, "a": [ ] }}'
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", odd, {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert msgspec.json.decode(answer.read()) == chat("Paris.")
    sent = gateway.upstream.served[0].body.decode()
    assert '[ {"role":"user","content":"h\\u00e9"} ]' in sent
    assert '"seed":12345678901234567890' in sent
    assert '{"b": 1.10, "a": [ ] }' in sent
    assert '"model":"gpt-4o-mini"' in sent
    connection.close()


def test_a_beta_header_reaches_the_provider_that_speaks_it(gateway_for):
    gateway = gateway_for([reply(200, message())])
    with anthropic.Anthropic(base_url=gateway.url, api_key="x") as claude:
        claude.beta.messages.create(model=MODELS[1], messages=QUESTION, max_tokens=5, betas=["files-api-2025-04-14"])
    served = gateway.upstream.served[0]
    assert served.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert served.headers["x-api-key"] == KEY


# --- errors -----------------------------------------------------------------------------------------------------------


def test_openai_sdk_finds_error_code_request_id_and_retry_after(gateway_for):
    error = {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    config = "retries: 0"
    gateway = gateway_for([reply(429, error, x_request_id="req_7", retry_after="7")], config)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as gpt:
        with pytest.raises(openai.RateLimitError) as caught:
            gpt.chat.completions.create(model=MODELS[0], messages=QUESTION)
    assert (caught.value.code, caught.value.request_id) == ("rate_limit_exceeded", "req_7")
    assert caught.value.response.headers["retry-after"] == "7"


def test_anthropic_sdk_finds_the_error_of_another_provider(gateway_for):
    error = {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    gateway = gateway_for([reply(429, error, x_request_id="req_7", retry_after="7")], "retries: 0")
    with anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0) as claude:
        with pytest.raises(anthropic.RateLimitError) as caught:
            claude.messages.create(model=MODELS[0], messages=QUESTION, max_tokens=5)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert "slow down" in caught.value.body["error"]["message"]
    assert caught.value.request_id == "req_7"
    assert caught.value.response.headers["retry-after"] == "7"


def test_unknown_models_are_404_in_each_dialect(gpt, claude):
    with pytest.raises(openai.NotFoundError, match="unknown model 'whatever'"):
        gpt.chat.completions.create(model="whatever", messages=QUESTION)
    with pytest.raises(anthropic.NotFoundError, match="unknown model 'whatever'"):
        claude.messages.create(model="whatever", messages=QUESTION, max_tokens=5)


def test_bad_requests_name_the_field(gpt):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model=MODELS[1], messages=[{"role": "wizard", "content": "x"}])
    assert caught.value.param == "messages[0].role"
    assert "must be one of" in str(caught.value)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_is_an_error_for_the_openai_sdk(gateway_for, model):
    pieces = sse(message_events("Par")).pieces[:4] if "claude" in model else stream(*chunks("Par")).pieces[:2]
    gateway = gateway_for([Told(headers={"content-type": "text/event-stream"}, pieces=pieces, cut=True)])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as gpt:
        seen = []
        with pytest.raises(openai.APIError, match=r"broke off|ended before"):
            for chunk in gpt.chat.completions.create(model=model, messages=QUESTION, stream=True):
                seen.append(chunk.choices[0].delta.content or "")
    assert "".join(seen) == "Par"


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_is_an_error_for_the_anthropic_sdk(gateway_for, model):
    pieces = sse(message_events("Par")).pieces[:4] if "claude" in model else stream(*chunks("Par")).pieces[:2]
    gateway = gateway_for([Told(headers={"content-type": "text/event-stream"}, pieces=pieces, cut=True)])
    with anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0) as claude:
        with pytest.raises(anthropic.APIError):
            with claude.messages.stream(model=model, messages=QUESTION, max_tokens=5) as answer:
                for _ in answer.text_stream:
                    pass


# --- lists ------------------------------------------------------------------------------------------------------------


def test_model_lists(gpt, claude):
    names = [model.id for model in gpt.models.list()]
    assert {"local/smollm2-135m", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"} <= set(names)
    assert not any(name.startswith("groq/") for name in names)  # no key for it
    assert gpt.models.retrieve("openai/gpt-4o-mini").owned_by == "openai"
    assert gpt.models.retrieve("local").id == "local"
    assert "local/smollm2-135m" in [model.id for model in claude.models.list()]
    assert claude.models.retrieve("local/smollm2-135m").type == "model"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("groq/llama-3.3-70b-versatile")
