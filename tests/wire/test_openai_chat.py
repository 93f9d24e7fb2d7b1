"""Chat completions, both ways: golden examples of our own making, and the traps of that API and its cousins."""

from __future__ import annotations

import base64

import msgspec
import pytest
from streaming import ASKED, bodies, events_of, every, frames, reply_of, until_error

from trunkline.vocabulary.errors import (
    AuthenticationError,
    BudgetError,
    ContentPolicyError,
    ContextWindowError,
    CutOff,
    InvalidRequestError,
    ModelError,
    ModelNotRegistered,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
)
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Finished,
    PartAdded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
    UsageReported,
)
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import (
    Audio,
    CacheMark,
    Citation,
    File,
    Image,
    Opaque,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import Seen
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.vocabulary.usage import Usage
from trunkline.wire import openai_chat as dialect

NAME = "openai_chat"
FACTS = Facts(model="gpt", quirks=Quirks(developer_role=True))
PDF = base64.b64encode(b"%PDF-1.4").decode()

# --- requests -------------------------------------------------------------------------------------------------------

WIRE = {
    "model": "gpt",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "name": "Ada",
            "content": [
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "video_url", "video_url": {"url": "https://example.com/x.mp4"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{ "far": true }'}},
                {"id": "b", "type": "custom", "custom": {"name": "sing", "input": "la"}},
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "listen", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "c2ln"}},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "a mast"},
        {"role": "tool", "tool_call_id": "c", "name": "listen", "content": "waves"},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "system", "content": "Be kind."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": True},
        },
        {"type": "custom", "custom": {"name": "sing"}},
        {"type": "function", "function": {"name": "listen", "parameters": {"type": "object"}, "x": 1}, "y": 2},
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer_1", "schema": {"type": "object"}, "strict": True, "description": "An answer."},
    },
    "max_tokens": 50,
    "temperature": 1.5,
    "top_p": 0.5,
    "stop": ["END"],
    "seed": 7,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50": -100},
    "user": "u1",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "verbosity": "low",
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "prediction": {"type": "content", "content": "x"},
}

REQUEST = Request(
    model="gpt",
    messages=(
        said("system", "You keep a lighthouse."),
        said("developer", "Be brief."),
        Message(
            "user",
            (
                Text("What is this?", cache=CacheMark("1h")),
                Image(Source(data="iVBORw==", media_type="image/png"), "low"),
                Image(Source(url="https://example.com/x.png")),
                Audio(Source(data="UklGRg==", media_type="audio/wav"), "wav"),
                File(Source(data=PDF, media_type="application/pdf"), "a.pdf"),
                File(Source(file_id="file-1")),
                Opaque(NAME, WIRE["messages"][2]["content"][6]),
            ),
            name="Ada",
            dialect=NAME,
        ),
        Message(
            "assistant",
            (
                Text("Let me look."),
                ToolCall("a", "look", '{ "far": true }'),
                Opaque(NAME, {"tool_call": WIRE["messages"][3]["tool_calls"][1]}),
                ToolCall("c", "listen", "{}", "c2ln", "gemini"),
            ),
            dialect=NAME,
        ),
        Message("tool", (ToolResult("a", (Text("a mast"),)),), dialect=NAME),
        Message("tool", (ToolResult("c", (Text("waves"),), name="listen"),), dialect=NAME),
        Message("assistant", (Refusal("No."),), dialect=NAME),
        said("system", "Be kind."),
    ),
    tools=(
        Tool("look", "Looks.", {"type": "object"}, True),
        OpaqueTool(NAME, {"type": "custom", "custom": {"name": "sing"}}),
        Tool("listen", parameters={"type": "object"}, extra={"function": {"x": 1}, "y": 2}),
    ),
    tool_choice=ToolChoice("tool", "look"),
    response_format=ResponseFormat("schema", {"type": "object"}, "answer_1", "An answer.", True),
    settings=Settings(
        max_tokens=50,
        temperature=1.5,
        top_p=0.5,
        stop=("END",),
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        n=2,
        logprobs=True,
        top_logprobs=3,
        logit_bias={"50": -100},
        user="u1",
        metadata={"a": "b"},
        service_tier="flex",
        parallel_tool_calls=False,
        reasoning=Reasoning("low"),
        verbosity="low",
        store=True,
    ),
    stream=True,
    include_usage=True,
    extra={"prediction": {"type": "content", "content": "x"}},
    dialect=NAME,
)


def test_a_request_is_read():
    assert dialect.request_from_wire(WIRE) == REQUEST


def test_a_request_is_written_as_it_was_read():
    written = dialect.request_to_wire(REQUEST, FACTS)
    assert written.body == WIRE
    assert written.loss == ()


def test_reading_leaves_the_body_as_it_was():
    before = msgspec.json.encode(WIRE)
    dialect.request_to_wire(dialect.request_from_wire(WIRE), FACTS)
    assert msgspec.json.encode(WIRE) == before


def write(*messages, facts=FACTS, **rest):
    written = dialect.request_to_wire(Request(model="any", messages=messages, **rest), facts)
    return written.body, {loss.field: loss.why for loss in written.loss}


def read(**body):
    return dialect.request_from_wire({"model": "m", "messages": [], **body})


def test_the_shortest_request_is_short():
    assert write(said("user", "Hi")) == ({"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}, {})


def test_the_newer_name_of_max_tokens_wins():
    assert read(max_tokens=1, max_completion_tokens=2).settings.max_tokens == 2
    settings = Settings(max_tokens=5)
    newer = Facts(model="m", quirks=Quirks(max_completion_tokens=True))
    assert write(said("user", "Hi"), facts=newer, settings=settings)[0]["max_completion_tokens"] == 5


def test_a_model_without_sampling_gets_none():
    settings = Settings(max_tokens=5, temperature=0.5, seed=1, logprobs=True)
    body, loss = write(said("user", "Hi"), facts=Facts(model="o", sampling=False), settings=settings)
    assert set(body) == {"model", "messages", "max_completion_tokens", "seed"}
    assert set(loss) == {"temperature", "logprobs"}


def test_a_null_is_as_good_as_absent():
    request = read(temperature=None, stop=None, tools=None, tool_choice=None, response_format=None, stream=None)
    assert request == Request(model="m", messages=(), dialect=NAME)


def test_stop_may_be_one_text():
    assert read(stop="END").settings.stop == ("END",)


@pytest.mark.parametrize("role", ["developer", "system"])
def test_a_developer_is_the_system_where_nobody_knows_him(role):
    facts = Facts(model="m", quirks=Quirks(developer_role=role == "developer"))
    assert write(said("developer", "Be brief."), facts=facts)[0]["messages"][0]["role"] == role


def test_the_rows_system_prompt_is_for_those_who_give_none():
    facts = Facts(model="m", quirks=Quirks(system="Be good."))
    messages = write(said("user", "Hi"), facts=facts)[0]["messages"]
    assert messages[0] == {"role": "system", "content": "Be good."}
    assert len(write(said("developer", "Hm"), said("user", "Hi"), facts=facts)[0]["messages"]) == 2


def test_tool_results_are_messages_of_their_own():
    body, loss = write(
        Message("user", (ToolResult("a", (Text("1"), Text("2"))), ToolResult("b", ()), Text("And?"))),
    )
    assert body["messages"] == [
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}],
        },
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "And?"},
    ]
    assert loss == {}


def test_what_a_tool_result_cannot_say_is_lost():
    image = Image(Source(data="iVBORw==", media_type="image/png"))
    body, loss = write(Message("tool", (ToolResult("a", (Text("1"), image), is_error=True),)))
    assert body["messages"] == [{"role": "tool", "tool_call_id": "a", "content": "1"}]
    assert set(loss) == {"messages[0].content[0]", "messages[0].content[0].is_error"}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("reasoning", {"role": "assistant", "content": "Yes.", "reasoning": "Hm."}),
        (
            "content",
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Yes."},
                ],
            },
        ),
        (None, {"role": "assistant", "content": "Yes."}),
    ],
)
def test_reasoning_goes_back_where_the_row_says(key, message):
    facts = Facts(model="m", quirks=Quirks(reasoning_key=key))
    body, loss = write(Message("assistant", (Thinking("Hm."), Text("Yes."))), facts=facts)
    assert body["messages"] == [message]
    assert bool(loss) is (key is None)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_visible_reasoning_is_read_where_servers_put_it(key):
    message = dialect.reply_from_wire({"choices": [{"message": {"content": "Yes.", key: "Hm."}}]}).message
    assert (message.thinking, message.text, message.extra) == ("Hm.", "Yes.", {})


def test_parts_that_cannot_be_said_are_lost():
    parts = (Text("Hi"), Image(Source(file_id="file_1")), Opaque("anthropic_messages", {}))
    body, loss = write(Message("user", parts))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "Hi"}]
    assert set(loss) == {"messages[0].content[1]", "messages[0].content[2]"}


def test_a_plain_document_is_said_as_text():
    data = base64.b64encode("Wind: 6, ü".encode()).decode()
    body, loss = write(Message("user", (File(Source(data=data, media_type="text/plain"), "weather"),)))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "weather\n\nWind: 6, ü"}]
    assert loss == {}


def test_what_another_api_kept_is_lost_when_it_crosses():
    request = Request(
        model="m",
        messages=(Message("assistant", (ToolCall("a", "f", extra={"caller": {}}),)),),
        tools=(Tool("f", cache=CacheMark(), extra={"defer_loading": True}),),
        settings=Settings(reasoning=Reasoning("max", extra={"display": "omitted"})),
        extra={"container": "c"},
        dialect="anthropic_messages",
    )
    written = dialect.request_to_wire(request, FACTS)
    assert written.body == {
        "model": "gpt",
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            }
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        "reasoning_effort": "xhigh",
    }
    assert {loss.field for loss in written.loss} == {
        "container",
        "reasoning.display",
        "messages[0].content[0].caller",
        "tools.f.defer_loading",
        "tools.f.cache_control",
    }


def test_cache_marks_go_where_they_are_understood():
    message = Message("user", (Text("Hi", cache=CacheMark()),))
    body, loss = write(message, Message("assistant", (ToolCall("a", "f", extra={"x": 1}),)))
    assert body["messages"][0] == {"role": "user", "content": "Hi"}
    assert body["messages"][1]["tool_calls"][0]["x"] == 1
    assert list(loss) == ["messages[0].content[0].cache_control"]
    body, loss = write(message, facts=Facts(model="m", quirks=Quirks(accepts=frozenset({"cache_control"}))))
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert loss == {}


def test_top_k_goes_where_it_is_understood():
    settings = Settings(top_k=5)
    assert write(said("user", "Hi"), settings=settings)[1] == {"top_k": "the target has no such setting"}
    accepts = Facts(model="m", quirks=Quirks(accepts=frozenset({"top_k"})))
    assert write(said("user", "Hi"), facts=accepts, settings=settings)[0]["top_k"] == 5


def test_the_row_has_the_last_word():
    quirks = Quirks(drop=frozenset({"user"}), rename={"seed": "random_seed"}, defaults={"min_p": 0})
    settings = Settings(user="u", seed=1)
    body, loss = write(said("user", "Hi"), facts=Facts(model="m", quirks=quirks), settings=settings)
    assert body["random_seed"] == 1 and body["min_p"] == 0 and not {"user", "seed"} & set(body)
    assert list(loss) == ["user"]


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", "f")),
    ],
)
def test_tool_choice(wire, choice):
    assert read(tool_choice=wire).tool_choice == choice
    body, _ = write(said("user", "Hi"), tool_choice=choice)
    assert body["tool_choice"] == (wire if wire != "any" else "required")


@pytest.mark.parametrize(
    ("reasoning", "word"),
    [
        (Reasoning("minimal"), "minimal"),
        (Reasoning(off=True), "none"),
        (Reasoning(budget=1024), "low"),
        (Reasoning(budget=8192), "medium"),
        (Reasoning(budget=24_576), "high"),
        (Reasoning(adaptive=True), "medium"),
    ],
)
def test_reasoning_is_an_effort(reasoning, word):
    assert write(said("user", "Hi"), settings=Settings(reasoning=reasoning))[0]["reasoning_effort"] == word


@pytest.mark.parametrize("wire", [{"type": "text"}, {"type": "json_object"}])
def test_forms_of_the_answer(wire):
    form = read(response_format=wire).response_format
    assert write(said("user", "Hi"), response_format=form)[0]["response_format"] == wire


def test_a_stream_is_asked_for_its_usage():
    assert write(said("user", "Hi"), stream=True)[0]["stream_options"] == {"include_usage": True}
    quiet = Facts(model="m", quirks=Quirks(usage_on_request=False))
    assert "stream_options" not in write(said("user", "Hi"), facts=quiet, stream=True)[0]


def test_the_callers_own_words_change_in_nothing_but_the_model():
    fields = {"model": b'"alias"', "messages": b'[ {"x":1e0} ]', "stream": b"true", "stream_options": b'{"a":1}'}
    words = Words(NAME, {key: msgspec.Raw(value) for key, value in fields.items()})
    written = msgspec.json.encode(dialect.words_to_wire(words, FACTS).body)
    assert b'"messages":[ {"x":1e0} ]' in written
    assert msgspec.json.decode(written)["stream_options"] == {"a": 1, "include_usage": True}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": {}}, "messages"),
        ({"model": "m", "messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"model": "m", "messages": [], "temperature": "hot"}, "temperature"),
        ({"model": "m", "messages": [], "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"model": "m", "messages": [], "tool_choice": "maybe"}, "tool_choice"),
        ({"model": "m", "messages": [], "response_format": {"type": "xml"}}, "response_format"),
        ({"model": "m", "messages": [], "stream": "yes"}, "stream"),
    ],
)
def test_a_bad_request_names_the_field(body, field):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


# --- replies --------------------------------------------------------------------------------------------------------

REPLY_WIRE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning_content": "Hm.",
                "content": "High tide.",
                "refusal": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "ring", "arguments": '{"times": 3}'}}
                ],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.com"}}],
            },
            "logprobs": {"content": [{"token": "High", "logprob": -0.1}]},
            "finish_reason": "tool_calls",
            "content_filter_results": {},
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "refusal": "No."},
            "logprobs": None,
            "finish_reason": "stop",
        },
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp",
}

ANNOTATION = REPLY_WIRE["choices"][0]["message"]["annotations"][0]
SOURCE = Citation(NAME, ANNOTATION, "https://example.com")
REPLY = Reply(
    id="chatcmpl-1",
    model="gpt-x",
    created=1,
    choices=(
        Choice(
            Message(
                "assistant",
                (
                    Thinking("Hm.", extra={"~key": "reasoning_content"}),
                    Text("High tide.", (SOURCE,)),
                    ToolCall("a", "ring", '{"times": 3}'),
                ),
                dialect=NAME,
            ),
            finish="tool_calls",
            word="tool_calls",
            logprobs={"content": [{"token": "High", "logprob": -0.1}]},
            extra={"content_filter_results": {}},
        ),
        Choice(Message("assistant", (Refusal("No."),), dialect=NAME), finish="stop", index=1, word="stop"),
    ),
    usage=Usage(input=13, cache_read=5, input_audio=2, output=6, reasoning=4),
    service_tier="default",
    extra={"system_fingerprint": "fp"},
    dialect=NAME,
)


def test_a_reply_is_read():
    assert dialect.reply_from_wire(REPLY_WIRE) == REPLY


def test_a_reply_is_written_as_it_was_read():
    assert dialect.reply_to_wire(REPLY) == REPLY_WIRE


def test_a_glance_sees_usage_and_finish():
    assert dialect.glance(msgspec.json.encode(REPLY_WIRE)) == Seen(REPLY.usage, "tool_calls", REPLY.service_tier)
    assert dialect.glance(b"<html>") == Seen()
    assert dialect.glance(b'{"error":{}}') == Seen()


@pytest.mark.parametrize(
    ("word", "calls", "finish"),
    [
        ("stop", [], "stop"),
        ("length", [], "length"),
        ("content_filter", [], "content_filter"),
        ("function_call", [], "tool_calls"),
        ("stop", [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}], "tool_calls"),
        ("eos", [], "stop"),
        ("", [], None),
        (None, [], None),
    ],
)
def test_why_it_ended(word, calls, finish):
    body = {"choices": [{"message": {"content": "x", "tool_calls": calls}, "finish_reason": word}]}
    reply = dialect.reply_from_wire(body)
    assert reply.finish == finish
    assert [call.arguments for call in reply.tool_calls] == ['{"x":1}'] * len(calls)


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(input=5, output=2)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None}, Usage(input=5)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}},
            Usage(input=2, cache_read=3, cache_write=4),
        ),
        # some servers count reasoning beside the completion: the total tells
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            Usage(input=5, output=2, reasoning=10, extra={"~beside": ["reasoning"]}),
        ),
        # others the tokens that they read from a cache, or those of sound
        (
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 7}},
            Usage(input=5, cache_read=7, extra={"~beside": ["cached"]}),
        ),
        (
            {"prompt_tokens": 5, "num_cached_tokens": 3},
            Usage(input=2, cache_read=3, extra={"~cached": "num_cached_tokens"}),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens_details": {"accepted_prediction_tokens": 2}, "cost": 0.1},
            Usage(input=1, extra={"cost": 0.1, "completion_tokens_details": {"accepted_prediction_tokens": 2}}),
        ),
    ],
)
def test_tokens_are_counted_once(wire, usage):
    assert dialect.reply_from_wire({"choices": [{"message": {}}], "usage": wire}).usage == usage


def test_content_in_parts_is_read():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    message = dialect.reply_from_wire({"choices": [{"message": {"content": parts}}]}).message
    assert message.parts == (Thinking("Hm.", extra={"~key": "content"}), Text("Yes."))


def test_keys_of_another_api_stay_there():
    parts = (Text("Hi", extra={"x": 1}), ToolCall("a", "f", extra={"caller": {}}))
    choice = Choice(Message("assistant", parts, extra={"y": 1}), finish="pause", extra={"stop_details": {}})
    wire = dialect.reply_to_wire(Reply(choices=(choice,), extra={"container": {}}, dialect="anthropic_messages"))
    assert wire["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "refusal": None,
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert "container" not in wire


def test_an_answer_without_choices_is_no_answer():
    with pytest.raises(ResponseParseError, match="no 'choices'"):
        dialect.reply_from_wire({"id": "x"})
    with pytest.raises(ResponseParseError, match="cannot be read"):
        dialect.reply_from_wire({"choices": ["x"]})


@pytest.mark.parametrize(
    ("inside", "cls", "status"),
    [
        ({"message": "x", "code": 429}, RateLimitError, 429),
        ({"message": "x", "type": "server_error"}, ServiceError, 500),
        ({"message": "x", "type": "invalid_request_error", "code": "tool_use_failed"}, InvalidRequestError, 400),
        ({"message": "x", "status_code": 503}, OverloadedError, 503),
        ("it broke", ServiceError, 500),
    ],
)
def test_an_error_in_a_200_is_an_error(inside, cls, status):
    with pytest.raises(cls) as caught:
        dialect.reply_from_wire({"error": inside})
    assert type(caught.value) is cls and caught.value.status == status


def test_an_error_that_ends_a_choice_is_an_error():
    said = {"role": "assistant", "content": "Once upon"}
    broken = {"index": 0, "message": said, "finish_reason": "error", "error": {"code": 502, "message": "gone"}}
    for choice in (broken, {**broken, "error": None}):
        with pytest.raises(ServiceError):
            dialect.reply_from_wire({"id": "x", "choices": [choice]})
    body = msgspec.json.encode({"choices": [broken], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert dialect.glance(body) == Seen()


# --- streams --------------------------------------------------------------------------------------------------------


def chunk(*choices, **more):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    return {**head, "choices": list(choices), **more}


def delta(finish=None, index=0, **delta):
    return {"index": index, "delta": delta, "finish_reason": finish}


def call(index, call_id=None, name=None, arguments=None, **more):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    wire = {"index": index, "id": call_id, "function": function, **more}
    return delta(tool_calls=[{key: value for key, value in wire.items() if value is not None}])


DONE = b"[DONE]"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}

STREAM = (
    chunk(delta(role="assistant", content=""), service_tier="default", system_fingerprint="fp"),
    chunk(delta(reasoning="Hm")),
    chunk(delta(reasoning=".")),
    chunk(delta(content="High ")),
    chunk(delta(content="tide.")),
    chunk(call(0, "a", "ring", "", type="function")),
    chunk(call(0, arguments='{"times"')),
    chunk(call(1, "b", "look", '{"far"')),
    chunk(call(0, arguments=":3}")),
    chunk(call(1, arguments=":1}")),
    chunk(delta("tool_calls")),
    chunk(usage=USAGE),
    DONE,
)
RAW = frames(*STREAM)


def test_a_stream_is_read():
    assert events_of(dialect, [RAW]) == [
        Started(
            id="chatcmpl-1",
            model="gpt-x",
            created=1,
            extra={"service_tier": "default", "system_fingerprint": "fp"},
            dialect=NAME,
        ),
        ThinkingDelta(delta="Hm", index=0, extra={"~key": "reasoning"}),
        ThinkingDelta(delta=".", index=0, extra={"~key": "reasoning"}),
        TextDelta(delta="High ", index=1),
        TextDelta(delta="tide.", index=1),
        ToolCallStarted(id="a", name="ring", index=2, call=0),
        ArgumentsDelta(delta='{"times"', index=2, call=0),
        ToolCallStarted(id="b", name="look", index=3, call=1),
        ArgumentsDelta(delta='{"far"', index=3, call=1),
        ArgumentsDelta(delta=":3}", index=2, call=0),
        ArgumentsDelta(delta=":1}", index=3, call=1),
        Finished(finish="tool_calls", word="tool_calls"),
        UsageReported(usage=Usage(input=5, output=2)),
        Ended(),
    ]


def test_a_stream_amounts_to_the_whole_reply():
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-x",
        "service_tier": "default",
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "reasoning": "Hm.",
                    "content": "High tide.",
                    "tool_calls": [
                        {"id": "a", "type": "function", "function": {"name": "ring", "arguments": '{"times":3}'}},
                        {"id": "b", "type": "function", "function": {"name": "look", "arguments": '{"far":1}'}},
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": USAGE,
    }
    assert reply_of(events_of(dialect, [RAW])) == dialect.reply_from_wire(whole)


@pytest.mark.parametrize("step", [1, 2, 7, 64])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_cuts_and_line_ends_change_nothing(step, end):
    assert events_of(dialect, every(RAW.replace(b"\n", end), step)) == events_of(dialect, [RAW])


def test_comments_marks_and_a_missing_blank_line_change_nothing():
    raw = b"\xef\xbb\xbf: PROCESSING\n\n" + RAW.rstrip(b"\n")
    assert events_of(dialect, [raw]) == events_of(dialect, [RAW])


def test_a_first_chunk_without_choices():
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    events = events_of(dialect, [frames(first, *STREAM)])
    assert events[0].extra.pop("prompt_filter_results") == []
    assert events == events_of(dialect, [RAW])


def test_a_chunk_without_a_delta():
    hate, violence = (
        {"index": 0, "content_filter_results": {word: {"filtered": False}}} for word in ("hate", "violence")
    )
    events = events_of(dialect, [frames(STREAM[0], chunk(hate), chunk(violence), *STREAM[1:])])
    judged = reply_of(events).choices[0].extra["content_filter_results"]
    assert judged == {"hate": {"filtered": False}, "violence": {"filtered": False}}
    assert [event for event in events if event.content] == [
        event for event in events_of(dialect, [RAW]) if event.content
    ]


def calls_of(*chunks):
    return [
        (one.id, one.name, one.arguments) for one in reply_of(events_of(dialect, [frames(*chunks, DONE)])).tool_calls
    ]


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        # whole calls at once, all under one index
        ([call(0, "a", "f", "{}"), call(0, "b", "f", "{}"), call(0, "c", "g", "{}")], ["a", "b", "c"]),
        # the id and the name come again with every piece
        ([call(0, "a", "f", "{"), call(0, "a", "f", "}")], ["a"]),
        # no index: what names nothing goes on with the latest
        ([call(None, "a", "f", "{"), call(None, arguments="}"), call(None, "b", "f", "{}")], ["a", "b"]),
        # calls that begin in the middle
        ([call(1, "a", "f", "{}"), call(2, "b", "f", "{}")], ["a", "b"]),
    ],
)
def test_pieces_of_calls_find_their_call(chunks, calls):
    assert calls_of(*map(chunk, chunks)) == [(name, "g" if name == "c" else "f", "{}") for name in calls]


def test_ordinals_of_calls_are_dense():
    chunks = [chunk(call(0, name, "f", "{}")) for name in "abc"] + [chunk(call(7, "d", "f", "{}"))]
    events = events_of(dialect, [frames(*chunks, DONE)])
    assert [event.call for event in events if isinstance(event, ToolCallStarted)] == [0, 1, 2, 3]


def test_arguments_may_come_as_an_object_or_not_at_all():
    odd = chunk(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]))
    assert calls_of(odd) == [("a", "f", '{"x":1}')]
    assert calls_of(chunk(call(0, "a", "f"))) == [("a", "f", "{}")]


def test_a_signed_call_keeps_its_signature():
    signed = {"google": {"thought_signature": "c2ln"}}
    raw = frames(chunk(call(0, "a", "f", "{}", type="function", extra_content=signed)), chunk(delta("stop")), DONE)
    events = events_of(dialect, [raw])
    assert reply_of(events).tool_calls == (ToolCall("a", "f", "{}", "c2ln", "gemini"),)
    assert (
        reply_of(events_of(dialect, [dialect.encoder(ASKED).encode(events)])).tool_calls == reply_of(events).tool_calls
    )


def test_content_in_parts_is_read_from_a_stream():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    raw = frames(chunk(delta(content=[thought])), chunk(delta(content=[{"type": "text", "text": "Yes."}])), DONE)
    assert reply_of(events_of(dialect, [raw])).message.parts == (
        Thinking("Hm.", extra={"~key": "content"}),
        Text("Yes."),
    )


def test_several_choices_keep_apart():
    raw = frames(
        chunk(delta(content="a"), delta(index=1, content="x")),
        chunk(delta(index=1, content="y")),
        chunk(delta(content="b")),
        chunk(delta("length", index=1)),
        chunk(delta("stop")),
        DONE,
    )
    reply = reply_of(events_of(dialect, [raw]))
    assert [(choice.message.text, choice.finish) for choice in reply.choices] == [("ab", "stop"), ("xy", "length")]


def test_refusals_logprobs_and_annotations():
    source = {"type": "url_citation"}
    raw = frames(
        chunk({**delta(content="Hi"), "logprobs": {"content": [{"token": "H"}], "refusal": None}}),
        chunk({**delta(content="!"), "logprobs": {"content": [{"token": "!"}], "refusal": None}}),
        chunk(delta(refusal="No.")),
        chunk(delta("stop", annotations=[source])),
        DONE,
    )
    choice = reply_of(events_of(dialect, [raw])).choices[0]
    assert choice.message.parts == (Text("Hi!", (Citation(NAME, source),)), Refusal("No."))
    assert choice.logprobs == {"content": [{"token": "H"}, {"token": "!"}], "refusal": None}


def test_usage_may_come_with_the_last_choice_and_again():
    again = {**USAGE, "completion_tokens": 0, "total_tokens": 5}
    raw = frames(chunk(delta("stop", content="Hi"), usage=USAGE), chunk(usage=again), DONE)
    assert reply_of(events_of(dialect, [raw])).usage == Usage(input=5)


def test_one_finish_a_choice():
    raw = frames(chunk(delta("stop", content="Hi")), chunk(delta("stop")), DONE)
    assert [type(event).__name__ for event in events_of(dialect, [raw])].count("Finished") == 1


def test_a_server_without_a_terminal_must_have_finished():
    finished = frames(chunk(delta(content="Hi")), chunk(delta("stop")))
    assert events_of(dialect, [finished])[-1] == Ended()
    for raw in (
        b"",
        frames(chunk(delta(content="Hi"))),
        frames(chunk(delta(content="Hi"))) + b'data: {"cho',
        frames(chunk(delta("stop", content="a"), delta(index=1, content="x"))),
    ):
        assert isinstance(until_error(dialect, [raw])[1], CutOff)


BROKEN = {"error": {"message": "Overloaded", "type": "overloaded_error"}}


@pytest.mark.parametrize("step", [1, 30, 10_000])
def test_an_error_comes_after_what_came_before(step):
    events, error = until_error(dialect, every(frames(chunk(delta(content="Hi")), BROKEN), step))
    assert reply_of(events).text == "Hi"
    assert isinstance(error, OverloadedError)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"hello"])
def test_an_event_that_is_no_object_is_an_error(data):
    assert isinstance(until_error(dialect, [frames(chunk(delta(content="Hi")), data, DONE)])[1], ResponseParseError)


# --- written streams ------------------------------------------------------------------------------------------------


def test_a_stream_is_written_as_it_was_read():
    events = events_of(dialect, [RAW])
    encoder = dialect.encoder(ASKED)
    raw = b"".join(encoder.encode([event]) for event in events)
    assert raw == dialect.encoder(ASKED).encode(events)
    again, whole = reply_of(events_of(dialect, [raw])), reply_of(events)
    assert (again.choices, again.usage, again.id, again.model) == (whole.choices, whole.usage, whole.id, whole.model)


def test_the_grammar_of_a_written_stream():
    events = [
        Started(id="msg_1", model="claude"),
        TextDelta(delta="Hi"),
        PartAdded(part=Opaque("anthropic_messages", {}), index=1),
        RefusalDelta(delta="No.", index=2),
        Finished(finish="refusal", word="refusal"),
        UsageReported(usage=Usage(input=5, output=2)),
        Ended(),
    ]
    head = {"id": "msg_1", "object": "chat.completion.chunk", "created": 0, "model": "claude"}
    said = bodies(dialect.encoder(ASKED).encode(events))
    assert said[:3] == [
        {**head, "choices": [delta(role="assistant", content="Hi")]},
        {**head, "choices": [delta(refusal="No.")]},
        {**head, "choices": [delta("stop")]},
    ]
    assert said[3]["choices"] == [] and said[3]["usage"]["total_tokens"] == 7
    assert said[4] == DONE
    unasked = bodies(dialect.encoder(Request(model="m", messages=())).encode(events))
    assert unasked == [*said[:3], DONE]


def test_a_broken_stream_has_no_done():
    encoder = dialect.encoder(ASKED)
    raw = encoder.encode([TextDelta(delta="Hi")]) + dialect.broken(OverloadedError("gone", code="overloaded_error"))
    events, error = until_error(dialect, [raw])
    assert reply_of(events).text == "Hi"
    assert isinstance(error, OverloadedError)
    assert DONE not in raw


# --- taps -----------------------------------------------------------------------------------------------------------


def tapped(include_usage):
    options = msgspec.Raw(msgspec.json.encode({"include_usage": include_usage}))
    return dialect.tap(Words(NAME, {"stream_options": options} if include_usage else {}))


@pytest.mark.parametrize("step", [1, 50, 100_000])
@pytest.mark.parametrize("raw", [RAW, RAW.replace(b"\n", b"\r\n"), RAW.rstrip(b"\n")])
def test_a_tap_passes_every_byte(raw, step):
    tap = tapped(True)
    assert b"".join(tap.feed(part) for part in every(raw, step)) + tap.close() == raw
    assert (tap.content, tap.ended, tap.finish, tap.usage) == (True, True, "tool_calls", Usage(input=5, output=2))


@pytest.mark.parametrize("step", [1, 50, 100_000])
def test_a_tap_keeps_back_the_usage_that_nobody_asked_for(step):
    tap = tapped(False)
    passed = b"".join(tap.feed(part) for part in every(RAW, step)) + tap.close()
    assert passed == frames(*STREAM[:-2], DONE)
    assert tap.usage == Usage(input=5, output=2)


def test_a_tap_is_not_fooled_by_text():
    tap = tapped(True)
    tap.feed(frames(chunk(delta(content="Hi")), chunk(delta(content='"finish_reason":"stop" [DONE] "error":{"x":1}'))))
    assert not tap.ended and tap.finish is None


def test_the_finish_of_a_tap_is_the_first_choices():
    tap = tapped(True)
    tap.feed(frames(chunk(delta(content="Hi")), chunk(delta("stop")), chunk(delta("length", index=1))))
    assert tap.finish == "stop"


@pytest.mark.parametrize("step", [1, 30, 10_000])
def test_a_tap_raises_an_error_after_what_came_before(step):
    good = frames(chunk(delta(content="Hi")))
    tap, passed = tapped(True), b""
    try:
        for part in every(good + frames(BROKEN), step):
            passed += tap.feed(part)
        passed += tap.close()
    except OverloadedError:
        assert passed == good
    else:
        pytest.fail("the error was swallowed")


@pytest.mark.parametrize("rest", [b"", b'data: {"choi'])
def test_a_tap_knows_a_stream_that_was_cut(rest):
    tap = tapped(True)
    tap.feed(frames(*STREAM[:-3]) + rest)
    with pytest.raises(CutOff):
        tap.close()


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "inside", "cls"),
    [
        (400, {"message": "bad", "type": "invalid_request_error"}, InvalidRequestError),
        (400, {"message": "x", "code": "context_length_exceeded"}, ContextWindowError),
        (400, {"message": "maximum context length is 8192 tokens"}, ContextWindowError),
        (400, {"message": "x", "code": "content_filter"}, ContentPolicyError),
        (401, {"message": "Incorrect API key provided"}, AuthenticationError),
        (402, {"message": "Insufficient Balance"}, ResourceExhaustedError),
        (404, {"message": "x", "code": "model_not_found"}, ModelError),
        (422, {"message": "x"}, InvalidRequestError),
        (429, {"message": "x", "code": "rate_limit_exceeded"}, RateLimitError),
        (429, {"message": "x", "code": "insufficient_quota"}, ResourceExhaustedError),
        (429, {"message": "x", "code": 429}, RateLimitError),
        (500, {"message": "x"}, ServiceError),
        (503, {"message": "x"}, OverloadedError),
    ],
)
def test_a_refusal_is_read(status, inside, cls):
    error = dialect.error_from_wire(status, {"x-request-id": "r1"}, msgspec.json.encode({"error": inside}))
    assert type(error) is cls
    assert (error.status, error.message, error.request_id) == (status, inside["message"], "r1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model not loaded"}', "model not loaded"),
        (b'{"detail":"Not allowed"}', "Not allowed"),
        (b'{"detail":[{"loc":["body"],"msg":"field required"}]}', '[{"loc":["body"],"msg":"field required"}]'),
        (b'{"object":"error","message":"bad"}', "bad"),
        (b'[{"error":{"message":"listed"}}]', "listed"),
        (b"upstream timed out", "upstream timed out"),
        (b"<html>oops</html>", "the provider answered 418"),
        (b"", "the provider answered 418"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_cousins_of_the_envelope(body, message):
    assert dialect.error_from_wire(418, {}, body).message == message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "12", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert dialect.error_from_wire(429, headers, b"{}").retry_after == seconds


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequestError("x", param="n", code="invalid_value"), 400, "invalid_request_error", "invalid_value"),
        (AuthenticationError("x"), 401, "authentication_error", None),
        (BudgetError("x"), 402, "insufficient_quota", None),
        (RateLimitError("x"), 429, "rate_limit_error", None),
        (ModelNotRegistered("x"), 404, "invalid_request_error", "model_not_found"),
        (OverloadedError("x", status=529), 529, "server_error", None),
        (CutOff("x"), 502, "server_error", None),
    ],
)
def test_a_refusal_is_written(error, status, kind, code):
    told = dialect.error_to_wire(error)
    inside = msgspec.json.decode(told.body)["error"]
    assert (told.status, inside["type"], inside["code"], inside["param"]) == (status, kind, code, error.param)


def test_an_own_refusal_goes_on_as_it_came():
    body = b'{"error": {"message": "x", "type": "new", "extra": 1}}'
    told = dialect.error_to_wire(dialect.error_from_wire(418, {"x-request-id": "r", "retry-after": "3"}, body))
    assert (told.status, told.body) == (418, body)
    assert told.headers["x-request-id"] == "r" and told.headers["retry-after"] == "3"
