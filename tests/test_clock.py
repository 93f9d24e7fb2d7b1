"""The machine's clock: alarms that need not be exact."""

import asyncio

import pytest

from trunkline.clock import MANY_TICKS, SystemClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return SystemClock()


@pytest.fixture
async def timers(monkeypatch):
    """How often the loop was given a timer."""
    loop, made = asyncio.get_running_loop(), []
    real = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda when, *args, **more: made.append(when) or real(when, *args, **more))
    return made


def alarms(clock, *seconds, rung):
    return [clock.alarm(clock.now() + one, lambda one=one: rung.append(one), exact=False) for one in seconds]


async def test_they_ring_in_their_order_and_never_early(clock):
    rung, began = [], clock.now()
    alarms(clock, 0.09, 0.03, 0.06, rung=rung)
    while len(rung) < 3:
        await asyncio.sleep(0.005)
        assert all(clock.now() - began >= one for one in rung)
    assert rung == [0.03, 0.06, 0.09]


async def test_one_that_is_switched_off_does_not_ring(clock):
    rung = []
    stop, _ = alarms(clock, 0.02, 0.03, rung=rung)
    stop()
    stop()
    await asyncio.sleep(0.06)
    assert rung == [0.03]


async def test_one_may_switch_off_another_of_the_same_moment(clock):
    rung, stops, when = [], [], clock.now() + 0.02
    for number in range(2):
        stops.append(clock.alarm(when, lambda number=number: (rung.append(number), stops[1 - number]()), exact=False))
    await asyncio.sleep(0.06)
    assert len(rung) == 1


async def test_two_with_the_same_ring_are_two(clock):
    rung, when = [], clock.now() + 0.02

    def ring():
        rung.append(1)

    stop, _, _ = (clock.alarm(when, ring, exact=False) for _ in range(3))
    stop()
    await asyncio.sleep(0.06)
    assert rung == [1, 1]


async def test_one_that_breaks_keeps_no_other_from_ringing(clock):
    loop, rung, broken = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda loop, told: broken.append(type(told["exception"])))
    clock.alarm(clock.now() + 0.02, lambda: 1 // 0, exact=False)
    alarms(clock, 0.02, 0.02, 0.05, rung=rung)
    await asyncio.sleep(0.1)
    assert sorted(rung) == [0.02, 0.02, 0.05]
    assert broken == [ZeroDivisionError]


async def test_many_that_are_switched_off_share_a_timer(clock, timers):
    for number in range(1000):
        alarms(clock, 60.0 + number / 10, rung=[])[0]()
    assert len(timers) == 1
    alarms(clock, 30.0, rung=[])
    assert len(timers) == 2


async def test_those_that_were_switched_off_are_forgotten(clock):
    for number in range(5 * MANY_TICKS):
        alarms(clock, 60.0 + number, rung=[])[0]()
    assert len(clock._here.alarms) <= MANY_TICKS


async def test_each_loop_has_its_own(clock):
    def elsewhere():
        async def wait():
            rung = []
            alarms(clock, 0.01, rung=rung)
            await asyncio.sleep(0.05)
            return rung

        return asyncio.run(wait())

    rung = []
    alarms(clock, 0.02, rung=rung)
    assert await asyncio.to_thread(elsewhere) == [0.01]
    await asyncio.sleep(0.03)
    assert rung == [0.02]
