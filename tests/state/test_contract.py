"""What every state does: the same for one process and for many."""

from datetime import UTC, datetime

import pytest
from worlds import FAR, claim, together

from trunkline.vocabulary.buckets import Granted, Refusal, Used

pytestmark = pytest.mark.anyio


async def granted(world, *claims, target=None):
    verdict = await world.reserve(*claims, target=target)
    assert isinstance(verdict, Granted), verdict
    return verdict


async def refused(world, *claims, target=None):
    verdict = await world.reserve(*claims, target=target)
    assert isinstance(verdict, Refusal), verdict
    return verdict


async def room(world, of):
    """How many more of it fit, found out by taking them."""
    for count in range(1000):
        if not isinstance(await world.reserve(of), Granted):
            return count
    raise AssertionError


async def test_a_reservation_for_each_claim(world):
    claims = together(claim(), claim(measure="slots")), claim(name="target:a")
    verdict = await granted(world, *claims)
    assert [reservation.claim for reservation in verdict.reservations] == [*claims]
    assert len({reservation.id for reservation in verdict.reservations}) == 2
    assert not verdict.probe


async def test_all_claims_are_taken_or_none(world):
    wide, narrow = claim(limit=3), claim(name="target:a", limit=1)
    day = claim(5, measure="tokens", limit=15, period="day")
    slot = claim(measure="slots", limit=3)
    await granted(world, together(wide, day, slot), narrow)
    refusal = await refused(world, together(wide, day, slot), narrow)
    assert (refusal.why, refusal.claim, refusal.bucket) == ("full", 1, narrow.buckets[0])
    assert await room(world, wide) == 2
    assert await room(world, day) == 2
    assert await room(world, slot) == 2


async def test_a_bucket_that_is_claimed_twice_counts_twice(world):
    await refused(world, claim(limit=1), claim(limit=1))
    await granted(world, claim(limit=2), claim(limit=2))
    await refused(world, claim(limit=2))


async def test_buckets_of_one_name_share_and_others_do_not(world):
    await granted(world, claim(limit=1))
    await refused(world, claim(limit=1))
    await granted(world, claim(limit=2))  # the limit is the claim's own: configuration may change
    await granted(world, claim(limit=1, seconds=30.0))
    await granted(world, claim(limit=1, measure="tokens"))
    await granted(world, claim(limit=1, name="payer:bob"))


async def test_more_than_the_whole_bucket_never_fits(world):
    for of in (claim(11), claim(11, period="day"), claim(11, measure="slots"), claim(1, limit=0)):
        assert (await refused(world, of)).retry_after is None


@pytest.mark.parametrize("seconds", [0.7, 1.0, 60.0, 3600.0])
@pytest.mark.parametrize(("amount", "halves"), [(1, 1), (4, 1), (5, 2), (10, 2)])
async def test_a_window_says_when_there_is_room(world, seconds, amount, halves):
    tokens = {"measure": "tokens", "limit": 10, "seconds": seconds}
    await granted(world, claim(4, **tokens))
    await world.pass_time(seconds / 2)
    await granted(world, claim(6, **tokens))
    wait = (await refused(world, claim(amount, **tokens))).retry_after
    assert halves * seconds / 2 <= wait <= halves * seconds / 2 + seconds / 60 + 1e-5
    await world.pass_time(wait - 1e-5)
    await refused(world, claim(amount, **tokens))
    await world.pass_time(1e-5)
    await granted(world, claim(amount, **tokens))


async def test_nothing_is_left_of_a_window_that_has_passed(world):
    assert await room(world, claim()) == 10
    await world.pass_time(62.0)
    assert await room(world, claim()) == 10
    await world.pass_time(1e6)
    assert await room(world, claim()) == 10


async def test_tokens_that_were_not_used_go_back_to_when_they_were_reserved(world):
    tokens = {"measure": "tokens", "limit": 100}
    verdict = await granted(world, claim(80, **tokens))
    await world.pass_time(30.0)
    await granted(world, claim(20, **tokens))
    world.settle(verdict.reservations[0], Used(tokens=30))
    assert await room(world, claim(10, **tokens)) == 5
    await world.pass_time(31.0)  # the 30 fall out, and the 50 of a moment ago stay
    assert await room(world, claim(10, **tokens)) == 3


async def test_tokens_that_go_back_after_their_window_change_nothing(world):
    tokens = {"measure": "tokens", "limit": 100}
    verdict = await granted(world, claim(80, **tokens))
    await world.pass_time(70.0)
    await granted(world, claim(60, **tokens))
    world.settle(verdict.reservations[0], Used(tokens=10))
    assert await room(world, claim(10, **tokens)) == 4


async def test_tokens_beyond_what_was_reserved_are_debited_now(world):
    tokens = {"measure": "tokens", "limit": 100}
    verdict = await granted(world, claim(50, **tokens))
    await world.pass_time(59.0)
    world.settle(verdict.reservations[0], Used(tokens=150))
    await refused(world, claim(0, **tokens))
    await world.pass_time(2.0)  # the 50 that were reserved fall out, the late ones stay
    assert await room(world, claim(1, **tokens)) == 0
    await world.pass_time(59.0)
    assert await room(world, claim(10, **tokens)) == 10


async def test_requests_stay_counted_unless_nothing_was_sent(world):
    first, second = [(await granted(world, claim(limit=2))).reservations[0] for _ in range(2)]
    world.settle(first, Used())
    await refused(world, claim(limit=2))
    world.settle(second, None)
    assert await room(world, claim(limit=2)) == 1


async def test_slots_come_back(world):
    slot = claim(measure="slots", limit=2)
    first, second = [(await granted(world, slot)).reservations[0] for _ in range(2)]
    assert (await refused(world, slot)).retry_after is None
    await world.pass_time(10_000.0)
    await refused(world, slot)
    world.settle(first, Used(tokens=5))
    world.settle(second, None)
    assert await room(world, slot) == 2


async def test_a_settlement_counts_once(world):
    slot, tokens, money = (
        claim(measure="slots", limit=3),
        claim(10, measure="tokens", limit=100),
        claim(10, measure="money", limit=100, period="month"),
    )
    kept, settled = [(await granted(world, together(slot, tokens, money))).reservations[0] for _ in range(2)]
    for used in (Used(tokens=5, money=20), Used(tokens=5, money=20), None):
        world.settle(settled, used)
    assert kept.id != settled.id
    assert await room(world, slot) == 2
    assert await room(world, claim(5, measure="tokens", limit=100)) == 17
    assert await room(world, claim(5, measure="money", limit=100, period="month")) == 14


async def test_a_budget_counts_what_is_spent_and_what_is_reserved(world):
    money = {"measure": "money", "limit": 10**12, "period": "month"}
    verdict = await granted(world, claim(6 * 10**11, **money))
    await refused(world, claim(4 * 10**11 + 1, **money))
    await granted(world, claim(4 * 10**11, **money))
    world.settle(verdict.reservations[0], Used(money=6 * 10**11 - 3))
    await refused(world, claim(4, **money))
    await granted(world, claim(3, **money))


async def test_a_budget_may_be_overspent_by_what_nobody_foresaw(world):
    money = {"measure": "money", "limit": 100, "period": "day"}
    verdict = await granted(world, claim(10, **money))
    world.settle(verdict.reservations[0], Used(money=150))
    await refused(world, claim(0, **money))


@pytest.mark.parametrize(
    ("period", "end"),
    [
        ("hour", datetime(2096, 10, 2, 8, tzinfo=UTC)),
        ("day", datetime(2096, 10, 3, tzinfo=UTC)),
        ("week", datetime(2096, 10, 8, tzinfo=UTC)),
        ("month", datetime(2096, 11, 1, tzinfo=UTC)),
    ],
)
async def test_a_budget_begins_anew_with_its_period(world, period, end):
    assert datetime.fromtimestamp(FAR, UTC) == datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC)
    of = claim(10, period=period)
    await granted(world, of)
    refusal = await refused(world, of)
    assert refusal.retry_after == pytest.approx(end.timestamp() - FAR)
    await world.pass_time(refusal.retry_after - 0.001)
    await refused(world, of)
    await world.pass_time(0.001)
    await granted(world, of)


async def test_a_budget_for_ever_never_begins_anew(world):
    of = claim(10, period="ever")
    await granted(world, of)
    assert (await refused(world, of)).retry_after is None
    await world.pass_time(1e8)
    await refused(world, of)


async def test_a_reservation_is_charged_to_the_period_in_which_it_was_made(world):
    money = {"measure": "money", "limit": 100, "period": "day"}
    yesterday = (await granted(world, claim(60, **money))).reservations[0]
    await world.pass_time(86_400.0)
    today = (await granted(world, claim(50, **money))).reservations[0]
    world.settle(yesterday, Used(money=90))
    await granted(world, claim(50, **money))
    await refused(world, claim(1, **money))
    world.settle(today, Used(money=40))
    await granted(world, claim(10, **money))
    await refused(world, claim(1, **money))


async def test_tokens_and_requests_have_budgets_too(world):
    of = together(claim(10, measure="tokens", limit=15, period="week"), claim(1, limit=5, period="week"))
    first = (await granted(world, of)).reservations[0]
    world.settle(first, Used(tokens=4))
    assert await room(world, claim(1, limit=5, period="week")) == 4
    await refused(world, claim(12, measure="tokens", limit=15, period="week"))
    await granted(world, claim(11, measure="tokens", limit=15, period="week"))


async def test_a_seed_counts_what_the_state_has_not_counted(world):
    money = {"measure": "money", "limit": 100, "period": "month"}
    key = claim(1, **money).buckets[0].key
    before = (await granted(world, claim(10, **money))).reservations[0]
    world.settle(before, Used(money=10))
    held = (await granted(world, claim(5, **money))).reservations[0]
    for _ in range(3):  # by every process that begins
        world.seed({key: 70, "payer:alice:requests:60": 10, "payer:new:tokens:day": 3})
    world.seed({key: 20})
    await granted(world, claim(25, **money))
    await refused(world, claim(1, **money))
    world.settle(held, None)
    await granted(world, claim(5, **money))
    assert await room(world, claim(limit=10)) == 10
    await refused(world, claim(8, measure="tokens", limit=10, name="payer:new", period="day"))


async def test_a_target_that_rests_is_not_asked(world):
    world.state.rest("a", 10.0)
    refusal = await refused(world, claim(), target="a")
    assert (refusal.why, refusal.retry_after) == ("resting", pytest.approx(10.0))
    assert world.state.resting("a") == pytest.approx(10.0, abs=0.01)
    assert world.state.resting("b") == 0.0
    await granted(world, claim(), target="b")
    await granted(world, claim())  # shall be asked anyway


async def test_a_shorter_rest_never_ends_a_longer_one(world):
    world.state.rest("a", 10.0)
    world.state.rest("a", 2.0)
    await world.pass_time(5.0)
    assert (await refused(world, target="a")).retry_after == pytest.approx(5.0)
    world.state.rest("a", 9.0)
    assert (await refused(world, target="a")).retry_after == pytest.approx(9.0)


async def test_after_a_rest_one_finds_out(world):
    world.state.rest("a", 10.0)
    await world.pass_time(10.1)
    assert (await granted(world, target="a")).probe
    refusal = await refused(world, target="a")
    assert refusal.why == "probing"
    assert 0.0 < refusal.retry_after <= 1.0
    assert world.state.resting("a") == 0.0
    world.state.recover("a")
    assert not (await granted(world, target="a")).probe
    assert not (await granted(world, target="a")).probe


async def test_a_probe_that_fails_begins_another_rest(world):
    world.state.rest("a", 1.0)
    await world.pass_time(1.1)
    await granted(world, target="a")
    world.state.rest("a", 4.0)
    assert (await refused(world, target="a")).why == "resting"
    await world.pass_time(4.1)
    assert (await granted(world, target="a")).probe


async def test_a_probe_that_finds_nothing_out_leaves_it_to_another(world):
    world.state.rest("a", 1.0)
    await world.pass_time(1.1)
    await granted(world, target="a")
    world.state.forgo("a")
    assert (await granted(world, target="a")).probe
    await world.pass_time(59.0)
    assert (await refused(world, target="a")).why == "probing"
    await world.pass_time(1.1)
    assert (await granted(world, target="a")).probe


async def test_who_is_refused_for_a_limit_is_no_probe(world):
    world.state.rest("a", 1.0)
    await world.pass_time(1.1)
    await refused(world, claim(11), target="a")
    assert (await granted(world, target="a")).probe


async def test_what_is_said_of_a_target_that_never_rested_changes_nothing(world):
    world.state.recover("a")
    world.state.forgo("a")
    assert not (await granted(world, target="a")).probe


async def test_closing_twice_is_fine(world):
    await world.state.close()
    await world.state.close()
