"""What a target says of its own requests: dials, timeouts."""

import pytest

from samples import chat
from trunkline import APITimeoutError, AsyncClient, ConfigurationError
from trunkline.config import parse
from trunkline.testing import FakeUpstream, reply

pytestmark = pytest.mark.anyio


def client(upstream, **target):
    said = {"model": "openai/gpt-4o", "base_url": upstream.url, "api_key": "k", **target}
    return AsyncClient({"model": "mine", "targets": {"mine": said}}, env={})


async def test_settings_are_said_where_the_call_does_not():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with client(upstream, settings={"temperature": 0.1, "max_tokens": 5, "stop": "x"}) as mine:
            await mine.complete("Hi")
            await mine.complete("Hi", temperature=0.9)
    first, second = (one.json for one in upstream.served)
    assert (first["temperature"], first["max_tokens"], first["stop"]) == (0.1, 5, ["x"])
    assert (second["temperature"], second["max_tokens"]) == (0.9, 5)


async def test_the_same_question_with_other_settings_is_another_one():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        said = {"model": "openai/gpt-4o", "base_url": upstream.url, "api_key": "k"}
        targets = {"hot": {**said, "settings": {"temperature": 1}}, "cold": {**said, "settings": {"temperature": 0}}}
        async with AsyncClient({"targets": targets}, env={}) as both:
            for name in ("hot", "cold", "hot"):
                await both.complete("Hi", name, cache=True)
    assert len(upstream.served) == 2


async def test_timeouts_of_its_own_count_instead_of_the_calls():
    async with FakeUpstream([reply(200, chat(), delay=5)]) as upstream:
        async with client(upstream, timeouts={"first_content": 0.05}) as mine:
            with pytest.raises(APITimeoutError, match=r"0\.05 seconds"):
                await mine.complete("Hi", retries=0)


def test_a_setting_that_nobody_knows_is_a_mistake_of_the_file():
    _, mistakes = parse("targets: {a: {model: mock/a, settings: {temprature: 1}}}", "trunkline.yaml", {})
    assert "Did you mean 'temperature'?" in str(mistakes[0])
    with pytest.raises(ConfigurationError):
        AsyncClient({"targets": {"a": {"model": "mock/a", "settings": {"temperature": "hot"}}}}, env={})
