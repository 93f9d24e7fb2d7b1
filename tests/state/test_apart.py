"""Targets of one name that are not the same."""

import pytest

from samples import chat
from trunkline import AsyncClient
from trunkline.runtime import Runtime
from trunkline.state.apart import Apart
from trunkline.testing import FakeUpstream, reply


def test_each_that_is_something_else_has_a_number():
    apart = Apart()
    names = [apart("a", "here", key) for key in ("one", "two", "one", "three")]
    assert names == ["a", "a #2", "a", "a #3"]
    assert apart("b", "here", "one") == "b"
    assert {apart.another("c"), apart.another("c")} == {"c #4", "c #5"}
    assert apart("c", "here", "one") == "c"


def test_no_number_is_given_twice(monkeypatch):
    monkeypatch.setattr("trunkline.state.apart.MOST", 3)
    apart = Apart()
    numbers = [apart("a", key) for key in range(20)]
    assert len(set(numbers)) == 20
    assert apart("a", 19) == numbers[19]
    assert len(apart._ids) == 3


@pytest.mark.anyio
async def test_that_a_key_was_refused_says_nothing_of_another_key():
    def told(asked):
        good = asked.headers["authorization"] == "Bearer good"
        return reply(200, chat()) if good else reply(401, {"error": {"message": "no"}})

    async with FakeUpstream(told) as upstream:
        runtime = Runtime()
        providers = []
        for key in ("bad", "good"):
            env = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": upstream.url}
            async with AsyncClient({"model": "openai/gpt-4o"}, env=env, runtime=runtime) as client:
                providers.append((await client.complete("Hi", fallbacks=["mock"])).provider)
    assert providers == ["mock", "openai"]


def clients(upstream, runtime, **target):
    """Two that call a model the same, and ask with keys of their own."""
    said = {"model": "openai/gpt-4o", "base_url": upstream.url, **target}
    return [
        AsyncClient({"model": "mine", "targets": {"mine": {**said, "api_key": key}}}, env={}, runtime=runtime)
        for key in ("one", "two")
    ]


@pytest.mark.anyio
async def test_limits_and_connections_are_those_of_one_key():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        pair = clients(upstream, Runtime(), rpm=1, connections={"most": 1})
        for client in pair:
            await client.complete("Hi")
        first, second = (client._engine.snapshot.target("mine").connections for client in pair)
        await pair[0].close()
    assert len(upstream.served) == 2
    assert first.owner != second.owner


@pytest.mark.anyio
async def test_what_one_key_was_told_is_not_told_to_another():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        pair = clients(upstream, Runtime())
        for client in (*pair, *pair):
            await client.complete("Hi", cache=True)
        await pair[0].close()
    assert len(upstream.served) == 2
