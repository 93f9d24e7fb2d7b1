"""OpenAI's Responses API, both ways: golden examples of our own making, and the traps of that API."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from trunkline.vocabulary.errors import (
    AuthenticationError,
    ContentPolicyError,
    ContextWindowError,
    InvalidRequestError,
    ModelNotRegistered,
    OverloadedError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
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
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.vocabulary.usage import Usage
from trunkline.wire import openai_responses as dialect

NAME = "openai_responses"
FACTS = Facts(model="gpt", quirks=Quirks(developer_role=True))
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

# --- requests -------------------------------------------------------------------------------------------------------

INPUT = [
    {"role": "developer", "content": "Be brief."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "low"},
            {"type": "input_image", "image_url": "https://example.com/sea.png"},
            {"type": "input_image", "file_id": "file_1"},
            {"type": "input_file", "filename": "log.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            {"type": "input_file", "file_data": "JVBERi0="},
            {"type": "input_file", "file_url": "https://example.com/log.pdf"},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "input_hologram", "angle": 3},
        ],
    },
    {
        "type": "reasoning",
        "id": "rs_1",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": "Two "}, {"type": "summary_text", "text": "ships."}],
        "encrypted_content": "gAAA",
    },
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"},
    {
        "type": "reasoning",
        "id": "rs_3",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "In the open."}],
        "encrypted_content": None,
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "commentary",
        "content": [
            {
                "type": "output_text",
                "text": "Let me look.",
                "annotations": [
                    {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 3}
                ],
                "logprobs": [{"token": "Let", "logprob": -0.1, "bytes": [76], "top_logprobs": []}],
            },
            {"type": "refusal", "refusal": "No."},
        ],
    },
    {
        "type": "function_call", "id": "fc_1", "status": "completed",
        "call_id": "call_1", "name": "look", "arguments": '{"city": "Oslo"}',
    },
    {"type": "function_call", "call_id": "call_2", "name": "listen", "arguments": "", "namespace": "sea"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "ships"}},
    {"type": "custom_tool_call", "call_id": "call_3", "name": "shout", "input": "Ahoy"},
    {"type": "custom_tool_call_output", "call_id": "call_3", "output": "…"},
    {"type": "function_call_output", "call_id": "call_1", "output": "a mast"},
    {
        "type": "function_call_output",
        "id": "fco_2",
        "call_id": "call_2",
        "output": [{"type": "input_text", "text": "hear"}, {"type": "input_image", "image_url": "https://e.com/w.png"}],
    },
    {"role": "assistant", "content": "A ship."},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Or two."}]},
    {"role": "system", "content": "Now be kind."},
    {"id": "msg_0"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "gCCC"},
    {"role": "user", "content": [{"type": "input_text", "text": "Well?"}]},
]  # fmt: skip

WIRE = {
    "model": "gpt",
    "instructions": "You keep a lighthouse.",
    "input": INPUT,
    "tools": [
        {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True},
        {"type": "function", "name": "listen", "parameters": {"type": "object"}, "defer_loading": True},
        {"type": "function", "name": "wait"},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "custom", "name": "shout"},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
    "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
    "include": ["message.output_text.logprobs", "reasoning.encrypted_content", "file_search_call.results"],
    "top_logprobs": 3,
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "metadata": {"ship": "Argo"},
    "service_tier": "flex",
    "store": False,
    "user": "u1",
    "safety_identifier": "s1",
    "prompt_cache_key": "k1",
    "stream": True,
    "previous_response_id": "resp_0",
    "truncation": "auto",
    "background": False,
    "max_tool_calls": 4,
    "stream_options": {"include_obfuscation": False},
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
}


def read(**body):
    return dialect.request_from_wire({"model": "gpt", **body})


def items(*read_from):
    return read(input=list(read_from)).messages


def written(body, facts=FACTS):
    return dialect.request_to_wire(dialect.request_from_wire(body), facts)


def ask(*messages, facts=FACTS, **rest):
    out = dialect.request_to_wire(Request(model="m", messages=messages, **rest), facts)
    return out.body, {loss.field: loss.row for loss in out.loss}


def test_a_request_is_written_as_it_was_read():
    out = written(WIRE)
    assert out.body == WIRE
    assert out.loss == ()


def test_reading_leaves_the_body_as_it_was():
    before = msgspec.json.encode(WIRE)
    written(WIRE)
    assert msgspec.json.encode(WIRE) == before


def test_the_settings_are_read():
    request = dialect.request_from_wire(WIRE)
    assert request.settings == Settings(
        max_tokens=500,
        temperature=0.5,
        top_p=0.9,
        logprobs=True,
        top_logprobs=3,
        user="u1",
        metadata={"ship": "Argo"},
        service_tier="flex",
        parallel_tool_calls=False,
        reasoning=Reasoning("high", summary="auto", extra={"context": "all_turns"}),
        verbosity="low",
        store=False,
        prompt_cache_key="k1",
        safety_identifier="s1",
    )
    assert request.tool_choice == ToolChoice("required", allowed=("look",))
    assert request.response_format == ResponseFormat("schema", SCHEMA, "place", strict=True)
    assert request.extra["include"] == ["file_search_call.results"]
    assert {"previous_response_id", "truncation", "max_tool_calls"} < request.extra.keys()
    assert (request.stream, request.dialect) == (True, NAME)


def test_the_tools_are_read():
    look, listen, wait, search, shout = dialect.request_from_wire(WIRE).tools
    assert look == Tool("look", "Looks.", SCHEMA, strict=True)
    assert listen == Tool("listen", parameters={"type": "object"}, extra={"defer_loading": True})
    assert wait.parameters == {"type": "object", "properties": {}}
    assert search == OpaqueTool(NAME, WIRE["tools"][3])
    assert shout == OpaqueTool(NAME, WIRE["tools"][4])


def test_what_the_model_said_is_one_message():
    messages = dialect.request_from_wire(WIRE).messages
    roles = [message.role for message in messages]
    assert roles == [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "system",
        "assistant",
        "user",
    ]
    kinds = [type(part) for part in messages[3].parts]
    assert kinds == [Thinking] * 4 + [Text, Refusal, ToolCall, ToolCall, Opaque, Opaque, Opaque]
    assert messages[6].text == "A ship.Or two."


def test_what_a_user_sends_along_is_read():
    text, *media = dialect.request_from_wire(WIRE).messages[2].parts
    assert (text.text, text.cache) == ("What is this?", CacheMark())
    assert [one.source for one in media[:6]] == [
        Source(data="iVBORw==", media_type="image/png"),
        Source(url="https://example.com/sea.png"),
        Source(file_id="file_1"),
        Source(data="JVBERi0=", media_type="application/pdf"),
        Source(data="JVBERi0="),
        Source(url="https://example.com/log.pdf"),
    ]
    assert (media[0].detail, media[3].name) == ("low", "log.pdf")
    assert media[6] == Audio(Source(data="UklG", media_type="audio/wav"), "wav")
    assert media[7] == Opaque(NAME, {"type": "input_hologram", "angle": 3})


def test_reasoning_is_a_part_for_each_piece_and_each_is_signed():
    one, two, empty, open_ = dialect.request_from_wire(WIRE).messages[3].parts[:4]
    assert [(part.text, part.signature, part.dialect) for part in (one, two, empty, open_)] == [
        ("Two ", "gAAA", NAME),
        ("ships.", "gAAA", NAME),
        ("", "gBBB", NAME),
        ("In the open.", None, None),
    ]


def test_a_call_has_the_id_that_its_result_names():
    message, first, second = dialect.request_from_wire(WIRE).messages[3:6]
    look, listen = message.tool_calls
    assert (look.id, look.arguments) == ("call_1", '{"city": "Oslo"}')
    assert (listen.id, listen.arguments, listen.extra["namespace"]) == ("call_2", "{}", "sea")
    assert (first.parts[0].call_id, first.parts[0].text) == ("call_1", "a mast")
    assert second.parts[0].parts == (Text("hear"), Image(Source(url="https://e.com/w.png")))


def test_sources_are_read():
    citation = dialect.request_from_wire(WIRE).messages[3].parts[4].citations[0]
    assert (citation.url, citation.title, citation.start, citation.end) == ("https://e.com", "E", 0, 3)
    assert citation.body["type"] == "url_citation"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "Hi"},
        {"input": "Hi", "instructions": ""},
        {"input": [{"role": "user", "content": ""}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": ""}]}]},
        {"input": [{"type": "message", "role": "user", "status": "completed", "id": "m", "content": "Hi", "x": 1}]},
        {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]}]},
        {"input": [{"type": "message", "role": "assistant", "content": []}]},
        {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": ""}]}]},
        {"input": [{"type": "reasoning", "summary": [], "format": "x", "content": []}]},
        {
            "input": [
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "a"}],
                    "content": [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}],
                }
            ]
        },
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [], "status": "completed"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": "Hi", "text": {"format": {"type": "text"}}},
        {"input": "Hi", "text": {"format": {"type": "json_object"}}},
        {"input": "Hi", "text": {"format": {"type": "json_schema", "schema": {}, "description": "d"}, "new": 1}},
        {"input": "Hi", "reasoning": {"effort": "none"}},
        {"input": "Hi", "reasoning": {}},
        {"input": "Hi", "include": ["reasoning.encrypted_content"]},
        {"input": "Hi", "tool_choice": "auto"},
        {"input": "Hi", "tool_choice": {"type": "function", "name": "look"}},
        {"input": "Hi", "tool_choice": {"type": "web_search_preview"}},
        {"input": "Hi", "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
        {"previous_response_id": "resp_1", "input": [{"role": "user", "content": "Hi"}]},
    ],
)
def test_ways_of_saying_the_same_come_back_as_they_were(body):
    body = {"model": "gpt", **body}
    assert written(body).body == body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 1}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"type": 3}]}, "input[0].type"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": ["user"], "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "reasoning", "summary": [1]}]}, "input[0].summary[0]"),
        ({"input": "x", "instructions": ["y"]}, "instructions"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "tool_choice": "any"}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"input": "x", "reasoning": "high"}, "reasoning"),
        ({"input": "x", "include": "all"}, "include"),
        ({"input": "x", "max_output_tokens": "many"}, "max_output_tokens"),
        ({"input": "x", "stream": "yes"}, "stream"),
    ],
)
def test_a_mistake_names_its_field(body, param):
    with pytest.raises(InvalidRequestError) as caught:
        read(**body)
    assert caught.value.param == param


@pytest.mark.parametrize("instead", ["previous_response_id", "conversation", "prompt"])
def test_an_input_is_not_needed_beside_what_is_stored(instead):
    assert read(**{instead: "x"}).messages == ()


def test_no_model_no_request():
    with pytest.raises(InvalidRequestError, match="model is missing"):
        dialect.request_from_wire({"input": "Hi"})


# --- requests of others ---------------------------------------------------------------------------------------------


def test_the_shortest_request_is_short():
    assert ask(said("user", "Hi")) == ({"model": "gpt", "input": [{"role": "user", "content": "Hi"}]}, {})


def test_instructions_stay_where_they_are():
    messages = (
        said("system", "One."),
        said("developer", "Two."),
        said("user", "Hi"),
        said("system", "Three."),
        said("user", "So?"),
    )
    body, loss = ask(*messages)
    roles = ["system", "developer", "user", "system", "user"]
    assert [item["role"] for item in body["input"]] == roles and loss == {}
    body, _ = ask(*messages, facts=Facts(model="gpt"))
    assert [item["role"] for item in body["input"]] == [role.replace("developer", "system") for role in roles]


def test_a_rows_system_prompt_is_for_those_who_give_none():
    facts = Facts(model="gpt", quirks=Quirks(system="Be kind."))
    assert ask(said("user", "Hi"), facts=facts)[0]["input"][0] == {"role": "system", "content": "Be kind."}
    assert len(ask(said("system", "Be brief."), said("user", "Hi"), facts=facts)[0]["input"]) == 2


def test_a_conversation_with_tools():
    body, loss = ask(
        said("user", "What is this?", Image(Source(data="iVBORw==", media_type="image/png"), "high")),
        said("assistant", "Look.", ToolCall("a", "look", '{"x":1}'), "And hear.", ToolCall("b", "listen")),
        Message("tool", (ToolResult("a", (Text("sea"),)), ToolResult("b", (Text("1"), Image(Source(url="u")))))),
        Message("user", (Text("And?"),)),
    )
    assert body["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "high"},
            ],
        },
        {"role": "assistant", "content": "Look."},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"x":1}'},
        {"role": "assistant", "content": "And hear."},
        {"type": "function_call", "call_id": "b", "name": "listen", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "sea"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [{"type": "input_text", "text": "1"}, {"type": "input_image", "image_url": "u"}],
        },
        {"role": "user", "content": "And?"},
    ]
    assert loss == {}


def test_several_texts_of_the_model_are_one_message():
    body, _ = ask(said("user", "Hi"), said("assistant", "One. ", "Two.", Refusal("No.")))
    assert body["input"][1] == {
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "One. "},
            {"type": "output_text", "text": "Two."},
            {"type": "refusal", "refusal": "No."},
        ],
    }


def test_documents():
    files = (
        File(Source(data="JVBERi0=", media_type="application/pdf"), "log.pdf"),
        File(Source(data="JVBERi0=", media_type="application/pdf")),
        File(Source(url="https://example.com/a.pdf")),
        File(Source(data="V2luZDogNg==", media_type="text/plain"), "weather"),
    )
    body, loss = ask(said("user", *files))
    assert body["input"][0]["content"] == [
        {"type": "input_file", "filename": "log.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_text", "text": "weather\n\nWind: 6"},
    ]
    assert loss == {}


def test_ids_that_are_too_long_are_shortened_alike():
    long = "x" * 65
    body, _ = ask(
        said("assistant", ToolCall(long, "look"), ToolCall("y" * 64, "look")), Message("tool", (ToolResult(long),))
    )
    call, fits, result = body["input"]
    assert call["call_id"] == result["call_id"] and len(call["call_id"]) <= 64
    assert fits["call_id"] == "y" * 64


def test_tools_that_are_not_strict_are_said_not_to_be():
    body, _ = ask(
        said("user", "Hi"),
        tools=(Tool("a"), Tool("b", parameters=SCHEMA, strict=True), OpaqueTool(None, {"type": "web_search"})),
    )
    assert [tool.get("strict") for tool in body["tools"]] == [False, True, None]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", "look"), {"type": "function", "name": "look"}),
        (
            ToolChoice("auto", allowed=("look",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
        ),
    ],
)
def test_tool_choices(choice, wire):
    assert ask(said("user", "Hi"), tools=(Tool("look"),), tool_choice=choice)[0]["tool_choice"] == wire
    assert "tool_choice" not in ask(said("user", "Hi"), tool_choice=choice)[0]


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat(), {"type": "text"}),
        (ResponseFormat("json"), {"type": "json_object"}),
        (
            ResponseFormat("schema", SCHEMA, description="d", strict=True),
            {"type": "json_schema", "name": "answer", "schema": SCHEMA, "description": "d", "strict": True},
        ),
    ],
)
def test_forms_of_the_answer(form, wire):
    assert ask(said("user", "Hi"), response_format=form)[0]["text"] == {"format": wire}


@pytest.mark.parametrize(
    ("reasoning", "wire"),
    [
        (Reasoning("low"), {"effort": "low"}),
        (Reasoning("max"), {"effort": "xhigh"}),
        (Reasoning(off=True), {"effort": "none"}),
        (Reasoning(budget=1024), {"effort": "low"}),
        (Reasoning(budget=9000), {"effort": "medium"}),
        (Reasoning(budget=30_000), {"effort": "high"}),
        (Reasoning("high", summary="detailed"), {"effort": "high", "summary": "detailed"}),
        (Reasoning(summary="none"), None),
        (Reasoning(adaptive=True), None),
    ],
)
def test_how_hard_to_think(reasoning, wire):
    assert ask(said("user", "Hi"), settings=Settings(reasoning=reasoning))[0].get("reasoning") == wire


def test_a_model_that_does_not_think_is_not_asked_to():
    facts = Facts(model="gpt", reasoning=False)
    body, loss = ask(said("user", "Hi"), facts=facts, settings=Settings(reasoning=Reasoning("low")))
    assert "reasoning" not in body and loss == {"reasoning": "target"}
    assert ask(said("user", "Hi"), facts=facts, settings=Settings(reasoning=Reasoning(off=True)))[1] == {}


def test_a_model_without_sampling_loses_its_settings():
    facts = Facts(model="gpt", sampling=False)
    settings = Settings(temperature=0.5, top_p=0.9, logprobs=True, top_logprobs=2)
    body, loss = ask(said("user", "Hi"), facts=facts, settings=settings)
    assert body == {"model": "gpt", "input": [{"role": "user", "content": "Hi"}]}
    assert loss == dict.fromkeys(["temperature", "top_p", "logprobs", "top_logprobs"], "target")


def test_log_probabilities_are_included():
    body, _ = ask(said("user", "Hi"), settings=Settings(logprobs=True, top_logprobs=2))
    assert (body["include"], body["top_logprobs"]) == (["message.output_text.logprobs"], 2)


def test_fewer_tokens_than_the_api_takes():
    body, loss = ask(said("user", "Hi"), settings=Settings(max_tokens=5))
    assert body["max_output_tokens"] == 16 and loss == {"max_tokens": "range"}


def test_what_the_api_cannot_say_is_lost():
    settings = Settings(stop=("END",), seed=1, top_k=3, n=2, logit_bias={"1": 1}, presence_penalty=1)
    marked = Message("user", (Text("Hi", cache=CacheMark()), Audio(Source(data="UklG"), "wav")), "Ada")
    failed = Message("tool", (ToolResult("a", (Text("x"),), is_error=True),))
    thought = said("assistant", Thinking("Hm.", "c2ln", dialect="anthropic_messages"), "Yes.")
    body, loss = ask(marked, failed, thought, settings=settings)
    assert body["input"] == [
        {"role": "user", "content": "Hi"},
        {"type": "function_call_output", "call_id": "a", "output": "x"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert set(loss.values()) == {
        "stop", "seed", "top_k", "n", "logit_bias", "presence_penalty",
        "cache", "audio", "speaker", "tool_result_error", "signature", "thinking",
    }  # fmt: skip


def test_a_server_that_takes_reasoning_in_the_open_gets_it_so():
    facts = Facts(model="m", quirks=Quirks(reasoning_key="reasoning_content"))
    body, loss = ask(said("assistant", Thinking("Hm."), "Yes."), facts=facts)
    assert body["input"][0] == {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
    }
    assert loss == {}


def test_cache_marks_go_to_those_who_take_them():
    facts = Facts(model="m", quirks=Quirks(accepts=frozenset({"prompt_cache_breakpoint"})))
    body, loss = ask(said("user", Text("Hi", cache=CacheMark())), facts=facts)
    marked = {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert body["input"] == [{"role": "user", "content": [marked]}] and loss == {}


# --- going on with a conversation -----------------------------------------------------------------------------------

THINKS = Facts(model="gpt", reasoning=True, signer="here")


def answered(*output, signer="here"):
    reply = dialect.reply_from_wire({"id": "resp_1", "status": "completed", "output": list(output)})
    reply.signer = signer
    return reply.to_message()


REASONED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
CALLED = {
    "type": "function_call",
    "id": "fc_1",
    "status": "completed",
    "call_id": "c",
    "name": "look",
    "arguments": "{}",
}
SPOKE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
}


def test_an_answer_goes_back_item_for_item():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    body, loss = ask(said("user", "Hi"), answered(REASONED, search, SPOKE, CALLED), facts=THINKS)
    assert body["input"][1:] == [REASONED, search, SPOKE, CALLED] and loss == {}


def test_sources_go_back_to_whom_they_came_from():
    source = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 2}
    spoke = {**SPOKE, "content": [{**SPOKE["content"][0], "annotations": [source]}]}
    body, loss = ask(answered(spoke), facts=THINKS)
    assert body["input"] == [spoke] and loss == {}


def test_reasoning_that_was_not_encrypted_is_left_out_and_nothing_beside_it_is_named():
    shown = {**REASONED, "summary": [{"type": "summary_text", "text": "Hm."}]}
    del shown["encrypted_content"]
    body, loss = ask(answered(shown, SPOKE, CALLED), facts=THINKS)
    assert [item.get("id") for item in body["input"]] == [None, None]
    assert body["input"][0]["phase"] == "final_answer"
    assert set(loss.values()) == {"thinking"}


def test_another_provider_gets_neither_ids_nor_encrypted_reasoning():
    body, loss = ask(answered(REASONED, SPOKE, CALLED, signer="elsewhere"), facts=THINKS)
    assert body["input"] == [
        {"role": "assistant", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
    ]
    assert "signature" in loss.values()


def test_our_library_has_reasoning_come_along_where_a_turn_goes_on():
    tools = (Tool("look"),)
    included = ["reasoning.encrypted_content"]
    assert ask(said("user", "Hi"), facts=THINKS, tools=tools)[0]["include"] == included
    for facts, rest in ((THINKS, {}), (FACTS, {"tools": tools}), (THINKS, {"tools": tools, "dialect": "openai_chat"})):
        assert "include" not in ask(said("user", "Hi"), facts=facts, **rest)[0]
    ours = ask(said("user", "Hi"), facts=THINKS, tools=tools, extra={"include": []})[0]
    assert ours["include"] == []


def test_nothing_is_said_of_storage_unless_the_caller_does():
    assert "store" not in ask(said("user", "Hi"))[0]
    assert ask(said("user", "Hi"), settings=Settings(store=False))[0]["store"] is False


# --- replies --------------------------------------------------------------------------------------------------------

TOKENS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
MORE_TOKENS = [{"token": "!", "logprob": -0.25, "bytes": [33], "top_logprobs": []}]

BODY = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1750000000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be brief.",
    "model": "gpt-5",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm. "}, {"type": "summary_text", "text": "So."}],
            "encrypted_content": "gAAA",
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": TOKENS},
                {"type": "output_text", "text": "!", "annotations": [], "logprobs": MORE_TOKENS},
            ],
        },
        {"type": "message", "id": "msg_2", "role": "assistant", "status": "completed", "content": [
            {"type": "refusal", "refusal": "No more."}
        ]},
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c", "name": "f", "arguments": "{}"},
    ],
    "tools": [],
    "temperature": 1.0,
    "service_tier": "default",
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 130,
    },
}  # fmt: skip


def test_a_reply_is_read():
    reply = dialect.reply_from_wire(BODY)
    assert (reply.id, reply.model, reply.created, reply.service_tier) == ("resp_1", "gpt-5", 1750000000, "default")
    assert (reply.text, reply.finish, reply.choices[0].word) == ("Hi!", "tool_calls", "completed")
    assert (reply.message.thinking, reply.message.refusal) == ("Hm. So.", "No more.")
    assert reply.tool_calls == (ToolCall("c", "f", "{}", extra={"~item": {"id": "fc_1", "status": "completed"}}),)
    assert reply.usage == Usage(input=50, cache_read=40, cache_write=10, output=10, reasoning=20)
    assert reply.choices[0].logprobs == {"content": [*TOKENS, *MORE_TOKENS]}
    assert reply.extra["instructions"] == "Be brief."
    assert reply.message.dialect == NAME


def test_a_reply_is_written_as_it_was_read():
    before = msgspec.json.encode(BODY)
    assert dialect.reply_to_wire(dialect.reply_from_wire(BODY)) == BODY
    assert msgspec.json.encode(BODY) == before


def test_a_glance_tells_the_same():
    reply = dialect.reply_from_wire(BODY)
    assert dialect.glance(msgspec.json.encode(BODY)) == Seen(
        reply.usage, reply.finish, reply.service_tier, ("resp_1", "rs_1")
    )
    assert dialect.glance(b"[]") == Seen()
    assert dialect.glance(msgspec.json.encode({**BODY, "status": "failed"})) == Seen()


def test_a_server_that_leaves_most_keys_out_gets_none_made_up():
    bare = {"object": "response", "id": "r", "output": [SPOKE], "output_text": "Hi"}
    reply = dialect.reply_from_wire(bare)
    assert (reply.finish, reply.usage, reply.created) == ("stop", None, None)
    assert dialect.reply_to_wire(reply) == bare


def replied(status="completed", details=None, output=(SPOKE,), **rest):
    return dialect.reply_from_wire({"status": status, "incomplete_details": details, "output": list(output), **rest})


@pytest.mark.parametrize(
    ("status", "details", "output", "finish"),
    [
        ("completed", None, [SPOKE], "stop"),
        ("completed", None, [CALLED], "tool_calls"),
        ("completed", None, [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}], "tool_calls"),
        ("completed", None, [{"type": "shell_call", "call_id": "s"}], "tool_calls"),
        (
            "completed",
            None,
            [{"type": "shell_call", "call_id": "s"}, {"type": "shell_call_output", "call_id": "s"}],
            "stop",
        ),
        ("completed", None, [{"type": "web_search_call", "id": "w"}], "stop"),
        ("incomplete", {"reason": "max_output_tokens"}, [SPOKE], "length"),
        ("incomplete", {"reason": "content_filter"}, [], "content_filter"),
        ("incomplete", {"reason": "steered"}, [], "steered"),
        ("incomplete", None, [], "length"),
        ("queued", None, [], None),
        ("in_progress", None, [], None),
        ("cancelled", None, [], "cancelled"),
    ],
)
def test_why_an_answer_ended(status, details, output, finish):
    body = {"object": "response", "status": status, "incomplete_details": details, "output": output}
    reply = dialect.reply_from_wire(body)
    assert reply.finish == finish
    assert dialect.reply_to_wire(reply) == body
    assert dialect.glance(msgspec.json.encode(body)).finish == finish


REASONING_4 = {"reasoning_tokens": 4}


@pytest.mark.parametrize(
    ("usage", "buckets"),
    [
        ({"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}, Usage(input=5, output=3)),
        (
            {"input_tokens": 5, "output_tokens": 3, "total_tokens": 12, "output_tokens_details": REASONING_4},
            Usage(input=5, output=3, reasoning=4),
        ),
        (
            {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "output_tokens_details": REASONING_4},
            Usage(input=5, output=3, reasoning=4, extra={"total_tokens": 8}),
        ),
        (
            {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "output_tokens_details": REASONING_4},
            Usage(input=5, output=3, reasoning=4),
        ),
        (
            {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "cost": 0.5, "num_sources_used": 1},
            Usage(input=5, output=3, extra={"cost": 0.5, "num_sources_used": 1}),
        ),
        (
            {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2, "new_tokens": 1}, "total_tokens": 9},
            Usage(input=3, cache_read=2, extra={"input_tokens_details": {"new_tokens": 1}, "total_tokens": 9}),
        ),
        ({"input_tokens": "many", "input_tokens_details": 3}, Usage(extra={})),
    ],
)  # fmt: skip
def test_tokens_are_in_one_bucket_each(usage, buckets):
    assert replied(usage=usage).usage == buckets


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow down"}, RateLimitError),
        ({"code": "server_error", "message": "oops"}, ServiceError),
        ({"code": "invalid_prompt", "message": "no"}, ContentPolicyError),
        ({"code": "image_too_large", "message": "big"}, InvalidRequestError),
        ({"code": "image_content_policy_violation", "message": "no"}, ContentPolicyError),
        ({"code": "bio_policy", "message": "no"}, ContentPolicyError),
        ({"code": "context_length_exceeded", "message": "long"}, ContextWindowError),
        ({"code": 503, "message": "later"}, OverloadedError),
        (None, ServiceError),
    ],
)
def test_an_answer_that_failed_is_an_error(error, kind):
    with pytest.raises(kind) as caught:
        dialect.reply_from_wire({"status": "failed", "error": error, "output": []})
    assert type(caught.value) is kind


def test_an_error_in_a_200_is_an_error():
    with pytest.raises(AuthenticationError, match="bad key"):
        dialect.reply_from_wire({"error": {"message": "bad key", "code": "invalid_api_key"}})


@pytest.mark.parametrize(
    "body", [{}, {"output": 3}, {"output": ["x"]}, {"output": [{"type": "message", "content": 1}]}]
)
def test_nonsense_of_a_provider_is_its_mistake(body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)


# --- replies of others ----------------------------------------------------------------------------------------------


def foreign(*parts, finish="stop", **rest):
    choice = Choice(Message("assistant", parts, dialect="openai_chat"), finish)
    return dialect.reply_to_wire(Reply(id="x-1", model="m", choices=(choice,), dialect="openai_chat", **rest))


def test_another_apis_answer_has_what_the_official_sdk_wants():
    from openai.types.responses import Response
    from pydantic import TypeAdapter

    page = Citation("anthropic_messages", {}, "https://e.com", "E")
    body = foreign(
        Thinking("Hm.", "c2ln", dialect="anthropic_messages"),
        Text("Look.", (page, Citation("anthropic_messages", {}))),
        Refusal("No."),
        ToolCall("a", "look", '{"x":1}', extra={"index": 0}),
        ToolCall("", "look"),
        Opaque("anthropic_messages", {}),
        finish="tool_calls",
        usage=Usage(input=5, cache_read=1, output=2, reasoning=3),
        service_tier="standard",
    )
    response = TypeAdapter(Response).validate_python(body)
    assert (response.output_text, response.status, response.service_tier) == ("Look.", "completed", "default")
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert len({item.id for item in response.output}) == 4
    thought, spoken, call, nameless = body["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}] and "encrypted_content" not in thought
    source = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 5}
    assert spoken["content"] == [
        {"type": "output_text", "text": "Look.", "annotations": [source], "logprobs": []},
        {"type": "refusal", "refusal": "No."},
    ]
    assert (call["call_id"], call["arguments"]) == ("a", '{"x":1}') and "index" not in call
    assert nameless["call_id"] == nameless["id"]
    assert body["usage"]["output_tokens"] == 5 and body["usage"]["output_tokens_details"]["reasoning_tokens"] == 3


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("refusal", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_window", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        (None, "incomplete", None),
    ],
)
def test_why_another_apis_answer_ended(finish, status, reason):
    body = foreign(Text("Hi"), finish=finish)
    assert body["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == reason
    assert body["output"][0]["status"] == ("incomplete" if reason else "completed")


def test_another_apis_log_probabilities_are_those_of_its_text():
    choice = Choice(Message("assistant", (Text("Hi"),)), "stop", logprobs={"content": TOKENS, "refusal": None})
    body = dialect.reply_to_wire(Reply(choices=(choice,), dialect="openai_chat"))
    assert body["output"][0]["content"][0]["logprobs"] == TOKENS
    assert dialect.reply_from_wire(body).choices[0].logprobs == {"content": TOKENS}


def test_the_same_answer_has_the_same_ids():
    assert foreign(Text("Hi")) == foreign(Text("Hi"))


def test_an_answer_without_choices_is_empty():
    assert dialect.reply_to_wire(Reply(id="x"))["output"] == []


def test_what_was_changed_after_reading_is_said_as_it_is_now():
    reply = dialect.reply_from_wire(BODY)
    parts = tuple(
        replace(part, text="[withheld]") if isinstance(part, Text | Thinking) else part for part in reply.message.parts
    )
    reply.choices = (replace(reply.choices[0], message=replace(reply.message, parts=parts)),)
    body = dialect.reply_to_wire(reply)
    assert "Hm." not in str(body) and body["output"][2]["content"][0]["text"] == "[withheld]"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 20ms.", 0.02),
        ("Rate limit reached. Please try again in 1.5s.", 1.5),
        ("Rate limit reached. Please try again in 7m12s.", 432),
        ("Rate limit reached. Please try again in 1h2m.", 3720),
        ("Rate limit reached. Please try again in a moment.", None),
        ("Rate limit reached.", None),
    ],
)
def test_how_long_to_wait_may_be_said_in_words(message, seconds):
    body = msgspec.json.encode({"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}})
    error = dialect.error_from_wire(429, {}, body)
    assert type(error) is RateLimitError and error.retry_after == seconds
    assert dialect.error_from_wire(429, {"retry-after": "3"}, body).retry_after == 3


def test_a_refusal_goes_on_as_it_came():
    body = msgspec.json.encode({"error": {"message": "no", "type": "invalid_request_error", "code": "x"}})
    error = dialect.error_from_wire(400, {"x-request-id": "r1"}, body)
    assert (type(error), error.code, error.request_id) == (InvalidRequestError, "x", "r1")
    told = dialect.error_to_wire(error)
    assert (told.status, told.body, told.headers["x-request-id"]) == (400, body, "r1")


def test_our_own_refusals_are_in_openais_envelope():
    told = dialect.error_to_wire(ModelNotRegistered("no such model"))
    assert told.status == 404
    assert msgspec.json.decode(told.body)["error"]["code"] == "model_not_found"
    assert dialect.error_to_wire(RateLimitError("slow", retry_after=2.2)).headers["retry-after"] == "2"
