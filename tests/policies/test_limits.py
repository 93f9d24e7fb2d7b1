"""Limits and budgets: what is reserved, for whom, when it comes back, and what a caller hears of it."""

import asyncio
from decimal import Decimal

import pytest
from course import OK, USED, Course, Said, bucket, entry, route, target, turns

from trunkline.models.cost import Tariff
from trunkline.policies.limits import UNKNOWN_MOST, overspend, worst
from trunkline.policies.sizes import Size, size_of
from trunkline.state.figures import Rolling
from trunkline.vocabulary.buckets import NANO, Buckets, Refusal
from trunkline.vocabulary.calls import Outcome
from trunkline.vocabulary.errors import (
    AllTargetsFailed,
    APIConnectionError,
    BudgetError,
    InvalidRequestError,
    LimitError,
    ServiceError,
)
from trunkline.vocabulary.parts import Image, Source
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.usage import Usage

pytestmark = pytest.mark.anyio

RPM = bucket("payer:alice", "requests", 3)
TPM = bucket("payer:alice", "tokens", 1000)
SLOTS = bucket("payer:alice", "slots", 2)
OF_TARGET = bucket("target:a", "requests", 10)
ALICE = {"payer": "alice"}


def dollars(name, amount, period="month"):
    return bucket(name, "money", int(Decimal(amount) * NANO), period=period)


def fails(error, **more):
    return Said(error=error("no", **more))


def unsent(error):
    made = error("not even sent")
    made.sent = False
    return Said(error=made)


# --- once for a call, once for an attempt -----------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["payer:alice", "owner:research"])
async def test_a_callers_request_counts_once_however_often_it_is_tried(whose):
    mine = bucket(whose, "requests", 10)
    course = Course(buckets=[mine])
    course.script["a"] = [fails(ServiceError), fails(ServiceError), OK]
    await course.ask(route(entry(target("a", OF_TARGET))), retries=2, **ALICE)
    assert (await course.free(mine), await course.free(OF_TARGET)) == (9, 7)


async def test_a_routes_request_counts_once_though_two_targets_are_asked():
    mine, a, b = (
        bucket("route:r", "requests", 10),
        bucket("target:a", "requests", 10),
        bucket("target:b", "requests", 9),
    )
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    await course.ask(route(entry(target("a", a)), entry(target("b", b), name="f"), buckets=Buckets([mine])))
    assert [await course.free(one) for one in (mine, a, b)] == [9, 9, 8]


async def test_targets_of_one_account_share_its_bucket():
    account = bucket("bucket:account", "requests", 10)
    course = Course()
    course.script["a"] = [fails(ServiceError)]
    await course.ask(route(entry(target("a", account), target("b", account))))
    assert await course.free(account) == 8


async def test_one_limit_holds_for_all_calls_of_a_payer():
    course = Course(buckets=[RPM])
    for _ in range(3):
        await course.ask(route(entry("a")), **ALICE)
    with pytest.raises(LimitError) as caught:
        await course.ask(route(entry("a")), **ALICE)
    assert len(course.asked) == 3
    assert "alice's" in str(caught.value)
    assert "3 requests" in str(caught.value)
    assert 60 <= caught.value.retry_after < 62
    course.clock.advance(caught.value.retry_after)
    await course.ask(route(entry("a")), **ALICE)


async def test_our_own_limit_is_neither_retried_nor_moved_nor_held_against_a_target():
    course = Course(buckets=[bucket("payer:alice", "requests", 1)])
    pool = route(entry("a"), entry("b", name="f"))
    await course.ask(pool, **ALICE)
    for _ in range(20):
        with pytest.raises(LimitError):
            await course.ask(pool, retries=5, **ALICE)
    assert (course.asked, course.clock.slept) == (["a"], [])
    assert course.state.resting("a") == 0
    assert course.board["a"].in_a_row == 0


async def test_a_call_that_is_refused_takes_nothing():
    course = Course(buckets=[RPM, bucket("owner:research", "requests", 1)])
    await course.ask(route(entry("a")), **ALICE)
    for _ in range(3):
        with pytest.raises(LimitError) as caught:
            await course.ask(route(entry("a")), **ALICE)
    assert "the owner research's" in str(caught.value)
    assert await course.free(RPM) == 2


async def test_without_its_counters_a_closed_state_lets_nobody_through():
    course = Course(buckets=[RPM])

    async def unreachable(*claims, target=None):
        return Refusal(why="unreachable")

    course.state.reserve = unreachable
    with pytest.raises(LimitError) as caught:
        await course.ask(route(entry(target("a", OF_TARGET)), entry("b", name="f")), retries=3, **ALICE)
    assert (course.asked, caught.value.status) == ([], 503)
    with pytest.raises(LimitError):
        await course.ask(route(entry(target("a", OF_TARGET), "b")))


# --- what comes back --------------------------------------------------------------------------------------------------


async def test_what_was_not_used_comes_back():
    course = Course(buckets=[TPM])
    await course.ask(route(entry("a")), most=90, **ALICE)
    assert await course.free(TPM) == 1000 - USED.total_tokens


async def test_while_it_runs_the_worst_is_reserved():
    course = Course(buckets=[TPM])
    free = []
    call = course.call(route(entry("a")), most=90, **ALICE)
    course.on_ask = lambda call: free.append(asyncio.ensure_future(course.free(TPM)))
    course.script["a"] = [Said(after=1)]
    running = asyncio.create_task(course.run(call))
    await turns()
    assert free[0].result() == 1000 - 90 - size_of(call).prompt("a")
    course.clock.advance(1)
    await running


@pytest.mark.parametrize("held", [RPM, TPM, SLOTS])
async def test_what_was_never_sent_is_given_back_whole(held):
    course = Course(buckets=[held])
    own = bucket("target:a", held.measure, 500)
    course.script["a"] = [unsent(InvalidRequestError)]
    with pytest.raises(InvalidRequestError):
        await course.ask(route(entry(target("a", own))), **ALICE)
    assert (await course.free(held), await course.free(own)) == (held.limit, 500)


async def test_a_request_that_failed_counts_and_its_tokens_do_not():
    course = Course(buckets=[RPM, TPM, SLOTS])
    course.script["a"] = [fails(ServiceError)]
    with pytest.raises(ServiceError):
        await course.ask(route(entry("a")), **ALICE)
    assert [await course.free(one) for one in (RPM, TPM, SLOTS)] == [2, 1000, 2]


async def test_tokens_beyond_what_was_reserved_are_debited():
    course = Course(buckets=[TPM])
    course.script["a"] = [Said(usage=Usage(input=300, output=200))]
    await course.ask(route(entry("a")), most=10, **ALICE)
    assert await course.free(TPM) == 500


async def test_an_answer_without_usage_has_used_what_was_reserved():
    course = Course(buckets=[TPM])
    course.script["a"] = [Said(usage=None)]
    call = course.call(route(entry("a")), most=90, **ALICE)
    await course.run(call)
    assert await course.free(TPM) == 1000 - 90 - size_of(call).prompt("a")


async def test_a_stream_holds_its_reservation_until_its_end():
    course = Course(buckets=[SLOTS, TPM])
    mine = bucket("target:a", "slots", 5)
    await course.ask(route(entry(target("a", mine))), stream=True, **ALICE)
    assert (await course.free(SLOTS), await course.free(mine)) == (1, 4)
    course.answers[0].end(Outcome(kind="finished", usage=USED))
    assert (await course.free(SLOTS), await course.free(mine)) == (2, 5)
    assert await course.free(TPM) == 1000 - USED.total_tokens


@pytest.mark.parametrize("kind", ["cut", "cancelled"])
async def test_a_stream_that_breaks_off_is_settled_with_the_estimate_of_what_came(kind):
    course = Course(buckets=[TPM, SLOTS])
    call = await course.ask(route(entry("a")), stream=True, most=500, **ALICE)
    guess = Usage(input=9, output=31, estimated=True)
    course.answers[0].end(Outcome(kind=kind, usage=guess))
    assert (await course.free(TPM), await course.free(SLOTS)) == (960, 2)
    assert (call.attempts[0].outcome, call.attempts[0].usage.estimated) == (kind, True)


async def test_a_stream_that_is_abandoned_unheard_has_used_what_was_reserved():
    course = Course(buckets=[TPM])
    call = course.call(route(entry("a")), stream=True, most=90, **ALICE)
    answer = await course.run(call)
    answer.abandon()
    assert await course.free(TPM) == 1000 - 90 - size_of(call).prompt("a")


async def test_a_caller_who_leaves_pays_the_prompt_and_gives_the_rest_back():
    course = Course(buckets=[RPM, TPM, SLOTS], prices={"a": "0.01"})
    mine = bucket("target:a", "slots", 5)
    course.script["a"] = [Said(after=10)]
    call = course.call(route(entry(target("a", mine))), most=90, **ALICE)
    running = asyncio.create_task(course.run(call))
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    prompt = size_of(call).prompt("a")
    assert [await course.free(one) for one in (RPM, TPM, SLOTS, mine)] == [2, 1000 - prompt, 2, 5]
    (attempt,) = call.attempts
    assert (attempt.outcome, attempt.usage) == ("cancelled", Usage(input=prompt, estimated=True))
    assert attempt.cost == Decimal("0.01") * prompt


async def test_a_caller_who_leaves_while_it_waits_leaves_nothing_behind():
    course = Course(buckets=[RPM, SLOTS])
    one = bucket("target:a", "slots", 1)
    course.script["a"] = [Said(after=10)]
    pool = route(entry(target("a", one)))
    first = asyncio.create_task(course.ask(pool, **ALICE))
    await turns()
    second = asyncio.create_task(course.ask(pool, **ALICE))
    await turns()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await course.free(RPM) == 2
    course.clock.advance(10)
    await first
    assert (await course.free(SLOTS), await course.free(one)) == (2, 1)
    assert not course.lines.waiting


# --- budgets of money -------------------------------------------------------------------------------------------------

PRICED = {"a": "0.01", "b": "0.02"}  # dollars a token


async def test_a_budget_reserves_the_worst_and_settles_the_truth():
    purse = dollars("payer:alice", 10)
    course = Course(buckets=[purse], prices=PRICED)
    call = course.call(route(entry("a")), stream=True, most=90, **ALICE)
    answer = await course.run(call)
    reserved = (90 + size_of(call).prompt("a")) * NANO // 100
    assert await course.free(purse) == 10 * NANO - reserved
    answer.cost = Decimal("0.15")
    answer.end(Outcome(kind="finished", usage=USED))
    assert await course.free(purse) == 10 * NANO - 15 * NANO // 100


async def test_a_call_that_could_overspend_is_refused_before_anything_is_sent():
    purse = dollars("payer:alice", 1)
    course = Course(buckets=[purse], prices=PRICED)
    with pytest.raises(BudgetError) as caught:
        await course.ask(route(entry("a"), entry("b", name="f")), most=100, retries=3, **ALICE)
    assert (course.asked, await course.free(purse)) == ([], NANO)
    assert caught.value.status == 402
    assert "alice's budget of $1 a month" in str(caught.value)


async def test_a_budget_lets_in_what_fits_and_no_more():
    purse = dollars("payer:alice", 3)
    course = Course(buckets=[purse], prices=PRICED)
    course.script["a"] = [Said(usage=Usage(output=60))]
    asked = 0
    with pytest.raises(BudgetError):
        while True:
            await course.ask(route(entry("a")), most=60, **ALICE)
            asked += 1
    assert asked == len(course.asked) == 4
    assert await course.free(purse) == 3 * NANO - 4 * 60 * NANO // 100


async def test_who_is_dearer_than_the_first_reserves_the_difference():
    purse = dollars("payer:alice", 10)
    course = Course(buckets=[purse], prices=PRICED)
    course.script["a"] = [fails(ServiceError)]
    call = course.call(route(entry("a"), entry("b", name="f")), stream=True, most=90, **ALICE)
    await course.run(call)
    assert await course.free(purse) == 10 * NANO - (90 + size_of(call).prompt("b")) * NANO // 50
    course.answers[0].cost = Decimal("0.3")
    course.answers[0].end(Outcome(kind="finished", usage=USED))
    assert await course.free(purse) == 10 * NANO - 3 * NANO // 10


async def test_who_is_cheaper_than_the_first_reserves_nothing_more():
    purse = dollars("payer:alice", 10)
    course = Course(buckets=[purse], prices=PRICED)
    course.script["b"] = [fails(ServiceError)]
    call = course.call(route(entry("b"), entry("a", name="f")), stream=True, most=90, **ALICE)
    await course.run(call)
    assert await course.free(purse) == 10 * NANO - (90 + size_of(call).prompt("b")) * NANO // 50
    course.answers[0].end(Outcome(kind="finished", usage=USED))
    assert await course.free(purse) == 10 * NANO - USED.total_tokens * NANO // 100


async def test_a_sibling_that_the_budget_does_not_cover_is_refused():
    purse = dollars("payer:alice", 1)
    course = Course(buckets=[purse], prices={"a": "0.001", "b": "0.05"})
    course.script["a"] = [fails(ServiceError)]
    with pytest.raises((BudgetError, AllTargetsFailed)):
        await course.ask(route(entry("a", "b")), most=60, **ALICE)
    assert course.asked == ["a"]
    assert await course.free(purse) == NANO


async def test_an_unknown_price_is_refused_under_a_budget():
    course = Course(buckets=[dollars("payer:alice", 10)], prices=PRICED)
    with pytest.raises(BudgetError) as caught:
        await course.ask(route(entry("unpriced")), **ALICE)
    assert (course.asked, caught.value.code) == ([], "unpriced_model")
    assert "'unpriced: allow'" in str(caught.value)


async def test_among_siblings_those_with_a_price_are_asked():
    course = Course(buckets=[dollars("payer:alice", 10)], prices=PRICED)
    call = await course.ask(route(entry("unpriced", "a")), **ALICE)
    assert course.asked == ["a"]
    assert "its price is unknown" in {one.target: one.why for one in call.decided.considered}["unpriced"]


async def test_an_unknown_price_may_be_allowed():
    purse = dollars("payer:alice", 10)
    course = Course(buckets=[purse], prices=PRICED, unpriced=True)
    await course.ask(route(entry("unpriced")), **ALICE)
    assert (course.asked, await course.free(purse)) == (["unpriced"], 10 * NANO)


async def test_without_a_budget_of_money_a_price_need_not_be_known():
    course = Course(buckets=[TPM, bucket("payer:alice", "tokens", 500, period="day")])
    await course.ask(route(entry("unpriced")), **ALICE)
    assert course.asked == ["unpriced"]


async def test_both_racers_are_paid_for():
    purse = dollars("payer:alice", 10)
    course = Course(buckets=[purse], prices=PRICED)
    course.script["a"] = [fails(ServiceError), OK]
    course.script["b"] = [Said(usage=Usage(output=20))]
    call = await course.ask(route(entry("a"), entry("b", name="f")), **ALICE)
    assert call.decided.cost == Decimal("0.4")
    assert await course.free(purse) == 10 * NANO - 4 * NANO // 10


# --- how much is the worst --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "p99", "max_output", "answers", "output"),
    [
        (50, 70.0, 100, 1, 50),  # what the caller allows
        (500, 70.0, 100, 1, 100),  # but not more than the model can
        (500, None, None, 1, 500),
        (None, 70.0, 100, 1, 70),  # what its answers were lately
        (None, None, 100, 1, 100),  # what the model can
        (None, None, None, 1, UNKNOWN_MOST),
        (50, 70.0, 100, 3, 150),  # for each answer
        (None, 70.0, 100, 4, 280),
    ],
)
def test_the_worst_is_what_is_asked_then_what_is_usual_then_what_is_possible(most, p99, max_output, answers, output):
    size = Size(400, 0, most, answers)
    tariff = Tariff(max_output, ((0, 10**10, 10**12),))  # a cent and a dollar
    usual = Rolling()
    for _ in range(0 if p99 is None else 20):
        usual.add(p99)
    needed = worst(size, target("a"), tariff, usual)
    assert (needed.tokens, needed.money) == (100 + output, Decimal(1) + output)


async def test_the_usual_length_is_learned_from_answers():
    course = Course(buckets=[TPM])
    course.script["a"] = [Said(usage=Usage(input=1, output=7))]
    for _ in range(30):
        await course.ask(route(entry("a")), **ALICE)
        course.clock.advance(61)
    call = course.call(route(entry("a")), stream=True, most=None, **ALICE)
    await course.run(call)
    assert await course.free(TPM) == 1000 - 7 - size_of(call).prompt("a")


def test_a_picture_is_not_counted_as_text():
    course = Course()
    call = course.call(route(entry("a")))
    letters = size_of(call).prompt("a")
    picture = Image(Source(data="A" * 400_000, media_type="image/png"))
    message = call.request.messages[0]
    shown = call.asking(Request(model="r", messages=(type(message)("user", (*message.parts, picture)),)))
    assert letters + 1000 <= size_of(shown).prompt("a") <= letters + 1100


def test_a_bound_on_overspending():
    assert overspend(8, Decimal("0.5"), Decimal("0.2")) == Decimal("2.4")
    assert overspend(8, Decimal("0.2"), Decimal("0.5")) == 0


async def test_a_budget_is_overspent_by_no_more_than_its_bound():
    """Calls at the same time whose answers are longer than 99 of 100 were."""
    purse = dollars("payer:alice", 5)
    course = Course(buckets=[purse], prices=PRICED)
    course.script["a"] = [Said(usage=Usage(input=1, output=10))]
    for _ in range(20):
        await course.ask(route(entry("a")), **ALICE)
    course.script["a"] = [Said(after=1, usage=Usage(output=100))]
    before = await course.free(purse)
    calls = [asyncio.create_task(course.ask(route(entry("a")), most=None, **ALICE)) for _ in range(40)]
    await turns(200)
    admitted = course.running["a"]
    course.clock.advance(1)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ended if isinstance(end, Exception)} == {BudgetError}
    reserved = Decimal(before) / NANO / admitted
    spent = admitted * Decimal(1)
    assert 0 < spent - Decimal(before) / NANO <= overspend(admitted, Decimal(1), reserved) + Decimal("0.2")


# --- a target's limits ------------------------------------------------------------------------------------------------


async def test_a_sibling_with_room_is_asked_instead_of_a_full_one():
    course = Course()
    full = bucket("target:a", "requests", 1)
    pool = route(entry(target("a", full), "b"))
    for _ in range(3):
        await course.ask(pool)
    assert course.asked == ["a", "b", "b"]


async def test_a_full_pool_moves_to_the_next_entry_at_once():
    course = Course()
    pool = route(entry(target("a", bucket("target:a", "requests", 1))), entry("b", name="f"))
    await course.ask(pool)
    call = await course.ask(pool)
    assert (course.asked, course.clock.slept) == (["a", "b"], [])
    assert "requests of target:a are used up" in {one.target: one.why for one in call.decided.considered}["a"]


async def test_the_last_pool_is_waited_for():
    course = Course(queue_seconds=100)
    pool = route(entry(target("a", bucket("target:a", "requests", 1))))
    await course.ask(pool)
    call = await course.ask(pool)
    (waited,) = course.clock.slept
    assert 60 <= waited < 62
    assert call.attempts[0].waited == call.decided.waited == waited


async def test_nobody_waits_longer_than_the_queue_says():
    course = Course(queue_seconds=30)
    pool = route(entry(target("a", bucket("target:a", "requests", 1))))
    await course.ask(pool)
    with pytest.raises(LimitError) as caught:
        await course.ask(pool)
    assert (course.asked, course.clock.slept, caught.value.code) == (["a"], [], "no_target")
    assert 60 <= caught.value.retry_after < 62


async def test_what_is_larger_than_the_whole_limit_is_not_waited_for():
    course = Course(queue_seconds=1000)
    with pytest.raises(LimitError) as caught:
        await course.ask(route(entry(target("a", bucket("target:a", "tokens", 20)))), most=90)
    assert (course.asked, course.clock.slept) == ([], [])
    assert "larger than a limit of target:a" in str(caught.value)


async def test_connections_that_fail_count_as_requests_of_the_target():
    course = Course()
    course.script["a"] = [fails(APIConnectionError), OK]
    await course.ask(route(entry(target("a", OF_TARGET))), retries=1)
    assert await course.free(OF_TARGET) == 8


def test_an_answer_is_as_long_as_its_targets_own_settings_allow():
    capped = target("a", settings=Settings(max_tokens=7))
    tariff = Tariff(100, ())
    assert worst(Size(text=0, most=None), capped, tariff, None).tokens == 7
    assert worst(Size(text=0, most=3), capped, tariff, None).tokens == 3
    assert worst(Size(text=0, most=None), target("b"), tariff, None).tokens == 100
