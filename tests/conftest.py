"""What every test may use."""

import os
import tempfile

import pytest


def pytest_configure(config):
    """A ledger that a test writes, or a process that it starts, is not that of the machine's user."""
    folder = tempfile.TemporaryDirectory(prefix="trunkline-tests-")
    os.environ["XDG_STATE_HOME"] = folder.name
    config.add_cleanup(folder.cleanup)


@pytest.fixture
def anyio_backend():
    """Tests of coroutines run on asyncio, the loop we are made for."""
    return "asyncio"
