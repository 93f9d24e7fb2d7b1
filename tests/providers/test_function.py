"""A provider that is a Python function: it stands in routes beside every other one."""

import asyncio

import pytest

from samples import chat
from trunkline import AsyncClient, RateLimitError, ServiceError
from trunkline.providers.function import function_provider
from trunkline.testing import FakeUpstream, reply

pytestmark = pytest.mark.anyio


def client(function, **config):
    return AsyncClient({"model": "mine", **config}, env={}, providers=[function_provider("mine", function)])


async def test_it_is_asked_as_a_chat_completion_and_its_text_is_the_answer():
    asked = []

    async def mine(body):
        asked.append(body)
        return "Hello!"

    answer = await client(mine).complete("Hi", system="Be brief.", temperature=0.5)
    assert (answer.text, answer.finish, answer.provider, answer.cost) == ("Hello!", "stop", "mine", None)
    (body,) = asked
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert body["temperature"] == 0.5


async def test_a_whole_completion_keeps_its_usage_and_its_calls():
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

    async def mine(body):
        return chat(None, tool_calls=[call])

    answer = await client(mine).complete("Hi", tools=[{"name": "add", "parameters": {"type": "object"}}])
    assert (answer.tool_calls[0].name, answer.usage.prompt_tokens) == ("add", chat()["usage"]["prompt_tokens"])


async def test_it_streams_what_it_has():
    async def mine(body):
        return "Hello!"

    async with client(mine).stream("Hi") as stream:
        assert [text async for text in stream.text] == ["Hello!"]
    assert stream.reply.finish == "stop"


async def test_what_it_raises_moves_the_call_on_and_is_told():
    async def broken(body):
        raise OSError("Custom LLM API error: 500")

    with pytest.raises(ServiceError, match="Custom LLM API error: 500") as caught:
        await client(broken).complete("Hi")
    assert isinstance(caught.value.__cause__, OSError)
    answer = await client(broken).complete("Hi", fallbacks=["mock"])
    assert answer.provider == "mock"
    assert [attempt.error for attempt in answer.route.attempts] == ["ServiceError", None]


async def test_an_error_of_ours_means_what_it_always_means():
    tries = []

    async def busy(body):
        tries.append(body)
        raise RateLimitError("slow down", retry_after=0)

    with pytest.raises(RateLimitError):
        await client(busy).complete("Hi", retries=2)
    assert len(tries) == 3


async def test_cancelling_reaches_it():
    began, ended = asyncio.Event(), []

    async def slow(body):
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    task = asyncio.ensure_future(client(slow).complete("Hi"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_what_is_no_text_is_an_error():
    async def mine(body):
        return 7

    with pytest.raises(ServiceError, match="gave int"):
        await client(mine).complete("Hi")


async def test_only_the_client_that_has_it_knows_it():
    async def mine(body):
        return "Hello!"

    client(mine)
    with pytest.raises(ValueError, match="unknown model 'mine'"):
        await AsyncClient({"model": "mine"}, env={}).complete("Hi")


async def test_it_is_the_fallback_of_a_provider_of_the_network():
    async def mine(body):
        return "Hello!"

    async with FakeUpstream([reply(401, {"error": {"message": "no"}})]) as upstream:
        made = AsyncClient(
            {"model": "openai/gpt-4o"},
            env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url},
            providers=[function_provider("mine", mine)],
        )
        assert (await made.complete("Hi", fallbacks=["mine"])).text == "Hello!"
        await made.close()
