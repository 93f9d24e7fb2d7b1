"""Candidates: tags and ceilings, and what the decision record says of those who are out."""

import asyncio
from decimal import Decimal

import pytest
from course import Course, Said, bucket, entry, route, target
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policies.candidates import by_tags
from trunkline.policies.choice import explain
from trunkline.vocabulary.errors import LimitError, RateLimitError
from trunkline.vocabulary.routes import Member

pytestmark = pytest.mark.anyio


def tagged(name, *tags):
    return target(name, tags=frozenset(tags))


def why(call):
    return {one.target: one.why for one in call.decided.considered}


async def test_a_target_with_tags_serves_only_calls_that_carry_one():
    course = Course()
    pool = route(entry(tagged("eu", "eu"), tagged("us", "us", "fast"), "any"))
    await course.ask(pool)
    await course.ask(pool, tags=("eu",))
    await course.ask(pool, tags=("fast", "cheap"))
    await course.ask(pool, tags=("cheap",))
    assert course.asked == ["any", "eu", "us", "any"]


async def test_a_call_with_a_tag_never_falls_back_to_who_has_it_not():
    course = Course()
    course.script["eu"] = [Said(error=RateLimitError("no", retry_after=5))]
    with pytest.raises(RateLimitError):
        await course.ask(route(entry(tagged("eu", "eu"), "any")), tags=("eu",))
    assert course.asked == ["eu"]


async def test_where_nobody_serves_a_call_it_says_so():
    course = Course()
    with pytest.raises(LimitError) as caught:
        await course.ask(route(entry(tagged("eu", "eu"))))
    assert caught.value.code == "no_target"
    assert "it serves only calls with its tags" in str(caught.value)


TAGS = st.frozensets(st.sampled_from("xyz"), max_size=3)


@given(st.lists(TAGS, min_size=1, max_size=5), TAGS)
def test_nobody_serves_a_call_whose_tags_it_does_not_want(pool, said):
    members = [Member(tagged(f"t{at}", *tags)) for at, tags in enumerate(pool)]
    kept, reason = by_tags(members, said)
    assert reason
    for member in members:
        tags = member.target.tags
        wanted = bool(tags & said) or (not tags and not any(tags & said for tags in pool))
        assert (member in kept) == wanted


# --- ceilings ---------------------------------------------------------------------------------------------------------

PRICES = {"cheap": "0.001", "dear": "0.1"}


async def test_a_dear_target_is_left_out():
    course = Course(prices=PRICES)
    call = await course.ask(route(entry("dear", "cheap")), max_cost=Decimal(1))
    assert course.asked == ["cheap"]
    assert "above the ceiling of $1" in why(call)["dear"]


async def test_a_routes_ceiling_and_the_callers_the_lower_counts():
    course = Course(prices=PRICES)
    pool = route(entry("dear", "cheap"), max_cost=Decimal(1))
    await course.ask(pool)
    await course.ask(pool, max_cost=Decimal(100))
    assert course.asked == ["cheap", "cheap"]
    with pytest.raises(LimitError):
        await course.ask(pool, max_cost=Decimal("0.00001"))


async def test_what_has_no_price_is_above_any_ceiling():
    course = Course(prices=PRICES)
    call = await course.ask(route(entry("unknown", "cheap")), max_cost=Decimal(1))
    assert course.asked == ["cheap"]
    assert why(call)["unknown"] == "its price is unknown, and the call has a ceiling"


async def test_the_ceiling_is_of_the_worst_not_of_the_usual():
    course = Course(prices=PRICES)
    with pytest.raises(LimitError):
        await course.ask(route(entry("dear")), most=100, max_cost=Decimal(5))
    await course.ask(route(entry("dear")), most=1, max_cost=Decimal(5))


# --- explaining -------------------------------------------------------------------------------------------------------


async def test_explaining_asks_nobody_and_takes_nothing():
    mine, own = bucket("payer:alice", "requests", 5), bucket("target:a", "requests", 5)
    course = Course(buckets=[mine], prices=PRICES)
    course.state.rest("tired", 30)
    pool = route(entry(target("a", own), tagged("eu", "eu"), "tired", name="first"), entry("f", name="second"))
    for _ in range(3):
        told = explain(course.call(pool, payer="alice"), course.means)
    assert (course.asked, await course.free(mine), await course.free(own)) == ([], 5, 5)
    assert [(one.target, one.entry, one.why) for one in told.considered] == [
        ("a", "first", None),
        ("f", "second", None),
        ("eu", "first", "it serves only calls with its tags"),
        ("tired", "first", "it rests after failures, for 30.0 s more"),
    ]


async def test_explaining_says_what_the_strategy_saw():
    course = Course()
    pool = route(entry("small", "large", strategy="by-complexity", simple="small", reasoning="large"))
    told = explain(course.call(pool, prompt="Prove that there are infinitely many primes."), course.means)
    assert (told.strategy, told.because) == ("by-complexity", "reasoning: the words of its question")
    assert [one.target for one in told.considered] == ["large", "small"]


async def test_what_is_explained_is_what_happens():
    course = Course(prices={"a": "2", "b": "1", "c": "3"})
    pool = route(entry("a", "b", "c", strategy="lowest-cost"))
    told = explain(course.call(pool), course.means)
    call = await course.ask(pool)
    assert call.target.name == told.considered[0].target == "b"


async def test_the_record_keeps_attempts_and_waits():
    course = Course()
    course.script["a"] = [Said(error=RateLimitError("no", retry_after=2)), Said()]
    call = await course.ask(route(entry("a")), retries=1)
    told = call.decided
    assert [(one.target, one.error, one.waited) for one in told.attempts] == [
        ("a", "RateLimitError", 0),
        ("a", None, 2),
    ]
    assert told.waited == 2
    assert len({one.id for one in told.attempts}) == 2


async def test_a_cancelled_calls_record_says_so():
    course = Course()
    course.script["a"] = [Said(after=5)]
    call = course.call(route(entry("a")))
    running = asyncio.create_task(course.run(call))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [one.outcome for one in call.decided.attempts] == ["cancelled"]
