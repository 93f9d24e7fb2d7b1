"""Chat completions: laws that hold for every request, reply and stream, not only for the examples."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from streaming import ASKED, bare, events_of, frames, pieces, reply_of

from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import (
    AnyPart,
    Audio,
    CacheMark,
    File,
    Image,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Seen
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire import openai_chat as dialect

NAME = "openai_chat"
FACTS = Facts(model="m", quirks=Quirks(developer_role=True))

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
arguments = st.dictionaries(words, st.integers() | words, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
marks = st.none() | st.builds(CacheMark, st.sampled_from([None, "1h"]))
cuts = st.lists(st.integers(0, 5000), max_size=6)

# --- requests -------------------------------------------------------------------------------------------------------

texts = st.builds(Text, words, cache=marks)
inline = st.builds(Source, data=st.just("iVBORw=="), media_type=st.just("image/png"))
media = st.one_of(
    st.builds(Image, inline | st.builds(Source, url=st.just("https://example.com/x")), st.sampled_from([None, "low"])),
    st.builds(File, inline, words) | st.builds(File, st.builds(Source, file_id=words)),
    st.builds(Audio, st.just(Source(data="UklGRg==", media_type="audio/wav")), st.just("wav")),
)
results = st.builds(ToolResult, words, st.lists(st.builds(Text, words), min_size=1, max_size=2).map(tuple))
calls = st.lists(st.builds(ToolCall, words, words, arguments), max_size=2)


def messages(role: str, parts: st.SearchStrategy[AnyPart]) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple), st.none() | words)


assistants = st.one_of(
    st.tuples(st.lists(texts, max_size=2), calls).map(lambda said: Message("assistant", (*said[0], *said[1]))),
    st.builds(Message, st.just("assistant"), st.tuples(st.builds(Refusal, words))),
)
conversations = st.lists(
    st.one_of(
        messages("system", texts),
        messages("developer", texts),
        messages("user", texts | media),
        st.builds(Message, st.just("tool"), st.tuples(results)),
        assistants,
    ),
    max_size=5,
).map(tuple)
requests = st.builds(
    Request,
    model=st.just("m"),
    messages=conversations,
    tools=st.lists(
        st.builds(Tool, words, st.none() | words, st.just({"type": "object"}), st.none() | st.booleans(), marks),
        max_size=2,
    ).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    response_format=st.none() | st.builds(ResponseFormat, st.just("schema"), st.just({"type": "object"}), words),
    settings=st.builds(
        Settings,
        max_tokens=st.none() | st.integers(1, 9999),
        temperature=st.none() | st.floats(0, 2),
        stop=st.none() | st.lists(words, max_size=3).map(tuple),
        seed=st.none() | st.integers(),
        n=st.none() | st.integers(1, 3),
        parallel_tool_calls=st.none() | st.booleans(),
        reasoning=st.none()
        | st.builds(Reasoning, st.sampled_from(["minimal", "low", "high"]))
        | st.just(Reasoning(off=True)),
    ),
    stream=st.booleans(),
    extra=st.dictionaries(st.sampled_from(["prediction", "plugins"]), words, max_size=2),
    dialect=st.just(NAME),
)


@given(requests)
@settings(max_examples=100)
def test_a_request_comes_back(request):
    written = dialect.request_to_wire(request, FACTS)
    assert written.loss == ()
    body = msgspec.json.decode(msgspec.json.encode(written.body))
    assert bare(dialect.request_from_wire(body)) == replace(request, include_usage=request.stream)


# --- replies and streams --------------------------------------------------------------------------------------------

usages = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(50, 99), "completion_tokens": st.integers(50, 99)},
    optional={
        "prompt_tokens_details": st.fixed_dictionaries({"cached_tokens": st.integers(0, 20)}),
        "completion_tokens_details": st.fixed_dictionaries({"reasoning_tokens": st.integers(0, 20)}),
    },
)
wire_calls = st.lists(
    st.tuples(words, words, arguments).map(
        lambda said: {"id": said[0], "type": "function", "function": {"name": said[1], "arguments": said[2]}}
    ),
    max_size=3,
)
whole = st.lists(
    st.fixed_dictionaries(
        {"content": st.none() | words, "tool_calls": wire_calls},
        optional={"reasoning": words, "refusal": words},
    ),
    min_size=1,
    max_size=2,
)
endings = st.sampled_from(["stop", "length", "content_filter"])
replies = st.tuples(whole, endings, usages).map(
    lambda said: {
        "id": "chatcmpl-1",
        "created": 1,
        "model": "gpt",
        "choices": [
            {"index": at, "message": message, "finish_reason": "tool_calls" if message["tool_calls"] else said[1]}
            for at, message in enumerate(said[0])
        ],
        "usage": said[2],
    }
)


def streamed(body: dict, *cuts: int) -> bytes:
    """A whole completion as it would have been streamed: its texts cut at these places, calls growing in turns."""
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}

    def chunk(at: int, finish: str | None = None, **delta: object) -> dict:
        return {**head, "choices": [{"index": at, "delta": delta, "finish_reason": finish}]}

    said = []
    for choice in body["choices"]:
        at, message = choice["index"], choice["message"]
        said.append(chunk(at, role="assistant", content=""))
        for key in ("reasoning", "content", "refusal"):
            said += [chunk(at, **{key: piece}) for piece in text_pieces(message.get(key) or "", *cuts)]
        grown = []
        for index, call in enumerate(message["tool_calls"]):
            name, whole = call["function"]["name"], call["function"]["arguments"]
            start = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
            said.append(chunk(at, tool_calls=[start]))
            grown.append([{"index": index, "function": {"arguments": piece}} for piece in text_pieces(whole, *cuts)])
        for turn in range(max(map(len, grown), default=0)):
            said += [chunk(at, tool_calls=[pieces[turn]]) for pieces in grown if turn < len(pieces)]
        said.append(chunk(at, choice["finish_reason"]))
    return frames(*said, {**head, "choices": [], "usage": body["usage"]}, b"[DONE]")


def text_pieces(text: str, *cuts: int) -> list[str]:
    places = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    return [text[start:end] for start, end in pairwise(places)]


@given(replies)
@settings(max_examples=100)
def test_a_reply_comes_back(body):
    reply = dialect.reply_from_wire(body)
    again = dialect.reply_from_wire(msgspec.json.decode(msgspec.json.encode(dialect.reply_to_wire(reply))))
    assert again == reply
    assert dialect.glance(msgspec.json.encode(body)) == Seen(reply.usage, reply.finish, reply.service_tier)


@given(replies, cuts)
@settings(max_examples=100)
def test_a_stream_amounts_to_the_whole_reply(body, cuts):
    reply = reply_of(events_of(dialect, [streamed(body, *cuts)]))
    reply.dialect = NAME
    assert reply == dialect.reply_from_wire(body)


@given(replies, cuts, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
@settings(max_examples=100)
def test_cuts_change_nothing(body, cuts, end, asked):
    raw = streamed(body)
    parts = pieces(raw.replace(b"\n", end), *cuts)
    events = events_of(dialect, [raw])
    assert events_of(dialect, parts) == events
    options = {"stream_options": msgspec.Raw(b'{"include_usage":true}')} if asked else {}
    tap = dialect.tap(Words(NAME, options))
    passed = b"".join([*(tap.feed(part) for part in parts), tap.close()])
    assert (passed == b"".join(parts)) is asked
    assert reply_of(events_of(dialect, [passed])).choices == reply_of(events).choices
    assert (tap.usage, tap.ended) == (reply_of(events).usage, True)


@given(replies, cuts)
@settings(max_examples=100)
def test_a_stream_comes_back(body, cuts):
    events = events_of(dialect, [streamed(body, *cuts)])
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([event]) for event in events)
    assert reply_of(events_of(dialect, [raw])) == reply_of(events)
    assert dialect.encoder(ASKED).encode(events) == raw
