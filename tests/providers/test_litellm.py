"""The provider `litellm`: a transport over a package that many programs have; a stand-in has its two functions."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest

from samples import chat, chunks, vectors
from trunkline import (
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    TrunklineError,
)

pytestmark = pytest.mark.anyio


class Dumped:
    """What the package gives: a model that can be dumped."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    def model_dump(self) -> dict[str, Any]:
        return self._body


class Refusal(Exception):
    """An error as the package raises it: its provider's status and sentence, and the response that had them."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status_code = status
        self.message = message
        if headers is not None:
            self.response = ModuleType("response")
            self.response.headers = headers


class Package(ModuleType):
    """The package: answers as told and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__("litellm")
        self.__spec__ = ModuleSpec("litellm", None)
        self.asked: list[dict[str, Any]] = []
        self.answer: Any = chat()
        self.breaks: Exception | None = None
        self.hangs = False
        self.closed = False

    async def acompletion(self, **said: Any) -> Any:
        self.asked.append(said)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self._chunks() if said.get("stream") else Dumped(self.answer)

    async def aembedding(self, **said: Any) -> Any:
        self.asked.append(said)
        return Dumped(vectors([1.0, 0.0]))

    async def _chunks(self):
        try:
            for chunk in chunks("Par", "is."):
                if (
                    self.breaks is not None
                    and chunk["choices"]
                    and chunk["choices"][0]["delta"].get("content") == "is."
                ):
                    raise self.breaks
                yield Dumped(chunk)
                if self.hangs and chunk["choices"][0]["delta"].get("content"):
                    await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.fixture
def package(monkeypatch):
    stand_in = Package()
    monkeypatch.setitem(sys.modules, "litellm", stand_in)
    return stand_in


@pytest.fixture
async def client():
    async with AsyncClient({"retries": 0}, env={}) as client:
        yield client


async def test_a_whole_answer(package, client):
    answer = await client.complete("Hi", "litellm/watsonx/granite", max_tokens=5)
    assert (answer.text, answer.usage.output, answer.provider) == ("Paris.", 5, "litellm")
    (asked,) = package.asked
    assert (asked["model"], asked["max_tokens"]) == ("watsonx/granite", 5)
    assert asked["messages"] == [{"role": "user", "content": "Hi"}]
    assert asked["num_retries"] == 0  # retries are the engine's
    assert "api_key" not in asked  # the package finds its provider's key as it always does


async def test_a_key_for_it(package):
    async with AsyncClient({}, env={"LITELLM_API_KEY": "l-key"}) as client:
        await client.complete("Hi", "litellm/watsonx/granite")
    assert package.asked[0]["api_key"] == "l-key"


async def test_a_stream(package, client):
    async with client.stream("Hi", "litellm/watsonx/granite") as answer:
        assert "".join([text async for text in answer.text]) == "Paris."
    assert answer.reply.usage.output == 5
    assert package.asked[0]["stream_options"] == {"include_usage": True}


async def test_vectors(package, client):
    assert (await client.embed(["a"], "litellm/watsonx/slate")).vectors == ((1.0, 0.0),)
    assert package.asked[0]["input"] == ["a"]


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (429, RateLimitError)])
async def test_a_refusal_of_its_provider(package, client, status, kind):
    package.answer = Refusal(status, "litellm.Error: no", {"Retry-After": "7", "X-Secret": "s"})
    with pytest.raises(kind, match="Error: no") as caught:
        await client.complete("Hi", "litellm/watsonx/granite")
    assert (caught.value.status, caught.value.provider) == (status, "litellm")
    assert caught.value.retry_after == 7.0


async def test_a_refusal_before_a_stream(package, client):
    package.answer = Refusal(429, "slow down")
    with pytest.raises(RateLimitError, match="slow down"):
        await client.stream("Hi", "litellm/watsonx/granite").final()


@pytest.mark.parametrize("error", [Refusal(500, "gone"), OSError("gone")])
async def test_a_stream_that_breaks(package, client, error):
    package.breaks = error
    words = []
    with pytest.raises(TrunklineError):
        async with client.stream("Hi", "litellm/watsonx/granite") as answer:
            async for event in answer:
                words.append(event.text or "")
    assert "".join(words) == "Par"


async def test_a_stream_that_is_left(package, client):
    async with client.stream("Hi", "litellm/watsonx/granite") as answer:
        async for event in answer:
            if event.text:
                break
    for _ in range(10):  # a generator that nobody holds is closed by its loop
        await asyncio.sleep(0)
    assert package.closed


async def test_a_stream_that_hangs_is_over_at_its_deadline(package, client):
    package.hangs = True
    begun = time.monotonic()
    with pytest.raises(APITimeoutError):
        await asyncio.wait_for(client.stream("Hi", "litellm/watsonx/granite", timeout=0.1).final(), 5)
    assert time.monotonic() - begun < 2


async def test_a_mistake_of_the_packages_is_not_hidden(package, client):
    package.answer = TypeError("unexpected")
    with pytest.raises(TypeError, match="unexpected"):
        await client.complete("Hi", "litellm/watsonx/granite")


async def test_without_the_package(client):
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[litellm\]'"):
        await client.complete("Hi", "litellm/watsonx/granite")
    why = next(entry.why for entry in client.models() if entry.name == "litellm")
    assert why == "litellm is not installed: pip install 'trunkline[litellm]'"
