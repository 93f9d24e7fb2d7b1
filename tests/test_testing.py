"""What users test with does what its page says: the clock that a test turns, and the upstream that answers as told."""

import asyncio
import http.client
import socket
import threading
from contextlib import closing

import pytest

from trunkline import APIConnectionError, Client, ConfigurationError, MockAnswer
from trunkline.clock import SystemClock
from trunkline.runtime import Runtime
from trunkline.testing import FakeClock, FakeUpstream, Told, reply, stream

# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_sleeping_turns_the_hands_at_once():
    clock = FakeClock(wall=1000.0)
    began = clock.now()
    await clock.sleep(3600)
    await clock.sleep(0.5)
    assert clock.slept == [3600, 0.5]
    assert clock.now() - began == 3600.5
    assert clock.wall() == 4600.5


@pytest.mark.anyio
async def test_a_deadline_strikes_when_the_hands_pass_it():
    clock = FakeClock()
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() + 5):
            clock.advance(4)
            await asyncio.sleep(0)
            clock.advance(1)
            await asyncio.sleep(10)
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.anyio
async def test_sleeping_past_a_deadline_strikes_it():
    clock = FakeClock()
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() + 5):
            await clock.sleep(6)


@pytest.mark.anyio
@pytest.mark.parametrize("make", [FakeClock, SystemClock])
async def test_both_clocks_agree_about_deadlines(make):
    """What a test sees on the fake clock is what a program will see on the machine's."""
    clock = make()
    async with clock.deadline(None):
        await asyncio.sleep(0)
    async with clock.deadline(clock.now() + 100):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() - 1):  # passed already
            await asyncio.sleep(10)
    with pytest.raises(KeyError):
        async with clock.deadline(clock.now() + 100):
            raise KeyError
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() + 100):  # the inner one strikes, and only that one
            with pytest.raises(TimeoutError):
                async with clock.deadline(clock.now() - 1):
                    await asyncio.sleep(10)
            raise TimeoutError


@pytest.mark.anyio
@pytest.mark.parametrize("make", [FakeClock, SystemClock])
async def test_a_cancellation_from_elsewhere_is_no_timeout(make):
    clock = make()

    async def work():
        async with clock.deadline(clock.now() + 100):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
async def test_a_deadline_that_was_kept_does_not_strike_later():
    clock = FakeClock()
    async with clock.deadline(clock.now() + 5):
        await clock.sleep(1)
    clock.advance(100)
    await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_strike_at_the_last_step_does_not_leak():
    clock = FakeClock()
    async with clock.deadline(clock.now() + 5):
        clock.advance(5)  # nothing is awaited any more: done is done
    await asyncio.sleep(0.01)
    assert asyncio.current_task().cancelling() == 0


def test_the_hands_can_be_turned_in_another_thread():
    """A synchronous client works on a loop in another thread; the test turns the clock in this one."""
    clock = FakeClock()
    set_up = threading.Event()

    async def work():
        async with clock.deadline(clock.now() + 5):
            set_up.set()
            await asyncio.sleep(10)

    failed = []

    def run():
        try:
            asyncio.run(work())
        except TimeoutError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert set_up.wait(5)
    clock.advance(5)
    thread.join(5)
    assert not thread.is_alive()
    assert len(failed) == 1


# --- the upstream -----------------------------------------------------------------------------------------------------


def get(upstream, path="/", connection=None, body=None):
    """One request: status, headers, body."""
    if connection is None:
        with closing(connect(upstream)) as line:
            return get(upstream, path, line, body)
    connection.request("POST" if body else "GET", path, body)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def connect(upstream):
    return http.client.HTTPConnection(upstream.url.removeprefix("http://"), timeout=5)


def test_answers_come_in_order_and_the_last_one_again():
    with FakeUpstream([reply(200, "one"), reply(500, "two")]) as upstream:
        assert [get(upstream)[::2] for _ in range(3)] == [(200, b'"one"'), (500, b'"two"'), (500, b'"two"')]


def test_a_function_of_the_request_answers():
    with FakeUpstream(lambda asked: reply(201, {"path": asked.path, "said": asked.json})) as upstream:
        status, headers, body = get(upstream, "/a?b=1", body=b'{"c":2}')
    assert (status, body) == (201, b'{"path":"/a?b=1","said":{"c":2}}')
    assert headers["content-type"] == "application/json"


def test_it_keeps_what_it_was_asked():
    with FakeUpstream([reply()]) as upstream:
        line = connect(upstream)
        for at in range(2):
            get(upstream, f"/{at}", line, body=b"[1]")
        line.close()
        get(upstream)
    first = upstream.served[0]
    assert (first.method, first.path, first.body, first.json, first.gone) == ("POST", "/0", b"[1]", [1], False)
    assert first.headers["content-length"] == "3"
    assert (len(upstream.served), upstream.connections) == (3, 2)


def test_a_reply_says_headers_with_underscores_and_how_long_it_waits():
    assert reply(429, {"a": 1}, retry_after="3", delay=2.5) == Told(
        status=429,
        headers={"content-type": "application/json", "retry-after": "3"},
        pieces=(b'{"a":1}',),
        delay=2.5,
    )
    assert reply(200, b"as it is").pieces == (b"as it is",)


def test_a_stream_says_its_events_and_its_end():
    with FakeUpstream([stream({"a": 1}, b"raw"), stream({"a": 1}, done=False)]) as upstream:
        status, headers, body = get(upstream)
        assert (status, body) == (200, b'data: {"a":1}\n\ndata: raw\n\ndata: [DONE]\n\n')
        assert (headers["content-type"], headers["transfer-encoding"]) == ("text/event-stream", "chunked")
        assert get(upstream)[2] == b'data: {"a":1}\n\n'


def test_connections_break_as_told():
    broken = [Told(silent=True), Told(pieces=(b"half",), cut=True)]
    with FakeUpstream(broken) as upstream:
        with pytest.raises(http.client.RemoteDisconnected):
            get(upstream)
        with pytest.raises(http.client.IncompleteRead):
            get(upstream)


def test_it_waits_as_told_and_sees_who_leaves():
    with FakeUpstream([Told(pieces=(b"a", b"b"), hang=True)]) as upstream:
        line = connect(upstream)
        line.request("GET", "/")
        answer = line.getresponse()
        assert answer.read(2) == b"ab"
        assert not upstream.served[0].gone
        answer.close()
        line.close()
        until(lambda: upstream.served[0].gone)


def test_it_is_gone_afterwards():
    with FakeUpstream([reply()]) as upstream:
        url = upstream.url
    target = {"model": "openai/gpt-4o-mini", "base_url": url, "api_key": "sk-test"}
    with Client({"targets": {"t": target}, "retries": 0}, env={}) as client:
        with pytest.raises(APIConnectionError, match="cannot connect"):
            client.complete("Hi", "t")


@pytest.mark.anyio
async def test_on_a_loop_of_the_tests_own():
    async with FakeUpstream([reply(200, "hello")]) as upstream:
        assert (await asyncio.to_thread(get, upstream))[2] == b'"hello"'


def test_an_answer_may_go_on_for_ever():
    with FakeUpstream([Told(pieces=(b"a", b"b"), endless=True, gap=0.0001)]) as upstream:
        line = connect(upstream)
        line.request("GET", "/")
        answer = line.getresponse()
        assert answer.read(50) == b"a" + b"b" * 49
        answer.close()
        line.close()
        until(lambda: upstream.served[0].gone)
        asked = upstream.served[0]
        assert asked.came_at < asked.left_at < SystemClock.now()


@pytest.mark.anyio
async def test_an_answer_without_end_and_without_gaps_leaves_the_loop_to_others():
    async with FakeUpstream([Told(pieces=(b"a",), endless=True), reply()]) as upstream:
        host, port = upstream.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        turns = 0
        while not upstream.served or turns < 50:
            await asyncio.sleep(0)
            turns += 1
        assert sum(line._transport.get_write_buffer_size() for line in upstream._lines) == 0  # no more was said as yet
        writer.close()
        while not upstream.served[0].gone:
            await asyncio.sleep(0.001)


def test_a_connection_may_end_with_a_reset():
    script = [Told(silent=True, reset=True), Told(pieces=(b"half",), reset=True, gap=0.001)]
    with FakeUpstream(script) as upstream:
        with pytest.raises(ConnectionResetError):
            get(upstream)
        line = connect(upstream)
        line.request("GET", "/")
        answer = line.getresponse()
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer.read()
        answer.close()
        line.close()


@pytest.mark.parametrize(
    ("headers", "received"),
    [
        ({"content-length": "2"}, b"HTTP/1.1 200 Told\r\ncontent-length: 2\r\n\r\nabcd"),
        ({"connection": "close"}, b"HTTP/1.1 200 Told\r\nconnection: close\r\n\r\nabcd"),
        (
            {"transfer-encoding": "chunked"},
            b"HTTP/1.1 200 Told\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
        ),
        ({}, b"HTTP/1.1 200 Told\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("gap", [0.0, 0.001])
def test_how_a_body_is_framed_is_taken_at_the_heads_word(headers, received, gap):
    with FakeUpstream([Told(headers=headers, pieces=(b"ab", b"", b"cd"), gap=gap)]) as upstream:
        assert talk(upstream, b"GET / HTTP/1.1\r\n\r\n", len(received)) == received


def talk(upstream, said, most):
    """Bytes there, bytes back: `most` of them."""
    host, port = upstream.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=5)) as line:
        line.sendall(said)
        heard = b""
        while len(heard) < most and (piece := line.recv(65536)):
            heard += piece
        return heard


def test_requests_that_come_together_are_answered_in_order():
    asked = [b"POST /%d HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc" % at for at in range(3)]
    with FakeUpstream(lambda asked: reply(200, asked.path, delay=0.01 * (asked.path == "/0"))) as upstream:
        answers = [
            b'HTTP/1.1 200 Told\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n"/%d"' % at
            for at in range(3)
        ]
        assert talk(upstream, b"".join(asked), sum(map(len, answers))) == b"".join(answers)
    assert [asked.body for asked in upstream.served] == [b"abc"] * 3


def test_a_request_may_come_in_pieces():
    with FakeUpstream([reply(200, "ok")]) as upstream:
        host, port = upstream.url.removeprefix("http://").split(":")
        with closing(socket.create_connection((host, int(port)), timeout=5)) as line:
            for piece in (b"POST /a HT", b"TP/1.1\r\nContent-Length: 6\r\n\r", b"\nabc", b"def"):
                line.sendall(piece)
                threading.Event().wait(0.005)
            assert line.recv(65536).endswith(b'"ok"')
    assert upstream.served[0].body == b"abcdef"


def test_many_connections_at_once_are_all_taken():
    with FakeUpstream([reply(200, "ok")]) as upstream:
        lines = [connect(upstream) for _ in range(300)]
        for line in lines:
            line.connect()
        for line in lines:
            line.request("GET", "/")
        assert {line.getresponse().status for line in lines} == {200}
        for line in lines:
            line.close()
    assert upstream.connections == 300


def test_many_clients_at_once():
    with FakeUpstream(lambda asked: reply(200, asked.path)) as upstream:
        said = []
        threads = [
            threading.Thread(target=lambda at=at: said.append((at, get(upstream, f"/{at}")[2]))) for at in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert sorted(said) == [(at, f'"/{at}"'.encode()) for at in range(20)]


# --- the mock ---------------------------------------------------------------------------------------------------------


def test_the_scripts_belong_to_the_runtime():
    scripts = {"m": [MockAnswer(text="hello")]}
    assert Client({}, env={}, runtime=Runtime(mock=scripts)).complete("Hi", "mock/m").text == "hello"
    with pytest.raises(ConfigurationError, match="give it the scripts"):
        Client({}, env={}, mock=scripts, runtime=Runtime())


def test_a_mock_waits_on_the_clock():
    clock = FakeClock()
    scripts = {"slow": [MockAnswer(text="one two", delay=30, chunk_delay=5)]}
    client = Client({}, env={}, runtime=Runtime(clock=clock, mock=scripts))
    assert client.stream("Hi", "mock/slow").final().text == "one two"
    assert clock.slept[0] == 30
    assert set(clock.slept[1:]) == {5}


def until(condition, within: float = 5.0) -> None:
    """Wait for something on a socket to come true."""
    came = threading.Event()
    for _ in range(int(within / 0.005)):
        if condition():
            return
        came.wait(0.005)
    raise AssertionError("it did not come true in time")
