"""Streams of the Responses API: read, written and watched. Golden examples of our own making."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from streaming import ASKED, bodies, events_of, every, frames, reply_of, until_error

from trunkline.vocabulary.errors import CutOff, OverloadedError, RateLimitError, ResponseParseError
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Finished,
    PartAdded,
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    Unknown,
    UsageReported,
)
from trunkline.vocabulary.parts import Citation, Opaque, Text, Thinking, ToolCall
from trunkline.vocabulary.requests import Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire import openai_responses as dialect

NAME = "openai_responses"

# --- a stream as the API writes it ----------------------------------------------------------------------------------

SOURCE = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 2}
TOKENS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 19,
}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
MESSAGE = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant"}
CALL = {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "look"}
TEXT = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def summary(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "summary_text", "text": text} for text in texts]


def whole(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """The response at the end of the stream: its encrypted reasoning is not that of the events before."""
    part = {"type": "output_text", "text": text, "annotations": [SOURCE], "logprobs": TOKENS}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1750000000,
        "status": "completed",
        "error": None,
        "model": "gpt-5",
        "output": [
            {**REASONING, "summary": summary("Hm. ", "So."), "encrypted_content": "gEND"},
            {**REASONING, "id": "rs_2", "encrypted_content": "gEMPTY"},
            SEARCH,
            {**MESSAGE, "content": [part, {"type": "refusal", "refusal": "No."}]},
            {**CALL, "arguments": '{"city":"Oslo"}'},
        ],
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "service_tier": "default",
        "usage": USAGE,
        "store": False,
        **more,
    }


ECHOED = ("error", "tools", "tool_choice", "parallel_tool_calls", "store", "service_tier")

STARTED = {**whole(), "status": "in_progress", "output": [], "usage": None, "service_tier": "auto"}


def event(kind: str, **said: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **said}


def at(place: int, item: str, index: int | None = None, key: str = "content_index") -> dict[str, Any]:
    return {"item_id": item, "output_index": place, **({} if index is None else {key: index})}


def opened(place: int, item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return event("output_item.added", output_index=place, item={**item, **changes})


def done(place: int, item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return event("output_item.done", output_index=place, item={**item, **changes})


def thought(index: int, *words: str) -> list[dict[str, Any]]:
    where = at(0, "rs_1", index, "summary_index")
    return [
        event("reasoning_summary_part.added", **where, part=summary("")[0]),
        *(event("reasoning_summary_text.delta", **where, delta=word) for word in words),
        event("reasoning_summary_text.done", **where, text="".join(words)),
        event("reasoning_summary_part.done", **where, part=summary("".join(words))[0]),
    ]


SAYS = at(3, "msg_1", 0)
DECLINES = at(3, "msg_1", 1)
CALLS = at(4, "fc_1")

SPOKEN = [
    event("content_part.added", **SAYS, part=TEXT),
    event("output_text.delta", **SAYS, delta="Hi", logprobs=TOKENS),
    event("output_text.annotation.added", **SAYS, annotation_index=0, annotation=SOURCE),
    event("output_text.delta", **SAYS, delta=" there", logprobs=[]),
    event("output_text.done", **SAYS, text="Hi there", logprobs=TOKENS),
    event("content_part.done", **SAYS, part={**TEXT, "text": "Hi there", "annotations": [SOURCE]}),
]

STREAM = [
    event("created", response=STARTED),
    event("in_progress", response=STARTED),
    opened(0, REASONING, encrypted_content="gADDED"),
    *thought(0, "Hm", ". "),
    *thought(1, "So."),
    done(0, REASONING, summary=summary("Hm. ", "So."), encrypted_content="gDONE"),
    opened(1, REASONING, id="rs_2"),
    done(1, REASONING, id="rs_2", encrypted_content="gDONE2"),
    opened(2, SEARCH, status="in_progress", action=None),
    event("web_search_call.searching", **at(2, "ws_1")),
    done(2, SEARCH),
    {"type": "keepalive"},
    opened(3, MESSAGE, status="in_progress", content=[]),
    *SPOKEN,
    event("content_part.added", **DECLINES, part={"type": "refusal", "refusal": ""}),
    event("refusal.delta", **DECLINES, delta="No."),
    event("refusal.done", **DECLINES, refusal="No."),
    event("content_part.done", **DECLINES, part={"type": "refusal", "refusal": "No."}),
    done(3, MESSAGE, content=whole()["output"][3]["content"]),
    opened(4, CALL, status="in_progress", arguments=""),
    event("function_call_arguments.delta", **CALLS, delta='{"city":'),
    event("function_call_arguments.delta", **CALLS, delta='"Oslo"}'),
    event("function_call_arguments.done", **CALLS, arguments='{"city":"Oslo"}'),
    done(4, CALL, arguments='{"city":"Oslo"}'),
    event("completed", response=whole(), beside={"it": 1}),
]


def numbered(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "sequence_number": number} for number, one in enumerate(said)]


RAW = frames(*numbered(STREAM))


def read(*said: dict[str, Any]) -> list[Any]:
    return events_of(dialect, [frames(*numbered(list(said)))])


def write(events: list[Any]) -> list[Any]:
    return bodies(dialect.encoder(ASKED).encode(events))


# --- reading --------------------------------------------------------------------------------------------------------


def test_the_events():
    events = [one for one in events_of(dialect, [RAW]) if not isinstance(one, Unknown | PartEnded)]
    final = dialect.reply_from_wire(whole())
    assert events == [
        Started(id="resp_1", model="gpt-5", created=1750000000, dialect=NAME),
        ThinkingDelta(delta="Hm", index=0),
        ThinkingDelta(delta=". ", index=0),
        ThinkingDelta(delta="So.", index=1),
        PartAdded(part=Opaque(NAME, SEARCH), index=3),
        TextDelta(delta="Hi", index=4, logprobs={"content": TOKENS}),
        Cited(citation=final.message.parts[4].citations[0], index=4),
        TextDelta(delta=" there", index=4),
        RefusalDelta(delta="No.", index=5),
        ToolCallStarted(id="call_1", name="look", index=6),
        ArgumentsDelta(delta='{"city":', index=6),
        ArgumentsDelta(delta='"Oslo"}', index=6),
        Started(
            id="resp_1",
            model="gpt-5",
            created=1750000000,
            extra={key: whole()[key] for key in ECHOED},
            dialect=NAME,
        ),
        ThinkingSigned(signature="gEND", dialect=NAME, index=0),
        ThinkingSigned(signature="gEND", dialect=NAME, index=1),
        ThinkingSigned(signature="gEMPTY", dialect=NAME, index=2),
        Finished(finish="tool_calls", word="completed"),
        UsageReported(usage=Usage(input=6, cache_read=4, output=4, reasoning=5)),
        Ended(),
    ]


def test_the_stream_amounts_to_its_last_response():
    assert reply_of(events_of(dialect, [RAW])) == dialect.reply_from_wire(whole())


def test_a_stream_is_written_as_it_was_read():
    assert write(events_of(dialect, [RAW])) == numbered(STREAM)


def test_one_event_at_a_time_writes_the_same():
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([one]) for one in events_of(dialect, [RAW]))
    assert bodies(raw) == numbered(STREAM)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_cuts_change_nothing(step):
    assert events_of(dialect, every(RAW, step)) == events_of(dialect, [RAW])


def test_what_only_frames_is_no_content():
    decoder = dialect.decoder()
    first = decoder.feed(frames(*STREAM[:3]))
    assert first and not any(one.content for one in first)
    assert any(one.content for one in decoder.feed(frames(*STREAM[3:5])))


def test_reasoning_without_words_is_no_content_until_the_end():
    decoder = dialect.decoder()
    said = [
        STREAM[0],
        opened(0, REASONING),
        done(0, REASONING, encrypted_content="gAAA"),
        opened(1, MESSAGE, content=[]),
    ]
    assert not any(one.content for one in decoder.feed(frames(*said)))


def test_reasoning_in_the_open():
    item = {**REASONING, "content": [{"type": "reasoning_text", "text": "Hm."}]}
    where = at(0, "rs_1", 0)
    said = [
        STREAM[0],
        opened(0, REASONING),
        event("content_part.added", **where, part={"type": "reasoning_text", "text": ""}),
        event("reasoning_text.delta", **where, delta="Hm"),
        event("reasoning_text.delta", **where, delta="."),
        event("reasoning_text.done", **where, text="Hm."),
        event("content_part.done", **where, part={"type": "reasoning_text", "text": "Hm."}),
        done(0, item),
        event("completed", response=whole(output=[item])),
    ]
    events = read(*said)
    assert reply_of(events) == dialect.reply_from_wire(whole(output=[item]))
    assert reply_of(events).message.thinking == "Hm."
    assert write(events) == numbered(said)


def test_an_item_of_several_texts_is_done_when_all_are():
    content = [{**TEXT, "text": "One."}, {**TEXT, "text": "Two."}]
    said = [STREAM[0], opened(0, MESSAGE, content=[])]
    for index, part in enumerate(content):
        where = at(0, "msg_1", index)
        said += [
            event("content_part.added", **where, part=TEXT),
            event("output_text.delta", **where, delta=part["text"], logprobs=[]),
            event("output_text.done", **where, text=part["text"], logprobs=[]),
            event("content_part.done", **where, part=part),
        ]
    item = {**MESSAGE, "content": content}
    said += [done(0, item), event("completed", response=whole(output=[item]))]
    assert write(read(*said)) == numbered(said)


def test_items_that_end_in_another_order():
    item = {**REASONING, "content": [{"type": "reasoning_text", "text": "Hm."}]}
    message = {**MESSAGE, "content": [{"type": "output_text", "text": "4", "annotations": []}]}
    blank = {"type": "output_text", "text": "", "annotations": []}
    said = [
        STREAM[0],
        opened(0, REASONING),
        event("content_part.added", **at(0, "rs_1", 0), part={"type": "reasoning_text", "text": ""}),
        event("reasoning_text.delta", **at(0, "rs_1", 0), delta="Hm."),
        opened(1, MESSAGE, content=[], status="in_progress"),
        event("content_part.added", **at(1, "msg_1", 0), part=blank),
        event("output_text.delta", **at(1, "msg_1", 0), delta="4", logprobs=[]),
        event("output_text.done", **at(1, "msg_1", 0), text="4", logprobs=[]),
        event("content_part.done", **at(1, "msg_1", 0), part={**blank, "text": "4", "logprobs": []}),
        done(1, message),
        event("reasoning_text.done", **at(0, "rs_1", 0), text="Hm."),
        event("content_part.done", **at(0, "rs_1", 0), part={"type": "reasoning_text", "text": "Hm."}),
        done(0, item),
        event("completed", response=whole(output=[item, message])),
    ]
    events = read(*said)
    assert reply_of(events) == dialect.reply_from_wire(whole(output=[item, message]))
    assert write(events) == numbered(said)


def test_a_server_that_says_words_only_when_they_are_done():
    arguments = '{"city":"Oslo"}'
    output = [
        {**MESSAGE, "content": [{**TEXT, "text": "Hi"}]},
        {**CALL, "arguments": arguments},
    ]
    said = [
        STREAM[0],
        opened(0, MESSAGE, content=[]),
        event("output_text.done", **at(0, "msg_1", 0), text="Hi"),
        done(0, output[0]),
        opened(1, CALL, arguments=""),
        event("function_call_arguments.done", **at(1, "fc_1"), arguments=arguments),
        done(1, output[1]),
        event("completed", response=whole(output=output)),
    ]
    events = read(*said)
    assert reply_of(events) == dialect.reply_from_wire(whole(output=output))
    assert [one.delta for one in events if isinstance(one, TextDelta | ArgumentsDelta)] == ["Hi", arguments]


def test_a_server_that_says_all_at_the_end():
    reply = reply_of(read(event("completed", response=whole())))
    assert reply == dialect.reply_from_wire(whole())


def test_a_server_that_does_not_say_it_again_at_the_end():
    reply = reply_of(read(*STREAM[:-1], event("completed", response=whole(output=[]))))
    assert reply.text == "Hi there" and reply.finish == "tool_calls"
    assert [part.signature for part in reply.message.parts if type(part) is Thinking] == ["gDONE", "gDONE", "gDONE2"]


@pytest.mark.parametrize("text", ["Bye", "Hi there, you", "Hi"])
def test_the_last_word_stands(text):
    events = read(*STREAM[:-1], event("completed", response=whole(text)))
    assert reply_of(events) == dialect.reply_from_wire(whole(text))
    said = write(events)
    assert said[:-1] == numbered(STREAM)[:-1] and said[-1]["response"] == whole(text)


def test_words_that_come_with_the_opening():
    said = [
        STREAM[0],
        opened(0, MESSAGE, content=[]),
        event("content_part.added", **at(0, "msg_1", 0), part={**TEXT, "text": "Hi"}),
        event("output_text.delta", **at(0, "msg_1", 0), delta="!"),
        opened(1, CALL, arguments='{"a":'),
        event("function_call_arguments.delta", **at(1, "fc_1"), delta="1}"),
        event(
            "completed",
            response=whole(
                output=[{**MESSAGE, "content": [{**TEXT, "text": "Hi!"}]}, {**CALL, "arguments": '{"a":1}'}]
            ),
        ),
    ]
    events = read(*said)
    assert (reply_of(events).text, reply_of(events).tool_calls[0].arguments) == ("Hi!", '{"a":1}')
    again = reply_of(events_of(dialect, [dialect.encoder(ASKED).encode(events)]))
    assert again == reply_of(events)


def test_a_call_whose_id_comes_late():
    named = {**CALL, "arguments": "{}"}
    nameless = {key: named[key] for key in named if key != "call_id"}
    said = [STREAM[0], opened(0, nameless), done(0, named), event("completed", response=whole(output=[named]))]
    assert reply_of(read(*said)) == dialect.reply_from_wire(whole(output=[named]))


def test_a_call_whose_name_comes_late():
    said = [
        STREAM[0],
        opened(0, {"type": "function_call", "id": "fc_1"}),
        event("function_call_arguments.delta", **at(0, "fc_1"), delta='{"a":1}'),
        done(0, CALL, arguments='{"a":1}'),
        event("completed", response=whole(output=[{**CALL, "arguments": '{"a":1}'}])),
    ]
    assert reply_of(read(*said)).tool_calls[0].arguments == '{"a":1}'


def test_sources_and_log_probabilities_that_come_with_the_whole():
    item = {**MESSAGE, "content": [{**TEXT, "text": "Hi", "annotations": [SOURCE], "logprobs": TOKENS}]}
    said = [
        STREAM[0],
        opened(0, MESSAGE, content=[]),
        event("output_text.delta", **at(0, "msg_1", 0), delta="Hi"),
        done(0, item),
        event("completed", response=whole(output=[item])),
    ]
    assert reply_of(read(*said)) == dialect.reply_from_wire(whole(output=[item]))


def test_an_empty_text_is_a_text():
    item = {**MESSAGE, "content": [TEXT]}
    said = [STREAM[0], opened(0, MESSAGE, content=[]), done(0, item), event("completed", response=whole(output=[item]))]
    assert reply_of(read(*said)) == dialect.reply_from_wire(whole(output=[item]))


def test_an_event_whose_name_stands_outside():
    said = numbered(STREAM)
    raw = b"".join(
        b"event: "
        + one["type"].encode()
        + b"\ndata: "
        + msgspec.json.encode({k: v for k, v in one.items() if k != "type"})
        + b"\n\n"
        for one in said
    )
    assert reply_of(events_of(dialect, [raw])) == dialect.reply_from_wire(whole())


def test_an_incomplete_answer():
    final = whole(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    said = [*STREAM[:-1], event("incomplete", response=final)]
    events = read(*said)
    assert reply_of(events) == dialect.reply_from_wire(final)
    assert reply_of(events).finish == "length"
    assert write(events)[-1]["type"] == "response.incomplete"


def test_a_marker_after_the_end_is_passed_over():
    assert events_of(dialect, [RAW + b"data: [DONE]\n\n"]) == events_of(dialect, [RAW])


def test_a_stream_that_is_cut():
    for count in range(len(STREAM) - 1):
        events, error = until_error(dialect, [frames(*STREAM[:count])])
        assert isinstance(error, CutOff)
    assert reply_of(events).text == "Hi there"


NESTED = {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "try again in 2s"}}
FLAT = {"type": "error", "code": "rate_limit_exceeded", "message": "try again in 2s", "param": None}
FAILED = event("failed", response={**whole(), "status": "failed", "error": FLAT})


@pytest.mark.parametrize("bad", [NESTED, FLAT, FAILED])
def test_an_error_in_a_stream(bad):
    events, error = until_error(dialect, [frames(*STREAM[:5], bad, STREAM[-1])])
    assert any(one.content for one in events)
    assert type(error) is RateLimitError and (error.retry_after, error.code) == (2, "rate_limit_exceeded")


@pytest.mark.parametrize("bad", [b"{", b"[]", b'"x"', b'{"type":"response.completed","response":{"output":[1]}}'])
def test_nonsense_in_a_stream(bad):
    _, error = until_error(dialect, [frames(STREAM[0], bad)])
    assert type(error) is ResponseParseError


# --- writing what others say ----------------------------------------------------------------------------------------


def balanced(said: list[Any]) -> None:
    """Every item and part opens and closes, and the numbers go up."""
    assert [one["sequence_number"] for one in said] == list(range(len(said)))
    kinds = [one["type"] for one in said]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    for what in ("output_item", "content_part", "reasoning_summary_part"):
        assert kinds.count(f"response.{what}.added") == kinds.count(f"response.{what}.done")
    places = [one["output_index"] for one in said if one["type"] == "response.output_item.added"]
    assert places == list(range(len(places)))
    items = [one["item"] for one in said if one["type"] == "response.output_item.done"]
    assert sorted(items, key=str) == sorted(said[-1]["response"]["output"], key=str)


def accepted(said: list[Any]) -> Any:
    """What the official SDK makes of a stream; each event has the form that it declares."""
    from openai._models import construct_type
    from openai._types import omit
    from openai.lib.streaming.responses._responses import ResponseStreamState
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    adapter: Any = TypeAdapter(ResponseStreamEvent)
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    heard: list[Any] = []
    for one in said:
        adapter.validate_python(one)
        heard += state.handle_event(construct_type(type_=ResponseStreamEvent, value=one))
    return heard[-1].response


BEGIN = Started(id="x-1", model="m", created=5, dialect="openai_chat")
OTHERS = [
    BEGIN,
    ThinkingDelta(delta="Hm", index=0, extra={"~key": "reasoning"}),
    ThinkingDelta(delta=".", index=0),
    ThinkingSigned(signature="c2ln", dialect="anthropic_messages", index=0),
    TextDelta(delta="Look", index=1, logprobs={"content": TOKENS}),
    Cited(citation=Citation("anthropic_messages", {"type": "x"}, "https://e.com", "E"), index=1),
    Cited(citation=Citation("anthropic_messages", {"type": "x"}), index=1),
    TextDelta(delta=".", index=1),
    PartEnded(index=1),
    PartAdded(part=Opaque("anthropic_messages", {"type": "x"}), index=2),
    Unknown(dialect="anthropic_messages", body={"type": "x"}),
    RefusalDelta(delta="No.", index=3),
    ToolCallStarted(id="a", name="look", index=4),
    ToolCallStarted(id="b", name="listen", index=5, call=1),
    ArgumentsDelta(delta='{"x":', index=4),
    ArgumentsDelta(delta="{}", index=5, call=1),
    ArgumentsDelta(delta="1}", index=4),
    Finished(finish="tool_calls", word="tool_calls"),
    UsageReported(usage=Usage(input=5, output=2, reasoning=1)),
    Ended(),
]


def test_anothers_stream_is_one_that_the_official_sdk_accepts():
    said = write(OTHERS)
    balanced(said)
    response = accepted(said)
    assert response.output_text == "Look." and response.usage.output_tokens == 3
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert [item.arguments for item in response.output[2:]] == ['{"x":1}', "{}"]


def test_anothers_stream_amounts_to_what_its_whole_answer_is():
    said = write(OTHERS)
    reply = reply_of([one for one in OTHERS if not isinstance(one, PartEnded)])
    assert said[-1]["response"] == dialect.reply_to_wire(reply)
    back = reply_of(events_of(dialect, [dialect.encoder(ASKED).encode(OTHERS)]))
    assert (back.text, back.message.thinking, back.message.refusal) == ("Look.", "Hm.", "No.")
    assert [(call.id, call.arguments) for call in back.tool_calls] == [("a", '{"x":1}'), ("b", "{}")]
    assert back.choices[0].logprobs == {"content": TOKENS} and back.usage == reply.usage


def test_another_apis_sources_are_told_when_the_text_is_known():
    said = write(OTHERS)
    added = [one for one in said if one["type"] == "response.output_text.annotation.added"]
    assert [one["annotation"] for one in added] == [{**SOURCE, "end_index": 5}]


def test_text_that_goes_on_after_a_call_is_another_message():
    said = write([
        BEGIN,
        TextDelta(delta="One.", index=0),
        ToolCallStarted(id="a", name="look", index=1),
        TextDelta(delta="Two.", index=0),
        ArgumentsDelta(delta="{}", index=1),
        Finished(finish="stop"),
        Ended(),
    ])  # fmt: skip
    balanced(said)
    assert [item["type"] for item in accepted(said).model_dump()["output"]] == ["message", "function_call", "message"]


def test_parts_that_come_whole():
    said = write([
        BEGIN,
        PartAdded(part=Thinking("Hm."), index=0),
        PartAdded(part=Text("Hi", (Citation("x", {}, "https://e.com"),)), index=1),
        PartAdded(part=ToolCall("a", "look", '{"x":1}'), index=2),
        PartAdded(part=Thinking(redacted="x", dialect="anthropic_messages"), index=3),
        Finished(finish="stop"),
        Ended(),
    ])  # fmt: skip
    balanced(said)
    response = accepted(said)
    assert (response.output_text, response.output[2].arguments) == ("Hi", '{"x":1}')


@pytest.mark.parametrize(
    ("finish", "kind", "status"),
    [("length", "response.incomplete", "incomplete"), ("stop", "response.completed", "completed")],
)
def test_how_it_ends(finish, kind, status):
    said = write([BEGIN, TextDelta(delta="Hi"), Finished(finish=finish), Ended()])
    balanced(said)
    assert said[-1]["type"] == kind
    assert said[-1]["response"]["status"] == said[-1]["response"]["output"][0]["status"] == status


def test_other_choices_and_empty_pieces_are_left_out():
    said = write([BEGIN, TextDelta(delta=""), TextDelta(delta="x", choice=1), Finished(finish="stop"), Ended()])
    balanced(said)
    assert said[-1]["response"]["output"] == []


def test_nothing_is_written_before_there_is_content():
    encoder = dialect.encoder(ASKED)
    assert encoder.encode([BEGIN, UsageReported(usage=Usage(input=1))]) == b""
    assert b"response.created" in encoder.encode([TextDelta(delta="Hi")])


def test_what_was_changed_on_its_way_is_said_as_it_is_now():
    changed = [replace(one, delta="*") if isinstance(one, TextDelta) else one for one in events_of(dialect, [RAW])]
    said = write(changed)
    assert "Hi there" not in str(said)
    assert said[-1]["response"]["output"][3]["content"][0]["text"] == "**"


def test_events_of_this_api_without_their_framing():
    bare = [one for one in events_of(dialect, [RAW]) if not isinstance(one, Unknown)]
    said = write(bare)
    response = accepted(said)
    assert response.output_text == "Hi there" and response.output[0].encrypted_content == "gEND"
    kinds = [one["type"] for one in said]
    for what in ("output_item", "content_part", "reasoning_summary_part"):
        assert kinds.count(f"response.{what}.added") == kinds.count(f"response.{what}.done")


def test_a_stream_that_breaks_is_an_error_for_the_official_sdk():
    import httpx2
    from openai import APIError, OpenAI

    raw = RAW[: RAW.index(b"event: response.output_text.done")] + dialect.broken(OverloadedError("busy", code="x"))
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw)
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    with OpenAI(api_key="k", http_client=http, max_retries=0) as sdk, pytest.raises(APIError, match="busy"):
        for _ in sdk.responses.create(model="m", input="Hi", stream=True):
            pass
    _, error = until_error(dialect, [raw])
    assert error is not None and error.transient
    assert bodies(dialect.broken(OverloadedError("busy")))[0]["sequence_number"] > len(STREAM)


# --- watching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_the_watcher_passes_everything_on(step):
    tap = dialect.tap(Words(NAME, {}))
    passed = b"".join(tap.feed(piece) for piece in every(RAW, step)) + tap.close()
    assert passed == RAW
    reply = reply_of(events_of(dialect, [RAW]))
    assert (tap.content, tap.ended, tap.usage, tap.finish, tap.tier) == (
        True,
        True,
        reply.usage,
        "tool_calls",
        "default",
    )


def test_the_watcher_sees_the_first_content():
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(frames(*STREAM[:4]))
    assert not tap.content
    tap.feed(frames(STREAM[4]))
    assert tap.content and not tap.ended


def test_the_watcher_raises_what_it_meets():
    tap = dialect.tap(Words(NAME, {}))
    good = frames(*STREAM[:5])
    assert tap.feed(good + frames(NESTED)) == good
    with pytest.raises(RateLimitError):
        tap.feed(b"")
    cut = dialect.tap(Words(NAME, {}))
    cut.feed(good)
    with pytest.raises(CutOff):
        cut.close()


def test_text_that_looks_like_an_end_is_none():
    tap = dialect.tap(Words(NAME, {}))
    quoted = '{"type":"response.completed"} {"type":"error"}'
    raw = frames(*STREAM[:6], event("output_text.delta", **SAYS, delta=quoted))
    assert tap.feed(raw) == raw and not tap.ended
    odd = frames(event("web_search_call.searching", item={"type": "error"}))
    assert tap.feed(odd) == odd and not tap.ended
