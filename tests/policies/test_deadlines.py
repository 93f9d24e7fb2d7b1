"""Deadlines, each with its own words; and a caller who leaves: over real sockets on the loopback."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from samples import chat, chunks
from trunkline import APITimeoutError, AsyncClient
from trunkline.runtime import Runtime
from trunkline.testing import FakeClock, FakeUpstream, Told, reply, stream

pytestmark = pytest.mark.anyio

SILENT = Told(hang=True, headers={"content-type": "text/event-stream"})
BEGUN = stream(*chunks("Pa")[:2], done=False, hang=True)


def client(url, clock=None, **config):
    env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url}
    return AsyncClient(
        {"model": "openai/gpt-4o-mini", "retries": 0, **config}, env=env, runtime=Runtime(clock=clock, sinks=())
    )


async def read(line):
    async with line.stream("Hello") as answered:
        return await answered.final()


async def ask(line):
    return await line.complete("Hello")


async def until(true):
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


# --- deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "how", "limits", "passes", "code", "words"),
    [
        (SILENT, ask, {"timeout": 5}, 5, "total_timeout", "no answer within 5 seconds"),
        (SILENT, read, {"timeout": 5}, 5, "total_timeout", "no answer within 5 seconds"),
        (BEGUN, read, {"timeout": 5}, 5, "total_timeout", "the stream was not complete before the call's deadline"),
        (SILENT, ask, {"timeouts": {"first_content": 3}}, 3, "first_content_timeout", "no answer within 3 seconds"),
        (SILENT, read, {"timeouts": {"first_content": 3}}, 3, "first_content_timeout", "no content within 3 seconds"),
        (BEGUN, read, {"timeouts": {"idle": 7}}, 7, "idle_timeout", "the stream was silent for 7 seconds"),
        (BEGUN, read, {"timeouts": {"throughput": 50}}, 10, "slow_stream", "below the 50 that it must"),
    ],
    ids=["whole", "before content", "in a stream", "first answer", "first content", "idle", "throughput"],
)
async def test_each_deadline_has_its_own_words(told, how, limits, passes, code, words):
    clock = FakeClock()
    async with FakeUpstream([told]) as upstream, client(upstream.url, clock, **limits) as line:
        asked = asyncio.create_task(how(line))
        await until(lambda: upstream.served)
        await asyncio.sleep(0.02)  # what was sent has arrived
        clock.advance(passes - 0.1)
        await asyncio.sleep(0.01)
        assert not asked.done()
        clock.advance(0.1)
        with pytest.raises(APITimeoutError, match=words) as caught:
            await asked
        await until(lambda: upstream.served[0].gone)
    assert caught.value.code == code


@asynccontextmanager
async def full_house():
    """A server that lets nobody in: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        guests = [socket.socket() for _ in range(4)]
        try:
            for guest in guests:
                guest.setblocking(False)
                guest.connect_ex(server.getsockname())
            await asyncio.sleep(0.01)
            yield url
        finally:
            for guest in guests:
                guest.close()


async def test_connecting_has_a_deadline_of_its_own():
    async with full_house() as url, client(url, timeouts={"connect": 0.1}) as line:
        with pytest.raises(APITimeoutError, match=r"no connection to 127\.0\.0\.1"):
            await ask(line)


async def test_what_is_quick_enough_meets_no_deadline():
    limits = {"first_content": 5, "idle": 5, "throughput": 1, "connect": 5}
    told = stream(*chunks("Pa", "ris."), gap=0.001)
    async with FakeUpstream([told]) as upstream, client(upstream.url, timeouts=limits, timeout=5) as line:
        assert (await read(line)).text == "Paris."


async def test_a_first_target_that_says_nothing_leaves_time_for_the_next():
    clock = FakeClock()
    async with FakeUpstream([SILENT, reply(200, chat())]) as upstream:
        line = client(upstream.url, clock, timeouts={"first_content": 3}, timeout=10)
        async with line:
            asked = asyncio.create_task(line.complete("Hello", fallbacks=["openai/gpt-4o"]))
            await until(lambda: upstream.served)
            await asyncio.sleep(0.01)
            clock.advance(3)
            answered = await asked
    assert [one.error for one in answered.route.attempts] == ["TimeoutError", None]


# --- a caller who leaves ----------------------------------------------------------------------------------------------

NARROW = {
    "targets": {"one": {"model": "openai/gpt-4o-mini", "concurrency": 1, "rpm": 100, "tpm": 100_000}},
    "payers": {"*": {"concurrency": 1, "budget": {"usd": 1}}},
    "model": "one",
}


async def hear(line):
    """Read a stream up to its first content, and then wait for more."""
    async with line.stream("Hello") as answered:
        async for _ in answered:
            pass


@pytest.mark.parametrize(
    ("told", "how"), [(SILENT, ask), (SILENT, hear), (BEGUN, hear)], ids=["whole", "before content", "in a stream"]
)
@pytest.mark.parametrize("hedged", [False, True])
async def test_leaving_reaches_the_providers_socket_at_once_and_releases_everything(told, how, hedged):
    hedge = {"hedge": {"after": 0.02}} if hedged else {}
    async with FakeUpstream([told, told, reply(200, chat())]) as upstream:
        async with client(upstream.url, **{**NARROW, **hedge}) as line:
            leaving = asyncio.create_task(how(line))
            await until(lambda: upstream.served)
            await asyncio.sleep(0.05)
            left_at = upstream.clock.now()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert upstream.clock.now() - left_at < 0.1
            await until(lambda: upstream.served[0].gone)
            assert upstream.served[0].left_at - left_at < 0.1
            assert [figures.in_flight for figures in map(line._engine.runtime.board.__getitem__, ["one"])] == [0]
            counters = line._engine.runtime.state._counters
            slots = [counter for key, counter in counters.items() if ":slots:" in key]
            assert len(slots) == 2
            assert [slot.held for slot in slots] == [0, 0]
            assert not line._engine.runtime.state._open
            (purse,) = (counter for key, counter in counters.items() if ":money:" in key)
            assert purse.held == 0
            assert 0 < purse.spent < 1_000_000  # the prompt was sent: its tokens are charged, by estimate


async def test_leaving_the_line_asks_nobody():
    async with FakeUpstream([SILENT]) as upstream, client(upstream.url, **{**NARROW, "payers": {}}) as line:
        first = asyncio.create_task(ask(line))
        await until(lambda: upstream.served)
        second = asyncio.create_task(ask(line))
        await asyncio.sleep(0.02)
        for call in (second, first):
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert len(upstream.served) == 1
        assert not line._engine.runtime.lines.waiting
        assert not line._engine.runtime.state._open


@pytest.mark.parametrize("how", [ask, read], ids=["whole", "streamed"])
async def test_the_loser_of_a_race_is_cut_off_at_once_and_paid_for(how):
    def answer(asked):
        if asked.json["model"] == "gpt-4o":
            return SILENT
        return stream(*chunks("Pa", "ris.")) if asked.json.get("stream") else reply(200, chat())

    config = {
        "routes": {"r": {"targets": ["openai/gpt-4o", "openai/gpt-4o-mini"], "strategy": "ordered"}},
        "hedge": {"after": 0.05},
        "model": "r",
    }
    async with FakeUpstream(answer) as upstream, client(upstream.url, **config) as line:
        answered = await how(line)
        await until(lambda: upstream.served[0].gone)
        assert answered.text == "Paris."
        assert answered.target == "openai/gpt-4o-mini"
        lost, won = answered.route.attempts
        assert (lost.outcome, lost.hedge, lost.usage.estimated) == ("cancelled", False, True)
        assert (won.outcome, won.hedge) == ("finished", True)
        assert answered.route.cost == lost.cost + won.cost > won.cost
        assert [line._engine.runtime.board[name].in_flight for name in config["routes"]["r"]["targets"]] == [0, 0]
