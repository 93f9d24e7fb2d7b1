"""`LiteLLMClient`: synchronous, in OpenAI's shape, with five errors of its own."""

import asyncio
import threading

import msgspec
import pytest

from samples import chat, chunks, message, message_events
from trunkline import AuthenticationError, TrunklineError, interfaces
from trunkline.interfaces.faults import row_of
from trunkline.interfaces.line import line
from trunkline.interfaces.litellm_client import (
    LiteLLMClient,
    LiteLLMConfig,
    LLMAuthenticationError,
    LLMConfigurationError,
    LLMConnectionError,
    LLMError,
    LLMRateLimitError,
    LLMResponseError,
    LLMTimeoutError,
    Message,
    completion_cost,
)
from trunkline.testing import FakeUpstream, Told, reply, stream

TALK = [Message(role="system", content="Be brief."), Message(role="user", content="Hello!")]
ANSWER = reply(200, chat("Hello!"))
DOWN = reply(503, {"error": {"message": "away", "type": "server_error"}})
WEATHER = {"name": "get_weather", "parameters": {"location": {"type": "string"}}}
VECTORS = {"object": "list", "model": "m", "data": [{"index": 1, "embedding": [3.0]}, {"index": 0, "embedding": [1.0]}]}


@pytest.fixture
def serve(machine):
    """A provider that answers so, in the place of OpenAI, Anthropic or both."""
    made = []

    def answering(script, provider="OPENAI"):
        upstream = FakeUpstream(script if callable(script) else list(script)).__enter__()
        made.append(upstream)
        machine.setenv(f"{provider}_API_KEY", f"sk-{provider.lower()}")
        machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        interfaces.reload()
        return upstream

    yield answering
    for upstream in made:
        upstream.__exit__(None, None, None)


def client(**said):
    return LiteLLMClient(LiteLLMConfig(**{"model": "gpt-4", "max_retries": 0, **said}))


def asked(upstream):
    return [one.json["model"] for one in upstream.served]


@pytest.mark.seed("S2.1", "S2.6", "S2.8", "S2.10", "S2.14", "S2.15")
def test_a_completion_by_what_the_environment_says(machine, serve):
    upstream = serve([ANSWER])
    machine.setenv("LITELLM_MODEL", "gpt-4")
    response = LiteLLMClient().generate_completion(TALK)
    assert response.choices[0].message.content == "Hello!"
    assert response["choices"][0]["message"]["content"] == "Hello!"
    (request,) = upstream.served
    assert request.headers["authorization"] == "Bearer sk-openai"
    assert request.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
    ]


@pytest.mark.seed("S2.5", "S2.16")
def test_embeddings_keep_their_order(serve):
    upstream = serve([reply(200, VECTORS)])
    vectors = client().generate_embedding(["first", "second"])
    assert [list(one["embedding"]) for one in vectors["data"]] == [[1.0], [3.0]]
    assert upstream.served[0].json["input"] == ["first", "second"]
    assert upstream.served[0].json["model"] == "text-embedding-ada-002"
    assert client().generate_embedding("Sample text")["data"][0]["embedding"][0] == 1.0


@pytest.mark.seed("S2.1", "S2.7", "S2.12", "S2.17")
def test_fallbacks_go_across_providers_each_with_its_own_key(machine, serve, clock):
    down = serve([DOWN], "ANTHROPIC")
    upstream = serve(lambda request: DOWN if request.json["model"] == "gpt-4" else ANSWER)
    machine.setattr(line().runtime, "clock", clock)
    made = client(model="claude-2", api_key="sk-given", timeout=90, fallback_models=["gpt-4", "gpt-3.5-turbo"])
    assert made.generate_completion(TALK).choices[0].message.content == "Hello!"
    assert down.served[0].headers["x-api-key"] == "sk-given"
    assert asked(upstream) == ["gpt-4", "gpt-3.5-turbo"]
    assert {one.headers["authorization"] for one in upstream.served} == {"Bearer sk-openai"}


def test_an_answer_of_anthropics_has_choices_too(serve):
    serve([reply(200, message("Bonjour."))], "ANTHROPIC")
    assert client(model="claude-2").generate_completion(TALK).choices[0].message.content == "Bonjour."


YAML = """
llm:
  model: gpt-4
  api_key: ${OPENAI_API_KEY}
  timeout: 60
  max_retries: 3
  fallback_models:
    - gpt-3.5-turbo
    - claude-2
  cache: true
"""


@pytest.mark.seed("S2.2", "S2.9")
def test_a_file_with_variables(machine, serve, tmp_path):
    upstream = serve([ANSWER])
    machine.setenv("OPENAI_API_KEY", "sk-of-the-file")
    (tmp_path / "dewey.yaml").write_text(YAML + "other: {section: '${NOT_OURS}'}\n")
    made = LiteLLMClient()
    assert made.config == LiteLLMConfig(
        model="gpt-4",
        api_key="sk-of-the-file",
        timeout=60,
        max_retries=3,
        fallback_models=["gpt-3.5-turbo", "claude-2"],
        cache=True,
    )
    assert "sk-of-the-file" not in repr(made.config)
    for _ in range(2):
        made.generate_completion(TALK)
    assert len(upstream.served) == 1  # the second one came from the cache
    made.generate_completion(TALK, temperature=0.9)
    assert len(upstream.served) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (YAML, "OPENAI_API_KEY is not set"),
        ("llm: {timeout: soon}", "timeout"),
        ("llm: {modle: gpt-4}", "modle"),
        ("llm: [", "my.yaml:"),
        ("llm: {max_retries: -1}", "max_retries"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_line(tmp_path, text, word):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(LLMConfigurationError, match=word) as caught:
        LiteLLMConfig.from_yaml(file)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(LLMConfigurationError, match="cannot be read"):
        LiteLLMConfig.from_yaml(tmp_path / "none.yaml")


@pytest.mark.seed("S2.10")
def test_what_the_environment_says(machine):
    said = {
        "MODEL": "gpt-4",
        "TIMEOUT": "60",
        "FALLBACKS": "gpt-3.5-turbo, claude-2,",
        "MAX_RETRIES": "1",
        "CACHE": "true",
    }
    for name, value in said.items():
        machine.setenv(f"LITELLM_{name}", value)
    assert LiteLLMConfig.from_env() == LiteLLMConfig(
        model="gpt-4", timeout=60, max_retries=1, fallback_models=["gpt-3.5-turbo", "claude-2"], cache=True
    )
    machine.setenv("LITELLM_TIMEOUT", "soon")
    with pytest.raises(LLMConfigurationError, match="LITELLM_TIMEOUT"):
        LiteLLMConfig.from_env()


@pytest.mark.seed("S2.3", "S2.11", "S2.18", "S2.19")
@pytest.mark.parametrize(
    ("told", "kind", "calls"),
    [
        (reply(401, {"error": {"message": "bad key", "code": "invalid_api_key"}}), LLMAuthenticationError, 1),
        (reply(429, {"error": {"message": "slow", "type": "rate_limit"}}), LLMRateLimitError, 3),
        (reply(429, {"error": {"message": "quota", "code": "insufficient_quota"}}), LLMRateLimitError, 1),
        (reply(400, {"error": {"message": "no"}}), LLMResponseError, 1),
        (reply(404, {"error": {"message": "no model", "code": "model_not_found"}}), LLMResponseError, 1),
        (DOWN, LLMResponseError, 3),
        (reply(200, b"<html>"), LLMResponseError, 3),
        (Told(silent=True), LLMConnectionError, 3),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_five_errors(serve, clock, told, kind, calls):
    upstream = serve([told])
    line().runtime.clock = clock
    with pytest.raises(kind) as caught:
        client(max_retries=2).generate_completion(TALK)
    error = caught.value
    assert len(upstream.served) == calls
    assert isinstance(error, LLMError)
    assert isinstance(error.__cause__, TrunklineError)
    assert error.kind == row_of(error.__cause__).kind
    assert "sk-openai" not in str(error)
    assert isinstance(error, AuthenticationError) == (kind is LLMAuthenticationError)


@pytest.mark.seed("S2.18", "S2.20")
def test_who_is_too_slow(serve):
    serve([reply(200, chat(), delay=5)])
    with pytest.raises(LLMTimeoutError, match=r"0\.1 seconds"):
        client(timeout=0.1).generate_completion(TALK)


def test_without_a_key_the_error_names_the_variable():
    with pytest.raises(LLMAuthenticationError, match="OPENAI_API_KEY"):
        client().generate_completion(TALK)


def test_a_target_of_the_machines_configuration_is_asked_as_it_stands_there(serve, clock, tmp_path):
    upstream = serve(lambda request: DOWN if request.json["model"] == "gpt-4" else ANSWER)
    said = f"targets: {{ours: {{model: openai/gpt-4o-mini, api_key: sk-ours, base_url: '{upstream.url}/v1'}}}}"
    (tmp_path / "trunkline.yaml").write_text(said)
    interfaces.reload()
    assert client(fallback_models=["ours"]).generate_completion(TALK).text == "Hello!"
    assert [one.headers["authorization"] for one in upstream.served] == ["Bearer sk-openai", "Bearer sk-ours"]


@pytest.mark.seed("S2.4", "S2.20")
def test_what_it_cost(serve):
    usage = {"prompt_tokens": 24, "completion_tokens": 10, "total_tokens": 34}
    serve([ANSWER, reply(200, {**chat("Hello!"), "usage": usage})])
    made = client()
    first, second = (completion_cost(made.generate_completion(TALK)) for _ in range(2))
    assert first > 0
    assert second == pytest.approx(2 * first)


def test_a_cost_that_nobody_knows_is_not_taken_for_nothing(serve):
    serve([ANSWER])
    with pytest.raises(LLMResponseError, match="prices"):
        completion_cost(client(model="a-model-that-nobody-knows").generate_completion(TALK))


@pytest.mark.seed("S2.6", "S2.11")
def test_what_is_known_of_a_model():
    details = client().get_model_details("gpt-4o")
    assert (details["provider"], details["max_input_tokens"]) == ("openai", 128_000)
    assert details["input_cost_per_token"] == pytest.approx(2.5e-6)
    assert client().get_model_details("nobody-knows-it")["max_output_tokens"] is None


@pytest.mark.seed("S2.21")
def test_functions_are_tools(serve):
    arguments = '{"location":"Paris"}'
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    upstream = serve([reply(200, chat(None, tool_calls=[call]))])
    response = client().generate_completion(TALK, functions=[WEATHER], function_call="auto")
    called = response.choices[0].message.function_call
    assert (called.name, called.arguments) == ("get_weather", arguments)
    (body,) = (one.json for one in upstream.served)
    schema = {"type": "object", "properties": {"location": {"type": "string"}}}
    assert body["tools"][0]["function"]["name"] == "get_weather"
    assert body["tools"][0]["function"]["parameters"] == schema
    assert body["tool_choice"] == "auto"
    client().generate_completion(TALK, functions=[WEATHER], function_call={"name": "get_weather"})
    assert upstream.served[1].json["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}


def test_functions_on_anthropic_have_a_schema(serve):
    upstream = serve([reply(200, message())], "ANTHROPIC")
    client(model="claude-2").generate_completion(TALK, functions=[WEATHER], function_call="auto")
    assert upstream.served[0].json["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.seed("S2.13")
def test_the_answer_of_a_function_goes_back_by_its_name(serve):
    upstream = serve([ANSWER])
    asked_for = {"name": "get_weather", "arguments": "{}"}
    turns = [*TALK, Message(role="assistant", function_call=asked_for)]
    for role in ("tool", "function"):
        client().generate_completion([*turns, Message(role=role, name="get_weather", content="sunny")])
    for request in upstream.served:
        called, answered = request.json["messages"][2:]
        assert called["tool_calls"][0]["id"] == answered["tool_call_id"]
        assert (answered["role"], answered["content"]) == ("tool", "sunny")


@pytest.mark.seed("S2.22")
@pytest.mark.parametrize("provider", ["OPENAI", "ANTHROPIC"])
def test_a_stream_is_iterated_over(serve, provider):
    if provider == "OPENAI":
        serve([stream(*chunks("Hel", "lo!"))])
    else:
        events = [(name, msgspec.json.encode(event).decode()) for name, event in message_events("Hel", "lo!")]
        pieces = tuple(f"event: {name}\ndata: {text}\n\n".encode() for name, text in events)
        serve([Told(headers={"content-type": "text/event-stream"}, pieces=pieces)], provider)
    model = "gpt-4" if provider == "OPENAI" else "claude-2"
    words = [chunk.choices[0].delta.content for chunk in client(model=model).generate_completion(TALK, stream=True)]
    assert "".join(word for word in words if word) == "Hello!"


def test_a_stream_that_breaks_is_an_error_of_ours(serve):
    serve([stream(*chunks("Hel", "lo!")[:2], done=False)])
    with pytest.raises(LLMConnectionError):
        list(client().generate_completion(TALK, stream=True))


def test_bad_messages_are_refused_and_nothing_is_sent(serve):
    upstream = serve([ANSWER])
    for bad in ([], None, 7, [{"role": "stranger", "content": "x"}]):
        with pytest.raises(LLMResponseError):
            client().generate_completion(bad)
    assert not upstream.served


def test_it_is_called_where_a_loop_runs_and_from_many_threads(serve):
    serve([ANSWER])
    made, said = client(), []

    async def inside():
        return made.generate_completion(TALK).choices[0].message.content

    assert asyncio.run(inside()) == "Hello!"
    threads = [threading.Thread(target=lambda: said.append(made.generate_completion(TALK).text)) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert said == ["Hello!"] * 20


def test_an_answer_of_a_tool_goes_back_under_the_id_of_its_call(serve):
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        for at in (1, 2)
    ]
    upstream = serve([reply(200, chat(None, tool_calls=calls)), ANSWER])
    made = client()
    called = made.generate_completion(TALK).choices[0].message
    answers = [Message(role="tool", name="get_weather", content=word) for word in ("sunny", "dry")]
    for said in (called, {"role": "assistant", "tool_calls": calls}):
        made.generate_completion([*TALK, said, *answers])
        turns = upstream.served[-1].json["messages"][-2:]
        assert [(turn["tool_call_id"], turn["content"]) for turn in turns] == [("call_1", "sunny"), ("call_2", "dry")]


@pytest.mark.seed("S2.17")
def test_what_one_model_takes_for_invalid_a_fallback_may_answer(serve, clock):
    serve([reply(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}})], "ANTHROPIC")
    serve([ANSWER])
    assert client(model="claude-2", fallback_models=["gpt-4"]).generate_completion(TALK).text == "Hello!"


@pytest.mark.parametrize(
    "said",
    [{"timeout": -1}, {"timeout": "x"}, {"max_retries": -1}, {"fallback_models": "gpt-4"}, {"model": None}],
)
def test_a_configuration_that_cannot_be_is_refused(said):
    with pytest.raises(LLMConfigurationError, match=next(iter(said))):
        LiteLLMConfig(**said)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda made: made.generate_completion(TALK, model=5),
        lambda made: made.generate_completion(TALK, functions=5),
        lambda made: made.generate_completion(TALK, functions=[{"name": "f", "parameters": 5}]),
        lambda made: made.generate_completion(TALK, function_call={}),
        lambda made: made.generate_completion([*TALK, {"role": "assistant", "function_call": 5}]),
        lambda made: made.generate_completion([{"role": "user"}]),
        lambda made: made.generate_embedding("x", encoding_format="base64"),
        lambda made: made.get_model_details(5),
        lambda made: completion_cost(None),
    ],
)
def test_what_makes_no_sense_raises_nothing_raw(serve, wrong):
    upstream = serve([ANSWER])
    with pytest.raises(LLMError):
        wrong(client())
    assert not upstream.served


def test_vectors_for_a_user(serve):
    upstream = serve([reply(200, VECTORS)])
    vectors = client().generate_embedding(["a", "b"], user="me", encoding_format="float")
    assert vectors["data"][0]["embedding"] == [1.0]
    assert upstream.served[0].json["user"] == "me"


def test_another_keys_answers_are_not_told(serve):
    upstream = serve([ANSWER])
    for key in ("key-a", "key-b"):
        client(api_key=key, cache=True).generate_completion(TALK)
    assert len(upstream.served) == 2


def test_the_key_is_that_of_the_time_it_was_made(machine, serve):
    upstream = serve([ANSWER])
    made = client()
    machine.setenv("OPENAI_API_KEY", "sk-later")
    made.generate_completion(TALK)
    assert upstream.served[0].headers["authorization"] == "Bearer sk-openai"


def test_models_without_number_take_no_memory(machine):
    machine.setattr("trunkline.interfaces.litellm_client.MOST_CLIENTS", 3)
    made = client(api_key="sk")
    for number in range(9):
        made._client(f"gpt-{number}")
    assert len(made._clients) <= 3
