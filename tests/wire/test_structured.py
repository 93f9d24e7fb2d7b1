"""Structured output where nobody holds the model to a form: what is asked instead, and how the answer is read back."""

import socket
import sys
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Finished,
    PartEnded,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
)
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Refusal, Text, Thinking, ToolCall
from trunkline.vocabulary.replies import Accumulator, Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire import (
    anthropic_messages,
    gemini,
    openai_chat,
    openai_completions,
    openai_responses,
)
from trunkline.wire.grammar import structured
from trunkline.wire.grammar.structured import bare, complaint, emulated, mending, misfit
from trunkline.wire.registry import CHAT

CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"leaves": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}}},
    "$defs": {"Leaf": {"type": "object", "properties": {"leaf": {"$ref": "#/$defs/Leaf"}}}},
}
FORM = ResponseFormat("schema", CITY, "City", "A city.")
JSON = ResponseFormat("json")
KNOWN = Facts(model="m", structured_output=True, tools=True)
UNABLE = Facts(model="m", structured_output=False, tools=True)
SPEECHLESS = Facts(model="m", structured_output=False, tools=False)
WEATHER = Tool("weather", "The weather.", {"type": "object", "properties": {}})


def asked(*messages, form=FORM, **more):
    return Request(model="m", messages=messages or (said("user", "Paris?"),), response_format=form, **more)


# --- the ladder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [KNOWN, Facts(model="m")], ids=["known", "unknown"])
@pytest.mark.parametrize("dialect", [one for one in CHAT if one.says["schema"] != "lost"], ids=lambda one: one.name)
def test_who_can_be_held_to_a_form_is(dialect, facts):
    assert emulated(asked(), dialect, facts) is None


@pytest.mark.parametrize("form", [None, ResponseFormat()])
def test_who_wants_no_form_gets_none(form):
    assert emulated(asked(form=form), openai_completions, SPEECHLESS) is None


def test_a_caller_of_the_targets_own_api_gets_what_he_says():
    assert emulated(asked(dialect="openai_chat"), openai_chat, SPEECHLESS) is None


FORCES = [one for one in CHAT if {"native", "translated"} & {one.says["choice_tool"], one.says["choice_required"]}]


@pytest.mark.parametrize("dialect", FORCES, ids=lambda one: one.name)
def test_a_model_that_cannot_is_made_to_call_a_tool(dialect):
    emulation = emulated(asked(), dialect, UNABLE)
    (tool,) = emulation.request.tools
    assert (tool.name, tool.description, tool.parameters) == ("City", "A city.", CITY)
    assert emulation.request.tool_choice.mode in {"tool", "required"}
    assert emulation.request.response_format is None
    assert emulation.request.messages == asked().messages
    (loss,) = emulation.loss
    assert (loss.field, loss.row, loss.why[:9]) == ("response_format", "schema", "emulated:")
    assert not dialect.request_to_wire(emulation.request, emulation.facts).loss


@pytest.mark.parametrize("dialect", CHAT, ids=lambda one: one.name)
def test_a_model_without_tools_is_asked_in_words(dialect):
    emulation = emulated(asked(said("system", "Be brief."), said("user", "Paris?")), dialect, SPEECHLESS)
    system, words, question = emulation.request.messages
    assert (system.text, words.role, question.text) == ("Be brief.", "system", "Paris?")
    assert msgspec.json.encode(CITY).decode() in words.text
    assert emulation.request.tools == ()
    assert emulation.loss[0].row == "schema"


@pytest.mark.parametrize("schema", [{"type": "array", "items": CITY}, {"anyOf": [CITY, {"type": "null"}]}])
def test_a_form_that_is_no_object_cannot_be_a_tool(schema):
    emulation = emulated(asked(form=ResponseFormat("schema", schema)), openai_chat, UNABLE)
    assert emulation.request.tools == ()
    assert "single JSON value" in emulation.request.messages[0].text


def test_a_form_that_only_refers_to_an_object_is_one():
    schema = {"$ref": "#/$defs/City", "$defs": {"City": CITY}}
    emulation = emulated(asked(form=ResponseFormat("schema", schema)), openai_chat, UNABLE)
    assert emulation.request.tools[0].parameters == CITY


def test_a_schema_that_refers_to_itself_is_a_tool_where_the_api_takes_none_such():
    form = ResponseFormat("schema", TREE)
    assert emulated(asked(form=form), openai_chat, KNOWN) is None
    assert emulated(asked(form=form), gemini, KNOWN) is None
    emulation = emulated(asked(form=form), anthropic_messages, KNOWN)
    assert emulation.request.tools[0].parameters == TREE
    assert emulation.request.tools[0].strict is None


def test_plain_json_is_asked_for_in_words_where_there_is_no_json_mode():
    emulation = emulated(asked(form=JSON), openai_completions, KNOWN)
    assert "single JSON object" in emulation.request.messages[0].text
    assert emulation.loss[0].row == "json"
    assert emulated(asked(form=JSON), openai_chat, SPEECHLESS) is None


def test_the_rows_own_system_prompt_is_not_lost():
    facts = replace(SPEECHLESS, quirks=Quirks(system="You are helpful."))
    first, second, _ = emulated(asked(), openai_chat, facts).request.messages
    assert first.text == "You are helpful."
    assert "JSON" in second.text
    own = emulated(asked(said("system", "Be brief."), said("user", "?")), openai_chat, facts).request.messages
    assert [message.text[:9] for message in own] == ["Be brief.", "Answer wi", "?"]


@pytest.mark.parametrize(
    ("choice", "told", "words"),
    [
        (None, ToolChoice("required"), True),
        (ToolChoice("auto"), ToolChoice("required"), True),
        (ToolChoice("auto", allowed=("weather",)), ToolChoice("required", allowed=("weather", "City")), True),
        (ToolChoice("none"), ToolChoice("tool", "City"), True),
    ],
)
def test_the_callers_tools_stay_beside_the_answers(choice, told, words):
    emulation = emulated(asked(tools=(WEATHER,), tool_choice=choice), openai_chat, UNABLE)
    assert [tool.name for tool in emulation.request.tools] == ["weather", "City"]
    assert emulation.request.tool_choice == told
    assert ("calling the tool `City`" in emulation.request.messages[0].text) is words


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("tool", "weather")])
def test_a_caller_who_wants_a_call_gets_one(choice):
    emulation = emulated(asked(tools=(WEATHER,), tool_choice=choice), openai_chat, UNABLE)
    assert (emulation.request.tools, emulation.request.tool_choice) == ((WEATHER,), choice)


@pytest.mark.parametrize(("effort", "mode"), [("high", "auto"), ("none", "tool")])
def test_a_model_that_is_to_think_is_not_forced(effort, mode):
    settings = Settings(reasoning=Reasoning(effort))
    emulation = emulated(asked(settings=settings), anthropic_messages, UNABLE)
    assert emulation.request.tool_choice.mode == mode
    assert (len(emulation.request.messages) == 2) is (mode == "auto")
    facts = replace(UNABLE, reasoning=True)
    assert "reasoning" not in {loss.field for loss in anthropic_messages.request_to_wire(emulation.request, facts).loss}


@pytest.mark.parametrize(
    ("name", "tools", "expected"),
    [
        (None, (), "answer"),
        (7, (), "7"),
        ("My city!", (), "My_city"),
        ("weather", (WEATHER,), "weather_"),
        ("é", (), "answer"),
    ],
)
def test_the_answers_tool_has_a_name_that_every_api_takes(name, tools, expected):
    emulation = emulated(asked(form=ResponseFormat("schema", CITY, name), tools=tools), openai_chat, UNABLE)
    assert emulation.request.tools[-1].name == expected


# --- reading back -----------------------------------------------------------------------------------------------------

ANSWER = '{"name":"Paris","people":2}'
BY_TOOL = emulated(asked(), openai_chat, UNABLE).reading
IN_WORDS = emulated(asked(), openai_chat, SPEECHLESS).reading


def read(reading, *parts, finish="stop"):
    reply = reading.reply(Reply(choices=(Choice(Message("assistant", parts), finish, word="w"),)))
    return reply.choices[0]


def test_the_forced_call_is_the_answer():
    choice = read(BY_TOOL, Thinking("Hm."), Text("Here:"), ToolCall("c", "City", ANSWER), finish="tool_calls")
    assert choice.message.parts == (Thinking("Hm."), Text(ANSWER))
    assert (choice.finish, choice.word) == ("stop", None)


def test_a_call_that_was_cut_is_an_answer_that_was_cut():
    choice = read(BY_TOOL, ToolCall("c", "City", '{"name":"Pa'), finish="length")
    assert (choice.message.text, choice.finish) == ('{"name":"Pa', "length")


def test_calls_of_the_callers_own_tools_stay_calls():
    calls = (ToolCall("a", "weather", "{}"), ToolCall("b", "City", ANSWER))
    choice = read(BY_TOOL, Text("Let me see."), *calls, finish="tool_calls")
    assert choice.message.parts == (Text("Let me see."), calls[0], Text(ANSWER))
    assert choice.finish == "tool_calls"


def test_of_two_answers_the_first_counts():
    choice = read(BY_TOOL, ToolCall("a", "City", ANSWER), ToolCall("b", "City", "{}"), finish="tool_calls")
    assert (choice.message.text, choice.finish) == (ANSWER, "stop")


def test_a_model_that_answers_in_words_after_all_is_understood():
    assert read(BY_TOOL, Text(f"Sure:\n{ANSWER}")).message.text == ANSWER


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f"```json\n{ANSWER}\n```",
        f"```\n{ANSWER}```",
        f"  \n{ANSWER}\n\n",
        f"{ANSWER}\n\nIs there anything else?",
        f"Here is what you asked for [1]: {ANSWER}. Enjoy!",
        f"In {{braces}} and more:\n```json\n{ANSWER}\n```\nDone.",
        f"An open brace {{ and then {ANSWER}",
    ],
)
def test_fences_and_talk_around_one_value_are_left_out(text):
    assert bare(text, FORM) == ANSWER
    assert read(IN_WORDS, Text(text)).message.text == ANSWER


@pytest.mark.parametrize("text", ["", "No.", "In {nothing} here", "[1, 2", '{"name": "Pa', "{" * 100])
def test_what_holds_no_value_stays_as_it_is(text):
    assert bare(text, FORM) == text


def test_strings_may_hold_anything():
    odd = msgspec.json.encode({"name": '}{"\\" ]` ```', "people": 1}).decode()
    assert bare(f"```json\n{odd}\n``` and {{", FORM) == odd


@pytest.mark.parametrize("schema", [{"type": "array"}, {"anyOf": [{"type": "array"}, CITY]}])
def test_a_list_is_found_where_one_is_wanted(schema):
    assert bare("It is [1, 2].", ResponseFormat("schema", schema)) == "[1, 2]"


# --- streams ----------------------------------------------------------------------------------------------------------


class Scripted:
    """A decoder that gives the events it was made of, one a piece."""

    def __init__(self, events):
        self.events = list(events)

    def feed(self, data):
        return [self.events.pop(0)]

    def close(self):
        return []


def streamed(reading, events):
    decoder = reading.decoder(Scripted(events))
    return [event for _ in events for event in decoder.feed(b"")] + decoder.close()


def test_arguments_come_as_text_as_they_come():
    events = [
        Started(),
        ToolCallStarted(id="c", name="City", index=1),
        ArgumentsDelta(delta='{"name":', index=1),
        ArgumentsDelta(delta='"Paris"}', index=1),
        PartEnded(index=1),
        Finished(finish="tool_calls", word="tool_use"),
        Ended(),
    ]
    decoder = BY_TOOL.decoder(Scripted(events))
    assert [decoder.feed(b"") for _ in events] == [
        [Started()],
        [],
        [TextDelta(delta='{"name":', index=1)],
        [TextDelta(delta='"Paris"}', index=1)],
        [PartEnded(index=1)],
        [Finished(finish="stop")],
        [Ended()],
    ]


def test_text_that_begins_as_the_answer_comes_at_once():
    events = [TextDelta(delta=piece) for piece in ("``", "`json\n", '{"name"', ':"Pa}"', "}\n`", "``")]
    decoder = IN_WORDS.decoder(Scripted(events))
    assert ["".join(event.text for event in decoder.feed(b"")) for _ in events] == [
        "",
        "",
        '{"name"',
        ':"Pa}"',
        "}",
        "",
    ]


def test_strings_may_hold_anything_however_they_are_cut():
    odd = msgspec.json.encode({"name": '\\"}{"\\\\', "people": [{}, "]"]}).decode()
    events = [*(TextDelta(delta=letter) for letter in f"{odd} and {{more}}"), Finished(finish="stop")]
    assert "".join(event.text for event in streamed(IN_WORDS, events)) == odd


def test_talk_is_held_back_until_the_answer_is_found_in_it():
    events = [*(TextDelta(delta=piece) for piece in ("Sure: ", '{"name"', ":1}", " Bye.")), Finished(finish="stop")]
    decoder = IN_WORDS.decoder(Scripted(events))
    *silent, last = [decoder.feed(b"") for _ in events]
    assert silent == [[]] * 4
    assert last == [TextDelta(delta='{"name":1}'), Finished(finish="stop")]


def test_talk_before_a_call_of_the_callers_own_comes_before_it():
    events = [
        TextDelta(delta="Let me see."),
        ToolCallStarted(id="b", name="City", index=1, call=0),
        ToolCallStarted(id="a", name="weather", index=2, call=1),
        ArgumentsDelta(delta="{}", index=2, call=1),
        Finished(finish="tool_calls"),
    ]
    assert [type(event).__name__ for event in streamed(BY_TOOL, events)] == [
        "ToolCallStarted",
        "ArgumentsDelta",
        "TextDelta",
        "Finished",
    ]
    calls = [event.call for event in streamed(BY_TOOL, events) if isinstance(event, ToolCallStarted | ArgumentsDelta)]
    assert calls == [0, 0]
    kept = streamed(BY_TOOL, [events[0], *events[2:]])
    assert kept[0] == events[0]


def test_each_choice_is_read_by_itself():
    events = [
        ToolCallStarted(id="a", name="City"),
        TextDelta(delta="{", choice=1),
        ArgumentsDelta(delta="{}"),
        TextDelta(delta="} Bye.", choice=1),
        Finished(finish="tool_calls"),
        Finished(finish="stop", choice=1),
    ]
    accumulator = Accumulator()
    accumulator.add(streamed(BY_TOOL, events))
    choices = accumulator.reply().choices
    assert [(choice.message.text, choice.finish) for choice in choices] == [("{}", "stop"), ("{}", "stop")]


WORDS = st.lists(st.sampled_from([*'{}[]"\\` \n', "```", "```json\n", '{"name":"é"}', "talk", "[1]"]), max_size=6)
PARTS = st.lists(
    st.one_of(
        WORDS.map("".join).map(Text),
        st.sampled_from([ANSWER, "{}", '{"name":"Pa']).map(lambda text: ToolCall("c1", "City", text)),
        st.just(ToolCall("c2", "weather", '{"at":1}')),
        st.just(Thinking("Hm.")),
    ),
    max_size=5,
)


@given(
    PARTS, st.sampled_from(["stop", "tool_calls", "length"]), st.lists(st.integers(0, 30), max_size=8), st.booleans()
)
def test_a_stream_is_read_as_the_whole_is(parts, finish, cuts, by_tool):
    reading = BY_TOOL if by_tool else IN_WORDS
    events = []
    calls = 0
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            events += (TextDelta(delta=piece, index=index) for piece in cut(part.text, cuts))
        elif isinstance(part, Thinking):
            events.append(ThinkingDelta(delta=part.text, index=index))
        else:
            events.append(ToolCallStarted(id=part.id, name=part.name, index=index, call=calls))
            events += (ArgumentsDelta(delta=piece, index=index, call=calls) for piece in cut(part.arguments, cuts))
            calls += 1
    events += [Finished(finish=finish), Ended()]
    accumulator = Accumulator()
    accumulator.add(streamed(reading, events))
    (streamed_choice,) = accumulator.reply().choices
    whole = read(reading, *parts, finish=finish)
    assert streamed_choice.message.text == whole.message.text
    assert streamed_choice.message.tool_calls == whole.message.tool_calls
    assert streamed_choice.message.thinking == whole.message.thinking
    assert streamed_choice.finish == whole.finish


def cut(text, cuts):
    places = sorted({0, *(place % (len(text) + 1) for place in cuts), len(text)})
    return [text[start:end] for start, end in pairwise(places)]


# --- checking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ANSWER, None),
        ("Paris", "it is no JSON"),
        ("[]", r"$: it is no object"),
        ('{"name":"Paris","people":"secret"}', '$.people: it is not of type "integer"'),
        ('{"name":"Paris"}', '$: "people" is a required property'),
    ],
)
def test_what_does_not_fit_is_said_with_its_place_and_without_its_value(text, why):
    found = misfit(text, FORM)
    assert (found is None) is (why is None)
    if why is not None:
        assert found.startswith(why)
        assert "secret" not in found


def test_places_in_lists_are_counted():
    form = ResponseFormat("schema", {"type": "object", "properties": {"cities": {"type": "array", "items": CITY}}})
    assert misfit('{"cities":[{"name":"Paris","people":2},{"name":1,"people":2}]}', form).startswith("$.cities[1].name")


def test_json_mode_wants_an_object():
    assert misfit("{}", JSON) is None
    assert misfit("[]", JSON) == "$: it is no object"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
        {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}},
        {"type": "object", "properties": {"a": {"type": "strin"}}},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_schema_that_nobody_can_follow_checks_nothing_and_fetches_nothing(schema):
    assert misfit('{"a":1}', ResponseFormat("schema", schema)) is None
    assert misfit("[]", ResponseFormat("schema", schema)) is not None


def test_what_a_schema_refers_to_elsewhere_is_not_fetched(tmp_path):
    """A caller's schema must not make a gateway ask around in its own network, or read its files."""
    file = tmp_path / "text.json"
    file.write_text('{"type":"string"}')
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for address in (f"http://127.0.0.1:{server.getsockname()[1]}/x", file.as_uri()):
            schema = {"type": "object", "properties": {"a": {"$ref": address}}}
            assert misfit('{"a":1}', ResponseFormat("schema", schema)) is None
        with pytest.raises(BlockingIOError):
            server.accept()


def test_without_the_package_only_the_kind_is_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    assert misfit('{"name":1}', FORM) is None
    assert misfit("[]", FORM) == "$: it is no object"
    assert misfit("{", FORM).startswith("it is no JSON")


@pytest.mark.parametrize(
    "choice",
    [
        Choice(said("assistant", "{"), finish="length"),
        Choice(said("assistant", "No."), finish="content_filter"),
        Choice(Message("assistant", (ToolCall("c", "weather"),)), finish="tool_calls"),
        Choice(Message("assistant", (Refusal("No."),)), finish="stop"),
    ],
)
def test_what_is_no_whole_answer_is_not_checked(choice):
    assert complaint(Reply(choices=(choice,)), FORM) is None


def test_a_bad_answer_goes_back_with_what_is_wrong_with_it():
    wrong = complaint(Reply(choices=(Choice(said("assistant", "{}"), finish="stop"),)), FORM)
    question, bad, told = mending(asked(), wrong).messages
    assert (question.text, bad.role, bad.text, told.role) == ("Paris?", "assistant", "{}", "user")
    assert '"name" is a required property' in told.text
    empty = structured.Complaint("", "it is no JSON")
    assert [message.role for message in mending(asked(), empty).messages] == ["user", "user"]


def test_responses_and_chat_say_the_same_tool():
    for dialect in (openai_chat, openai_responses):
        emulation = emulated(asked(), dialect, UNABLE)
        body = dialect.request_to_wire(emulation.request, emulation.facts).body
        assert "City" in msgspec.json.encode(body["tool_choice"]).decode()
