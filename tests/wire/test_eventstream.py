"""AWS event streams: where a frame ends wherever the network cuts, what is broken, and Anthropic's events inside."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import bodies, events_of, every, pieces, reply_of, until_error

from samples import message_events
from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    CutOff,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
)
from trunkline.vocabulary.requests import Words
from trunkline.wire import anthropic_messages
from trunkline.wire.grammar.eventstream import EventFrame, EventFrames, event_frame
from trunkline.wire.grammar.unwrapped import Unwrapped

names = st.text(st.characters(codec="utf-8"), max_size=20)
kinds = st.sampled_from(["event", "exception", "error"])
payloads = st.binary(max_size=60)
written = st.lists(st.tuples(names, payloads, kinds), max_size=5)
cuts = st.lists(st.integers(0, 2000), max_size=8)


def read(parts):
    """All frames of a stream that is whole."""
    frames = EventFrames()
    seen = [frame for part in parts for frame in frames.feed(part)]
    assert frames.close()
    return seen


def raw_frame(headers: bytes, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame with headers as they are given, its checksums right, its length as said."""
    prelude = struct.pack(">II", length or 16 + len(headers) + len(payload), len(headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return frame + struct.pack(">I", zlib.crc32(frame))


def header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def text(name: str, value: str) -> bytes:
    return header(name, 7, struct.pack(">H", len(value.encode())) + value.encode())


# --- framing ----------------------------------------------------------------------------------------------------------


@given(written, cuts)
@settings(max_examples=200)
def test_the_frames_do_not_depend_on_cuts(said, places):
    raw = b"".join(event_frame(name, payload, kind) for name, payload, kind in said)
    assert read(pieces(raw, *places)) == [EventFrame(kind, name, payload) for name, payload, kind in said]


@given(written)
def test_the_library_of_aws_reads_the_same(said):
    theirs = EventStreamBuffer()
    theirs.add_data(b"".join(event_frame(name, payload, kind) for name, payload, kind in said))
    named_by = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
    seen = [(one.headers[named_by[one.headers[":message-type"]]], one.payload, one.headers) for one in theirs]
    assert [(name, payload) for name, payload, _ in seen] == [(name, payload) for name, payload, _ in said]
    assert all(headers[":content-type"] == "application/json" for _, _, headers in seen)


def test_every_single_cut():
    raw = event_frame("a", b"{}") + event_frame("b", b"", "exception") + event_frame("c", b"x" * 300)
    whole = read([raw])
    assert [(one.kind, one.name, len(one.payload)) for one in whole] == [
        ("event", "a", 2),
        ("exception", "b", 0),
        ("event", "c", 300),
    ]
    assert all(read([raw[:at], raw[at:]]) == whole for at in range(len(raw) + 1))
    assert read(every(raw, 1)) == whole


def test_a_frame_is_given_with_its_last_byte():
    frames, raw = EventFrames(), event_frame("a", b"{}")
    assert frames.feed(raw[:-1]) == []
    assert not frames.close()
    assert len(frames.feed(raw[-1:])) == 1
    assert frames.close()


@pytest.mark.parametrize(
    ("raw", "payload"),  # of the test suite that Amazon's event stream libraries share
    [
        ("000000100000000005c248eb7d98c8ff", b""),
        ("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936", b"{'foo':'bar'}"),
    ],
)
def test_published_frames(raw, payload):
    assert read([bytes.fromhex(raw)]) == [EventFrame("event", "", payload)]


def test_headers_of_every_type_are_stepped_over():
    values = {0: b"", 1: b"", 2: b"\x01", 3: b"\x00\x01", 4: b"\x00" * 4, 5: b"\x00" * 8, 6: b"\x00\x03abc"}
    values |= {8: b"\x00" * 8, 9: b"\x00" * 16}
    block = b"".join(header(f"h{kind}", kind, value) for kind, value in values.items())
    assert read([raw_frame(block + text(":event-type", "ünd") + block, b"p")]) == [EventFrame("event", "ünd", b"p")]


def test_an_error_says_itself_in_a_header():
    block = text(":message-type", "error") + text(":error-code", "Oops") + text(":error-message", "not now")
    assert read([raw_frame(block)]) == [EventFrame("error", "Oops", b"", "not now")]


@given(st.data())
def test_no_changed_byte_goes_unseen(data):
    raw = bytearray(event_frame("chunk", data.draw(st.binary(max_size=20))))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    frames = EventFrames()
    with pytest.raises(ResponseParseError, match="a frame of the event stream cannot be read: "):
        frames.feed(bytes(raw))
    with pytest.raises(ResponseParseError):
        frames.feed(event_frame("a", b""))


@pytest.mark.parametrize(
    "raw",
    [
        raw_frame(b"", length=15),
        raw_frame(b"", length=2**32 - 1),
        raw_frame(b"\x05abc"),
        raw_frame(b"\x01a\x0a"),
        raw_frame(b"\x01a\x07\x00\x05abc"),
        raw_frame(b"\x01a\x07\x00\x01\xff"),
        raw_frame(text(":message-type", "rumour")),
    ],
)
def test_frames_that_make_no_sense(raw):
    with pytest.raises(ResponseParseError):
        EventFrames().feed(raw)


@pytest.mark.parametrize("step", [1, 30, 10_000])
def test_what_came_before_a_broken_frame_is_given_first(step):
    raw = event_frame("a", b"1") + event_frame("b", b"2") + event_frame("c", b"3")[:-1] + b"!"
    frames, seen = EventFrames(), []
    with pytest.raises(ResponseParseError, match="checksum"):
        for part in every(raw, step):
            seen += frames.feed(part)
        frames.close()
    assert [one.name for one in seen] == ["a", "b"]


# --- Anthropic's events inside ----------------------------------------------------------------------------------------


def chunk(event, **beside) -> bytes:
    data = event if isinstance(event, bytes) else msgspec.json.encode(event)
    return event_frame("chunk", msgspec.json.encode({"bytes": b64encode(data).decode(), **beside}))


def refusal(name: str, body: bytes = b'{"message":"so it is"}') -> bytes:
    return event_frame(name, body, "exception")


def unwrapped(parts) -> bytes:
    events = Unwrapped()
    return b"".join(events.feed(part) for part in parts) + events.close()


METRICS = {"inputTokenCount": 12, "outputTokenCount": 5}
EVENTS = [event for _, event in message_events("The capital", " of France is Paris.")]
EVENTS[-1] = {**EVENTS[-1], "amazon-bedrock-invocationMetrics": METRICS}
WRAPPED = b"".join(chunk(event, p="abcdefgh"[:at]) for at, event in enumerate(EVENTS))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 100_000])
def test_events_are_unwrapped_as_the_api_itself_sends_them(step):
    sse = unwrapped(every(WRAPPED, step))
    assert bodies(sse) == EVENTS
    assert sse.startswith(b"event: message_start\ndata: {")
    assert bodies(sse)[-1]["amazon-bedrock-invocationMetrics"] == METRICS
    reply = reply_of(events_of(anthropic_messages, [sse]))
    assert (reply.text, reply.finish) == ("The capital of France is Paris.", "stop")


@given(cuts)
@settings(max_examples=50)
def test_the_events_do_not_depend_on_cuts(places):
    assert unwrapped(pieces(WRAPPED, *places)) == unwrapped([WRAPPED])


def test_the_tap_reads_them():
    tap = anthropic_messages.tap(Words("anthropic_messages", {}, {}))
    sse = unwrapped([WRAPPED])
    assert tap.feed(sse) == sse
    assert (tap.content, tap.ended, tap.finish) == (True, True, "stop")


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("throttlingException", "rate_limit_error", RateLimitError),
        ("ThrottlingException", "rate_limit_error", RateLimitError),
        ("modelStreamErrorException", "api_error", ServiceError),
        ("internalServerException", "api_error", ServiceError),
        ("validationException", "invalid_request_error", InvalidRequestError),
        ("serviceUnavailableException", "overloaded_error", OverloadedError),
        ("modelTimeoutException", "timeout_error", APITimeoutError),
        ("accessDeniedException", "permission_error", AuthenticationError),
        ("resourceNotFoundException", "not_found_error", ModelError),
        ("somethingNewException", "api_error", ServiceError),
    ],
)
def test_exceptions_become_errors_of_the_api(name, kind, error):
    sse = unwrapped([chunk(EVENTS[0]), chunk(EVENTS[1]), chunk(EVENTS[2]), refusal(name)])
    last = sse.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: ")
    assert bodies(last) == [{"type": "error", "error": {"type": kind, "message": "so it is"}}]
    events, raised = until_error(anthropic_messages, [sse])
    assert events
    assert type(raised) is error
    assert raised.message == "so it is"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"message":""}'])
def test_an_exception_that_says_nothing_says_its_name(body):
    (told,) = bodies(unwrapped([refusal("internalServerException", body)]))
    assert told["error"] == {"type": "api_error", "message": "internalServerException"}


def test_an_error_frame_is_an_error():
    block = text(":message-type", "error") + text(":error-code", "ServiceUnavailableException")
    (told,) = bodies(unwrapped([raw_frame(block + text(":error-message", "not now"))]))
    assert told["error"] == {"type": "overloaded_error", "message": "not now"}


def test_an_event_is_one_line_whatever_its_layout():
    assert (
        unwrapped([chunk(b'{\r\n "type": "ping",\n "x": "a\\nb"\n}')])
        == b'event: ping\ndata: {"type":"ping","x":"a\\nb"}\n\n'
    )
    assert unwrapped([chunk(b'{"completion": " Hi"}')]) == b'data: {"completion": " Hi"}\n\n'


def test_frames_that_are_not_chunks_are_left_out():
    assert unwrapped([event_frame("initial-response", b"{}"), chunk({"type": "ping"})]) == unwrapped(
        [chunk({"type": "ping"})]
    )


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"bytes":"not base64!"}', b'{"bytes":"eA=="}', b'{"bytes":"MQ=="}']
)
def test_a_chunk_without_an_event_is_an_error_after_what_came_before(payload):
    events = Unwrapped()
    assert events.feed(chunk({"type": "ping"}) + event_frame("chunk", payload)) == unwrapped([chunk({"type": "ping"})])
    with pytest.raises(ResponseParseError, match="holds no event"):
        events.feed(b"")
    with pytest.raises(ResponseParseError, match="holds no event"):
        events.close()
    with pytest.raises(ResponseParseError, match="holds no event"):
        Unwrapped().feed(event_frame("chunk", payload))


def test_a_stream_that_is_cut_off_is_seen_by_its_reader():
    with pytest.raises(CutOff):
        events_of(anthropic_messages, [unwrapped([WRAPPED[:-3]])])
