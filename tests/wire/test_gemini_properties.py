"""Gemini: laws that hold for every request, reply and stream, not only for the examples."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import ASKED, bodies, events_of, pieces, reply_of

from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import File, Image, Opaque, Refusal, Source, Text, Thinking, ToolCall, ToolResult
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire import anthropic_messages, gemini, openai_chat

NAME = "gemini"
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.sampled_from(["look", "go", "listen"])
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | words
objects = st.dictionaries(words, scalars | st.lists(scalars, max_size=2), max_size=3)
cuts = st.lists(st.integers(0, 5000), max_size=6)
signatures = st.sampled_from(["c2lnMA==", "c2lnMQ=="])


def maybe(**values):
    """Objects in which each key may be missing."""
    return st.fixed_dictionaries({}, optional=values)


def joined(*parts):
    """Several objects as one."""
    return st.tuples(*parts).map(lambda ones: {key: value for one in ones for key, value in one.items()})


signed = maybe(thoughtSignature=signatures)
calls = joined(st.fixed_dictionaries({"name": names}), maybe(args=objects, id=words))
results = joined(
    st.fixed_dictionaries({"name": names, "response": objects}), maybe(id=words, scheduling=st.just("SILENT"))
)
blobs = joined(
    st.fixed_dictionaries({"data": st.just("iVBORw==")}),
    maybe(mimeType=st.sampled_from(["image/png", "audio/wav", "video/mp4", "application/pdf"]), displayName=words),
)
files = joined(
    st.fixed_dictionaries({"fileUri": st.sampled_from(["files/a", "gs://a/b", "https://example.com/a.png"])}),
    maybe(mimeType=st.sampled_from(["image/png", "text/plain"])),
)
texts = joined(st.fixed_dictionaries({"text": st.text(max_size=8)}), maybe(thought=st.just(True)), signed)
parts = st.one_of(
    texts,
    joined(st.fixed_dictionaries({"functionCall": calls}), signed),
    st.fixed_dictionaries({"functionResponse": results}),
    joined(st.fixed_dictionaries({"inlineData": blobs}), signed, maybe(videoMetadata=objects)),
    st.fixed_dictionaries({"fileData": files}),
    joined(st.fixed_dictionaries({"executableCode": objects}), signed),
)

# --- the same dialect -----------------------------------------------------------------------------------------------

schemas = st.sampled_from([{"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, {"type": "object"}])
functions = joined(
    st.fixed_dictionaries({"name": names}),
    maybe(description=words, behavior=st.just("BLOCKING")),
    maybe(parameters=schemas) | maybe(parametersJsonSchema=schemas),
)
tools = joined(
    maybe(functionDeclarations=st.lists(functions, min_size=1, max_size=2)), maybe(googleSearch=st.just({}))
).filter(bool)
choices = joined(
    maybe(
        mode=st.sampled_from(["AUTO", "ANY", "NONE", "VALIDATED"]),
        allowedFunctionNames=st.lists(names, min_size=1, max_size=2),
    )
)
configs = maybe(
    maxOutputTokens=st.integers(1, 9999),
    temperature=st.floats(0, 2),
    stopSequences=st.lists(words, min_size=1, max_size=3),
    responseMimeType=st.sampled_from(["application/json", "text/plain", "text/x.enum"]),
    responseSchema=schemas,
    responseModalities=st.lists(st.sampled_from(["TEXT", "Image"]), min_size=1, max_size=2),
    thinkingConfig=maybe(
        includeThoughts=st.booleans(),
        thinkingBudget=st.integers(-1, 99),
        thinkingLevel=st.sampled_from(["low", "HIGH"]),
        other=words,
    ),
    speechConfig=objects,
)
requests = joined(
    st.fixed_dictionaries(
        {
            "contents": st.lists(
                joined(
                    st.fixed_dictionaries({"parts": st.lists(parts, min_size=1, max_size=4)}),
                    maybe(role=st.sampled_from(["user", "model", "function", "tool"])),
                ),
                max_size=4,
            )
        }
    ),
    maybe(
        systemInstruction=st.fixed_dictionaries(
            {"parts": st.lists(st.fixed_dictionaries({"text": words}), min_size=1, max_size=2)}
        ),
        tools=st.lists(tools, min_size=1, max_size=3),
        toolConfig=maybe(functionCallingConfig=choices, retrievalConfig=objects),
        generationConfig=configs,
        safetySettings=st.lists(objects, min_size=1, max_size=2),
        serviceTier=st.sampled_from(["standard", "flex"]),
    ),
)


def empty_is_absent(value):
    """Without what protobuf's JSON leaves out."""
    if isinstance(value, dict):
        return {key: empty_is_absent(one) for key, one in value.items() if one not in ({}, [], None)}
    return [empty_is_absent(one) for one in value] if isinstance(value, list) else value


@given(requests)
@settings(deadline=None)
def test_a_request_is_written_as_it_was_read(body):
    request = gemini.request_from_wire({"model": "m", **body})
    written = gemini.request_to_wire(request, Facts(model="m"))
    assert empty_is_absent(written.body) == empty_is_absent(body)
    assert written.loss == ()


counts = maybe(
    promptTokenCount=st.integers(50, 99),
    cachedContentTokenCount=st.integers(1, 50),
    candidatesTokenCount=st.integers(10, 99),
    thoughtsTokenCount=st.integers(1, 99),
    toolUsePromptTokenCount=st.integers(1, 99),
    totalTokenCount=st.integers(1, 500),
    candidatesTokensDetails=st.just([{"modality": "AUDIO", "tokenCount": 3}]),
    trafficType=st.just("ON_DEMAND"),
)
candidates = joined(
    maybe(
        content=joined(maybe(parts=st.lists(parts, min_size=1, max_size=5)), maybe(role=st.just("model"))),
        finishReason=st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", 1, 9]),
        safetyRatings=st.lists(objects, min_size=1, max_size=2),
        groundingMetadata=objects,
        avgLogprobs=st.floats(-5, -1),
    )
)
replies = joined(
    st.fixed_dictionaries({"candidates": st.lists(candidates, min_size=1, max_size=1)}),
    maybe(usageMetadata=counts, responseId=words, modelVersion=words, createTime=words, other=objects),
)


def counted(body):
    """A total that is the sum of what is counted says nothing; neither does what is cached of no prompt."""
    usage = body.get("usageMetadata")
    if not usage:
        return empty_is_absent(body)
    keys = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    total = sum(usage.get(key, 0) for key in keys)
    rest = {key: value for key, value in usage.items() if key != "totalTokenCount" or value != total}
    return empty_is_absent({**body, "usageMetadata": rest})


@given(replies.filter(lambda body: "promptTokenCount" in body.get("usageMetadata", {"promptTokenCount": 0})))
@settings(deadline=None)
def test_a_reply_is_written_as_it_was_read(body):
    usage = body.get("usageMetadata")
    if usage:
        usage["cachedContentTokenCount"] = min(usage["promptTokenCount"], usage.get("cachedContentTokenCount", 1))
        keys = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        usage.setdefault("totalTokenCount", sum(usage.get(key, 0) for key in keys))
    written = gemini.reply_to_wire(gemini.reply_from_wire(body))
    assert counted(written) == counted(body)


@given(replies)
@settings(deadline=None)
def test_no_token_is_counted_twice(body):
    usage = gemini.reply_from_wire(body).usage
    said = body.get("usageMetadata")
    if usage is not None:
        keys = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        cached = 0 if "promptTokenCount" in said else said.get("cachedContentTokenCount", 0)
        assert usage.total_tokens == sum(said.get(key, 0) for key in keys) + cached


chunks = st.lists(st.lists(parts, max_size=3), min_size=1, max_size=5)


def stream_of(said):
    """Chunks with these parts, the last of which ends."""
    whole = [
        {"candidates": [{"content": {"parts": one, "role": "model"}, "index": 0}], "responseId": "r"} for one in said
    ]
    whole[-1]["candidates"][0]["finishReason"] = "STOP"
    return whole


def raw_of(whole, listed):
    if listed:
        return msgspec.json.encode(whole)
    return b"".join(b"data: " + msgspec.json.encode(one) + b"\r\n\r\n" for one in whole)


def grown(whole):
    """The chunks, an empty thought that only signs the one before it in one part with that."""
    for chunk in whole:
        for candidate in chunk.get("candidates", ()):
            content = candidate.get("content", {})
            settled = []
            for part in content.get("parts", ()):
                signs = part.keys() == {"text", "thought", "thoughtSignature"} and part["thought"] and not part["text"]
                if signs and settled and settled[-1].get("thought") and "thoughtSignature" not in settled[-1]:
                    settled[-1] = {**settled[-1], "thoughtSignature": part["thoughtSignature"]}
                else:
                    settled.append(part)
            if settled:
                content["parts"] = settled
    return whole


@given(chunks, cuts, st.booleans())
@settings(deadline=None)
def test_a_stream_says_the_same_however_it_is_cut_and_is_written_as_it_came(said, places, listed):
    whole = stream_of(said)
    raw = raw_of(whole, listed)
    events = events_of(gemini, [raw])
    assert events_of(gemini, pieces(raw, *places)) == events
    assert grown(bodies(gemini.encoder(ASKED).encode(events))) == grown(whole)
    tap = gemini.tap(Words(NAME, {}))
    passed = b"".join([*(tap.feed(piece) for piece in pieces(raw, *places)), tap.close()])
    assert (passed, tap.ended, tap.finish) == (raw, True, reply_of(events).finish)


@given(st.lists(parts, min_size=1, max_size=5))
@settings(deadline=None)
def test_a_stream_of_one_chunk_is_the_whole_answer(said):
    """But for texts that follow one another, which go on in a stream, and empty ones, which nobody sees."""
    whole = stream_of([said])[0]
    streamed, reply = reply_of(events_of(gemini, [raw_of([whole], False)])), gemini.reply_from_wire(whole)

    def settled(message):
        spoken = [part for part in message.parts if part != Text("") and part != Thinking("")]
        kinds = [(type(part), getattr(part, "text", None)) for part in spoken if not isinstance(part, Text | Thinking)]
        others = [part for part in spoken if not isinstance(part, Text | Thinking)]
        return message.text, message.thinking or "", kinds, others

    assert settled(streamed.message) == settled(reply.message)
    assert streamed.finish == reply.finish


# --- across ---------------------------------------------------------------------------------------------------------

sources = st.one_of(
    st.builds(Source, url=st.just("https://example.com/x.png")),
    st.builds(Source, data=st.just("iVBORw=="), media_type=st.just("image/png")),
)
arguments = objects.map(lambda value: msgspec.json.encode(value).decode()) | words
spoken = st.one_of(
    st.builds(Text, st.text(max_size=5)),
    st.builds(Thinking, words),
    st.builds(Thinking, words, words, dialect=st.just("anthropic_messages")),
    st.builds(ToolCall, words, names, arguments),
    st.builds(Refusal, words),
    st.builds(Image, sources),
    st.builds(Opaque, st.just("openai_chat"), objects),
)
asked = st.one_of(
    st.builds(Text, st.text(max_size=5)),
    st.builds(Image, sources),
    st.builds(File, sources),
    st.builds(
        ToolResult,
        words,
        st.lists(st.builds(Text, words) | st.builds(Image, sources), max_size=2).map(tuple),
        st.booleans(),
    ),
)


def messages(role, what):
    return st.builds(Message, st.just(role), st.lists(what, max_size=3).map(tuple))


foreign = st.builds(
    Request,
    model=words,
    messages=st.lists(
        messages("user", asked) | messages("assistant", spoken) | messages("system", st.builds(Text, words)),
        min_size=1,
        max_size=5,
    ).map(tuple),
    tools=st.lists(st.builds(Tool, names, st.none() | words, objects), max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]), allowed=st.sampled_from([(), ("look",)])),
    response_format=st.none() | st.builds(ResponseFormat, st.just("schema"), objects),
    settings=st.builds(
        Settings,
        temperature=st.none() | st.floats(0, 5),
        stop=st.none() | st.lists(st.text(max_size=3), max_size=7).map(tuple),
        seed=st.none() | st.integers(-(2**63), 2**63 - 1),
        n=st.none() | st.integers(1, 99),
        reasoning=st.none()
        | st.builds(Reasoning, st.none() | words, budget=st.none() | st.integers(1, 99_999), off=st.booleans()),
    ),
    dialect=st.sampled_from([None, "openai_chat"]),
)
targets = st.builds(
    Facts,
    model=words,
    reasoning=st.sampled_from([None, True, False]),
    adaptive_thinking=st.booleans(),
    least_thinking=st.sampled_from([0, 128]),
)


@given(foreign, targets)
@settings(deadline=None)
def test_what_is_written_for_this_api_is_what_it_takes(request, facts):
    written = gemini.request_to_wire(request, facts)
    body = written.body
    contents = body["contents"]
    roles = [(one["role"], "functionResponse" in one["parts"][0]) for one in contents]
    assert all(one["parts"] for one in contents)
    assert all(before != after for before, after in pairwise(roles))
    for one in contents:
        kinds = {"functionResponse" in part for part in one["parts"]}
        assert len(kinds) == 1  # results stand by themselves
        called = [part for part in one["parts"] if "functionCall" in part]
        if called and facts.reasoning is not False:
            assert "thoughtSignature" in called[0]
        assert not any(part.get("text") == "" for part in one["parts"])
    back = gemini.request_from_wire({"model": "m", **msgspec.json.decode(msgspec.json.encode(body))})
    assert gemini.request_to_wire(back, facts).body == body
    for loss in written.loss:
        assert gemini.says.get(loss.row) not in {"native", "translated"}, loss


THEIR_OWN = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
"""Where a caller's own JSON is: its keys may be called as they like."""


def notes_in(value):
    """Whether a key is one of a reader's notes."""
    if isinstance(value, dict):
        below = (one for key, one in value.items() if key not in THEIR_OWN)
        return any(key[:2] in {"~s", "~r", "~i", "~b", "~c"} for key in value) or any(map(notes_in, below))
    return isinstance(value, list) and any(notes_in(one) for one in value)


@given(foreign)
@settings(deadline=None)
def test_nothing_of_another_apis_is_on_the_wire(request):
    assert not notes_in(gemini.request_to_wire(request, Facts(model="m")).body)


@given(requests)
@settings(deadline=None)
def test_a_callers_request_can_be_said_to_others(body):
    request = gemini.request_from_wire({"model": "m", **body})
    for other in (openai_chat, anthropic_messages):
        try:
            assert not notes_in(other.request_to_wire(request, Facts(model="m")).body)
        except TrunklineError:
            continue


KEYS = ["contents", "parts", "text", "functionCall", "name", "args", "role", "tools", "functionDeclarations"]
KEYS += ["generationConfig", "candidates", "content", "usageMetadata", "error", "finishReason", "index"]
json_values = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4),
    max_leaves=12,
)


@given(json_values)
@settings(deadline=None)
def test_any_json_is_read_or_refused_by_name(value):
    body = value if isinstance(value, dict) else {"contents": value, "candidates": value}
    for read in (gemini.request_from_wire, gemini.reply_from_wire):
        with contextlib.suppress(TrunklineError):
            read({"model": "m", **body})
    gemini.error_from_wire(400, {}, msgspec.json.encode(value))
    gemini.glance(msgspec.json.encode(value))
