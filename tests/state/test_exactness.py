"""Limits are exact: counted again the slow way, in every window, for any history."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import FAR, World, claim, prefix, together, turned_redis, world_of

from trunkline.state import script
from trunkline.state.counters import PARTS, part_of
from trunkline.state.memory import MemoryState
from trunkline.state.periods import bounds
from trunkline.testing import FakeClock
from trunkline.vocabulary.buckets import Granted, Used

LIMIT = 12
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 0.4) | st.floats(0.9, 1.1) | st.floats(1.0, 5.0)),
        st.tuples(st.just("take"), st.integers(0, LIMIT)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.none() | st.integers(0, LIMIT + 4)),
    ),
    max_size=60,
)


class Slow:
    """Every grant and every late debit, in a list."""

    def __init__(self, part, whole):
        self.part, self.whole = part, whole
        self.taken = []

    def index(self, at):
        return self.whole(at * 1e6) // self.part

    def counted(self, now):
        return sum(amount for at, amount in self.taken if self.index(at) >= self.index(now) - PARTS)

    def settle(self, place, used, now):
        at, amount = self.taken[place]
        kept = used if used is not None else 0
        self.taken[place] = at, min(amount, kept)
        if kept > amount:
            self.taken.append((now, kept - amount))


async def follow(world, history, *, late, whole=int):
    """Whatever happens, the state says what the slow count says, and no window holds more than the limit."""
    slow, open_, tokens = Slow(part_of(1.0), whole), [], {"measure": "tokens", "limit": LIMIT, "seconds": 1.0}
    excess = 0
    for step in history:
        now = world.clock.now()
        match step:
            case "wait", seconds:
                await world.pass_time(seconds)
            case "take", amount:
                verdict = await world.reserve(claim(amount, **tokens))
                assert isinstance(verdict, Granted) == (slow.counted(now) + amount <= LIMIT)
                if isinstance(verdict, Granted):
                    slow.taken.append((now, amount))
                    open_.append((len(slow.taken) - 1, verdict.reservations[0]))
            case "settle", which, used if open_:
                place, reservation = open_.pop(which % len(open_))
                if not late and used is not None:
                    used = min(used, reservation.claim.amounts["tokens"])
                excess += max(0, (used or 0) - reservation.claim.amounts["tokens"])
                world.settle(reservation, None if used is None else Used(tokens=used))
                await world.told()
                slow.settle(place, used, now)
    for at, _ in slow.taken:
        assert sum(amount for other, amount in slow.taken if at <= other < at + 1.0) <= LIMIT + excess


@given(steps)
@example([("take", 12), ("wait", 1.0), ("take", 1), ("wait", 0.02), ("take", 12)])
@settings(max_examples=150, deadline=None)
def test_memory_counts_like_a_list(history):
    clock = FakeClock()
    asyncio.run(follow(World(MemoryState(clock), clock), history, late=False))


@given(steps)
@settings(max_examples=100, deadline=None)
def test_memory_debits_late_excess_like_a_list(history):
    clock = FakeClock()
    asyncio.run(follow(World(MemoryState(clock), clock), history, late=True))


@pytest.fixture(scope="module")
def redis_world(server):
    """One loop and one connection for all examples; each has counters of its own."""
    clock = FakeClock(wall=FAR)
    clock._now = FAR
    with asyncio.Runner() as runner:
        world = World(turned_redis(server.connection_url, clock), clock)
        yield runner, world
        runner.run(world.state.close())


@given(st.booleans(), steps)
@settings(max_examples=40, deadline=None)
def test_the_script_counts_like_a_list(redis_world, late, history):
    runner, world = redis_world
    world.state._script._hub = f"{{{prefix()}}}"
    runner.run(follow(world, history, late=late, whole=round))


CALENDAR = script._TEXT[: script._TEXT.index(b"-- Counters:")].replace(
    b"local time = call('TIME')\nlocal now = time[1] * SECOND + time[2]", b"local now = tonumber(ARGV[1])"
)


@given(
    st.sampled_from(["hour", "day", "week", "month"]),
    st.integers(5 * 86_400, 280 * 365 * 86_400),
    st.integers(0, 999_999),
)
@example("month", 951_868_799, 999_999)  # the last moment of 29 February 2000
@example("month", 4_107_542_400, 0)  # the first of March 2100
@example("week", 1_795_391_999, 999_999)  # the last moment of a Sunday
@settings(max_examples=300, deadline=None)
def test_the_script_has_the_same_calendar(server, period, second, micro):
    wall = second + micro / 1e6
    with server.client() as client:
        text = CALENDAR + b"\nreturn {bounds[ARGV[2]]()}"
        begin, end = client.eval(text, 1, "{calendar}", second * 1_000_000 + micro, period)
    assert (begin / 1e6, end / 1e6) == bounds(period, wall)


async def threads_and_loops(take, count=8):
    """Each thread has its own loop and takes until nothing is left."""
    return await asyncio.gather(*[asyncio.to_thread(asyncio.run, take()) for _ in range(count)])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_many_threads_with_loops_of_their_own_share_one_state(kind, server):
    async with world_of(kind, server) as world:
        of = together(claim(limit=400), claim(3, measure="tokens", limit=1200), claim(measure="slots", limit=10**6))

        async def take():
            taken = 0
            while isinstance(verdict := await world.state.reserve(of), Granted):
                taken += 1
                world.state.settle(verdict.reservations[0], Used(tokens=3))
            return taken

        assert sum(await threads_and_loops(take)) == 400
        assert not isinstance(await world.reserve(claim(limit=400)), Granted)
        await world.pass_time(62.0)
        verdict = await world.reserve(together(claim(400, limit=400), claim(1200, measure="tokens", limit=1200)))
        assert isinstance(verdict, Granted)


def test_memory_forgets_buckets_that_nobody_uses():
    clock = FakeClock()
    state = MemoryState(clock)

    async def use(number):
        named = {"name": f"payer:{number}"}
        verdict = await state.reserve(
            together(claim(**named), claim(5, measure="tokens", limit=10, **named), claim(measure="slots", **named)),
            claim(7, measure="tokens", limit=10, period="hour", **named),
            target=f"target-{number}",
        )
        for reservation in verdict.reservations:
            state.settle(reservation, Used(tokens=5))
        state.rest(f"target-{number}", 1.0)
        clock.advance(0.5)

    async def all_of_them():
        in_use = 2 * 3600  # what an hour's budgets and rests count
        for number in range(30_000):
            await use(number)
            assert len(state._counters) <= 2 * in_use + 10
            assert len(state.rests) <= 2 * in_use + 10
        assert len(state._in_turn) == len(state._counters)
        assert not state._open

    asyncio.run(all_of_them())


def test_memory_never_forgets_what_is_held():
    clock = FakeClock()
    state = MemoryState(clock)

    async def story():
        held = await state.reserve(claim(measure="slots", limit=1))
        for number in range(1000):
            await state.reserve(claim(0, name=f"payer:{number}"))
            clock.advance(100.0)
        assert len(state._counters) < 20
        assert not isinstance(await state.reserve(claim(measure="slots", limit=1)), Granted)
        state.settle(held.reservations[0], None)
        assert isinstance(await state.reserve(claim(measure="slots", limit=1)), Granted)

    asyncio.run(story())


def test_a_claim_that_is_made_again_finds_counters_that_were_forgotten_meanwhile():
    clock = FakeClock()
    state = MemoryState(clock)

    async def story():
        again = together(claim(limit=1), claim(5, measure="tokens", limit=100))
        held = (await state.reserve(again)).reservations[0]
        clock.advance(100.0)
        for number in range(3):
            await state.reserve(claim(name=f"payer:{number}"))
        assert again.buckets[0].key not in state._counters
        state.settle(held, Used(tokens=60))  # the debit is felt from now on
        assert isinstance(await state.reserve(again), Granted)
        assert not isinstance(await state.reserve(claim(limit=1)), Granted)
        assert not isinstance(await state.reserve(claim(41, measure="tokens", limit=100)), Granted)
        assert isinstance(await state.reserve(claim(40, measure="tokens", limit=100)), Granted)

    asyncio.run(story())


def test_a_refusal_after_a_claim_of_nothing_leaves_nothing_behind():
    clock = FakeClock()
    state = MemoryState(clock)

    async def story():
        for number in range(10):
            nothing = [claim(0, measure="tokens", name=f"payer:{number}-{other}") for other in range(5)]
            assert not isinstance(await state.reserve(together(*nothing, claim(11))), Granted)

    asyncio.run(story())
