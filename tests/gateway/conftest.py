"""A gateway on a real socket, in a thread with a loop of its own, in front of a loopback upstream."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from trunkline.compose import Engine
from trunkline.config import parse
from trunkline.gateway.app import App
from trunkline.runtime import Runtime
from trunkline.snapshot import Snapshot
from trunkline.testing import FakeUpstream

KEY = "sk-upstream-123456"


class Gateway:
    """A running gateway: its address, its upstream, and the records it wrote."""

    def __init__(self, url, upstream, records):
        self.url = url
        self.upstream = upstream
        self.records = records


@contextmanager
def running(script, config="{}"):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def over_there(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    upstream = over_there(FakeUpstream(script).__aenter__())
    moved = ("ANTHROPIC", "AZURE", "BEDROCK_ANTHROPIC", "GOOGLE", "OPENAI", "TOGETHER", "VOYAGE")
    env = {f"{stem}_BASE_URL": upstream.url for stem in moved}
    env |= {f"{stem}_API_KEY": KEY for stem in ("ANTHROPIC", "AZURE", "GEMINI", "OPENAI", "TOGETHER", "VOYAGE")}
    env |= {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "eu-west-1"}
    settings, mistakes = parse(config, "test.yaml", env)
    assert not mistakes
    records = []
    app = App(Engine(Snapshot(settings, env), Runtime(mock=settings.mock, sinks=[records.append])))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="on", log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    )
    server.install_signal_handlers = lambda: None
    serving = asyncio.run_coroutine_threadsafe(server._serve(), loop)
    while not server.started:
        threading.Event().wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Gateway(f"http://127.0.0.1:{port}", upstream, records)
    finally:
        server.should_exit = True
        serving.result(10)
        over_there(upstream.__aexit__(None, None, None))
        over_there(loop.shutdown_asyncgens())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def gateway_for():
    """`gateway_for(script)`: a gateway whose providers answer as scripted."""
    yield from _starter()


@pytest.fixture(scope="module")
def lasting_gateway_for():
    """The same, for gateways that all tests of a file share: starting and stopping one takes a fifth of a second."""
    yield from _starter()


def _starter():
    open_ones = []

    def start(script, config="{}"):
        context = running(script, config)
        open_ones.append(context)
        return context.__enter__()

    yield start
    for context in reversed(open_ones):
        context.__exit__(None, None, None)
