"""The loop: who is asked, how often, and what the caller hears."""

import asyncio

import pytest
from course import OK, Course, Said, entry, route, target, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.vocabulary.errors import (
    AllTargetsFailed,
    APIConnectionError,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ServiceError,
)
from trunkline.vocabulary.rules import Backoff, OfKind

pytestmark = pytest.mark.anyio


def fails(error, **more):
    return Said(error=error("no", **more))


# --- retry ------------------------------------------------------------------------------------------------------------


async def test_a_passing_failure_is_tried_again_after_growing_waits():
    course = Course()
    course.script["a"] = [fails(ServiceError), fails(ServiceError), OK]
    call = await course.ask(route(entry("a")), retries=2)
    assert course.asked == ["a", "a", "a"]
    first, second = course.clock.slept
    assert 0.375 <= first <= 0.625 < 0.75 <= second <= 1.25
    assert [attempt.error for attempt in call.attempts] == ["ServiceError", "ServiceError", None]
    assert [attempt.waited for attempt in call.attempts] == [0.0, first, second]


async def test_what_the_provider_asks_for_is_waited_to_the_letter():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=7), OK]
    await course.ask(route(entry("a")), retries=1)
    assert course.clock.slept == [7]


async def test_a_wait_beyond_the_cap_is_not_waited():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=61)]
    with pytest.raises(RateLimitError) as caught:
        await course.ask(route(entry("a")), retries=5)
    assert (course.asked, course.clock.slept, caught.value.retry_after) == (["a"], [], 61)


async def test_a_wait_beyond_the_deadline_is_not_waited():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=10)]
    with pytest.raises(RateLimitError):
        await course.ask(route(entry("a")), retries=5, timeout=10)
    assert (course.asked, course.clock.slept) == (["a"], [])


async def test_a_dropped_connection_is_tried_at_once_then_after_a_wait():
    course = Course()
    course.script["a"] = [fails(APIConnectionError), fails(APIConnectionError), OK]
    await course.ask(route(entry("a")), retries=2)
    assert len(course.asked) == 3
    assert len(course.clock.slept) == 1


@pytest.mark.parametrize("error", [AuthenticationError, ResourceExhaustedError, InvalidRequestError, ModelError])
async def test_what_does_not_pass_is_never_tried_again(error):
    course = Course()
    course.script["a"] = [fails(error)]
    with pytest.raises(error):
        await course.ask(route(entry("a")), retries=5)
    assert course.asked == ["a"]


async def test_a_kind_of_error_may_have_its_own_rules():
    course = Course()
    course.script["a"] = [fails(RateLimitError), fails(ServiceError), fails(ServiceError), OK]
    backoff = Backoff(jitter=0, kinds={"RateLimitError": OfKind(first=9), "ServiceError": OfKind(retries=1)})
    with pytest.raises(ServiceError):
        await course.ask(route(entry("a")), retries=5, backoff=backoff)
    assert course.clock.slept == [9, 1]


async def test_retries_stop_when_a_target_is_down_for_everyone():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    for _ in range(20):
        with pytest.raises(ServiceError):
            await course.ask(route(entry("a")), retries=5, backoff=Backoff(first=0))
    assert len(course.asked) == 20 + 20  # each call once, and twenty retries for all of them together
    course.clock.advance(100)
    course.script["a"] = [fails(ServiceError), OK]
    await course.ask(route(entry("a")), retries=5, backoff=Backoff(first=0))


# --- siblings and fallbacks -------------------------------------------------------------------------------------------


async def test_a_sibling_that_is_ready_beats_waiting():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=5)]
    call = await course.ask(route(entry("a", "b")), retries=2)
    assert (course.asked, course.clock.slept) == (["a", "b"], [])
    assert call.target.name == "b"


async def test_when_all_siblings_failed_the_one_that_is_ready_first_is_tried_again():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=5), OK]
    course.script["b"] = [fails(RateLimitError, retry_after=3), OK]
    await course.ask(route(entry("a", "b")), retries=1)
    assert (course.asked, course.clock.slept) == (["a", "b", "b"], [3])


async def test_retries_come_before_fallbacks():
    course = Course()
    course.script["a"] = [fails(OverloadedError)]
    await course.ask(route(entry("a"), entry("b", name="f")), retries=2)
    assert course.asked == ["a", "a", "a", "b"]


@pytest.mark.parametrize("error", [AuthenticationError, ResourceExhaustedError, ModelError])
async def test_what_is_wrong_here_only_moves_at_once(error):
    course = Course()
    course.script["a"] = [fails(error)]
    await course.ask(route(entry("a"), entry("b", name="f")), retries=2)
    assert (course.asked, course.clock.slept) == (["a", "b"], [])


async def test_a_wrong_request_is_raised_as_it_is():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    course.script["b"] = [fails(InvalidRequestError)]
    with pytest.raises(InvalidRequestError):
        await course.ask(route(entry("a"), entry("b", name="f"), entry("c", name="g")))
    assert course.asked == ["a", "b"]


async def test_all_that_failed_are_named_with_the_earliest_time_to_try_again():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=90)]
    course.script["b"] = [fails(RateLimitError, retry_after=70)]
    with pytest.raises(AllTargetsFailed) as caught:
        await course.ask(route(entry("a"), entry("b", name="f")), retries=2)
    assert [cause.kind for cause in caught.value.causes] == ["RateLimitError", "RateLimitError"]
    assert caught.value.retry_after == 70


@pytest.mark.parametrize(
    ("error", "chain"), [(ContextWindowError, "on_context_window"), (ContentPolicyError, "on_content_policy")]
)
async def test_some_failures_have_a_chain_of_their_own(error, chain):
    course = Course()
    course.script["a"] = [fails(error)]
    on = route(entry("a", "b"), entry("f", name="f"), **{chain: (entry("special", name="s"),)})
    await course.ask(on, retries=2)
    assert course.asked == ["a", "special"]


async def test_without_a_chain_the_same_model_is_not_asked_twice():
    course = Course()
    course.script["a"] = [fails(ContextWindowError)]
    pool = entry(target("a", model="m"), target("b", model="m"), target("c", model="n"))
    await course.ask(route(pool), retries=2)
    assert course.asked == ["a", "c"]


async def test_a_conversation_that_is_too_long_is_shortened_where_asked():
    course = Course()
    lengths = []
    course.on_ask = lambda call: lengths.append(len(call.request.messages))
    course.script["a"] = [fails(ContextWindowError), OK]
    from trunkline.vocabulary.messages import said

    call = course.call(route(entry("a")), retries=1, truncate=True)
    messages = [
        said("system", "Be brief."),
        *(said(role, "x" * 100) for _ in range(5) for role in ("user", "assistant")),
    ]
    call = call.asking(type(call.request)(model="r", messages=(*messages, said("user", "And now?"))))
    await course.run(call)
    assert lengths[0] == 12
    assert lengths[1] < 12


async def test_without_being_asked_nothing_is_left_out():
    course = Course()
    course.script["a"] = [fails(ContextWindowError)]
    with pytest.raises(ContextWindowError):
        await course.ask(route(entry("a")), retries=3)
    assert course.asked == ["a"]


# --- how many attempts ------------------------------------------------------------------------------------------------

POOLS = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    pools=POOLS,
    retries=st.integers(0, 6),
    most=st.none() | st.integers(1, 8),
    strategy=st.sampled_from(["ordered", "simple-shuffle", "least-busy", "round-robin", "lowest-latency"]),
    error=st.sampled_from([ServiceError, OverloadedError, APIConnectionError]),
)
def test_attempts_are_targets_plus_retries_whatever_is_nested(pools, retries, most, strategy, error):
    """The documented budget: each target once, and `retries` more in all, at the most `attempts`."""
    course = Course()
    names = {name for pool in pools for name in pool}
    course.script = {name: [fails(error)] for name in names}
    entries = [entry(*pool, name=f"e{at}", strategy=strategy) for at, pool in enumerate(pools)]

    async def run():
        with pytest.raises((AllTargetsFailed, error)):
            await course.ask(route(*entries), retries=retries, attempts=most)

    asyncio.run(run())
    assert len(course.asked) == min(len(names) + retries, most or 100)
    assert set(course.asked) == names or most is not None
    assert all(figures == 0 for figures in (course.board[name].in_flight for name in names))


# --- health -----------------------------------------------------------------------------------------------------------


async def test_a_target_that_keeps_failing_is_left_alone_and_found_again():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    pool = route(entry("a", "b"))
    for _ in range(5):
        await course.ask(pool)
    course.asked.clear()
    await course.ask(pool)
    assert course.asked == ["b"]
    course.clock.advance(5)
    course.script["a"] = [OK]
    await course.ask(pool)
    assert course.asked == ["b", "a"]
    await course.ask(pool)
    assert course.asked == ["b", "a", "a"]


async def test_the_rest_that_a_provider_asks_for_is_kept_by_all_calls():
    course = Course()
    course.script["a"] = [fails(RateLimitError, retry_after=30), OK]
    pool = route(entry("a", "b"))
    await course.ask(pool)
    course.clock.advance(29)
    await course.ask(pool)
    assert course.asked == ["a", "b", "b"]
    course.clock.advance(1)
    await course.ask(pool)
    assert course.asked == ["a", "b", "b", "a"]


async def test_the_last_target_of_a_route_is_never_rested():
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    for _ in range(10):
        with pytest.raises(ServiceError):
            await course.ask(route(entry("a")))
    assert len(course.asked) == 10


async def test_a_callers_faults_do_not_count_against_a_target():
    course = Course()
    course.script["a"] = [fails(InvalidRequestError)]
    pool = route(entry("a", "b"))
    for _ in range(20):
        with pytest.raises(InvalidRequestError):
            await course.ask(pool)
    assert course.asked == ["a"] * 20


async def test_one_call_finds_out_whether_a_rested_target_is_well():
    course = Course()
    course.script["a"] = [fails(ServiceError)] * 5 + [Said(after=10)]
    pool = route(entry("a", "b"))
    for _ in range(5):
        await course.ask(pool)
    course.clock.advance(5)
    course.asked.clear()
    probe = asyncio.create_task(course.ask(pool))
    await turns()
    for _ in range(3):
        await course.ask(pool)
    assert course.asked == ["a", "b", "b", "b"]
    course.clock.advance(10)
    await probe
    await turns()
    course.script["a"] = [OK]
    await course.ask(pool)
    assert course.asked[-1] == "a"


# --- what a target says itself ----------------------------------------------------------------------------------------


async def test_a_target_may_have_retries_of_its_own():
    course = Course()
    course.script = {"a": [fails(ServiceError)], "b": [fails(ServiceError)], "c": [fails(ServiceError)]}
    with pytest.raises(AllTargetsFailed):
        await course.ask(route(entry(target("a", retries=2)), entry(target("b", retries=0)), entry("c")), retries=1)
    assert course.asked == ["a", "a", "a", "b", "c", "c"]


async def test_a_target_may_have_a_backoff_of_its_own():
    course = Course()
    course.script["a"] = [fails(ServiceError), fails(ServiceError), OK]
    own = Backoff(first=1.0, factor=3.0, jitter=0)
    await course.ask(route(entry(target("a", retries=2, backoff=own))), retries=0)
    assert course.clock.slept == [1.0, 3.0]


async def test_a_kind_that_does_not_pass_is_tried_again_where_it_has_retries_of_its_own():
    course = Course()
    course.script["a"] = [fails(ResourceExhaustedError), OK]
    own = Backoff(kinds={"ResourceExhaustedError": OfKind(retries=1)})
    await course.ask(route(entry("a")), retries=3, backoff=own)
    assert course.asked == ["a", "a"]


async def test_where_targets_have_a_backoff_of_their_own_a_kinds_retries_are_theirs():
    course = Course()
    course.script = {"a": [fails(ModelError)], "b": [fails(ModelError)]}
    own = {"retries": 2, "backoff": Backoff(kinds={"ModelError": OfKind(retries=2)})}
    with pytest.raises(AllTargetsFailed):
        await course.ask(route(entry(target("a", **own)), entry(target("b", **own))))
    assert course.asked == ["a", "a", "a", "b", "b", "b"]


async def test_what_one_target_went_through_says_nothing_of_another_of_the_same_name():
    course = Course()
    course.script["a"] = [fails(AuthenticationError), OK]
    spare = entry("spare")
    await course.ask(route(entry(target("a")), spare))
    await course.ask(route(entry(target("a", id="a #2")), spare))
    assert course.asked == ["a", "spare", "a"]


async def test_somebody_may_want_the_next_asked_though_the_request_is_invalid():
    course = Course()
    course.script = {"a": [fails(InvalidRequestError)], "b": [OK]}
    own = Backoff(kinds={"InvalidRequestError": OfKind(moves=True)})
    await course.ask(route(entry("a"), entry("b")), backoff=own)
    assert course.asked == ["a", "b"]
    with pytest.raises(InvalidRequestError):
        await course.ask(route(entry("a"), entry("b")))
