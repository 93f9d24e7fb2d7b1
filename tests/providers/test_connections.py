"""Connections of a target's own: who shares them, how many there are, and that each is given back exactly once."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from trunkline.providers.http import pool
from trunkline.providers.http.transport import HttpTransport
from trunkline.testing import FakeUpstream, Told, reply
from trunkline.vocabulary.errors import APIConnectionError, CutOff
from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.routes import Connections

pytestmark = pytest.mark.anyio


WHOLE = reply(200, {"a": 1})
SLOW = Told(pieces=(b"a", b"b"), gap=0.01)
BROKEN = Told(pieces=(b"a", b"b"), gap=0.01, cut=True)
HANGING = Told(pieces=(b"a",), hang=True)


class Server:
    """Answers while it is open, and counts: the connections, the most requests at a time, and which came over
    which connection. It does not heed `connection: close`: who wants a connection closed has to close it."""

    def __init__(self):
        self.lines = []
        """The connections that stand."""
        self.opened = self.peak_busy = 0
        self.over = []
        """For each request, the number of its connection."""
        self.closing = []
        """For each request, whether it said that its connection will not be used again."""
        self.answers = True

    @property
    def busy(self):
        """Requests that wait for their answer."""
        return sum(line.asked for line in self.lines)

    def hold(self):
        self.answers = False

    def answer(self):
        self.answers = True
        for line in self.lines:
            line.answer()


class Line(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, server):
        self.server = server
        self.heard = b""
        self.asked = False

    def connection_made(self, transport):
        self.transport = transport
        server = self.server
        server.lines.append(self)
        server.opened += 1
        self.number = server.opened

    def data_received(self, data):
        self.heard += data
        if self.heard.endswith(b"\r\n\r\n{}"):
            server = self.server
            server.over.append(self.number)
            server.closing.append(b"connection: close" in self.heard.lower())
            self.asked = True
            server.peak_busy = max(server.peak_busy, server.busy)
            if server.answers:
                self.answer()

    def answer(self):
        if self.asked:
            self.asked, self.heard = False, b""
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def connection_lost(self, _):
        self.server.lines.remove(self)


@asynccontextmanager
async def running():
    """A server, a transport, and its address."""
    server, transport = Server(), HttpTransport()
    listening = await asyncio.get_running_loop().create_server(lambda: Line(server), "127.0.0.1", 0)
    try:
        yield server, transport, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        await transport.close()
        listening.close()
        await until(lambda: not server.lines)


async def until(true):
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


def own(owner="a", **limits):
    return Connections(owner, **limits)


async def ask(transport, url, connections=None, **more):
    receiving = await transport.send(Sending("POST", url, {}, b"{}", connections=connections, **more))
    return await receiving.read()


async def ask_at_once(transport, url, connections, count):
    return await asyncio.gather(*(ask(transport, url, connections) for _ in range(count)))


# --- who shares, and what is kept -------------------------------------------------------------------------------------


async def test_calls_one_after_another_use_one_connection():
    async with running() as (server, transport, url):
        for _ in range(5):
            assert await ask(transport, url, own()) == b"{}"
    assert server.over == [1] * 5
    assert server.closing == [False] * 5


async def test_two_owners_share_nothing_and_nothing_with_everyone_else():
    async with running() as (server, transport, url):
        for connections in (own("a"), own("b"), None, own("b"), None, own("a")):
            await ask(transport, url, connections)
    assert server.over == [1, 2, 3, 2, 3, 1]


async def test_none_kept_is_a_connection_for_each_call():
    async with running() as (server, transport, url):
        for _ in range(3):
            await ask(transport, url, own(kept=0))
            await until(lambda: not server.lines)
    assert server.over == [1, 2, 3]
    assert server.closing == [True] * 3


async def test_no_more_are_kept_than_allowed():
    async with running() as (server, transport, url):
        await ask_at_once(transport, url, own(kept=2), 6)
        await until(lambda: len(server.lines) == 2)
        assert sorted(server.closing) == [False, False, True, True, True, True]
        kept = {number for number, closes in zip(server.over, server.closing, strict=True) if not closes}
        await ask_at_once(transport, url, own(kept=2), 2)
        assert set(server.over[6:]) == kept
    assert server.opened == 6


async def test_an_idle_connection_is_used_while_others_that_will_close_are_under_way():
    async with running() as (server, transport, url):
        kept = own(kept=1)
        server.hold()
        first, second = [asyncio.create_task(ask(transport, url, kept)) for _ in range(2)]
        await until(lambda: server.busy == 2)
        server.answer()
        await asyncio.gather(first, second)
        await ask_at_once(transport, url, kept, 1)
    assert server.opened == 2
    assert server.closing == [False, True, False]


async def test_a_request_that_wants_its_connection_closed_has_it_closed():
    async with running() as (server, transport, url):
        await ask(transport, url, own(), keep_alive=False)
        await until(lambda: not server.lines)
    assert server.closing == [True]


# --- how many there are -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [None, 3, 1, 0])
async def test_there_are_never_more_than_allowed(kept):
    async with running() as (server, transport, url):
        server.hold()
        asking = asyncio.create_task(ask_at_once(transport, url, own(most=3, kept=kept), 9))
        for _ in range(3):
            await until(lambda: server.busy == 3)
            await asyncio.sleep(0.01)
            server.answer()
            server.hold()
        assert await asking == [b"{}"] * 9
    assert server.peak_busy == 3
    if kept in (None, 3):  # who has waited takes over what is free
        assert server.opened == 3


async def test_a_waiting_request_that_is_cancelled_frees_nothing():
    async with running() as (server, transport, url):
        server.hold()
        one = own(most=1)
        first, second, third = [asyncio.create_task(ask(transport, url, one)) for _ in range(3)]
        await until(lambda: server.busy == 1)
        second.cancel()
        await asyncio.wait([second])
        fourth = asyncio.create_task(ask(transport, url, one))
        await asyncio.sleep(0.02)
        assert len(server.over) == 1
        server.answer()
        assert await asyncio.gather(first, third, fourth) == [b"{}"] * 3
    assert (server.peak_busy, server.opened) == (1, 1)


async def test_one_that_is_cancelled_when_its_turn_comes_passes_it_on():
    transport, one = HttpTransport(), own(most=1)
    async with FakeUpstream([HANGING, reply()]) as upstream:
        first = await transport.send(Sending("POST", upstream.url, {}, b"{}", connections=one))
        second, third = [asyncio.create_task(ask(transport, upstream.url, one)) for _ in range(2)]
        await asyncio.sleep(0.01)
        first.release()
        second.cancel()  # before it has noticed
        async with asyncio.timeout(1):
            assert await third == b"{}"
        await transport.close()
    assert len(upstream.served) == 2


async def test_waiting_ends_with_the_deadline():
    async with running() as (server, transport, url):
        server.hold()
        first = asyncio.create_task(ask(transport, url, own(most=1)))
        await until(lambda: server.busy == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ask(transport, url, own(most=1))
        server.answer()
        assert await first == b"{}"


# --- a connection is given back once, however its answer ends ---------------------------------------------------------


async def read(receiving):
    await receiving.read()


async def read_on(receiving):
    while await receiving.more() is not None:
        pass


async def release(receiving):
    receiving.release()


async def release_twice(receiving):
    receiving.release()
    receiving.release()


async def read_and_release(receiving):
    await receiving.read()
    receiving.release()


async def leave_halfway(receiving):
    await receiving.more()
    receiving.release()


async def find_it_broken(receiving):
    with pytest.raises(CutOff):
        await receiving.read()
    receiving.release()


async def find_its_stream_broken(receiving):
    with pytest.raises(CutOff):
        await read_on(receiving)
    receiving.release()


async def stop_reading(receiving):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await receiving.read()
    receiving.release()


async def forget(receiving):
    del receiving


ENDS = [
    *((told, end) for told in (WHOLE, SLOW) for end in (read, read_on, release, release_twice, read_and_release)),
    *((told, leave_halfway) for told in (SLOW, HANGING)),
    (SLOW, forget),
    (BROKEN, find_it_broken),
    (BROKEN, find_its_stream_broken),
    (HANGING, stop_reading),
]


@pytest.mark.parametrize("kept", [None, 0])
@pytest.mark.parametrize(("told", "end"), ENDS)
async def test_a_connection_is_given_back_once(told, end, kept):
    async with FakeUpstream([told]) as upstream:
        await given_back_once(lambda transport, two: end_of(upstream, transport, two, end), own(most=2, kept=kept))


async def end_of(upstream, transport, connections, end):
    await end(await transport.send(Sending("POST", upstream.url, {}, b"{}", connections=connections)))


async def refused(transport, one):
    with pytest.raises(APIConnectionError):
        await ask(transport, "http://127.0.0.1:1", one)


async def hung_up(transport, one):
    async with FakeUpstream([Told(silent=True)]) as upstream:
        with pytest.raises(APIConnectionError):
            await ask(transport, upstream.url, one)


async def cancelled(transport, one):
    async with FakeUpstream([Told(delay=60)]) as upstream:
        asking = asyncio.create_task(ask(transport, upstream.url, one))
        await until(lambda: upstream.served)
        asking.cancel()
        await asyncio.wait([asking])


@pytest.mark.parametrize("fail", [refused, hung_up, cancelled])
async def test_one_whose_answer_never_came_is_given_back_once(fail):
    await given_back_once(fail, own(most=2))


async def given_back_once(act, two):
    """After the act there are two again: not one less, and not one more."""
    async with running() as (server, transport, url):
        await act(transport, two)
        server.hold()
        asking = [asyncio.create_task(ask(transport, url, two)) for _ in range(4)]
        await until(lambda: server.busy == 2)
        await asyncio.sleep(0.01)
        server.answer()
        async with asyncio.timeout(5):
            await asyncio.gather(*asking)
    assert server.peak_busy == 2


# --- what else can happen to them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [None, own()], ids=["shared", "own"])
async def test_a_kept_connection_that_the_server_has_closed_is_replaced(connections, monkeypatch):
    monkeypatch.setattr(pool, "IDLE_SECONDS", 1e-9)
    transport = HttpTransport()
    async with FakeUpstream([reply(), Told(silent=True), reply()]) as upstream:
        await ask(transport, upstream.url, connections)
        assert await ask(transport, upstream.url, connections) == b"{}"
        await transport.close()
    assert (len(upstream.served), upstream.connections) == (3, 2)


@pytest.mark.parametrize("connections", [own("b"), own("a", kept=0)], ids=["another's", "not kept"])
async def test_a_new_connection_that_the_server_closes_is_no_kept_one(connections, monkeypatch):
    monkeypatch.setattr(pool, "IDLE_SECONDS", 1e-9)
    transport = HttpTransport()
    async with FakeUpstream([reply(), reply(), Told(silent=True)]) as upstream:
        await ask(transport, upstream.url, own("a"))
        await ask(transport, upstream.url, own("a", kept=0))
        with pytest.raises(APIConnectionError, match="without an answer"):
            await ask(transport, upstream.url, connections)
        await transport.close()
    assert len(upstream.served) == 3


async def test_they_close_with_the_pool_and_who_waits_is_told():
    async with running() as (server, transport, url):
        server.hold()
        first, second = [asyncio.create_task(ask(transport, url, own(most=1))) for _ in range(2)]
        await until(lambda: server.busy == 1)
        await transport.close()
        for asking in (first, second):
            with pytest.raises(APIConnectionError):
                await asking
        assert second.exception().sent is False
        server.answer()
        assert await ask(transport, url, own(most=1)) == b"{}"


async def test_those_whose_waiting_requests_left_are_idle(monkeypatch):
    monkeypatch.setattr(pool, "MOST_OWNERS", 1)
    async with running() as (server, transport, url):
        server.hold()
        asking = [asyncio.create_task(ask(transport, url, own("left", most=1))) for _ in range(2)]
        await until(lambda: server.busy == 1)
        for one in reversed(asking):
            one.cancel()
        await asyncio.wait(asking)
        server.answer()
        await ask(transport, url, own("left", most=1))
        await ask(transport, url, own("new"))
        await until(lambda: len(server.lines) == 1)
    assert server.over == [1, 2, 3]


async def test_those_of_the_idle_are_closed_when_there_are_too_many_owners(monkeypatch):
    monkeypatch.setattr(pool, "MOST_OWNERS", 2)
    async with running() as (server, transport, url):
        server.hold()
        busy = asyncio.create_task(ask(transport, url, own("busy")))
        await until(lambda: server.busy == 1)
        server.answer()
        await ask(transport, url, own("idle"))
        await busy
        server.hold()
        busy = asyncio.create_task(ask(transport, url, own("busy")))
        await until(lambda: server.busy == 1)
        new = asyncio.create_task(ask(transport, url, own("new")))
        await until(lambda: server.busy == 2)
        assert len(server.lines) == 2
        server.answer()
        assert await asyncio.gather(busy, new) == [b"{}"] * 2
    assert server.over == [1, 2, 1, 3]
