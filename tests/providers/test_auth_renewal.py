"""Renewal: one at a time, in time, for every loop, and nobody's leaving stops it for the others."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from trunkline.providers.auth.renewal import AHEAD, PAUSE, Fresh, Renewed, harmless
from trunkline.testing import FakeClock
from trunkline.vocabulary.errors import APIConnectionError, AuthenticationError
from trunkline.vocabulary.secret import Secret

HOUR = 3600.0


class Issuer:
    """Gives `key-1`, `key-2`, …, each good for `life` seconds; when told to, not before `go` is set."""

    def __init__(self, clock, life=HOUR):
        self.clock = clock
        self.life = life
        self.count = 0
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.asked = threading.Semaphore(0)

    def fetch(self):
        self.count += 1
        count = self.count
        self.asked.release()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        return Fresh(Secret(f"key-{count}"), self.clock.wall() + self.life)

    def credential(self):
        return Renewed(self.fetch, Secret("[key]"), self.clock.wall)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def issuer(clock):
    return Issuer(clock)


async def key_of(credential):
    current = credential.current()
    return (current if isinstance(current, Secret) else await current).reveal()


async def renewed(credential):
    """The key once the renewal under way has ended."""
    for under_way in list(credential._under_way.values()):
        await asyncio.wait([asyncio.wrap_future(under_way)])
    return await key_of(credential)


@pytest.mark.anyio
async def test_the_key_in_hand_is_there_at_once(issuer):
    credential = issuer.credential()
    assert await key_of(credential) == "key-1"
    current = credential.current()
    assert isinstance(current, Secret)
    assert current.reveal() == "key-1"
    assert issuer.count == 1


@pytest.mark.anyio
async def test_many_who_need_it_cause_one_renewal(issuer):
    issuer.go.clear()
    credential = issuer.credential()
    waiting = [asyncio.ensure_future(key_of(credential)) for _ in range(50)]
    await asyncio.to_thread(issuer.asked.acquire)
    issuer.go.set()
    assert set(await asyncio.gather(*waiting)) == {"key-1"}
    assert issuer.count == 1


def test_many_loops_and_threads_share_one_renewal(issuer):
    issuer.go.clear()
    credential, keys = issuer.credential(), []
    start = threading.Barrier(5)

    def program():
        start.wait(10)
        keys.append(asyncio.run(key_of(credential)))

    threads = [threading.Thread(target=program) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait(10)
    assert issuer.asked.acquire(timeout=10)
    issuer.go.set()
    for thread in threads:
        thread.join(10)
    assert keys == ["key-1"] * 4
    assert issuer.count == 1


@pytest.mark.anyio
async def test_it_is_renewed_ahead_while_calls_go_on(issuer, clock):
    credential = issuer.credential()
    await key_of(credential)
    clock.advance(HOUR - AHEAD - 1)
    assert (await key_of(credential), issuer.count) == ("key-1", 1)
    clock.advance(1)
    issuer.go.clear()
    assert [await key_of(credential) for _ in range(3)] == ["key-1"] * 3  # nobody waits
    issuer.go.set()
    assert (await renewed(credential), issuer.count) == ("key-2", 2)


@pytest.mark.anyio
async def test_a_short_life_is_renewed_at_half_of_it(issuer, clock):
    issuer.life = 60.0
    credential = issuer.credential()
    await key_of(credential)
    clock.advance(29)
    assert (await key_of(credential), await renewed(credential)) == ("key-1", "key-1")
    clock.advance(1)
    assert (await key_of(credential), await renewed(credential)) == ("key-1", "key-2")


@pytest.mark.anyio
async def test_one_that_has_expired_is_waited_for(issuer, clock):
    credential = issuer.credential()
    await key_of(credential)
    clock.advance(HOUR)
    assert await key_of(credential) == "key-2"


@pytest.mark.anyio
async def test_one_that_never_expires_is_fetched_once(clock):
    credential = Renewed(lambda: Fresh(Secret("k")), Secret("[key]"), clock.wall)
    assert await key_of(credential) == "k"
    clock.advance(1e9)
    assert isinstance(credential.current(), Secret)


@pytest.mark.anyio
async def test_a_renewal_ahead_that_fails_costs_nobody_anything(issuer, clock):
    credential = issuer.credential()
    await key_of(credential)
    clock.advance(HOUR - AHEAD)
    issuer.error = APIConnectionError("no network")
    assert (await key_of(credential), await renewed(credential), issuer.count) == ("key-1", "key-1", 2)
    assert (await renewed(credential), issuer.count) == ("key-1", 2)  # not again at once
    clock.advance(PAUSE)
    issuer.error = None
    assert await key_of(credential) == "key-1"
    assert await renewed(credential) == "key-3"


@pytest.mark.anyio
async def test_an_expired_key_is_never_given_out(issuer, clock):
    credential = issuer.credential()
    await key_of(credential)
    clock.advance(HOUR - 1)
    issuer.error = APIConnectionError("no network")
    assert (await key_of(credential), await renewed(credential)) == ("key-1", "key-1")
    clock.advance(1)
    for _ in range(2):
        with pytest.raises(APIConnectionError):
            await key_of(credential)


@pytest.mark.anyio
async def test_a_waiter_who_leaves_leaves_the_renewal_to_the_others(issuer):
    issuer.go.clear()
    credential = issuer.credential()
    leaves, stays = asyncio.ensure_future(key_of(credential)), asyncio.ensure_future(key_of(credential))
    await asyncio.to_thread(issuer.asked.acquire)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert not stays.done()
    issuer.go.set()
    assert await stays == "key-1"
    assert issuer.count == 1


@pytest.mark.anyio
async def test_a_renewal_whose_only_waiter_left_is_there_for_the_next(issuer):
    issuer.go.clear()
    credential = issuer.credential()
    leaves = asyncio.ensure_future(key_of(credential))
    await asyncio.to_thread(issuer.asked.acquire)
    leaves.cancel()
    await asyncio.wait([leaves])
    issuer.go.set()
    assert (await renewed(credential), issuer.count) == ("key-1", 1)


@pytest.mark.anyio
async def test_whoever_comes_when_it_has_just_been_renewed_renews_nothing(issuer):
    credential = issuer.credential()
    await key_of(credential)
    late = credential._renewal()  # as a thread does that saw no key a moment ago
    assert (await asyncio.wrap_future(late)).reveal() == "key-1"
    assert issuer.count == 1


@pytest.mark.anyio
async def test_each_waiter_gets_an_error_of_his_own(issuer):
    issuer.go.clear()
    issuer.error = AuthenticationError("refused", status=401)
    credential = issuer.credential()
    waiting = [asyncio.ensure_future(key_of(credential)) for _ in range(2)]
    await asyncio.to_thread(issuer.asked.acquire)
    issuer.go.set()
    one, other = await asyncio.gather(*waiting, return_exceptions=True)
    assert type(one) is type(other) is AuthenticationError
    assert one is not other
    assert (one.message, one.status) == ("refused", 401)
    issuer.error = None
    assert await key_of(credential) == "key-2"  # the next call tries again


@pytest.mark.anyio
async def test_a_forked_child_does_not_wait_for_its_parents_thread(issuer, monkeypatch):
    issuer.go.clear()
    credential = issuer.credential()
    in_parent = asyncio.ensure_future(key_of(credential))
    await asyncio.to_thread(issuer.asked.acquire)
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    in_child = asyncio.ensure_future(key_of(credential))
    await asyncio.to_thread(issuer.asked.acquire)
    issuer.go.set()
    assert {await in_parent, await in_child} == {"key-1", "key-2"}


@pytest.mark.anyio
async def test_where_no_thread_can_be_had_nobody_hangs(issuer, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    credential = issuer.credential()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await key_of(credential)
    assert await key_of(credential) == "key-1"


def test_it_shows_nothing(issuer):
    assert repr(issuer.credential()) == "Credential(…)"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("invalid_grant: Invalid JWT Signature.", "invalid_grant: Invalid JWT Signature."),
        ("bad assertion " + "eyJhbGci.eyJpc3M" * 9, "bad assertion …"),
        ("key=" + "A" * 40, "…"),
        ("x " * 400, ("x " * 400)[:300]),
    ],
)
def test_what_others_say_is_told_without_what_could_be_a_key(said, shown):
    assert harmless(said) == shown
