"""A machine without anybody's keys, and a line of the test's own."""

import os

import pytest

from trunkline import interfaces
from trunkline.interfaces import line
from trunkline.state.memory import MemoryState
from trunkline.testing import FakeClock

WORDS = ("LLM_", "LITELLM_", "OPENROUTER_", "PORTKEY_", "TRUNKLINE_", "AZURE_", "OPENAI_", "ANTHROPIC_", "WISEFLOW_")
OTHERS = ("PRIMARY_MODEL", "SECONDARY_MODEL", "SECONDARY_LLM_KEY", "PREFERRED_LLM_PROVIDER", "DEFAULT_LLM_PROVIDER")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """An empty folder to work in, and an environment that names nobody."""
    for name in list(os.environ):
        if name.startswith(WORDS) or name in OTHERS or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(line._line, "made", None)
    interfaces.reload()
    return monkeypatch


@pytest.fixture
async def closing():
    """For tests with a loop: its connections are closed before it ends."""
    yield
    if line._line.made is not None:
        await line._line.made.runtime.close()


@pytest.fixture
def clock(machine):
    """Nobody waits for a retry, or for a rest."""
    clock, runtime = FakeClock(), line.line().runtime
    machine.setattr(runtime, "clock", clock)
    machine.setattr(runtime, "state", MemoryState(clock))
    return clock
