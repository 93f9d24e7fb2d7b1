"""Tools in every dialect: what is said of them is read back as it was, and what is not is what the matrix says."""

from __future__ import annotations

import msgspec
import pytest
from streaming import ASKED, events_of, every, reply_of

import neutral
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Finished,
    PartEnded,
    Started,
    TextDelta,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Image, Source, Text, ToolCall, ToolResult
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Tool, ToolChoice
from trunkline.vocabulary.usage import Usage
from trunkline.wire.registry import CHAT

DIALECTS = [dialect for dialect in CHAT if dialect.says["tools"] != "lost"]
FACTS = Facts(model="m", tools=True)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "The weather in a city.", CITY)
CLOCK = Tool("clock", "The time.")
TOOLS = (WEATHER, CLOCK, Tool("stars", "The stars of tonight."))
PICTURE = Image(Source(data="iVBORw0KGgo=", media_type="image/png"))

QUESTION = said("user", "How is it in Paris and in Oslo, and how late?")
PARIS = ToolCall("call_1", "weather", '{"city":"Paris"}')
OSLO = ToolCall("call_2", "weather", '{"city":"Oslo"}')
LATE = ToolCall("call_3", "clock", "{}")


def result(call, *parts, **more):
    return ToolResult(call.id, tuple(Text(part) if isinstance(part, str) else part for part in parts), **more)


def asking(*messages, **more):
    return Request(model="m", messages=messages or (QUESTION,), tools=TOOLS, **more)


def choosing(*words, **more):
    return asking(tool_choice=ToolChoice(*words, **more))


TOGETHER = Message("assistant", (Text("Let me look."), PARIS, OSLO, LATE))
IN_ANOTHER_ORDER = (
    Message("tool", (result(OSLO, "snow"),)),
    Message("tool", (result(LATE, "noon"),)),
    Message("tool", (result(PARIS, "sun"),)),
)

SCENES = {
    "offered": (asking(), ()),
    "strict": (
        Request(
            model="m",
            messages=(QUESTION,),
            tools=(Tool("weather", "The weather.", {**CITY, "additionalProperties": False}, strict=True),),
        ),
        ("tool_strict",),
    ),
    "auto": (choosing("auto"), ()),
    "none": (choosing("none"), ("choice_none",)),
    "required": (choosing("required"), ("choice_required",)),
    "a certain one": (choosing("tool", "weather"), ("choice_tool",)),
    "one of certain ones": (choosing("required", allowed=("clock", "weather")), ("choice_required", "choice_allowed")),
    "perhaps one of certain ones": (choosing(allowed=("weather",)), ("choice_allowed",)),
    "one at a time": (asking(settings=Settings(parallel_tool_calls=False)), ("parallel_tool_calls",)),
    "several called, answered in another order": (
        asking(QUESTION, TOGETHER, *IN_ANOTHER_ORDER, said("user", "And now?")),
        (),
    ),
    "the results in one message": (
        asking(QUESTION, TOGETHER, Message("tool", tuple(one.parts[0] for one in IN_ANOTHER_ORDER))),
        (),
    ),
    "called without a word": (asking(QUESTION, Message("assistant", (LATE,)), IN_ANOTHER_ORDER[1]), ()),
    "two rounds": (
        asking(
            QUESTION,
            Message("assistant", (PARIS,)),
            Message("tool", (result(PARIS, "sun"),)),
            Message("assistant", (OSLO,)),
            Message("tool", (result(OSLO, "snow"),)),
        ),
        (),
    ),
    "a result with a picture": (
        asking(QUESTION, Message("assistant", (PARIS,)), Message("tool", (result(PARIS, "Look:", PICTURE),))),
        ("tool_result_media",),
    ),
    "a result that is a picture": (
        asking(QUESTION, Message("assistant", (PARIS,)), Message("tool", (result(PARIS, PICTURE),))),
        ("tool_result_media",),
    ),
    "a result that says that it failed": (
        asking(
            QUESTION, Message("assistant", (PARIS,)), Message("tool", (result(PARIS, "no such city", is_error=True),))
        ),
        ("tool_result_error",),
    ),
    "an empty result": (asking(QUESTION, Message("assistant", (LATE,)), Message("tool", (result(LATE, ""),))), ()),
    "a result that is JSON": (
        asking(QUESTION, Message("assistant", (PARIS,)), Message("tool", (result(PARIS, '{"degrees": 18}'),))),
        (),
    ),
}
"""What is asked, and the rows of the matrix that it takes beyond plain tools."""


def body_of(dialect, request):
    """A written request as a gateway reads it: with what stands in the address."""
    written = dialect.request_to_wire(request, FACTS)
    address = {"model": "m", "stream": request.stream}
    return {**written.body, **{key: address[key] for key in dialect.addressed if key in address}}, written.loss


def asked(request, rows, dialect):
    """What is asked; a choice that an API does not have may be said by offering other tools."""
    found = neutral.asked(request, rows, dialect.name)
    if any(row.startswith("choice_") for row in rows):
        return {name: what for name, what in found.items() if name not in {"tools", "choice"}}
    return found


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_said_is_read_back(dialect, scene):
    request, _ = SCENES[scene]
    body, loss = body_of(dialect, request)
    rows = {one.row for one in loss}
    back = dialect.request_from_wire(msgspec.json.decode(msgspec.json.encode(body)))
    assert asked(back, rows, dialect) == asked(request, rows, dialect)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_lost_is_what_the_matrix_says(dialect, scene):
    request, rows = SCENES[scene]
    lost = {loss.row for loss in body_of(dialect, request)[1]}
    assert lost <= {row for row in rows if dialect.says[row] in {"lost", "emulated"}}
    assert {row for row in rows if dialect.says[row] == "lost"} <= lost


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_each_result_belongs_to_its_call(dialect):
    request, _ = SCENES["several called, answered in another order"]
    back = dialect.request_from_wire(body_of(dialect, request)[0])
    parts = [part for message in back.messages for part in message.parts]
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    results = [(calls[part.call_id], part.text) for part in parts if isinstance(part, ToolResult)]
    found = {(call.name, neutral.arguments(call.arguments).get("city")): text for call, text in results}
    assert found == {("weather", "Paris"): "sun", ("weather", "Oslo"): "snow", ("clock", None): "noon"}


@pytest.mark.parametrize("arguments", ["{}", "", " "])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_empty_arguments_are_an_empty_object(dialect, arguments):
    called = Message("assistant", (ToolCall("call_1", "clock", arguments),))
    body, loss = body_of(dialect, asking(QUESTION, called, Message("tool", (ToolResult("call_1", (Text("noon"),)),))))
    assert loss == ()
    back = dialect.request_from_wire(body)
    (call,) = (part for message in back.messages for part in message.parts if isinstance(part, ToolCall))
    assert neutral.arguments(call.arguments) == {}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_arguments_that_were_cut_are_not_lost(dialect):
    """Text where the API has text; where it has an object, one that holds the text."""
    called = Message("assistant", (ToolCall("call_1", "weather", '{"city":"Par'),))
    body, _ = body_of(dialect, asking(QUESTION, called, Message("tool", (ToolResult("call_1", (Text("cut"),)),))))
    assert "Par" in msgspec.json.encode(body).decode()
    back = dialect.request_from_wire(body)
    (call,) = (part for message in back.messages for part in message.parts if isinstance(part, ToolCall))
    assert "Par" in call.arguments


# --- answers ----------------------------------------------------------------------------------------------------------

ANSWER = Reply(
    id="r1",
    model="m",
    created=1,
    choices=(Choice(Message("assistant", TOGETHER.parts), "tool_calls"),),
    usage=Usage(input=10, output=5),
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_an_answer_with_several_calls(dialect):
    back = dialect.reply_from_wire(msgspec.json.decode(msgspec.json.encode(dialect.reply_to_wire(ANSWER))))
    assert back.text == "Let me look."
    assert [(call.name, neutral.arguments(call.arguments)) for call in back.tool_calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
        ("clock", {}),
    ]
    assert len({call.id for call in back.tool_calls}) == 3
    assert back.finish == "tool_calls"


EVENTS = [
    Started(id="r1", model="m", created=1),
    TextDelta(delta="Let me look."),
    ToolCallStarted(id="call_1", name="weather", index=1, call=0),
    ToolCallStarted(id="call_2", name="weather", index=2, call=1),
    ArgumentsDelta(delta='{"ci', index=2, call=1),
    ArgumentsDelta(delta='{"city":', index=1, call=0),
    ToolCallStarted(id="call_3", name="clock", index=3, call=2),
    ArgumentsDelta(delta='ty":"Oslo"}', index=2, call=1),
    ArgumentsDelta(delta='"Paris"}', index=1, call=0),
    PartEnded(index=1),
    Finished(finish="tool_calls"),
    UsageReported(usage=Usage(input=10, output=5)),
    Ended(),
]
"""Three calls whose pieces come in turn, the last without arguments."""


@pytest.mark.parametrize("size", [1, 3, len(EVENTS)])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_stream_with_several_calls(dialect, size):
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode(EVENTS[at : at + size]) for at in range(0, len(EVENTS), size))
    back = reply_of(events_of(dialect, every(raw, 7)))
    assert back.text == "Let me look."
    assert {(call.name, neutral.arguments(call.arguments).get("city")) for call in back.tool_calls} == {
        ("weather", "Paris"),
        ("weather", "Oslo"),
        ("clock", None),
    }
    assert len(back.tool_calls) == 3
    assert back.finish == "tool_calls"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_stream_whose_call_was_cut(dialect):
    events = [*EVENTS[:3], EVENTS[5], Finished(finish="length"), *EVENTS[-2:]]
    encoder = dialect.encoder(ASKED)
    back = reply_of(events_of(dialect, [encoder.encode(events)]))
    assert back.finish == "length"
    (call,) = back.tool_calls
    assert "city" in call.arguments
