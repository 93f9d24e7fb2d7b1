"""What a client asks beside words: rankings, judgements, counts of tokens; from programs, and in both doors."""

import pytest

from samples import chat
from trunkline import (
    AsyncClient,
    Client,
    InvalidRequestError,
    ModerationReply,
    RateLimitError,
    RerankReply,
    TokenCount,
    Tool,
    said,
)
from trunkline.testing import FakeUpstream, Told, reply

pytestmark = pytest.mark.anyio

KEYS = ("ANTHROPIC", "GEMINI", "OPENAI", "TOGETHER", "VOYAGE")
BASES = ("ANTHROPIC", "GOOGLE", "OPENAI", "TOGETHER", "VOYAGE")
RANKED = {
    "id": "r1",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "meta": {"billed_units": {"search_units": 1}},
}
JUDGED = {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}


def line(upstream: FakeUpstream, kind=AsyncClient, **config):
    env = {f"{name}_API_KEY": "k" for name in KEYS} | {f"{name}_BASE_URL": upstream.url for name in BASES}
    return kind({"retries": 0, **config}, env=env)


# --- rankings ---------------------------------------------------------------------------------------------------------


async def test_a_ranking():
    async with FakeUpstream([reply(200, RANKED)]) as upstream, line(upstream) as client:
        ranked = await client.rerank("capital of France", ["Oslo", "Paris"], "together/rerank", top_n=2)
    assert isinstance(ranked, RerankReply)
    assert [(one.index, one.score) for one in ranked.results] == [(1, 0.9), (0, 0.1)]
    assert (ranked.provider, ranked.target, ranked.seconds > 0) == ("together", "together/rerank", True)
    assert upstream.served[0].path == "/v1/rerank"
    assert upstream.served[0].json == {
        "model": "rerank",
        "query": "capital of France",
        "documents": ["Oslo", "Paris"],
        "top_n": 2,
    }


async def test_a_ranking_in_voyages_words():
    ranked = {"object": "list", "data": RANKED["results"], "model": "rerank-2", "usage": {"total_tokens": 26}}
    async with FakeUpstream([reply(200, ranked)]) as upstream, line(upstream) as client:
        answer = await client.rerank("q", ["a", "b"], "voyage/rerank-2", top_n=1, truncation=True)
    assert (answer.results[0].index, answer.usage.input) == (1, 26)
    assert upstream.served[0].json["top_k"] == 1
    assert upstream.served[0].json["truncation"] is True


async def test_a_ranking_moves_on():
    async with FakeUpstream(lambda asked: reply(429) if "rerank" in asked.json["model"] else reply(200, RANKED)) as up:
        async with line(up) as client:
            answer = await client.rerank("q", ["a"], "together/rerank", fallbacks=["voyage/other"])
    assert answer.target == "voyage/other"


async def test_who_has_no_rankings():
    async with FakeUpstream([reply(200, {})]) as upstream, line(upstream) as client:
        with pytest.raises(InvalidRequestError, match="openai has no rerank"):
            await client.rerank("q", ["a"], "openai/gpt-4o-mini")
    assert upstream.served == []


# --- judgements -------------------------------------------------------------------------------------------------------


async def test_a_judgement():
    async with FakeUpstream([reply(200, {"id": "m", "model": "omni", "results": [JUDGED]})]) as upstream:
        async with line(upstream) as client:
            judged = await client.moderate("I will find you")
    assert isinstance(judged, ModerationReply)
    assert judged.results[0].flagged
    assert judged.results[0].category_scores == {"violence": 0.9}
    assert upstream.served[0].path == "/v1/moderations"
    assert upstream.served[0].json == {"input": "I will find you", "model": "omni-moderation-latest"}


async def test_judgements_of_several_texts_and_of_pictures():
    async with FakeUpstream([reply(200, {"id": "m", "model": "omni", "results": [JUDGED, JUDGED]})]) as upstream:
        async with line(upstream) as client:
            picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
            assert len((await client.moderate(["a", "b"])).results) == 2
            await client.moderate([{"type": "text", "text": "a"}, picture])
    assert [one.json["input"] for one in upstream.served] == [["a", "b"], [{"type": "text", "text": "a"}, picture]]


async def test_a_setting_that_it_does_not_have():
    async with FakeUpstream([reply(200, {})]) as upstream, line(upstream) as client:
        with pytest.raises(TypeError, match=r"moderate\(\) got an unexpected argument 'top_n'"):
            await client.moderate("a", top_n=1)


# --- counts -----------------------------------------------------------------------------------------------------------


def counting(asked) -> Told:
    return reply(200, {"totalTokens": 7} if "countTokens" in asked.path else {"input_tokens": 9})


TOOL = Tool("clock", "Tells the time.")


@pytest.mark.parametrize(
    ("model", "path", "count"),
    [
        ("anthropic/claude-sonnet-4-5", "/v1/messages/count_tokens", 9),
        ("google/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:countTokens", 7),
        ("openai/gpt-4o-mini", "/v1/responses/input_tokens", 9),
    ],
)
async def test_a_providers_count(model, path, count):
    async with FakeUpstream(counting) as upstream, line(upstream) as client:
        counted = await client.count_tokens("Hi", model, system="Be brief.", tools=[TOOL], max_tokens=5, temperature=0)
    assert isinstance(counted, TokenCount)
    assert (counted.input_tokens, counted.estimated) == (count, False)
    assert upstream.served[0].path == path
    assert b"clock" in upstream.served[0].body
    assert b"Be brief." in upstream.served[0].body
    assert not {"max_tokens", "temperature", "stream"} & upstream.served[0].json.keys()


@pytest.mark.parametrize("model", [None, "local", "mock", "mock/echo", "together/llama"])
async def test_an_estimate_is_marked(model):
    async with FakeUpstream(counting) as upstream, line(upstream) as client:
        short = await client.count_tokens("Hi", model)
        talk = [said("system", "Be brief."), said("user", "What is the capital of France?")]
        longer = await client.count_tokens(talk, model, tools=[TOOL])
    assert (short.estimated, longer.estimated) == (True, True)
    assert 0 < short.input_tokens < longer.input_tokens < 60
    assert longer.target == {None: "local/smollm2-135m", "local": "local/smollm2-135m", "mock": "mock/mock"}.get(
        model, model
    )
    assert upstream.served == []


async def test_a_count_that_is_refused():
    async with FakeUpstream([reply(429, {"error": {"message": "slow down"}})]) as upstream, line(upstream) as client:
        with pytest.raises(RateLimitError, match="slow down"):
            await client.count_tokens("Hi", "anthropic/claude-sonnet-4-5")


# --- the other door ---------------------------------------------------------------------------------------------------


def test_the_synchronous_client_asks_the_same():
    answers = iter([RANKED, {"id": "m", "model": "omni", "results": [JUDGED]}, {"input_tokens": 9}, chat()])
    with FakeUpstream(lambda asked: reply(200, next(answers))) as upstream, line(upstream, Client) as client:
        assert client.rerank("q", ["a", "b"], "voyage/rerank-2").results[0].index == 1
        assert client.moderate("a").results[0].flagged
        assert client.count_tokens("Hi", "anthropic/claude-sonnet-4-5").input_tokens == 9
        assert client.complete("Hi", "openai/gpt-4o-mini").text == "Paris."
