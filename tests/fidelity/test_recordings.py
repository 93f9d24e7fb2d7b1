"""Recorded traffic keeps every law; a share of it, bent out of shape, ends in typed errors.

The recordings are other projects' data and lie beside the checkout. Where they are not, these tests are skipped, and
the golden examples in tests/wire stand for them.
"""

from __future__ import annotations

import pytest
from fuzz import fuzz, sources
from laws import examine
from recorded import FOLDER, exchanges, families
from refusals import misread, refusals
from speakers import dialect_of, why_not

if not FOLDER.is_dir():
    pytest.skip(f"there are no recordings at {FOLDER}", allow_module_level=True)


@pytest.mark.parametrize("path", families(), ids=lambda path: path.stem)
def test_a_family_keeps_every_law(path):
    broken = {
        exchange.id: problems
        for exchange in exchanges(path)
        if (name := dialect_of(exchange)) is not None and (problems := examine(exchange, name).problems)
    }
    assert not broken


def test_no_exchange_is_left_out_without_a_reason():
    silent = [
        exchange.id
        for path in families()
        for exchange in exchanges(path)
        if dialect_of(exchange) is None and why_not(exchange).startswith("not known")
    ]
    assert not silent


def test_every_refusal_is_read_as_the_kind_it_is():
    assert not {line.id: problems for line in refusals() if (problems := misread(line))}


def test_bent_traffic_ends_in_typed_errors():
    outcomes, escapes = fuzz(sources(FOLDER), 5_000, seed=7)
    assert not escapes
    assert sum(outcomes.values()) == 5_000
