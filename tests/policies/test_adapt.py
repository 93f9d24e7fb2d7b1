"""Adaptive concurrency: how many attempts at once a target is given, learned from what it says."""

import asyncio

import pytest
from course import Course, Said, entry, route, target, turns

from trunkline.policies import adapt
from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import InvalidRequestError, OverloadedError, RateLimitError, ServiceError

pytestmark = pytest.mark.anyio


def busy(in_flight, ceiling=None):
    figures = Figures()
    figures.in_flight, figures.ceiling = in_flight, ceiling
    return figures


def test_nobody_knows_at_first_and_eight_are_tried():
    assert not adapt.is_full(busy(7))
    assert adapt.is_full(busy(8))


def test_a_refusal_lowers_the_ceiling_by_a_share_of_what_was_under_way():
    figures = busy(10, ceiling=20.0)
    adapt.refused(figures, RateLimitError("no"), 5.0)
    assert figures.ceiling == 7


def test_the_refusals_of_one_burst_are_one_sign():
    figures = busy(10, ceiling=10.0)
    for at in (5.0, 5.1, 5.9):
        adapt.refused(figures, OverloadedError("no"), at)
    assert figures.ceiling == 7
    adapt.refused(figures, OverloadedError("no"), 6.0)
    assert figures.ceiling == pytest.approx(4.9)


@pytest.mark.parametrize("error", [ServiceError, InvalidRequestError])
def test_other_failures_say_nothing_of_the_load(error):
    figures = busy(10, ceiling=10.0)
    adapt.refused(figures, error("no"), 5.0)
    assert figures.ceiling == 10


def test_one_is_always_asked():
    figures = busy(1, ceiling=1.2)
    for at in range(10):
        adapt.refused(figures, RateLimitError("no"), 10.0 * at)
    assert figures.ceiling == 1
    assert not adapt.is_full(busy(0, ceiling=1.0))


def test_a_round_of_answers_raises_the_ceiling_by_one():
    figures = busy(10, ceiling=10.0)
    for _ in range(10):
        adapt.answered(figures)
    assert 10.9 < figures.ceiling < 11


def test_what_was_not_tried_is_not_learned():
    figures = busy(2, ceiling=10.0)
    adapt.answered(figures)
    assert figures.ceiling == 10


def test_what_headers_say_of_the_room_is_believed_for_a_while():
    figures = Figures()
    adapt.learn(figures, {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "25"}, 50.0, 1e9)
    assert (figures.headroom, figures.headroom_until) == (0.25, 110)
    adapt.learn(figures, {"content-type": "text/plain"}, 60.0, 1e9)
    assert figures.headroom == 0.25


async def test_no_more_are_asked_than_it_bears_and_the_others_wait():
    course = Course()
    course.script["a"] = [Said(after=1)]
    on = route(entry(target("a", adaptive=True)))
    calls = [asyncio.create_task(course.ask(on)) for _ in range(20)]
    await turns(100)
    assert len(course.asked) == 8
    for _ in range(20):
        course.clock.advance(0.5)
        await turns(50)
    await asyncio.gather(*calls)
    assert 8 < course.most["a"] <= 10


async def test_who_is_full_gives_way_to_a_sibling():
    course = Course()
    course.script["a"] = [Said(after=1)]
    on = route(entry(target("a", adaptive=True), "b"))
    calls = [asyncio.create_task(course.ask(on)) for _ in range(10)]
    await turns(100)
    assert course.asked == ["a"] * 8 + ["b"] * 2
    course.clock.advance(1)
    await asyncio.gather(*calls)


async def test_without_being_told_nobody_adapts():
    course = Course()
    course.script["a"] = [Said(after=1)]
    calls = [asyncio.create_task(course.ask(route(entry("a")))) for _ in range(30)]
    await turns(100)
    assert len(course.asked) == 30
    course.clock.advance(1)
    await asyncio.gather(*calls)
    assert course.board["a"].ceiling is None
