"""The verdict: what each failure leads to, as a pure function."""

import pytest
from course import entry, route, target

from trunkline.policies.verdict import Again, NextEntry, NextTarget, Raise, Tried, verdict
from trunkline.vocabulary.errors import (
    APIConnectionError,
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
    ServiceError,
)
from trunkline.vocabulary.rules import Backoff, OfKind

STEADY = Backoff(jitter=0)
LARGER, MILDER = entry("larger", name="l"), entry("milder", name="m")
PLAIN = route(entry("a", "b"))
CHAINED = route(entry("a", "b"), on_context_window=(LARGER,), on_content_policy=(MILDER,))


def judged(error, *, failed=1, on=PLAIN, deadline=None, backoff=STEADY, used=0):
    tried, asked = Tried(retries=5, deadline=deadline), target("a")
    for _ in range(failed):
        tried.note(error, asked)
    tried.kinds[error.kind] = used
    return verdict(error, asked, tried, on, backoff, 100.0)


@pytest.mark.parametrize("error", [InvalidRequestError, LimitError, BudgetError])
def test_what_holds_everywhere_is_raised(error):
    assert judged(error("no")) == Raise()


@pytest.mark.parametrize("error", [AuthenticationError, ResourceExhaustedError, ModelError])
def test_what_is_wrong_here_moves_on(error):
    assert judged(error("no")) == NextTarget()


@pytest.mark.parametrize("error", [ContextWindowError, ContentPolicyError])
def test_what_the_model_cannot_do_wants_another_model(error):
    assert judged(error("no")) == NextTarget(same_model=False)


def test_a_chain_of_its_own_comes_first():
    assert judged(ContextWindowError("no"), on=CHAINED) == NextEntry((LARGER,))
    assert judged(ContentPolicyError("no"), on=CHAINED) == NextEntry((MILDER,))
    assert judged(ServiceError("no"), on=CHAINED) == Again(0.5)


@pytest.mark.parametrize(
    ("error", "failed", "after"),
    [
        (ServiceError("no"), 1, 0.5),
        (OverloadedError("no"), 3, 2.0),
        (RateLimitError("no", retry_after=7), 1, 7),
        (APIConnectionError("no"), 1, 0.0),
    ],
)
def test_what_passes_is_tried_again(error, failed, after):
    assert judged(error, failed=failed) == Again(after)


def test_a_wait_beyond_cap_or_deadline_is_not_here_again():
    assert judged(RateLimitError("no", retry_after=61)) == NextTarget()
    assert judged(RateLimitError("no", retry_after=10), deadline=110.0) == NextTarget()
    assert judged(RateLimitError("no", retry_after=10), deadline=110.1) == Again(10)


def test_a_kind_that_has_used_its_retries_moves_on():
    backoff = Backoff(jitter=0, kinds={"ServiceError": OfKind(retries=2)})
    assert judged(ServiceError("no"), backoff=backoff, used=1) == Again(0.5)
    assert judged(ServiceError("no"), backoff=backoff, used=2) == NextTarget()
    assert judged(OverloadedError("no"), backoff=backoff, used=2) == Again(0.5)
