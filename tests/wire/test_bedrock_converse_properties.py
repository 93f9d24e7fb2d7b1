"""Bedrock Converse: laws that hold for every request, reply and stream, not only for the examples."""

from __future__ import annotations

import contextlib
import string
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import ASKED, events_of, pieces, reply_of

from trunkline.models.names import maker
from trunkline.vocabulary.errors import InvalidRequestError, TrunklineError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import CacheMark, File, Image, Source, Text, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Seen
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, Tool, ToolChoice
from trunkline.wire import bedrock_converse as dialect
from trunkline.wire.grammar.eventstream import event_frame

NAME = "bedrock_converse"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
objects = st.dictionaries(words, scalars | words | st.lists(scalars, max_size=2), max_size=3)
cuts = st.lists(st.integers(0, 5000), max_size=6)
marks = st.fixed_dictionaries({"type": st.just("default")}, optional={"ttl": st.sampled_from(["5m", "1h"])})

# --- requests -------------------------------------------------------------------------------------------------------

texts = st.fixed_dictionaries({"text": words})
points = st.fixed_dictionaries({"cachePoint": marks})
images = st.sampled_from(["png", "gif"]).map(lambda kind: {"image": {"format": kind, "source": {"bytes": "iVBORw=="}}})
documents = st.one_of(
    words.map(lambda text: {"document": {"name": "d", "source": {"text": text}}}),
    words.map(lambda text: {"document": {"name": "d", "format": "md", "source": {"content": [{"text": text}] * 2}}}),
)
insides = st.lists(texts | images | documents | objects.map(lambda value: {"json": value}), max_size=2)
results = st.fixed_dictionaries(
    {"toolUseId": ids, "content": insides}, optional={"status": st.sampled_from(["success", "error"])}
).map(lambda body: {"toolResult": body})
calls = st.fixed_dictionaries({"toolUseId": ids, "name": ids, "input": objects}).map(lambda body: {"toolUse": body})
thoughts = st.one_of(
    st.fixed_dictionaries({"text": words}, optional={"signature": ids}).map(
        lambda body: {"reasoningContent": {"reasoningText": body}}
    ),
    ids.map(lambda secret: {"reasoningContent": {"redactedContent": secret}}),
)
own_requests = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "role": st.just("user"),
                        "content": st.lists(texts | points | images | documents | results, max_size=3),
                    }
                ),
                st.fixed_dictionaries(
                    {
                        "role": st.just("assistant"),
                        "content": st.lists(texts | points | calls | thoughts | results, max_size=3),
                    }
                ),
            ),
            min_size=1,
            max_size=4,
        )
    },
    optional={
        "system": st.lists(texts | points, min_size=1, max_size=3),
        "inferenceConfig": st.fixed_dictionaries(
            {"maxTokens": st.integers(1, 99)}, optional={"topP": st.floats(0, 1), "stopSequences": st.lists(words)}
        ),
        "requestMetadata": st.dictionaries(ids, ids, min_size=1, max_size=2),
        "promptVariables": st.dictionaries(ids, texts, min_size=1, max_size=2),
    },
)


@given(own_requests)
@settings(max_examples=150)
def test_its_own_request_comes_back(body):
    written = dialect.request_to_wire(dialect.request_from_wire({"model": "m", **body}), Facts(model="m"))
    assert (written.body, written.loss) == (body, ())


source = st.just(Source(data="iVBORw==", media_type="image/png"))
said_texts = st.builds(Text, words | st.just(" "), cache=st.none() | st.just(CacheMark()))
neutral = st.one_of(
    st.builds(
        Message,
        st.sampled_from(["user", "system", "developer"]),
        st.lists(
            said_texts
            | st.builds(Image, source)
            | st.builds(File, st.just(Source(data="JVBERg==", media_type="application/pdf")), st.none() | words),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(
        Message,
        st.just("assistant"),
        st.lists(said_texts | st.builds(ToolCall, words, ids, st.just("{}")), max_size=3).map(tuple),
    ),
    st.builds(
        Message,
        st.just("tool"),
        st.lists(
            st.builds(ToolResult, words, st.lists(said_texts, max_size=2).map(tuple), st.booleans()),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
)
foreign_requests = st.builds(
    Request,
    model=words,
    messages=st.lists(neutral, min_size=1, max_size=5).map(tuple),
    tools=st.lists(st.builds(Tool, ids, st.none() | words), max_size=2).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    settings=st.builds(
        Settings,
        max_tokens=st.none() | st.integers(1, 9999),
        temperature=st.none() | st.floats(0, 2),
        top_k=st.none() | st.integers(1, 9),
        reasoning=st.none()
        | st.builds(Reasoning, st.sampled_from(["low", "high", "none"]))
        | st.builds(Reasoning, budget=st.integers(1, 40_000)),
    ),
    dialect=st.sampled_from([None, "openai_chat"]),
)
targets = st.sampled_from(
    ["anthropic.x", "us.amazon.x", "meta.x", "arn:aws:bedrock:x:1:application-inference-profile/y"]
)


@given(foreign_requests, targets)
@settings(max_examples=150)
def test_what_others_said_keeps_the_apis_rules(request, model):
    body = dialect.request_to_wire(
        request, Facts(model=model, maker=maker(model), reasoning=True, max_output=20_000)
    ).body
    turns = body["messages"]
    assert all(before["role"] != after["role"] for before, after in pairwise(turns))
    assert not turns or turns[0]["role"] == "user"
    names: list[str] = []
    for turn in turns:
        blocks = turn["content"]
        kinds = [next(iter(block)) for block in blocks]
        assert all(block["text"].strip() for block in blocks if "text" in block)
        assert "document" not in kinds or "text" in kinds
        if turn["role"] == "user":
            first = next((at for at, kind in enumerate(kinds) if kind not in {"toolResult", "cachePoint"}), len(kinds))
            assert "toolResult" not in kinds[first:]
        else:
            assert "text" not in kinds[kinds.index("toolUse") :] if "toolUse" in kinds else True
        names += [block["document"]["name"] for block in blocks if "document" in block]
    assert len(set(names)) == len(names)
    called = any({"toolUse", "toolResult"} & block.keys() for turn in turns for block in turn["content"])
    assert not called or body["toolConfig"]["tools"]
    thinking = body.get("additionalModelRequestFields", {}).get("thinking")
    if thinking and "budget_tokens" in thinking:
        assert 1024 <= thinking["budget_tokens"] < body["inferenceConfig"]["maxTokens"] <= 20_000


# --- replies and streams --------------------------------------------------------------------------------------------

blocks = st.lists(st.one_of(texts, thoughts, calls), max_size=4)
counts = st.integers(0, 99)
replies = st.builds(
    lambda content, word, usage, extra: {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": word,
        "usage": {**usage, "totalTokens": sum(usage.values())},
        "metrics": {"latencyMs": 7},
        **extra,
    },
    blocks,
    st.sampled_from(["end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filtered", "news"]),
    st.fixed_dictionaries(
        {"inputTokens": st.integers(1, 99), "outputTokens": counts},
        optional={"cacheReadInputTokens": counts, "cacheWriteInputTokens": counts},
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "trace": st.just({"guardrail": {}}),
            "serviceTier": st.just({"type": "flex"}),
            "additionalModelResponseFields": st.just({"stop_sequence": "x"}),
        },
    ),
)


def streamed(body: dict, *cuts: int) -> bytes:
    """A whole answer as the API would have streamed it, its texts cut at these places."""
    said = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(body["output"]["message"]["content"]):
        at = {"contentBlockIndex": index}
        deltas = []
        match block:
            case {"text": text}:
                deltas = [{"text": piece} for piece in text_pieces(text, *cuts)]
            case {"toolUse": call}:
                start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
                said.append(("contentBlockStart", {**at, "start": start}))
                whole = msgspec.json.encode(call["input"]).decode()
                deltas = [{"toolUse": {"input": piece}} for piece in text_pieces(whole, *cuts)]
            case {"reasoningContent": {"reasoningText": thought}}:
                deltas = [{"reasoningContent": {"text": piece}} for piece in text_pieces(thought["text"], *cuts)]
                if "signature" in thought:
                    deltas.append({"reasoningContent": {"signature": thought["signature"]}})
            case _:
                deltas = [block]
        said += [("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
        said.append(("contentBlockStop", at))
    last = {key: body[key] for key in ("usage", "metrics", "trace", "serviceTier") if key in body}
    stop = {key: body[key] for key in ("stopReason", "additionalModelResponseFields") if key in body}
    said += [("messageStop", stop), ("metadata", last)]
    return b"".join(event_frame(name, msgspec.json.encode({**event, "p": "abcd"})) for name, event in said)


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
    whole = dialect.reply_from_wire(body)
    if not whole.message.parts:  # a choice begins with its first event
        whole.choices = reply.choices
    assert reply == whole


@given(replies, cuts)
@settings(max_examples=100)
def test_cuts_change_nothing(body, cuts):
    raw = streamed(body)
    parts = pieces(raw, *cuts)
    events = events_of(dialect, [raw])
    assert events_of(dialect, parts) == events
    tap = dialect.tap(Words(NAME, {}))
    assert b"".join([*(tap.feed(part) for part in parts), tap.close()]) == raw
    reply = reply_of(events)
    assert (tap.usage, tap.finish, tap.ended, tap.tier) == (reply.usage, reply.finish, True, reply.service_tier)


@given(replies, cuts)
@settings(max_examples=100)
def test_a_stream_comes_back(body, cuts):
    events = events_of(dialect, [streamed(body, *cuts)])
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([event]) for event in events)
    assert events_of(dialect, [raw]) == events
    assert dialect.encoder(ASKED).encode(events) == raw


# --- nonsense -------------------------------------------------------------------------------------------------------

KEYS = (
    "messages", "role", "content", "text", "toolUse", "toolUseId", "toolResult", "input", "name", "system", "source",
    "image", "document", "format", "bytes", "reasoningContent", "reasoningText", "citationsContent", "citations",
    "toolConfig", "tools", "toolSpec", "toolChoice", "inferenceConfig", "maxTokens", "output", "message", "usage",
    "outputConfig", "additionalModelRequestFields", "thinking", "type", "cachePoint", "guardContent", "searchResult",
    "sourceContent", "location", "web", "url", "title", "cacheDetails", "ttl", "json", "s3Location", "uri",
    "stopReason", "serviceTier",
)  # fmt: skip
FRAMES = (
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "news",
)  # fmt: skip
nonsense = st.recursive(
    scalars | st.sampled_from(["user", "assistant", "enabled", "x"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4),
    max_leaves=15,
)
bodies = st.dictionaries(st.sampled_from(KEYS), nonsense, max_size=5)


@given(bodies)
@settings(max_examples=300)
def test_nonsense_of_a_caller_is_an_invalid_request(body):
    with contextlib.suppress(InvalidRequestError):
        dialect.request_from_wire({"model": "m", **body})


@given(bodies)
@settings(max_examples=300)
def test_nonsense_of_a_provider_is_a_typed_error(body):
    with contextlib.suppress(TrunklineError):
        dialect.reply_from_wire(body)


@given(st.lists(st.tuples(st.sampled_from(FRAMES), bodies | bodies.map(lambda body: {"delta": body, "start": body}))))
@settings(max_examples=300)
def test_nonsense_in_a_stream_is_a_typed_error(events):
    raw = b"".join(event_frame(name, msgspec.json.encode(body)) for name, body in events)
    with contextlib.suppress(TrunklineError):
        events_of(dialect, [raw])
