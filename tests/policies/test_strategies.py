"""Strategies: which target of a pool is asked first, and which then."""

from collections import Counter
from decimal import Decimal
from typing import get_args

import pytest
from course import Course, Said, bucket, entry, route, target
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.shapes import Strategy
from trunkline.policies.limits import Worst
from trunkline.policies.route import STRATEGIES, headroom, weights_of
from trunkline.policies.standing import Sight, Standing
from trunkline.state.figures import Board, Figures
from trunkline.vocabulary.buckets import nanos
from trunkline.vocabulary.errors import ServiceError
from trunkline.vocabulary.routes import Entry, Member

pytestmark = pytest.mark.anyio
NOW = 1000.0


def standing(name, *buckets, weight=None, money=None, **figures):
    seen = Figures()
    for field, value in figures.items():
        setattr(seen, field, value)
    worst = None if money is None else Worst(1, nanos(Decimal(money)))
    made = target(name, *buckets)
    return Standing(Member(made, weight), made, seen, worst)


def sight(*standings, board=None, **options):
    members = tuple(one.member for one in standings)
    call = Course().call(route(entry("x")))
    return Sight(call, Entry(name="e", members=members, options=options), board if board is not None else Board(), NOW)


def put(strategy, *standings, **how):
    return [one.target.name for one in STRATEGIES[strategy](list(standings), sight(*standings, **how))]


def share(strategy, *standings, times=6000):
    first = Counter(put(strategy, *standings)[0] for _ in range(times))
    return {name: count / times for name, count in first.items()}


def test_a_configuration_can_name_each_and_no_other():
    assert set(get_args(Strategy)) == set(STRATEGIES)


@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.lists(
        st.tuples(st.integers(0, 50), st.none() | st.floats(0, 5), st.none() | st.integers(0, 9)),
        min_size=1,
        max_size=8,
    ),
)
def test_each_puts_everyone_somewhere_once(strategy, pool):
    standings = [
        standing(f"t{at}", weight=weight, money=money, in_flight=busy) for at, (busy, weight, money) in enumerate(pool)
    ]
    assert sorted(put(strategy, *standings)) == sorted(one.target.name for one in standings)


def test_as_they_are_listed():
    assert put("ordered", standing("b"), standing("a"), standing("c")) == ["b", "a", "c"]


def test_each_in_turn():
    board = Board()
    pool = [standing(name) for name in "abc"]
    assert [put("round-robin", *pool, board=board) for _ in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_by_chance_alike():
    assert share("simple-shuffle", *map(standing, "abcd")) == pytest.approx(dict.fromkeys("abcd", 0.25), abs=0.03)


def test_by_chance_in_proportion_to_weights():
    pool = standing("a", weight=6.0), standing("b", weight=3.0), standing("c", weight=1.0)
    assert share("simple-shuffle", *pool) == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.03)


def test_the_second_is_drawn_by_weight_as_well():
    pool = standing("a", weight=98.0), standing("b", weight=3.0), standing("c", weight=1.0)
    seconds = Counter(order[1] for _ in range(6000) if (order := put("simple-shuffle", *pool))[0] == "a")
    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.03)


def test_a_weight_of_nothing_is_for_when_all_others_fail():
    pool = standing("a", weight=0.0), standing("b", weight=1.0), standing("c")
    assert {order[2] for _ in range(200) if (order := put("simple-shuffle", *pool))} == {"a"}


def test_weights_are_said_else_what_the_limits_allow_else_equal():
    rpm, tpm = bucket("x", "requests", 600), bucket("x", "tokens", 9000)
    day = bucket("x", "requests", 7, period="day")
    assert weights_of([standing("a", rpm, weight=2.0).member, standing("b", rpm).member]) == [2, 1]
    assert weights_of([standing("a", rpm, day).member, standing("b", tpm).member]) == [600, 1]
    assert weights_of([standing("a", tpm).member, standing("b").member]) == [9000, 1]
    assert weights_of([standing("a", day).member, standing("b").member]) == [1, 1]


def test_the_least_busy_first_and_chance_between_equals():
    pool = [standing("a", in_flight=2), standing("b", in_flight=1), standing("c", in_flight=1)]
    orders = {tuple(put("least-busy", *pool)) for _ in range(100)}
    assert orders == {("b", "c", "a"), ("c", "b", "a")}


def test_equals_have_equal_chances_wherever_the_busy_one_stands():
    pool = [standing("a"), standing("b", in_flight=1), standing("c")]
    first = [put("least-busy", *pool)[0] for _ in range(3000)]
    assert 0.45 < first.count("a") / 3000 < 0.55
    assert not first.count("b")


def fast(name, seconds, in_flight=0, at=NOW):
    one = standing(name, in_flight=in_flight)
    one.figures.succeeded(at, seconds)
    return one


def test_the_fastest_first():
    assert put("lowest-latency", fast("a", 3.0), fast("b", 1.0), fast("c", 2.0)) == ["b", "c", "a"]


def test_who_is_fast_and_busy_is_slow():
    assert put("lowest-latency", fast("a", 1.0, in_flight=4), fast("b", 3.0)) == ["b", "a"]


def test_who_is_unknown_is_tried():
    assert put("lowest-latency", fast("a", 0.1), standing("new")) == ["new", "a"]


def test_who_is_unknown_is_not_overrun_before_it_has_answered():
    assert put("lowest-latency", fast("a", 1.0), standing("new", in_flight=1))[0] in {"a", "new"}
    assert put("lowest-latency", fast("a", 1.0), standing("new", in_flight=2)) == ["a", "new"]


def test_where_all_are_unknown_the_least_busy_is_first():
    assert put("lowest-latency", standing("a", in_flight=2), standing("b", in_flight=1)) == ["b", "a"]


def test_who_was_slow_long_ago_is_tried_again():
    assert put("lowest-latency", fast("a", 1.0), fast("b", 30.0, at=NOW - 10)) == ["a", "b"]
    assert put("lowest-latency", fast("a", 1.0), fast("b", 30.0, at=NOW - 60)) == ["b", "a"]


def test_a_quick_refusal_is_no_speed():
    figures = Figures()
    figures.succeeded(NOW, 2.0)
    figures.failed(NOW, 0.001)
    assert figures.latency(NOW) == 2.0


def test_the_cheapest_first_and_the_unknown_last():
    pool = standing("a"), standing("b", money=3), standing("c", money=1), standing("d", money=2)
    assert put("lowest-cost", *pool) == ["c", "d", "b", "a"]


def test_the_largest_share_left_first():
    limit = bucket("x", "slots", 10)
    pool = standing("a", limit, in_flight=8), standing("b", limit, in_flight=2), standing("c", limit, in_flight=5)
    assert put("most-headroom", *pool) == ["b", "c", "a"]


def test_a_providers_word_on_its_limits_counts_while_it_is_fresh():
    limit = bucket("x", "slots", 10)
    one = standing("a", limit, in_flight=8, headroom=0.9, headroom_until=NOW + 1)
    assert headroom(one.target, one.figures, NOW) == 0.9
    assert headroom(one.target, one.figures, NOW + 1) == pytest.approx(0.2)


def test_the_scarcest_limit_counts():
    one = standing("a", bucket("x", "requests", 10), bucket("y", "tokens", 100), bucket("z", "tokens", 1, period="day"))
    one.figures.attempts.add(5, NOW)
    one.figures.tokens.add(90, NOW)
    assert headroom(one.target, one.figures, NOW) == pytest.approx(0.1)
    assert headroom(standing("b").target, one.figures, NOW) == 1


def test_a_kind_has_its_target_and_default_stands_for_those_without():
    pool = [standing(name) for name in "abc"]
    assert put("by-complexity", *pool, simple="c", default="b") == ["c", "a", "b"]
    assert put("by-complexity", *pool, reasoning="c", default="b") == ["b", "a", "c"]
    assert put("by-complexity", *pool) == ["a", "b", "c"]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_each_asks_everyone_before_it_gives_up(strategy):
    course = Course(prices={"a": "1", "b": "2"})
    course.script = {name: [Said(error=ServiceError("no"))] for name in "abc"}
    with pytest.raises(Exception, match="all 3 targets failed"):
        await course.ask(route(entry("a", "b", "c", strategy=strategy)))
    assert sorted(course.asked) == ["a", "b", "c"]


async def test_the_record_says_which_strategy_chose_and_what_it_compared():
    course = Course(prices={"a": "2", "b": "1"})
    call = await course.ask(route(entry("a", "b", strategy="lowest-cost")))
    first, second = call.decided.considered
    assert (call.decided.strategy, first.target, second.target) == ("lowest-cost", "b", "a")
    assert second.score == pytest.approx(2 * first.score)
