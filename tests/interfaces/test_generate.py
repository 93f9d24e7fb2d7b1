"""`generate` and `LLMInterface`: dicts in, dicts out, errors too."""

import asyncio
import json
import logging
from datetime import datetime

import pytest

from samples import chat, message
from trunkline import ConfigurationError, TrunklineError, interfaces
from trunkline.interfaces.generate import LLMInterface, generate
from trunkline.interfaces.line import line
from trunkline.testing import FakeUpstream, Told, reply

pytestmark = pytest.mark.anyio
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello, world!"}]
DOWN = reply(503, {"error": {"message": "away", "type": "server_error"}})
ANSWER = reply(200, chat("Hello!"))


@pytest.fixture
async def upstream(closing):
    async with FakeUpstream([ANSWER]) as upstream:
        yield upstream


@pytest.fixture
def openai(machine, upstream):
    """The environment of a program that asks OpenAI."""
    machine.setenv("LLM_PROVIDER", "openai")
    machine.setenv("PRIMARY_MODEL", "gpt-4")
    machine.setenv("OPENAI_API_KEY", "sk-own")
    machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
    return machine


def asked(upstream):
    return [(one.json["model"], one.headers.get("authorization")) for one in upstream.served]


def bodies(upstream):
    return [one.json for one in upstream.served]


@pytest.mark.seed("S4.1", "S4.3", "S4.7", "S4.10", "S4.12", "S4.15")
async def test_generate_asks_what_the_environment_names(openai, upstream):
    response = await generate(messages=TALK, temperature=0.7, max_tokens=1000)
    assert response["text"] == "Hello!"
    assert "error" not in response
    assert asked(upstream) == [("gpt-4", "Bearer sk-own")]
    body = upstream.served[0].json
    assert (body["temperature"], body["messages"]) == (0.7, TALK)
    assert 1000 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_a_model_that_is_named_is_asked(openai, upstream):
    assert (await generate(messages=TALK, model="gpt-3.5-turbo"))["metadata"]["model"] == "gpt-3.5-turbo"
    assert asked(upstream) == [("gpt-3.5-turbo", "Bearer sk-own")]


@pytest.mark.seed("S4.11")
async def test_an_interface_of_its_own(upstream):
    llm = LLMInterface(
        provider="openai",
        model="gpt-4",
        api_key="your-api-key",
        api_base=f"{upstream.url}/v1",
        max_retries=5,
        timeout=120.0,
        max_concurrent_requests=10,
    )
    response = await llm.generate(messages=TALK, temperature=0.7, max_tokens=1000)
    assert response["text"] == "Hello!"
    assert asked(upstream) == [("gpt-4", "Bearer your-api-key")]
    assert "your-api-key" not in repr(llm)


@pytest.mark.seed("S4.13")
async def test_what_it_tells_of_an_answer(openai, upstream):
    metadata = (await generate(messages=TALK, temperature=0.2, max_tokens=50))["metadata"]
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    assert {name: metadata[name] for name in ("provider", "model", "temperature", "max_tokens", "usage")} == {
        "provider": "openai",
        "model": "gpt-4",
        "temperature": 0.2,
        "max_tokens": 50,
        "usage": usage,
    }
    assert 0 < metadata["latency"] < 10
    assert datetime.fromisoformat(metadata["timestamp"]).tzinfo is not None
    assert json.loads(json.dumps(metadata)) == metadata


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (reply(401, {"error": {"message": "bad key", "code": "invalid_api_key"}}), "AuthenticationError"),
        (reply(400, {"error": {"message": "no", "type": "invalid_request_error"}}), "InvalidRequestError"),
        (reply(404, {"error": {"message": "no such model", "code": "model_not_found"}}), "ModelError"),
        (reply(429, {"error": {"message": "slow", "type": "rate_limit"}}), "RateLimitError"),
        (reply(402, {"error": {"message": "no credit"}}), "ResourceExhaustedError"),
        (DOWN, "ServiceError"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
@pytest.mark.seed("S4.12", "S4.19")
async def test_what_goes_wrong_is_told_in_the_answer(openai, clock, told, kind):
    async with FakeUpstream([told]) as upstream:
        openai.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        response = await generate(messages=TALK)
    assert (response["error_type"], response["text"]) == (kind, "")
    assert response["error"]
    assert "sk-own" not in str(response)
    assert response["metadata"]["model"] == "gpt-4"


@pytest.mark.parametrize(
    ("changes", "messages", "word"),
    [
        ({"PRIMARY_MODEL": ""}, TALK, "PRIMARY_MODEL"),
        ({"LLM_PROVIDER": "nobody"}, TALK, "nobody"),
        ({"OPENAI_API_KEY": ""}, TALK, "OPENAI_API_KEY"),
        ({"OPENAI_API_BASE": "not an address"}, TALK, "http"),
        ({"LLM_CONCURRENT_NUMBER": "many"}, TALK, "LLM_CONCURRENT_NUMBER"),
        ({"WISEFLOW_LOG_LEVEL": "LOUD"}, TALK, "WISEFLOW_LOG_LEVEL"),
        ({"LLM_CONFIG_FILE": "nowhere.yaml"}, TALK, "nowhere.yaml"),
        ({}, [], "messages"),
        ({}, ..., "messages"),
        ({}, [{"role": "stranger", "content": "x"}], "role"),
    ],
)
async def test_bad_input_is_told_too_and_nothing_is_sent(openai, upstream, changes, messages, word):
    for name, value in changes.items():
        openai.setenv(name, value)
    response = await generate(messages=messages)
    assert word in response["error"]
    assert response["error_type"] in ("ConfigurationError", "AuthenticationError", "InvalidRequestError")
    assert not upstream.served


def test_an_argument_that_cannot_be_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="one of openai, litellm, anthropic, azure, fallback, not 'nobody'"):
        LLMInterface(provider="nobody")


async def test_cancelling_is_not_an_answer(openai):
    async with FakeUpstream([reply(200, chat(), delay=60)]) as upstream:
        openai.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        task = asyncio.create_task(generate(messages=TALK))
        while not upstream.served:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.seed("S4.17")
@pytest.mark.parametrize(("told", "kind"), [(DOWN, "ServiceError"), (Told(silent=True), "ConnectionError")])
@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_failures_that_pass_are_tried_again(openai, clock, retries, told, kind):
    async with FakeUpstream([told]) as upstream:
        llm = LLMInterface(api_base=f"{upstream.url}/v1", max_retries=retries)
        response = await llm.generate(TALK)
    assert len(upstream.served) == retries + 1
    assert response["error_type"] == kind
    for wait, stated in zip(clock.slept, (1.0, 2.0, 4.0), strict=False):
        assert 0.7 * stated <= wait <= 1.3 * stated
    assert len(clock.slept) == retries


@pytest.mark.seed("S4.4")
async def test_the_second_model_answers_when_the_first_cannot(openai, clock):
    openai.setenv("SECONDARY_MODEL", "gpt-3.5-turbo")

    def tell(asked) -> Told:
        return DOWN if asked.json["model"] == "gpt-4" else ANSWER

    async with FakeUpstream(tell) as upstream:
        llm = LLMInterface(api_base=f"{upstream.url}/v1", max_retries=0)
        response = await llm.generate(TALK)
    assert response["text"] == "Hello!"
    assert response["metadata"]["model"] == "gpt-3.5-turbo"


@pytest.mark.seed("S4.2", "S4.8", "S4.14", "S4.19")
async def test_the_fallback_goes_through_all_that_have_a_key(machine, upstream, clock):
    machine.setenv("LLM_PROVIDER", "fallback")
    machine.setenv("PRIMARY_MODEL", "gpt-4")
    machine.setenv("OPENAI_API_KEY", "sk-one")
    machine.setenv("ANTHROPIC_API_KEY", "sk-two")
    async with FakeUpstream([DOWN]) as down, FakeUpstream([reply(200, message("Here."))]) as other:
        machine.setenv("OPENAI_API_BASE", f"{down.url}/v1")
        machine.setenv("ANTHROPIC_API_BASE", other.url)
        response = await generate(messages=TALK)
        assert (response["text"], response["metadata"]["provider"]) == ("Here.", "anthropic")
        assert [one.path for one in other.served] == ["/v1/messages"]
        assert other.served[0].headers["x-api-key"] == "sk-two"
        assert "sk-one" not in str(other.served[0].headers)


async def test_when_all_of_the_fallback_fail_its_text_says_so(machine, clock):
    machine.setenv("LLM_PROVIDER", "fallback")
    machine.setenv("PRIMARY_MODEL", "gpt-4")
    machine.setenv("OPENAI_API_KEY", "sk-one")
    async with FakeUpstream([DOWN]) as down:
        machine.setenv("OPENAI_API_BASE", f"{down.url}/v1")
        response = await generate(messages=TALK)
    assert response["text"].startswith("No provider could answer")
    assert response["error_type"] == "ServiceError"


async def test_a_fallback_with_nobody_says_what_to_set(machine):
    machine.setenv("LLM_PROVIDER", "fallback")
    assert "PRIMARY_MODEL" in (await generate(messages=TALK))["error"]


@pytest.mark.seed("S4.8")
async def test_anthropic_has_the_system_apart_and_keeps_the_turns(machine):
    turns = [*TALK, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "And now?"}]
    async with FakeUpstream([reply(200, message("Fine."))]) as upstream:
        machine.setenv("LLM_PROVIDER", "anthropic")
        machine.setenv("PRIMARY_MODEL", "claude-3-opus-20240229")
        machine.setenv("ANTHROPIC_API_KEY", "sk-ant")
        machine.setenv("ANTHROPIC_API_BASE", upstream.url)
        assert (await generate(messages=turns))["text"] == "Fine."
    (body,) = bodies(upstream)
    assert "Be brief." in str(body["system"])
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


@pytest.mark.seed("S4.9")
@pytest.mark.parametrize(("said", "version"), [(None, "2023-05-15"), ("2024-10-21", "2024-10-21")])
async def test_azure_has_its_deployment_and_version_in_the_path(machine, upstream, said, version):
    machine.setenv("LLM_PROVIDER", "azure")
    machine.setenv("PRIMARY_MODEL", "my-gpt")
    machine.setenv("AZURE_API_KEY", "az-key")
    machine.setenv("AZURE_API_BASE", upstream.url)
    if said:
        machine.setenv("AZURE_API_VERSION", said)
    assert (await generate(messages=TALK))["text"] == "Hello!"
    (request,) = upstream.served
    assert request.path == f"/openai/deployments/my-gpt/chat/completions?api-version={version}"
    assert request.headers["api-key"] == "az-key"


@pytest.mark.seed("S4.2", "S4.5", "S4.6", "S4.15")
async def test_without_a_provider_the_models_name_finds_it(machine, upstream):
    machine.setenv("LLM_API_KEY", "sk-any")
    machine.setenv("LLM_API_BASE", f"{upstream.url}/v1")
    machine.setenv("PRIMARY_MODEL", "a-model-that-nobody-knows")
    response = await generate(messages=TALK)
    assert (response["text"], response["metadata"]["provider"]) == ("Hello!", "litellm")
    assert asked(upstream) == [("a-model-that-nobody-knows", "Bearer sk-any")]


async def test_the_key_of_the_first_is_not_shown_to_another_provider(machine, upstream, clock):
    machine.setenv("LLM_PROVIDER", "openai")
    machine.setenv("SECONDARY_MODEL", "anthropic/claude-3-haiku-20240307")
    machine.setenv("ANTHROPIC_API_KEY", "sk-ant-own")
    async with FakeUpstream([DOWN]) as down, FakeUpstream([reply(200, message("Here."))]) as other:
        machine.setenv("ANTHROPIC_API_BASE", other.url)
        llm = LLMInterface(model="gpt-4", api_key="sk-mine", api_base=f"{down.url}/v1", max_retries=0)
        assert (await llm.generate(TALK))["text"] == "Here."
    assert other.served[0].headers["x-api-key"] == "sk-ant-own"


async def test_nor_is_it_where_a_call_names_a_model_of_another(machine):
    machine.setenv("ANTHROPIC_API_KEY", "sk-ant-own")
    machine.setenv("LLM_API_KEY", "sk-of-openai-too")
    async with FakeUpstream([reply(200, message("Here."))]) as other:
        machine.setenv("ANTHROPIC_API_BASE", other.url)
        for provider in ("openai", "litellm"):
            llm = LLMInterface(provider, "gpt-4", api_key="sk-mine", api_base="http://127.0.0.1:9")
            assert (await llm.generate(TALK, model="anthropic/claude-3-haiku-20240307"))["text"] == "Here."
    assert [one.headers["x-api-key"] for one in other.served] == ["sk-ant-own"] * 2


async def test_behind_a_model_that_a_call_names_stands_the_secondary_one_too(openai, clock):
    openai.setenv("SECONDARY_MODEL", "gpt-3.5-turbo")
    async with FakeUpstream([DOWN]) as upstream:
        llm = LLMInterface(api_base=f"{upstream.url}/v1", max_retries=0)
        await llm.generate(TALK)
        await llm.generate(TALK, model="gpt-4o")
    assert [model for model, _ in asked(upstream)] == ["gpt-4", "gpt-3.5-turbo", "gpt-4o", "gpt-3.5-turbo"]


async def test_what_is_told_is_the_callers_own(openai):
    first = await generate(messages=[])
    first["metadata"]["usage"]["total_tokens"] = 99
    assert (await generate(messages=[]))["metadata"]["usage"]["total_tokens"] == 0


async def test_a_mistake_in_the_machines_configuration_is_told_in_the_answer(openai, upstream, tmp_path):
    (tmp_path / "trunkline.yaml").write_text("modle: x\n")
    response = await generate(messages=TALK)
    assert "modle" in response["error"]
    assert response["error_type"] == "ConfigurationError"


@pytest.mark.seed("S4.7", "S4.8")
@pytest.mark.parametrize(
    ("provider", "model", "url"),
    [
        ("openai", "gpt-4", "https://api.openai.com/v1/chat/completions"),
        ("anthropic", "claude-3-opus-20240229", "https://api.anthropic.com/v1/messages"),
    ],
)
def test_where_a_provider_is_if_nobody_says(provider, model, url):
    assert LLMInterface(provider, model, "sk-any")._client(None).render(TALK).url == url


@pytest.mark.seed("S4.1")
async def test_a_file_says_what_the_environment_does_not(machine, upstream, tmp_path):
    (tmp_path / "llm.yaml").write_text(
        f"llm_provider: openai\nprimary_model: gpt-4\nOPENAI_API_KEY: sk-file\nopenai_api_base: {upstream.url}/v1\n"
    )
    machine.setenv("LLM_CONFIG_FILE", "llm.yaml")
    machine.setenv("PRIMARY_MODEL", "gpt-3.5-turbo")
    assert (await generate(messages=TALK))["text"] == "Hello!"
    assert asked(upstream) == [("gpt-3.5-turbo", "Bearer sk-file")]


async def test_a_files_variables_are_filled_in(machine, upstream, tmp_path):
    said = f"llm_provider: openai\nopenai_api_key: ${{KEY_OF_MINE}}\nopenai_api_base: {upstream.url}/v1\n"
    (tmp_path / "llm.yaml").write_text(said + "primary_model: gpt-4\n")
    machine.setenv("LLM_CONFIG_FILE", "llm.yaml")
    response = await generate(messages=TALK)
    assert "KEY_OF_MINE is not set" in response["error"]
    machine.setenv("KEY_OF_MINE", "sk-mine")
    interfaces.reload()
    await generate(messages=TALK)
    assert asked(upstream) == [("gpt-4", "Bearer sk-mine")]


@pytest.mark.seed("S4.16")
@pytest.mark.parametrize("said", ["argument", "variable"])
async def test_no_more_are_under_way_than_are_allowed(openai, said):
    if said == "variable":
        openai.setenv("LLM_CONCURRENT_NUMBER", "3")
    async with FakeUpstream([reply(200, chat("Hello!"), delay=0.02)]) as upstream:
        most = None if said == "variable" else 3
        llm = LLMInterface(api_base=f"{upstream.url}/v1", max_concurrent_requests=most)
        under_way = []

        async def watch():
            while True:
                under_way.append(sum(one.in_flight for one in line().runtime.board.values()))
                await asyncio.sleep(0.002)

        watching = asyncio.create_task(watch())
        responses = await asyncio.gather(*[llm.generate(TALK) for _ in range(12)])
        watching.cancel()
    assert [response["text"] for response in responses] == ["Hello!"] * 12
    assert max(under_way) == 3


@pytest.mark.seed("S4.18")
async def test_calls_errors_and_retries_are_logged(openai, clock, caplog):
    openai.setenv("WISEFLOW_LOG_LEVEL", "DEBUG")
    async with FakeUpstream([DOWN, ANSWER]) as upstream:
        openai.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        with caplog.at_level(logging.NOTSET):
            await generate(messages=TALK)
            await generate(messages=[])
    lines = [(one.levelname, one.getMessage()) for one in caplog.records if one.name.endswith("generate")]
    assert [level for level, _ in lines] == ["DEBUG", "WARNING", "INFO", "DEBUG", "ERROR"]
    assert "2 attempts" in lines[2][1]
    assert "sk-own" not in caplog.text
    assert "Hello, world!" not in caplog.text


async def test_the_level_of_the_variable_holds(openai, upstream, caplog):
    openai.setenv("WISEFLOW_LOG_LEVEL", "ERROR")
    await generate(messages=TALK)
    assert not [one for one in caplog.records if one.name.endswith("generate")]


def test_it_works_in_two_loops_one_after_the_other(machine):
    for name, value in {"LLM_PROVIDER": "openai", "PRIMARY_MODEL": "gpt-4", "OPENAI_API_KEY": "sk-own"}.items():
        machine.setenv(name, value)

    async def ask():
        async with FakeUpstream([ANSWER]) as upstream:
            machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
            interfaces.reload()
            return await generate(messages=TALK)

    assert [asyncio.run(ask())["text"] for _ in range(2)] == ["Hello!"] * 2


async def test_what_changed_in_the_environment_is_seen_after_a_reload(openai, upstream):
    await generate(messages=TALK)
    openai.setenv("PRIMARY_MODEL", "gpt-3.5-turbo")
    await generate(messages=TALK)
    interfaces.reload()
    await generate(messages=TALK)
    assert [model for model, _ in asked(upstream)] == ["gpt-4", "gpt-4", "gpt-3.5-turbo"]


async def test_a_target_of_the_machines_configuration_is_asked_as_it_stands_there(machine, upstream, tmp_path):
    said = f"targets: {{ours: {{model: openai/gpt-4o-mini, api_key: sk-ours, base_url: '{upstream.url}/v1'}}}}"
    (tmp_path / "trunkline.yaml").write_text(said)
    machine.setenv("LLM_API_KEY", "sk-other")
    assert (await generate(messages=TALK, model="ours"))["text"] == "Hello!"
    assert asked(upstream) == [("gpt-4o-mini", "Bearer sk-ours")]


async def test_a_provider_may_have_a_model_of_its_own(machine):
    machine.setenv("PRIMARY_MODEL", "mock")
    assert (await generate(messages=TALK))["text"]


async def test_the_machines_own_limits_hold(machine, upstream, tmp_path):
    (tmp_path / "trunkline.yaml").write_text("prices: {openai/gpt-4: {input: 1, output: 2}}\npayers: {'*': {rpm: 1}}\n")
    llm = LLMInterface("openai", "gpt-4", "sk-own", f"{upstream.url}/v1", max_retries=0)
    assert (await llm.generate(TALK))["text"] == "Hello!"
    assert (await llm.generate(TALK))["error_type"] == "RateLimitError"  # the machine's limits hold


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "x"}, "timeout"),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests"),
        ({"api_base": "ftp://x"}, "api_base"),
        ({"model": 5}, "model"),
        ({"provider": 5}, "provider"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(said, word):
    with pytest.raises(TrunklineError, match=word):
        LLMInterface(**{"provider": "openai", "model": "gpt-4", "api_key": "sk", **said})


@pytest.mark.seed("S4.12", "S4.13")
@pytest.mark.parametrize(
    ("how", "changes"),
    [
        ({"model": 5}, {}),
        ({"extra_body": {"a": object()}}, {}),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, {}),
        ({"messages": [{"role": "user"}]}, {}),
        ({}, {"LLM_PROVIDER": "bogus"}),
    ],
)
async def test_whatever_is_wrong_is_in_the_answer_with_all_its_metadata(openai, upstream, how, changes):
    for name, value in changes.items():
        openai.setenv(name, value)
    response = await generate(**{"messages": TALK, **how})
    assert response["error_type"] in ("ConfigurationError", "InvalidRequestError")
    assert {"provider", "model", "temperature", "max_tokens", "usage", "latency", "timestamp"} == {
        *response["metadata"]
    }
    assert not upstream.served


@pytest.mark.seed("S4.18")
async def test_without_a_listener_the_level_writes_to_stderr(openai, upstream, capsys):
    logger = logging.getLogger("trunkline.interfaces.generate")
    openai.setattr(logging.getLogger(), "handlers", [])
    openai.setattr(logger, "handlers", [])
    openai.setenv("WISEFLOW_LOG_LEVEL", "DEBUG")
    await generate(messages=TALK)
    assert "asking openai for gpt-4" in capsys.readouterr().err
    openai.delenv("WISEFLOW_LOG_LEVEL")
    interfaces.reload()
    await generate(messages=TALK)
    assert logger.level == logging.NOTSET
