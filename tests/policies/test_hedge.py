"""Hedging: a second target for a slow first one, the race, and when it is off."""

import asyncio

import pytest
from course import OK, USED, Course, Said, bucket, entry, route, target, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.policies.hedge import delay_before_hedge, may_hedge
from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import AllTargetsFailed, InvalidRequestError, ServiceError
from trunkline.vocabulary.rules import Hedge
from trunkline.vocabulary.usage import Usage

pytestmark = pytest.mark.anyio
NOW = 1000.0
AFTER = {"hedge": Hedge(after=1.0)}


def figures(*seconds, failures=0, hedged=0):
    made = Figures()
    for one in seconds:
        made.succeeded(NOW, one)
    for _ in range(failures):
        made.failed(NOW, 1.0)
    made.hedged.add(hedged, NOW)
    return made


# --- when -------------------------------------------------------------------------------------------------------------


def delay(hedge, seen):
    return delay_before_hedge(hedge, seen)


def may(hedge, first, *others, now=NOW):
    return may_hedge(hedge, first, [first, *others], now)


def test_the_delay_is_what_most_answers_needed():
    assert delay(Hedge(), figures(*[1.0] * 95, *[9.0] * 5)) == 9.0
    assert delay(Hedge(), figures(*[1.0] * 97, *[9.0] * 3)) == 1.0


def test_until_there_are_answers_to_go_by_nothing_is_hedged_unless_the_delay_is_said():
    assert delay(Hedge(), figures(*[1.0] * 19)) is None
    assert delay(Hedge(after=0.5), figures()) == 0.5
    assert delay(Hedge(after=0.0001), figures()) == 0.02


def test_no_more_than_a_share_of_a_pools_attempts_is_hedged():
    many = [1.0] * 50
    assert may(Hedge(share=0.1), figures(*many, hedged=5), figures(*many, hedged=4))
    assert not may(Hedge(share=0.1), figures(*many, hedged=5), figures(*many, hedged=5))
    assert may(Hedge(share=0.1), figures(*many, hedged=10), now=NOW + 70)  # long ago
    assert may(Hedge(share=0.1), figures(hedged=1))  # the first ones
    assert not may(Hedge(share=0), figures())


def test_a_target_in_trouble_is_not_helped_by_more_work():
    assert may(Hedge(), figures(*[1.0] * 90, failures=10))
    assert not may(Hedge(), figures(*[1.0] * 90, failures=11))


# --- the race ---------------------------------------------------------------------------------------------------------


class Race:
    """One call to `a`, and `b` after a second."""

    def __init__(self, a, b, *, on=None, **rules):
        self.course = Course(prices={"a": "1", "b": "1"})
        self.course.script = {"a": [a], "b": [b]}
        self.call = self.course.call(on or route(entry("a", "b")), **{**AFTER, **rules})
        self.task = asyncio.create_task(self.course.run(self.call))

    async def passes(self, *seconds):
        for one in seconds:
            await turns()
            self.course.clock.advance(one)
        await turns()

    @property
    def told(self):
        return [(one.target, one.outcome, one.hedge) for one in self.call.attempts]


async def test_who_answers_in_time_has_no_rival():
    race = Race(Said(after=0.9), OK)
    await race.passes(0.9, 5)
    await race.task
    assert race.told == [("a", "finished", False)]


async def test_the_rival_of_a_slow_one_wins_and_the_slow_one_is_cancelled():
    race = Race(Said(after=9), Said(after=0.5))
    await race.passes(1, 0.5)
    answer = await race.task
    assert (answer.target.name, race.call.target.name) == ("b", "b")
    assert race.told == [("a", "cancelled", False), ("b", "finished", True)]
    assert race.course.running == {"a": 0, "b": 0}


async def test_the_slow_one_may_win_yet():
    race = Race(Said(after=1.2), Said(after=9))
    await race.passes(1, 0.2)
    assert (await race.task).target.name == "a"
    assert race.told == [("a", "finished", False), ("b", "cancelled", True)]


@pytest.mark.parametrize(("a", "b"), [(1.2, 9), (9, 0.2)])
async def test_when_the_answer_is_there_the_books_are_closed_and_the_task_is_as_before(a, b):
    race = Race(Said(after=9), OK)
    race.task.cancel()
    course, call = race.course, race.course.call(route(entry("a", "b")), **AFTER)
    course.script = {"a": [Said(after=a)], "b": [Said(after=b)]}

    async def asks():
        await course.run(call)
        return [one.outcome for one in call.attempts], asyncio.current_task().cancelling()

    asking = asyncio.create_task(asks())
    await race.passes(1, 0.2)
    outcomes, cancelling = await asking
    assert (sorted(outcomes), cancelling) == (["cancelled", "finished"], 0)


async def test_the_loser_is_paid_for_by_estimate():
    race = Race(Said(after=9), OK)
    await race.passes(1)
    await race.task
    lost, won = race.call.attempts
    assert (lost.usage.estimated, won.usage) == (True, USED)
    assert race.call.decided.cost == lost.usage.total_tokens + USED.total_tokens


async def test_a_loser_gives_its_slot_back():
    own = bucket("target:a", "slots", 3)
    race = Race(Said(after=9), OK, on=route(entry(target("a", own), "b")))
    await race.passes(1)
    await race.task
    assert await race.course.free(own) == 3


async def test_a_loser_that_answers_in_the_same_moment_is_abandoned():
    race = Race(Said(after=2, stream=True), Said(after=1), stream=True)
    await race.passes(1, 1)
    answer = await race.task
    (other,) = [one for one in race.course.answers if one is not answer] or [None]
    assert other is None or other.outcome.kind == "cancelled"
    assert answer.outcome is None
    answer.abandon()
    assert [race.course.board[name].in_flight for name in "ab"] == [0, 0]


async def test_one_that_fails_leaves_the_race_to_the_other():
    race = Race(Said(after=1.5, error=ServiceError("no")), Said(after=2))
    await race.passes(1, 0.5)
    assert not race.task.done()
    await race.passes(1.5)
    assert (await race.task).target.name == "b"


async def test_when_both_fail_both_are_named():
    race = Race(Said(after=1.5, error=ServiceError("no")), Said(after=1, error=ServiceError("neither")))
    await race.passes(1, 0.5, 0.5)
    with pytest.raises(AllTargetsFailed) as caught:
        await race.task
    assert {str(cause) for cause in caught.value.causes} == {"no", "neither"}


async def test_a_first_that_fails_before_the_delay_is_just_retried_elsewhere():
    race = Race(Said(after=0.5, error=ServiceError("no")), OK)
    await race.passes(0.5)
    assert (await race.task).target.name == "b"
    assert race.told == [("a", "error", False), ("b", "finished", False)]


async def test_a_rival_that_fails_leaves_the_race_to_the_first():
    race = Race(Said(after=3), Said(error=InvalidRequestError("not for me")))
    await race.passes(1, 2)
    assert (await race.task).target.name == "a"
    assert race.told == [("a", "finished", False), ("b", "error", True)]


async def test_nobody_to_race_with_is_no_race():
    race = Race(Said(after=5), OK, on=route(entry("a")))
    await race.passes(1, 4)
    await race.task
    assert race.told == [("a", "finished", False)]
    assert race.course.board["a"].hedged.sum(race.course.clock.now()) == 0


async def test_the_most_attempts_hold_for_rivals_too():
    race = Race(Said(after=5), OK, attempts=1)
    await race.passes(1, 4)
    await race.task
    assert race.told == [("a", "finished", False)]


async def test_a_caller_who_leaves_cancels_both():
    race = Race(Said(after=9), Said(after=9))
    await race.passes(1, 1)
    race.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race.task
    assert race.told == [("a", "cancelled", False), ("b", "cancelled", True)]
    assert race.course.running == {"a": 0, "b": 0}
    assert [race.course.board[name].in_flight for name in "ab"] == [0, 0]


async def test_without_the_rule_nobody_is_hedged():
    race = Race(Said(after=50, usage=Usage(input=1)), OK, hedge=None)
    await race.passes(1, 49)
    await race.task
    assert race.told == [("a", "finished", False)]


async def test_the_share_is_kept_though_many_wait_for_the_same_moment():
    course = Course()
    course.script = {"a": [Said(after=9)], "b": [Said(after=9)]}
    calls = [asyncio.create_task(course.ask(route(entry("a", "b")), hedge=Hedge(after=1.0))) for _ in range(50)]
    await turns(100)
    course.clock.advance(1)
    await turns(100)
    assert course.asked.count("b") == 5
    course.clock.advance(9)
    await asyncio.gather(*calls)


TIMES = st.integers(0, 6).map(lambda quarter: quarter / 4)


@settings(max_examples=300, deadline=None)
@given(first=TIMES, rival=TIMES, fails=st.tuples(st.booleans(), st.booleans()), leaves=st.none() | TIMES)
def test_however_a_race_ends_nothing_is_left_running_or_held(first, rival, fails, leaves):
    """Answers, failures and a caller who leaves, at any time and at the same time."""
    slots = bucket("target:a", "slots", 1), bucket("target:b", "slots", 1)

    def does(seconds, fail):
        return Said(after=seconds, error=ServiceError("no") if fail else None)

    async def run():
        on = route(entry(target("a", slots[0]), target("b", slots[1])))
        left = False
        race = Race(does(first, fails[0]), does(rival, fails[1]), on=on, stream=True, hedge=Hedge(after=0.5))
        for quarter in range(16):
            await turns(4)
            if leaves == quarter / 4:
                left = race.task.cancel()
            race.course.clock.advance(0.25)
        await turns()
        (ended,) = await asyncio.gather(race.task, return_exceptions=True)
        course, open_ones = race.course, [answer for answer in race.course.answers if answer.outcome is None]
        if isinstance(ended, BaseException):
            assert not open_ones
            assert isinstance(ended, ServiceError | AllTargetsFailed | asyncio.CancelledError)
        else:
            assert [ended] == open_ones
            assert ended.target is race.call.target
            ended.abandon()
        assert set(course.running.values()) == {0}
        assert [course.board[name].in_flight for name in "ab"] == [0, 0]
        assert [await course.free(slot) for slot in slots] == [1, 1]
        assert None not in [one.outcome for one in race.call.attempts]
        assert not left or isinstance(ended, asyncio.CancelledError)
        if leaves is None and not all(fails):
            assert not isinstance(ended, BaseException)

    asyncio.run(run())
