"""A share of the fault matrix (`make chaos` tries all of it): every fault and every way, door and shape is in it."""

import pytest
from expected import SHAPES, expected, met, rows
from matrix import all_of, cells
from ways import WAYS

from trunkline.testing import FAULTS

pytestmark = pytest.mark.anyio

EVERY = 17
"""One cell of so many: prime to the table's own measures, so that each row and column is met."""


async def test_a_share_of_the_matrix_is_as_it_should_be():
    chosen = [cell for at, cell in enumerate(cells()) if at % EVERY == 0]
    assert {cell.fault for cell in chosen} == {*rows()}
    assert {(cell.way.name, cell.door, cell.shape.name) for cell in chosen} == {
        (way.name, door, shape.name) for way in WAYS for door in way.doors for shape in SHAPES
    }
    results = await all_of(chosen)
    assert [f"{result.cell}: {'; '.join(result.problems)}" for result in results if result.problems] == []


def test_the_matrix_has_every_fault():
    assert {row.partition("=")[0] for row in rows()} == {*FAULTS}


def test_the_dialects_can_say_every_refusal_but_one():
    met_as = [(row, way, met(row, way, passes=False).error) for row in FAULTS for way in WAYS]
    refusals = [(row, way, error) for row, way, error in met_as if FAULTS[row].status >= 400 and error is not None]
    unsaid = {(row, way.name) for row, way, error in refusals if not isinstance(error, FAULTS[row].raises)}
    assert unsaid == {("quota", "converse"), ("quota", "converse~")}  # in AWS's words it is a rate


def test_the_rules_allow_for_every_end():
    """A table of expectations that expected the same of everybody would show nothing."""
    ends = {
        (should.raises.kind if should.raises is not None else None, should.attempts, should.broken)
        for way in WAYS
        for shape in SHAPES
        for row in rows()
        for should in [expected(shape, met(row, way, passes=False))]
    }
    kinds = {kind for kind, _, _ in ends}
    assert kinds == {
        *(
            None,
            "AllTargetsFailed",
            "AuthenticationError",
            "ConnectionError",
            "ContentPolicyError",
            "ContextWindowError",
        ),
        *("CutOff", "InvalidRequestError", "ModelError", "OverloadedError", "RateLimitError", "ResourceExhaustedError"),
        *("ResponseParseError", "ServiceError", "TimeoutError"),
    }
    assert {attempts for _, attempts, _ in ends} == {1, 2, 3, 4}
    assert {kind for kind, _, broken in ends if broken} == {
        "CutOff",
        "ResponseParseError",
        "ServiceError",
        "TimeoutError",
    }
