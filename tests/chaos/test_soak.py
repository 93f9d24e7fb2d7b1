"""A short soak (`make soak` is a long one): what very many calls leave behind."""

import random

import pytest
from soak import Soak

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("width", [32, 8])
async def test_calls_with_random_faults_leave_nothing_behind(width):
    random.seed(width)
    world = Soak(seed=width)
    await world.run(1500, width)
    held = world.held()
    await world.client.close()
    assert held == []
    assert world.ends["finished"] > 1000
    assert {"cached", "cancelled", "CutOff"} <= {*world.ends}
    assert world.ends["hedged"] or width == 32
    assert not world.stalls
