"""Retry: after which errors, how long to wait, and how far it goes when a target is down for everyone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policies import storm
from trunkline.policies.retry import delay_before_retry, most_of_kind
from trunkline.state.figures import Figures
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BudgetError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    LimitError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
)
from trunkline.vocabulary.rules import Backoff, OfKind
from trunkline.wire.grammar.classify import retry_after

STEADY = Backoff(jitter=0)
PASSES = [RateLimitError, ServiceError, OverloadedError, APITimeoutError]
STAYS = [
    AuthenticationError,
    ResourceExhaustedError,
    InvalidRequestError,
    ContextWindowError,
    ContentPolicyError,
    ModelError,
    LimitError,
    BudgetError,
]


@pytest.mark.parametrize("error", PASSES)
def test_each_wait_is_twice_as_long_up_to_the_longest(error):
    waits = [delay_before_retry(error("no"), failed, STEADY) for failed in range(1, 10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("error", STAYS)
def test_what_does_not_pass_is_not_waited_for(error):
    assert delay_before_retry(error("no", retry_after=1), 1, STEADY) is None


def test_a_connection_is_tried_at_once_first():
    assert [delay_before_retry(APIConnectionError("no"), failed, STEADY) for failed in (1, 2, 3)] == [0, 1, 2]


def test_an_answer_that_cannot_be_read_is_asked_for_once_more():
    assert [delay_before_retry(ResponseParseError("no"), failed, STEADY) for failed in (1, 2)] == [0.5, None]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(1, 10))
def test_jitter_stays_within_its_share_and_the_cap(failed, jitter, factor):
    backoff = Backoff(first=0.5, factor=factor, longest=20, jitter=jitter)
    nominal = 0.5 * factor ** min(failed - 1, 30)
    wait = delay_before_retry(ServiceError("no"), failed, backoff)
    assert min(20, nominal * (1 - jitter)) * 0.999 <= wait <= min(20, nominal * (1 + jitter) * 1.001)


def test_what_a_provider_asks_for_is_kept_or_not_waited_at_all():
    waits = [delay_before_retry(RateLimitError("no", retry_after=said), 3, STEADY) for said in (0, 0.2, 60, 60.1)]
    assert waits == [0, 0.2, 60, None]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "1m30s"}, None),
        ({}, None),
    ],
)
def test_where_a_provider_says_how_long(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_kind_may_have_a_first_wait_and_a_number_of_its_own():
    backoff = Backoff(
        jitter=0, kinds={"RateLimitError": OfKind(retries=5, first=3), "ConnectionError": OfKind(first=1)}
    )
    assert [delay_before_retry(RateLimitError("no"), failed, backoff) for failed in (1, 2)] == [3, 6]
    assert delay_before_retry(APIConnectionError("no"), 1, backoff) == 1
    assert delay_before_retry(ServiceError("no"), 1, backoff) == 0.5
    assert [most_of_kind(error("no"), backoff) for error in (RateLimitError, ServiceError)] == [5, None]


# --- storms -----------------------------------------------------------------------------------------------------------


def spent():
    figures = Figures()
    while storm.may_retry(figures, 0.0):
        storm.retried(figures, 0.0)
    return figures


def test_a_burst_of_retries_is_bounded():
    figures = Figures()
    for _ in range(20):
        assert storm.may_retry(figures, 0.0)
        storm.retried(figures, 0.0)
    assert not storm.may_retry(figures, 0.0)


def test_time_gives_a_retry_back_every_ten_seconds():
    figures = spent()
    assert not storm.may_retry(figures, 9.9)
    assert storm.may_retry(figures, 10.0)


def test_ten_successes_give_one_back():
    figures = spent()
    for _ in range(9):
        storm.succeeded(figures)
    assert not storm.may_retry(figures, 0.0)
    storm.succeeded(figures)
    assert storm.may_retry(figures, 0.01)


def test_no_more_is_saved_up_than_a_burst():
    figures = spent()
    for _ in range(10_000):
        storm.succeeded(figures)
    for _ in range(20):
        storm.retried(figures, 1e6)
    assert not storm.may_retry(figures, 1e6)
