"""A provider that wants to be told that a request is the same one again is told so."""

import pytest

from samples import chat
from trunkline import AsyncClient
from trunkline.config import parse
from trunkline.runtime import Runtime
from trunkline.testing import FakeUpstream, reply

pytestmark = pytest.mark.anyio

ACME = {"like": "openai-compatible", "idempotency_header": "Idempotency-Key"}


def client(upstream):
    config = {"providers": {"acme": {**ACME, "base_url": upstream.url}}, "backoff": {"first": 0.001}}
    return AsyncClient({"model": "acme/large", **config}, env={"ACME_API_KEY": "k"}, runtime=Runtime())


def keys(upstream):
    return [asked.headers.get("idempotency-key") for asked in upstream.served]


async def test_retries_say_the_same_and_every_call_something_else():
    script = [reply(500), reply(500), reply(200, chat()), reply(200, chat())]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        await line.complete("Hello")
        await line.complete("Hello")
    first, *again, second = keys(upstream)
    assert first and again == [first, first]
    assert second and second != first


async def test_what_is_asked_in_other_words_is_another_request():
    refused = reply(400, {"error": {"message": "too long", "code": "context_length_exceeded"}})
    async with FakeUpstream([refused, reply(200, chat())]) as upstream, client(upstream) as line:
        turns = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]
        await line.complete([*turns, {"role": "user", "content": "Three"}], truncate=True)
    one, two = keys(upstream)
    assert one.split("-")[0] == two.split("-")[0]
    assert one != two


async def test_a_caller_may_say_it_himself():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        await line.complete("Hello", extra_headers={"Idempotency-Key": "mine"})
    assert keys(upstream) == ["mine"]


async def test_nobody_else_is_told():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url}
        async with AsyncClient({"model": "openai/gpt-4o-mini"}, env=env) as line:
            await line.complete("Hello")
    assert keys(upstream) == [None]


def test_a_header_that_is_none_is_a_mistake():
    _, mistakes = parse("providers: {openai: {idempotency_header: 'not one'}}", "t.yaml", {})
    assert mistakes[0].path == "providers.openai.idempotency_header"
