"""Anthropic Messages, both ways: golden examples of our own making, and the traps of that API."""

from __future__ import annotations

import base64
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace
from streaming import ASKED, bodies, events_of, every, frames, reply_of, until_error

from trunkline.vocabulary.errors import (
    AuthenticationError,
    BudgetError,
    ContextWindowError,
    CutOff,
    InvalidRequestError,
    LimitError,
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
    Cited,
    Ended,
    Finished,
    PartAdded,
    PartEnded,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
    Unknown,
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
from trunkline.wire import anthropic_messages as dialect

NAME = "anthropic_messages"
FACTS = Facts(model="claude")
PDF = base64.b64encode(b"%PDF-1.4").decode()

# --- requests -------------------------------------------------------------------------------------------------------

WIRE = {
    "model": "claude",
    "max_tokens": 3000,
    "system": [
        {"type": "text", "text": "You keep a lighthouse."},
        {"type": "text", "text": "The log so far: …", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on the horizon?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "UklGRg=="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/sea.png"}},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Wind: 6, ü"},
                    "title": "weather",
                    "context": "from the harbour",
                    "citations": {"enabled": True},
                },
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Two ships.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                {"type": "text", "text": "Let me look."},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "ships"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"direction": "north", "zoom": 2.0}},
                {"type": "tool_use", "id": "toolu_2", "name": "listen", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "a mast"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                    ],
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "broken", "is_error": True},
                {"type": "text", "text": "Well?"},
            ],
        },
    ],
    "tools": [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {"direction": {"type": "string"}}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "defer_loading": True,
        },
        {"name": "listen", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u1"},
    "service_tier": "standard_only",
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {
        "effort": "medium",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
        "task_budget": {"type": "tokens", "total": 20000},
    },
    "stream": True,
    "context_management": {"edits": []},
}

REQUEST = Request(
    model="claude",
    messages=(
        Message(
            "system",
            (Text("You keep a lighthouse."), Text("The log so far: …", cache=CacheMark("1h"))),
            dialect=NAME,
        ),
        Message(
            "user",
            (
                Text("What is on the horizon?"),
                Image(Source(data="UklGRg==", media_type="image/webp")),
                Image(Source(url="https://example.com/sea.png")),
                File(
                    Source(data=base64.b64encode("Wind: 6, ü".encode()).decode(), media_type="text/plain"),
                    "weather",
                    extra={"context": "from the harbour", "citations": {"enabled": True}},
                ),
                File(Source(data=PDF, media_type="application/pdf")),
                File(Source(file_id="file_1")),
            ),
            dialect=NAME,
        ),
        Message(
            "assistant",
            (
                Thinking("Two ships.", "c2ln", dialect=NAME),
                Thinking(redacted="b3BhcXVl", dialect=NAME),
                Text("Let me look."),
                Opaque(NAME, WIRE["messages"][1]["content"][3]),
                Opaque(NAME, WIRE["messages"][1]["content"][4]),
                ToolCall("toolu_1", "look", '{"direction":"north","zoom":2.0}'),
                ToolCall("toolu_2", "listen", "{}", extra={"caller": {"type": "direct"}}),
            ),
            dialect=NAME,
        ),
        Message(
            "user",
            (
                ToolResult(
                    "toolu_1",
                    (Text("a mast"), Image(Source(data="iVBORw==", media_type="image/png"))),
                    cache=CacheMark(),
                ),
                ToolResult("toolu_2", (Text("broken"),), is_error=True),
                Text("Well?"),
            ),
            dialect=NAME,
        ),
    ),
    tools=(
        Tool(
            "look",
            "Looks.",
            {"type": "object", "properties": {"direction": {"type": "string"}}},
            True,
            CacheMark(),
            {"defer_loading": True},
        ),
        Tool("listen", parameters={"type": "object"}),
        OpaqueTool(NAME, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}),
    ),
    tool_choice=ToolChoice("auto"),
    response_format=ResponseFormat("schema", {"type": "object"}),
    settings=Settings(
        max_tokens=3000,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        user="u1",
        service_tier="default",
        parallel_tool_calls=False,
        reasoning=Reasoning("medium", adaptive=True, extra={"display": "summarized"}),
    ),
    stream=True,
    extra={"context_management": {"edits": []}, "output_config": {"task_budget": {"type": "tokens", "total": 20000}}},
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


def write(*messages, facts=FACTS, model="claude", **rest):
    written = dialect.request_to_wire(Request(model=model, messages=messages, **rest), facts)
    return written.body, {loss.field: loss.why for loss in written.loss}


def test_the_shortest_request_is_short():
    body, loss = write(said("user", "Hi"))
    assert body == {"model": "claude", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4096}
    assert loss == {}


def test_the_model_is_the_targets():
    assert write(said("user", "Hi"), model="fast")[0]["model"] == "claude"


def test_a_bare_system_prompt_stays_bare():
    wire = {"model": "m", "max_tokens": 1, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    request = dialect.request_from_wire(wire)
    assert request.messages[0] == replace(said("system", "Be brief."), dialect=NAME)
    assert dialect.request_to_wire(request, Facts(model="m")).body == wire


def test_leading_instructions_are_hoisted_as_blocks():
    body, loss = write(
        said("system", "One."), Message("developer", (Text("Two.", cache=CacheMark()),)), said("user", "Hi")
    )
    assert body["system"] == [
        {"type": "text", "text": "One."},
        {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}},
    ]
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    assert loss == {}


def test_instructions_in_mid_conversation_are_said_as_the_user():
    body, loss = write(said("user", "Hi"), said("system", "Be kind."), said("assistant", "Hello"), said("user", "So?"))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Be kind."}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "So?"},
    ]
    assert list(loss) == ["messages[1].role"]


def test_a_caller_of_this_api_may_instruct_in_mid_conversation():
    wire = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."}],
    }
    assert dialect.request_to_wire(dialect.request_from_wire(wire), Facts(model="m")).body == wire


def test_instructions_alone_become_the_conversation():
    body, loss = write(said("system", "Tell a joke."))
    assert body["messages"] == [{"role": "user", "content": "Tell a joke."}]
    assert "system" not in body
    assert loss


def test_the_rows_system_prompt_is_for_those_who_give_none():
    facts = Facts(model="claude", quirks=Quirks(system="Be good."))
    assert write(said("user", "Hi"), facts=facts)[0]["system"] == "Be good."
    assert write(said("system", "Be bad."), said("user", "Hi"), facts=facts)[0]["system"] == "Be bad."


def test_tool_results_and_what_follows_are_one_turn():
    body, loss = write(
        said("user", "Go."),
        Message("assistant", (ToolCall("a", "f"), ToolCall("b", "g", ' {"x": 1}'))),
        Message("tool", (ToolResult("a", (Text("1"),)),)),
        Message("user", (Text("meanwhile"), ToolResult("b"))),
        said("user", "And?"),
    )
    assert body["messages"] == [
        {"role": "user", "content": "Go."},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b"},
                {"type": "text", "text": "meanwhile"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    assert loss == {}


def test_text_that_says_nothing_is_left_out():
    body, loss = write(said("user", "Hi"), said("assistant", ""), said("user", " \n", "So?"))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "So?"}]}
    ]
    assert loss == {}


def test_call_ids_are_made_to_fit_on_both_sides():
    body, _ = write(
        Message("assistant", (ToolCall("functions.look:0", "look"),)),
        Message("tool", (ToolResult("functions.look:0", (Text("sea"),)),)),
    )
    assert body["messages"][0]["content"][0]["id"] == "functions_look_0"
    assert body["messages"][1]["content"][0]["tool_use_id"] == "functions_look_0"


@pytest.mark.parametrize(("arguments", "given"), [("", {}), ("{}", {}), ('{"big": 123456789012345678901}', None)])
def test_arguments_become_an_object(arguments, given):
    body, _ = write(Message("assistant", (ToolCall("a", "f", arguments),)))
    assert body["messages"][0]["content"][0]["input"] == (given or msgspec.json.decode(arguments or "{}"))


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", '"x"', "nope"])
def test_arguments_that_are_no_object_are_kept_in_one(arguments):
    body, _ = write(Message("assistant", (ToolCall("a", "f", arguments),)))
    assert body["messages"][0]["content"][0]["input"] == {"INVALID_JSON": arguments}


def test_reasoning_crosses_to_nobody():
    body, loss = write(
        said("user", "Hi"),
        Message("assistant", (Thinking("hm"), Thinking("hm", "sig", dialect="gemini"), Text("Yes."))),
        said("user", "So?"),
    )
    assert body["messages"][1] == {"role": "assistant", "content": "Yes."}
    assert set(loss) == {"messages[1].content[0]", "messages[1].content[1]", "messages[1].content[1].signature"}


def test_a_signature_without_text_is_reasoning_too():
    block = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    body, loss = write(Message("assistant", (Thinking("", "c2ln", dialect=NAME), Text("Yes."))))
    assert body["messages"][0]["content"][0] == block
    assert loss == {}


def test_an_empty_signature_is_nobodys():
    part = dialect.request_from_wire(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]},
            ],
        }
    ).messages[0]
    assert part.parts == (Thinking("hm"),)


@pytest.mark.parametrize(
    "part",
    [Audio(Source(data="AAAA", media_type="audio/wav")), Opaque("gemini", {"executableCode": {}})],
)
def test_parts_that_cannot_be_said_are_lost(part):
    body, loss = write(Message("user", (Text("Hi"), part)))
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert list(loss) == ["messages[0].content[1]"]


def test_what_another_api_kept_is_lost_when_it_crosses():
    request = Request(
        model="m",
        messages=(
            Message("user", (Text("Hi", extra={"weight": 1}), Image(Source(file_id="file-1")), Text("So?")), "Ada"),
            Message("assistant", (ToolCall("a", "f", extra={"weight": 2}),), extra={"audio": {}}),
        ),
        tools=(Tool("f", extra={"weight": 3}),),
        extra={"modalities": ["text"]},
        dialect="openai_chat",
    )
    written = dialect.request_to_wire(request, FACTS)
    assert "weight" not in str(written.body) and "modalities" not in written.body
    assert {loss.field for loss in written.loss} == {
        "modalities",
        "messages[0].content[0].weight",
        "messages[0].content[1]",
        "messages[0].name",
        "messages[1].audio",
    }


def test_a_refusal_in_the_history_is_text():
    body, _ = write(said("user", "Hi"), Message("assistant", (Refusal("No."),)))
    assert body["messages"][1] == {"role": "assistant", "content": "No."}


def test_a_hint_about_a_picture_is_lost_unless_it_says_nothing():
    image = Source(url="https://example.com/x.png")
    assert write(Message("user", (Image(image, "auto"),)))[1] == {}
    assert list(write(Message("user", (Image(image, "high"),)))[1]) == ["messages[0].content[0].detail"]


def test_a_cited_text_keeps_its_sources():
    source = {"type": "page_location", "document_title": "Log", "cited_text": "…", "start_page_number": 1}
    wire = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": [{"type": "text", "text": "So.", "citations": [source]}]}],
    }
    request = dialect.request_from_wire(wire)
    assert request.messages[0].parts == (Text("So.", (Citation(NAME, source, title="Log", quote="…"),)),)
    assert dialect.request_to_wire(request, Facts(model="m")).body == wire


def test_a_foreign_source_is_lost():
    _, loss = write(Message("assistant", (Text("So.", (Citation("openai_responses", {}),)),)))
    assert list(loss) == ["messages[0].content[0].citations"]


def test_a_document_of_blocks_is_kept_whole():
    block = {"type": "document", "source": {"type": "content", "content": "x"}, "cache_control": {"type": "ephemeral"}}
    wire = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
    request = dialect.request_from_wire(wire)
    assert request.messages[0].parts == (Opaque(NAME, block),)
    assert dialect.request_to_wire(request, Facts(model="m")).body == wire


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("tool", "look"), False, {"type": "tool", "name": "look", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), None, {"type": "none"}),
        (ToolChoice("auto"), True, {"type": "auto", "disable_parallel_tool_use": False}),
    ],
)
def test_tool_choice(choice, parallel, wire):
    settings = Settings(parallel_tool_calls=parallel)
    body, loss = write(said("user", "Hi"), tools=(Tool("look"),), tool_choice=choice, settings=settings)
    assert body["tool_choice"] == wire
    assert loss == {}
    read = dialect.request_from_wire(body)
    assert (read.tool_choice, read.settings.parallel_tool_calls) == (choice, parallel)


def test_one_tool_at_a_time_needs_no_choice():
    settings = Settings(parallel_tool_calls=False)
    body, _ = write(said("user", "Hi"), tools=(Tool("look"),), settings=settings)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in write(said("user", "Hi"), settings=settings)[0]


def test_tools_of_others_are_lost_and_schemas_completed():
    tools = (OpaqueTool("openai_responses", {"type": "web_search"}), Tool("f", parameters={"properties": {}}))
    body, loss = write(said("user", "Hi"), tools=tools)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert list(loss) == ["tools"]


def test_a_strict_schema_is_fitted():
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0},
            "minimum": {"type": "array", "items": {"oneOf": [{"type": "string", "maxLength": 3}]}, "minItems": 1},
            "one": {"enum": [{"minimum": 1}]},
        },
        "additionalProperties": True,
    }
    fitted = {
        "type": "object",
        "properties": {
            "age": {"type": "integer"},
            "minimum": {"type": "array", "items": {"anyOf": [{"type": "string"}]}, "minItems": 1},
            "one": {"enum": [{"minimum": 1}]},
        },
        "additionalProperties": False,
    }
    form = ResponseFormat("schema", schema, "person", strict=True)
    tools = (Tool("strict", parameters=schema, strict=True), Tool("lax", parameters=schema))
    body, loss = write(said("user", "Hi"), response_format=form, tools=tools)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": fitted}}
    assert [tool["input_schema"] for tool in body["tools"]] == [fitted, schema]
    assert set(loss) == {
        f"{where}.{word}"
        for where in ("response_format.schema", "tools.strict")
        for word in ("minimum", "maxLength", "additionalProperties")
    }


def test_json_without_a_schema_is_asked_for_in_words():
    body, loss = write(said("system", "Be brief."), said("user", "Hi"), response_format=ResponseFormat("json"))
    assert body["system"].startswith("Be brief.\n\nAnswer with a single JSON object")
    assert "output_config" not in body
    assert "emulated" in loss["response_format"]
    blocks, _ = write(
        Message("system", (Text("A"), Text("B"))), said("user", "Hi"), response_format=ResponseFormat("json")
    )
    assert [block["text"][:6] for block in blocks["system"]] == ["A", "B", "Answer"]


def test_the_beta_name_of_the_format_is_read():
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = dialect.request_from_wire({"model": "m", "messages": [], "output_format": form})
    assert request.response_format == ResponseFormat("schema", {"type": "object"})
    assert request.extra == {"~beta": True}


@pytest.mark.parametrize(
    ("facts", "settings", "most"),
    [
        (FACTS, Settings(), 4096),
        (FACTS, Settings(max_tokens=7), 7),
        (Facts(model="m", max_output=8192), Settings(), 8192),
        (Facts(model="m", max_output=128_000), Settings(), 20_000),
    ],
)
def test_max_tokens_is_always_said(facts, settings, most):
    assert write(said("user", "Hi"), facts=facts, settings=settings)[0]["max_tokens"] == most


@pytest.mark.parametrize(("given", "sent", "lost"), [(1.7, 1, True), (-1.0, 0, True), (1.0, 1.0, False), (0, 0, False)])
def test_temperature_ends_at_one(given, sent, lost):
    body, loss = write(said("user", "Hi"), settings=Settings(temperature=given))
    assert body["temperature"] == sent
    assert ("temperature" in loss) is lost


def test_temperature_and_top_p_are_one_too_many():
    body, loss = write(said("user", "Hi"), settings=Settings(temperature=0.7, top_p=0.9))
    assert "top_p" not in body and list(loss) == ["top_p"]
    body, loss = write(said("user", "Hi"), settings=Settings(temperature=0.7, top_p=1))
    assert "top_p" not in body and loss == {}
    assert write(said("user", "Hi"), settings=Settings(top_p=0.9))[0]["top_p"] == 0.9


def test_a_model_without_sampling_gets_none():
    facts = Facts(model="m", sampling=False)
    body, loss = write(said("user", "Hi"), facts=facts, settings=Settings(temperature=1, top_p=0.9, top_k=5))
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert set(loss) == {"top_p", "top_k"}


def test_settings_of_other_apis_are_lost():
    settings = Settings(
        seed=1,
        n=2,
        logprobs=True,
        logit_bias={"1": 1},
        frequency_penalty=0.5,
        presence_penalty=0,
        metadata={"a": "b"},
        store=False,
        service_tier="flex",
        stop=("\n", "END"),
    )
    body, loss = write(said("user", "Hi"), settings=settings)
    assert set(body) == {"model", "messages", "max_tokens", "stop_sequences"}
    assert body["stop_sequences"] == ["END"]
    assert set(loss) == {"seed", "n", "logprobs", "logit_bias", "frequency_penalty", "metadata", "service_tier", "stop"}


def test_the_row_has_the_last_word():
    quirks = Quirks(
        drop=frozenset({"service_tier"}), defaults={"anthropic_version": "vertex"}, rename={"model": "name"}
    )
    body, loss = write(
        said("user", "Hi"), facts=Facts(model="m", quirks=quirks), settings=Settings(service_tier="auto")
    )
    assert body["anthropic_version"] == "vertex" and body["name"] == "m" and "service_tier" not in body
    assert list(loss) == ["service_tier"]


THINKS = Facts(model="m", reasoning=True, max_output=64_000)
ADAPTS = Facts(model="m", reasoning=True, adaptive_thinking=True, max_output=128_000)


@pytest.mark.parametrize(
    ("facts", "reasoning", "most", "thinking", "effort", "sent", "lost"),
    [
        (THINKS, Reasoning("low"), None, {"type": "enabled", "budget_tokens": 1024}, None, 20_000, ()),
        (THINKS, Reasoning("high"), None, {"type": "enabled", "budget_tokens": 24_576}, None, 28_672, ()),
        (THINKS, Reasoning("high"), 4000, {"type": "enabled", "budget_tokens": 2000}, None, 4000, ()),
        (THINKS, Reasoning("high"), 100, {"type": "enabled", "budget_tokens": 1024}, None, 1124, ("max_tokens",)),
        (THINKS, Reasoning(budget=5000), 3000, {"type": "enabled", "budget_tokens": 5000}, None, 8000, ("max_tokens",)),
        (THINKS, Reasoning(budget=9), 3000, {"type": "enabled", "budget_tokens": 1024}, None, 3000, ()),
        (THINKS, Reasoning(adaptive=True), None, {"type": "enabled", "budget_tokens": 8192}, None, 20_000, ()),
        (THINKS, Reasoning(off=True), 100, {"type": "disabled"}, None, 100, ()),
        (FACTS, Reasoning(off=True), 100, None, None, 100, ()),
        (Facts(model="m", max_output=1000), Reasoning("low"), None, None, None, 1000, ("reasoning",)),
        (ADAPTS, Reasoning("medium"), 500, {"type": "adaptive"}, "medium", 500, ()),
        (ADAPTS, Reasoning("minimal"), 500, {"type": "adaptive"}, "low", 500, ()),
        (ADAPTS, Reasoning(adaptive=True), 500, {"type": "adaptive"}, None, 500, ()),
        (ADAPTS, Reasoning(budget=2000), 500, {"type": "adaptive"}, "low", 500, ("reasoning.budget",)),
        (ADAPTS, Reasoning("none"), 500, None, "low", 500, ("reasoning",)),
    ],
)
def test_reasoning_of_other_apis(facts, reasoning, most, thinking, effort, sent, lost):
    body, loss = write(said("user", "Hi"), facts=facts, settings=Settings(reasoning=reasoning, max_tokens=most))
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] == sent
    assert tuple(loss) == lost


def test_thinking_narrows_the_other_settings():
    settings = Settings(reasoning=Reasoning("low"), temperature=0.5, top_k=5, top_p=0.5)
    body, loss = write(said("user", "Hi"), facts=THINKS, settings=settings)
    assert not {"temperature", "top_k", "top_p"} & set(body)
    assert set(loss) == {"temperature", "top_k", "top_p"}


@pytest.mark.parametrize(("facts", "effort"), [(THINKS, None), (ADAPTS, "high")])
def test_a_forced_tool_is_called_without_thinking(facts, effort):
    settings = Settings(reasoning=Reasoning("high"))
    body, loss = write(
        said("user", "Hi"), facts=facts, tools=(Tool("f"),), tool_choice=ToolChoice("required"), settings=settings
    )
    assert body["tool_choice"] == {"type": "any"}
    assert "thinking" not in body
    assert body.get("output_config", {}).get("effort") == effort
    assert list(loss) == ["reasoning"]


@pytest.mark.parametrize(
    ("wire", "reasoning"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget=2048)),
        ({"thinking": {"type": "disabled"}}, Reasoning(off=True)),
        ({"thinking": {"type": "between_tools"}}, Reasoning(extra={"type": "between_tools"})),
        ({"output_config": {"effort": "max"}}, Reasoning("max")),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"effort": "low"}},
            Reasoning("low", 2048),
        ),
    ],
)
def test_thinking_is_kept_as_said(wire, reasoning):
    body = {
        "model": "m",
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.2,
        **wire,
    }
    request = dialect.request_from_wire(body)
    assert request.settings.reasoning == reasoning
    for facts in (FACTS, ADAPTS):
        written = dialect.request_to_wire(request, facts)
        assert written.body == {**body, "model": facts.model}
        assert written.loss == ()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        ({"model": "m", "messages": [], "max_tokens": "many"}, "max_tokens"),
        ({"model": "m", "messages": [], "stop_sequences": "END"}, "stop_sequences"),
        ({"model": "m", "messages": [], "metadata": 1}, "metadata"),
        ({"model": "m", "messages": [], "thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"model": "m", "messages": [], "tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"model": "m", "messages": [], "tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"model": "m", "messages": [], "output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
)
def test_a_bad_request_names_the_field(body, field):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


def test_the_callers_own_words_change_in_nothing_but_the_model():
    words = Words(NAME, {"model": msgspec.Raw(b'"alias"'), "messages": msgspec.Raw(b'[ {"x":1e0} ]')})
    body = dialect.words_to_wire(words, FACTS).body
    assert msgspec.json.encode(body) == b'{"model":"claude","messages":[ {"x":1e0} ]}'


# --- replies --------------------------------------------------------------------------------------------------------

REPLY_WIRE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]},
        {
            "type": "text",
            "text": "High tide.",
            "citations": [{"type": "web_search_result_location", "url": "https://example.com", "title": "Tides"}],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "ring", "input": {"times": 3}, "caller": {"type": "direct"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 40,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens": 25,
        "output_tokens_details": {"thinking_tokens": 5},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "priority",
    },
    "container": {"id": "container_1"},
}

REPLY = Reply(
    id="msg_1",
    model="claude-x",
    choices=(
        Choice(
            Message(
                "assistant",
                (
                    Thinking("Hm.", "c2ln", dialect=NAME),
                    Thinking(redacted="b3BhcXVl", dialect=NAME),
                    Opaque(NAME, REPLY_WIRE["content"][2]),
                    Opaque(NAME, REPLY_WIRE["content"][3]),
                    Text(
                        "High tide.",
                        (Citation(NAME, REPLY_WIRE["content"][4]["citations"][0], "https://example.com", "Tides"),),
                    ),
                    ToolCall("toolu_1", "ring", '{"times":3}', extra={"caller": {"type": "direct"}}),
                ),
                dialect=NAME,
            ),
            finish="tool_calls",
            word="tool_use",
        ),
    ),
    usage=Usage(
        input=10,
        cache_read=40,
        cache_write=20,
        cache_write_1h=10,
        output=20,
        reasoning=5,
        extra={"server_tool_use": {"web_search_requests": 1}},
    ),
    service_tier="priority",
    extra={"container": {"id": "container_1"}},
    dialect=NAME,
)


def test_a_reply_is_read():
    assert dialect.reply_from_wire(REPLY_WIRE) == REPLY


def test_a_reply_is_written_as_it_was_read():
    assert dialect.reply_to_wire(REPLY) == REPLY_WIRE


def test_a_glance_sees_usage_and_finish():
    assert dialect.glance(msgspec.json.encode(REPLY_WIRE)) == Seen(REPLY.usage, "tool_calls", REPLY.service_tier)
    assert dialect.glance(b"<html>") == Seen()
    assert dialect.glance(b'{"type":"error"}') == Seen()


FINISHES = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("tool_use", "tool_calls"),
    ("stop_sequence", "stop_sequence"),
    ("refusal", "refusal"),
    ("pause_turn", "pause"),
    ("model_context_window_exceeded", "context_window"),
    ("something_new", "something_new"),
    (None, None),
]


@pytest.mark.parametrize(("word", "finish"), FINISHES)
def test_why_it_ended(word, finish):
    body = {"content": [], "stop_reason": word, "stop_sequence": "END" if word == "stop_sequence" else None}
    reply = dialect.reply_from_wire(body)
    assert (reply.finish, reply.choices[0].word) == (finish, word)
    assert reply.choices[0].stop_sequence == body["stop_sequence"]
    assert dialect.reply_to_wire(reply)["stop_reason"] == word


def test_details_of_a_refusal_survive():
    details = {"type": "refusal", "category": "bio"}
    body = {"id": "m", "content": [], "stop_reason": "refusal", "stop_details": details, "container": None}
    reply = dialect.reply_from_wire(body)
    assert reply.choices[0].extra == {"stop_details": details} and reply.extra == {}
    assert dialect.reply_to_wire(reply)["stop_details"] == details


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, Usage(input=1, output=2)),
        (
            {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": None, "cache_read_input_tokens": 0},
            Usage(input=1, output=2),
        ),
        # the total counts every round of a server tool, the breakdown only the last
        (
            {"cache_creation_input_tokens": 50, "cache_creation": {"ephemeral_5m_input_tokens": 20}},
            Usage(cache_write=50, extra={"~cache_creation": {"ephemeral_5m_input_tokens": 20}}),
        ),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
            Usage(cache_write=2, cache_write_1h=3),
        ),
    ],
)
def test_tokens_are_counted_once(wire, usage):
    assert dialect.reply_from_wire({"content": [], "usage": wire}).usage == usage


def test_a_compaction_is_billed_beside_the_totals():
    rounds = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 50, "cache_read_input_tokens": 7},
        {"type": "message", "input_tokens": 10, "output_tokens": 5},
    ]
    wire = {"input_tokens": 10, "output_tokens": 5, "iterations": rounds}
    usage = dialect.reply_from_wire({"content": [], "usage": wire}).usage
    assert (usage.input, usage.output, usage.cache_read) == (1010, 55, 7)
    again = dialect.reply_to_wire(Reply(usage=usage, dialect=NAME))["usage"]
    assert (again["input_tokens"], again["output_tokens"], again["iterations"]) == (10, 5, rounds)


def test_an_answer_of_another_api_is_said_in_this_one():
    parts = (
        Thinking("Hm.", extra={"~key": "reasoning"}),
        Text(""),
        Text("Hi", extra={"weight": 1}),
        ToolCall("call_1", "f", '{"x": 1}', extra={"index": 0}),
        Opaque("openai_chat", {"annotation": {}}),
    )
    reply = Reply(
        model="gpt",
        choices=(Choice(Message("assistant", parts), finish="tool_calls"), Choice(said("assistant", "other"), index=1)),
        usage=Usage(input=5, cache_read=3, output=2, reasoning=1, input_audio=1, extra={"x": 1}),
        service_tier="default",
        extra={"system_fingerprint": "fp"},
        dialect="openai_chat",
    )
    wire = dialect.reply_to_wire(reply)
    assert wire.pop("id").startswith("msg_")
    assert wire == {
        "type": "message",
        "role": "assistant",
        "model": "gpt",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"thinking_tokens": 1},
            "service_tier": "standard",
        },
    }


@pytest.mark.parametrize(
    ("parts", "finish", "word"),
    [
        ((Text("Hi"),), "stop", "end_turn"),
        ((Refusal("No."),), "stop", "refusal"),
        ((Text("Hi"),), "content_filter", "refusal"),
        ((Text("Hi"),), "length", "max_tokens"),
        ((), None, None),
    ],
)
def test_the_word_tells_a_refusal(parts, finish, word):
    wire = dialect.reply_to_wire(Reply(choices=(Choice(Message("assistant", parts), finish=finish),)))
    assert wire["stop_reason"] == word
    assert [block["type"] for block in wire["content"]] == ["text"] * len(parts)


def test_a_call_that_was_cut_is_not_lost():
    parts = (ToolCall("a", "f", '{"x": "un'),)
    wire = dialect.reply_to_wire(Reply(choices=(Choice(Message("assistant", parts), finish="length"),)))
    assert wire["content"][0]["input"] == {"INVALID_JSON": '{"x": "un'}


def test_an_answer_without_content_is_no_answer():
    with pytest.raises(ResponseParseError, match="no 'content'"):
        dialect.reply_from_wire({"id": "x"})
    with pytest.raises(ResponseParseError, match="content\\[0\\]"):
        dialect.reply_from_wire({"content": ["x"]})


def test_an_error_in_a_200_is_an_error():
    with pytest.raises(OverloadedError) as caught:
        dialect.reply_from_wire({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert caught.value.status == 529


# --- streams --------------------------------------------------------------------------------------------------------

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 99,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
            "output_tokens": 1,
            "service_tier": "priority",
        },
    },
}


def opened(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index, kind, **delta):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def closed(index):
    return {"type": "content_block_stop", "index": index}


STOP = {"type": "message_stop"}
SEARCH = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]}
SOURCE = REPLY_WIRE["content"][4]["citations"][0]

STREAM = (
    START,
    {"type": "ping"},
    opened(0, type="thinking", thinking="", signature=""),
    more(0, "thinking_delta", thinking="H"),
    more(0, "thinking_delta", thinking="m."),
    more(0, "signature_delta", signature="c2ln"),
    closed(0),
    opened(1, type="redacted_thinking", data="b3BhcXVl"),
    closed(1),
    opened(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    more(2, "input_json_delta", partial_json=""),
    more(2, "input_json_delta", partial_json='{"query":'),
    more(2, "input_json_delta", partial_json=' "tide"}'),
    closed(2),
    opened(3, **SEARCH),
    closed(3),
    opened(4, type="text", text="", citations=[]),
    more(4, "text_delta", text="High "),
    {"type": "ping"},
    more(4, "text_delta", text="tide."),
    more(4, "citations_delta", citation=SOURCE),
    closed(4),
    opened(5, type="tool_use", id="toolu_1", name="ring", input={}, caller={"type": "direct"}),
    more(5, "input_json_delta", partial_json=""),
    more(5, "input_json_delta", partial_json='{"tim'),
    more(5, "input_json_delta", partial_json='es":3}'),
    closed(5),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None, "container": {"id": "container_1"}},
        "usage": {
            "input_tokens": None,
            "cache_read_input_tokens": 40,
            "output_tokens": 25,
            "output_tokens_details": {"thinking_tokens": 5},
            "server_tool_use": {"web_search_requests": 1},
        },
    },
    STOP,
)
RAW = frames(*STREAM)


def test_a_stream_is_read():
    events = events_of(dialect, [RAW])
    assert events == [
        Started(id="msg_1", model="claude-x", extra={"service_tier": "priority"}, dialect=NAME),
        UsageReported(usage=Usage(input=10, cache_read=99, cache_write=20, cache_write_1h=10, output=1)),
        ThinkingDelta(delta="H"),
        ThinkingDelta(delta="m."),
        ThinkingSigned(signature="c2ln", dialect=NAME),
        PartEnded(),
        PartAdded(part=Thinking(redacted="b3BhcXVl", dialect=NAME), index=1),
        PartEnded(index=1),
        PartAdded(part=Opaque(NAME, REPLY_WIRE["content"][2]), index=2),
        PartEnded(index=2),
        PartAdded(part=Opaque(NAME, SEARCH), index=3),
        PartEnded(index=3),
        TextDelta(delta="High ", index=4),
        TextDelta(delta="tide.", index=4),
        Cited(citation=Citation(NAME, SOURCE, "https://example.com", "Tides"), index=4),
        PartEnded(index=4),
        ToolCallStarted(id="toolu_1", name="ring", index=5, extra={"caller": {"type": "direct"}}),
        ArgumentsDelta(delta='{"tim', index=5),
        ArgumentsDelta(delta='es":3}', index=5),
        PartEnded(index=5),
        Finished(finish="tool_calls", word="tool_use"),
        UsageReported(usage=REPLY.usage, extra={"container": {"id": "container_1"}}),
        Ended(),
    ]


def test_a_stream_amounts_to_the_whole_reply():
    reply = reply_of(events_of(dialect, [RAW]))
    reply.dialect = NAME
    assert reply == REPLY


@pytest.mark.parametrize("step", [1, 2, 7, 64])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_cuts_and_line_ends_change_nothing(step, end):
    assert events_of(dialect, every(RAW.replace(b"\n", end), step)) == events_of(dialect, [RAW])


def test_event_names_and_blanks_are_not_needed():
    raw = b": hello\n\n" + b"".join(b"data: %b\n\n" % msgspec.json.encode(body) for body in STREAM)
    assert events_of(dialect, [raw.removesuffix(b"\n\n")]) == events_of(dialect, [RAW])


def test_a_later_nought_counts():
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"cache_read_input_tokens": 0}}
    events = events_of(dialect, [frames(START, last, STOP)])
    assert [event.usage.cache_read for event in events if isinstance(event, UsageReported)] == [99, 0]


def test_a_block_may_begin_with_its_words():
    raw = frames(
        START,
        opened(0, type="thinking", thinking="Hm.", signature="c2ln"),
        closed(0),
        opened(1, type="text", text="Hi", citations=[SOURCE]),
        closed(1),
        opened(2, type="tool_use", id="a", name="f", input={"x": 1}),
        closed(2),
        STOP,
    )
    assert reply_of(events_of(dialect, [raw])).message.parts == (
        Thinking("Hm.", "c2ln", dialect=NAME),
        Text("Hi", (Citation(NAME, SOURCE, "https://example.com", "Tides"),)),
        ToolCall("a", "f", '{"x":1}'),
    )


def test_a_call_without_arguments_has_an_empty_object():
    raw = frames(START, opened(0, type="tool_use", id="a", name="f", input={}), closed(0), STOP)
    assert reply_of(events_of(dialect, [raw])).tool_calls == (ToolCall("a", "f", "{}"),)


def test_two_calls_are_counted():
    call = {"type": "tool_use", "name": "f", "input": {}}
    raw = frames(START, opened(0, id="a", **call), closed(0), opened(1, id="b", **call), closed(1), STOP)
    started = [event for event in events_of(dialect, [raw]) if isinstance(event, ToolCallStarted)]
    assert [(event.id, event.index, event.call) for event in started] == [("a", 0, 0), ("b", 1, 1)]


def test_a_block_of_a_new_kind_grows_unseen():
    raw = frames(
        START,
        opened(0, type="compaction", content=None),
        more(0, "compaction_delta", content="So far: "),
        more(0, "compaction_delta", content="nothing."),
        closed(0),
        STOP,
    )
    body = {"type": "compaction", "content": "So far: nothing."}
    assert reply_of(events_of(dialect, [raw])).message.parts == (Opaque(NAME, body),)


def test_unknown_events_are_handed_on():
    news = {"type": "mood", "value": 1}
    assert Unknown(dialect=NAME, body=news) in events_of(dialect, [frames(START, news, STOP)])


@pytest.mark.parametrize("count", range(1, len(STREAM)))
def test_a_stream_without_its_end_is_cut_off(count):
    for raw in (frames(*STREAM[:count]), frames(*STREAM[:count]) + b'data: {"type":"mess'):
        events, error = until_error(dialect, [raw])
        assert isinstance(error, CutOff)
        assert events == events_of(dialect, [RAW])[: len(events)]


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}


@pytest.mark.parametrize("step", [1, 30, 10_000])
def test_an_error_comes_after_what_came_before(step):
    raw = frames(START, opened(0, type="text", text=""), more(0, "text_delta", text="Hi"), OVERLOADED)
    events, error = until_error(dialect, every(raw, step))
    assert reply_of(events).text == "Hi"
    assert isinstance(error, OverloadedError)
    assert (error.status, error.code, error.request_id, error.transient) == (529, "overloaded_error", "req_1", True)


def test_an_error_alone_is_raised_at_once():
    with pytest.raises(RateLimitError):
        dialect.decoder().feed(frames({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}))


@pytest.mark.parametrize("data", [b"{", b"[1]", b"hello"])
def test_an_event_that_is_no_object_is_an_error(data):
    _, error = until_error(dialect, [frames(START, data, STOP)])
    assert isinstance(error, ResponseParseError)


def test_nothing_is_read_after_the_end():
    assert events_of(dialect, [RAW + frames(OVERLOADED)]) == events_of(dialect, [RAW])


# --- written streams ------------------------------------------------------------------------------------------------


def spoken(*events, one_by_one=True):
    encoder = dialect.encoder(ASKED)
    return b"".join(encoder.encode([event]) for event in events) if one_by_one else encoder.encode(list(events))


def grammar(raw):
    """Checks that the frames are what the API promises, and gives them."""
    said = bodies(raw)
    kinds = [body["type"] for body in said]
    assert [line[7:].decode() for line in raw.split(b"\n") if line.startswith(b"event: ")] == kinds
    assert kinds[0] == "message_start" and kinds.count("message_start") == 1
    assert kinds[-2:] == ["message_delta", "message_stop"]
    current, latest = None, -1
    for body in said[1:-2]:
        if body["type"] == "content_block_start":
            assert current is None and body["index"] == latest + 1
            current = latest = body["index"]
        else:
            assert body["index"] == current
            current = None if body["type"] == "content_block_stop" else current
    assert current is None
    return said


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_stream_is_written_as_it_was_read(one_by_one):
    raw = spoken(*events_of(dialect, [RAW]), one_by_one=one_by_one)
    grammar(raw)
    again = reply_of(events_of(dialect, [raw]))
    again.dialect = NAME
    assert again == REPLY


def test_a_stream_of_another_api_is_written():
    raw = spoken(
        Started(id="chatcmpl-1", model="gpt", extra={"service_tier": "default", "system_fingerprint": "fp"}),
        ThinkingDelta(delta="Hm.", index=0, extra={"~key": "reasoning"}),
        TextDelta(delta="Hi", index=1),
        Finished(finish="stop", word="stop"),
        UsageReported(usage=Usage(input=5, output=2)),
        Ended(),
    )
    usage = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 0,
    }
    assert grammar(raw) == [
        {
            "type": "message_start",
            "message": {
                "id": "chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "model": "gpt",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {**usage, "service_tier": "standard"},
            },
        },
        opened(0, type="thinking", thinking="", signature=""),
        more(0, "thinking_delta", thinking="Hm."),
        closed(0),
        opened(1, type="text", text=""),
        more(1, "text_delta", text="Hi"),
        closed(1),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {**usage, "input_tokens": 5, "output_tokens": 2},
        },
        STOP,
    ]


def calls_of(raw):
    return [(call.id, call.arguments) for call in reply_of(events_of(dialect, [raw])).tool_calls]


def started(index, call_id):
    return ToolCallStarted(id=call_id, name="f", index=index, call=index)


def words(index, delta):
    return ArgumentsDelta(delta=delta, index=index, call=index)


END = (Finished(finish="tool_calls"), Ended())


def test_calls_that_grow_at_once_are_said_one_after_the_other():
    raw = spoken(
        started(0, "a"),
        started(1, "b"),
        words(1, '{"y":'),
        words(0, '{"x"'),
        words(1, "2}"),
        started(2, "c"),
        words(0, ":1}"),
        words(2, "{}"),
        *END,
    )
    grammar(raw)
    assert calls_of(raw) == [("a", '{"x":1}'), ("b", '{"y":2}'), ("c", "{}")]


def test_a_complete_call_makes_way_at_once():
    encoder = dialect.encoder(ASKED)
    encoder.encode([started(0, "a"), words(0, '{"x":1}')])
    said = [body["type"] for body in bodies(encoder.encode([started(1, "b")]))]
    assert said == ["content_block_stop", "content_block_start"]


def test_blanks_after_a_complete_call_are_no_second_call():
    raw = spoken(started(0, "a"), words(0, "{}"), started(1, "b"), words(0, " \n"), words(1, "{}"), *END)
    grammar(raw)
    assert calls_of(raw) == [("a", "{}"), ("b", "{}")]


def test_calls_that_never_complete_are_said_at_the_end():
    raw = spoken(started(0, "a"), started(1, "b"), words(1, '{"y'), TextDelta(delta="Hm", index=2), *END)
    grammar(raw)
    assert calls_of(raw) == [("a", "{}"), ("b", '{"y')]
    assert reply_of(events_of(dialect, [raw])).text == "Hm"


def test_text_that_comes_back_opens_a_new_block():
    raw = spoken(TextDelta(delta="a"), started(1, "x"), words(1, "{}"), TextDelta(delta="b"), *END)
    kinds = [body["content_block"]["type"] for body in grammar(raw) if body["type"] == "content_block_start"]
    assert kinds == ["text", "tool_use", "text"]


def test_a_refusal_is_text_with_its_own_end():
    said = grammar(spoken(RefusalDelta(delta="No."), Finished(finish="stop"), Ended()))
    assert said[1]["content_block"]["type"] == "text"
    assert said[-2]["delta"]["stop_reason"] == "refusal"


def test_parts_of_other_apis_are_left_out():
    raw = spoken(
        TextDelta(delta="Hi"),
        TextDelta(delta="other", choice=1),
        ThinkingSigned(signature="x", dialect="gemini", index=1),
        PartAdded(part=Opaque("openai_chat", {"annotation": {}}), index=2),
        Cited(citation=Citation("gemini", {}), index=0),
        Unknown(dialect="gemini", body={}),
        Finished(finish="stop"),
        Finished(finish="length", choice=1),
        Ended(),
    )
    said = grammar(raw)
    assert reply_of(events_of(dialect, [raw])).message.parts == (Text("Hi"),)
    assert said[-2]["delta"]["stop_reason"] == "end_turn"


def test_whole_parts_are_said_whole():
    call = ToolCall("a", "f", '{"x":1}')
    raw = spoken(PartAdded(part=Text("Hi")), PartAdded(part=call, index=1), *END)
    grammar(raw)
    assert reply_of(events_of(dialect, [raw])).message.parts == (Text("Hi"), call)


@pytest.mark.parametrize(
    "events", [(Ended(),), (Started(id="x", model="y"), Ended()), (Finished(finish="stop"), Ended())]
)
def test_an_empty_stream_is_a_message(events):
    said = grammar(spoken(*events))
    assert said[0]["message"]["model"] == ("y" if isinstance(events[0], Started) else "m")
    assert said[0]["message"]["id"]


def test_a_broken_stream_ends_in_an_error():
    encoder = dialect.encoder(ASKED)
    raw = encoder.encode([TextDelta(delta="Hi")]) + dialect.broken(ServiceError("gone", status=502, request_id="r1"))
    events, error = until_error(dialect, [raw])
    assert reply_of(events).text == "Hi"
    assert isinstance(error, ServiceError) and "gone" in error.message and error.request_id == "r1"


def test_why_and_where_it_stopped_is_kept():
    raw = spoken(Finished(finish="stop_sequence", stop_sequence="END"), Ended())
    assert grammar(raw)[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


# --- taps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 50, 100_000])
@pytest.mark.parametrize("raw", [RAW, RAW.replace(b"\n", b"\r\n"), RAW.rstrip(b"\n")])
def test_a_tap_passes_every_byte(raw, step):
    tap = dialect.tap(Words(NAME, {}))
    passed = b"".join(tap.feed(part) for part in every(raw, step)) + tap.close()
    assert passed == raw
    assert (tap.content, tap.ended, tap.finish, tap.usage) == (True, True, "tool_calls", REPLY.usage)


def test_a_tap_sees_the_first_content():
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(frames(START, {"type": "ping"}, opened(0, type="text", text="")))
    assert not tap.content and tap.usage is not None
    tap.feed(frames(more(0, "text_delta", text="H")))
    assert tap.content


def test_a_tap_is_not_fooled_by_text():
    tap = dialect.tap(Words(NAME, {}))
    trap = '{"type":"message_delta"} event: error data: {"type":"message_stop"}'
    tap.feed(
        frames(
            START, opened(0, type="text", text=""), more(0, "text_delta", text="x"), more(0, "text_delta", text=trap)
        )
    )
    assert not tap.ended and tap.finish is None


@pytest.mark.parametrize("step", [1, 30, 10_000])
def test_a_tap_raises_an_error_after_what_came_before(step):
    good = frames(START, opened(0, type="text", text=""), more(0, "text_delta", text="Hi"))
    tap, passed = dialect.tap(Words(NAME, {})), b""
    try:
        for part in every(good + frames(OVERLOADED), step):
            passed += tap.feed(part)
        passed += tap.close()
    except OverloadedError:
        assert passed == good
    else:
        pytest.fail("the error was swallowed")


@pytest.mark.parametrize("rest", [b"", b'event: message_stop\ndata: {"ty'])
def test_a_tap_knows_a_stream_that_was_cut(rest):
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(frames(*STREAM[:-1]) + rest) == frames(*STREAM[:-1])
    with pytest.raises(CutOff):
        tap.close()


# --- errors ---------------------------------------------------------------------------------------------------------


def refused(status, kind, message, headers=None, **inside):
    body = {"type": "error", "error": {"type": kind, "message": message, **inside}, "request_id": "req_body"}
    return dialect.error_from_wire(status, headers or {}, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("status", "kind", "message", "cls"),
    [
        (400, "invalid_request_error", "messages.0: bad", InvalidRequestError),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextWindowError),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", ResourceExhaustedError),
        (401, "authentication_error", "invalid x-api-key", AuthenticationError),
        (402, "billing_error", "There is an issue with your billing", ResourceExhaustedError),
        (403, "permission_error", "not allowed", AuthenticationError),
        (404, "not_found_error", "model: claude-9", ModelError),
        (413, "request_too_large", "Request exceeds the maximum size", InvalidRequestError),
        (429, "rate_limit_error", "too fast", RateLimitError),
        (500, "api_error", "Internal server error", ServiceError),
        (529, "overloaded_error", "Overloaded", OverloadedError),
    ],
)
def test_a_refusal_is_read(status, kind, message, cls):
    error = refused(status, kind, message)
    assert type(error) is cls
    assert (error.status, error.code, error.message, error.dialect) == (status, kind, message, NAME)
    assert error.request_id == "req_body"


def test_a_spent_budget_is_no_rate_limit():
    details = {"error_code": "enforced_spend_limit_reached"}
    error = refused(429, "rate_limit_error", "Your organization has reached its limit.", details=details)
    assert type(error) is ResourceExhaustedError and not error.transient


def test_headers_tell_the_wait_and_the_request():
    headers = {"request-id": "req_head", "retry-after": "12", "anthropic-ratelimit-requests-limit": "50", "date": "x"}
    error = refused(429, "rate_limit_error", "slow", headers)
    assert (error.request_id, error.retry_after) == ("req_head", 12)
    assert set(error.headers) == {"request-id", "retry-after", "anthropic-ratelimit-requests-limit"}


def test_a_page_of_html_is_classified_by_its_status():
    error = dialect.error_from_wire(503, {}, b"<html>sorry</html>")
    assert type(error) is OverloadedError and error.message == "the provider answered 503"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequestError("x", status=422), 400, "invalid_request_error"),
        (ContextWindowError("x"), 400, "invalid_request_error"),
        (InvalidRequestError("x", status=413), 413, "request_too_large"),
        (AuthenticationError("x"), 401, "authentication_error"),
        (AuthenticationError("x", status=403), 403, "permission_error"),
        (BudgetError("x"), 402, "billing_error"),
        (ResourceExhaustedError("x", status=429), 402, "billing_error"),
        (LimitError("x"), 429, "rate_limit_error"),
        (ModelNotRegistered("x"), 404, "not_found_error"),
        (ModelError("x", status=400), 404, "not_found_error"),
        (OverloadedError("x", status=503), 529, "overloaded_error"),
        (CutOff("x"), 502, "api_error"),
        (ServiceError("x", status=500), 500, "api_error"),
    ],
)
def test_a_refusal_is_written(error, status, kind):
    told = dialect.error_to_wire(error)
    body = msgspec.json.decode(told.body)
    assert (told.status, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert "x" in body["error"]["message"]


def test_a_written_refusal_has_its_headers():
    told = dialect.error_to_wire(RateLimitError("slow", retry_after=Decimal("1.6"), request_id="r1"))
    assert told.headers == {"content-type": "application/json", "retry-after": "2", "request-id": "r1"}
    assert msgspec.json.decode(told.body)["request_id"] == "r1"


def test_an_own_refusal_goes_on_as_it_came():
    body = b'{"type": "error", "error": {"type": "new_error", "message": "x", "details": {"a": 1}}}'
    told = dialect.error_to_wire(dialect.error_from_wire(418, {"request-id": "r"}, body))
    assert (told.status, told.body, told.headers["request-id"]) == (418, body, "r")


def test_a_page_of_html_is_put_in_an_envelope():
    told = dialect.error_to_wire(dialect.error_from_wire(502, {}, b"<html>"))
    assert msgspec.json.decode(told.body)["error"]["type"] == "api_error"
