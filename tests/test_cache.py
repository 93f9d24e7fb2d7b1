"""The cache: what is answered again, for whom, in which form; and what never is."""

import asyncio

import msgspec
import pytest

from samples import chat, chunks, message, message_events, vectors
from trunkline import AsyncClient, CutOff, LimitError, ResponseParseError, ServiceError
from trunkline.policies.cache import key_of
from trunkline.runtime import Runtime
from trunkline.state.caches import DiskCache, MemoryCache
from trunkline.testing import FakeClock, FakeUpstream, Told, reply, stream
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.rules import Rules
from trunkline.wire.registry import CHAT

pytestmark = pytest.mark.anyio

SSE = {"content-type": "text/event-stream"}
FORM = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def client(upstream, store=None, sinks=(), **config):
    clock = FakeClock()
    env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "ANTHROPIC_API_KEY": "k"}
    env["ANTHROPIC_BASE_URL"] = upstream.url
    runtime = Runtime(clock=clock, store=store, sinks=sinks)
    made = AsyncClient({"model": "openai/gpt-4o-mini", **config}, env=env, runtime=runtime)
    made.clock = clock
    return made


def events(*words):
    pieces = [
        f"event: {name}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode()
        for name, event in message_events(*words)
    ]
    return Told(headers=SSE, pieces=pieces)


async def test_the_same_question_is_answered_again_for_nothing():
    records = []
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        line._engine.runtime.sinks = (records.append,)
        first = await line.complete("Hello", cache=True)
        second = await line.complete("Hello", cache=True)
    assert len(upstream.served) == 1
    assert (first.text, second.text) == ("Paris.", "Paris.")
    assert (first.route.cached, second.route.cached) == (False, True)
    assert (second.cost, second.usage) == (0, first.usage)


async def test_nobody_is_answered_from_the_cache_who_did_not_ask_for_it():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        await line.complete("Hello", cache=True)
        await line.complete("Hello")
        await line.complete("Hello", cache=False)
    assert len(upstream.served) == 3


async def test_always_is_for_all_who_do_not_say():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream, cache={"always": True}) as line:
        await line.complete("Hello")
        await line.complete("Hello")
        await line.complete("Hello", cache=False)
    assert len(upstream.served) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"payer": "bob"},
        {"model": "openai/gpt-4o"},
        {"system": "Be brief."},
        {"extra_body": {"seed": 1}},
        {"fallbacks": ["anthropic/claude-sonnet-4-5"]},
        {"max_tokens": 5},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_what_differs_in_anything_is_another_question(other):
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        await line.complete("Hello", cache=True)
        await line.complete("Hello", cache=True, **other)
    assert len(upstream.served) == 2


@pytest.mark.parametrize(
    ("tags", "asked"),
    [(["job-7"], 1), (["eu"], 2), (["complexity:reasoning"], 2)],
    ids=["a note", "a target's", "a kind"],
)
async def test_tags_make_another_question_where_they_decide_who_is_asked(tags, asked):
    targets = {"eu": {"model": "openai/gpt-4o", "tags": ["eu"]}, "any": {"model": "openai/gpt-4o-mini"}}
    config = {"targets": targets, "routes": {"r": {"targets": ["eu", "any"]}}, "model": "r"}
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream, **config) as line:
        await line.complete("Hello", cache=True)
        await line.complete("Hello", cache=True, tags=tags)
    assert len(upstream.served) == asked


HELLO = {"role": "user", "content": "Hello"}
SAME_WORDS = {
    "openai_chat": {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, HELLO], "max_tokens": 9},
    "anthropic_messages": {"model": "m", "system": "Be brief.", "messages": [HELLO], "max_tokens": 9},
    "gemini": {
        "model": "m",
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    },
    "bedrock_converse": {
        "model": "m",
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 9},
    },
}


def key_in(dialect, **more):
    (spoken,) = (one for one in CHAT if one.name == dialect)
    request = spoken.request_from_wire({**SAME_WORDS[dialect], **more})
    asked = Target(name="t", provider="p", model="m", base_url="http://x")
    return key_of(Call(operation="chat", model="t", target=asked, rules=Rules(), request=request), "")


def test_one_question_is_the_same_in_every_dialect_that_adds_nothing_of_its_own():
    assert len({key_in(dialect) for dialect in SAME_WORDS}) == 1


@pytest.mark.parametrize("dialect", SAME_WORDS)
def test_what_only_a_dialect_has_makes_it_its_own_question(dialect):
    assert key_in(dialect, novelty={"x": 1}) not in {key_in(each) for each in SAME_WORDS}
    assert key_in(dialect, novelty={"x": 1}) != key_in(dialect, novelty={"x": 2})


def test_what_a_message_has_of_its_dialect_alone_counts_too():
    novel = {"messages": [{**HELLO, "novelty": 1}]}
    assert key_in("openai_chat", **novel) != key_in("anthropic_messages", system=None, **novel)
    part = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "novelty": 1}]}]}
    assert key_in("openai_chat", **part) != key_in("anthropic_messages", **part)


async def test_everyone_may_share_where_that_is_said():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream, cache={"scope": "everyone"}) as line:
        await line.complete("Hello", cache=True, payer="alice")
        await line.complete("Hello", cache=True, payer="bob")
    assert len(upstream.served) == 1


async def test_an_answer_grows_old():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream, cache={"seconds": 60}) as line:
        await line.complete("Hello", cache=True)
        line.clock.advance(61)
        await line.complete("Hello", cache=True)
    assert len(upstream.served) == 2


@pytest.mark.parametrize("first", ["whole", "streamed"])
@pytest.mark.parametrize("second", ["whole", "streamed"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_streams_and_whole_answers_stand_for_each_other(first, second, dialect):
    model = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-sonnet-4-5"}[dialect]

    def answer(asked):
        streamed = asked.json.get("stream")
        if dialect == "openai":
            return stream(*chunks("Pa", "ris.")) if streamed else reply(200, chat())
        return events("Pa", "ris.") if streamed else reply(200, message())

    async def ask(how):
        if how == "whole":
            return await line.complete("Hello", model, cache=True)
        async with line.stream("Hello", model, cache=True) as answered:
            return await answered.final()

    async with FakeUpstream(answer) as upstream, client(upstream) as line:
        one, two = await ask(first), await ask(second)
    assert len(upstream.served) == 1
    assert (two.text, two.usage, two.choices[0].finish) == (one.text, one.usage, one.choices[0].finish)
    assert two.route.cached


async def test_failures_are_never_kept():
    async with FakeUpstream([reply(500), reply(200, chat())]) as upstream, client(upstream) as line:
        with pytest.raises(ServiceError):
            await line.complete("Hello", cache=True, retries=0)
        assert (await line.complete("Hello", cache=True)).text == "Paris."
        assert (await line.complete("Hello", cache=True)).text == "Paris."
    assert len(upstream.served) == 2


async def test_a_stream_that_was_cut_or_left_is_never_kept():
    began = chunks("Pa")[:2]
    script = [stream(*began, done=False, cut=True), stream(*began, done=False, hang=True), stream(*chunks("Paris."))]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(CutOff):
            async with line.stream("Hello", cache=True) as answered:
                await answered.final()
        async with line.stream("Hello", cache=True) as answered:
            await anext(answered)
        async with line.stream("Hello", cache=True) as answered:
            assert (await answered.final()).text == "Paris."
    assert len(upstream.served) == 3


async def test_of_several_same_calls_at_a_time_one_is_made():
    async with FakeUpstream([reply(200, chat(), delay=0.05)]) as upstream, client(upstream) as line:
        replies = await asyncio.gather(*(line.complete("Hello", cache=True) for _ in range(10)))
    assert len(upstream.served) == 1
    assert {answered.text for answered in replies} == {"Paris."}


async def test_one_that_leaves_does_not_fail_those_who_wait():
    async with FakeUpstream([reply(200, chat(), delay=0.05)]) as upstream, client(upstream) as line:
        leader = asyncio.create_task(line.complete("Hello", cache=True))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(line.complete("Hello", cache=True)) for _ in range(3)]
        await asyncio.sleep(0)
        leader.cancel()
        assert [(await other).text for other in others] == ["Paris."] * 3
        with pytest.raises(asyncio.CancelledError):
            await leader
    assert len(upstream.served) == 2


async def test_those_who_wait_hear_the_error_too():
    async with FakeUpstream([reply(500, delay=0.05)]) as upstream, client(upstream) as line:
        calls = [line.complete("Hello", cache=True, retries=0) for _ in range(3)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert len(upstream.served) == 1
    assert all(isinstance(error, ServiceError) for error in errors)


async def test_a_stream_that_is_left_lets_the_next_of_those_who_wait_ask():
    began = stream(*chunks("Pa")[:2], done=False, hang=True)
    async with FakeUpstream([began, reply(200, chat())]) as upstream, client(upstream) as line:
        async with line.stream("Hello", cache=True) as answered:
            await anext(answered)
            others = [asyncio.create_task(line.complete("Hello", cache=True)) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert len(upstream.served) == 1
        assert [(await other).text for other in others] == ["Paris."] * 3
    assert len(upstream.served) == 2


async def test_nobody_waits_for_anothers_call_beyond_half_of_its_own_time():
    script = [stream(*chunks("Pa")[:2], done=False, hang=True), reply(200, chat())]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        async with line.stream("Hello", cache=True, timeout=600) as slow:
            await anext(slow)
            follower = asyncio.create_task(line.complete("Hello", cache=True, timeout=10))
            await asyncio.sleep(0.01)
            line.clock.advance(4.9)
            await asyncio.sleep(0.01)
            assert len(upstream.served) == 1
            line.clock.advance(0.1)
            assert (await follower).text == "Paris."
            assert (await line.complete("Hello", cache=True)).route.cached
    assert len(upstream.served) == 2


async def test_a_hit_touches_no_limit():
    config = {"payers": {"alice": {"rpm": 1, "concurrency": 1}}}
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream, **config) as line:
        alice = line.with_options(payer="alice")
        for _ in range(3):
            assert (await alice.complete("Hello", cache=True)).text == "Paris."
        with pytest.raises(LimitError):
            await alice.complete("Hello")
    assert len(upstream.served) == 1


async def test_one_of_those_who_wait_may_leave_alone():
    async with FakeUpstream([reply(200, chat(), delay=0.05)]) as upstream, client(upstream) as line:
        calls = [asyncio.create_task(line.complete("Hello", cache=True)) for _ in range(3)]
        await asyncio.sleep(0.02)
        calls[1].cancel()
        assert [(await calls[at]).text for at in (0, 2)] == ["Paris."] * 2
        with pytest.raises(asyncio.CancelledError):
            await calls[1]
    assert len(upstream.served) == 1


async def test_an_answer_that_has_not_the_form_asked_for_is_never_kept():
    script = [reply(200, chat("no JSON")), reply(200, chat('{"city": "Paris"}'))]
    ask = {"response_format": FORM, "cache": True}
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError):
            await line.complete("Hello", **ask)
        for _ in range(2):
            assert (await line.complete("Hello", **ask)).parsed == {"city": "Paris"}
    assert len(upstream.served) == 2


def called(**arguments):
    function = {"name": "answer", "arguments": msgspec.json.encode(arguments).decode()}
    return reply(200, chat(None, tool_calls=[{"id": "call_1", "type": "function", "function": function}]))


async def test_a_form_that_a_model_is_only_asked_for_is_kept_once_it_is_right():
    """Such a model answers by a tool, and is asked once more where it is wrong."""
    ask = {"model": "openai/gpt-3.5-turbo", "response_format": FORM, "cache": True}
    async with FakeUpstream([called(town="Paris"), called(city="Paris")]) as upstream, client(upstream) as line:
        answers = [await line.complete("Hello", **ask) for _ in range(2)]
    assert [answer.parsed for answer in answers] == [{"city": "Paris"}] * 2
    assert [answer.route.cached for answer in answers] == [False, True]
    assert len(upstream.served) == 2


async def test_a_form_that_stays_wrong_is_not_kept():
    ask = {"model": "openai/gpt-3.5-turbo", "response_format": FORM, "cache": True}
    script = [called(town="Paris"), called(town="Paris"), called(city="Paris")]
    async with FakeUpstream(script) as upstream, client(upstream) as line:
        with pytest.raises(ResponseParseError):
            await line.complete("Hello", **ask)
        assert (await line.complete("Hello", **ask)).parsed == {"city": "Paris"}
    assert len(upstream.served) == 3


async def test_a_stream_with_a_form_is_not_kept():
    told = stream(*chunks('{"city":', '"Paris"}'))
    async with FakeUpstream([told]) as upstream, client(upstream) as line:
        for _ in range(2):
            async with line.stream("Hello", response_format=FORM, cache=True) as answered:
                assert (await answered.final()).parsed == {"city": "Paris"}
    assert len(upstream.served) == 2


async def test_counts_of_tokens_are_not_kept():
    async with FakeUpstream([reply(200, {"input_tokens": 3})]) as upstream, client(upstream) as line:
        for _ in range(2):
            await line.count_tokens("Hello", "anthropic/claude-sonnet-4-5", cache=True)
    assert len(upstream.served) == 2


async def test_a_file_of_answers_survives_a_restart(tmp_path):
    path, clock = tmp_path / "answers.db", FakeClock()
    async with FakeUpstream([reply(200, chat())]) as upstream:
        for cached in (False, True):
            async with client(upstream, DiskCache(path, clock, 1_000_000)) as line:
                answered = await line.complete("Hello", cache=True)
            assert (answered.text, answered.route.cached) == ("Paris.", cached)
    assert len(upstream.served) == 1


async def test_of_a_number_of_answers_the_one_that_was_not_asked_for_the_longest_is_forgotten():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with client(upstream, MemoryCache(FakeClock(), 2**20, max_entries=2)) as line:
            for question in ("a", "b", "a", "c", "a", "b"):
                await line.complete(question, cache=True)
    assert [one.json["messages"][0]["content"] for one in upstream.served] == ["a", "b", "c", "b"]


async def test_embeddings_are_kept_too():
    async with FakeUpstream([reply(200, vectors([1.0, 0.0]))]) as upstream, client(upstream) as line:
        for _ in range(2):
            reply_ = await line.embed("Hello", "openai/text-embedding-3-small", cache=True)
    assert len(upstream.served) == 1
    assert reply_.vectors == ((1.0, 0.0),)


async def test_a_store_that_holds_nonsense_is_as_good_as_empty():
    async with FakeUpstream([reply(200, chat())]) as upstream, client(upstream) as line:
        await line.complete("Hello", cache=True)
        store = line._engine.runtime.store
        for key in list(store._entries):
            store.put(key, b"\xc1 nonsense", 60)
        assert (await line.complete("Hello", cache=True)).text == "Paris."
    assert len(upstream.served) == 2


# --- nearly the same --------------------------------------------------------------------------------------------------

MEANT = {
    "What is the capital of France?": [1.0, 0.0],
    "what's the capital of France": [0.99, 0.14],
    "Capital of France, please": [0.8, 0.6],
    "What is the capital of Spain?": [0.0, 1.0],
}
FIRST, NEAR, LESS_NEAR, OTHER = MEANT
SAME = {"model": "openai/gpt-4o-mini", "cache": True}


def thinker(asked):
    """Answers with how many chats it was asked before; its vectors are those of `MEANT`."""
    if asked.path.endswith("/embeddings"):
        return reply(200, vectors(*([10 * value for value in MEANT[text]] for text in asked.json["input"])))
    return reply(200, chat(asked.json["messages"][-1]["content"]))


def chats(upstream):
    return [asked for asked in upstream.served if not asked.path.endswith("/embeddings")]


def lenient(upstream, threshold=0.97, sinks=(), **cache):
    config = {"similar": threshold, **cache}
    return client(upstream, sinks=sinks, cache=config, embedding_model="openai/text-embedding-3-small")


async def test_a_near_question_has_the_same_answer():
    async with FakeUpstream(thinker) as upstream, lenient(upstream) as line:
        answers = [await line.complete(question, **SAME) for question in (FIRST, NEAR, LESS_NEAR, OTHER, NEAR)]
    assert [answer.text for answer in answers] == [FIRST, FIRST, LESS_NEAR, OTHER, FIRST]
    assert [answer.route.cached for answer in answers] == [False, True, False, False, True]
    assert answers[1].cost == 0


@pytest.mark.parametrize(("threshold", "cached"), [(0.79, True), (0.81, False)])
async def test_how_near_is_said(threshold, cached):
    async with FakeUpstream(thinker) as upstream, lenient(upstream, threshold) as line:
        await line.complete(FIRST, **SAME)
        assert (await line.complete(LESS_NEAR, **SAME)).route.cached == cached


@pytest.mark.parametrize("asked", [(FIRST, LESS_NEAR), (LESS_NEAR, FIRST)])
async def test_of_several_that_are_near_the_nearest_is_told_while_it_is_kept(asked):
    async with FakeUpstream(thinker) as upstream, lenient(upstream, 0.85) as line:
        keys = {}
        for question in asked:
            await line.complete(question, **SAME)
            keys[question] = list(line._engine.runtime.store._entries)[-1]
        assert (await line.complete(NEAR, **SAME)).text == FIRST
        line._engine.runtime.store.put(keys[FIRST], b"", 0)
        assert (await line.complete(NEAR, **SAME)).text == LESS_NEAR
    assert len(chats(upstream)) == 2


async def test_without_being_asked_nothing_is_near_and_no_vectors_are_made():
    async with FakeUpstream(thinker) as upstream, client(upstream) as line:
        await line.complete(FIRST, **SAME)
        await line.complete(NEAR, **SAME)
    assert len(upstream.served) == len(chats(upstream)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"payer": "bob"},
        {"system": "Be brief."},
        {"model": "openai/gpt-4o"},
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"before": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]},
        {"fallbacks": ["anthropic/claude-sonnet-4-5"]},
        {"extra_body": {"seed": 1}},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_near_is_nothing_where_anything_else_differs(other):
    before = other.pop("before", [])
    async with FakeUpstream(thinker) as upstream, lenient(upstream) as line:
        await line.complete(FIRST, **SAME)
        again = await line.complete([*before, {"role": "user", "content": NEAR}], **{**SAME, **other})
    assert (again.text, again.route.cached) == (NEAR, False)
    assert len(chats(upstream)) == 2


async def test_the_second_question_of_one_conversation_may_be_near():
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    async with FakeUpstream(thinker) as upstream, lenient(upstream) as line:
        await line.complete([*before, {"role": "user", "content": FIRST}], **SAME)
        again = await line.complete([*before, {"role": "user", "content": NEAR}], **SAME)
    assert again.route.cached


async def test_what_is_near_grows_old_too():
    async with FakeUpstream(thinker) as upstream, lenient(upstream, seconds=60) as line:
        await line.complete(FIRST, **SAME)
        line.clock.advance(61)
        assert not (await line.complete(NEAR, **SAME)).route.cached


async def test_without_vectors_nothing_is_near_and_no_call_fails():
    def dumb(asked):
        return reply(500) if asked.path.endswith("/embeddings") else thinker(asked)

    async with FakeUpstream(dumb) as upstream, lenient(upstream) as line:
        assert (await line.complete(FIRST, **SAME)).text == FIRST
        assert (await line.complete(NEAR, **SAME)).text == NEAR
        assert (await line.complete(FIRST, **SAME)).route.cached


async def test_vectors_that_do_not_come_are_not_waited_for_long():
    def slow(asked):
        return Told(hang=True) if asked.path.endswith("/embeddings") else thinker(asked)

    async with FakeUpstream(slow) as upstream, lenient(upstream) as line:
        call = asyncio.create_task(line.complete(FIRST, **SAME))
        while not upstream.served:
            await asyncio.sleep(0.001)
        line.clock.advance(5)
        assert (await call).text == FIRST


async def test_a_question_whose_answer_failed_is_near_to_nothing():
    failed = iter([True, False])

    def shy(asked):
        if asked.path.endswith("/embeddings") or not next(failed):
            return thinker(asked)
        return reply(500)

    async with FakeUpstream(shy) as upstream, lenient(upstream) as line:
        with pytest.raises(ServiceError):
            await line.complete(FIRST, retries=0, **SAME)
        assert (await line.complete(NEAR, **SAME)).text == NEAR
        assert (await line.complete(FIRST, **SAME)).text == NEAR


async def test_the_vector_of_a_question_is_a_call_of_its_own_that_the_same_payer_pays():
    records = []
    async with FakeUpstream(thinker) as upstream, lenient(upstream, sinks=[records.append]) as line:
        await line.complete(FIRST, payer="alice", **SAME)
    assert [(record.operation, record.payer) for record in records] == [("embeddings", "alice"), ("chat", "alice")]
    assert all(record.usage is not None for record in records)
