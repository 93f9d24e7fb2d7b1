"""Ollama's chat, both ways: golden examples of our own making, and the traps of that API."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from streaming import ASKED, events_of, every, reply_of, until_error

from trunkline.vocabulary.errors import (
    AuthenticationError,
    CutOff,
    InvalidRequestError,
    ModelError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Finished,
    PartAdded,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import (
    File,
    Image,
    Opaque,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.vocabulary.usage import Usage
from trunkline.wire import ollama_chat as dialect

NAME = "ollama_chat"
FACTS = Facts(model="qwen")
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0").decode()

# --- requests -------------------------------------------------------------------------------------------------------

WIRE: dict[str, Any] = {
    "model": "qwen",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {"role": "user", "content": "What is it?", "images": [JPEG, "iVBORw=="]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"function": {"name": "look", "arguments": {"to": "north"}}},
                {"function": {"name": "listen", "arguments": {}, "index": 1}},
                {"id": "call_x", "function": {"name": "look", "arguments": {"to": "south"}}},
            ],
        },
        {"role": "tool", "content": "silence", "tool_name": "listen"},
        {"role": "tool", "content": "2 ships"},
        {"role": "tool", "content": "none", "tool_name": "look", "tool_call_id": "call_x"},
        {"role": "user", "content": "And then?", "news": 1},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "description": "", "parameters": {"type": "object"}}}],
    "format": {"type": "object"},
    "think": "high",
    "keep_alive": "5m",
    "options": {"num_predict": 10, "temperature": 0.5, "stop": ["END"], "seed": 1, "top_k": 5, "num_ctx": 4096},
    "logprobs": True,
    "top_logprobs": 2,
    "stream": False,
}


def written(request: Request, facts: Facts = FACTS) -> tuple[dict[str, Any], list[str]]:
    out = dialect.request_to_wire(request, facts)
    return msgspec.json.decode(msgspec.json.encode(out.body)), [loss.row for loss in out.loss]


def asked(*messages: Message, **more: Any) -> Request:
    return Request(model="m", messages=messages or (said("user", "hi"),), **more)


def test_its_own_request_comes_back_as_it_was():
    assert written(dialect.request_from_wire(WIRE)) == (WIRE, [])


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"think": True},
        {"think": False},
        {"format": "json"},
        {"format": ""},
        {"options": {"num_ctx": 1}},
        {"tools": [{"function": {"name": "f", "parameters": {}}}]},
        {"messages": [{"role": "user", "content": "", "images": ["data:image/png;base64,iVBORw=="]}]},
        {"messages": [{"role": "assistant", "content": ""}]},
    ],
)
def test_other_ways_to_say_it_come_back_too(more):
    body = {"model": "qwen", "messages": [], **more}
    assert written(dialect.request_from_wire(body)) == (body, [])


def test_an_answer_is_streamed_unless_the_caller_says_otherwise():
    body = {"model": "qwen", "messages": []}
    assert dialect.request_from_wire(body).stream is True
    assert dialect.request_from_wire({**body, "stream": False}).stream is False
    assert written(asked())[0]["stream"] is False
    assert written(asked(stream=True))[0]["stream"] is True


def test_a_request_is_read_with_nothing_lost():
    request = dialect.request_from_wire(WIRE)
    _, user, model, *results, last = request.messages
    assert user.parts == (
        Text("What is it?"),
        Image(Source(data=JPEG, media_type="image/jpeg")),
        Image(Source(data="iVBORw==", media_type="image/png")),
    )
    assert model.thinking == "Hm."
    calls = model.tool_calls
    assert [(call.name, call.arguments) for call in calls] == [
        ("look", '{"to":"north"}'),
        ("listen", "{}"),
        ("look", '{"to":"south"}'),
    ]
    assert len({call.id for call in calls}) == 3
    answered = {result.parts[0].text: result.parts[0].call_id for result in results}
    assert answered == {"silence": calls[1].id, "2 ships": calls[0].id, "none": "call_x"}
    assert last.extra == {"news": 1}
    assert request.settings == Settings(
        max_tokens=10, temperature=0.5, stop=("END",), seed=1, top_k=5, logprobs=True, top_logprobs=2,
        reasoning=Reasoning("high"),
    )  # fmt: skip
    assert request.response_format == ResponseFormat("schema", {"type": "object"})
    assert request.extra == {"keep_alive": "5m", "options": {"num_ctx": 4096}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "model"),
        ({"model": "m"}, "messages"),
        ({"messages": [{"role": "developer", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "", "images": [1]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ({"messages": [], "format": "xml"}, "format"),
        ({"messages": [], "think": 1}, "think"),
        ({"messages": [], "options": {"top_k": "x"}}, "options.top_k"),
        ({"messages": [], "options": [1]}, "options"),
    ],
)
def test_the_field_to_mend_is_named(body, field):
    body = body if field in {"model", "messages"} else {"model": "m", **body}
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


def test_anothers_conversation_has_this_apis_form():
    text = Source(data=base64.b64encode(b"salt").decode(), media_type="text/plain")
    body, lost = written(
        asked(
            said("developer", "Be brief."),
            said("user", " ", "See", Image(Source(data=JPEG, media_type="image/jpeg")), File(text, "sea.txt")),
            said("assistant", Thinking("hm"), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"cut')),
            said("user", ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),), is_error=True), "and?"),
            said("assistant", Refusal("No.")),
        )
    )
    assert lost == ["tool_result_error"]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "See\n\nsea.txt\n\nsalt", "images": [JPEG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
                {"id": "b", "function": {"name": "g", "arguments": {"INVALID_JSON": '{"cut'}}},
            ],
        },
        {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "a"},
        {"role": "tool", "content": "2", "tool_name": "g", "tool_call_id": "b"},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "No."},
    ]


def test_a_picture_among_texts_stands_beside_them():
    picture = Image(Source(data=JPEG, media_type="image/jpeg"))
    body, lost = written(asked(said("user", "a", picture, "b", picture, "c")))
    assert body["messages"] == [{"role": "user", "content": "a\n\nb\n\nc", "images": [JPEG, JPEG]}]
    assert set(lost) == {"order"}
    assert written(asked(said("user", picture, "b")))[1] == []
    assert written(asked(said("user", "a", picture)))[1] == []


def test_pictures_that_are_linked_to_are_lost():
    body, lost = written(asked(said("user", "x", Image(Source(url="https://a.example/x.png")))))
    assert (body["messages"], lost) == ([{"role": "user", "content": "x"}], ["image_url"])


@pytest.mark.parametrize(
    ("choice", "offered", "row"),
    [
        (ToolChoice("auto"), ["f", "g"], []),
        (ToolChoice("none"), None, ["choice_none"]),
        (ToolChoice("auto", allowed=("f",)), ["f"], ["choice_allowed"]),
        (ToolChoice("required"), ["f", "g"], ["choice_required"]),
        (ToolChoice("tool", "g"), ["f", "g"], ["choice_tool"]),
    ],
)
def test_choices_are_said_by_offering_tools(choice, offered, row):
    body, lost = written(asked(tools=(Tool("f"), Tool("g")), tool_choice=choice))
    assert ([tool["function"]["name"] for tool in body["tools"]] if "tools" in body else None) == offered
    assert lost == row


@pytest.mark.parametrize(
    ("reasoning", "think", "row"),
    [
        (Reasoning("minimal"), "low", []),
        (Reasoning("max"), "high", []),
        (Reasoning(adaptive=True), True, []),
        (Reasoning("none"), False, []),
        (Reasoning(off=True), False, []),
        (Reasoning(budget=9000), "medium", ["reasoning_budget"]),
    ],
)
def test_thinking_crosses(reasoning, think, row):
    body, lost = written(asked(settings=Settings(reasoning=reasoning)))
    assert (body["think"], lost) == (think, row)
    body, lost = written(asked(settings=Settings(reasoning=reasoning)), replace(FACTS, reasoning=False))
    assert ("think" in body, lost) == (False, ["target"] if think else [])


def test_settings_go_under_options_beside_what_else_is_said_there():
    request = asked(settings=Settings(max_tokens=5, temperature=1.5, n=2), extra={"options": {"num_ctx": 9}})
    body, lost = written(request)
    assert body["options"] == {"num_ctx": 9, "num_predict": 5, "temperature": 1.5}
    assert lost == ["n"]


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat("json"), "json"),
        (ResponseFormat("schema", {"type": "array"}, "A"), {"type": "array"}),
        (ResponseFormat(), None),
    ],
)
def test_the_form_of_the_answer(form, wire):
    body, lost = written(asked(response_format=form))
    assert (body.get("format"), lost) == (wire, [])


# --- replies --------------------------------------------------------------------------------------------------------

COUNTED = {
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 33,
    "prompt_eval_duration": 2,
    "eval_count": 57,
    "eval_duration": 6,
}
REPLY: dict[str, Any] = {
    "model": "qwen",
    "created_at": "2026-08-07T06:08:11.017589123Z",
    "message": {
        "role": "assistant",
        "content": "Two ships.",
        "thinking": "Hm.",
        "tool_calls": [
            {"function": {"name": "look", "arguments": {"a": 1}}},
            {"id": "call_x", "function": {"index": 1, "name": "look", "arguments": {"a": 1}}},
        ],
    },
    "done": True,
    "done_reason": "stop",
    "logprobs": [{"token": "Two", "logprob": -0.5, "bytes": [84], "top_logprobs": []}],
    **COUNTED,
}


def test_a_reply_is_read_with_nothing_lost_and_comes_back():
    reply = dialect.reply_from_wire(REPLY)
    assert (reply.model, reply.created, reply.text, reply.message.thinking) == (
        "qwen",
        1786082891,
        "Two ships.",
        "Hm.",
    )
    first, second = reply.tool_calls
    assert (first.name, first.arguments, second.id) == ("look", '{"a":1}', "call_x")
    assert first.id.startswith("call_") and first.id != second.id
    assert (reply.finish, reply.choices[0].word) == ("tool_calls", "stop")
    assert reply.usage == Usage(input=33, output=57)
    assert reply.choices[0].logprobs == {"content": REPLY["logprobs"]}
    assert reply.extra["total_duration"] == 9
    assert dialect.reply_to_wire(reply) == REPLY
    assert dialect.glance(msgspec.json.encode(REPLY)) == Seen(reply.usage, "tool_calls", None)


def test_an_invented_id_is_another_in_the_next_turn():
    again = {**REPLY, "created_at": "2026-08-07T06:09:00Z"}
    ids = [dialect.reply_from_wire(body).tool_calls[0].id for body in (REPLY, REPLY, again)]
    assert ids[0] == ids[1] != ids[2]


def test_what_a_model_called_goes_back_as_it_came():
    reply = dialect.reply_from_wire(REPLY)
    results = said("tool", *(ToolResult(call.id, (Text("2"),)) for call in reply.tool_calls))
    body, lost = written(asked(said("user", "x"), reply.to_message(), results))
    assert lost == []
    assert body["messages"][1] == {**REPLY["message"], "tool_calls": REPLY["message"]["tool_calls"]}
    assert [one["tool_name"] for one in body["messages"][2:]] == ["look", "look"]


@pytest.mark.parametrize("word", ["stop", "length", "load"])
def test_why_it_ended(word):
    body = {**REPLY, "message": {"role": "assistant", "content": "x"}, "done_reason": word}
    reply = dialect.reply_from_wire(body)
    assert reply.finish == word
    assert dialect.reply_to_wire(reply) == body


def test_an_error_in_a_200_is_raised_as_what_it_is():
    with pytest.raises(ServiceError):
        dialect.reply_from_wire({"error": "it broke"})
    with pytest.raises(AuthenticationError):
        dialect.reply_from_wire({"error": "unauthorized", "status_code": 401})
    assert dialect.glance(b"<html>") == Seen()


@pytest.mark.parametrize(
    "body",
    [{}, {"message": 1}, {"message": {"content": 1}}, {"message": {"tool_calls": [1]}}, {"message": {}, "logprobs": 1}],
)
def test_nonsense_is_a_typed_error(body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)


def test_anothers_reply_has_this_apis_form():
    parts = (Thinking("hm", "sig", dialect="x"), Text("see", extra={"x": 1}), ToolCall("t", "f", "{}"), Opaque("x", {}))
    reply = Reply(
        model="m",
        created=0,
        dialect="x",
        seconds=1.5,
        usage=Usage(input=1, cache_read=2, output=3, reasoning=4),
        choices=(Choice(Message("assistant", parts), finish="tool_calls", word="tool_calls"),),
    )
    assert dialect.reply_to_wire(reply) == {
        "model": "m",
        "created_at": "1970-01-01T00:00:00Z",
        "message": {
            "role": "assistant",
            "content": "see",
            "thinking": "hm",
            "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": {}}}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 7,
        "total_duration": 1_500_000_000,
    }


# --- streams --------------------------------------------------------------------------------------------------------

AT = REPLY["created_at"]


def piece(**message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "", **message}
    return {"model": "qwen", "created_at": AT, "message": said, "done": False}


STREAM = [
    piece(thinking="H"),
    piece(thinking="m."),
    {**piece(content="Two"), "logprobs": REPLY["logprobs"]},
    piece(content=" ships."),
    piece(tool_calls=[REPLY["message"]["tool_calls"][0]]),
    piece(tool_calls=[REPLY["message"]["tool_calls"][1]]),
    {**piece(), "done": True, "done_reason": "stop", **COUNTED},
]


def lines(*bodies: Any, end: bytes = b"\n") -> bytes:
    return b"".join(msgspec.json.encode(body) + end for body in bodies)


RAW = lines(*STREAM)


def test_a_stream_amounts_to_the_whole_reply():
    assert reply_of(events_of(dialect, [RAW])) == dialect.reply_from_wire(REPLY)


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_cuts_change_nothing(step, end):
    raw = lines(*STREAM, end=end)
    assert events_of(dialect, every(raw, step)) == events_of(dialect, [RAW])
    tap = dialect.tap(Words(NAME, {}))
    assert b"".join([*(tap.feed(part) for part in every(raw, step)), tap.close()]) == raw
    assert (tap.content, tap.ended, tap.usage, tap.finish) == (True, True, Usage(input=33, output=57), "tool_calls")


def test_its_own_stream_comes_back_event_by_event():
    encoder = dialect.encoder(ASKED)
    written = b"".join(encoder.encode([one]) for one in events_of(dialect, [RAW]))
    assert [msgspec.json.decode(line) for line in written.splitlines()] == STREAM


def test_a_raw_line_separator_is_text():
    raw = lines(piece(content="a b"), STREAM[-1])
    assert reply_of(events_of(dialect, every(raw, 2))).text == "a b"


def test_the_last_line_may_lack_its_end():
    raw = RAW.removesuffix(b"\n")
    assert isinstance(events_of(dialect, [raw])[-1], Ended)
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(raw) + tap.close() == raw
    assert tap.ended


@pytest.mark.parametrize("rest", [b"", b'{"model":"qw'])
def test_a_stream_without_its_end_is_cut_off(rest):
    raw = lines(*STREAM[:4]) + rest
    events, error = until_error(dialect, [raw])
    assert isinstance(error, CutOff)
    assert events
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(raw)
    with pytest.raises(CutOff):
        tap.close()


def test_an_error_in_the_stream_is_raised_after_what_came_before():
    raw = lines(*STREAM[:3], {"error": "it broke"})
    events, error = until_error(dialect, [raw])
    assert len(events) == 4
    assert isinstance(error, ServiceError)
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(raw) == lines(*STREAM[:3])
    with pytest.raises(ServiceError):
        tap.feed(b"")
    assert isinstance(until_error(dialect, [lines(*STREAM[:3]) + dialect.broken(error)])[1], ServiceError)


@pytest.mark.parametrize(
    "line", [b"[]\n", b"nonsense\n", b'{"message": {"tool_calls": [1]}}\n', b'{"message": {"images": 1}}\n']
)
def test_a_line_that_cannot_be_read_is_the_servers_mistake(line):
    assert isinstance(until_error(dialect, [line])[1], ResponseParseError)


def test_anothers_stream_has_this_apis_form():
    events = [
        Started(id="x", model="m", created=0, dialect="x", extra={"created_at": "theirs"}),
        ThinkingDelta(delta="hm", index=0),
        ThinkingSigned(signature="s", dialect="x", index=0),
        TextDelta(delta="Look", index=1),
        ToolCallStarted(id="a", name="f", index=2, call=0, extra={"theirs": 1}),
        ToolCallStarted(id="b", name="g", index=3, call=1),
        ArgumentsDelta(delta='{"x"', index=2, call=0),
        ArgumentsDelta(delta="{}", index=3, call=1),
        ArgumentsDelta(delta=":1}", index=2, call=0),
        PartAdded(part=Opaque("x", {}), index=4),
        TextDelta(delta="other choice", choice=1),
        Finished(finish="tool_calls", word="tool_calls"),
        UsageReported(usage=Usage(input=1, output=2), extra={"theirs": 1}),
        Ended(),
    ]
    written = dialect.encoder(ASKED).encode(events)
    head = {"model": "m", "created_at": "1970-01-01T00:00:00Z"}

    def said(**message: Any) -> dict[str, Any]:
        return {**head, "message": {"role": "assistant", "content": "", **message}, "done": False}

    assert [msgspec.json.decode(line) for line in written.splitlines()] == [
        said(thinking="hm"),
        said(content="Look"),
        said(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]),
        said(tool_calls=[{"id": "b", "function": {"name": "g", "arguments": {}}}]),
        {**said(), "done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 2},
    ]
    assert reply_of(events_of(dialect, [written])).finish == "tool_calls"


# --- errors and nonsense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "registry.ollama.ai/library/x does not support tools", InvalidRequestError),
        (401, "unauthorized", AuthenticationError),
        (404, "model 'x' not found", ModelError),
        (500, "llama runner process has terminated", ServiceError),
    ],
)
def test_errors_are_read_and_written(status, message, kind):
    body = msgspec.json.encode({"error": message})
    error = dialect.error_from_wire(status, {}, body)
    assert type(error) is kind
    assert error.message == message
    refused = dialect.error_to_wire(error)
    assert (refused.status, refused.body) == (status, body)
    theirs = dialect.error_to_wire(kind("no", status=status, retry_after=1.6))
    assert msgspec.json.decode(theirs.body) == {"error": "no"}
    assert theirs.headers["retry-after"] == "2"


KEYS = (
    "messages", "role", "content", "thinking", "images", "tool_calls", "function", "name", "arguments", "id", "done",
    "done_reason", "logprobs", "options", "think", "format", "tools", "message", "prompt_eval_count", "created_at",
    "tool_name", "tool_call_id", "error", "status_code", "model", "parameters", "type",
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["user", "assistant", "tool", "x", "stop"])
nonsense = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS), nonsense, max_size=5)


@given(objects)
@settings(max_examples=300)
def test_nonsense_is_a_typed_error_on_every_side(body):
    with contextlib.suppress(InvalidRequestError):
        dialect.request_from_wire({"model": "m", "messages": [], **body})
    with contextlib.suppress(TrunklineError):
        dialect.reply_from_wire(body)
    with contextlib.suppress(TrunklineError):
        events_of(dialect, [lines(body)])
    dialect.glance(msgspec.json.encode(body))
