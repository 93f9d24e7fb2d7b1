"""A share of all cuts (`make chaos` makes them all), and readers that are slow."""

import asyncio

import pytest
from cuts import STREAMS, all_of, cuts, plans

from trunkline import AsyncClient, CutOff
from trunkline.testing import ChaosUpstream

pytestmark = pytest.mark.anyio


async def test_streams_that_are_cut_anywhere():
    results = await all_of(await cuts(every=59))
    assert [f"{result.cut}: {'; '.join(result.problems)}" for result in results if result.problems] == []
    assert {(result.cut.way.name, result.cut.door, result.end) for result in results} >= {
        (way.name, door, end) for way in STREAMS for door in way.doors for end in ("moved", "broken")
    }


async def test_the_places_of_the_content_are_known():
    for whole in (await plans()).values():
        assert 0 < whole.contents[0] < whole.contents[1] < whole.contents[2] < whole.size
        assert [whole.complete(at) for at in (0, whole.contents[0] - 1, whole.contents[0], whole.size)] == [0, 0, 1, 3]


@pytest.mark.parametrize("fault", ["cut-after=3", "reset-after=3"])
async def test_a_reader_that_is_slow_loses_nothing_that_had_come(fault):
    """The connection breaks while what came before lies unread."""
    async with ChaosUpstream([fault], text="one two three", events=3, gap=0.01) as upstream:
        target = {"model": "openai/m", "base_url": upstream.url, "api_key": "sk-test"}
        async with AsyncClient({"targets": {"t": target}, "retries": 0}, env={}) as client:
            stream = client.stream("Hi", "t")
            with pytest.raises(CutOff) as broken:
                async for _ in stream:
                    await asyncio.sleep(0.04)
    assert broken.value.partial.text == "one two three"
