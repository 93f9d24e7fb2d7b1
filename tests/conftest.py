"""What every test may use."""

import pytest


@pytest.fixture
def anyio_backend():
    """Tests of coroutines run on asyncio, the loop we are made for."""
    return "asyncio"
