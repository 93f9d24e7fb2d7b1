"""In order: the events of several parts that grow at once, one part after the other."""

from __future__ import annotations

import pytest

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Finished,
    PartAdded,
    PartEnded,
    Started,
    TextDelta,
    ToolCallStarted,
)
from trunkline.vocabulary.parts import Opaque
from trunkline.wire.grammar.in_order import InOrder

STARTED, FINISHED, ENDED = Started(), Finished(finish="stop"), Ended()


def call(index: int) -> ToolCallStarted:
    return ToolCallStarted(id=f"c{index}", name="f", index=index, call=index)


def more(index: int, text: str) -> ArgumentsDelta:
    return ArgumentsDelta(delta=text, index=index, call=index)


MIXED = [
    STARTED,
    TextDelta(delta="a", index=0),
    call(1),
    call(2),
    more(2, '{"y":'),
    more(1, '{"x":'),
    more(2, "2}"),
    more(1, "1}"),
    TextDelta(delta="b", index=3),
    FINISHED,
    ENDED,
]
SORTED = [
    STARTED,
    TextDelta(delta="a", index=0),
    PartEnded(index=0),
    call(1),
    more(1, '{"x":'),
    more(1, "1}"),
    PartEnded(index=1),
    call(2),
    more(2, '{"y":'),
    more(2, "2}"),
    PartEnded(index=2),
    TextDelta(delta="b", index=3),
    PartEnded(index=3),
    FINISHED,
    ENDED,
]


@pytest.mark.parametrize("together", [True, False])
def test_what_grows_at_once_comes_one_after_the_other(together):
    order = InOrder()
    given = order.put(MIXED) if together else [event for one in MIXED for event in order.put([one])]
    assert given == SORTED


def test_what_is_in_order_stays_as_it_is():
    assert InOrder().put(SORTED) == SORTED


def test_a_call_that_is_never_complete_ends_with_the_stream():
    given = InOrder().put([call(0), more(0, '{"x'), call(1), more(1, "{}"), FINISHED])
    assert given == [call(0), more(0, '{"x'), PartEnded(index=0), call(1), more(1, "{}"), PartEnded(index=1), FINISHED]


def test_every_part_ends_once():
    whole = PartAdded(part=Opaque("x", {}), index=0)
    events = [whole, PartEnded(index=0), PartEnded(index=1), PartEnded(index=1), TextDelta(delta="a", index=2), ENDED]
    assert InOrder().put(events) == [
        whole,
        PartEnded(index=1),
        TextDelta(delta="a", index=2),
        PartEnded(index=2),
        ENDED,
    ]
