"""The pytest plugin: `pytest_plugins = ["trunkline.testing.plugin"]` in a conftest gives tests a `chaos_upstream`.

It serves on the loop of the synchronous clients, so tests with and without a loop may use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from .chaos import ChaosUpstream


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "chaos(*faults, **settings): what the `chaos_upstream` of this test gets wrong")


@pytest.fixture
def chaos_upstream(request: pytest.FixtureRequest) -> Iterator[ChaosUpstream]:
    """A chaos upstream of the test's own. `@pytest.mark.chaos("429", "ok")` gives it its faults, in order, and
    `@pytest.mark.chaos(mix={"cut": 0.1}, seed=7)` whatever else `ChaosUpstream` takes."""
    marker = request.node.get_closest_marker("chaos")
    faults, settings = (marker.args, marker.kwargs) if marker is not None else ((), cast("dict[str, Any]", {}))
    with ChaosUpstream(faults, **settings) as upstream:
        yield upstream
