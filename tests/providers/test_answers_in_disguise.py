"""Answers that are not what they look like: JSON instead of a stream, and one that the provider keeps to itself."""

import pytest

from samples import chat, chunks, message
from trunkline import AsyncClient, ContentPolicyError, RateLimitError, ServiceError
from trunkline.testing import FakeUpstream, Told, reply, stream

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}


def client(upstream, **config):
    env = {f"{name}_API_KEY": "k" for name in ("OPENAI", "ANTHROPIC")}
    env |= {f"{name}_BASE_URL": upstream.url for name in ("OPENAI", "ANTHROPIC")}
    return AsyncClient({"model": "openai/gpt-4o", "retries": 0, **config}, env=env)


@pytest.mark.parametrize(
    ("model", "body"), [("openai/gpt-4o", chat("Hello!")), ("anthropic/claude-opus-4-5", message("Hello!"))]
)
async def test_a_whole_answer_to_who_wanted_a_stream_is_told_as_one(model, body):
    async with FakeUpstream([reply(200, body)]) as upstream, client(upstream) as line:
        async with line.stream("Hi", model) as answer:
            assert [text async for text in answer.text] == ["Hello!"]
    assert answer.reply.usage is not None
    assert len(upstream.served) == 1


async def test_an_error_in_one_is_what_it_says():
    body = {"error": {"message": "slow down", "code": 429}}
    async with FakeUpstream([reply(200, body)]) as upstream, client(upstream) as line:
        with pytest.raises(RateLimitError, match="slow down"):
            await line.stream("Hi").open()


async def test_a_stream_that_is_only_called_json_is_a_stream():
    events = stream(*chunks("Hel", "lo!"))
    async with FakeUpstream([Told(headers=JSON, pieces=events.pieces)]) as upstream, client(upstream) as line:
        async with line.stream("Hi") as answer:
            assert "".join([text async for text in answer.text]) == "Hello!"


async def test_what_is_neither_is_an_error():
    async with FakeUpstream([Told(headers=JSON, pieces=[b'{"choices": '])]) as upstream, client(upstream) as line:
        with pytest.raises(ServiceError):
            await line.stream("Hi").open()


@pytest.mark.parametrize("text", [None, ""])
async def test_an_answer_that_a_policy_withholds_is_an_error_that_was_paid_for(text):
    withheld = chat(text)
    withheld["choices"][0]["finish_reason"] = "content_filter"
    async with FakeUpstream([reply(200, withheld), reply(200, chat("Hello!"))]) as upstream, client(upstream) as line:
        with pytest.raises(ContentPolicyError, match="withholds"):
            await line.complete("Hi")
        answer = await line.complete("Hi")
        assert answer.text == "Hello!"


async def test_part_of_an_answer_is_an_answer():
    cut = chat("Once upon")
    cut["choices"][0]["finish_reason"] = "content_filter"
    async with FakeUpstream([reply(200, cut)]) as upstream, client(upstream) as line:
        assert (await line.complete("Hi")).finish == "content_filter"


async def test_another_may_answer_what_a_policy_withholds():
    withheld = chat(None)
    withheld["choices"][0]["finish_reason"] = "content_filter"

    def told(asked):
        return reply(200, withheld if asked.json["model"] == "gpt-4o" else chat("Hello!"))

    async with FakeUpstream(told) as upstream, client(upstream) as line:
        answer = await line.complete("Hi", fallbacks=["openai/gpt-4o-mini"])
        first, second = answer.route.attempts
    assert (first.error, first.cost is not None, second.error) == ("ContentPolicyError", True, None)
