"""Spending: sums are exact, what is unknown is not 0, and a call is one call however often it was tried."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_records import NOON, attempt, record

from trunkline.ledger import COLUMNS, Ledger, total
from trunkline.ledger.spending import beginning
from trunkline.testing import FakeClock
from trunkline.vocabulary.usage import BUCKETS, Usage

DAY = 86_400.0
NANO = Decimal("1e-9")


# --- sums -------------------------------------------------------------------------------------------------------------

costs = st.none() | st.decimals(0, 10**6, places=9, allow_nan=False) | st.decimals(0, 1, places=14, allow_nan=False)
tokens = st.none() | st.builds(Usage, **dict.fromkeys(BUCKETS, st.integers(0, 10**9)), estimated=st.booleans())
attempts = st.builds(
    attempt,
    st.sampled_from(["openai/a", "openai/b", "groq/c"]),
    cost=costs,
    usage=tokens,
    outcome=st.sampled_from(["finished", "cut", "cancelled", "error"]),
)
records = st.builds(
    lambda tried, **more: record(*tried, **more),
    st.lists(attempts, min_size=1, max_size=4),
    payer=st.sampled_from([None, "alice", "bob"]),
    at=st.integers(-3, 3).map(lambda days: NOON + days * DAY),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(records, min_size=1, max_size=30))
def test_the_databases_sums_are_those_of_the_records(said):
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder), FakeClock(NOON), pause=60.0)
        for one in said:
            ledger(one)
        [whole], apart = ledger.usage(()), ledger.usage(("day", "target", "payer"))
        bobs = ledger.usage((), payer="bob")
        ledger.close()
    assert whole.calls == len(said)
    assert whole.attempts == sum(len(one.attempts) for one in said)
    assert total(apart) == whole
    _equal(whole, said)
    assert sum(spend.calls for spend in bobs) == len([one for one in said if one.payer == "bob"])


def _equal(spend, said):
    tried = [attempt for one in said for attempt in one.attempts]
    used = [attempt.usage for attempt in tried if attempt.usage is not None]
    for bucket in BUCKETS:
        assert getattr(spend.usage, bucket) == sum(getattr(usage, bucket) for usage in used)
    assert spend.estimated == sum(usage.total_tokens for usage in used if usage.estimated)
    priced = [attempt.cost for attempt in tried if attempt.cost is not None]
    with localcontext(prec=60):
        exact, rounded = sum(priced, Decimal(0)), sum(1 for one in said if any(_is_fine(a.cost) for a in one.attempts))
        if not exact and spend.unpriced:
            assert spend.cost is None
        else:
            assert exact <= spend.cost <= exact + rounded * NANO


def _is_fine(cost):
    """More than nine decimals: such a sum is rounded up, once for each call."""
    return cost is not None and cost % NANO != 0


def test_sums_do_not_depend_on_the_programs_own_decimal_context(opened):
    ledger = opened()
    with localcontext(prec=3):
        ledger(record(attempt(cost="123456.123456789"), attempt(cost="0.000000001")))
        assert ledger.usage(())[0].cost == Decimal("123456.123456790")


def test_small_amounts_of_one_call_are_rounded_together(opened):
    ledger = opened()
    ledger(record(*(attempt(cost="0.0000000001") for _ in range(10))))
    assert ledger.usage(())[0].nanos == 1


# --- what is unknown --------------------------------------------------------------------------------------------------

UNKNOWN = [
    (attempt(cost=None), "chat", 1),
    (attempt(cost=None, outcome="finished", usage=Usage()), "chat", 1),
    (attempt(cost=None, outcome="cut"), "chat", 1),
    (attempt(cost=None, outcome="cancelled"), "chat", 1),
    (attempt(cost=None, outcome="error", error="RateLimitError"), "chat", 0),
    (attempt(cost=None, outcome="error", error="ResponseParseError", usage=Usage(input=1)), "chat", 1),
    (attempt(cost=None, outcome=None, error="RateLimitError"), "chat", 0),
    (attempt(cost=None, outcome=None, error="cancelled"), "chat", 1),
    (attempt(cost="0"), "chat", 0),
    (attempt(cost=None), "embeddings", 1),
    (attempt(cost=None), "tokens", 0),
    (attempt(cost=None), "moderations", 0),
]


@pytest.mark.parametrize(("tried", "operation", "unpriced"), UNKNOWN)
def test_what_may_have_cost_something_is_unknown_and_not_nothing(opened, tried, operation, unpriced):
    ledger = opened()
    ledger(record(tried, operation=operation))
    [spend] = ledger.usage(())
    assert spend.unpriced == unpriced
    assert spend.cost == (None if unpriced else 0)


def test_a_known_cost_beside_an_unknown_one_is_a_lower_bound(opened):
    ledger = opened()
    ledger(record(attempt(cost=None)))
    ledger(record(attempt(cost="0.5")))
    [spend] = ledger.usage(())
    assert (spend.cost, spend.unpriced) == (Decimal("0.5"), 1)


# --- who counts what --------------------------------------------------------------------------------------------------


def test_a_call_that_moved_is_one_call_and_each_target_has_its_attempts(opened):
    ledger = opened()
    ledger(
        record(
            attempt("groq/x", outcome="error", error="RateLimitError", cost=None),
            attempt("groq/x", outcome="error", error="RateLimitError", cost=None),
            attempt("openai/y"),
        )
    )
    spends = {spend.by["target"]: spend for spend in ledger.usage(("target",))}
    assert (spends["groq/x"].calls, spends["groq/x"].attempts, spends["groq/x"].failed) == (0, 2, 2)
    assert (spends["openai/y"].calls, spends["openai/y"].attempts, spends["openai/y"].failed) == (1, 1, 0)
    kinds = {spend.by["kind"]: spend.attempts for spend in ledger.usage(("kind",))}
    assert kinds == {"RateLimitError": 2, None: 1}


@pytest.mark.parametrize(
    ("outcome", "error", "failed"),
    [
        ("finished", None, 0),
        ("error", "ServiceError", 1),
        ("cut", "CutOff", 1),
        ("cancelled", "cancelled", 0),
        (None, "ServiceError", 1),
        (None, "cancelled", 0),
        (None, None, 0),
    ],
)
def test_what_was_called_off_has_not_failed(opened, outcome, error, failed):
    ledger = opened()
    ledger(record(attempt(outcome=outcome, error=error)))
    assert ledger.usage(())[0].failed == failed


def test_what_came_from_the_cache_is_a_call_without_attempts_and_spends_nothing(opened):
    ledger = opened()
    answered = record(cached=True, usage=Usage(input=10), cost=Decimal(1))
    answered.attempts.clear()
    ledger(answered)
    [spend] = ledger.usage(("target", "payer"))
    assert (spend.by, spend.calls, spend.attempts) == ({"target": "openai/gpt-4o", "payer": "alice"}, 1, 0)
    assert (spend.cost, spend.usage, spend.unpriced) == (0, Usage(), 0)


def test_every_column_can_be_asked_for_alone_and_all_together(opened):
    ledger = opened()
    ledger(record())
    said = {
        "day": "2025-06-16",
        "target": "openai/gpt-4o",
        "provider": "openai",
        "model": "smart",
        "route": "smart",
        "payer": "alice",
        "owner": "research",
        "operation": "chat",
        "kind": None,
    }
    for column in COLUMNS:
        assert [spend.by for spend in ledger.usage((column,))] == [{column: said[column]}]
    assert [spend.by for spend in ledger.usage(COLUMNS)] == [said]


def test_sums_are_of_the_calls_that_began_in_a_time(opened):
    ledger = opened()
    for days in range(5):
        ledger(record(at=NOON + days * DAY))
    begun = NOON + DAY
    days = [spend.by["day"] for spend in ledger.usage(("day",), since=begun, until=begun + 2 * DAY)]
    assert days == ["2025-06-17", "2025-06-18"], "the end is excluded"


def test_days_come_in_their_order_and_the_dearest_first(opened):
    ledger = opened()
    for days, target, cost in ((1, "a/a", "9"), (0, "a/a", "1"), (0, "b/b", "2"), (1, "c/c", None), (1, "d/d", "0")):
        ledger(record(attempt(target, cost=cost), at=NOON + days * DAY))
    order = [(spend.by["day"][-2:], spend.by["target"]) for spend in ledger.usage(("target", "day"))]
    assert order == [("16", "b/b"), ("16", "a/a"), ("17", "a/a"), ("17", "d/d"), ("17", "c/c")]


def test_an_empty_ledger_has_no_sums(opened):
    assert opened().usage(()) == []
    assert opened().usage() == []
    assert opened().spent("ever") == {}


# --- what budgets begin with ------------------------------------------------------------------------------------------


def test_what_was_spent_is_told_by_payer_owner_route_and_target(opened):
    ledger = opened()
    ledger(record(attempt(cost="0.25"), attempt(cost="0.0000000001")))
    ledger(record(attempt(cost=None), payer=None, route=None))
    spent = ledger.spent("day")
    assert set(spent) == {"payer:alice", "payer:", "owner:research", "route:smart", "route:", "target:openai/gpt-4o"}
    assert spent["payer:alice"] == spent["route:smart"] == (1, 30, 250_000_001)
    assert spent["payer:"] == spent["route:"] == (1, 15, 0), "nobody named"
    assert spent["owner:research"] == spent["target:openai/gpt-4o"] == (2, 45, 250_000_001)
    assert spent["payer:alice"].money == 250_000_001


@pytest.mark.parametrize(("period", "calls"), [("hour", 1), ("day", 2), ("week", 3), ("month", 4), ("ever", 5)])
def test_a_period_begins_by_the_calendar(opened, clock, period, calls):
    clock.advance(DAY)  # Tuesday, 12:00
    ledger = opened()
    now = clock.wall()
    for at in (now, now - 1, now - DAY, now - 7 * DAY, now - 40 * DAY):
        ledger(record(at=at))
    assert ledger.spent(period)["payer:alice"].requests == calls


@pytest.mark.parametrize(
    ("period", "begun"),
    [
        ("hour", "2024-02-29T23:00"),
        ("day", "2024-02-29T00:00"),
        ("week", "2024-02-26T00:00"),
        ("month", "2024-02-01T00:00"),
        ("ever", "1970-01-01T00:00"),
    ],
)
def test_the_beginning_of_a_period(period, begun):
    wall = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(beginning(period, wall), UTC).isoformat().startswith(begun)
