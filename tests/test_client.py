"""The asynchronous client against a real socket: what callers get, and what providers see."""

import asyncio
import gc
import logging
import pickle
from decimal import Decimal

import msgspec
import pytest

import trunkline
from samples import chat, chunks, message, message_events, vectors
from trunkline import (
    AllTargetsFailed,
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowError,
    CutOff,
    InvalidRequestError,
    ModelError,
    ModelNotRegistered,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
    UnknownProvider,
)
from trunkline.runtime import Runtime
from trunkline.testing import FakeClock, FakeUpstream, Told, reply, stream

pytestmark = pytest.mark.anyio

KEY = "sk-test-1234567890"


def client(upstream: FakeUpstream, clock: FakeClock | None = None, **config) -> AsyncClient:
    env = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "GROQ_API_KEY": "gsk-other",
        "GROQ_BASE_URL": f"{upstream.url}/groq",
    }
    return AsyncClient({"model": "openai/gpt-4o-mini", **config}, env=env, runtime=Runtime(clock=clock))


def sse(events) -> Told:
    pieces = [f"event: {name}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode() for name, event in events]
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces)


# --- whole answers ----------------------------------------------------------------------------------------------------


async def test_a_reply_reads_as_ours_and_as_openais():
    async with FakeUpstream([reply(200, chat("Paris."), x_request_id="req_9")]) as upstream, client(upstream) as line:
        answer = await line.complete("What is the capital of France?")
    assert answer.text == answer.choices[0].message.content == answer["choices"][0]["message"]["content"] == "Paris."
    assert answer.finish == answer.choices[0].finish_reason == "stop"
    assert (answer.usage.input, answer.usage.output, answer.usage["prompt_tokens"]) == (12, 5, 12)
    assert answer.cost == Decimal("0.0000048")  # 12 at $0.15 and 5 at $0.60 a million
    assert (answer.request_id, answer.provider, answer.target) == ("req_9", "openai", "openai/gpt-4o-mini")
    assert answer.raw["system_fingerprint"] == "fp_1"
    assert answer.seconds > 0


async def test_the_provider_sees_one_plain_request():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        await line.complete("Hello", temperature=0.5, max_tokens=7, extra_body={"x": 1}, extra_headers={"x-team": "a"})
    (served,) = upstream.served
    assert (served.method, served.path) == ("POST", "/v1/chat/completions")
    assert served.headers["authorization"] == f"Bearer {KEY}"
    assert served.headers["x-team"] == "a"
    assert served.json == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "x": 1,
    }


async def test_the_same_words_reach_another_api():
    async with FakeUpstream([reply(200, message("Paris."), request_id="req_a")]) as upstream, client(upstream) as line:
        answer = await line.complete("Hello", "anthropic/claude-sonnet-4-5", system="Be brief.", max_tokens=9)
    (served,) = upstream.served
    assert served.path == "/v1/messages"
    assert served.headers["x-api-key"] == KEY
    assert served.headers["anthropic-version"] == "2023-06-01"
    assert served.json["system"] in ("Be brief.", [{"type": "text", "text": "Be brief."}])
    assert served.json["max_tokens"] == 9
    assert (answer.text, answer.finish, answer.request_id) == ("Paris.", "stop", "req_a")


async def test_a_conversation_goes_on_with_the_replys_message():
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1,"b":2}'}}

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    script = [reply(200, chat(None, tool_calls=[call])), reply(200, chat("3"))]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        question = {"role": "user", "content": "1 + 2?"}
        first = await line.complete([question], tools=[add])
        (asked,) = first.tool_calls
        result = {"role": "tool", "tool_call_id": asked.id, "content": str(add(**msgspec.json.decode(asked.arguments)))}
        second = await line.complete([question, first.to_message(), result], tools=[add])
    assert first.finish == "tool_calls"
    assert first.choices[0].message.tool_calls[0].function.name == "add"
    assert upstream.served[0].json["tools"][0]["function"]["name"] == "add"
    assert upstream.served[1].json["messages"][1]["tool_calls"] == [call]
    assert second.text == "3"


async def test_structured_output_gives_the_callers_own_type():
    class City(msgspec.Struct):
        name: str
        people: int

    async with FakeUpstream([reply(200, chat('{"name":"Paris","people":2}'))]) as upstream, client(upstream) as line:
        answer = await line.complete("A city, please", response_format=City)
    assert answer.parsed == City("Paris", 2)
    form = upstream.served[0].json["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "City"


async def test_structured_output_that_does_not_fit_is_an_error_that_says_so():
    class City(msgspec.Struct):
        name: str

    async with FakeUpstream([reply(200, chat('{"nom":"Paris"}'))]) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError, match="does not fit the response_format"):
            await line.complete("A city, please", response_format=City)


async def test_embeddings_keep_their_order():
    backwards = vectors([1.0, 0.0], [0.0, 1.0])
    backwards["data"].reverse()
    async with FakeUpstream([reply(200, backwards)]) as upstream, client(upstream) as line:
        answer = await line.embed(["a", "b"], "openai/text-embedding-3-small", dimensions=2)
    assert answer.vectors == ((1.0, 0.0), (0.0, 1.0))
    assert answer["data"][1]["embedding"] == [0.0, 1.0]
    assert answer.usage.input == 4
    assert answer.cost == Decimal("0.00000008")
    assert upstream.served[0].json == {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 2}


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_tier_that_served_decides_the_price(streamed):
    whole = {**chat(), "service_tier": "priority"}
    pieces = [{**chunk, "service_tier": "priority"} for chunk in chunks("Paris.")]
    async with FakeUpstream([stream(*pieces) if streamed else reply(200, whole)]) as upstream, client(upstream) as line:
        ask = line.stream("Hello").final if streamed else lambda: line.complete("Hello")
        answer = await ask()
    assert answer.service_tier == "priority"
    assert answer.cost == Decimal("0.000008")  # 12 at $0.25 and 5 at $1.00 a million


async def test_an_unpriced_model_costs_unknown_not_zero():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        answer = await line.complete("Hello", "openai/some-new-model")
    assert answer.cost is None


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_gives_events_and_adds_up_to_the_reply():
    async with FakeUpstream([stream(*chunks("Par", "is."))]) as upstream, client(upstream) as line:
        async with line.stream("Capital of France?") as answer:
            events = [event async for event in answer]
    assert [event.text for event in events if event.text] == ["Par", "is."]
    assert [event.choices[0].delta.content for event in events if event.text] == ["Par", "is."]
    assert upstream.served[0].json["stream_options"] == {"include_usage": True}
    whole = answer.reply
    assert (whole.text, whole.finish, whole.usage.output) == ("Paris.", "stop", 5)
    assert whole.cost == Decimal("0.0000048")


async def test_a_stream_of_another_api_reads_the_same():
    async with FakeUpstream([sse(message_events("Par", "is."))]) as upstream, client(upstream) as line:
        words = [text async for text in line.stream("Capital?", "anthropic/claude-sonnet-4-5", max_tokens=9).text]
    assert words == ["Par", "is."]


async def test_a_stream_read_to_its_end_keeps_its_connection():
    async with FakeUpstream([stream(*chunks("a"))]) as upstream, client(upstream) as line:
        for _ in range(3):
            assert (await line.stream("Hi").final()).text == "a"
    assert upstream.connections == 1


async def test_leaving_a_stream_tells_the_provider():
    async with FakeUpstream([stream(*chunks("a", "b"), done=False, hang=True)]) as upstream, client(upstream) as line:
        async with line.stream("Hi") as answer:
            async for event in answer:
                if event.text == "a":
                    break
        await until(lambda: upstream.served[0].gone)


async def test_a_stream_dropped_half_read_is_given_back_with_a_warning():
    async with FakeUpstream([stream(*chunks("a", "b"), done=False, hang=True)]) as upstream, client(upstream) as line:
        answer = line.stream("Hi")
        async for event in answer:
            if event.text == "a":
                break
        with pytest.warns(ResourceWarning, match="half read"):
            del answer, event
            gc.collect()
        await until(lambda: upstream.served[0].gone)


async def test_a_stream_that_is_cut_is_an_error_after_what_came():
    async with FakeUpstream([stream(*chunks("Par"), done=False, cut=True)]) as upstream:
        upstream._script = [Told(pieces=upstream._script[0].pieces[:2], cut=True)]
        seen = []
        async with client(upstream) as line:
            with pytest.raises(CutOff):
                async for event in line.stream("Hi"):
                    seen.append(event.text)
    assert "".join(seen) == "Par"
    assert len(upstream.served) == 1  # after output nothing is tried again


async def test_an_end_without_its_terminal_event_is_no_stop():
    script = [stream(*chunks("Par", usage=False)[:-1], done=False)]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(CutOff):
            await line.stream("Hi").final()


async def test_a_stream_that_breaks_before_its_first_content_is_tried_again():
    clock = FakeClock()
    script = [stream(chunks()[0], done=False, cut=True), stream(*chunks("Paris."))]
    async with FakeUpstream(script) as upstream, client(upstream, clock) as line:
        answer = await line.stream("Hi").final()
    assert answer.text == "Paris."
    assert len(upstream.served) == 2


async def test_a_stream_of_nothing_is_an_error_and_tried_again():
    clock = FakeClock()
    nothing = Told(headers={"content-type": "text/event-stream"}, pieces=(b"", b""))
    async with FakeUpstream([nothing, stream(*chunks("Paris."))]) as upstream, client(upstream, clock) as line:
        assert (await line.stream("Hi").final()).text == "Paris."
    only_the_end = stream()
    async with FakeUpstream([only_the_end]) as upstream, client(upstream, clock) as line:
        assert (await line.stream("Hi").final()).text == ""  # it says itself that it is complete


async def test_an_error_inside_a_stream_is_the_right_error():
    broken = {"error": {"message": "The server is overloaded", "code": "model_overloaded"}}
    script = [stream(*chunks("Par")[:2], broken, done=False)]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(OverloadedError, match="overloaded"):
            await line.stream("Hi").final()


# --- errors -----------------------------------------------------------------------------------------------------------

REFUSALS = [
    (401, {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}, AuthenticationError),
    (403, {"message": "no access"}, AuthenticationError),
    (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, ModelError),
    (400, {"message": "temperature must be at most 2", "param": "temperature"}, InvalidRequestError),
    (400, {"message": "This model's maximum context length is 8192 tokens"}, ContextWindowError),
    (400, {"message": "filtered", "code": "content_filter"}, ContentPolicyError),
    (402, {"message": "no credit"}, ResourceExhaustedError),
    (408, {"message": "too slow"}, APITimeoutError),
    (413, {"message": "request too large"}, InvalidRequestError),
    (429, {"message": "slow down"}, RateLimitError),
    (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}, ResourceExhaustedError),
    (500, {"message": "oops"}, ServiceError),
    (503, {"message": "busy"}, OverloadedError),
    (529, {"message": "overloaded"}, OverloadedError),
]


@pytest.mark.parametrize(("status", "error", "kind"), REFUSALS)
async def test_a_refusal_is_the_right_error_and_keeps_what_the_provider_said(status, error, kind):
    async with (
        FakeUpstream([reply(status, {"error": error}, x_request_id="req_1")]) as upstream,
        client(upstream) as line,
    ):
        with pytest.raises(kind) as caught:
            await line.complete("Hello", retries=0)
    raised = caught.value
    assert type(raised) is kind
    assert (raised.status, raised.provider, raised.model) == (status, "openai", "gpt-4o-mini")
    assert raised.request_id == "req_1"
    assert raised.code == error.get("code")
    assert KEY not in f"{raised} {raised!r} {raised.body} {raised.args}"
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)


async def test_a_page_of_html_is_a_service_error():
    async with (
        FakeUpstream([Told(status=502, pieces=(b"<html>Bad Gateway</html>",))]) as upstream,
        client(upstream) as line,
    ):
        with pytest.raises(ServiceError, match="answered 502"):
            await line.complete("Hello", retries=0)


async def test_an_answer_that_is_no_json_is_an_error():
    async with FakeUpstream([Told(pieces=(b"hello",))]) as upstream, client(upstream) as line:
        with pytest.raises(ServiceError, match="no JSON object"):
            await line.complete("Hello", retries=0)


async def test_a_count_that_is_none_spoils_no_answer():
    body = {"choices": [{"index": 0, "message": {"content": "a"}}], "usage": {"prompt_tokens": "twelve"}}
    async with FakeUpstream([reply(200, body)]) as upstream, client(upstream) as line:
        answer = await line.complete("Hello", retries=0)
    assert (answer.text, answer.usage) == ("a", None)


NONSENSE = [
    {"choices": "x"},
    {"choices": [5]},
    {"choices": [{"message": {"content": 7}}]},
    {"choices": [], "usage": "many"},
]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
async def test_json_of_no_known_shape_is_the_providers_mistake(nonsense, model):
    async with FakeUpstream([reply(200, nonsense)]) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError):
            await line.complete("Hello", model, retries=0, max_tokens=5)


async def test_a_chunk_of_no_known_shape_is_the_providers_mistake():
    script = [stream(*chunks("Par")[:2], {"choices": [{"index": 0, "delta": {"tool_calls": 7}}]})]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError, match="shape"):
            await line.stream("Hi").final()


async def test_an_error_in_a_200_is_an_error():
    async with FakeUpstream([reply(200, {"error": {"message": "upstream down", "code": 502}})]) as upstream:
        with pytest.raises(ServiceError, match="upstream down"):
            await client(upstream).complete("Hello", retries=0)


async def test_a_missing_key_names_its_variable_and_sends_nothing():
    with pytest.raises(AuthenticationError, match="set OPENAI_API_KEY"):
        await AsyncClient({}, env={}).complete("Hello", "openai/gpt-4o-mini")


async def test_unknown_names_say_what_there_is():
    line = AsyncClient({}, env={})
    with pytest.raises(UnknownProvider, match="unknown provider 'opnai' in 'opnai/gpt-4o', did you mean 'openai'"):
        await line.complete("Hello", "opnai/gpt-4o")
    with pytest.raises(ModelNotRegistered, match="unknown model 'whatever'"):
        await line.complete("Hello", "whatever")


async def test_a_server_that_is_not_there():
    line = AsyncClient({}, env={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1"})
    with pytest.raises(APIConnectionError, match=r"cannot connect to 127\.0\.0\.1:1"):
        await line.complete("Hello", "openai/gpt-4o-mini", retries=0)
    await line.close()


async def test_on_unsupported_error_refuses_before_sending():
    async with FakeUpstream([reply(200, message())]) as upstream, client(upstream) as line:
        with pytest.raises(InvalidRequestError, match="seed"):
            await line.complete("Hi", "anthropic/claude-sonnet-4-5", seed=1, max_tokens=5, on_unsupported="error")
        assert upstream.served == []
        answer = await line.complete("Hi", "anthropic/claude-sonnet-4-5", seed=1, max_tokens=5)
        assert [lost.field for lost in answer.loss] == ["seed"]


async def test_what_was_lost_is_logged_unless_it_may_be_dropped(caplog):
    async with FakeUpstream([reply(200, message())]) as upstream, client(upstream) as line:
        await line.complete("Hi", "anthropic/claude-sonnet-4-5", seed=1, max_tokens=5, on_unsupported="drop")
        assert "cannot be told" not in caplog.text
        await line.complete("Hi", "anthropic/claude-sonnet-4-5", seed=1, max_tokens=5)
        assert "cannot be told: seed" in caplog.text


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_retry_waits_as_told():
    clock = FakeClock()
    script = [reply(429, {"error": {"message": "slow down"}}, retry_after="3"), reply(200, chat())]
    async with FakeUpstream(script) as upstream, client(upstream, clock) as line:
        assert (await line.complete("Hello")).text == "Paris."
    assert clock.slept == [3]


async def test_retries_grow_and_end():
    clock = FakeClock()
    async with FakeUpstream([reply(500, {"error": {"message": "oops"}})]) as upstream, client(upstream, clock) as line:
        with pytest.raises(ServiceError):
            await line.complete("Hello", retries=3)
    assert len(upstream.served) == 4
    assert len(clock.slept) == 3
    assert all(0.75 * 0.5 * 2**at <= wait <= 1.25 * 0.5 * 2**at for at, wait in enumerate(clock.slept))


async def test_what_cannot_pass_is_not_tried_again():
    clock = FakeClock()
    script = [reply(401, {"error": {"message": "bad key"}})]
    async with FakeUpstream(script) as upstream, client(upstream, clock) as line:
        with pytest.raises(AuthenticationError):
            await line.complete("Hello", retries=5)
    assert len(upstream.served) == 1


async def test_a_wait_beyond_the_cap_is_not_waited():
    clock = FakeClock()
    script = [reply(429, {"error": {"message": "slow down"}}, retry_after="3600")]
    async with FakeUpstream(script) as upstream, client(upstream, clock) as line:
        with pytest.raises(RateLimitError) as caught:
            await line.complete("Hello", retries=5)
    assert caught.value.retry_after == 3600
    assert clock.slept == []


async def test_a_dropped_connection_is_tried_again_at_once():
    clock = FakeClock()
    async with FakeUpstream([Told(silent=True), reply(200, chat())]) as upstream, client(upstream, clock) as line:
        assert (await line.complete("Hello")).text == "Paris."
    assert clock.slept == []


async def test_a_fallback_answers_with_its_own_key():
    def by_path(asked):
        return (
            reply(200, chat("from groq")) if "/groq/" in asked.path else reply(401, {"error": {"message": "bad key"}})
        )

    async with FakeUpstream(by_path) as upstream, client(upstream) as line:
        answer = await line.complete("Hello", fallbacks=["groq/llama-3.3-70b-versatile"])
    assert (answer.text, answer.provider) == ("from groq", "groq")
    assert upstream.served[1].headers["authorization"] == "Bearer gsk-other"


async def test_when_all_fail_every_cause_is_told():
    async with FakeUpstream([reply(401, {"error": {"message": "bad key"}})]) as upstream, client(upstream) as line:
        with pytest.raises(AllTargetsFailed) as caught:
            await line.complete("Hello", fallbacks=["groq/llama-3.3-70b-versatile"])
    assert [cause.provider for cause in caught.value.causes] == ["openai", "groq"]
    assert isinstance(caught.value.last, AuthenticationError)


async def test_an_invalid_request_is_not_carried_elsewhere():
    async with (
        FakeUpstream([reply(400, {"error": {"message": "no such parameter"}})]) as upstream,
        client(upstream) as line,
    ):
        with pytest.raises(InvalidRequestError):
            await line.complete("Hello", fallbacks=["groq/llama-3.3-70b-versatile"])
    assert len(upstream.served) == 1


# --- time and cancellation --------------------------------------------------------------------------------------------


async def test_a_deadline_ends_the_call_and_tells_the_provider():
    clock = FakeClock()
    async with FakeUpstream([Told(delay=30, pieces=(b"{}",))]) as upstream, client(upstream, clock) as line:
        asking = asyncio.create_task(line.complete("Hello", timeout=5, retries=0))
        await until(lambda: upstream.served)
        clock.advance(5)
        with pytest.raises(APITimeoutError, match="within 5 seconds"):
            await asking
        await until(lambda: upstream.served[0].gone)


async def test_cancelling_a_call_reaches_the_provider():
    async with FakeUpstream([Told(delay=30, pieces=(b"{}",))]) as upstream, client(upstream) as line:
        asking = asyncio.create_task(line.complete("Hello"))
        await until(lambda: upstream.served)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: upstream.served[0].gone, within=0.1)


async def test_many_calls_at_once_keep_their_answers_apart():
    def echo(asked):
        return reply(200, chat(asked.json["messages"][0]["content"]))

    async with FakeUpstream(echo) as upstream, client(upstream) as line:
        answers = await asyncio.gather(*(line.complete(f"question {at}") for at in range(64)))
    assert [answer.text for answer in answers] == [f"question {at}" for at in range(64)]


def test_a_client_serves_one_loop_after_another():
    async def ask(line):
        async with FakeUpstream([reply(200, chat())]) as upstream:
            target = {"t": {"model": "openai/gpt-4o-mini", "base_url": f"{upstream.url}/v1", "api_key": KEY}}
            line = AsyncClient({"targets": target}, env={}, runtime=line)
            return (await line.complete("Hello", "t")).text  # not closed: the pool closes with its loop

    runtime = Runtime()
    assert [asyncio.run(ask(runtime)) for _ in range(3)] == ["Paris."] * 3
    gc.collect()


# --- options, rendering, records --------------------------------------------------------------------------------------


async def test_options_are_kept():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        brief = line.with_options(max_tokens=5, extra_headers={"x-a": "1"}, tags=["test"])
        await brief.complete("Hello", temperature=0)
    assert upstream.served[0].json["max_tokens"] == 5
    assert upstream.served[0].headers["x-a"] == "1"


async def test_render_shows_the_request_without_its_key():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        shown = client(upstream).render("Hello", max_tokens=3)
    assert (shown.method, shown.body["max_tokens"]) == ("POST", 3)
    assert shown.headers["authorization"] == "Bearer [key]"
    assert KEY not in repr(shown)
    assert upstream.served == []


async def test_an_unknown_option_names_those_there_are():
    with pytest.raises(InvalidRequestError, match="unknown setting 'temprature'; there are"):
        await AsyncClient({}, env={}).complete("Hello", "mock", temprature=1)


async def test_every_call_leaves_one_record_without_words_or_keys():
    records: list[trunkline.Record] = []
    script = [reply(500, {"error": {"message": "oops"}}), reply(200, chat("a secret"))]
    async with FakeUpstream(script) as upstream:
        line = client(upstream)
        line = AsyncClient(
            {"targets": {"t": {"model": "openai/gpt-4o-mini", "base_url": f"{upstream.url}/v1", "api_key": KEY}}},
            env={},
            runtime=Runtime(clock=FakeClock(), sinks=[records.append]),
        )
        await line.complete("my secret", "t", payer="team a", tags=["x"])
        await line.close()
    (record,) = records
    assert (record.outcome, record.target, record.payer, record.tags) == ("finished", "t", "team a", ("x",))
    assert [attempt.error for attempt in record.attempts] == ["ServiceError", None]
    assert record.cost == Decimal("0.0000048")
    text = repr(record)
    assert "secret" not in text
    assert KEY not in text


async def test_logs_hold_neither_words_nor_keys(caplog):
    caplog.set_level(logging.DEBUG)
    async with FakeUpstream([reply(200, chat("a secret answer"))]) as upstream, client(upstream) as line:
        await line.complete("a secret question")
    assert "openai/gpt-4o-mini" in caplog.text
    assert "secret" not in caplog.text
    assert KEY not in caplog.text


async def test_the_mock_provider_plays_its_script():
    script = {"greeter": [{"text": "hello"}, {"status": 429, "text": "slow down", "retry_after": 9}]}
    line = AsyncClient({"mock": script}, env={}, runtime=None)
    assert (await line.complete("Hi", "mock/greeter")).text == "hello"
    with pytest.raises(RateLimitError) as caught:
        await line.complete("Hi", "mock/greeter", retries=0)
    assert caught.value.retry_after == 9
    assert (await line.stream("say this", "mock/echo").final()).text == "say this"


async def until(condition, within: float = 2.0) -> None:
    """Wait for something on a socket to come true."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
