"""The synchronous client: in threads, in a running loop, after a fork, and at the interpreter's end."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from samples import chat, chunks
from trunkline import Client, CutOff, RateLimitError
from trunkline.testing import FakeUpstream, Told, reply, stream

KEY = "sk-test-1234567890"


@pytest.fixture
def upstream_for():
    """Starts an upstream on a loop of its own: `upstream_for(script)`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started = []

    def start(script):
        upstream = FakeUpstream(script)
        started.append(upstream)
        return asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(5)

    yield start
    for upstream in started:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def client(upstream) -> Client:
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": upstream.url}
    return Client({"model": "openai/gpt-4o-mini"}, env=env)


def test_complete_and_embed():
    with Client({"mock": {"greeter": [{"text": "hello"}]}}, env={}) as line:
        assert line.complete("Hi", "mock/greeter").text == "hello"
        assert len(line.embed(["a", "b"], "mock").vectors) == 2


def test_a_stream_inside_with(upstream_for):
    with client(upstream_for([stream(*chunks("Par", "is."))])) as line:
        with line.stream("Hi") as answer:
            words = list(answer.text)
        assert words == ["Par", "is."]
        assert answer.reply.usage.output == 5


def test_bare_iteration_gives_the_connection_back(upstream_for):
    upstream = upstream_for([stream(*chunks("a", "b"))])
    with client(upstream) as line:
        for _ in range(3):
            assert "".join(event.text for event in line.stream("Hi")) == "ab"
    assert upstream.connections == 1


def test_break_warns_and_tells_the_provider(upstream_for):
    upstream = upstream_for([stream(*chunks("a", "b"), done=False, hang=True)])

    def half(line):
        for event in line.stream("Hi"):
            if event.text == "a":
                break

    with client(upstream) as line:
        with pytest.warns(ResourceWarning, match="half read"):
            half(line)
            gc.collect()
        until(lambda: upstream.served[0].gone)


def test_closing_half_read_tells_the_provider(upstream_for):
    upstream = upstream_for([stream(*chunks("a", "b"), done=False, hang=True)])
    with client(upstream) as line:
        with line.stream("Hi") as answer:
            next(answer)
        until(lambda: upstream.served[0].gone)


def test_a_cut_stream_raises_after_what_came(upstream_for):
    pieces = stream(*chunks("Par"), done=False).pieces[:2]
    line = client(upstream_for([Told(pieces=pieces, cut=True)]))
    seen = []
    with pytest.raises(CutOff), line.stream("Hi") as answer:
        seen.extend(event.text for event in answer)
    assert answer.reply.text == "Par"


def test_a_slow_reader_gets_everything_and_memory_stays_bounded(upstream_for):
    words = [f"{at} " for at in range(2000)]
    line = client(upstream_for([stream(*chunks(*words))]))
    with line.stream("Hi") as answer:
        next(answer)
        time.sleep(0.3)
        assert answer._pump._queue.qsize() <= answer._pump.most + 1
        assert "".join(answer.text) == "".join(words)


def test_errors_arrive_as_they_are():
    line = Client({"mock": {"m": [{"status": 429, "text": "slow down"}]}}, env={})
    with pytest.raises(RateLimitError, match="slow down"):
        line.complete("Hi", "mock/m", retries=0)


def test_in_many_threads(upstream_for):
    line = client(upstream_for(lambda asked: reply(200, chat(asked.json["messages"][0]["content"]))))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda at: line.complete(f"q{at}").text, range(64)))
    assert answers == [f"q{at}" for at in range(64)]


def test_inside_a_running_loop():
    async def notebook() -> str:
        return Client({}, env={}).complete("say this", "mock/echo").text

    assert asyncio.run(notebook()) == "say this"


def run(code: str, upstream=None, timeout: float = 30) -> subprocess.CompletedProcess:
    """A program of its own, warnings as errors; fails if it does not end."""
    url = upstream.url if upstream else ""
    program = f"import trunkline, os\nURL = {url!r}\nKEY = {KEY!r}\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


LINE = """
line = trunkline.Client({"model": "openai/gpt-4o-mini"}, env={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": URL})
"""


def test_after_a_fork(upstream_for):
    upstream = upstream_for(lambda asked: reply(200, chat(asked.json["messages"][0]["content"])))
    done = run(
        LINE
        + """
assert line.complete("before").text == "before"
pid = os.fork()
if pid == 0:
    ok = line.complete("in the child").text == "in the child"
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
assert line.complete("after").text == "after"
print("child", os.waitstatus_to_exitcode(status))
""",
        upstream,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "child 0", "")


@pytest.mark.parametrize("run_number", range(int(os.environ.get("TRUNKLINE_SOAK", "2"))))
def test_the_interpreter_ends_quietly_with_a_stream_open(upstream_for, run_number):
    upstream = upstream_for([stream(*chunks("a", "b"), done=False, hang=True)])
    done = run(
        LINE
        + """
left_open = line.stream("Hi")
print(next(left_open).object)
""",
        upstream,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "chat.completion.chunk", "")


def test_the_interpreter_ends_quietly_in_the_middle_of_a_call(upstream_for):
    upstream = upstream_for([Told(delay=60, pieces=(b"{}",))])
    done = run(
        LINE
        + """
import threading, time
threading.Thread(target=lambda: line.complete("Hi"), daemon=True).start()
time.sleep(0.3)
""",
        upstream,
    )
    assert done.returncode == 0
    assert "Unclosed" not in done.stderr


def test_an_interrupt_ends_a_call_at_once(upstream_for):
    upstream = upstream_for([Told(delay=60, pieces=(b"{}",))])
    done = run(
        LINE
        + """
import signal, threading
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    line.complete("Hi")
except KeyboardInterrupt:
    print("interrupted")
""",
        upstream,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "interrupted", "")
    until(lambda: upstream.served[0].gone)


def until(condition, within: float = 2.0) -> None:
    """Wait for something on a socket to come true."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)
