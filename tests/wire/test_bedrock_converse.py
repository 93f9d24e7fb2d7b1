"""Bedrock Converse, both ways: golden examples of our own making, the traps of that API, and AWS's own reader."""

from __future__ import annotations

import base64
import re
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from streaming import ASKED, events_of, every, reply_of, until_error

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    ContextWindowError,
    CutOff,
    InvalidRequestError,
    LimitError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Cited,
    Ended,
    Finished,
    PartAdded,
    PartEnded,
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
from trunkline.wire import bedrock_converse as dialect
from trunkline.wire.grammar.eventstream import EventFrames, event_frame

NAME = "bedrock_converse"
CLAUDE = Facts(model="us.anthropic.claude-x-1:0", maker="anthropic", reasoning=True, max_output=8192)
NOVA = Facts(model="amazon.nova-x:0", maker="amazon", reasoning=True)
LLAMA = Facts(model="meta.llama-x:0", maker="meta", reasoning=True)
PROFILE = Facts(model="arn:aws:bedrock:eu-west-1:000000000000:application-inference-profile/abc")
PNG = base64.b64encode(b"\x89PNG").decode()

# --- requests of its own --------------------------------------------------------------------------------------------

WIRE: dict[str, Any] = {
    "system": [
        {"text": "You keep a lighthouse."},
        {"guardContent": {"text": {"text": "Be kind.", "qualifiers": ["query"]}}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "What is on the horizon?"},
                {"image": {"format": "webp", "source": {"bytes": PNG}}},
                {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://sea/x.png", "bucketOwner": "1"}}}},
                {"document": {"format": "pdf", "name": "log", "source": {"bytes": "JVBERg=="}}},
                {
                    "document": {
                        "name": "weather",
                        "source": {"text": "Wind: 6, ü"},
                        "context": "from the harbour",
                        "citations": {"enabled": True},
                    }
                },
                {"document": {"format": "txt", "name": "tide", "source": {"content": [{"text": "a"}, {"text": "b"}]}}},
                {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
                {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
                {"searchResult": {"source": "https://sea.example", "title": "Sea", "content": [{"text": "salt"}]}},
                {"cachePoint": {"type": "default"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Two ships.", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "b3BhcXVl"}},
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "s1", "name": "grounding", "input": {"q": "x"}, "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "s1", "content": [{"text": "[HIDDEN]"}], "type": "grounding_result"}},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"direction": "north", "zoom": 2.0}}},
                {"toolUse": {"toolUseId": "t2", "name": "listen", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t1",
                        "content": [
                            {"text": "a mast"},
                            {"json": {"ships": [1, 2.5, None]}},
                            {"image": {"format": "png", "source": {"bytes": PNG}}},
                            {"searchResult": {"source": "s", "title": "t", "content": [{"text": "found"}]}},
                        ],
                        "status": "success",
                    }
                },
                {"toolResult": {"toolUseId": "t2", "content": [{"text": "no ears"}], "status": "error"}},
                {"text": "So?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {
                    "citationsContent": {
                        "content": [{"text": "Two "}, {"text": "ships."}],
                        "citations": [
                            {
                                "title": "log",
                                "sourceContent": [{"text": "2 ships"}],
                                "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 7}},
                            }
                        ],
                    }
                }
            ],
        },
        {"role": "user", "content": [{"text": "And then?"}]},
        {"role": "user", "content": [{"text": "And after that?"}]},
        {"role": "system", "content": [{"text": "Answer briefly."}]},
    ],
    "inferenceConfig": {"maxTokens": 3000, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"], "news": 1},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "description": "Looks.",
                    "inputSchema": {"json": {"type": "object", "properties": {"direction": {"type": "string"}}}},
                    "strict": True,
                }
            },
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "grounding"}},
        ],
        "toolChoice": {"tool": {"name": "look"}},
    },
    "outputConfig": {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"name": "Ship", "schema": '{"type": "object"}', "description": "One."}},
        },
        "effort": "low",
    },
    "additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2000}, "news": 2},
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    "requestMetadata": {"team": "sea"},
    "serviceTier": {"type": "priority"},
    "performanceConfig": {"latency": "optimized"},
}


def read(**more: Any) -> Request:
    return dialect.request_from_wire({"model": "m", "stream": False, **WIRE, **more})


def written(request: Request, facts: Facts = CLAUDE) -> tuple[dict[str, Any], list[str]]:
    """The body as parsed JSON, and the rows of what was lost."""
    out = dialect.request_to_wire(request, facts)
    body = msgspec.json.decode(msgspec.json.encode(out.body))
    assert fits(body, "ConverseRequest", ("modelId",)) == []
    return body, [loss.row for loss in out.loss]


def asked(*messages: Message, **more: Any) -> Request:
    return Request(model="m", messages=messages or (said("user", "hi"),), **more)


def test_its_own_request_comes_back_as_it_was():
    out = dialect.request_to_wire(read(), CLAUDE)
    assert (out.body, out.loss) == (WIRE, ())


def test_model_and_stream_stand_in_the_address():
    request = read(stream=True)
    assert (request.model, request.stream) == ("m", True)
    raw = {
        key: msgspec.Raw(msgspec.json.encode(value)) for key, value in {**WIRE, "model": "m", "stream": True}.items()
    }
    passed = dialect.words_to_wire(Words(NAME, raw), CLAUDE).body
    assert set(passed) == set(WIRE)
    assert all(passed[key] is raw[key] for key in WIRE)


def test_a_request_is_read_with_nothing_lost():
    request = read()
    system, user, model, results, cited, *_, inside = request.messages
    assert system.parts[0] == Text("You keep a lighthouse.")
    assert (system.parts[1].text, system.parts[1].cache) == ("Be kind.", CacheMark("1h"))
    assert user.parts[1].source == Source(data=PNG, media_type="image/webp")
    assert user.parts[2].source.file_id == "s3://sea/x.png"
    assert user.parts[3] == File(Source(data="JVBERg==", media_type="application/pdf"), "log", extra={"~format": "pdf"})
    assert base64.b64decode(user.parts[4].source.data).decode() == "Wind: 6, ü"
    assert user.parts[4].extra["context"] == "from the harbour"
    assert base64.b64decode(user.parts[5].source.data) == b"ab"
    assert user.parts[6] == Opaque(NAME, WIRE["messages"][0]["content"][6])
    assert user.parts[7] == Audio(Source(data="UklGRg==", media_type="audio/wav"), "wav")
    assert (user.parts[8].text, user.parts[8].cache) == ("salt", CacheMark())
    assert model.parts[0] == Thinking("Two ships.", "c2ln", dialect=NAME)
    assert model.parts[1] == Thinking(redacted="b3BhcXVl", dialect=NAME)
    assert [type(part) for part in model.parts[3:5]] == [Opaque, Opaque]
    assert model.parts[5] == ToolCall("t1", "look", '{"direction":"north","zoom":2.0}')
    first, second, _ = results.parts
    assert [part.text for part in first.parts if isinstance(part, Text)] == [
        "a mast",
        '{"ships":[1,2.5,null]}',
        "found",
    ]
    assert (first.is_error, second.is_error, second.text) == (False, True, "no ears")
    assert cited.parts[0].text == "Two ships."
    assert [(one.title, one.quote) for one in cited.parts[0].citations] == [("log", "2 ships")]
    assert inside.role == "system"
    assert request.tools[0].strict is True and request.tools[0].cache == CacheMark()
    assert request.tools[1] == OpaqueTool(NAME, {"systemTool": {"name": "grounding"}})
    assert request.tool_choice == ToolChoice("tool", "look")
    assert request.response_format == ResponseFormat("schema", {"type": "object"}, "Ship", "One.")
    assert request.settings == Settings(
        max_tokens=3000, temperature=0.5, top_p=0.9, top_k=5, stop=("END",), metadata={"team": "sea"},
        service_tier="priority", reasoning=Reasoning("low", 2000),
    )  # fmt: skip
    assert request.extra["guardrailConfig"] and request.extra["performanceConfig"]


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            Reasoning(adaptive=True, extra={"display": "summarized"}),
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning(off=True)),
        (
            {"reasoning_config": {"type": "enabled", "budget_tokens": 9}},
            Reasoning(budget=9, extra={"~key": "reasoning_config"}),
        ),
        ({"reasoning_config": "high"}, None),
        ({"thinking": {"type": "news"}}, Reasoning(extra={"type": "news"})),
    ],
)  # fmt: skip
def test_thinking_is_read_and_said_again(thinking, reasoning):
    body = {"model": "m", "messages": [], "additionalModelRequestFields": thinking}
    request = dialect.request_from_wire(body)
    assert request.settings.reasoning == reasoning
    assert dialect.request_to_wire(request, CLAUDE).body["additionalModelRequestFields"] == thinking


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": 1}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "assistant", "content": [{"toolUse": {"name": "x"}}]}]},
            "messages[0].content[0].toolUse.toolUseId",
        ),
        (
            {"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]},
            "messages[0].content[0].image.source",
        ),
        ({"system": "hi"}, "system"),
        ({"inferenceConfig": {"maxTokens": "many"}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": []}, None),
        ({"inferenceConfig": [1]}, "inferenceConfig"),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "x"}}]}}, "toolConfig.tools[0].toolSpec.inputSchema"),
        ({"toolConfig": {"toolChoice": "any"}}, "toolConfig.toolChoice"),
        ({"serviceTier": "default"}, "serviceTier"),
        ({"outputConfig": {"textFormat": {"type": "text"}}}, "outputConfig.textFormat"),
        (
            {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}}},
            "outputConfig.textFormat.structure.jsonSchema.schema",
        ),
    ],
)  # fmt: skip
def test_the_field_to_mend_is_named(body, field):
    body = {"model": "m", **body}
    if field is None:
        dialect.request_from_wire(body)
        return
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


# --- requests of others ---------------------------------------------------------------------------------------------


def test_turns_alternate_results_come_first_and_calls_last():
    body, lost = written(
        asked(
            said("system", "Be brief."),
            said("developer", "And kind."),
            said("user", "one", "two"),
            said("assistant", ToolCall("a", "f", '{"x":1}'), ToolCall("b", "f"), "looking"),
            said("tool", ToolResult("a", (Text("1"),))),
            said("tool", ToolResult("b", (Text("boom"),), is_error=True)),
            said("user", " ", "and?"),
            tools=(Tool("f", ""),),
        )
    )
    assert lost == []
    assert body["system"] == [{"text": "Be brief."}, {"text": "And kind."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [next(iter(block)) for block in body["messages"][1]["content"]] == ["text", "toolUse", "toolUse"]
    results = body["messages"][2]["content"]
    assert [next(iter(block)) for block in results] == ["toolResult", "toolResult", "text"]
    assert [block["toolResult"].get("status") for block in results[:2]] == [None, "error"]
    assert "description" not in body["toolConfig"]["tools"][0]["toolSpec"]


def test_a_cache_mark_is_a_block_behind_its_part():
    request = asked(
        Message("system", (Text("rules", cache=CacheMark("1h")),)),
        Message("user", (Text("long", cache=CacheMark()), Text("short"))),
        tools=(Tool("f", cache=CacheMark()),),
    )
    body, lost = written(request)
    assert lost == []
    assert body["system"] == [{"text": "rules"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
    body, lost = written(request, LLAMA)
    assert lost == ["target"]
    assert "cachePoint" not in str(body)
    assert "cachePoint" in str(written(request, PROFILE)[0])


def test_documents_have_fitting_names_of_their_own_and_text_beside_them():
    pdf = Source(data="JVBERg==", media_type="application/pdf")
    body, lost = written(
        asked(said("user", File(pdf, "log.pdf"), File(pdf, "log.pdf"), File(pdf, "two__bad  ü.pdf"), File(pdf)))
    )
    *documents, text = body["messages"][0]["content"]
    names = [block["document"]["name"] for block in documents]
    assert names == ["log", "log 2", "two-bad -", "document"]
    assert all(block["document"]["format"] == "pdf" for block in documents)
    assert text == {"text": "The document is attached."}
    assert lost == ["file_name", "file_name"]


def test_media_goes_along_where_the_api_has_its_format():
    body, lost = written(
        asked(
            said(
                "user",
                Image(Source(data=PNG, media_type="image/jpg")),
                Image(Source(data=PNG, media_type="image/bmp")),
                Image(Source(url="https://sea.example/x.png")),
                Image(Source(file_id="s3://sea/x.gif", media_type="image/gif")),
                Image(Source(file_id="file_1", media_type="image/gif")),
                Audio(Source(data="AAAA"), "mp3"),
                File(Source(data="YQ==", media_type="text/plain; charset=utf-8")),
            )
        )
    )
    blocks = body["messages"][0]["content"]
    assert blocks[0] == {"image": {"format": "jpeg", "source": {"bytes": PNG}}}
    assert blocks[1] == {"image": {"format": "gif", "source": {"s3Location": {"uri": "s3://sea/x.gif"}}}}
    assert blocks[2] == {"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}}
    assert blocks[3]["document"]["format"] == "txt"
    assert sorted(lost) == ["image_url", "target", "upload"]


def test_ids_of_calls_fit_and_still_belong_together():
    long = "call_" + "x" * 80
    body, _ = written(
        asked(
            said("user", "go"),
            said("assistant", ToolCall("functions.f:0", "f"), ToolCall(long, "f")),
            said("tool", ToolResult("functions.f:0", (Text("1"),)), ToolResult(long, (Text("2"),))),
            tools=(Tool("f"),),
        )
    )
    called = [block["toolUse"]["toolUseId"] for block in body["messages"][1]["content"]]
    assert called == [block["toolResult"]["toolUseId"] for block in body["messages"][2]["content"]]
    assert called[0] == "functions_f_0"
    assert len(called[1]) == 64


def test_no_choice_of_tools_is_not_offering_them():
    request = asked(tools=(Tool("f"),), tool_choice=ToolChoice("none"))
    body, lost = written(request)
    assert "toolConfig" not in body
    assert lost == ["choice_none"]


def test_a_conversation_with_calls_names_tools_whatever_is_chosen():
    """The API: "The toolConfig field must be defined when using toolUse and toolResult content blocks"."""
    history = (said("user", "go"), said("assistant", ToolCall("a", "f")), said("tool", ToolResult("a", (Text("1"),))))
    body, lost = written(asked(*history, tools=(Tool("f"),), tool_choice=ToolChoice("none")))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]
    assert lost == ["choice_none"]
    body, lost = written(asked(*history))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]
    assert lost == ["target"]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("tool", "f"), {"tool": {"name": "f"}}),
    ],
)
def test_choices_cross(choice, wire):
    body, lost = written(asked(tools=(Tool("f"),), tool_choice=choice))
    assert (body["toolConfig"]["toolChoice"], lost) == (wire, [])


def test_a_conversation_begins_with_the_user():
    body, lost = written(asked(said("assistant", "Hello."), said("user", "Hi.")))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert lost == ["target"]


def test_instructions_alone_are_said_as_the_user():
    body, lost = written(asked(said("system", "Say hello.")))
    assert (body["messages"], lost) == ([{"role": "user", "content": [{"text": "Say hello."}]}], ["target"])


def test_settings_stay_within_bounds():
    settings = Settings(
        max_tokens=9, temperature=1.5, stop=("\n", "END"), service_tier="auto", metadata={"a": "b", "c": "ü!", "d": 1}
    )
    body, lost = written(asked(settings=settings))
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 1, "stopSequences": ["END"]}
    assert body["requestMetadata"] == {"a": "b"}
    assert "serviceTier" not in body
    assert lost == ["range"] * 4
    body, lost = written(asked(settings=Settings(service_tier="flex")))
    assert (body["serviceTier"], lost) == ({"type": "flex"}, [])
    assert written(asked(settings=Settings(service_tier="scale")))[1] == ["target"]
    assert written(asked(settings=Settings(seed=1)))[1] == ["seed"]


@pytest.mark.parametrize(
    ("facts", "additional"),
    [(CLAUDE, {"top_k": 3}), (NOVA, {"inferenceConfig": {"topK": 3}}), (LLAMA, None), (PROFILE, None)],
)
def test_top_k_goes_where_the_maker_has_it(facts, additional):
    body, lost = written(asked(settings=Settings(top_k=3)), facts)
    assert body.get("additionalModelRequestFields") == additional
    assert lost == ([] if additional else ["target"])


def thinking(reasoning: Reasoning, facts: Facts = CLAUDE, **settings: Any) -> tuple[Any, dict[str, Any], list[str]]:
    body, lost = written(asked(settings=Settings(reasoning=reasoning, **settings)), facts)
    return body.get("additionalModelRequestFields"), body, lost


def test_thinking_has_room_below_max_tokens():
    additional, body, lost = thinking(Reasoning(budget=2000), max_tokens=4000, temperature=1, top_p=0.99)
    assert additional == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert body["inferenceConfig"] == {"maxTokens": 4000, "topP": 0.99}
    assert lost == []
    additional, body, lost = thinking(Reasoning("high"), max_tokens=4000)
    assert additional["thinking"]["budget_tokens"] == 2000
    assert lost == []
    additional, body, lost = thinking(Reasoning(budget=2000), max_tokens=1500, temperature=0.2, top_k=4)
    assert additional == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert body["inferenceConfig"] == {"maxTokens": 3500}
    assert lost == ["target"] * 3
    assert thinking(Reasoning(off=True))[0] == {"thinking": {"type": "disabled"}}
    assert thinking(Reasoning(off=True), replace(CLAUDE, reasoning=None))[0] is None


def test_newer_models_are_told_an_effort():
    newer = replace(CLAUDE, adaptive_thinking=True)
    additional, body, lost = thinking(Reasoning("minimal"), newer)
    assert (additional, body["outputConfig"]) == ({"thinking": {"type": "adaptive"}}, {"effort": "low"})
    assert lost == []
    additional, body, lost = thinking(Reasoning(budget=9000), newer)
    assert (additional, body["outputConfig"], lost) == (
        {"thinking": {"type": "adaptive"}},
        {"effort": "medium"},
        ["target"],
    )
    assert thinking(Reasoning(off=True), newer)[1]["outputConfig"] == {"effort": "low"}


def test_other_makers_think_in_their_own_way_or_are_not_told():
    assert thinking(Reasoning("minimal"), NOVA)[0] == {
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}
    }
    additional, body, lost = thinking(Reasoning("high"), NOVA, temperature=0.5)
    assert additional["reasoningConfig"]["maxReasoningEffort"] == "high"
    assert "temperature" not in body["inferenceConfig"] if "inferenceConfig" in body else True
    assert lost == ["target"]
    assert thinking(Reasoning("high"), NOVA, max_tokens=100)[0]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert thinking(Reasoning("high"), LLAMA)[::2] == (None, ["target"])
    assert thinking(Reasoning(off=True), PROFILE)[::2] == (None, [])


def test_a_model_does_not_think_when_it_is_told_which_tool_to_call():
    request = asked(
        tools=(Tool("f"),), tool_choice=ToolChoice("required"), settings=Settings(reasoning=Reasoning("low"))
    )
    body, lost = written(request)
    assert "additionalModelRequestFields" not in body
    assert lost == ["target"]


def test_the_form_of_the_answer():
    form = ResponseFormat("schema", {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}, "A")
    body, lost = written(asked(response_format=form))
    held = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert held["name"] == "A"
    assert msgspec.json.decode(held["schema"]) == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert lost == ["range"]
    body, lost = written(asked(response_format=ResponseFormat("json")))
    assert "JSON object" in body["system"][0]["text"]
    assert lost == ["json"]


def test_signed_reasoning_goes_back_and_no_other():
    mine = Message("assistant", (Thinking("hm", "c2ln", dialect=NAME), Text("ok")), dialect=NAME, signer="aws")
    facts = replace(CLAUDE, signer="aws")
    body, lost = written(asked(said("user", "x"), mine, said("user", "y")), facts)
    assert body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["signature"] == "c2ln"
    assert lost == []
    theirs = Message("assistant", (Thinking("hm", "c2ln", dialect="anthropic_messages"), Text("ok")))
    body, lost = written(asked(said("user", "x"), theirs, said("user", "y")), facts)
    assert body["messages"][1]["content"] == [{"text": "ok"}]
    assert lost == ["signature", "thinking"]


def test_the_row_has_its_say():
    facts = replace(CLAUDE, quirks=Quirks(system="Be brief.", defaults={"performanceConfig": {"latency": "standard"}}))
    body, _ = written(asked(), facts)
    assert body["system"] == [{"text": "Be brief."}]
    assert body["performanceConfig"] == {"latency": "standard"}
    body, lost = written(asked(settings=Settings(temperature=0.1, top_p=0.5)), replace(CLAUDE, sampling=False))
    assert body.get("inferenceConfig", {}) == {}
    assert lost == ["target", "target"]


def test_arguments_that_are_no_object_are_kept_in_one():
    written = dialect.request_to_wire(asked(said("user", "x"), said("assistant", ToolCall("a", "f", "[1"))), CLAUDE)
    called = written.body["messages"][1]["content"][0]["toolUse"]
    assert called["input"] == {"INVALID_JSON": "[1"}


# --- replies --------------------------------------------------------------------------------------------------------

REPLY: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "b3BhcXVl"}},
                {"text": "Two ships", "type": "text"},
                {
                    "citationsContent": {
                        "content": [{"text": ", both red"}],
                        "citations": [{"location": {"web": {"url": "https://sea.example", "domain": "sea.example"}}}],
                    }
                },
                {"image": {"format": "png", "source": {"bytes": PNG}}},
                {"toolUse": {"toolUseId": "s1", "name": "g", "input": {"q": "x"}, "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "s1", "content": [{"text": "y"}], "status": "success", "type": "result"}},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": 1}, "type": "tool_use"}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 10,
        "outputTokens": 20,
        "totalTokens": 65,
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 12}, {"ttl": "5m", "inputTokens": 18}],
        "serverToolUsage": {"searches": 1},
    },
    "metrics": {"latencyMs": 100},
    "trace": {"guardrail": {"actionReason": "none"}},
    "additionalModelResponseFields": {"stop_sequence": "END"},
    "performanceConfig": {"latency": "standard"},
    "serviceTier": {"type": "flex"},
}  # fmt: skip


def test_a_reply_is_read_with_nothing_lost_and_comes_back():
    reply = dialect.reply_from_wire(REPLY)
    choice = reply.choices[0]
    assert reply.text == "Two ships, both red"
    assert reply.message.thinking == "Hm."
    assert reply.message.parts[1].redacted == "b3BhcXVl"
    assert reply.message.parts[3].citations[0].url == "https://sea.example"
    assert reply.message.parts[4] == Image(Source(data=PNG, media_type="image/png"))
    assert reply.tool_calls == (ToolCall("t1", "look", '{"a":1}', extra={"type": "tool_use"}),)
    assert (choice.finish, choice.word, choice.stop_sequence) == ("tool_calls", "tool_use", "END")
    assert reply.usage == Usage(
        input=10, cache_read=5, cache_write=18, cache_write_1h=12, output=20,
        extra={"cacheDetails": REPLY["usage"]["cacheDetails"], "serverToolUsage": {"searches": 1}},
    )  # fmt: skip
    assert reply.service_tier == "flex"
    assert reply.extra["trace"] == REPLY["trace"]
    assert dialect.reply_to_wire(reply) == REPLY
    assert dialect.glance(msgspec.json.encode(REPLY)) == Seen(reply.usage, "tool_calls", "flex")


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "context_window"),
        ("malformed_tool_use", "malformed_tool_use"),
    ],
)
def test_why_it_ended(word, finish):
    reply = dialect.reply_from_wire({**REPLY, "stopReason": word})
    assert reply.finish == finish
    assert dialect.reply_to_wire(reply)["stopReason"] == word


def test_a_total_of_its_own_is_kept():
    body = {**REPLY, "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 9}}
    assert dialect.reply_to_wire(dialect.reply_from_wire(body))["usage"]["totalTokens"] == 9


FOREIGN = Reply(
    model="m",
    dialect="openai_chat",
    usage=Usage(input=1, cache_write_1h=4, output=2, reasoning=3, extra={"theirs": 1}),
    service_tier="priority",
    extra={"theirs": 1},
    choices=(
        Choice(
            Message(
                "assistant",
                (
                    Thinking("hm", "sig", dialect="anthropic_messages"),
                    Text("see", (Citation("openai_chat", {}, "https://a.example", "A", "words"),), extra={"x": 1}),
                    Text(""),
                    ToolCall("t", "f", '{"cut', extra={"theirs": 1}),
                    Opaque("openai_chat", {}),
                ),
            ),
            finish="length",
            word="length",
        ),
    ),
)


def test_anothers_reply_has_this_apis_form():
    body = dialect.reply_to_wire(FOREIGN)
    assert fits(body, "ConverseResponse") == []
    assert body["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {
            "citationsContent": {
                "content": [{"text": "see"}],
                "citations": [
                    {
                        "title": "A",
                        "sourceContent": [{"text": "words"}],
                        "location": {"web": {"url": "https://a.example"}},
                    }
                ],
            }
        },
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"INVALID_JSON": '{"cut'}}},
    ]
    assert body["stopReason"] == "max_tokens"
    assert body["usage"] == {
        "inputTokens": 1, "outputTokens": 5, "totalTokens": 10, "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 4}],
    }  # fmt: skip
    assert body["serviceTier"] == {"type": "priority"}
    assert fits(dialect.reply_to_wire(Reply()), "ConverseResponse") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"output": 1},
        {"output": {"message": {"content": [1]}}},
        {"output": {"message": {"content": [{"text": 1}]}}},
        {"output": {"message": {"content": [{"toolUse": {}}]}}},
    ],
)
def test_nonsense_is_a_typed_error(body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)


def test_an_error_in_a_200_is_raised_as_what_it_is():
    with pytest.raises(RateLimitError):
        dialect.reply_from_wire({"__type": "com.amazon#ThrottlingException", "message": "slow down"})
    assert dialect.glance(b"<html>").usage is None


# --- streams --------------------------------------------------------------------------------------------------------


def at(index: int, **more: Any) -> dict[str, Any]:
    return {"contentBlockIndex": index, **more, "p": "abc"}


def delta(index: int, **inside: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", at(index, delta=inside)


def stop(index: int) -> tuple[str, dict[str, Any]]:
    return "contentBlockStop", at(index)


COUNTED = {key: REPLY[key] for key in ("usage", "metrics", "trace", "performanceConfig", "serviceTier")}
STREAM = [
    ("messageStart", {"role": "assistant", "p": "ab"}),
    delta(0, reasoningContent={"text": "H"}),
    delta(0, reasoningContent={"text": "m."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    stop(0),
    delta(1, reasoningContent={"redactedContent": "b3Bh"}),
    delta(1, reasoningContent={"redactedContent": "cXVl"}),
    stop(1),
    delta(2, text=""),
    delta(2, text="Two "),
    delta(2, text="ships"),
    stop(2),
    delta(3, text=", both"),
    delta(3, text=" red"),
    delta(3, citation={"location": {"web": {"url": "https://sea.example", "domain": "sea.example"}}}),
    stop(3),
    ("contentBlockStart", at(4, start={"image": {"format": "png"}})),
    delta(4, image={"source": {"bytes": PNG}}),
    stop(4),
    ("contentBlockStart", at(5, start={"toolUse": {"toolUseId": "s1", "name": "g", "type": "server_tool_use"}})),
    delta(5, toolUse={"input": '{"q":"x"}'}),
    stop(5),
    ("contentBlockStart", at(6, start={"toolResult": {"toolUseId": "s1", "status": "success", "type": "result"}})),
    delta(6, toolResult=[{"text": "y"}]),
    stop(6),
    ("contentBlockStart", at(7, start={"toolUse": {"toolUseId": "t1", "name": "look", "type": "tool_use"}})),
    delta(7, toolUse={"input": ""}),
    delta(7, toolUse={"input": '{"a"'}),
    delta(7, toolUse={"input": ":1}"}),
    stop(7),
    ("messageStop", {"stopReason": "tool_use", "additionalModelResponseFields": {"stop_sequence": "END"}, "p": "a"}),
    ("metadata", {**COUNTED, "p": "abcd"}),
]


def framed(events: list[tuple[str, dict[str, Any]]]) -> bytes:
    return b"".join(event_frame(name, msgspec.json.encode(body)) for name, body in events)


def unframed(raw: bytes) -> list[tuple[str, Any]]:
    """What frames say, without padding and what says nothing."""
    frames = [(frame.name, msgspec.json.decode(frame.payload)) for frame in EventFrames().feed(raw)]
    for _, body in frames:
        body.pop("p", None)
    return [frame for frame in frames if frame[1].get("delta") not in ({"text": ""}, {"toolUse": {"input": ""}})]


RAW = framed(STREAM)


def test_a_stream_amounts_to_the_whole_reply():
    reply = reply_of(events_of(dialect, [RAW]))
    whole = dialect.reply_from_wire(REPLY)
    text = whole.message.parts[2]
    plain = replace(text, extra={})  # a stream does not say `type` of a text
    parts = (*whole.message.parts[:2], plain, *whole.message.parts[3:])
    whole.choices = (replace(whole.choices[0], message=replace(whole.message, parts=parts)),)
    assert reply == whole


@pytest.mark.parametrize("step", [1, 3, 100])
def test_cuts_change_nothing(step):
    assert events_of(dialect, every(RAW, step)) == events_of(dialect, [RAW])
    tap = dialect.tap(Words(NAME, {}))
    assert b"".join([*(tap.feed(part) for part in every(RAW, step)), tap.close()]) == RAW
    reply = dialect.reply_from_wire(REPLY)
    assert (tap.content, tap.ended, tap.usage, tap.finish, tap.tier) == (True, True, reply.usage, "tool_calls", "flex")


def test_its_own_stream_comes_back_event_by_event():
    events = events_of(dialect, [RAW])
    encoder = dialect.encoder(ASKED)
    expected = unframed(RAW)
    joined = [index for index, (_, body) in enumerate(expected) if "redactedContent" in str(body)]
    del expected[joined[1]]  # encrypted reasoning is handed on whole
    expected[joined[0]][1]["delta"]["reasoningContent"]["redactedContent"] = "b3BhcXVl"
    assert unframed(b"".join(encoder.encode([event]) for event in events)) == expected


def test_usage_may_come_before_the_end_and_nothing_is_lost():
    early = [*STREAM[:-2], STREAM[-1], STREAM[-2]]
    events = events_of(dialect, [framed(early)])
    assert sum(isinstance(event, Ended) for event in events) == 1
    assert isinstance(events[-1], Ended)
    assert reply_of(events).usage == dialect.reply_from_wire(REPLY).usage
    again = reply_of(events_of(dialect, [dialect.encoder(ASKED).encode(events)]))
    assert again == reply_of(events)


def test_a_stream_without_usage_ends_with_its_bytes():
    events = events_of(dialect, [framed(STREAM[:-1])])
    assert isinstance(events[-1], Ended)
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(framed(STREAM[:-1]))
    assert not tap.ended
    tap.close()
    assert tap.ended


@pytest.mark.parametrize("kept", [0, 1, 5, len(STREAM) - 2])
def test_a_stream_without_its_end_is_cut_off(kept):
    raw = framed(STREAM[:kept])
    _, error = until_error(dialect, [raw])
    assert isinstance(error, CutOff)
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(raw)
    with pytest.raises(CutOff):
        tap.close()


def test_half_of_the_last_frame_is_cut_off():
    _, error = until_error(dialect, [RAW[:-3]])
    assert isinstance(error, CutOff)
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(RAW[:-3]) == framed(STREAM[:-1])
    with pytest.raises(CutOff):
        tap.close()


@pytest.mark.parametrize(
    ("name", "body", "kind", "status"),
    [
        ("throttlingException", {"message": "Too many tokens, please wait"}, RateLimitError, 429),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 503}, OverloadedError, 503),
        ("modelStreamErrorException", {"originalMessage": "upstream"}, ServiceError, 424),
        ("internalServerException", {}, ServiceError, 500),
        ("serviceUnavailableException", {"message": "x"}, OverloadedError, 503),
        ("validationException", {"message": "Input is too long for requested model."}, ContextWindowError, 400),
        ("modelTimeoutException", {"message": "x"}, APITimeoutError, 408),
    ],
)
def test_an_exception_in_the_stream_is_raised_after_what_came_before(name, body, kind, status):
    raw = framed(STREAM[:5]) + event_frame(name, msgspec.json.encode(body), "exception")
    events, error = until_error(dialect, [raw])
    assert [type(event) for event in events] == [Started, ThinkingDelta, ThinkingDelta, ThinkingSigned, PartEnded]
    assert isinstance(error, kind)
    assert error.status == status
    tap = dialect.tap(Words(NAME, {}))
    assert tap.feed(raw) == framed(STREAM[:5])
    with pytest.raises(kind):
        tap.feed(b"")


def test_a_broken_frame_is_the_providers_mistake():
    broken = bytearray(framed(STREAM[:3]))
    broken[-10] ^= 1
    for step in (1, 1000):
        _, error = until_error(dialect, every(bytes(broken), step))
        assert isinstance(error, ResponseParseError)
    tap = dialect.tap(Words(NAME, {}))
    tap.feed(framed(STREAM[:2]))
    with pytest.raises(ResponseParseError):
        tap.feed(b"\xff" * 40)


@pytest.mark.parametrize("payload", [b"[]", b"nonsense"])
def test_a_frame_that_holds_no_object_is_the_providers_mistake(payload):
    _, error = until_error(dialect, [event_frame("messageStart", payload)])
    assert isinstance(error, ResponseParseError)


def test_an_event_that_nobody_knows_is_kept():
    raw = framed([STREAM[0], ("news", {"a": 1, "p": "x"}), *STREAM[-2:]])
    events = events_of(dialect, [raw])
    assert events[1] == Unknown(dialect=NAME, body={"news": {"a": 1}})
    assert ("news", {"a": 1}) in unframed(dialect.encoder(ASKED).encode(events))


FOREIGN_EVENTS = [
    Started(id="x", model="m", dialect="openai_chat", extra={"theirs": 1}),
    ThinkingDelta(delta="hm", index=0),
    ThinkingSigned(signature="s", dialect="anthropic_messages", index=0),
    TextDelta(delta="Look", index=1),
    Cited(citation=Citation("openai_chat", {}, "https://a.example"), index=1),
    ToolCallStarted(id="a", name="f", index=2, call=0, extra={"theirs": 1}),
    ToolCallStarted(id="b", name="g", index=3, call=1),
    ArgumentsDelta(delta='{"x"', index=2, call=0),
    ArgumentsDelta(delta='{"y":2}', index=3, call=1),
    ArgumentsDelta(delta=":1}", index=2, call=0),
    PartAdded(part=Opaque("openai_chat", {}), index=4),
    TextDelta(delta="other choice", choice=1),
    Finished(finish="tool_calls", word="tool_calls"),
    UsageReported(usage=Usage(input=1, output=2)),
    Ended(),
]


@pytest.mark.parametrize("together", [True, False])
def test_anothers_stream_has_this_apis_form(together):
    encoder = dialect.encoder(ASKED)
    raw = encoder.encode(FOREIGN_EVENTS) if together else b"".join(encoder.encode([event]) for event in FOREIGN_EVENTS)
    assert unframed(raw) == [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Look"}}),
        (
            "contentBlockDelta",
            {"contentBlockIndex": 1, "delta": {"citation": {"location": {"web": {"url": "https://a.example"}}}}},
        ),
        ("contentBlockStop", {"contentBlockIndex": 1}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"x"'}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ":1}"}}}),
        ("contentBlockStop", {"contentBlockIndex": 2}),
        ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "b", "name": "g"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"y":2}'}}}),
        ("contentBlockStop", {"contentBlockIndex": 3}),
        ("messageStop", {"stopReason": "tool_use"}),
        (
            "metadata",
            {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 0}},
        ),
    ]


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (400, "ValidationException", "messages.0 is blank", InvalidRequestError),
        (400, "ValidationException", "The provided model identifier is invalid.", ModelError),
        (400, "ValidationException", "Input is too long for requested model.", ContextWindowError),
        (400, "ServiceQuotaExceededException", "quota", RateLimitError),
        (403, "AccessDeniedException", "You don't have access to the model", AuthenticationError),
        (403, "ExpiredTokenException", "expired", AuthenticationError),
        (404, "ResourceNotFoundException", "no such thing", ModelError),
        (408, "ModelTimeoutException", "slow", APITimeoutError),
        (424, "ModelErrorException", "the model failed", ServiceError),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimitError),
        (429, "ModelNotReadyException", "not ready", OverloadedError),
        (500, "InternalServerException", "oops", ServiceError),
        (503, "ServiceUnavailableException", "busy", OverloadedError),
    ],
)
def test_errors_are_read_as_what_they_are(status, kind, message, error):
    headers = {"x-amzn-errortype": f"{kind}:http://internal.example/", "x-amzn-requestid": "r1", "retry-after": "3"}
    body = msgspec.json.encode({"message": message})
    read = dialect.error_from_wire(status, headers, body)
    assert type(read) is error
    assert (read.code, read.request_id, read.retry_after, read.message) == (kind, "r1", 3, message)
    back = dialect.error_to_wire(read)
    assert (back.status, back.body, back.headers["x-amzn-errortype"]) == (
        status,
        body,
        kind if kind in STATUSES else back.headers["x-amzn-errortype"],
    )


STATUSES = dialect.errors.STATUS


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequestError("x", status=422), 400, "ValidationException"),
        (AuthenticationError("x", status=401), 403, "AccessDeniedException"),
        (LimitError("x", retry_after=2.4), 429, "ThrottlingException"),
        (ModelError("x"), 404, "ResourceNotFoundException"),
        (OverloadedError("x", status=529), 503, "ServiceUnavailableException"),
        (APITimeoutError("x"), 408, "ModelTimeoutException"),
        (ServiceError("x", status=502), 502, "InternalServerException"),
        (TrunklineError("x"), 500, "InternalServerException"),
    ],
)
def test_errors_are_written_as_aws_writes_them(error, status, kind):
    refused = dialect.error_to_wire(error)
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (status, kind)
    assert msgspec.json.decode(refused.body) == {"message": "x"}
    if error.retry_after:
        assert refused.headers["retry-after"] == "2"


# --- AWS's own description and reader -------------------------------------------------------------------------------


@cache
def service() -> Any:
    loaders = pytest.importorskip("botocore.loaders")
    model = pytest.importorskip("botocore.model")
    return model.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"))


def fits(value: Any, shape_name: str, but: tuple[str, ...] = ()) -> list[str]:
    """Where a body does not fit AWS's description of the service; `but`: members that stand in the address."""
    return list(_misfits(value, service().shape_for(shape_name), "", but))


def _misfits(value: Any, shape: Any, where: str, but: tuple[str, ...] = ()):
    rules = shape.metadata
    match shape.type_name:
        case "structure" if shape.metadata.get("document") or getattr(shape, "is_document_type", False):
            pass
        case "structure":
            missing = set(shape.required_members) - set(value) - set(but)
            if missing or (getattr(shape, "is_tagged_union", False) and len(value) != 1):
                yield f"{where}: {missing} of {sorted(value)}"
            for key, inside in value.items():
                if key not in shape.members:
                    yield f"{where}.{key} is unknown"
                else:
                    yield from _misfits(inside, shape.members[key], f"{where}.{key}")
        case "list":
            if not rules.get("min", 0) <= len(value) <= rules.get("max", 10**9):
                yield f"{where}: {len(value)} items"
            for index, inside in enumerate(value):
                yield from _misfits(inside, shape.member, f"{where}[{index}]")
        case "map":
            for key, inside in value.items():
                yield from _misfits(key, shape.key, f"{where}.{key}")
                yield from _misfits(inside, shape.value, f"{where}.{key}")
        case "string":
            fitting = not shape.enum or value in shape.enum
            fitting = fitting and rules.get("min", 0) <= len(value) <= rules.get("max", 10**9)
            if not fitting or ("pattern" in rules and not re.fullmatch(rules["pattern"], value)):
                yield f"{where}: {value!r}"
        case "integer" | "long" | "float":
            if not rules.get("min", value) <= value <= rules.get("max", value):
                yield f"{where}: {value}"
        case _:
            pass


def test_the_descriptions_check_finds_mistakes():
    assert fits({"messages": [{"role": "tool", "content": [{"text": "x", "image": {}}]}], "news": 1}, "ConverseRequest")


@pytest.mark.parametrize("events", [FOREIGN_EVENTS, None])
def test_awss_own_reader_takes_what_is_written(events):
    eventstream, parsers = pytest.importorskip("botocore.eventstream"), pytest.importorskip("botocore.parsers")
    raw = dialect.encoder(ASKED).encode(events if events is not None else events_of(dialect, [RAW]))
    operation = service().operation_model("ConverseStream")
    stream = type("Raw", (), {"stream": lambda self: [raw]})()
    parser = parsers.create_parser("rest-json")._event_stream_parser
    shape = operation.output_shape.members["stream"]
    read = list(eventstream.EventStream(stream, shape, parser, "ConverseStream"))
    assert [next(iter(event)) for event in read] == [frame.name for frame in EventFrames().feed(raw)]
    assert all(
        before != "messageStop" or after == "metadata" for before, after in pairwise(next(iter(e)) for e in read)
    )
    assert read[-1]["metadata"]["usage"]["outputTokens"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LimitError("slow"), "throttlingException"),
        (OverloadedError("busy"), "serviceUnavailableException"),
        (CutOff("gone"), "internalServerException"),
        (ModelError("no"), "modelStreamErrorException"),
    ],
)
def test_awss_own_reader_raises_where_a_stream_breaks(error, code):
    eventstream, parsers = pytest.importorskip("botocore.eventstream"), pytest.importorskip("botocore.parsers")
    raw = dialect.broken(error)
    stream = type("Raw", (), {"stream": lambda self: [raw]})()
    parser = parsers.create_parser("rest-json")._event_stream_parser
    shape = service().operation_model("ConverseStream").output_shape.members["stream"]
    with pytest.raises(eventstream.EventStreamError) as caught:
        list(eventstream.EventStream(stream, shape, parser, "ConverseStream"))
    assert caught.value.response["Error"]["Code"] == code
    _, again = until_error(dialect, [raw])
    assert isinstance(again, TrunklineError) and not isinstance(again, CutOff)
