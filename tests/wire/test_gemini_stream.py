"""Gemini's streams: read however they are cut, written so that the SDKs read them, watched while they pass through."""

from __future__ import annotations

import msgspec
import pytest
from streaming import ASKED, bodies, events_of, every, reply_of, until_error

from trunkline.vocabulary.errors import (
    CutOff,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    ResponseParseError,
)
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
from trunkline.vocabulary.parts import Citation, Image, Opaque, Source, Text, Thinking
from trunkline.vocabulary.requests import Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire import gemini as dialect

NAME = "gemini"


def chunk(*parts, finish=None, index=0, count=3, **more):
    """One chunk, as the API sends it."""
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish is not None:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 7, "candidatesTokenCount": count, "totalTokenCount": 7 + count}
    candidate |= more
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x", "responseId": "r-1"}


def sse(*chunks):
    """Chunks as server-sent events, with the line ends that Google uses."""
    return b"".join(b"data: " + msgspec.json.encode(one) + b"\r\n\r\n" for one in chunks)


def listed(*chunks):
    """Chunks as one JSON list, spread over lines."""
    return msgspec.json.format(msgspec.json.encode(list(chunks)), indent=2).replace(b"\n", b"\r\n")


CHUNKS = (
    chunk({"text": "Hm", "thought": True}, count=1),
    chunk({"text": ", hm.", "thought": True, "thoughtSignature": "c2lnMA=="}, count=2),
    chunk({"text": 'Nach "S'}, count=4),
    chunk({"text": 'üden" }{'}, {"text": "\\"}, count=5),
    chunk({"text": "", "thoughtSignature": "c2lnMQ=="}),
    chunk({"text": "Weiter"}, {"executableCode": {"language": "PYTHON", "code": "1"}}),
    chunk(
        {"functionCall": {"name": "go", "args": {"to": "S", "far": 2.0}}, "thoughtSignature": "c2lnMg=="},
        {"functionCall": {"name": "go"}},
        {"text": ""},
        finish="STOP",
        count=9,
        safetyRatings=[{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}],
    ),
)

FORMS = pytest.mark.parametrize("form", [sse, listed])


@FORMS
def test_a_stream_is_read(form):
    events = [event for event in events_of(dialect, [form(*CHUNKS)]) if type(event) is not Unknown]
    counted = [event for event in events if type(event) is UsageReported]
    assert counted[-1].usage == Usage(input=7, output=9)
    assert len(counted) == len(CHUNKS)
    assert [event for event in events if type(event) is not UsageReported] == [
        Started(id="r-1", model="gemini-x", dialect=NAME),
        ThinkingDelta(delta="Hm", index=0),
        ThinkingDelta(delta=", hm.", index=0),
        ThinkingSigned(signature="c2lnMA==", dialect=NAME, index=0),
        TextDelta(delta='Nach "S', index=1),
        TextDelta(delta='üden" }{', index=1),
        TextDelta(delta="\\", index=1),
        TextDelta(delta="", index=1, extra={"thoughtSignature": "c2lnMQ=="}),
        TextDelta(delta="Weiter", index=2),
        PartAdded(part=Opaque(NAME, {"executableCode": {"language": "PYTHON", "code": "1"}}), index=3),
        ToolCallStarted(
            id="call_r-1_0_0",
            name="go",
            index=4,
            call=0,
            signature="c2lnMg==",
            dialect=NAME,
            extra={"~invented": True},
        ),
        ArgumentsDelta(delta='{"to":"S","far":2.0}', index=4, call=0),
        ToolCallStarted(id="call_r-1_0_1", name="go", index=5, call=1, extra={"~bare": True, "~invented": True}),
        ArgumentsDelta(delta="{}", index=5, call=1),
        Finished(
            finish="tool_calls",
            word="STOP",
            extra={"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]},
        ),
        Ended(),
    ]


@FORMS
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_a_stream_may_be_cut_anywhere(form, step):
    raw = form(*CHUNKS)
    assert events_of(dialect, every(raw, step)) == events_of(dialect, [raw])


@FORMS
def test_a_stream_is_written_as_it_was_read(form):
    events = events_of(dialect, [form(*CHUNKS)])
    assert bodies(dialect.encoder(ASKED).encode(events)) == list(CHUNKS)
    one_by_one = dialect.encoder(ASKED)
    assert bodies(b"".join(one_by_one.encode([event]) for event in events)) == list(CHUNKS)


def test_a_stream_amounts_to_the_whole_answer():
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://example.com", "title": "Page"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 5, "endIndex": 11, "text": "Süden"}, "groundingChunkIndices": [0]}
        ],
    }
    rest = {
        "usageMetadata": {"promptTokenCount": 7, "thoughtsTokenCount": 4, "totalTokenCount": 11, "serviceTier": "flex"},
        "modelVersion": "gemini-x",
        "responseId": "r-1",
        "createTime": "2026-05-04T20:01:02.264968Z",
    }

    def one(*parts, **more):
        return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}], **rest}

    call = {"functionCall": {"id": "a", "name": "go", "args": {"to": "S"}}, "thoughtSignature": "c2lnMg=="}
    end = {"finishReason": "STOP", "groundingMetadata": grounding, "avgLogprobs": -1.5}
    whole = one(
        {"text": "Hm, hm.", "thought": True, "thoughtSignature": "c2lnMA=="},
        {"text": "Nach Süden.", "thoughtSignature": "c2lnMQ=="},
        call,
        {"functionCall": {"name": "go"}},
        {"toolCall": {"id": "1"}},
        **end,
    )
    stream = sse(
        one({"text": "Hm", "thought": True}, groundingMetadata={}),
        one({"text": ", hm.", "thought": True, "thoughtSignature": "c2lnMA=="}),
        one({"text": "Nach"}),
        one({"text": " Süden."}),
        one({"text": "", "thoughtSignature": "c2lnMQ=="}),
        one(call),
        one({"functionCall": {"name": "go"}}),
        one({"toolCall": {"id": "1"}}, **end),
    )
    assert reply_of(events_of(dialect, [stream])) == dialect.reply_from_wire(whole)


def test_several_candidates_keep_apart():
    chunks = (
        chunk({"text": "a"}),
        chunk({"text": "x"}, index=1),
        chunk({"text": "b"}, finish="STOP"),
        chunk({"text": "y"}, index=1, finish="MAX_TOKENS"),
    )
    reply = reply_of(events_of(dialect, [sse(*chunks)]))
    assert [(choice.message.text, choice.finish) for choice in reply.choices] == [("ab", "stop"), ("xy", "length")]
    assert bodies(dialect.encoder(ASKED).encode(events_of(dialect, [sse(*chunks)]))) == list(chunks)


def test_a_policys_words_go_out_instead_of_the_models():
    events = events_of(dialect, [sse(chunk({"text": "secret"}), chunk({"text": "!"}, finish="STOP"))])
    changed = [
        msgspec.structs.replace(event, delta="***") if type(event) is TextDelta and event.delta == "secret" else event
        for event in events
    ]
    written = dialect.encoder(ASKED).encode(changed)
    assert b"secret" not in written
    assert reply_of(events_of(dialect, [written])).text == "***!"


PIECES = (
    chunk({"functionCall": {"name": "go", "willContinue": True}, "thoughtSignature": "c2ln"}),
    chunk({"functionCall": {"partialArgs": [
        {"jsonPath": "$.to", "stringValue": "Sü", "willContinue": True},
    ], "willContinue": True}}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.to", "stringValue": "den"}], "willContinue": True}}),
    chunk({"functionCall": {"partialArgs": [
        {"jsonPath": "$.list[0].n", "numberValue": 2.5}, {"jsonPath": "$.list[1]['a b']", "boolValue": True},
        {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
    ], "willContinue": True}}),
    chunk({"functionCall": {}}),
    chunk({"functionCall": {"name": "stop", "willContinue": True}}),
    chunk({"functionCall": {}}, finish="STOP"),
)  # fmt: skip


def test_arguments_in_pieces_are_put_together():
    events = events_of(dialect, [sse(*PIECES)])
    first, second = reply_of(events).tool_calls
    assert (first.name, first.signature) == ("go", "c2ln")
    assert first.arguments == '{"to":"Süden","list":[{"n":2.5},{"a b":true}],"none":null}'
    assert (second.name, second.arguments) == ("stop", "{}")
    assert bodies(dialect.encoder(ASKED).encode(events)) == list(PIECES)


@pytest.mark.parametrize("path", ["$", "", "$.a[999999999].b", "$.a.b.c", "$[0]", "$.a[0][0]", "nonsense"])
def test_odd_paths_do_no_harm(path):
    pieces = [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": path, "stringValue": "y"}, {"jsonPath": 5}, 7]
    raw = sse(
        chunk({"functionCall": {"name": "go", "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": pieces}}, finish="STOP"),
    )
    assert isinstance(msgspec.json.decode(reply_of(events_of(dialect, [raw])).tool_calls[0].arguments), dict)


def test_log_probabilities_add_up():
    def result(token):
        return {"chosenCandidates": [{"token": token, "logProbability": -1}], "topCandidates": [{"candidates": []}]}

    raw = sse(
        chunk({"text": "a"}, logprobsResult=result("a")),
        chunk({"text": "b"}, logprobsResult=result("b"), finish="STOP"),
    )
    choice = reply_of(events_of(dialect, [raw])).choices[0]
    assert [one["token"] for one in choice.logprobs["content"]] == ["a", "b"]
    assert [one["token"] for one in choice.extra["logprobsResult"]["chosenCandidates"]] == ["a", "b"]


def test_a_refused_prompt_ends_the_stream():
    raw = sse({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m", "responseId": "r"})
    events = events_of(dialect, [raw])
    reply = reply_of(events)
    assert (reply.choices[0].finish, reply.choices[0].word) == ("content_filter", "SAFETY")
    assert reply == dialect.reply_from_wire(
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m", "responseId": "r"}
    )
    assert dialect.encoder(ASKED).encode(events).strip() == raw.strip()


@FORMS
@pytest.mark.parametrize("chunks", [(), CHUNKS[:1], CHUNKS[:-1], ({"modelVersion": "m", "responseId": "r"},)])
def test_a_stream_without_a_reason_to_end_is_cut_off(form, chunks):
    events, error = until_error(dialect, [form(*chunks)])
    assert type(error) is CutOff
    assert not any(type(event) in {Finished, Ended} for event in events)


@pytest.mark.parametrize("cut", [20, 300, -1, -20])
def test_half_a_chunk_is_none(cut):
    raw = sse(chunk({"text": "a"}), chunk({"text": "b"}))
    assert type(until_error(dialect, [raw[:cut]])[1]) is CutOff


def test_the_last_chunk_may_lack_its_blank_line():
    raw = sse(chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")).rstrip()
    assert reply_of(events_of(dialect, [raw])).text == "ab"


ERROR = {"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}}


@FORMS
def test_an_error_is_raised_after_what_came_before(form):
    events, error = until_error(dialect, [form(chunk({"text": "a"}), ERROR)])
    assert type(error) is OverloadedError
    assert [event.delta for event in events if type(event) is TextDelta] == ["a"]


@FORMS
def test_an_error_may_come_first(form):
    limit = {"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"}}
    assert type(until_error(dialect, [form(limit)])[1]) is RateLimitError


@pytest.mark.parametrize(
    "raw", [b"data: {no\n\n", b"data: 5\n\n", sse({"candidates": 5}), sse(chunk({"functionCall": {"args": 1}}))]
)
def test_nonsense_is_said_to_be_the_providers(raw):
    with pytest.raises(ResponseParseError):
        events_of(dialect, [raw])


# --- written for this API -------------------------------------------------------------------------------------------

FOREIGN = [
    Started(id="chatcmpl-1", model="gpt", created=5, extra={"system_fingerprint": "fp"}, dialect="openai_chat"),
    ThinkingDelta(delta="Hm.", index=0, extra={"~key": "reasoning"}),
    ThinkingSigned(signature="c2ln", dialect="anthropic_messages", index=0),
    TextDelta(delta="Sü", index=1, extra={"weight": 1}),
    TextDelta(delta="den", index=1),
    Cited(citation=Citation("openai_chat", {}, "https://example.com", "Page", start=1, end=5), index=1),
    ToolCallStarted(id="a", name="f", index=2, call=0, extra={"caller": 1}),
    ToolCallStarted(id="b", name="g", index=3, call=1, signature="c2ln", dialect="gemini"),
    ArgumentsDelta(delta='{"x"', index=2, call=0),
    ArgumentsDelta(delta='{"y": 2', index=3, call=1),
    ArgumentsDelta(delta=": 1}", index=2, call=0),
    ArgumentsDelta(delta="}", index=3, call=1),
    Unknown(dialect="openai_chat", body={}),
    PartAdded(part=Opaque("openai_chat", {}), index=4),
    Finished(finish="tool_calls", word="tool_calls"),
    UsageReported(usage=Usage(input=5, output=4, reasoning=3)),
    Ended(),
]


def test_another_apis_stream_is_written_for_a_caller_of_this_one():
    encoder = dialect.encoder(ASKED)
    said = bodies(b"".join(encoder.encode([event]) for event in FOREIGN))
    parts = [[one for c in body["candidates"] for one in c["content"]["parts"]] for body in said]
    assert parts == [
        [{"text": "Hm.", "thought": True}],
        [{"text": "Sü"}],
        [{"text": "den"}],
        [
            {"functionCall": {"name": "f", "id": "a", "args": {"x": 1}}},
            {"functionCall": {"name": "g", "id": "b", "args": {"y": 2}}, "thoughtSignature": "c2ln"},
        ],
        [{"text": ""}],
    ]
    assert all((body["modelVersion"], body["responseId"]) == ("gpt", "chatcmpl-1") for body in said)
    assert [body["candidates"][0].get("finishReason") for body in said] == [None, None, None, None, "STOP"]
    assert said[-1]["usageMetadata"] == {
        "promptTokenCount": 5,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 12,
    }
    assert said[-1]["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://example.com", "title": "Page"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 1, "endIndex": 6, "text": "üden"}, "groundingChunkIndices": [0]}
        ],
    }


def test_a_call_goes_out_as_soon_as_it_is_complete():
    encoder = dialect.encoder(ASKED)
    call = [ToolCallStarted(id="a", name="f", index=0), ArgumentsDelta(delta="{}", index=0)]
    assert encoder.encode([Started(), *call, TextDelta(delta="after", index=1)]) == b""
    written = bodies(encoder.encode([PartEnded(index=0)]))
    assert written[0]["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"name": "f", "id": "a", "args": {}}},
        {"text": "after"},
    ]


def test_a_refusal_is_text_and_a_picture_is_data():
    encoder = dialect.encoder(ASKED)
    picture = PartAdded(part=Image(Source(data="iVBORw==", media_type="image/png")), index=1)
    written = bodies(encoder.encode([Started(), RefusalDelta(delta="No."), picture]))
    assert written[0]["candidates"][0]["content"]["parts"] == [
        {"text": "No."},
        {"inlineData": {"data": "iVBORw==", "mimeType": "image/png"}},
    ]


def test_without_a_finish_none_is_made_up():
    written = dialect.encoder(ASKED).encode([Started(), TextDelta(delta="a"), Ended()])
    assert b"finishReason" not in written


def test_a_stream_breaks_with_an_error():
    written = dialect.broken(OverloadedError("later"))
    assert bodies(written)[0]["error"]["status"] == "UNAVAILABLE"
    assert type(until_error(dialect, [sse(chunk({"text": "a"})), written])[1]) is OverloadedError


# --- watched --------------------------------------------------------------------------------------------------------


def watched(raw, step):
    tap = dialect.tap(Words(NAME, {}))
    passed = b"".join([*(tap.feed(piece) for piece in every(raw, step)), tap.close()])
    return tap, passed


@FORMS
@pytest.mark.parametrize("step", [1, 13, 500, 100_000])
def test_a_stream_passes_through_untouched(form, step):
    raw = form(*CHUNKS)
    tap, passed = watched(raw, step)
    assert passed == raw
    assert (tap.content, tap.ended, tap.finish, tap.usage) == (True, True, "tool_calls", Usage(input=7, output=9))


def test_the_count_so_far_is_known_before_the_end():
    tap = dialect.tap(Words(NAME, {}))
    for one in CHUNKS[:4]:
        tap.feed(sse(one))
    assert tap.usage == Usage(input=7, output=5)
    assert not tap.ended


def test_the_tier_is_seen():
    one = chunk({"text": "a"}, finish="STOP")
    one["usageMetadata"]["serviceTier"] = "priority"
    assert watched(sse(one), 100)[0].tier == "priority"


@FORMS
def test_a_cut_stream_is_seen_to_be_cut(form):
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(form(*CHUNKS[:-1])[:-1])
    with pytest.raises(CutOff):
        tap.close()


def test_an_error_passes_nothing_on_but_what_came_before():
    tap = dialect.tap(Words(NAME, {}))
    first = sse(*CHUNKS[:3])
    assert tap.feed(first + sse(ERROR)) == first
    with pytest.raises(OverloadedError):
        tap.feed(b"")


def test_text_that_looks_like_an_end_is_text():
    one = chunk({"text": '"finishReason": "STOP", "error": {"functionCall": '})
    tap = dialect.tap(Words(NAME, {}))
    raw = sse(chunk({"text": "a"}), one)
    assert tap.feed(raw) == raw
    with pytest.raises(CutOff):
        tap.close()


def test_a_callers_mistake_is_not_the_providers():
    with pytest.raises(InvalidRequestError):
        dialect.request_from_wire({"model": "m", "contents": [{"parts": [{"functionCall": {"args": 1}}]}]})


def test_a_part_that_is_signed_is_whole():
    raw = sse(
        chunk({"text": "a", "thoughtSignature": "c2lnMA=="}, {"text": "b"}),
        chunk(
            {"text": "x", "thought": True, "thoughtSignature": "c2lnMQ=="},
            {"text": "y", "thought": True},
            finish="STOP",
        ),
    )
    assert reply_of(events_of(dialect, [raw])).message.parts == (
        Text("a", extra={"thoughtSignature": "c2lnMA=="}),
        Text("b"),
        Thinking("x", "c2lnMQ==", dialect=NAME),
        Thinking("y"),
    )
