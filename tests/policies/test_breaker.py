"""The breaker: which failures speak against a target, and how long it is left alone."""

import asyncio

import pytest
from course import OK, Course, Said, entry, route, turns

from trunkline.policies.breaker import rest_after, speaks_against
from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
)

pytestmark = pytest.mark.anyio
POOL = route(entry("a", "b"))


def fails(error, **more):
    return Said(error=error("no", **more))


def seen(*outcomes):
    """The figures of a target that answered (True) or failed, one a second."""
    figures = Figures()
    for at, well in enumerate(outcomes):
        if well:
            figures.succeeded(float(at), 1.0)
        else:
            figures.failed(float(at), 1.0)
    return figures


@pytest.mark.parametrize(
    "error", [InvalidRequestError, ContextWindowError, ContentPolicyError, ConfigurationError, ModelError]
)
def test_what_the_caller_did_wrong_says_nothing_of_the_target(error):
    assert not speaks_against(error("no"))
    assert rest_after(error("no"), seen(*[False] * 20), 20.0) == 0


@pytest.mark.parametrize(
    "error", [ServiceError, OverloadedError, APIConnectionError, APITimeoutError, ResponseParseError, RateLimitError]
)
def test_what_the_target_did_wrong_does(error):
    assert speaks_against(error("no"))


def test_a_model_that_is_down_for_a_while_does_too():
    assert speaks_against(ModelError("loading", transient=True))


def test_five_failures_on_end_are_a_rest():
    rests = [rest_after(ServiceError("no"), seen(*[True] * 20, *[False] * count), 25.0) for count in range(1, 7)]
    assert rests == [0, 0, 0, 0, 5, 5]


def test_so_is_half_of_a_minutes_attempts():
    assert rest_after(ServiceError("no"), seen(*[True, False] * 4), 8.0) == 0  # too few to say
    assert rest_after(ServiceError("no"), seen(*[True, False] * 5), 10.0) == 5
    assert rest_after(ServiceError("no"), seen(*[True, True, False] * 5), 15.0) == 0
    assert rest_after(ServiceError("no"), seen(*[True, False] * 5), 100.0) == 0  # long ago


def test_each_rest_is_twice_as_long_up_to_a_minute():
    figures, rests = seen(*[False] * 5), []
    for _ in range(6):
        rests.append(rest_after(ServiceError("no"), figures, 5.0))
        figures.rests += 1
    assert rests == [5, 10, 20, 40, 60, 60]


def test_what_a_provider_asks_for_is_the_rest():
    assert rest_after(RateLimitError("no", retry_after=90), Figures(), 0.0) == 90
    assert rest_after(OverloadedError("no", retry_after=3), Figures(), 0.0) == 3
    assert rest_after(RateLimitError("no"), Figures(), 0.0) == 1


@pytest.mark.parametrize("error", [AuthenticationError, ResourceExhaustedError])
def test_a_wrong_key_and_an_empty_account_are_not_mended_in_seconds(error):
    assert rest_after(error("no"), Figures(), 0.0) == 60


async def test_a_later_word_never_shortens_a_rest():
    course = Course()
    course.script["a"] = [Said(after=1, error=RateLimitError("no", retry_after=60)), fails(RateLimitError)]
    course.script["b"] = [OK]
    first = asyncio.create_task(course.ask(POOL))
    await turns()
    second = asyncio.create_task(course.ask(POOL))
    await turns()
    course.clock.advance(1)
    await asyncio.gather(first, second)
    assert course.asked == ["a", "a", "b", "b"]
    assert course.state.resting("a") >= 59


async def test_every_attempt_is_seen_retries_too():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    with pytest.raises(ServiceError):
        await course.ask(route(entry("a")), retries=4)
    assert course.state.resting("a") > 0


async def test_a_probe_is_one_attempt_and_its_failure_another_rest_twice_as_long():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    for _ in range(5):
        await course.ask(POOL)
    course.clock.advance(5)
    course.asked.clear()
    await course.ask(POOL, retries=3)
    assert course.asked == ["a", "b"]
    assert course.state.resting("a") == 10
    await course.ask(POOL)
    assert course.asked == ["a", "b", "b"]


@pytest.mark.parametrize("error", [InvalidRequestError, None])
async def test_a_probe_without_a_word_on_health_leaves_it_to_the_next(error):
    course = Course()
    course.script["a"] = [fails(ServiceError)] * 5 + [Said(after=10, error=error and error("no")), OK]
    for _ in range(5):
        await course.ask(POOL)
    course.clock.advance(5)
    course.asked.clear()
    probe = asyncio.create_task(course.ask(POOL))
    await turns()
    if error is None:
        probe.cancel()
    else:
        course.clock.advance(10)
    await asyncio.gather(probe, return_exceptions=True)
    await course.ask(POOL)
    assert course.asked == ["a", "a"]


async def test_a_success_ends_a_rest_that_began_meanwhile():
    course = Course()
    course.script["a"] = [Said(after=3), *[fails(ServiceError)] * 5, OK]
    slow = asyncio.create_task(course.ask(POOL))
    await turns()
    for _ in range(5):
        await course.ask(POOL)
    assert course.state.resting("a") > 0
    course.clock.advance(3)
    await slow
    assert course.state.resting("a") == 0
    course.asked.clear()
    await course.ask(POOL)
    assert course.asked == ["a"]


async def test_of_targets_that_all_rest_the_one_that_is_up_first_is_asked():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=50), OK]
    course.script["b"] = [fails(RateLimitError, retry_after=20), OK]
    with pytest.raises(Exception, match="all 2 targets"):
        await course.ask(POOL)
    course.asked.clear()
    await course.ask(POOL)
    assert course.asked == ["b"]


async def test_a_resting_pool_gives_way_to_its_fallback():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=50), OK]
    on = route(entry("a"), entry("f", name="f"))
    await course.ask(on)
    call = await course.ask(on)
    assert course.asked == ["a", "f", "f"]
    assert "rests after failures" in {one.target: one.why for one in call.decided.considered}["a"]
