"""Turns: nobody waits for a slot while there is somebody who could be asked, or a slot that is free."""

import asyncio

import pytest

from trunkline import AsyncClient
from trunkline.runtime import Runtime
from trunkline.testing import ChaosUpstream, FakeClock

pytestmark = pytest.mark.anyio


def configuration(url, **more):
    own = {"model": "openai/m", "base_url": url, "api_key": "sk-test", "concurrency": 1}
    routes = {"r": {"targets": ["one", "two"], "strategy": "ordered"}}
    return {"targets": {"one": own, "two": own}, "routes": routes, "retries": 2, **more}


async def test_who_failed_is_asked_again_where_the_other_is_busy():
    clock = FakeClock()
    async with ChaosUpstream(["stall", "reset", "ok"], clock=clock) as upstream:
        async with AsyncClient(configuration(upstream.url), env={}, runtime=Runtime(clock=clock)) as client:
            busy = asyncio.create_task(client.complete("Hi", "two"))
            while not upstream.served:
                await asyncio.sleep(0.001)
            async with asyncio.timeout(5):
                reply = await client.complete("Hi", "r")
            busy.cancel()
            await asyncio.wait([busy])
    assert [attempt.target for attempt in reply.route.attempts] == ["one", "one"]
    assert sum(attempt.waited for attempt in reply.route.attempts) == 0


async def test_slots_that_come_free_together_are_all_taken():
    """On this clock nobody looks for himself after a while: who is not called waits for ever."""
    clock = FakeClock()
    async with ChaosUpstream(clock=clock) as upstream:
        async with AsyncClient(configuration(upstream.url), env={}, runtime=Runtime(clock=clock)) as client:
            async with asyncio.timeout(5):
                calls = (client.complete("Hi", "r", priority=at % 3, payer=f"p{at % 5}") for at in range(40))
                await asyncio.gather(*calls)
    assert upstream.connections <= 3
