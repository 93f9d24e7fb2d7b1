"""The queue: who waits for a target's slot, for how long, and whose turn it is."""

import asyncio

import pytest
from course import OK, Course, Said, bucket, entry, route, target, turns

from trunkline.vocabulary.buckets import Buckets, Claim
from trunkline.vocabulary.errors import LimitError, ServiceError

pytestmark = pytest.mark.anyio


def narrow(slots=1):
    return route(entry(target("a", bucket("target:a", "slots", slots))))


class Waiting:
    """Calls that wait for one target, which answers one of them a second."""

    def __init__(self, course, on):
        self.course, self.on = course, on
        self.calls = []
        self.order = []
        course.script["a"] = [Said(after=1)]
        course.on_ask = lambda call: self.order.append(call.rules.payer or call.rules.priority)

    async def join(self, **rules):
        self.calls.append(asyncio.create_task(self.course.ask(self.on, **rules)))
        await turns()

    async def served(self):
        for _ in range(4 * len(self.calls) + 4):
            self.course.clock.advance(0.25)
            await turns()
        return await asyncio.gather(*self.calls, return_exceptions=True)


async def test_no_more_are_asked_at_once_than_there_are_slots():
    course = Course()
    waiting = Waiting(course, narrow(2))
    for _ in range(7):
        await waiting.join()
    assert len(course.asked) == 2
    await waiting.served()
    assert (len(course.asked), course.most["a"]) == (7, 2)
    assert not course.lines.waiting


async def test_who_waits_knows_why_and_how_long():
    course = Course()
    waiting = Waiting(course, narrow())
    await waiting.join()
    await waiting.join()
    _, second = await waiting.served()
    assert second.decided.waited == second.attempts[0].waited == 1
    assert "all 1 slots of target:a are taken" in {one.target: one.why for one in second.decided.considered}.values()


async def test_the_first_who_came_goes_first():
    course = Course()
    waiting = Waiting(course, narrow())
    for at in range(6):
        await waiting.join(payer="same", tags=(f"{at}",))
    order = []
    course.on_ask = lambda call: order.extend(call.rules.tags)
    await waiting.served()
    assert order == ["1", "2", "3", "4", "5"]


async def test_the_highest_priority_goes_first():
    course = Course()
    waiting = Waiting(course, narrow())
    for priority in (9, 0, 5, 0, 7):
        await waiting.join(priority=priority)
    await waiting.served()
    assert waiting.order == [9, 7, 5, 0, 0]


async def test_payers_take_turns():
    course = Course()
    waiting = Waiting(course, narrow())
    for payer in ("busy", "busy", "busy", "busy", "shy", "shy"):
        await waiting.join(payer=payer)
    await waiting.served()
    assert waiting.order == ["busy", "busy", "shy", "busy", "shy", "busy"]


async def test_who_comes_later_does_not_overtake_those_who_wait():
    course = Course()
    waiting = Waiting(course, narrow())
    await waiting.join(payer="first")
    await waiting.join(payer="second")
    course.clock.advance(1)
    latecomer = asyncio.create_task(course.ask(waiting.on, payer="third"))
    waiting.calls.append(latecomer)
    await turns()
    await waiting.served()
    assert waiting.order == ["first", "second", "third"]


async def test_the_line_is_bounded():
    course = Course(queue_length=3)
    waiting = Waiting(course, narrow())
    for _ in range(6):
        await waiting.join()
    ended = await waiting.served()
    refused = [end for end in ended if isinstance(end, LimitError)]
    assert [error.code for error in refused] == ["queue_full"] * 2
    assert len(course.asked) == 4


async def test_nobody_waits_longer_than_said():
    course = Course(queue_seconds=2.5)
    waiting = Waiting(course, narrow())
    for _ in range(5):
        await waiting.join()
    ended = await waiting.served()
    assert len(course.asked) == 3
    assert [type(end) for end in ended[3:]] == [LimitError, LimitError]
    assert not course.lines.waiting


async def test_nor_longer_than_its_own_deadline():
    course = Course()
    waiting = Waiting(course, narrow())
    await waiting.join()
    await waiting.join(timeout=0.5)
    _, second = await waiting.served()
    assert isinstance(second, LimitError)
    assert len(course.asked) == 1


async def test_who_leaves_makes_room_for_the_next():
    course = Course()
    waiting = Waiting(course, narrow())
    for payer in ("first", "second", "third"):
        await waiting.join(payer=payer)
    waiting.calls[1].cancel()
    ended = await waiting.served()
    assert isinstance(ended[1], asyncio.CancelledError)
    assert waiting.order == ["first", "third"]


async def test_whoever_is_free_first_serves_who_waits():
    course = Course()
    pool = route(entry(target("a", bucket("target:a", "slots", 1)), target("b", bucket("target:b", "slots", 1))))
    course.script = {"a": [Said(after=9)], "b": [Said(after=1), OK]}
    calls = [asyncio.create_task(course.ask(pool)) for _ in range(3)]
    await turns()
    course.clock.advance(1)
    await turns()
    assert course.asked == ["a", "b", "b"]
    course.clock.advance(8)
    await asyncio.gather(*calls)


async def test_an_attempt_that_fails_gives_its_slot_up():
    course = Course()
    on = narrow()
    course.script["a"] = [Said(error=ServiceError("no"))]
    for _ in range(3):
        with pytest.raises(ServiceError):
            await course.ask(on)
    assert await course.free(bucket("target:a", "slots", 1)) == 1


async def test_slots_that_other_processes_give_back_are_found():
    """Nobody calls for them: a waiter looks for itself."""
    course = Course()
    on = narrow()
    held = await course.state.reserve(Claim(Buckets([bucket("target:a", "slots", 1)]), {"slots": 1}))
    call = asyncio.create_task(course.ask(on))
    await turns()
    course.state.settle(held.reservations[0], None)
    await turns()
    assert not course.asked
    course.clock.advance(0.25)
    await call
    assert course.asked == ["a"]
