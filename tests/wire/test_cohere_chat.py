"""Cohere's chat (v2), both ways: golden examples of our own making, and the traps of that API."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from streaming import ASKED, events_of, every, frames, reply_of, until_error

from trunkline.vocabulary.errors import (
    AuthenticationError,
    CutOff,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
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
    Citation,
    File,
    Image,
    Opaque,
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
from trunkline.wire import cohere_chat as dialect
from trunkline.wire.grammar.sse import Frames, event_of

NAME = "cohere_chat"
FACTS = Facts(model="command")

# --- requests -------------------------------------------------------------------------------------------------------

SOURCE = {
    "type": "tool",
    "id": "t1:0",
    "tool_output": {"text": "2 ships", "title": "Log", "url": "https://sea.example"},
}
CITED = {"start": 0, "end": 3, "text": "Two", "sources": [SOURCE], "content_index": 1, "type": "TEXT_CONTENT"}
WIRE: dict[str, Any] = {
    "model": "command",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://sea.example/x.png"}},
            ],
        },
        {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"to": "north"}'}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "t1",
            "content": [
                {"type": "document", "document": {"id": "d", "data": {"text": "2 ships"}}},
                {"type": "document", "document": {"data": "plain"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Two ships."}],
            "citations": [CITED],
        },
        {"role": "user", "content": "And then?"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "description": "", "parameters": {"type": "object"}}}],
    "strict_tools": True,
    "tool_choice": "REQUIRED",
    "documents": [{"id": "doc", "data": {"text": "salt"}}],
    "citation_options": {"mode": "FAST"},
    "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
    "safety_mode": "CONTEXTUAL",
    "thinking": {"type": "enabled", "token_budget": 500},
    "max_tokens": 10,
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "seed": 1,
    "k": 5,
    "p": 0.5,
    "logprobs": True,
    "stream": True,
}


def written(request: Request, facts: Facts = FACTS) -> tuple[dict[str, Any], list[str]]:
    out = dialect.request_to_wire(request, facts)
    return msgspec.json.decode(msgspec.json.encode(out.body)), [loss.row for loss in out.loss]


def asked(*messages: Message, **more: Any) -> Request:
    return Request(model="m", messages=messages or (said("user", "hi"),), **more)


def test_its_own_request_comes_back_as_it_was():
    out = dialect.request_to_wire(dialect.request_from_wire(WIRE), FACTS)
    assert (out.body, out.loss) == (WIRE, ())


@pytest.mark.parametrize(
    "more",
    [
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "enabled"}},
        {"tool_choice": "NONE"},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
        {"tools": [{"type": "news", "x": 1}]},
        {"messages": [{"role": "assistant", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "news", "x": 1}, {"type": "text", "text": "a", "b": 1}]}]},
    ],
)
def test_other_ways_to_say_it_come_back_too(more):
    body = {"model": "command", "messages": [], **more}
    again, lost = written(dialect.request_from_wire(body))
    plain = body["messages"] and body["messages"][0]["content"] == [{"type": "text", "text": ""}]
    assert (again, lost) == ({**body, "messages": [{"role": "assistant", "content": ""}]} if plain else body, [])


def test_a_request_is_read_with_nothing_lost():
    request = dialect.request_from_wire(WIRE)
    _, user, plan, result, cited, _ = request.messages
    assert user.parts[1] == Image(Source(data="iVBORw==", media_type="image/png"), "low")
    assert user.parts[2] == Image(Source(url="https://sea.example/x.png"))
    assert (plan.thinking, plan.tool_calls) == ("I will look.", (ToolCall("t1", "look", '{"to": "north"}'),))
    assert result.parts[0].call_id == "t1"
    assert [part.text for part in result.parts[0].parts] == ['{"text":"2 ships"}', "plain"]
    assert cited.thinking == "Hm."
    assert cited.parts[1].citations == (Citation(NAME, CITED, "https://sea.example", "Log", "2 ships", 0, 3),)
    assert request.tools == (Tool("look", "", {"type": "object"}, strict=True),)
    assert request.tool_choice == ToolChoice("required")
    assert request.settings == Settings(
        max_tokens=10, stop=("END",), temperature=0.5, seed=1, top_k=5, top_p=0.5, logprobs=True,
        reasoning=Reasoning(budget=500),
    )  # fmt: skip
    assert request.response_format == ResponseFormat("schema", {"type": "object"})
    assert set(request.extra) == {"strict_tools", "documents", "citation_options", "safety_mode"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "developer", "content": ""}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "tool", "content": ""}]}, "messages[0].tool_call_id"),
        ({"model": "m", "messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"model": "m", "messages": [], "tool_choice": "auto"}, "tool_choice"),
        ({"model": "m", "messages": [], "response_format": {"type": "xml"}}, "response_format"),
        ({"model": "m", "messages": [], "thinking": {"type": "enabled", "token_budget": "x"}}, "thinking.token_budget"),
        ({"model": "m", "messages": [], "p": "x"}, "p"),
    ],
)
def test_the_field_to_mend_is_named(body, field):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


def test_anothers_conversation_has_this_apis_form():
    text = Source(data=base64.b64encode(b"salt").decode(), media_type="text/plain")
    body, lost = written(
        asked(
            said("developer", "Be brief."),
            said("user", " ", "See", Image(Source(url="https://a.example/x.png")), File(text, "sea.txt")),
            said("assistant", Thinking("hm"), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "f")),
            said("user", ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),), is_error=True), "and?"),
            tools=(Tool("f"),),
        )
    )
    assert lost == ["tool_result_error"]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
                {"type": "text", "text": "sea.txt\n\nsalt"},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": "and?"},
    ]


def test_reasoning_goes_back_only_to_a_model_that_thinks():
    request = asked(said("user", "x"), said("assistant", Thinking("hm"), "ok"))
    body, lost = written(request, replace(FACTS, reasoning=False))
    assert (body["messages"][1], lost) == ({"role": "assistant", "content": "ok"}, ["target"])


@pytest.mark.parametrize(
    ("choice", "word", "offered", "row"),
    [
        (ToolChoice("auto"), None, ["f", "g"], []),
        (ToolChoice("none"), "NONE", ["f", "g"], []),
        (ToolChoice("required"), "REQUIRED", ["f", "g"], []),
        (ToolChoice("tool", "g"), "REQUIRED", ["g"], ["choice_tool"]),
        (ToolChoice("auto", allowed=("f",)), None, ["f"], ["choice_allowed"]),
    ],
)
def test_choices_cross(choice, word, offered, row):
    body, lost = written(asked(tools=(Tool("f"), Tool("g")), tool_choice=choice))
    assert body.get("tool_choice") == word
    assert [tool["function"]["name"] for tool in body["tools"]] == offered
    assert lost == row


def test_tools_are_strict_together_or_not_at_all():
    assert written(asked(tools=(Tool("f", strict=True), Tool("g", strict=True))))[0]["strict_tools"] is True
    body, lost = written(asked(tools=(Tool("f", strict=True), Tool("g"))))
    assert ("strict_tools" in body, lost) == (False, ["range"])


def test_settings_stay_within_bounds():
    body, lost = written(
        asked(settings=Settings(top_p=1, top_k=900, frequency_penalty=-1, stop=tuple("abcdef"), seed=1, n=2))
    )
    assert {key: value for key, value in body.items() if key not in {"model", "messages"}} == {
        "k": 500,
        "frequency_penalty": 0,
        "stop_sequences": list("abcde"),
        "seed": 1,
    }
    assert sorted(lost) == ["n", "range", "range", "range"]
    body, lost = written(asked(settings=Settings(temperature=0.5)), replace(FACTS, sampling=False))
    assert ("temperature" in body, lost) == (False, ["target"])


@pytest.mark.parametrize(
    ("reasoning", "wire"),
    [
        (Reasoning(budget=99), {"type": "enabled", "token_budget": 99}),
        (Reasoning("low"), {"type": "enabled", "token_budget": 1024}),
        (Reasoning(adaptive=True), {"type": "enabled"}),
        (Reasoning("none"), {"type": "disabled"}),
        (Reasoning(off=True), {"type": "disabled"}),
    ],
)
def test_thinking_crosses(reasoning, wire):
    assert written(asked(settings=Settings(reasoning=reasoning)))[0]["thinking"] == wire
    body, lost = written(asked(settings=Settings(reasoning=reasoning)), replace(FACTS, reasoning=False))
    assert ("thinking" in body, lost) == (False, [] if wire["type"] == "disabled" else ["target"])


def test_the_form_of_the_answer():
    form = ResponseFormat("schema", {"type": "object"}, "A", strict=True)
    body, lost = written(asked(response_format=form))
    assert (body["response_format"], lost) == ({"type": "json_object", "json_schema": {"type": "object"}}, [])
    assert written(asked(response_format=ResponseFormat("json")))[0]["response_format"] == {"type": "json_object"}
    limited = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
    body, lost = written(asked(response_format=ResponseFormat("schema", limited)))
    assert body["response_format"]["json_schema"]["properties"] == {"a": {"type": "integer"}}
    assert lost == ["range"]
    body, lost = written(asked(response_format=ResponseFormat("schema", {"type": "array", "items": {"type": "null"}})))
    assert ("response_format" in body, lost) == (False, ["target"])
    body, lost = written(asked(response_format=form, tools=(Tool("f"),)))
    assert ("response_format" in body, lost) == (False, ["target"])


# --- replies --------------------------------------------------------------------------------------------------------

REPLY: dict[str, Any] = {
    "id": "r1",
    "message": {
        "role": "assistant",
        "tool_plan": "I will look.",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Two ships."}],
        "citations": [CITED],
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
    },
    "finish_reason": "TOOL_CALL",
    "usage": {
        "billed_units": {"input_tokens": 8, "output_tokens": 20},
        "tokens": {"input_tokens": 100, "output_tokens": 30, "reasoning_tokens": 10, "image_tokens": 5},
        "cached_tokens": 40,
    },
    "logprobs": [{"token_ids": [1], "text": "Two", "logprobs": [-0.5]}],
    "news": 1,
}


def test_a_reply_is_read_with_nothing_lost_and_comes_back():
    reply = dialect.reply_from_wire(REPLY)
    assert (reply.id, reply.text, reply.message.thinking) == ("r1", "Two ships.", "I will look.Hm.")
    assert [type(part) for part in reply.message.parts] == [Thinking, Thinking, Text, ToolCall]
    assert reply.message.parts[2].citations[0].url == "https://sea.example"
    assert reply.tool_calls == (ToolCall("t1", "look", '{"a":1}'),)
    assert (reply.finish, reply.choices[0].word) == ("tool_calls", "TOOL_CALL")
    assert reply.usage == Usage(
        input=60, cache_read=40, output=20, reasoning=10,
        extra={"billed_units": REPLY["usage"]["billed_units"], "tokens": {"image_tokens": 5}},
    )  # fmt: skip
    assert reply.choices[0].logprobs["content"][0]["logprob"] == -0.5
    assert dialect.reply_to_wire(reply) == REPLY
    assert dialect.glance(msgspec.json.encode(REPLY)) == Seen(reply.usage, "tool_calls", None)


def test_a_source_stands_on_the_text_that_it_names():
    texts = [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]
    bare = {key: value for key, value in CITED.items() if key != "content_index"}
    body = {**REPLY, "message": {"role": "assistant", "content": texts, "citations": [bare, CITED]}}
    reply = dialect.reply_from_wire(body)
    assert [[one.body for one in part.citations] for part in reply.message.parts] == [[bare], [CITED]]
    assert dialect.reply_to_wire(reply)["message"] == body["message"]
    raw = frames(
        HEAD,
        *(event("content-start", at, content=part) for at, part in enumerate(texts)),
        event("citation-start", 0, citations=CITED),
        END,
    )
    assert reply_of(events_of(dialect, [raw])).message.parts[1].citations[0].body == CITED


@pytest.mark.parametrize(
    "usage",
    [
        {"billed_units": {"input_tokens": 8, "output_tokens": 20, "search_units": 1}},
        {"tokens": {"input_tokens": 8, "output_tokens": 20}, "cached_tokens": 90},
        {"tokens": {"input_tokens": 8, "output_tokens": 20}},
    ],
)
def test_counts_come_back(usage):
    reply = dialect.reply_from_wire({**REPLY, "usage": usage})
    assert reply.usage.completion_tokens == 20
    assert dialect.reply_to_wire(reply)["usage"] == usage


@pytest.mark.parametrize(
    ("word", "finish"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop_sequence"), ("MAX_TOKENS", "length"), ("TIMEOUT", "TIMEOUT")],
)
def test_why_it_ended(word, finish):
    reply = dialect.reply_from_wire({**REPLY, "finish_reason": word})
    assert reply.finish == finish
    assert dialect.reply_to_wire(reply)["finish_reason"] == word


def test_an_answer_that_failed_is_an_error():
    with pytest.raises(ServiceError):
        dialect.reply_from_wire({**REPLY, "finish_reason": "ERROR"})
    with pytest.raises(TrunklineError, match="oops"):
        dialect.reply_from_wire({"id": "x", "message": "oops"})
    assert dialect.glance(b'{"finish_reason": "ERROR"}') == Seen()


@pytest.mark.parametrize(
    "body",
    [{}, {"message": 1}, {"message": {"content": 1}}, {"message": {"tool_calls": [1]}}, {"message": {"tool_plan": 1}}],
)
def test_nonsense_is_a_typed_error(body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)


def test_anothers_reply_has_this_apis_form():
    cited = Text("see here", (Citation("x", {}, "https://a.example", "A", "words", 4, 8),), extra={"x": 1})
    parts = (Thinking("hm", "sig", dialect="x"), cited, ToolCall("t", "f", '{"cut'), Opaque("x", {}))
    reply = Reply(
        dialect="x",
        usage=Usage(input=1, cache_read=2, output=3, reasoning=4, extra={"theirs": 1}),
        choices=(Choice(Message("assistant", parts), finish="length", word="length"),),
    )
    body = dialect.reply_to_wire(reply)
    assert body.pop("id")
    assert body == {
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "see here"}],
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"cut'}}],
            "citations": [
                {
                    "start": 4,
                    "end": 8,
                    "text": "here",
                    "sources": [
                        {
                            "type": "document",
                            "id": "https://a.example",
                            "document": {"title": "A", "url": "https://a.example", "text": "words"},
                        }
                    ],
                    "type": "TEXT_CONTENT",
                    "content_index": 1,
                }
            ],
        },
        "finish_reason": "MAX_TOKENS",
        "usage": {
            "billed_units": {"input_tokens": 3, "output_tokens": 7},
            "tokens": {"input_tokens": 3, "output_tokens": 7, "reasoning_tokens": 4},
            "cached_tokens": 2,
        },
    }


# --- streams --------------------------------------------------------------------------------------------------------


def event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    at = {} if index is None else {"index": index}
    return {"type": kind, **at, **({"delta": {"message": message}} if message else {})}


HEAD = {
    "id": "r1",
    "type": "message-start",
    "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}},
}
END = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": REPLY["usage"]}}
STREAM = [
    HEAD,
    event("tool-plan-delta", tool_plan="I will"),
    event("tool-plan-delta", tool_plan=" look."),
    event("content-start", 0, content={"type": "thinking", "thinking": ""}),
    event("content-delta", 0, content={"thinking": "Hm."}),
    event("content-end", 0),
    event("content-start", 1, content={"type": "text", "text": ""}),
    {**event("content-delta", 1, content={"text": "Two"}), "logprobs": REPLY["logprobs"][0]},
    event("content-delta", 1, content={"text": " ships."}),
    event("citation-start", 0, citations=CITED),
    event("citation-end", 0),
    event("content-end", 1),
    event(
        "tool-call-start",
        0,
        tool_calls={"id": "t1", "type": "function", "function": {"name": "look", "arguments": ""}},
    ),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"a"'}}),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": ":1}"}}),
    event("tool-call-end", 0),
    END,
    b"[DONE]",
]
RAW = frames(*STREAM)


def bodies(raw: bytes) -> list[Any]:
    """The events of a written stream; each must be called by its type."""
    pieces = [event_of(piece) for piece in Frames().feed(raw)]
    read = [msgspec.json.decode(data) if data != b"[DONE]" else data for _, data in pieces]
    assert all(name == body["type"] for (name, _), body in zip(pieces, read, strict=True) if body != b"[DONE]")
    return read


def test_a_stream_amounts_to_the_whole_reply():
    whole = dialect.reply_from_wire(REPLY)
    whole.extra = {}
    assert reply_of(events_of(dialect, [RAW])) == whole


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_cuts_change_nothing(step, end):
    raw = RAW.replace(b"\n", end)
    assert events_of(dialect, every(raw, step)) == events_of(dialect, [RAW])
    tap = dialect.tap(Words(NAME, {}))
    assert b"".join([*(tap.feed(part) for part in every(raw, step)), tap.close()]) == raw
    assert (tap.content, tap.ended, tap.usage, tap.finish) == (
        True,
        True,
        dialect.reply_from_wire(REPLY).usage,
        "tool_calls",
    )


def test_its_own_stream_comes_back_event_by_event():
    encoder = dialect.encoder(ASKED)
    written = b"".join(encoder.encode([one]) for one in events_of(dialect, [RAW]))
    assert bodies(written) == STREAM
    assert dialect.encoder(ASKED).encode(events_of(dialect, [RAW])) == written


@pytest.mark.parametrize("rest", [b"", b"data: [DONE]"])
def test_a_stream_may_end_without_done(rest):
    raw = frames(*STREAM[:-1]) + rest
    assert isinstance(events_of(dialect, [raw])[-1], Ended)
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(raw) + tap.close() == raw
    assert tap.ended


@pytest.mark.parametrize("kept", [0, 1, 9, len(STREAM) - 2])
def test_a_stream_without_its_end_is_cut_off(kept):
    raw = frames(*STREAM[:kept])
    assert isinstance(until_error(dialect, [raw])[1], CutOff)
    assert isinstance(until_error(dialect, [raw + b'data: {"type":"mess'])[1], CutOff)
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(raw)
    with pytest.raises(CutOff):
        tap.close()


@pytest.mark.parametrize(
    "last",
    [
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "it broke"}},
        {"message": "it broke"},
    ],
)
def test_an_error_in_the_stream_is_raised_after_what_came_before(last):
    raw = frames(*STREAM[:5]) + b"data: " + msgspec.json.encode(last) + b"\n\n"
    events, error = until_error(dialect, [raw])
    assert len(events) == 4
    assert isinstance(error, ServiceError)
    assert error.message == "it broke"
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(raw) == frames(*STREAM[:5])
    with pytest.raises(ServiceError):
        tap.feed(b"")
    broken = dialect.broken(error)
    assert isinstance(until_error(dialect, [frames(*STREAM[:5]) + broken])[1], ServiceError)


@pytest.mark.parametrize("data", [b"[]", b"nonsense"])
def test_an_event_that_is_no_object_is_the_providers_mistake(data):
    assert isinstance(until_error(dialect, [b"data: " + data + b"\n\n"])[1], ResponseParseError)


def test_parallel_calls_are_told_apart():
    def start(index: int) -> dict[str, Any]:
        function = {"name": f"f{index}", "arguments": ""}
        return event("tool-call-start", index, tool_calls={"id": f"t{index}", "type": "function", "function": function})

    def piece(index: int, text: str) -> dict[str, Any]:
        return event("tool-call-delta", index, tool_calls={"function": {"arguments": text}})

    raw = frames(HEAD, start(0), start(1), piece(1, '{"y":1}'), piece(0, '{"x"'), piece(0, ":2}"), END)
    events = events_of(dialect, [raw])
    calls = (ToolCall("t0", "f0", '{"x":2}'), ToolCall("t1", "f1", '{"y":1}'))
    assert reply_of(events).tool_calls == calls
    kinds = [body["type"] for body in bodies(dialect.encoder(ASKED).encode(events))[1:-2]]
    assert kinds == [
        "tool-call-start", "tool-call-delta", "tool-call-delta", "tool-call-end",
        "tool-call-start", "tool-call-delta", "tool-call-end",
    ]  # fmt: skip


def test_anothers_stream_has_this_apis_form():
    events = [
        Started(id="x", model="m", dialect="x", extra={"theirs": 1}),
        ThinkingDelta(delta="hm", index=0),
        ThinkingSigned(signature="s", dialect="x", index=0),
        TextDelta(delta="Look here", index=1),
        Cited(citation=Citation("x", {}, "https://a.example", start=5, end=9), index=1),
        PartAdded(part=Opaque("x", {}), index=2),
        ToolCallStarted(id="a", name="f", index=3, call=0, extra={"theirs": 1}),
        ArgumentsDelta(delta="{}", index=3, call=0),
        TextDelta(delta="other choice", choice=1),
        Finished(finish="tool_calls", word="tool_calls"),
        UsageReported(usage=Usage(input=1, output=2)),
        Ended(),
    ]
    read = bodies(dialect.encoder(ASKED).encode(events))
    assert [body["type"] for body in read[:-1]] == [
        "message-start",
        "content-start", "content-delta", "content-end",
        "content-start", "content-delta", "citation-start", "citation-end", "content-end",
        "tool-call-start", "tool-call-delta", "tool-call-end",
        "message-end",
    ]  # fmt: skip
    assert read[6]["delta"]["message"]["citations"]["text"] == "here"
    assert read[6]["delta"]["message"]["citations"]["content_index"] == 1
    assert read[-2]["delta"]["finish_reason"] == "TOOL_CALL"
    assert read[-2]["delta"]["usage"]["tokens"] == {"input_tokens": 1, "output_tokens": 2}
    assert read[-1] == b"[DONE]"


# --- errors and nonsense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "message must be at least 1 token long", InvalidRequestError),
        (401, "invalid api token", AuthenticationError),
        (404, "model 'x' not found", ModelError),
        (422, "invalid type", InvalidRequestError),
        (429, "You are using a trial key, which is limited", RateLimitError),
        (500, "internal", ServiceError),
        (503, "busy", OverloadedError),
    ],
)
def test_errors_are_read_and_written(status, message, kind):
    body = msgspec.json.encode({"id": "e1", "message": message})
    error = dialect.error_from_wire(status, {"retry-after": "4"}, body)
    assert type(error) is kind
    assert (error.message, error.request_id, error.retry_after) == (message, "e1", 4)
    refused = dialect.error_to_wire(error)
    assert (refused.status, refused.body) == (status, body)
    theirs = dialect.error_to_wire(kind("no", status=status, request_id="q", retry_after=1.6))
    assert msgspec.json.decode(theirs.body)["message"].startswith("no")
    assert theirs.headers["retry-after"] == "2"


KEYS = (
    "messages", "role", "content", "text", "thinking", "type", "tool_calls", "function", "name", "arguments",
    "delta", "citations", "sources", "document", "data", "tool_output", "tool_plan", "usage", "tokens",
    "billed_units", "image_url", "input_tokens", "cached_tokens", "logprobs", "url", "message", "index",
    "finish_reason", "tools", "response_format", "tool_call_id",
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["user", "assistant", "text", "x", "tool"])
nonsense = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS), nonsense, max_size=5)


@given(objects)
@settings(max_examples=200)
def test_nonsense_is_a_typed_error_on_every_side(body):
    with contextlib.suppress(InvalidRequestError):
        dialect.request_from_wire({"model": "m", "messages": [], **body})
    with contextlib.suppress(TrunklineError):
        dialect.reply_from_wire(body)
    kinds = sorted({one["type"] for one in STREAM if isinstance(one, dict)})
    for kind in kinds:
        raw = b"data: " + msgspec.json.encode({**body, "type": kind, "delta": body}) + b"\n\n"
        with contextlib.suppress(TrunklineError):
            events_of(dialect, [raw])
