"""Anthropic Messages: laws that hold for every request, reply and stream, not only for the examples."""

from __future__ import annotations

import string
from itertools import groupby, pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from streaming import ASKED, bare, events_of, frames, pieces, reply_of

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import (
    AnyPart,
    CacheMark,
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
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire import anthropic_messages as dialect

NAME = "anthropic_messages"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
objects = st.dictionaries(words, scalars | st.lists(scalars, max_size=2), max_size=3)
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())
marks = st.none() | st.builds(CacheMark, st.sampled_from([None, "5m", "1h"]))
cuts = st.lists(st.integers(0, 5000), max_size=6)
counts = st.none() | st.integers(0, 1000)

# --- requests -------------------------------------------------------------------------------------------------------

sources = st.one_of(
    st.builds(Source, url=st.just("https://example.com/x")),
    st.builds(Source, data=st.just("iVBORw=="), media_type=st.just("image/png")),
    st.builds(Source, file_id=ids),
)
texts = st.builds(Text, words, cache=marks)
media = st.builds(Image, sources, cache=marks) | st.builds(File, sources, st.none() | words, cache=marks)
results = st.builds(ToolResult, ids, st.lists(texts | media, max_size=2).map(tuple), st.booleans(), cache=marks)
answers = st.one_of(
    texts,
    st.builds(Thinking, words, words, dialect=st.just(NAME)),
    st.builds(Thinking, redacted=words, dialect=st.just(NAME)),
    st.builds(ToolCall, ids, ids, arguments, cache=marks),
    st.builds(Opaque, st.just(NAME), st.just({"type": "server_tool_use", "id": "s", "name": "n", "input": {}})),
)


def messages(role: str, parts: st.SearchStrategy) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.just(role), st.lists(parts, max_size=3).map(tuple))


conversations = st.tuples(
    st.lists(messages("system", texts) | messages("developer", texts), max_size=2),
    st.lists(
        messages("user", texts | media | results) | messages("tool", results) | messages("assistant", answers),
        min_size=1,
        max_size=4,
    ),
).map(lambda both: (*both[0], *both[1]))

tools = st.builds(
    Tool, ids, st.none() | words, st.just({"type": "object"}), st.none() | st.booleans(), marks, st.just({})
)
choices = st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])) | st.builds(
    ToolChoice, st.just("tool"), ids
)
reasonings = st.one_of(
    st.builds(Reasoning, words),
    st.builds(Reasoning, st.none() | words, budget=st.integers(1024, 9999)),
    st.builds(Reasoning, st.none() | words, adaptive=st.just(True), extra=st.just({"display": "omitted"})),
    st.builds(Reasoning, st.none() | words, off=st.just(True)),
)
dials = st.builds(
    Settings,
    max_tokens=st.none() | st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    stop=st.none() | st.lists(words, max_size=3).map(tuple),
    user=st.none() | words,
    service_tier=st.sampled_from([None, "auto", "default"]),
    parallel_tool_calls=st.none() | st.booleans(),
    reasoning=st.none() | reasonings,
)
requests = st.builds(
    Request,
    model=words,
    messages=conversations,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | choices,
    response_format=st.none() | st.builds(ResponseFormat, st.just("schema"), st.just({"type": "object"})),
    settings=dials,
    stream=st.booleans(),
    extra=st.dictionaries(st.sampled_from(["container", "inference_geo"]), words, max_size=2),
    dialect=st.just(NAME),
)


def usual(request: Request) -> Request:
    """The request in the form in which this API has it: the one among several that mean the same."""
    turns = [(message.role, tuple(heard(part) for part in message.parts if says(part))) for message in request.messages]
    named = [(ROLES[role], parts) for role, parts in turns if parts]
    merged = [
        Message(
            role, tuple(sorted(sum((parts for _, parts in group), ()), key=lambda part: type(part) is not ToolResult))
        )
        for role, group in groupby(named, key=lambda turn: turn[0])
    ]
    if [message.role for message in merged] == ["system"]:  # there must be a turn
        merged = [Message("user", merged[0].parts)]
    parallel, choice = request.settings.parallel_tool_calls, request.tool_choice
    if parallel is False and choice is None:
        choice = ToolChoice()
    if choice is None or choice.mode == "none":
        parallel = None
    said = replace(request.settings, max_tokens=request.settings.max_tokens or 4096, parallel_tool_calls=parallel)
    return replace(request, messages=tuple(merged), tool_choice=choice, settings=said)


ROLES = {"system": "system", "developer": "system", "user": "user", "tool": "user", "assistant": "assistant"}


def says(part: AnyPart) -> bool:
    return type(part) is not Text or bool(part.text.strip())


def heard(part: AnyPart) -> AnyPart:
    return replace(part, parts=tuple(filter(says, part.parts))) if type(part) is ToolResult else part


@given(requests)
@settings(max_examples=150)
def test_a_request_comes_back(request):
    written = dialect.request_to_wire(request, Facts(model=request.model))
    assert written.loss == () or usual(request).messages[0].role == "user"
    body = msgspec.json.decode(msgspec.json.encode(written.body))
    assert bare(dialect.request_from_wire(body)) == bare(usual(request))


@given(requests)
@settings(max_examples=50)
def test_turns_alternate_and_results_come_first(request):
    body = dialect.request_to_wire(request, Facts(model="m")).body
    roles = [turn["role"] for turn in body["messages"]]
    assert all(before != after for before, after in pairwise(roles))
    for turn in body["messages"]:
        kinds = [block["type"] == "tool_result" for block in turn["content"] if isinstance(block, dict)]
        assert kinds == sorted(kinds, reverse=True)


# --- replies and streams --------------------------------------------------------------------------------------------

blocks = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": words}),
        st.fixed_dictionaries({"type": st.just("thinking"), "thinking": words, "signature": words}),
        st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": words}),
        st.fixed_dictionaries({"type": st.just("tool_use"), "id": ids, "name": ids, "input": objects}),
        st.fixed_dictionaries({"type": st.just("server_tool_use"), "id": ids, "name": ids, "input": objects}),
        st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "tool_use_id": ids, "content": st.just([])}),
    ),
    max_size=4,
)
usages = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(50, 99)},
    optional={
        "cache_read_input_tokens": counts,
        "cache_creation_input_tokens": st.integers(20, 50),
        "cache_creation": st.just({"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 19}),
        "output_tokens_details": st.just({"thinking_tokens": 7}),
        "server_tool_use": st.just({"web_search_requests": 1}),
        "service_tier": st.sampled_from(["standard", "priority"]),
    },
)
replies = st.fixed_dictionaries(
    {
        "id": ids,
        "model": words,
        "content": blocks,
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "news"]),
        "stop_sequence": st.none() | words,
        "usage": usages,
    }
).map(lambda body: {"type": "message", "role": "assistant", **body})

GROWS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "input": ("input_json_delta", "partial_json"),
}


def streamed(body: dict, *cuts: int) -> bytes:
    """A whole message as the API would have streamed it, its texts cut at these places."""
    start = {**body, "content": [], "stop_reason": None, "stop_sequence": None}
    said = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(body["content"]):
        grows = [key for key in GROWS if key in block]
        empty = {key: {} if key == "input" else "" for key in grows} | (
            {"signature": ""} if "signature" in block else {}
        )
        said.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
        for key in grows:
            kind, under = GROWS[key]
            whole = block[key] if key != "input" else msgspec.json.encode(block[key]).decode()
            for piece in text_pieces(whole, *cuts):
                said.append({"type": "content_block_delta", "index": index, "delta": {"type": kind, under: piece}})
        if "signature" in block:
            delta = {"type": "signature_delta", "signature": block["signature"]}
            said.append({"type": "content_block_delta", "index": index, "delta": delta})
        said.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}
    usage = {"output_tokens": body["usage"]["output_tokens"]}
    return frames(*said, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"})


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


@given(replies, cuts, st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(max_examples=100)
def test_cuts_change_nothing(body, cuts, end):
    raw = streamed(body)
    parts = pieces(raw.replace(b"\n", end), *cuts)
    events = events_of(dialect, [raw])
    assert events_of(dialect, parts) == events
    tap = dialect.tap(Words(NAME, {}))
    assert b"".join([*(tap.feed(part) for part in parts), tap.close()]) == b"".join(parts)
    reply = reply_of(events)
    assert (tap.usage, tap.finish, tap.ended) == (reply.usage, reply.finish, True)


@given(replies, cuts)
@settings(max_examples=100)
def test_a_stream_comes_back(body, cuts):
    events = events_of(dialect, [streamed(body, *cuts)])
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([event]) for event in events)
    assert reply_of(events_of(dialect, [raw])) == reply_of(events)
    assert dialect.encoder(ASKED).encode(events) == raw
