"""Laws of all dialects and of every two of them, for whatever may be asked and answered.

A request that one dialect says and another hears is the same, but for what was reported as lost on the way. An answer
and a stream that a dialect writes are, when they are read again, the same words, calls, end and counts.
"""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streaming import events_of, reply_of

from neutral import arguments, asked
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Event,
    Finished,
    Started,
    TextDelta,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import File, Image, Source, Text, ToolCall, ToolResult
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.vocabulary.usage import Usage
from trunkline.wire.registry import CHAT

TALKING = tuple(dialect for dialect in CHAT if dialect.says["tools"] != "lost")
"""The dialects of conversations: completions only go on from a text."""
PAIRS = tuple(itertools.permutations(TALKING, 2))
SERVER = Facts(model="m")

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(str.strip)
names = st.text("abcdefgh_", min_size=1, max_size=8)
ids = st.text("abcdef0123456789", min_size=9, max_size=12)
objects = st.dictionaries(words, st.integers(-9, 9) | words | st.booleans(), max_size=3)

pictures = st.just(Image(Source(data="iVBORw0KGgo=", media_type="image/png"))) | st.just(
    Image(Source(url="https://example.com/a.png"))
)
papers = st.just(File(Source(data="JVBERi0=", media_type="application/pdf"), "a.pdf"))
shown = st.builds(Text, words) | pictures | papers

questions = st.lists(shown, min_size=1, max_size=3).map(lambda parts: (Message("user", (Text("Well:"), *parts)),))


@st.composite
def uses(draw):
    """The model calls tools, several at once, and their results come in any order."""
    called = draw(st.lists(st.tuples(ids, names, objects), min_size=1, max_size=3, unique_by=lambda call: call[0]))
    calls = [ToolCall(call_id, name, msgspec.json.encode(given).decode()) for call_id, name, given in called]
    results = [
        ToolResult(call.id, (Text(draw(words)),), is_error=draw(st.booleans()), name=call.name)
        for call in draw(st.permutations(calls))
    ]
    spoken = draw(st.lists(st.builds(Text, words), max_size=1))
    return Message("assistant", (*spoken, *calls)), *(Message("tool", (result,)) for result in results)


answers = st.builds(Text, words).map(lambda text: (Message("assistant", (text,)),))


@st.composite
def conversations(draw):
    """Instructions, then turns that begin with the user."""
    leading = draw(st.lists(st.builds(Text, words).map(lambda text: Message("system", (text,))), max_size=2))
    turns = draw(st.lists(st.tuples(questions, uses() | answers), max_size=3))
    last = draw(questions)
    return (*leading, *(message for pair in turns for turn in pair for message in turn), *last)


schemas = st.dictionaries(names, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=3).map(
    lambda inside: {"type": "object", "properties": inside, "required": list(inside), "additionalProperties": False}
)
tools = st.lists(st.builds(Tool, names, words, schemas), max_size=3, unique_by=lambda tool: tool.name).map(tuple)
dials = st.builds(
    Settings,
    max_tokens=st.none() | st.integers(2000, 9000),
    temperature=st.none() | st.sampled_from([0, 0.5, 1]),
    stop=st.none() | st.lists(words, min_size=1, max_size=2).map(tuple),
    seed=st.none() | st.integers(0, 99),
    user=st.none() | names,
    reasoning=st.none() | st.builds(Reasoning, st.sampled_from(["low", "high"])),
)


@st.composite
def requests(draw):
    offered = draw(tools)
    choices = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]
    if offered:
        choices.append(ToolChoice("tool", offered[0].name))
    return Request(
        model="m",
        messages=draw(conversations()),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)) if offered else None,
        response_format=draw(st.none() | st.builds(ResponseFormat, st.just("schema"), schemas, names)),
        settings=draw(dials),
        stream=draw(st.booleans()),
    )


def heard(dialect, request):
    """What the dialect's reader makes of what its writer said, and what was lost on the way."""
    written = dialect.request_to_wire(request, SERVER)
    body = msgspec.json.decode(msgspec.json.encode(written.body))
    said_elsewhere = {key: getattr(request, key) for key in dialect.addressed}
    return dialect.request_from_wire({**body, **said_elsewhere}), {loss.row for loss in written.loss}


@pytest.mark.parametrize("dialect", TALKING, ids=lambda dialect: dialect.name)
@given(requests())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_dialect_says_it_hears(dialect, request_):
    again, lost = heard(dialect, request_)
    assert asked(again, lost, "") == asked(request_, lost, "")


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda dialect: dialect.name)
@given(requests())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_what_one_dialect_said_another_hears(first, second, request_):
    once, lost_first = heard(first, request_)
    twice, lost_second = heard(second, once)
    lost = lost_first | lost_second
    assert asked(twice, lost, "") == asked(once, lost, "")
    assert all(second.says.get(row, "lost") in {"lost", "emulated"} for row in lost_second)


# --- answers ----------------------------------------------------------------------------------------------------------

counts = st.builds(
    Usage,
    input=st.integers(0, 99),
    cache_read=st.integers(0, 99),
    output=st.integers(1, 99),
    reasoning=st.integers(0, 9),
)


@st.composite
def replies(draw):
    calls = draw(st.lists(st.tuples(ids, names, objects), max_size=3, unique_by=lambda call: call[0]))
    spoken = draw(st.lists(st.builds(Text, words), min_size=0 if calls else 1, max_size=1))
    parts = (*spoken, *(ToolCall(call_id, name, msgspec.json.encode(said).decode()) for call_id, name, said in calls))
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    choice = Choice(Message("assistant", parts), finish=finish)
    return Reply(id="x-1", model="m", created=1, choices=(choice,), usage=draw(counts))


def gist(reply, *, ids=True):
    """What an answer says, without what not every API can carry."""
    calls = [(call.id if ids else None, call.name, arguments(call.arguments)) for call in reply.tool_calls]
    usage = reply.usage
    return reply.text, calls, reply.finish, (usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.parametrize("dialect", TALKING, ids=lambda dialect: dialect.name)
@given(replies())
@settings(max_examples=40)
def test_an_answer_that_a_dialect_writes_it_reads(dialect, reply):
    again = dialect.reply_from_wire(msgspec.json.decode(msgspec.json.encode(dialect.reply_to_wire(reply))))
    ids = dialect.name not in WITHOUT_IDS
    assert gist(again, ids=ids) == gist(reply, ids=ids)


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda dialect: dialect.name)
@given(replies())
@settings(max_examples=15)
def test_an_answer_of_one_dialect_is_the_same_in_another(first, second, reply):
    once = first.reply_from_wire(msgspec.json.decode(msgspec.json.encode(first.reply_to_wire(reply))))
    twice = second.reply_from_wire(msgspec.json.decode(msgspec.json.encode(second.reply_to_wire(once))))
    ids = second.name not in WITHOUT_IDS
    assert gist(twice, ids=ids) == gist(once, ids=ids)


WITHOUT_IDS = frozenset({"ollama_chat"})
"""Dialects whose calls have no ids: they are made up."""


@st.composite
def streams(draw):
    """The events of an answer, its calls growing side by side."""
    reply = draw(replies())
    events: list[Event] = [Started(id=reply.id, model=reply.model, created=1)]
    growing: list[list[Event]] = []
    call = 0
    for index, part in enumerate(reply.message.parts):
        if isinstance(part, ToolCall):
            cut = draw(st.integers(0, len(part.arguments)))
            growing.append([
                ToolCallStarted(id=part.id, name=part.name, index=index, call=call),
                *(
                    ArgumentsDelta(delta=piece, index=index, call=call)
                    for piece in (part.arguments[:cut], part.arguments[cut:])
                    if piece
                ),
            ])  # fmt: skip
            call += 1
        elif isinstance(part, Text):
            cut = draw(st.integers(0, len(part.text)))
            pieces = (part.text[:cut], part.text[cut:])
            events += [TextDelta(delta=piece, index=index) for piece in pieces if piece]
    if draw(st.booleans()):
        events += [event for one in growing for event in one]
    else:
        events += [event for row in itertools.zip_longest(*growing) for event in row if event is not None]
    last: list[Event] = [Finished(finish=reply.finish or "stop"), UsageReported(usage=reply.usage or Usage())]
    if draw(st.booleans()):
        last.reverse()
    return reply, [*events, *last, Ended()]


@pytest.mark.parametrize("dialect", TALKING, ids=lambda dialect: dialect.name)
@given(streams(), st.integers(1, 40))
@settings(max_examples=40)
def test_a_stream_that_a_dialect_writes_it_reads_at_any_cut(dialect, said, step):
    reply, events = said
    encoder = dialect.encoder(Request(model="m", messages=(), stream=True, include_usage=True))
    raw = b"".join(encoder.encode([event]) for event in events)
    again = events_of(dialect, [raw])
    pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
    assert events_of(dialect, pieces) == again
    ids = dialect.name not in WITHOUT_IDS
    assert gist(reply_of(again), ids=ids) == gist(reply, ids=ids)
    assert sum(isinstance(event, Ended) for event in again) == 1
