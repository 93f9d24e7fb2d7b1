"""The registry: OpenRouter first, Portkey behind it, and providers of the program's own."""

import asyncio
import json
import logging
import threading

import pytest

from samples import USAGE, chat
from trunkline import ConfigurationError, TrunklineError, interfaces
from trunkline.interfaces import registry
from trunkline.interfaces.registry import (
    LLMCompletion,
    LLMProvider,
    LLMProviderAuthenticationError,
    LLMProviderConfig,
    LLMProviderConfigurationError,
    LLMProviderConnectionError,
    LLMProviderError,
    LLMProviderInvalidRequestError,
    LLMProviderModelError,
    LLMProviderRateLimitError,
    LLMProviderResourceExhaustedError,
    LLMProviderServiceError,
    LLMProviderTimeoutError,
    OpenRouterProvider,
    PortkeyProvider,
    get_llm_provider,
    initialize_llm_providers,
    register_llm_provider,
    reset_llm_providers,
)
from trunkline.testing import FakeUpstream, Told, reply

pytestmark = pytest.mark.anyio
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
ANSWER = reply(200, chat("Hello!"))
LIMITED = reply(429, {"error": {"code": 429, "message": "slow down"}})
DOWN = reply(503, {"error": {"code": 503, "message": "nobody is there"}})
NO_KEY = reply(401, {"error": {"code": 401, "message": "no such user"}})
NO_CREDIT = reply(402, {"error": {"code": 402, "message": "insufficient credits"}})
NO_MODEL = reply(404, {"error": {"code": 404, "message": "no such model"}})
INVALID = reply(400, {"error": {"code": 400, "message": "that is no request"}})


@pytest.fixture(autouse=True)
def emptied(machine):
    """A registry, and an environment, without anybody."""
    for name in ("SITE_URL", "SITE_TITLE", "AGENT_MODEL_MAP", "TRACE_ID"):
        machine.delenv(name, raising=False)
    reset_llm_providers()
    yield
    reset_llm_providers()


@pytest.fixture
async def serve(machine, closing):
    """An upstream that answers so, in the place of a provider that has a key."""
    made = []

    async def serving(script, provider="OPENROUTER"):
        upstream = await FakeUpstream(script if callable(script) else [script]).__aenter__()
        made.append(upstream)
        machine.setenv(f"{provider}_API_KEY", f"sk-{provider.lower()}")
        machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        interfaces.reload()
        return upstream

    yield serving
    for upstream in made:
        await upstream.__aexit__(None, None, None)


def asked(upstream):
    return [one.json["model"] for one in upstream.served]


class Echo(LLMProvider):
    """A provider of the program's own: says what it is asked, or raises what it is told."""

    def __init__(self, name="echo", error=None):
        self.name, self.error, self.calls = name, error, []

    @property
    def provider_name(self):
        return self.name

    async def generate_chat_completion(
        self, messages, model=None, temperature=0.7, max_tokens=None, agent_type=None, **options
    ):
        self.calls.append((model, temperature, max_tokens, agent_type, options))
        if self.error is not None:
            raise self.error
        return LLMCompletion(content=messages[-1]["content"], model="mine", usage=USAGE, finish_reason="length")


# -- a provider --------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S3.1", "S3.2", "S3.3", "S3.12", "S3.13")
async def test_openrouter_is_asked(machine, serve):
    upstream = await serve(ANSWER)
    machine.setenv("SITE_URL", "https://example.org")
    machine.setenv("SITE_TITLE", "Example")
    machine.setenv("OPENROUTER_HEADERS", '{"X-Tier": "pro", "X-Title": "Better"}')
    provider = OpenRouterProvider(headers={"X-Mine": "1"})
    answer = await provider.generate_chat_completion(TALK, max_tokens=50)
    (request,) = upstream.served
    assert request.path == "/v1/chat/completions"
    assert request.json == {
        "model": "openai/gpt-3.5-turbo",
        "messages": TALK,
        "temperature": 0.7,
        "max_tokens": 50,
    }
    sent = [request.headers[name] for name in ("authorization", "http-referer", "x-title", "x-tier", "x-mine")]
    assert sent == ["Bearer sk-openrouter", "https://example.org", "Better", "pro", "1"]
    assert answer.content == answer["content"] == "Hello!"
    assert (answer.model, answer.provider, answer.finish_reason) == ("gpt-4o-mini-2024-07-18", "openrouter", "stop")
    assert answer.usage == USAGE
    assert answer.usage.total_tokens == 17
    assert 0 < answer.response_time_ms < 10_000
    assert json.loads(json.dumps(answer)) == answer
    assert not hasattr(answer, "nothing")


@pytest.mark.seed("S3.2", "S3.9")
async def test_a_text_is_a_conversation_of_one_turn(serve):
    upstream = await serve(ANSWER)
    answer = await get_llm_provider("openrouter").generate_completion("Hello!", temperature=0.1, max_tokens=5)
    assert answer.content == "Hello!"
    body = upstream.served[0].json
    assert body["messages"] == [{"role": "user", "content": "Hello!"}]
    assert (body["temperature"], body["max_tokens"]) == (0.1, 5)


@pytest.mark.seed("S3.4", "S3.13")
async def test_portkey_is_asked(machine, serve):
    upstream = await serve(ANSWER, "PORTKEY")
    provider = PortkeyProvider(
        provider="openai",
        config_id="pc-1",
        trace_id="trace-1",
        metadata={"user": "ann"},
        headers={"Authorization": "Bearer sk-of-openai"},
    )
    answer = await provider.generate_completion("Hello!")
    (request,) = upstream.served
    assert (request.path, request.json["model"]) == ("/v1/chat/completions", "gpt-3.5-turbo")
    assert {name: value for name, value in request.headers.items() if name.startswith(("x-portkey", "auth"))} == {
        "authorization": "Bearer sk-of-openai",
        "x-portkey-api-key": "sk-portkey",
        "x-portkey-provider": "openai",
        "x-portkey-config": "pc-1",
        "x-portkey-trace-id": "trace-1",
        "x-portkey-metadata": '{"user":"ann"}',
    }
    assert answer.provider == "portkey"


@pytest.mark.seed("S3.4")
@pytest.mark.parametrize(
    ("said", "model", "key"),
    [
        ({}, None, "vk-openai"),
        ({}, "claude-3-haiku-20240307", "vk-anthropic"),
        ({}, "@my-slug/gpt-4o", None),
        ({"provider": "anthropic"}, None, "vk-anthropic"),
        ({"provider": "groq"}, None, None),
        ({"virtual_key": "vk-given"}, None, "vk-given"),
    ],
)
async def test_portkeys_variables(machine, serve, said, model, key):
    upstream = await serve(ANSWER, "PORTKEY")
    machine.setenv("PORTKEY_VIRTUAL_KEY_OPENAI", "vk-openai")
    machine.setenv("PORTKEY_VIRTUAL_KEY_ANTHROPIC", "vk-anthropic")
    machine.setenv("PORTKEY_CONFIG_ID", "pc-env")
    machine.setenv("TRACE_ID", "trace-env")
    await PortkeyProvider(**said).generate_completion("Hello!", model)
    headers = upstream.served[0].headers
    assert headers.get("x-portkey-virtual-key") == key
    assert (headers["x-portkey-config"], headers["x-portkey-trace-id"]) == ("pc-env", "trace-env")


async def test_the_only_virtual_key_is_for_whatever_model(machine, serve):
    upstream = await serve(ANSWER, "PORTKEY")
    machine.setenv("PORTKEY_VIRTUAL_KEY_MISTRAL_AI", "vk-only")
    await PortkeyProvider().generate_completion("Hello!", "mistral-small")
    await PortkeyProvider(provider="groq").generate_completion("Hello!", "mistral-small")
    assert [one.headers.get("x-portkey-virtual-key") for one in upstream.served] == ["vk-only", None]


@pytest.mark.seed("S3.3", "S3.14")
@pytest.mark.parametrize("said", ["argument", "variable"])
async def test_an_agent_has_its_model(machine, serve, said):
    upstream = await serve(ANSWER)
    models = {"coder": "anthropic/claude-3-opus", "writer": "openai/gpt-4o"}
    if said == "variable":
        machine.setenv("AGENT_MODEL_MAP", json.dumps(models))
    machine.setenv("OPENROUTER_DEFAULT_MODEL", "openai/gpt-4o-mini")
    provider = OpenRouterProvider(agent_models=models if said == "argument" else None)
    for agent, model in [("coder", None), ("writer", None), ("coder", "x/explicit"), ("stranger", None), (None, None)]:
        await provider.generate_completion("Hello!", model, agent_type=agent)
    usual = "openai/gpt-4o-mini"
    assert asked(upstream) == ["anthropic/claude-3-opus", "openai/gpt-4o", "x/explicit", usual, usual]
    assert not any("coder" in str(one.json) + str(one.headers) for one in upstream.served)


@pytest.mark.seed("S3.14")
@pytest.mark.parametrize("said", ["{", "[]", '{"coder": 7}'])
async def test_a_map_that_cannot_be_read_is_told_once_and_left_out(machine, serve, caplog, said):
    upstream = await serve(ANSWER)
    machine.setenv("AGENT_MODEL_MAP", said)
    machine.setenv("OPENROUTER_HEADERS", '{"authorization": 1}')
    provider = OpenRouterProvider()
    for _ in range(2):
        await provider.generate_completion("Hello!", agent_type="coder")
    assert asked(upstream) == ["openai/gpt-3.5-turbo"] * 2
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [text.partition(" ")[0] for text in told] == ["OPENROUTER_HEADERS", "AGENT_MODEL_MAP"]


@pytest.mark.seed("S3.2")
@pytest.mark.parametrize("make", [OpenRouterProvider, Echo, get_llm_provider])
async def test_a_life(serve, make):
    await serve(ANSWER)
    provider = make()
    assert not provider.is_initialized
    await provider.shutdown()
    await provider.close()
    for _ in range(2):
        for _ in range(2):
            await provider.initialize()
        assert provider.is_initialized
        assert (await provider.generate_completion("Hello!")).content == "Hello!"
        assert (await provider.generate_chat_completion(TALK)).content == "Hello!"
        for _ in range(2):
            await provider.shutdown()
        assert not provider.is_initialized
    assert (await provider.generate_completion("Hello!")).content == "Hello!"


def test_what_must_be_written_for_a_provider():
    assert LLMProvider.__abstractmethods__ == {"provider_name", "generate_chat_completion"}


async def test_a_key_that_comes_later_is_found(machine, serve):
    provider = OpenRouterProvider(LLMProviderConfig())
    with pytest.raises(LLMProviderAuthenticationError, match="OPENROUTER_API_KEY"):
        await provider.generate_completion("Hello!")
    with pytest.raises(LLMProviderAuthenticationError, match="OPENROUTER_API_KEY"):
        await provider.initialize()
    await serve(ANSWER)
    assert (await provider.generate_completion("Hello!")).content == "Hello!"


async def test_what_cannot_be_sent_is_refused(serve):
    upstream = await serve(ANSWER)
    provider = OpenRouterProvider()
    turns = {"role": "stranger", "content": "x"}, {"content": "x"}, {"role": "user"}, {"role": "user", "content": None}
    for bad in ([], None, 7, "Hello!", ["Hello!"], *([turn] for turn in turns)):
        with pytest.raises(LLMProviderInvalidRequestError):
            await provider.generate_chat_completion(bad)
    with pytest.raises(LLMProviderInvalidRequestError):
        await provider.generate_completion(None)
    with pytest.raises(LLMProviderInvalidRequestError, match="weather"):
        await provider.generate_chat_completion(TALK, weather="fine")
    assert not upstream.served


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.seed("S3.5")
async def test_a_configuration_of_its_own(serve):
    upstream = await serve(ANSWER)
    config = LLMProviderConfig("sk-mine", f"{upstream.url}/other", "x/y", 10, 1, 0.5, 5, {"rate_limit_error"})
    await OpenRouterProvider(config).generate_completion("Hello!")
    (request,) = upstream.served
    assert (request.path, asked(upstream)) == ("/other/chat/completions", ["x/y"])
    assert request.headers["authorization"] == "Bearer sk-mine"
    assert "sk-mine" not in repr(config)
    assert "x/y" in repr(config)


@pytest.mark.seed("S3.5", "S3.10")
def test_what_the_environment_says(machine):
    usual = LLMProviderConfig.from_env("openrouter")
    assert (usual.request_timeout, usual.max_retries, usual.retry_delay, usual.retry_max_delay) == (30, 3, 1, 60)
    assert usual.retryable_errors == {"connection_error", "timeout_error", "rate_limit_error", "service_error"}
    said = {
        "LLM_REQUEST_TIMEOUT": "12.5",
        "LLM_MAX_RETRIES": "0",
        "LLM_RETRY_DELAY": "0.5",
        "LLM_RETRY_MAX_DELAY": "9",
        "LLM_RETRYABLE_ERRORS": "rate_limit_error, model_error,",
        "OPENROUTER_API_KEY": "sk-1",
        "OPENROUTER_BASE_URL": "https://example.org/v1",
        "OPENROUTER_DEFAULT_MODEL": "x/y",
    }
    for name, value in said.items():
        machine.setenv(name, value)
    assert LLMProviderConfig.from_env("openrouter") == LLMProviderConfig(
        "sk-1", "https://example.org/v1", "x/y", 12.5, 0, 0.5, 9, {"rate_limit_error", "model_error"}
    )
    assert OpenRouterProvider(LLMProviderConfig()).default_model == "x/y"


@pytest.mark.seed("S3.10")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LLM_REQUEST_TIMEOUT", "0"),
        ("LLM_REQUEST_TIMEOUT", "soon"),
        ("LLM_MAX_RETRIES", "-1"),
        ("LLM_MAX_RETRIES", "2.5"),
        ("LLM_RETRY_DELAY", "-1"),
        ("LLM_RETRY_MAX_DELAY", "long"),
        ("LLM_RETRYABLE_ERRORS", "rate_limit"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(machine, variable, value):
    machine.setenv(variable, value)
    for make in (get_llm_provider, OpenRouterProvider, PortkeyProvider):
        with pytest.raises(LLMProviderConfigurationError, match=variable) as caught:
            make()
        assert isinstance(caught.value, ConfigurationError | ValueError)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"request_timeout": 0}, "request_timeout must be a number of seconds above 0, not 0"),
        ({"max_retries": "3"}, "max_retries must be a whole number from 0 up, not '3'"),
        ({"retry_delay": -1}, "retry_delay"),
        ({"retryable_errors": {"weather"}}, "timeout_error.* not 'weather'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(said, word):
    with pytest.raises(LLMProviderConfigurationError, match=word):
        LLMProviderConfig(**said)


async def test_an_address_that_is_none_is_told(machine):
    provider = OpenRouterProvider(LLMProviderConfig("sk-1", "nowhere"))
    with pytest.raises(LLMProviderConfigurationError, match="base_url"):
        await provider.initialize()


# -- errors and retries ------------------------------------------------------------------------------------------------

ROWS = {
    "authentication": (NO_KEY, LLMProviderAuthenticationError, 1),
    "quota": (NO_CREDIT, LLMProviderResourceExhaustedError, 1),
    "forbidden": (
        reply(403, {"error": {"message": "your key may not do this"}}),
        LLMProviderAuthenticationError,
        1,
    ),
    "invalid": (INVALID, LLMProviderInvalidRequestError, 1),
    "too long": (
        reply(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        LLMProviderInvalidRequestError,
        1,
    ),
    "policy": (
        reply(400, {"error": {"message": "filtered", "code": "content_filter"}}),
        LLMProviderInvalidRequestError,
        1,
    ),
    "no model": (NO_MODEL, LLMProviderModelError, 1),
    "slow down": (LIMITED, LLMProviderRateLimitError, 3),
    "500": (reply(500, {"error": {"message": "oops"}}), LLMProviderServiceError, 3),
    "502": (reply(502, {"error": {"message": "invalid answer"}}), LLMProviderServiceError, 3),
    "503": (DOWN, LLMProviderServiceError, 3),
    "error in a 200": (
        reply(200, {"error": {"code": 502, "message": "the model is gone"}}),
        LLMProviderServiceError,
        3,
    ),
    "no JSON": (reply(200, b"<html>"), LLMProviderServiceError, 3),
    "408": (reply(408, {"error": {"message": "too slow"}}), LLMProviderTimeoutError, 3),
    "hung up on": (Told(silent=True), LLMProviderConnectionError, 3),
}


@pytest.mark.seed("S3.7", "S3.6", "S3.12")
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("door", ["openrouter", "portkey", "preferred"])
async def test_errors(serve, clock, row, door):
    told, kind, calls = ROWS[row]
    upstream = await serve(told, "PORTKEY" if door == "portkey" else "OPENROUTER")
    config = LLMProviderConfig(max_retries=2)
    provider = {"openrouter": OpenRouterProvider, "portkey": PortkeyProvider}.get(door, OpenRouterProvider)(config)
    if door == "preferred":
        register_llm_provider(provider)
        provider = get_llm_provider()
    with pytest.raises(kind) as caught:
        await provider.generate_completion("Hello!")
    assert len(upstream.served) == calls
    assert isinstance(caught.value, LLMProviderError)
    assert isinstance(caught.value.__cause__, TrunklineError)
    assert type(caught.value) is kind
    assert "sk-" not in str(caught.value)


@pytest.mark.seed("S3.6", "S3.11")
@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_waits_grow_up_to_the_cap_and_are_never_the_same(serve, clock, retries):
    upstream = await serve(DOWN)
    provider = OpenRouterProvider(LLMProviderConfig(max_retries=retries, retry_delay=2, retry_max_delay=5))
    runs = []
    for _ in range(2):
        upstream.served.clear()
        clock.slept.clear()
        clock.advance(3600)
        with pytest.raises(LLMProviderServiceError):
            await provider.generate_completion("Hello!")
        runs.append(list(clock.slept))
        assert len(upstream.served) == retries + 1
        assert len(clock.slept) == retries
        for wait, stated in zip(clock.slept, (2, 4, 5), strict=False):
            assert 0.7 * stated <= wait <= min(5, 1.3 * stated)
    assert not retries or runs[0] != runs[1]


@pytest.mark.parametrize("told", [DOWN, Told(silent=True)])
async def test_a_wait_of_nothing_is_none(serve, clock, told):
    upstream = await serve(told)
    with pytest.raises(LLMProviderError):
        await OpenRouterProvider(LLMProviderConfig(retry_delay=0, retry_max_delay=0)).generate_completion("Hello!")
    assert (len(upstream.served), sum(clock.slept)) == (4, 0)


@pytest.mark.seed("S3.5", "S3.6")
@pytest.mark.parametrize(
    ("word", "row"),
    [
        ("connection_error", "hung up on"),
        ("timeout_error", "408"),
        ("rate_limit_error", "slow down"),
        ("service_error", "503"),
        ("resource_exhausted_error", "quota"),
        ("model_error", "no model"),
    ],
)
async def test_which_errors_are_tried_again_is_a_setting(serve, clock, word, row):
    upstream = await serve(ROWS[row][0])
    for words, calls in (({word}, 3), (registry.config.RETRYABLE.keys() - {word}, 1)):
        upstream.served.clear()
        clock.advance(3600)
        with pytest.raises(ROWS[row][1]):
            await OpenRouterProvider(
                LLMProviderConfig(max_retries=2, retryable_errors=words),
            ).generate_completion("Hello!")
        assert len(upstream.served) == calls


@pytest.mark.parametrize("row", ["authentication", "invalid"])
async def test_the_same_key_and_the_same_request_are_never_tried_again(serve, clock, row):
    upstream = await serve(ROWS[row][0])
    words = {"authentication_error", "invalid_request_error"}
    with pytest.raises(ROWS[row][1]):
        await OpenRouterProvider(LLMProviderConfig(retryable_errors=words)).generate_completion("Hello!")
    assert len(upstream.served) == 1


@pytest.mark.seed("S3.9")
async def test_who_is_too_slow_is_asked_again(serve):
    upstream = await serve(reply(200, chat(), delay=5))
    config = LLMProviderConfig(request_timeout=0.1, max_retries=1, retry_delay=0)
    with pytest.raises(LLMProviderTimeoutError, match=r"0\.1 seconds"):
        await OpenRouterProvider(config).generate_completion("Hello!")
    assert len(upstream.served) == 2


@pytest.mark.seed("S3.9")
@pytest.mark.parametrize("own", [False, True])
async def test_cancelling_is_no_error_of_a_provider(serve, own):
    upstream = await serve(reply(200, chat(), delay=60))
    await serve(ANSWER, "PORTKEY")
    if own:
        asking = OpenRouterProvider()
        mine = Echo()
        mine.generate_chat_completion = asking.generate_chat_completion
        register_llm_provider(mine)
    provider = get_llm_provider("echo" if own else None)
    task = asyncio.create_task(provider.generate_chat_completion(TALK))
    while not upstream.served:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- the registry ------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S3.8")
def test_who_is_registered_is_given():
    made, usual = get_llm_provider("openrouter"), get_llm_provider("portkey")
    assert get_llm_provider() is get_llm_provider("openrouter") is made
    mine, other = Echo(), OpenRouterProvider()
    for provider in (mine, other):
        register_llm_provider(provider)
        assert get_llm_provider(provider.provider_name) is provider
    with pytest.raises(LLMProviderError, match="'nobody' is not registered; there are echo, openrouter, portkey"):
        get_llm_provider("nobody")
    assert next(iter(get_llm_provider().places(None, None))) == "echo"
    assert get_llm_provider("portkey") is usual
    interfaces.reload()
    assert get_llm_provider("openrouter") is other
    assert get_llm_provider("portkey") is not usual
    usual = get_llm_provider("portkey")
    reset_llm_providers()
    assert get_llm_provider("openrouter") is not other
    assert get_llm_provider("portkey") is not usual
    with pytest.raises(LLMProviderError, match="echo"):
        get_llm_provider("echo")


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_cannot_be_is_refused(name):
    with pytest.raises(LLMProviderConfigurationError, match="name"):
        register_llm_provider(Echo(name))


@pytest.mark.seed("S3.8", "S3.10")
async def test_the_preferred_one_is_asked(machine, serve):
    first, second = await serve(ANSWER), await serve(reply(200, chat("Here.")), "PORTKEY")
    assert (await get_llm_provider().generate_completion("Hello!")).provider == "openrouter"
    assert len(second.served) == 0
    assert get_llm_provider() is get_llm_provider()
    assert get_llm_provider().provider_name == "openrouter"
    assert get_llm_provider().default_model == "openai/gpt-3.5-turbo"
    machine.setenv("PREFERRED_LLM_PROVIDER", "portkey")
    interfaces.reload()
    assert (await get_llm_provider().generate_completion("Hello!")).content == "Here."
    assert len(first.served) == 1
    machine.setenv("PREFERRED_LLM_PROVIDER", "nobody")
    interfaces.reload()
    with pytest.raises(LLMProviderError, match="'nobody'"):
        get_llm_provider()


@pytest.mark.seed("S3.8")
def test_many_threads_find_the_same_one(machine):
    class Slow(Echo):
        def __init__(self):
            threading.Event().wait(0.01)
            super().__init__("portkey")

    machine.setenv("OPENROUTER_API_KEY", "sk-1")
    machine.setitem(registry.BUILT_IN, "portkey", Slow)
    found, ready = [], threading.Barrier(16)

    def find():
        ready.wait()
        found.append((get_llm_provider("portkey"), get_llm_provider()))

    threads = [threading.Thread(target=find) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 16
    assert len(set(found)) == 1


@pytest.mark.seed("S3.8", "S3.15")
@pytest.mark.parametrize("keys", [(), ("OPENROUTER",), ("PORTKEY",), ("OPENROUTER", "PORTKEY")])
async def test_starting_never_raises(machine, caplog, keys):
    for name in keys:
        machine.setenv(f"{name}_API_KEY", "sk-any")

    class Broken(Echo):
        async def initialize(self):
            raise RuntimeError("no such thing")

    register_llm_provider(Broken("broken"))
    await initialize_llm_providers()
    assert [get_llm_provider(name.lower()).is_initialized for name in keys] == [True] * len(keys)
    assert "broken is not initialised: no such thing" in caplog.text
    assert ("OPENROUTER_API_KEY" in caplog.text) == ("OPENROUTER" not in keys)
    machine.setenv("LLM_MAX_RETRIES", "many")
    interfaces.reload()
    await initialize_llm_providers()
    assert "LLM_MAX_RETRIES" in caplog.text


# -- fallback ----------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S3.6", "S3.15")
@pytest.mark.parametrize(
    ("told", "calls"),
    [(Told(silent=True), 4), (DOWN, 4), (LIMITED, 4), (NO_KEY, 1), (NO_CREDIT, 1), (NO_MODEL, 1)],
)
async def test_the_second_answers_when_the_first_cannot(serve, clock, told, calls):
    first, second = await serve(told), await serve(reply(200, chat("Here.")), "PORTKEY")
    answer = await get_llm_provider().generate_completion("Hello!", agent_type="coder")
    assert (answer.content, answer.provider) == ("Here.", "portkey")
    assert (len(first.served), len(second.served)) == (calls, 1)
    assert "sk-openrouter" not in str(second.served[0].headers)


@pytest.mark.seed("S3.6", "S3.15")
async def test_each_has_its_own_manner(serve, clock):
    first, second = await serve(DOWN), await serve(LIMITED, "PORTKEY")
    register_llm_provider(OpenRouterProvider(LLMProviderConfig(max_retries=1, retry_delay=8)))
    register_llm_provider(PortkeyProvider(LLMProviderConfig(max_retries=2, retry_delay=1)))
    with pytest.raises(LLMProviderRateLimitError) as caught:
        await get_llm_provider().generate_completion("Hello!")
    assert (len(first.served), len(second.served)) == (2, 3)
    assert [round(wait / stated) for wait, stated in zip(clock.slept, (8, 1, 2), strict=True)] == [1, 1, 1]
    assert len(caught.value.causes) == 5


@pytest.mark.seed("S3.6")
async def test_what_is_wrong_everywhere_is_not_moved(serve, clock):
    await serve(INVALID)
    second = await serve(ANSWER, "PORTKEY")
    with pytest.raises(LLMProviderInvalidRequestError):
        await get_llm_provider().generate_completion("Hello!")
    assert not second.served


@pytest.mark.seed("S3.14", "S3.6")
@pytest.mark.parametrize(("agent", "model"), [("coder", None), (None, "x/explicit"), ("coder", "x/explicit")])
async def test_a_model_is_for_the_preferred_one(machine, serve, clock, agent, model):
    machine.setenv("AGENT_MODEL_MAP", '{"coder": "x/coding"}')
    first, second = await serve(NO_MODEL), await serve(ANSWER, "PORTKEY")
    await get_llm_provider().generate_completion("Hello!", model, agent_type=agent)
    assert asked(first) == [model or "x/coding"]
    assert asked(second) == ["gpt-3.5-turbo"]


@pytest.mark.seed("S3.15")
async def test_only_the_second_has_a_key(serve):
    second = await serve(ANSWER, "PORTKEY")
    provider = get_llm_provider()
    assert provider.provider_name == "openrouter"
    await provider.generate_completion("Hello!", "openai/gpt-4o")
    assert asked(second) == ["gpt-3.5-turbo"]


async def test_nobody_has_a_key():
    with pytest.raises(LLMProviderAuthenticationError, match="OPENROUTER_API_KEY"):
        await get_llm_provider().generate_completion("Hello!")


@pytest.mark.seed("S3.1", "S3.15")
async def test_one_of_the_programs_own_stands_behind(serve, clock):
    await serve(DOWN)
    mine = Echo()
    register_llm_provider(mine)
    answer = await get_llm_provider().generate_chat_completion(TALK, "x/y", 0.2, 9, "coder", stop=["end"])
    assert (answer.content, answer.provider, answer.model, answer.finish_reason) == ("Hello!", "echo", "mine", "length")
    assert answer.usage == USAGE
    assert mine.calls == [(None, 0.2, 9, "coder", {"stop": ["end"]})]
    assert mine.is_initialized
    await get_llm_provider().shutdown()
    assert not mine.is_initialized


@pytest.mark.seed("S3.1")
@pytest.mark.parametrize(
    ("error", "moved"),
    [
        (LLMProviderServiceError("down"), True),
        (LLMProviderRateLimitError("slow"), True),
        (LLMProviderError("something"), True),
        (RuntimeError("a mistake"), True),
        (LLMProviderInvalidRequestError("no"), False),
    ],
)
async def test_one_of_the_programs_own_is_asked_first(machine, serve, clock, error, moved):
    upstream = await serve(ANSWER)
    mine = Echo(error=error)
    register_llm_provider(mine)
    machine.setenv("PREFERRED_LLM_PROVIDER", "echo")
    if moved:
        assert (await get_llm_provider().generate_completion("Hello!", "own-model")).provider == "openrouter"
    else:
        with pytest.raises(type(error), match="no"):
            await get_llm_provider().generate_completion("Hello!", "own-model")
    assert [model for model, *_ in mine.calls] == ["own-model"]  # its retries are its own
    assert asked(upstream) == ["openai/gpt-3.5-turbo"] * moved


@pytest.mark.parametrize("gives", ["Hello!", {"content": "Hello!"}])
async def test_one_of_the_programs_own_may_give_less(machine, serve, clock, gives):
    await serve(DOWN)

    class Plain(Echo):
        async def generate_chat_completion(self, *_, **__):
            return gives

    register_llm_provider(Plain())
    answer = await get_llm_provider().generate_completion("Hello!")
    assert (answer.content, answer.usage.total_tokens, answer.finish_reason) == ("Hello!", 0, "stop")


async def test_alone_it_is_given_itself(machine):
    mine = Echo()
    register_llm_provider(mine)
    machine.setenv("PREFERRED_LLM_PROVIDER", "echo")
    assert get_llm_provider() is mine


async def test_one_in_the_place_of_openrouter(serve):
    upstream = await serve(ANSWER, "PORTKEY")
    mine = Echo("openrouter", error=LLMProviderServiceError("down"))
    register_llm_provider(mine)
    assert (await get_llm_provider().generate_completion("Hello!")).provider == "portkey"
    assert (len(mine.calls), len(upstream.served)) == (1, 1)


@pytest.mark.seed("S3.9")
async def test_a_text_takes_what_a_conversation_takes(serve):
    upstream = await serve(reply(200, chat("Hello!")))
    provider = OpenRouterProvider()
    assert (await provider.generate_completion("Hi", timeout=5, top_p=0.5)).content == "Hello!"
    assert upstream.served[0].json["top_p"] == 0.5
    with pytest.raises(LLMProviderInvalidRequestError, match="agent_type"):
        await provider.generate_completion("Hi", agent_type=["x"])
    with pytest.raises(LLMProviderError, match="set of words"):
        LLMProviderConfig(retryable_errors=None)


@pytest.mark.seed("S3.13")
async def test_a_title_of_two_lines_is_no_header(machine, serve):
    await serve(reply(200, chat("Hello!")))
    machine.setenv("SITE_TITLE", "two\nlines")
    with pytest.raises(LLMProviderError, match="X-Title"):
        await OpenRouterProvider().generate_completion("Hi")
