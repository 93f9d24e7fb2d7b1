"""Tools for a model that has none: what it is told, and how its answer is read."""

import msgspec
import pytest

from trunkline.vocabulary.events import ArgumentsDelta, Ended, Finished, TextDelta, ToolCallStarted
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Image, Source, Text, ToolCall, ToolResult
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar import emulation

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "The weather now", CITY)
ADD = Tool("add", "Add two numbers", {"type": "object", "properties": {"a": {"type": "integer"}}})


def asked(*messages, choice=None, tools=(WEATHER, ADD)):
    talk = messages or (said("user", "Rome?"),)
    return emulation.request(Request(model="m", messages=talk, tools=tools, tool_choice=choice))


def forms(request):
    schema = request.response_format.schema
    return [form["properties"] for form in schema.get("anyOf", [schema])]


def test_the_tools_stand_in_the_system_prompt_and_in_the_schema():
    request = asked(said("system", "Be brief."), said("user", "Rome?"))
    system, *_, question = request.messages
    assert system.text.startswith("Be brief.")
    assert '"name":"get_weather"' in system.text
    assert question.text == "Rome?"
    assert request.tools == ()
    assert [list(form) for form in forms(request)] == [["tool", "arguments"], ["tool", "arguments"], ["tool", "answer"]]
    assert forms(request)[0] == {"tool": {"const": "get_weather"}, "arguments": CITY}


def test_required_leaves_no_way_out():
    request = asked(choice=ToolChoice("required"))
    assert [form["tool"]["const"] for form in forms(request)] == ["get_weather", "add"]
    assert not any('"none"' in message.text for message in request.messages)


def test_a_named_tool_is_the_only_one():
    assert [form["tool"]["const"] for form in forms(asked(choice=ToolChoice("tool", "add")))] == ["add"]


def test_none_asks_for_words():
    request = asked(choice=ToolChoice("none"))
    assert request.response_format is None
    assert request.messages == (said("user", "Rome?"),)


def test_once_a_tool_has_answered_the_model_is_asked_for_words():
    call = ToolCall("c1", "get_weather", '{"city":"Rome"}')
    talk = (said("user", "Rome?"), Message("assistant", (call,)), Message("tool", (ToolResult("c1", (Text("18°"),)),)))
    request = asked(*talk)
    assert request.response_format is None
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1].text == "I looked it up with get_weather. It says: 18°"


def test_only_allowed_tools_are_offered():
    request = asked(choice=ToolChoice("required", allowed=("add",)))
    assert [form["tool"]["const"] for form in forms(request)] == ["add"]


def test_the_answer_has_the_form_that_the_caller_wants():
    city = ResponseFormat(
        "schema", {"type": "object", "properties": {"name": {"$ref": "#/$defs/N"}}, "$defs": {"N": {}}}
    )
    request = emulation.request(
        Request(model="m", messages=(said("user", "Rome?"),), tools=(WEATHER,), response_format=city)
    )
    assert forms(request)[-1]["answer"] == {"type": "object", "properties": {"name": {}}}
    assert not any('"answer": "' in message.text for message in request.messages)
    assert reply('{"tool": "none", "answer": {"name": "Rome"}}').text == '{"name":"Rome"}'


def test_definitions_that_refer_to_themselves_stand_at_the_top():
    leaf = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Leaf"}}}
    grow = Tool(
        "grow", None, {"type": "object", "properties": {"at": {"$ref": "#/$defs/Leaf"}}, "$defs": {"Leaf": leaf}}
    )
    schema = asked(tools=(grow,)).response_format.schema
    assert schema["$defs"] == {"Leaf": leaf}
    assert "$defs" not in schema["anyOf"][0]["properties"]["arguments"]


def test_what_was_asked_for_in_words_is_read_as_words():
    """A form of the caller's own, once a tool has answered, is not taken for one of ours."""
    call = ToolCall("c1", "get_weather", "{}")
    talk = (said("user", "Rome?"), Message("assistant", (call,)), Message("tool", (ToolResult("c1", (Text("18°"),)),)))
    form = ResponseFormat("schema", {"type": "object", "properties": {"answer": {"type": "string"}}})
    request = Request(model="m", messages=talk, tools=(WEATHER,), response_format=form)
    told = emulation.tools_by_schema(request, Facts(model="m"))
    assert (told.request.response_format, told.reading) == (form, None)


def test_a_result_that_failed_says_so_and_pictures_are_listed_as_lost():
    call = ToolCall("c1", "get_weather", "{}")
    picture = Image(Source(data="iVBORw0KGgo=", media_type="image/png"))
    result = ToolResult("c1", (Text("no such city"), picture), is_error=True)
    talk = (said("user", "Rome?"), Message("assistant", (call,)), Message("tool", (result,)))
    told = emulation.tools_by_schema(Request(model="m", messages=talk, tools=(WEATHER,)), Facts(model="m"))
    assert told.request.messages[1].text == "I looked it up with get_weather. That failed: no such city"
    assert [loss.row for loss in told.loss] == ["tool_result_media"]


def reply(text, finish="stop"):
    return emulation.reply(Reply(choices=(Choice(said("assistant", text), finish=finish),)))


def test_a_call_is_read_as_a_call():
    answer = reply('{"tool": "get_weather", "arguments": {"city": "Rome"}}')
    (call,) = answer.tool_calls
    assert (call.name, msgspec.json.decode(call.arguments), answer.finish) == (
        "get_weather",
        {"city": "Rome"},
        "tool_calls",
    )


def test_an_answer_is_read_as_words():
    answer = reply('{"tool": "none", "answer": "Hello."}')
    assert (answer.text, answer.tool_calls, answer.finish) == ("Hello.", (), "stop")


@pytest.mark.parametrize("cut", ['{"tool": "get_w', "", "[]", "plain words"])
def test_what_is_no_call_stays_as_it_is(cut):
    answer = reply(cut, finish="length")
    assert (answer.text, answer.tool_calls, answer.finish) == (cut, (), "length")


class Scripted:
    """A decoder that gives the events it was made of."""

    def __init__(self, *batches):
        self.batches = list(batches)

    def feed(self, data):
        return self.batches.pop(0)

    def close(self):
        return self.batches.pop(0)


def test_a_streamed_call_comes_when_it_is_whole():
    words = ['{"tool": "get_wea', 'ther", "arguments": {"city": "Rome"}}']
    inner = Scripted(
        [TextDelta(delta=words[0])], [TextDelta(delta=words[1])], [Finished(finish="stop", word="stop"), Ended()]
    )
    decoder = emulation.decoder(inner)
    assert decoder.feed(b"") == decoder.feed(b"") == []
    started, arguments, finished, ended = decoder.close()
    assert (type(started), started.name) == (ToolCallStarted, "get_weather")
    assert (type(arguments), msgspec.json.decode(arguments.delta)) == (ArgumentsDelta, {"city": "Rome"})
    assert (finished.finish, type(ended)) == ("tool_calls", Ended)
