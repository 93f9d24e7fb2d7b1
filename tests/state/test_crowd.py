"""A crowd: whole calls at the same moment, of whom as many are let through as the limit says."""

import asyncio

import pytest
from worlds import prefix

from trunkline import AsyncClient, LimitError, MockAnswer
from trunkline.clock import SystemClock
from trunkline.runtime import Runtime
from trunkline.state.memory import MemoryState
from trunkline.state.redis import RedisState

pytestmark = pytest.mark.anyio

CONFIG = {
    "targets": {name: {"model": f"mock/{name}", "rpm": 1000, "concurrency": 1000} for name in ("quick", "slow")},
    "payers": {"alice": {"rpm": 20}, "bob": {"concurrency": 5}},
}


@pytest.fixture(params=["memory", "redis"])
async def ask(request, server, anyio_backend):
    clock = SystemClock()
    kinds = {
        "memory": lambda: MemoryState(clock),
        "redis": lambda: RedisState(server.connection_url, clock, prefix=prefix(), timeout=5.0),
    }
    answers = {"quick": [MockAnswer(text="Well.")], "slow": [MockAnswer(text="Well.", delay=0.6)]}
    runtime = Runtime(clock=clock, state=kinds[request.param](), sinks=(), mock=answers)
    async with AsyncClient(CONFIG, env={}, runtime=runtime) as client:
        await client.complete("Hello", "quick")  # connects

        async def ask(payer, target, count):
            calls = [client.complete("Hello", target, payer=payer, retries=0) for _ in range(count)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            refused = [answer.code for answer in answers if isinstance(answer, LimitError)]
            return count - len(refused), set(refused)

        yield ask


async def test_as_many_as_the_limit_says_are_let_through(ask):
    assert await ask("alice", "quick", 300) == (20, {"rate_limit_exceeded"})
    assert await ask("alice", "quick", 10) == (0, {"rate_limit_exceeded"})


async def test_as_many_as_may_call_at_a_time_are_let_through(ask):
    assert await ask("bob", "slow", 100) == (5, {"concurrency_exceeded"})
