"""Server-sent events: where one ends, whatever the line ends and wherever the network cuts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import every, pieces

from trunkline.wire.grammar.sse import Frames, data_of, event_of, frame

texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
events = st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5)


def said(raw: bytes, *cuts: int) -> list[bytes]:
    """The data of every event, a last one without its blank line too."""
    frames = Frames()
    seen = [piece for part in pieces(raw, *cuts) for piece in frames.feed(part)]
    return [data for piece in [*seen, frames.close()] if (data := data_of(piece))]


@given(events, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=150)
def test_the_events_do_not_depend_on_line_ends_or_cuts(lines, end, bom, cuts):
    raw = "".join("".join(f"data: {line}{end}" for line in event) + end for event in events_with_text(lines))
    expected = ["\n".join(event).encode() for event in events_with_text(lines)]
    assert said(b"\xef\xbb\xbf" * bom + raw.encode(), *cuts) == expected


def events_with_text(lines):
    return [event for event in lines if any(event)]


@given(
    st.lists(st.sampled_from([b"data: a", b"\n", b"\r\n", b"\r", b": hi", b"\n\n", "ü\u2028\u0085".encode()])),
    st.data(),
)
@settings(max_examples=150)
def test_nothing_is_lost_or_added(parts, data):
    raw = b"".join(parts)
    frames = Frames()
    cuts = data.draw(st.lists(st.integers(0, max(1, len(raw))), max_size=4))
    assert b"".join([*(f for part in pieces(raw, *cuts) for f in frames.feed(part)), frames.close()]) == raw


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_separators_that_only_unicode_knows_are_text(step):
    raw = 'data: {"a":"x\u2028y\u0085z\u000b"}\n\ndata: [DONE]\n\n'.encode()
    frames = Frames()
    seen = [data_of(piece) for part in every(raw, step) for piece in frames.feed(part)]
    assert seen == ['{"a":"x\u2028y\u0085z\u000b"}'.encode(), b"[DONE]"]


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_a_byte_order_mark_is_no_data(step):
    frames = Frames()
    assert [f for part in every(b"\xef\xbb\xbfdata: a\n\n", step) for f in frames.feed(part)] == [b"data: a\n\n"]


def test_the_last_event_may_lack_its_blank_line():
    frames = Frames()
    assert frames.feed(b"data: a\n\ndata: b") == [b"data: a\n\n"]
    assert data_of(frames.close()) == b"b"
    assert frames.close() == b""


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"data: a\n\n", "", b"a"),
        (b"data:a\n\n", "", b"a"),
        (b"data:  a\n\n", "", b" a"),
        (b"event: x\ndata: a\nid: 1\nretry: 5\n\n", "x", b"a"),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b"data: a\r\ndata: b\r\n\r\n", "", b"a\nb"),
        (b": a comment\n\n", "", b""),
        (b"data\n\n", "", b""),
        (b"\ndata: a: b\n\n", "", b"a: b"),
    ],
)
def test_the_lines_of_an_event(raw, name, data):
    assert event_of(raw) == (name, data)
    assert data_of(raw) == data


def test_an_event_is_written_as_it_is_read():
    assert event_of(frame(b'{"a":1}', "message_stop")) == ("message_stop", b'{"a":1}')
    assert data_of(frame(b"[DONE]")) == b"[DONE]"
