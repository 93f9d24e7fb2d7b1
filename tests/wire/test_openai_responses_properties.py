"""The Responses API: laws that hold for every request, reply and stream, not only for the examples."""

from __future__ import annotations

import contextlib
import string
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import ASKED, events_of, frames, pieces, reply_of

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.requests import Words
from trunkline.wire import anthropic_messages, openai_chat
from trunkline.wire import openai_responses as dialect

NAME = "openai_responses"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | words
objects = st.dictionaries(words, scalars, max_size=3)
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())
statuses = st.sampled_from(["completed", "incomplete"])
cuts = st.lists(st.integers(0, 5000), max_size=6)

# --- items ------------------------------------------------------------------------------------------------------------

annotations = st.fixed_dictionaries(
    {"type": st.just("url_citation"), "url": words, "title": words, "start_index": st.just(0), "end_index": st.just(1)}
)
texts = st.fixed_dictionaries(
    {"type": st.just("output_text"), "text": words, "annotations": st.lists(annotations, max_size=2)},
    optional={"logprobs": st.just([])},
)
refusals = st.fixed_dictionaries({"type": st.just("refusal"), "refusal": words})
spoken = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "id": ids,
        "role": st.just("assistant"),
        "status": statuses,
        "content": st.lists(texts | refusals, min_size=1, max_size=3),
    },
    optional={"phase": st.sampled_from(["commentary", "final_answer"])},
)
summaries = st.lists(st.fixed_dictionaries({"type": st.just("summary_text"), "text": words}), max_size=2)
thoughts = st.lists(st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": words}), max_size=2)
reasonings = st.fixed_dictionaries(
    {"type": st.just("reasoning"), "id": ids, "summary": summaries},
    optional={"content": thoughts, "encrypted_content": words, "status": statuses},
)
calls = st.fixed_dictionaries(
    {"type": st.just("function_call"), "id": ids, "call_id": ids, "name": ids, "arguments": arguments},
    optional={"status": statuses, "namespace": ids},
)
hosted = st.fixed_dictionaries({"type": st.just("web_search_call"), "id": ids, "status": statuses, "action": objects})
outputs = st.lists(spoken | reasonings | calls | hosted, max_size=4)

said = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "system", "developer"]),
        "content": words
        | st.lists(
            st.fixed_dictionaries({"type": st.just("input_text"), "text": words})
            | st.fixed_dictionaries({"type": st.just("input_image"), "image_url": st.just("https://example.com/x")})
            | st.fixed_dictionaries({"type": st.just("input_file"), "file_data": st.just("data:a/b;base64,QQ==")}),
            max_size=2,
        ),
    },
    optional={"type": st.just("message"), "id": ids},
)
results = st.fixed_dictionaries(
    {
        "type": st.just("function_call_output"),
        "call_id": ids,
        "output": words | st.lists(st.fixed_dictionaries({"type": st.just("input_text"), "text": words}), max_size=2),
    },
    optional={"id": ids},
)
easy = st.fixed_dictionaries({"role": st.just("assistant"), "content": words})
inputs = words | st.lists(said | results | easy | spoken | reasonings | calls | hosted, min_size=1, max_size=6)
requests = st.fixed_dictionaries(
    {"model": st.just("m"), "input": inputs},
    optional={
        "instructions": words,
        "tools": st.lists(
            st.fixed_dictionaries(
                {"type": st.just("function"), "name": ids, "parameters": st.just({"type": "object"})},
                optional={"strict": st.booleans(), "description": words},
            ),
            min_size=1,
            max_size=2,
        ),
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "name": "f"}]),
        "reasoning": st.fixed_dictionaries({}, optional={"effort": words, "summary": words}),
        "text": st.sampled_from([{"verbosity": "low"}, {"format": {"type": "text"}}]),
        "include": st.lists(st.sampled_from(["message.output_text.logprobs", "x", "reasoning.encrypted_content"])),
        "max_output_tokens": st.integers(16, 99),
        "temperature": st.floats(0, 2),
        "store": st.booleans(),
        "previous_response_id": ids,
    },
)  # fmt: skip


@given(requests)
@settings(max_examples=200)
def test_a_request_comes_back(body):
    request = dialect.request_from_wire(body)
    assert dialect.request_to_wire(request, Facts(model="m")).body == body


@given(requests)
@settings(max_examples=100)
def test_no_loss_is_of_what_can_be_said(body):
    request = dialect.request_from_wire(body)
    for other in (openai_chat, anthropic_messages):
        there = other.request_to_wire(request, Facts(model="m"))
        assert not [loss for loss in there.loss if other.says.get(loss.row) in {"native", "translated"}]
        back = dialect.request_to_wire(other.request_from_wire(there.body), Facts(model="m"))
        assert not [loss for loss in back.loss if dialect.says.get(loss.row) in {"native", "translated"}]


# --- replies and streams ----------------------------------------------------------------------------------------------

usages = st.fixed_dictionaries(
    {
        "input_tokens": st.integers(20, 99),
        "input_tokens_details": st.fixed_dictionaries(
            {"cached_tokens": st.integers(0, 9), "cache_write_tokens": st.integers(0, 9)}
        ),
        "output_tokens": st.integers(20, 99),
        "output_tokens_details": st.fixed_dictionaries({"reasoning_tokens": st.integers(0, 19)}),
    },
    optional={"cost": st.just(0.5)},
).map(lambda usage: {**usage, "total_tokens": usage["input_tokens"] + usage["output_tokens"]})
replies = st.fixed_dictionaries(
    {"id": ids, "object": st.just("response"), "model": words, "output": outputs, "status": st.just("completed")},
    optional={
        "created_at": st.integers(1, 99),
        "usage": usages,
        "service_tier": words,
        "error": st.none(),
        "tools": st.just([]),
    },
)

GROWS = {
    "output_text": ("content_part", "output_text", "text"),
    "refusal": ("content_part", "refusal", "refusal"),
    "reasoning_text": ("content_part", "reasoning_text", "text"),
    "summary_text": ("reasoning_summary_part", "reasoning_summary_text", "text"),
}


def streamed(body: dict, *cuts: int) -> bytes:
    """A whole response as the API would have streamed it, its texts cut at these places."""
    start = {**body, "output": [], "status": "in_progress"}
    events = [{"type": "response.created", "response": start}]
    for place, item in enumerate(body["output"]):
        lists = {key: [] for key in ("content", "summary") if key in item}
        empty = {**lists, **({"arguments": ""} if "arguments" in item else {})}
        events.append({"type": "response.output_item.added", "output_index": place, "item": {**item, **empty}})
        at = {"output_index": place, "item_id": item["id"]}
        if item["type"] == "function_call":
            for piece in cut(item["arguments"], *cuts):
                events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
            events.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
        for key, index in (("summary", "summary_index"), ("content", "content_index")):
            for number, part in enumerate(item.get(key) or ()):
                events += grown(part, {**at, index: number}, *cuts)
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    return frames(*events, {"type": "response.completed", "response": body})


def grown(part: dict, at: dict, *cuts: int) -> list[dict]:
    frame, kind, key = GROWS[part["type"]]
    blank = {**part, key: ""} | ({"annotations": []} if "annotations" in part else {})
    events = [{"type": f"response.{frame}.added", **at, "part": blank}]
    events += [{"type": f"response.{kind}.delta", **at, "delta": piece} for piece in cut(part[key], *cuts)]
    for number, one in enumerate(part.get("annotations", ())):
        said = {**at, "annotation_index": number, "annotation": one}
        events.append({"type": "response.output_text.annotation.added", **said})
    return [
        *events,
        {"type": f"response.{kind}.done", **at, key: part[key]},
        {"type": f"response.{frame}.done", **at, "part": part},
    ]


def cut(text: str, *cuts: int) -> list[str]:
    places = sorted({0, *(place % (len(text) + 1) for place in cuts), len(text)})
    return [text[start:end] for start, end in pairwise(places)]


@given(replies)
@settings(max_examples=200)
def test_a_reply_comes_back(body):
    reply = dialect.reply_from_wire(body)
    assert dialect.reply_to_wire(reply) == body
    assert dialect.glance(msgspec.json.encode(body))[:3] == (reply.usage, reply.finish, reply.service_tier)


@given(replies, cuts)
@settings(max_examples=200)
def test_a_stream_amounts_to_the_whole_reply(body, cuts):
    assert reply_of(events_of(dialect, [streamed(body, *cuts)])) == dialect.reply_from_wire(body)


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
    assert (tap.usage, tap.finish, tap.tier, tap.ended) == (reply.usage, reply.finish, reply.service_tier, True)


@given(replies, cuts)
@settings(max_examples=100)
def test_a_stream_comes_back(body, cuts):
    events = events_of(dialect, [streamed(body, *cuts)])
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([event]) for event in events)
    assert reply_of(events_of(dialect, [raw])) == reply_of(events)
    assert dialect.encoder(ASKED).encode(events) == raw


# --- whatever comes ---------------------------------------------------------------------------------------------------

anything = st.recursive(
    scalars | st.sampled_from(["message", "reasoning", "function_call", "output_text", "user", "assistant"]),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "summary", "name", "call_id", "arguments", "output", "id", "status"]
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["input", "instructions", "tools", "text", "include", "reasoning"]), anything))
@settings(max_examples=200)
def test_any_request_is_read_or_refused(body):
    try:
        request = dialect.request_from_wire({"model": "m", **body})
    except TrunklineError:
        return
    msgspec.json.encode(dialect.request_to_wire(request, Facts(model="m")).body)


@given(st.dictionaries(st.sampled_from(["output", "status", "error", "incomplete_details", "usage"]), anything))
@settings(max_examples=200)
def test_any_reply_is_read_or_refused(body):
    dialect.glance(msgspec.json.encode(body))
    try:
        reply = dialect.reply_from_wire(body)
    except TrunklineError:
        return
    msgspec.json.encode(dialect.reply_to_wire(reply))


KINDS = [
    "created", "completed", "output_item.added", "output_item.done", "content_part.added", "content_part.done",
    "output_text.delta", "output_text.done", "reasoning_summary_text.delta", "function_call_arguments.done",
]  # fmt: skip
odd = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS).map("response.{}".format)},
    optional=dict.fromkeys(["response", "item", "part", "delta", "text", "output_index", "content_index"], anything),
)


@given(st.lists(odd, max_size=6))
@settings(max_examples=200)
def test_any_stream_is_read_or_refused(said):
    raw = frames(*said)
    decoder = dialect.decoder()
    events = []
    with contextlib.suppress(TrunklineError):
        events += decoder.feed(raw)
        events += decoder.close()
    dialect.encoder(ASKED).encode(events)
    reply_of(events)
    with contextlib.suppress(TrunklineError):
        dialect.tap(Words(NAME, {})).feed(raw)
