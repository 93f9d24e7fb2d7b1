"""`LLMManager`: providers by name, failover, a mock, classes of the program's own; and agents over them."""

import asyncio
import logging

import pytest

from samples import chat, message
from trunkline import TrunklineError
from trunkline.agent import Act, Final, Observation, Thought
from trunkline.interfaces.line import line
from trunkline.interfaces.manager import (
    APIError,
    CachedLLMProvider,
    LLMError,
    LLMManager,
    LLMProvider,
    MonitoredLLMManager,
    RateLimitError,
    ReactAgent,
    StepLimitError,
    create_llm_manager_from_env,
    create_react_agent,
)
from trunkline.testing import FakeUpstream, Told, reply

pytestmark = pytest.mark.anyio
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
SCRIPT = {
    "calculator": "THINK: I need the sum.\nACT: calculator(expression='2+2')",
    "observe: 4": "FINAL_ANSWER: It is 4.",
    "default": "THINK: I need to analyze this problem step by step.",
}


def refused(status, text="no", **more):
    return reply(status, {"error": {"message": text, **more}})


@pytest.fixture
async def upstream(machine, closing):
    """OpenAI and Anthropic at one address, whose script the test sets: by model, what is answered in turn."""

    def answer(asked):
        said = upstream.script.get(asked.json["model"], "Hello!")
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(said, Told):
            return said
        return reply(200, message(said) if asked.path.endswith("/messages") else chat(said))

    async with FakeUpstream(answer) as upstream:
        upstream.script = {}
        for provider in ("OPENAI", "ANTHROPIC"):
            machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        yield upstream


def manager(cls=LLMManager, **configs):
    """A manager with these providers; those whose model is Claude's are Anthropic's."""
    made = cls()
    for name, config in configs.items():
        kind = "anthropic" if str(config.get("model", "")).startswith("claude") else "openai"
        made.add_provider(name.replace("_", "-"), kind, {"api_key": f"sk-{name}", "max_retries": 0, **config})
    return made


def models(upstream):
    return [one.json["model"] for one in upstream.served]


# -- providers ---------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.1", "S1.2", "S1.4", "S1.6", "S1.8", "S1.9", "S1.18", "S1.19", "S1.44")
async def test_a_provider_is_asked_with_what_its_configuration_says_and_no_more(upstream):
    dials = {"temperature": 0.7, "max_tokens": 500, "top_p": 0.9, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    made = manager(openai={"model": "gpt-4", **dials})
    assert await made.generate_response("openai", TALK) == "Hello!"
    (request,) = upstream.served
    assert request.json == {"model": "gpt-4", "messages": TALK, **dials}
    assert request.headers["authorization"] == "Bearer sk-openai"
    await made.generate_response("openai", TALK, temperature=0.1, model="gpt-4o")
    assert (upstream.served[1].json["temperature"], upstream.served[1].json["max_tokens"]) == (0.1, 500)
    assert models(upstream) == ["gpt-4", "gpt-4o"]


@pytest.mark.seed("S1.7", "S1.20")
async def test_o3_has_its_own_word_for_its_tokens_and_no_temperature(upstream):
    made = manager(o3={"model": "o3-mini", "max_completion_tokens": 500}, hot={"model": "o3-mini", "temperature": 0.7})
    await made.generate_response("o3", TALK)
    assert upstream.served[0].json["max_completion_tokens"] == 500
    assert not {"max_tokens", "temperature"} & upstream.served[0].json.keys()
    await made.generate_response("hot", TALK)
    assert "temperature" not in upstream.served[1].json


@pytest.mark.seed("S1.22", "S1.49")
async def test_claude_has_its_system_prompt_beside_its_turns(upstream):
    claude = {"model": "claude-3-haiku-20240307", "max_tokens": 300, "temperature": 0.5}
    assert await manager(claude=claude).generate_response("claude", TALK) == "Hello!"
    body = upstream.served[0].json
    assert (body["max_tokens"], body["temperature"], body["messages"][0]["role"]) == (300, 0.5, "user")
    assert "Be brief." in str(body["system"])


@pytest.mark.seed("S1.5", "S1.35", "S1.42")
async def test_names(upstream):
    made = manager(openai={"model": "gpt-4"}, claude={"model": "claude-3-opus-20240229"})
    assert "claude" in made.get_available_providers()
    await made.generate_response(None, TALK)
    made.set_default_provider("claude")
    await made.generate_response(None, TALK)
    assert models(upstream) == ["gpt-4", "claude-3-opus-20240229"]
    assert await made.get_provider("openai").generate_response(TALK) == "Hello!"
    for wrong in (made.set_default_provider, made.get_provider, lambda name: made.set_failover_sequence([name])):
        with pytest.raises(LLMError, match="no provider is called 'opena', did you mean 'openai'"):
            wrong("opena")
    with pytest.raises(LLMError, match="add_provider"):
        await LLMManager().generate_response(None, TALK)


@pytest.mark.parametrize(
    ("kind", "config", "word"),
    [
        ("openai", {"model": "gpt-4"}, "OPENAI_API_KEY"),
        ("anthropic", {}, "ANTHROPIC_API_KEY"),
        ("openai", {"api_key": "k", "modle": "gpt-4"}, "did you mean 'model'"),
        ("openai", {"api_key": "k", "temperature": "hot"}, "temperature"),
        ("openai", {"api_key": "k", "max_retries": -1}, "max_retries"),
        ("openai", {"api_key": "k", "base_url": "nowhere"}, "base_url"),
        ("opena", {"api_key": "k"}, "did you mean 'openai'"),
        ("mock", {"delay": "long"}, "delay"),
    ],
)
@pytest.mark.seed("S1.50", "S1.53")
async def test_a_configuration_that_cannot_be_is_refused_and_says_what_to_change(kind, config, word):
    made = LLMManager()
    with pytest.raises(LLMError, match=word) as caught:
        made.add_provider("one", kind, config)
    assert isinstance(caught.value, ValueError)
    assert made.get_available_providers() == []


@pytest.mark.seed("S1.9", "S1.23", "S1.24")
async def test_the_mock_answers_by_a_word_of_the_last_question(upstream, clock):
    made = LLMManager()
    made.add_provider("mock", "mock", {"responses": SCRIPT, "default_response": "I understand.", "delay": 0.1})
    ask = lambda text: made.generate_response("mock", [{"role": "user", "content": text}])  # noqa: E731
    assert (await ask("Use the CALCULATOR, please")).endswith("ACT: calculator(expression='2+2')")
    assert await ask("good morning") == "I understand."
    assert clock.slept == [0.1, 0.1]
    assert not upstream.served
    made.add_provider("mock", "mock", {"responses": SCRIPT, "delay": 0})
    assert await ask("good morning") == SCRIPT["default"]
    made.add_provider("mock", "mock", {"delay": 0})
    assert await ask("good morning") == "This is a mock response."


# -- failing -----------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.2", "S1.26")
async def test_when_one_fails_the_next_of_the_sequence_is_asked_with_its_own_settings(upstream, clock):
    upstream.script = {"gpt-4": refused(500), "claude-3-sonnet-20240229": refused(529)}
    made = manager(
        openai={"model": "gpt-4", "temperature": 0.7},
        sonnet={"model": "claude-3-sonnet-20240229", "max_tokens": 500},
        haiku={"model": "claude-3-haiku-20240307", "max_tokens": 300},
    )
    made.set_failover_sequence(["openai", "sonnet", "haiku"])
    assert await made.generate_response("openai", TALK) == "Hello!"
    assert models(upstream) == ["gpt-4", "claude-3-sonnet-20240229", "claude-3-haiku-20240307"]
    last = upstream.served[2]
    assert (last.json["max_tokens"], last.headers["x-api-key"]) == (300, "sk-haiku")
    assert "temperature" not in last.json
    upstream.script["claude-3-haiku-20240307"] = refused(500, "down too")
    with pytest.raises(APIError, match="down too"):
        await made.generate_response("haiku", TALK)


@pytest.mark.seed("S1.26")
@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_what_one_takes_for_invalid_another_may_answer(upstream, clock, status):
    upstream.script = {"gpt-4": refused(status)}
    made = manager(openai={"model": "gpt-4"}, other={"model": "gpt-4o"})
    made.set_failover_sequence(["openai", "other"])
    assert await made.generate_response("openai", TALK) == "Hello!"
    with pytest.raises(APIError, match="unknown setting"):
        await made.generate_response("openai", TALK, colour="blue")
    assert models(upstream) == ["gpt-4", "gpt-4o"]


@pytest.mark.seed("S1.51")
async def test_who_has_a_wrong_key_is_left_at_once(upstream, clock):
    upstream.script = {"gpt-4": refused(401, "bad key", code="invalid_api_key")}
    made = manager(openai={"model": "gpt-4", "max_retries": 3}, other={"model": "gpt-4o"})
    made.set_failover_sequence(["openai", "other"])
    assert await made.generate_response(None, TALK) == "Hello!"
    assert (models(upstream), clock.slept) == (["gpt-4", "gpt-4o"], [])


@pytest.mark.seed("S1.36")
async def test_retries_wait_longer_each_time(upstream, clock):
    upstream.script = {"gpt-4": [refused(500), refused(500), "Hello!"]}
    own = {"max_retries": 3, "retry_delay": 1.0, "backoff_factor": 2.0, "timeout": 30.0}
    made = manager(openai={"model": "gpt-4", **own})
    assert await made.generate_response("openai", TALK) == "Hello!"
    first, second = clock.slept
    assert 0.75 <= first <= 1.25
    assert 1.5 <= second <= 2.5


@pytest.mark.seed("S1.36", "S1.37", "S1.38")
@pytest.mark.parametrize(
    ("told", "kind", "calls"),
    [
        (refused(500, code="model_overloaded"), APIError, 3),
        (refused(429), RateLimitError, 3),
        (refused(401), APIError, 1),
        (refused(400), APIError, 1),
        (refused(404, code="model_not_found"), APIError, 1),
        (Told(silent=True), APIError, 3),
    ],
)
async def test_errors(upstream, clock, told, kind, calls):
    upstream.script = {"gpt-4": told}
    made = manager(openai={"model": "gpt-4", "max_retries": 2, "api_key": "sk-secret"})
    with pytest.raises(kind) as caught:
        await made.generate_response("openai", TALK)
    error = caught.value
    assert len(upstream.served) == calls
    assert isinstance(error, LLMError)
    assert isinstance(error.__cause__, TrunklineError)
    assert "sk-secret" not in str(error)
    if told.status == 500:
        assert "model_overloaded" in str(error)


async def test_bad_messages_are_refused_and_nothing_is_sent(upstream):
    for bad in ([{"role": "stranger", "content": "x"}], 7):
        with pytest.raises(APIError):
            await manager(openai={"model": "gpt-4"}).generate_response("openai", bad)
    with pytest.raises(APIError, match="unknown setting 'colour'"):
        await manager(openai={"model": "gpt-4"}).generate_response("openai", TALK, colour="blue")
    assert not upstream.served


# -- connections -------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.40", "S1.52")
async def test_connections_are_kept_and_bounded(machine, closing):
    peers, now, most = set(), 0, 0

    async def serve(reader, writer):
        nonlocal now, most
        peers.add(writer.get_extra_info("peername"))
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(next(row for row in head.split(b"\r\n") if row.lower().startswith(b"content-length"))[15:])
            await reader.readexactly(length)
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)

    async with await asyncio.start_server(_ignoring_the_end(serve), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        machine.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        made = manager(
            kept={"model": "gpt-4", "connection_pool_size": 10, "connection_pool_maxsize": 2, "keep_alive": True},
            closed={"model": "gpt-4", "keep_alive": False},
        )
        for _ in range(3):
            await made.generate_response("kept", TALK)
        assert len(peers) == 1
        await asyncio.gather(*(made.generate_response("kept", TALK) for _ in range(6)))
        assert most == 2
        peers.clear()
        for _ in range(3):
            await made.generate_response("closed", TALK)
        assert len(peers) == 3
        await line().runtime.close()


def _ignoring_the_end(serve):
    async def served(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return served


# -- classes of the program's own --------------------------------------------------------------------------------------


class Parrot(LLMProvider):
    """Says what it was told."""

    def __init__(self, config):
        self.config, self.asked = config, []

    async def generate_response(self, messages, **kwargs):
        self.asked.append((messages, kwargs))
        if self.config.get("broken"):
            raise ValueError(f"Custom LLM API error: {self.config['broken']}")
        return messages[-1]["content"]


@pytest.mark.seed("S1.27", "S1.28", "S1.31", "S1.32")
async def test_a_class_of_the_programs_own(upstream):
    made = manager(openai={"model": "gpt-4"})
    made.register_provider_class("custom", Parrot)
    made.add_provider("mine", "custom", {"api_key": "k"})
    assert await made.generate_response("mine", TALK, temperature=0.1, colour="blue") == "Hello!"
    ((messages, kwargs),) = made.get_provider("mine").asked
    assert (messages, kwargs) == (TALK, {"temperature": 0.1, "colour": "blue"})
    assert made.get_provider("mine").config == {"api_key": "k"}
    with pytest.raises(LLMError, match="generate_response"):
        made.register_provider_class("wrong", object)


@pytest.mark.seed("S1.29")
async def test_what_a_class_of_the_programs_own_raises_is_told_and_moved_on(upstream):
    made = manager(openai={"model": "gpt-4"})
    made.register_provider_class("custom", Parrot)
    made.add_provider("mine", "custom", {"broken": 500})
    with pytest.raises(APIError, match="Custom LLM API error: 500"):
        await made.generate_response("mine", TALK)
    made.set_failover_sequence(["mine", "openai"])
    assert await made.generate_response("mine", TALK) == "Hello!"


class Structured(Parrot):
    """Has a way of its own to answer with objects."""

    async def generate_structured_response(self, messages, response_format, **kwargs):
        return {"said": await self.generate_response(messages, **kwargs), "format": response_format}


@pytest.mark.seed("S1.30", "S1.31")
async def test_a_way_of_its_own_to_answer_with_objects_is_gone_counted_and_moved_on(upstream):
    upstream.script = {"gpt-4": '{"spare": true}'}
    made = manager(MonitoredLLMManager, openai={"model": "gpt-4"})
    made.register_provider_class("custom", Structured)
    made.add_provider("mine", "custom", {})
    asked = {"provider_name": "mine", "messages": TALK, "response_format": {"a": 1}}
    assert await made.generate_structured_response(**asked) == {"said": "Hello!", "format": {"a": 1}}
    made.get_provider("mine").config = {"broken": 500}
    with pytest.raises(APIError, match="Custom LLM API error: 500"):
        await made.generate_structured_response(**asked)
    made.set_failover_sequence(["mine", "openai"])
    assert await made.generate_structured_response(**asked) == {"spare": True}
    assert made.get_usage_report()["by_provider"]["mine"] == {"requests": 3, "errors": 1}


async def test_an_agent_says_nothing_to_a_class_of_the_programs_own_but_what_it_was_told(upstream):
    made = LLMManager()
    made.register_provider_class("custom", Parrot)
    made.add_provider("a/b", "custom", {})
    await ReactAgent("agent", made, temperature=0.5).solve("FINAL_ANSWER: yes")
    assert [kwargs for _, kwargs in made.get_provider("a/b").asked] == [{"temperature": 0.5}]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda made: made.add_provider("mine", "openai", [1]), "is a dict, not list"),
        (lambda made: made.add_provider("mine", None, {}), "not None"),
        (lambda made: made.add_provider("mine", "needy", {}), "has no 'api_key'"),
        (lambda made: made.add_provider("mine", "openai", {"api_key": "", "model": "gpt-4"}), "OPENAI_API_KEY"),
        (lambda made: made.set_failover_sequence(None), "list of names"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(upstream, wrong, word):
    class Needy(Parrot):
        def __init__(self, config):
            super().__init__({"key": config["api_key"]})

    made = LLMManager()
    made.register_provider_class("custom", Parrot)
    made.register_provider_class("needy", Needy)
    made.add_provider("mine", "custom", {})
    with pytest.raises(LLMError, match=word) as caught:
        wrong(made)
    assert isinstance(caught.value, ValueError)
    assert await made.generate_response("mine", TALK) == "Hello!"


async def test_no_answer_and_no_problem_raise_nothing_raw(upstream):
    made = manager(openai={"model": "gpt-4"})
    upstream.script = {"gpt-4": reply(200, {"choices": []})}
    with pytest.raises(APIError, match="no choice"):
        await made.generate_response("openai", TALK)
    for bad in (None, "hi", ["hi"], {"role": "user"}):
        with pytest.raises(APIError, match="list of dicts"):
            await made.generate_structured_response("openai", bad, {})
    with pytest.raises(APIError, match="JSON"):
        await made.generate_response("openai", [{"role": "user", "content": "\ud800"}])
    with pytest.raises(APIError, match="a problem is a text"):
        await ReactAgent("agent", made, tools=None).solve(None)


@pytest.mark.seed("S1.30", "S1.32")
async def test_an_answer_as_an_object(upstream):
    upstream.script = {"gpt-4": ['Here:\n```json\n{"answer": 4,}\n```', "four"]}
    made = manager(openai={"model": "gpt-4"})
    talk = [dict(turn) for turn in TALK]
    assert await made.generate_structured_response("openai", talk, {"answer": "number"}) == {"answer": 4}
    assert await made.get_provider("openai").generate_structured_response(talk, {"a": 1}) == {"response": "four"}
    assert talk == TALK
    said = upstream.served[0].json["messages"][-1]["content"]
    assert said == "Hello!\nPlease respond in the following JSON format: {'answer': 'number'}"


# -- kept answers ------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.32", "S1.41", "S1.42", "S1.52")
@pytest.mark.parametrize("own", [True, False])
async def test_answers_are_kept(upstream, own):
    if own:
        base = Parrot({})
        asked = lambda: [messages[-1]["content"] for messages, _ in base.asked]  # noqa: E731
    else:
        base = manager(openai={"model": "gpt-4"}).get_provider("openai")
        asked = lambda: [one.json["messages"][-1]["content"] for one in upstream.served]  # noqa: E731
    kept = CachedLLMProvider(base, cache_size=2)
    ask = lambda text, **more: kept.generate_response([{"role": "user", "content": text}], **more)  # noqa: E731
    first, second = [await ask("a") for _ in range(2)]
    assert isinstance(first, str)
    assert (first, asked()) == (second, ["a"])
    await ask("a", temperature=0.9)
    assert asked() == ["a", "a"]
    assert len(set(await asyncio.gather(*(ask("b") for _ in range(9))))) == 1
    assert asked() == ["a", "a", "b"]
    await ask("a")  # which was forgotten for b
    assert asked() == ["a", "a", "b", "a"]
    made = LLMManager()
    made.add_provider("kept", kept)
    assert await made.generate_response("kept", [{"role": "user", "content": "a"}]) == first


async def test_failures_are_not_kept():
    base = Parrot({"broken": 500})
    kept = CachedLLMProvider(base)
    for _ in range(2):
        with pytest.raises(APIError):
            await kept.generate_response(TALK)
    base.config = {}
    assert await kept.generate_response(TALK) == "Hello!"


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.43", "S1.45", "S1.46", "S1.47", "S1.48")
async def test_a_manager_that_counts(upstream, caplog):
    upstream.script = {"gpt-4": ["Hello!", refused(400, "no")]}
    made = manager(MonitoredLLMManager, openai={"model": "gpt-4", "api_key": "sk-secret"})
    made.register_provider_class("custom", Parrot)
    made.add_provider("mine", "custom", {})
    with caplog.at_level(logging.INFO, "trunkline.interfaces.manager"):
        await made.generate_response("openai", TALK)
        with pytest.raises(APIError):
            await made.generate_response("openai", TALK)
        await made.generate_response("mine", TALK)
    report = made.get_usage_report()
    assert (report["total_requests"], report["total_errors"]) == (3, 1)
    assert f"{report['success_rate']:.2%}" == "66.67%"
    assert report["by_provider"] == {"openai": {"requests": 2, "errors": 1}, "mine": {"requests": 1, "errors": 0}}
    assert report["estimated_tokens"] == pytest.approx(chat()["usage"]["total_tokens"] + 3 * 1.3)
    told = [record.getMessage() for record in caplog.records if record.name.endswith("manager")]
    assert [text.rpartition(" in ")[0] or text for text in told] == [
        "LLM request to openai completed",
        "LLM request to openai failed: InvalidRequestError",
        "LLM request to mine completed",
    ]
    assert "sk-secret" not in str(told)
    for _ in range(3):
        with pytest.raises(APIError):
            await made.generate_response("openai", TALK)
    assert 0 <= made.get_usage_report()["success_rate"] <= 1


# -- the environment ---------------------------------------------------------------------------------------------------


@pytest.mark.seed("S1.33", "S1.34", "S1.35")
async def test_a_manager_from_the_environment(machine, upstream):
    assert create_llm_manager_from_env().get_available_providers() == []
    machine.setenv("ANTHROPIC_API_KEY", "sk-ant")
    assert create_llm_manager_from_env().get_available_providers() == ["claude"]
    for name, value in {"API_KEY": "sk", "MODEL": "gpt-4o", "TEMPERATURE": "0.2", "MAX_TOKENS": "50"}.items():
        machine.setenv(f"OPENAI_{name}", value)
    machine.setenv("DEFAULT_LLM_PROVIDER", "claude")
    made = create_llm_manager_from_env()
    await made.generate_response("openai", TALK)
    await made.generate_response(None, TALK)
    first, second = (one.json for one in upstream.served)
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("gpt-4o", 0.2, 50)
    assert (second["model"], second["max_tokens"]) == ("claude-3-sonnet-20240229", 500)
    machine.setenv("OPENAI_TEMPERATURE", "warm")
    with pytest.raises(LLMError, match="OPENAI_TEMPERATURE must be a number, not 'warm'"):
        create_llm_manager_from_env()


# -- agents ------------------------------------------------------------------------------------------------------------


def calculator(expression: str) -> int:
    """Work out a sum.

    Args:
        expression: What to work out, as in 2+2.
    """
    return sum(int(part) for part in expression.split("+"))


def mocked(**responses):
    made = LLMManager()
    made.add_provider("mock", "mock", {"responses": {**SCRIPT, **responses}, "delay": 0})
    return made


@pytest.mark.seed("S1.12", "S1.14", "S1.17", "S1.23")
async def test_an_agent_over_text(upstream):
    agent = ReactAgent(name="SmartAgent", llm_manager=mocked(), tools=[calculator])
    steps = [step async for step in agent.stream("Ask the calculator for 2+2")]
    assert steps == [
        Thought("I need the sum."),
        Act("calculator", {"expression": "2+2"}),
        Observation("calculator", "4"),
        Final("It is 4."),
    ]
    assert [turn.text for turn in agent.memory] == ["Ask the calculator for 2+2", "It is 4."]


@pytest.mark.seed("S1.10", "S1.11", "S1.13", "S1.21")
async def test_an_agent_over_native_tool_calls(upstream):
    call = {"id": "1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression":"2+2"}'}}
    upstream.script = {"o3-mini": [reply(200, chat(None, tool_calls=[call])), "It is 4."]}
    agent = await create_react_agent(
        name="O3Agent",
        llm_provider="openai",
        llm_config={"api_key": "sk-own", "model": "o3-mini", "max_completion_tokens": 500},
        tools=[[calculator]],
        max_reasoning_steps=15,
    )
    assert await agent.solve("What is 2+2?") == "It is 4."
    first, second = (one.json for one in upstream.served)
    assert first["tools"][0]["function"]["name"] == "calculator"
    answered = second["messages"][-1]
    assert (answered["role"], answered["tool_call_id"], answered["content"]) == ("tool", "1", "4")


@pytest.mark.seed("S1.11")
async def test_an_agent_with_a_provider_that_a_manager_has(upstream):
    made = manager(openai={"model": "gpt-4"})
    agent = await create_react_agent("SmartAgent", "openai", llm_manager=made)
    assert await agent.solve("Hi") == "Hello!"
    with pytest.raises(LLMError, match="OPENAI_API_KEY"):
        await create_react_agent("SmartAgent", "openai")


@pytest.mark.seed("S1.15", "S1.25")
async def test_agents_switch_their_provider_each_for_itself(upstream):
    made = manager(openai={"model": "gpt-4"}, claude={"model": "claude-3-opus-20240229"})
    one, other = (ReactAgent(name=name, llm_manager=made) for name in ("one", "other"))
    one.set_llm_provider("claude")
    await one.solve("Hi")
    await other.solve("Hi")
    one.set_llm_provider("openai")
    with pytest.raises(LLMError, match="no provider is called 'clod'"):
        one.set_llm_provider("clod")
    await one.solve("Hi")
    assert models(upstream) == ["claude-3-opus-20240229", "gpt-4", "gpt-4"]
    assert [turn["content"] for turn in upstream.served[2].json["messages"]] == ["Hi", "Hello!", "Hi"]


@pytest.mark.seed("S1.26")
async def test_an_agent_goes_through_the_failover_sequence(upstream, clock):
    upstream.script = {"gpt-4": refused(500)}
    made = manager(claude={"model": "claude-3-opus-20240229"}, openai={"model": "gpt-4"})
    made.set_failover_sequence(["openai", "claude"])
    assert await ReactAgent(name="RobustAgent", llm_manager=made).solve("Hi") == "Hello!"
    assert models(upstream) == ["gpt-4", "claude-3-opus-20240229"]


@pytest.mark.seed("S1.16", "S1.39")
async def test_errors_come_out_of_solve_and_a_subclass_may_handle_them(upstream, clock):
    class Patient(ReactAgent):
        async def solve(self, problem):
            try:
                return await super().solve(problem)
            except APIError as error:
                if "model_overloaded" not in str(error):
                    raise
                self.set_llm_provider("claude")
                return await super().solve(problem)

    upstream.script = {"gpt-4": refused(503, code="model_overloaded")}
    made = manager(openai={"model": "gpt-4"}, claude={"model": "claude-3-opus-20240229"})
    with pytest.raises(APIError):
        await ReactAgent(name="plain", llm_manager=made).solve("Hi")
    assert await Patient(name="patient", llm_manager=made).solve("Hi") == "Hello!"


@pytest.mark.seed("S1.13", "S1.21")
async def test_an_agent_ends_after_its_steps(upstream):
    agent = ReactAgent("thinker", mocked(), [calculator], max_reasoning_steps=3)
    with pytest.raises(StepLimitError, match="max_reasoning_steps=3") as caught:
        await agent.solve("Think about it")
    assert isinstance(caught.value, LLMError)
    assert len(caught.value.partial) == 3
    assert agent.memory == ()


async def test_an_agents_calls_are_counted_too(upstream):
    made = manager(MonitoredLLMManager, openai={"model": "gpt-4"})
    await ReactAgent("counted", made).solve("Hi")
    assert made.get_usage_report()["by_provider"] == {"openai": {"requests": 1, "errors": 0}}


def test_one_manager_serves_two_event_loops(machine):
    with FakeUpstream([reply(200, chat("Hello!"))]) as upstream:
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        made = manager(openai={"model": "gpt-4"})
        assert [asyncio.run(made.generate_response("openai", TALK)) for _ in range(2)] == ["Hello!"] * 2
