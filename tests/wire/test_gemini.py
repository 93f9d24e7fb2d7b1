"""Gemini's generateContent, both ways: golden examples of our own making, and the traps of that API."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    ContextWindowError,
    InvalidRequestError,
    ModelError,
    OverloadedError,
    RateLimitError,
    ResourceExhaustedError,
    ResponseParseError,
    ServiceError,
)
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import (
    Audio,
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
from trunkline.wire import gemini as dialect

NAME = "gemini"
FACTS = Facts(model="gemini-x")
SECOND = Facts(model="gemini-2", reasoning=True)
THIRD = Facts(model="gemini-3", reasoning=True, adaptive_thinking=True)
UPLOAD = "https://generativelanguage.googleapis.com/v1beta/files/abc-1"

# --- requests -------------------------------------------------------------------------------------------------------

WIRE = {
    "model": "gemini-x",
    "stream": True,
    "systemInstruction": {"role": "user", "parts": [{"text": "You keep a lighthouse."}, {"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "What is on the horizon?"},
                {"inlineData": {"mimeType": "image/webp", "data": "UklGRg=="}},
                {"inlineData": {"mimeType": "audio/x-wav", "data": "UklGRg=="}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0=", "displayName": "log.pdf"}},
                {"fileData": {"fileUri": UPLOAD, "mimeType": "image/png"}},
                {"fileData": {"fileUri": "gs://bucket/sea.mp4", "mimeType": "video/mp4"}},
                {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"startOffset": "10s"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Two ships.", "thought": True, "thoughtSignature": "c2lnMA=="},
                {"text": "Let me look.", "thoughtSignature": "c2lnMQ=="},
                {
                    "functionCall": {"name": "look", "args": {"at": "north", "zoom": 2.0}},
                    "thoughtSignature": "c2lnMg==",
                },
                {"functionCall": {"name": "look"}},
                {"functionCall": {"id": "call-7", "name": "listen", "args": {}}},
                {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2lnMw=="},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"text": "", "thoughtSignature": "c2lnNA=="},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "look", "response": {"result": "a mast"}}},
                {"functionResponse": {"name": "look", "response": {"ships": 2}}},
                {
                    "functionResponse": {
                        "id": "call-7",
                        "name": "listen",
                        "response": {"error": "deaf"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}],
                        "scheduling": "SILENT",
                    }
                },
            ],
        },
        {"parts": [{"text": "Well?"}]},
    ],
    "tools": [
        {"googleSearch": {}},
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": "Looks.",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {
                            "at": {"type": "STRING", "nullable": True},
                            "zoom": {"type": "NUMBER"},
                            "names": {"type": "ARRAY", "items": {"type": "STRING"}, "maxItems": "3"},
                        },
                        "propertyOrdering": ["at", "zoom"],
                    },
                },
                {"name": "listen", "parametersJsonSchema": {"type": "object"}, "behavior": "NON_BLOCKING"},
                {"name": "ring"},
            ],
            "codeExecution": {},
        },
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look", "listen"]},
        "retrievalConfig": {"languageCode": "de"},
    },
    "generationConfig": {
        "maxOutputTokens": 3000,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["END"],
        "seed": 7,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseModalities": ["Text", "IMAGE"],
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}},
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        "speechConfig": {"languageCode": "de-DE"},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
    "serviceTier": "standard",
    "labels": {"team": "sea"},
}


def test_a_request_is_read():
    request = dialect.request_from_wire(WIRE)
    assert request.model == "gemini-x"
    assert request.stream
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert request.messages[0].parts == (Text("You keep a lighthouse."), Text("Be brief."))
    assert request.messages[1].parts == (
        Text("What is on the horizon?"),
        Image(Source(data="UklGRg==", media_type="image/webp")),
        Audio(Source(data="UklGRg==", media_type="audio/x-wav"), "wav"),
        File(Source(data="JVBERi0=", media_type="application/pdf"), "log.pdf"),
        Image(Source(file_id=UPLOAD, media_type="image/png")),
        File(Source(url="gs://bucket/sea.mp4", media_type="video/mp4")),
        File(Source(url="https://youtu.be/x"), extra={"videoMetadata": {"startOffset": "10s"}}),
    )
    thought, text, first, second, third, code, result, empty = request.messages[2].parts
    assert thought == Thinking("Two ships.", "c2lnMA==", dialect=NAME)
    assert text == Text("Let me look.", extra={"thoughtSignature": "c2lnMQ=="})
    assert (first.name, first.arguments, first.signature, first.dialect) == (
        "look",
        '{"at":"north","zoom":2.0}',
        "c2lnMg==",
        NAME,
    )
    assert (second.name, second.arguments, second.signature) == ("look", "{}", None)
    assert third == ToolCall("call-7", "listen", "{}")
    assert code == Opaque(NAME, WIRE["contents"][1]["parts"][5])
    assert result == Opaque(NAME, WIRE["contents"][1]["parts"][6])
    assert empty == Text("", extra={"thoughtSignature": "c2lnNA=="})
    one, two, failed = request.messages[3].parts
    assert len({first.id, second.id, third.id}) == 3
    assert (one.call_id, one.text, one.name) == (first.id, "a mast", "look")
    assert (two.call_id, two.text, two.is_error) == (second.id, '{"ships":2}', False)
    assert (failed.call_id, failed.text, failed.is_error) == ("call-7", "deaf", True)
    assert failed.parts[1] == Image(Source(data="iVBORw==", media_type="image/png"))
    search, look, listen, ring, code = request.tools
    assert search == OpaqueTool(NAME, {"googleSearch": {}})
    assert look.parameters == {
        "type": "object",
        "properties": {
            "at": {"type": ["string", "null"]},
            "zoom": {"type": "number"},
            "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        },
    }
    assert (listen.name, listen.parameters) == ("listen", {"type": "object"})
    assert (ring.name, ring.parameters) == ("ring", {"type": "object", "properties": {}})
    assert code == OpaqueTool(NAME, {"codeExecution": {}})
    assert request.tool_choice == ToolChoice("required", allowed=("look", "listen"))
    assert request.response_format == ResponseFormat(
        "schema", {"type": "object", "properties": {"n": {"type": "integer"}}}
    )
    assert request.settings == Settings(
        max_tokens=3000,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        n=2,
        logprobs=True,
        top_logprobs=3,
        service_tier="default",
        modalities=("text", "image"),
        reasoning=Reasoning("high", summary="auto", extra={"~level": "HIGH"}),
    )
    assert request.dialect == NAME


def without_address(wire):
    return {key: value for key, value in wire.items() if key not in {"model", "stream"}}


def again(wire, facts=FACTS):
    """A caller's request, read and written in its own dialect."""
    written = dialect.request_to_wire(dialect.request_from_wire({"model": "m", **wire}), facts)
    assert written.loss == ()
    return written.body


def test_a_request_is_written_as_it_was_read():
    assert again(WIRE) == without_address(WIRE)


def test_reading_leaves_the_body_as_it_was():
    before = msgspec.json.encode(WIRE)
    again(WIRE)
    assert msgspec.json.encode(WIRE) == before


def test_both_spellings_are_read_and_each_goes_out_as_it_came():
    snake = {
        "system_instruction": {"parts": [{"text": "Hm."}]},
        "contents": [
            {"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "iVBORw=="}}]},
            {
                "role": "model",
                "parts": [{"function_call": {"name": "f", "args": {"max_output": 1}}, "thought_signature": "c2ln"}],
            },
            {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"mime_type": "x"}}}]},
            {"role": "user", "parts": [{"fileData": {"file_uri": "gs://a/b", "mimeType": "image/png"}}]},
        ],
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "generation_config": {
            "max_output_tokens": 5,
            "response_mime_type": "application/json",
            "response_schema": {"type": "OBJECT"},
            "thinking_config": {"thinking_budget": 6400, "include_thoughts": True},
            "speech_config": {"language_code": "de"},
        },
    }
    request = dialect.request_from_wire({"model": "m", **snake})
    assert request.messages[0].parts == (Text("Hm."),)
    assert request.messages[1].parts[0].source == Source(data="iVBORw==", media_type="image/png")
    call = request.messages[2].parts[0]
    assert (call.name, call.arguments, call.signature) == ("f", '{"max_output":1}', "c2ln")
    assert request.messages[4].parts[0].source == Source(url="gs://a/b", media_type="image/png")
    assert request.tool_choice == ToolChoice("tool", "f")
    assert request.settings.max_tokens == 5
    assert request.settings.reasoning.budget == 6400
    assert again(snake) == snake


@pytest.mark.parametrize(
    "wire",
    [
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {}},
        {"contents": [{"role": "tool", "parts": [{"functionResponse": {"name": "f", "response": {"output": "1"}}}]}]},
        {
            "contents": [
                {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"result": [1]}}}]}
            ]
        },
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "a", "functionCall": {"name": "f"}}]}]},
        {"contents": [{"role": "user", "parts": [{}]}]},
        {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
        {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": False}}},
        {"contents": [], "generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}}},
        {"contents": [], "generationConfig": {"responseMimeType": "application/json"}},
        {"contents": [], "generationConfig": {"responseMimeType": "text/plain"}},
        {"contents": [], "generationConfig": {"responseJsonSchema": {"type": "object", "pattern": "x"}}},
        {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": 2, "streamFunctionCallArguments": True}}},
        {"contents": [], "toolConfig": {"includeServerSideToolInvocations": True}},
        {
            "contents": [],
            "tools": [{"functionDeclarations": [{"name": "f"}]}, {"functionDeclarations": [{"name": "g"}]}],
        },
        {"contents": [], "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": 6}}]}]},
        {"contents": [], "tools": [{"googleSearch": {}}, {"urlContext": {}}]},
        {"contents": [], "safetySettings": [{"category": 10, "threshold": 3}]},
        {"contents": [], "serviceTier": "flex"},
    ],
)
def test_what_a_caller_of_this_api_says_stays_as_it_is(wire):
    assert again(wire) == wire


def test_the_model_may_come_with_its_folder():
    body = {"model": "publishers/google/models/gemini-x", "contents": []}
    assert dialect.request_from_wire(body).model == "gemini-x"


def test_the_address_is_not_in_the_body():
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in WIRE.items()}
    written = dialect.words_to_wire(Words(NAME, raw), FACTS)
    assert written.body == {key: value for key, value in raw.items() if key not in {"model", "stream"}}
    assert dialect.path == "/models/{model}:generateContent"
    assert dialect.stream_path == "/models/{model}:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        ({}, "contents"),
        ({"contents": {}}, "contents"),
        ({"contents": [1]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [1]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        (
            {"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]},
            "contents[0].parts[0].functionCall.args",
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]},
            "contents[0].parts[0].functionResponse.response",
        ),
        ({"contents": [{"parts": [{"inlineData": {}}]}]}, "contents[0].parts[0].inlineData.data"),
        ({"contents": [], "generationConfig": {"maxOutputTokens": "many"}}, "maxOutputTokens"),
        ({"contents": [], "generationConfig": []}, "generationConfig"),
        ({"contents": [], "tools": {"a": 1}}, "tools"),
        ({"contents": [], "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
    ],
)
def test_a_complaint_names_the_field_to_mend(wire, field):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire({"model": "m", **wire})
    assert caught.value.param == field


# --- written for this API -------------------------------------------------------------------------------------------


def write(*messages, facts=FACTS, **rest):
    written = dialect.request_to_wire(Request(model="m", messages=messages, **rest), facts)
    return written.body, {loss.field: loss for loss in written.loss}


def test_the_shortest_request_is_short():
    body, loss = write(said("user", "Hi"))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert loss == {}


def test_leading_instructions_are_one_system_instruction_and_later_ones_are_said_as_the_user():
    body, loss = write(
        said("system", "One."),
        said("developer", "Two."),
        said("user", "Hi"),
        said("system", "Three."),
        said("user", "!"),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "One."}, {"text": "Two."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "Three."}, {"text": "!"}]}]
    assert list(loss) == ["messages[3].role"]


def test_instructions_alone_become_the_conversation():
    body, loss = write(said("system", "Tell a joke."))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Tell a joke."}]}]}
    assert loss["messages[0].role"].kind == "target"


def test_the_rows_system_prompt_is_for_those_who_give_none():
    facts = Facts(model="m", quirks=Quirks(system="Be good."))
    assert write(said("user", "Hi"), facts=facts)[0]["systemInstruction"] == {"parts": [{"text": "Be good."}]}
    assert again({"contents": []}, facts)["systemInstruction"] == {"parts": [{"text": "Be good."}]}


CALLS = (
    said("user", "Go."),
    Message("assistant", (Text("Well."), ToolCall("a", "f", ' {"x": 1}'), ToolCall("b", "g"))),
    said("user", "meanwhile"),
    Message("tool", (ToolResult("b", (Text("2"),)),)),
    Message("tool", (ToolResult("a", (Text("no"),), is_error=True),)),
    said("user", "And?"),
)


def test_results_come_right_after_their_calls_by_themselves_and_name_their_function():
    body, loss = write(*CALLS)
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Well."},
                {
                    "functionCall": {"name": "f", "id": "a", "args": {"x": 1}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"name": "g", "id": "b", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "g", "id": "b", "response": {"result": "2"}}},
                {"functionResponse": {"name": "f", "id": "a", "response": {"error": "no"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "meanwhile"}, {"text": "And?"}]},
    ]
    assert loss == {}


def test_every_step_of_another_model_is_excused_once():
    step = (Message("assistant", (ToolCall("a", "f"),)), Message("tool", (ToolResult("a", (Text("1"),)),)))
    body, _ = write(said("user", "Go."), *step, said("user", "On."), *step, *step)
    calls = [part for one in body["contents"] for part in one["parts"] if "functionCall" in part]
    assert [part["thoughtSignature"] for part in calls] == ["skip_thought_signature_validator"] * 3


def test_a_model_that_does_not_think_needs_no_excuse():
    body, _ = write(*CALLS, facts=Facts(model="m", reasoning=False))
    assert all("thoughtSignature" not in part for one in body["contents"] for part in one["parts"])


def test_ids_that_we_invented_are_shown_to_nobody():
    reply = dialect.reply_from_wire(answer({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}))
    result = Message("tool", (ToolResult(reply.tool_calls[0].id, (Text("1"),)),))
    body, loss = write(said("user", "Go."), reply.to_message(), result)
    assert body["contents"][1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "1"}}}]},
    ]
    assert loss == {}


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("rain", {"result": "rain"}),
        ('{"sky": "grey"}', {"sky": "grey"}),
        ('{"result": "x"}', {"result": '{"result": "x"}'}),
        ('{"error": "x"}', {"result": '{"error": "x"}'}),
        ("[1]", {"result": "[1]"}),
        ("{no", {"result": "{no"}),
        ("", {"result": ""}),
    ],
)
def test_a_result_is_an_object_that_is_read_as_what_it_was(text, response):
    body, _ = write(Message("tool", (ToolResult("a", (Text(text),), name="f"),)))
    assert body["contents"][0]["parts"][0]["functionResponse"]["response"] == response
    back = dialect.request_from_wire({"model": "m", **body}).messages[0].parts[0]
    assert "".join(back.text.split()) == "".join(text.split())
    assert not back.is_error


def test_pictures_in_results_go_with_them_or_beside_them():
    result = ToolResult("a", (Text("see"), Image(Source(data="iVBORw==", media_type="image/png"))), name="f")
    picture = {"inlineData": {"data": "iVBORw==", "mimeType": "image/png"}}
    inside, loss = write(Message("tool", (result,)), facts=THIRD)
    assert inside["contents"][0]["parts"][0]["functionResponse"]["parts"] == [picture]
    assert loss == {}
    beside, loss = write(Message("tool", (result,)), facts=SECOND)
    assert beside["contents"][0]["parts"] == [
        {"functionResponse": {"name": "f", "id": "a", "response": {"result": "see"}}}
    ]
    assert beside["contents"][1]["parts"] == [{"text": "What f shows:"}, picture]
    assert loss == {}


def test_arguments_that_are_no_object_are_not_thrown_away():
    body, _ = write(Message("assistant", (ToolCall("a", "f", '{"x": '),)))
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {"INVALID_JSON": '{"x": '}


def test_media_is_told_its_type():
    parts = (
        Image(Source(url="https://example.com/a.PNG?b=c")),
        File(Source(url="https://example.com/doc")),
        File(Source(url="https://www.youtube.com/watch?v=1")),
        Audio(Source(data="AAAA"), "mp3"),
        File(Source(data="aGk=", media_type="text/plain"), "note.txt"),
    )
    body, loss = write(Message("user", parts))
    assert body["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "https://example.com/a.PNG?b=c", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://example.com/doc", "mimeType": "application/pdf"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"inlineData": {"data": "AAAA", "mimeType": "audio/mp3"}},
        {"inlineData": {"data": "aGk=", "mimeType": "text/plain"}},
    ]
    assert [one.kind for one in loss.values()] == ["file_name"]


def test_text_that_is_empty_is_left_out():
    body, loss = write(
        said("user", "Hi", ""),
        said("assistant", ""),
        said("user", "there"),
        Message("assistant", (Refusal("No."),)),
        said("user", ""),
        said("assistant", "Never."),
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
        {"role": "model", "parts": [{"text": "No."}, {"text": "Never."}]},
    ]
    assert loss == {}


def test_reasoning_goes_back_without_another_apis_signature():
    thoughts = (Thinking("Hm."), Thinking("Ah.", "c2ln", dialect="anthropic_messages"), Text("Yes."))
    body, loss = write(said("user", "Hi"), Message("assistant", thoughts))
    assert body["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"text": "Ah.", "thought": True},
        {"text": "Yes."},
    ]
    assert [one.kind for one in loss.values()] == ["signature"]


TOOLS = (Tool("f", "Does.", {"properties": {"x": {"type": "string", "pattern": "a"}}}), Tool("g"))


def test_tools_are_functions_with_any_schema():
    body, loss = write(said("user", "Hi"), tools=(*TOOLS, OpaqueTool(None, {"googleSearch": {}})))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "Does.",
                    "parametersJsonSchema": {
                        "type": "object",
                        "properties": {"x": {"type": "string", "pattern": "a"}},
                    },
                },
                {"name": "g"},
            ]
        },
        {"googleSearch": {}},
    ]
    assert loss == {}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice(), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("tool", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("required", allowed=("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice("auto", allowed=("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_a_choice_among_tools(choice, config):
    body, loss = write(said("user", "Hi"), tools=TOOLS, tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": config}
    assert dialect.request_from_wire({"model": "m", **body}).tool_choice == choice
    assert loss == {}


def test_there_is_no_choice_among_no_functions():
    assert "toolConfig" not in write(said("user", "Hi"), tool_choice=ToolChoice("required"))[0]


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "pattern": "a+", "maxLength": 3},
        "kind": {"const": "ship"},
        "list": {"$ref": "#/definitions/List", "description": "All."},
        "one": {"allOf": [{"type": "integer", "exclusiveMinimum": 0}]},
        "either": {"oneOf": [{"type": "string"}, {"type": "null", "title": "None"}]},
    },
    "definitions": {"List": {"type": "array", "items": {"type": "number", "multipleOf": 2}, "minItems": 1}},
    "additionalProperties": False,
}


def test_a_schema_is_held_as_far_as_the_api_holds_it():
    body, loss = write(said("user", "Hi"), response_format=ResponseFormat("schema", SCHEMA))
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "kind": {"enum": ["ship"]},
                "list": {"$ref": "#/$defs/List"},
                "one": {"type": "integer"},
                "either": {"oneOf": [{"type": "string"}, {"type": "null", "title": "None"}]},
            },
            "$defs": {"List": {"type": "array", "items": {"type": "number"}, "minItems": 1}},
            "additionalProperties": False,
        },
    }
    assert sorted(loss) == [
        "response_format.schema.exclusiveMinimum",
        "response_format.schema.maxLength",
        "response_format.schema.multipleOf",
        "response_format.schema.pattern",
    ]
    assert {one.kind for one in loss.values()} == {"range"}


def test_json_is_a_mime_type():
    body, loss = write(said("user", "Hi"), response_format=ResponseFormat("json"))
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert loss == {}


def test_older_models_take_functions_or_a_form():
    form = ResponseFormat("schema", {"type": "object"})
    body, loss = write(said("system", "Be."), said("user", "Hi"), tools=TOOLS, response_format=form, facts=SECOND)
    assert "generationConfig" not in body
    assert '{"type":"object"}' in body["systemInstruction"]["parts"][1]["text"]
    assert loss["response_format"].kind == "target"
    body, loss = write(said("user", "Hi"), tools=TOOLS, response_format=form, facts=THIRD)
    assert body["generationConfig"]["responseJsonSchema"] == {"type": "object"}
    assert loss == {}


@pytest.mark.parametrize(
    ("reasoning", "facts", "config"),
    [
        (Reasoning("medium"), SECOND, {"includeThoughts": True, "thinkingBudget": 8192}),
        (Reasoning("low", summary="none"), SECOND, {"thinkingBudget": 1024}),
        (Reasoning(budget=5), SECOND, {"includeThoughts": True, "thinkingBudget": 5}),
        (Reasoning(budget=5), Facts(model="m", least_thinking=128), {"includeThoughts": True, "thinkingBudget": 128}),
        (Reasoning(adaptive=True), SECOND, {"includeThoughts": True, "thinkingBudget": -1}),
        (Reasoning(off=True), SECOND, {"thinkingBudget": 0}),
        (Reasoning("none"), SECOND, {"thinkingBudget": 0}),
        (Reasoning("minimal"), THIRD, {"includeThoughts": True, "thinkingLevel": "low"}),
        (Reasoning("medium"), THIRD, {"includeThoughts": True, "thinkingLevel": "medium"}),
        (Reasoning("max"), THIRD, {"includeThoughts": True, "thinkingLevel": "high"}),
        (Reasoning(adaptive=True), THIRD, {"includeThoughts": True}),
    ],
)
def test_reasoning_is_a_number_or_a_level(reasoning, facts, config):
    body, loss = write(said("user", "Hi"), settings=Settings(reasoning=reasoning), facts=facts)
    assert body["generationConfig"]["thinkingConfig"] == config
    assert loss == {}


@pytest.mark.parametrize(
    ("reasoning", "facts", "config"),
    [
        (Reasoning(off=True), THIRD, {"thinkingLevel": "low"}),
        (Reasoning(budget=900), THIRD, {"includeThoughts": True, "thinkingLevel": "low"}),
        (Reasoning(off=True), Facts(model="m", reasoning=True, least_thinking=128), {"thinkingBudget": 128}),
    ],
)
def test_reasoning_that_a_model_cannot_be_told_exactly(reasoning, facts, config):
    body, loss = write(said("user", "Hi"), settings=Settings(reasoning=reasoning), facts=facts)
    assert body["generationConfig"]["thinkingConfig"] == config
    assert {one.kind for one in loss.values()} == {"target"}


def test_a_model_that_does_not_think_is_told_nothing_about_it():
    facts = Facts(model="m", reasoning=False)
    body, loss = write(said("user", "Hi"), settings=Settings(reasoning=Reasoning("high")), facts=facts)
    assert "generationConfig" not in body
    assert list(loss) == ["reasoning"]
    assert write(said("user", "Hi"), settings=Settings(reasoning=Reasoning(off=True)), facts=facts)[1] == {}


def test_settings_stay_within_the_apis_bounds():
    settings = Settings(
        temperature=2.5,
        n=20,
        seed=2**40,
        stop=("a", "", "b", "c", "d", "e", "f"),
        user="u",
        logit_bias={"1": 1.0},
        service_tier="scale",
        parallel_tool_calls=False,
        modalities=("text", "audio"),
    )
    body, loss = write(said("user", "Hi"), settings=settings)
    assert body["generationConfig"] == {
        "temperature": 2,
        "candidateCount": 8,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "responseModalities": ["TEXT", "AUDIO"],
    }
    assert {field: one.kind for field, one in loss.items() if one.kind} == {
        "temperature": "range",
        "n": "range",
        "seed": "range",
        "stop": "range",
        "service_tier": "target",
    }
    assert {field for field, one in loss.items() if not one.kind} == {"user", "logit_bias", "parallel_tool_calls"}


def test_a_model_without_sampling_is_not_asked_for_it():
    facts = Facts(model="m", sampling=False)
    body, loss = write(said("user", "Hi"), settings=Settings(temperature=1, top_p=0.5), facts=facts)
    assert "generationConfig" not in body
    assert set(loss) == {"temperature", "topP"}


def test_unknown_keys_of_a_library_caller_stand_beside_ours():
    extra = {"generationConfig": {"speechConfig": {}}, "cachedContent": "c"}
    body, _ = write(said("user", "Hi"), settings=Settings(max_tokens=5), extra=extra)
    assert body["generationConfig"] == {"speechConfig": {}, "maxOutputTokens": 5}
    assert body["cachedContent"] == "c"


# --- replies --------------------------------------------------------------------------------------------------------


def answer(*parts, **more):
    """A whole answer."""
    return {
        "candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r-1",
        **more,
    }


WHOLE = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "Straße nach Süden.", "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "go", "args": {"to": "S"}}},
                    {"functionCall": {"name": "go"}},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "finishMessage": "Model generated function call(s).",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}],
            "avgLogprobs": -0.5,
            "groundingMetadata": {
                "webSearchQueries": ["süden"],
                "groundingChunks": [
                    {"web": {"uri": "https://example.com/1", "title": "One"}},
                    {"retrievedContext": {"uri": "gs://2", "text": "two words"}},
                    {"web": {"uri": "https://example.com/3"}},
                ],
                "groundingSupports": [
                    {
                        "segment": {"startIndex": 8, "endIndex": 12, "text": "nach"},
                        "groundingChunkIndices": [0, 1],
                    },
                    {"segment": {"startIndex": 13, "endIndex": 19, "text": "Süden"}, "groundingChunkIndices": [1, 9]},
                ],
            },
        },
        {"content": {"parts": [{"text": "Nein"}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 1},
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 155,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 70}, {"modality": "AUDIO", "tokenCount": 30}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}, {"modality": "TEXT", "tokenCount": 30}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}, {"modality": "TEXT", "tokenCount": 18}],
        "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        "serviceTier": "flex",
    },
    "modelVersion": "gemini-3-pro",
    "responseId": "r-9",
    "createTime": "2026-05-04T20:01:02.264968Z",
}


def test_a_reply_is_read():
    reply = dialect.reply_from_wire(WHOLE)
    assert (reply.id, reply.model, reply.created, reply.service_tier) == ("r-9", "gemini-3-pro", 1777924862, "flex")
    thought, text, first, second = reply.message.parts
    assert thought == Thinking("Hm.")
    assert (text.text, text.extra) == ("Straße nach Süden.", {"thoughtSignature": "c2ln"})
    assert (first.name, first.arguments) == ("go", '{"to":"S"}')
    assert (second.name, second.arguments) == ("go", "{}")
    assert [call.id for call in reply.tool_calls] == ["call_r-9_0_0", "call_r-9_0_1"]
    assert [(choice.finish, choice.word) for choice in reply.choices] == [
        ("tool_calls", "STOP"),
        ("length", "MAX_TOKENS"),
    ]
    assert reply.choices[0].extra["finishMessage"] == "Model generated function call(s)."
    assert reply.choices[0].extra["groundingMetadata"] == WHOLE["candidates"][0]["groundingMetadata"]


def test_sources_are_placed_by_characters():
    text = dialect.reply_from_wire(WHOLE).message.parts[1]
    one, two, three = WHOLE["candidates"][0]["groundingMetadata"]["groundingChunks"]
    assert text.citations == (
        Citation(NAME, one, "https://example.com/1", "One", start=7, end=11),
        Citation(NAME, two, "gs://2", quote="two words", start=7, end=11),
        Citation(NAME, two, "gs://2", quote="two words", start=12, end=17),
        Citation(NAME, three, "https://example.com/3"),
    )
    assert text.text[12:17] == "Süden"


def test_works_that_are_repeated_are_sources_too():
    source = {"startIndex": 3, "endIndex": 6, "uri": "https://example.com/poem", "license": ""}
    body = answer({"text": "ä, "}, {"text": "bcd"})
    body["candidates"][0]["citationMetadata"] = {"citationSources": [source]}
    reply = dialect.reply_from_wire(body)
    assert reply.message.parts[1].citations == ()
    assert reply.message.parts[0].citations == (Citation(NAME, source, "https://example.com/poem", start=2, end=3),)


def test_tokens_are_counted_once():
    usage = dialect.reply_from_wire(WHOLE).usage
    assert usage == Usage(
        input=45,  # 100, less 40 cached, less 20 audio that was not, and 5 that tools put in
        cache_read=40,
        input_audio=20,
        output=18,
        reasoning=20,
        output_audio=12,
        extra={
            key: WHOLE["usageMetadata"][key]
            for key in (
                "toolUsePromptTokenCount",
                "promptTokensDetails",
                "cacheTokensDetails",
                "candidatesTokensDetails",
                "toolUsePromptTokensDetails",
            )
        },
    )
    assert usage.total_tokens == 155


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        answer({"text": "Hi"}),
        answer({"text": "Hi"}, createTime="never", newKey={"a": 1}),
        answer({"toolCall": {"id": "1", "toolType": "FILE_SEARCH"}, "thoughtSignature": "c2ln"}, {"text": ""}),
        answer({"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}, "thoughtSignature": "c2ln"}),
        {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}], "modelVersion": "m"},
        {"candidates": [{"content": {}, "finishReason": "STOP"}]},
        {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "bad"}]},
        {
            "candidates": [
                {"content": {"parts": [{"text": "x"}]}, "finishReason": 1, "safetyRatings": [{"category": 8}]}
            ]
        },
        {"candidates": [{"content": {"parts": [{"text": "x"}], "role": "model"}, "finishReason": 12}]},
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}},
        answer({"text": "Hi"}, usageMetadata={"trafficType": "ON_DEMAND_FLEX"}),
        answer({"text": "Hi"}, usageMetadata={"promptTokenCount": 1, "totalTokenCount": 9, "serviceTier": "standard"}),
    ],
)
def test_a_reply_is_written_as_it_was_read(body):
    assert dialect.reply_to_wire(dialect.reply_from_wire(body)) == body


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("UNEXPECTED_TOOL_CALL", "UNEXPECTED_TOOL_CALL"),
        ("OTHER", "OTHER"),
        (2, "length"),
    ],
)
def test_why_it_ended(word, finish):
    body = answer({"text": "Hi"})
    body["candidates"][0]["finishReason"] = word
    assert dialect.reply_from_wire(body).finish == finish
    assert dialect.glance(msgspec.json.encode(body)).finish == finish


def test_a_refused_prompt_has_no_candidates_and_is_an_answer_all_the_same():
    reply = dialect.reply_from_wire({"promptFeedback": {"blockReason": "BLOCKLIST"}, "modelVersion": "m"})
    assert (reply.finish, reply.choices[0].word, reply.text) == ("content_filter", "BLOCKLIST", "")
    assert reply.extra == {"promptFeedback": {"blockReason": "BLOCKLIST"}}


def test_log_probabilities_are_in_openais_shape():
    body = answer({"text": "ä"})
    rivals = [{"candidates": [{"token": "ä", "logProbability": -0.1}, {"token": "b", "logProbability": -2}]}]
    result = {"chosenCandidates": [{"token": "ä", "tokenId": 5, "logProbability": -0.1}], "topCandidates": rivals}
    body["candidates"][0]["logprobsResult"] = result
    reply = dialect.reply_from_wire(body)
    assert reply.choices[0].logprobs == {
        "content": [
            {
                "token": "ä",
                "logprob": -0.1,
                "bytes": [195, 164],
                "top_logprobs": [
                    {"token": "ä", "logprob": -0.1, "bytes": [195, 164]},
                    {"token": "b", "logprob": -2, "bytes": [98]},
                ],
            }
        ]
    }
    assert dialect.reply_to_wire(reply) == body


def test_a_glance_sees_what_a_reader_sees():
    reply = dialect.reply_from_wire(WHOLE)
    assert dialect.glance(msgspec.json.encode(WHOLE)) == Seen(reply.usage, "tool_calls", "flex")
    assert dialect.glance(b"<html>") == Seen()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"candidates": []},
        {"candidates": 5},
        {"candidates": [5]},
        {"candidates": [{"content": 5}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
        {"candidates": [{"content": {"parts": {}}}], "usageMetadata": 5},
    ],
)
def test_nonsense_is_not_an_answer(body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)


def test_an_error_in_a_200_is_an_error():
    with pytest.raises(OverloadedError):
        dialect.reply_from_wire({"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}})


def test_another_apis_answer_is_written_for_a_caller_of_this_one():
    citation = Citation("openai_chat", {}, "https://example.com", "Page", start=5, end=10)
    parts = (
        Thinking("Hm.", "c2ln", dialect="anthropic_messages", extra={"x": 1}),
        Thinking(redacted="xyz", dialect="anthropic_messages"),
        Text("Süße Pferd", (citation,), extra={"y": 1}),
        ToolCall("a", "f", '{"x":1}', extra={"z": 1}),
        ToolCall("b", "f", '{"x'),
        Opaque("anthropic_messages", {"type": "server_tool_use"}),
    )
    usage = Usage(input=5, cache_read=2, input_audio=3, output=4, reasoning=6, extra={"k": 1})
    reply = Reply(
        id="chatcmpl-1",
        model="gpt",
        created=5,
        choices=(Choice(Message("assistant", parts, dialect="openai_chat"), "tool_calls", word="tool_calls"),),
        usage=usage,
        service_tier="default",
        extra={"system_fingerprint": "fp"},
        dialect="openai_chat",
    )
    assert dialect.reply_to_wire(reply) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "Hm.", "thought": True},
                        {"text": "Süße Pferd"},
                        {"functionCall": {"name": "f", "id": "a", "args": {"x": 1}}},
                        {"functionCall": {"name": "f", "id": "b", "args": {"INVALID_JSON": '{"x'}}},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "https://example.com", "title": "Page"}}],
                    "groundingSupports": [
                        {
                            "segment": {"startIndex": 7, "endIndex": 12, "text": "Pferd"},
                            "groundingChunkIndices": [0],
                        }
                    ],
                },
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "cachedContentTokenCount": 2,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 6,
            "totalTokenCount": 20,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}, {"modality": "AUDIO", "tokenCount": 3}],
        },
        "modelVersion": "gpt",
        "responseId": "chatcmpl-1",
    }


# --- errors ---------------------------------------------------------------------------------------------------------

RPC = "type.googleapis.com/google.rpc."


def refused(status, word=None, message="No.", *details):
    inside = {"code": status, "message": message, "status": word, "details": list(details)}
    return dialect.error_from_wire(status, {}, msgspec.json.encode({"error": inside}))


@pytest.mark.parametrize(
    ("status", "word", "message", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Please use a valid role: user, model.", InvalidRequestError),
        (400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (5).",
         ContextWindowError),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", AuthenticationError),
        (400, "FAILED_PRECONDITION", "The cache is too small.", InvalidRequestError),
        (401, "UNAUTHENTICATED", "Request had invalid credentials.", AuthenticationError),
        (403, "PERMISSION_DENIED", "The caller does not have permission.", AuthenticationError),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta.", ModelError),
        (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", RateLimitError),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, limit: 20", RateLimitError),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, limit: 0, model: x", ResourceExhaustedError),
        (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", ResourceExhaustedError),
        (402, "RESOURCE_EXHAUSTED", "No more.", ResourceExhaustedError),
        (499, "CANCELLED", "The operation was cancelled.", ServiceError),
        (500, "INTERNAL", "An internal error has occurred.", ServiceError),
        (503, "UNAVAILABLE", "The model is overloaded.", OverloadedError),
        (504, "DEADLINE_EXCEEDED", "Deadline expired.", APITimeoutError),
        (502, None, "Bad gateway", ServiceError),
    ],
)  # fmt: skip
def test_which_error_it_is(status, word, message, kind):
    error = refused(status, word, message)
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.dialect) == (status, word, message, NAME)


def test_a_wrong_key_is_said_with_a_400():
    info = {"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    error = refused(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", info)
    assert type(error) is AuthenticationError
    assert error.code == "API_KEY_INVALID"


def test_a_daily_quota_fills_up_again():
    quota = {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject-FreeTier"}]}
    wait = {"@type": RPC + "RetryInfo", "retryDelay": "34.074824224s"}
    error = refused(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", quota, wait)
    assert type(error) is RateLimitError
    assert error.transient
    assert error.retry_after == 34.074824224


@pytest.mark.parametrize(
    ("message", "details", "wait"),
    [
        ("Please retry in 48.5s.", [], 48.5),
        ("No.", [{"@type": RPC + "RetryInfo", "retryDelay": {"seconds": 3, "nanos": 500000000}}], 3.5),
        ("No.", [{"@type": RPC + "RetryInfo", "retryDelay": "soon"}], None),
        ("No.", ["nonsense"], None),
    ],
)
def test_how_long_to_wait(message, details, wait):
    assert refused(429, "RESOURCE_EXHAUSTED", message, *details).retry_after == wait


def test_a_header_says_how_long_to_wait():
    assert dialect.error_from_wire(429, {"retry-after": "7"}, b"{}").retry_after == 7


def test_the_field_and_the_request_are_named():
    error = refused(
        400,
        "INVALID_ARGUMENT",
        "Bad.",
        {"@type": RPC + "BadRequest", "fieldViolations": [{"field": "contents[0]", "description": "Bad."}]},
        {"@type": RPC + "RequestInfo", "requestId": "q-1"},
    )
    assert (error.param, error.request_id) == ("contents[0]", "q-1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'[{"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"}}]', "Slow."),
        (b"<html>no</html>", "the provider answered 429"),
        (b"slow down", "slow down"),
        (b"[]", "the provider answered 429"),
        (b'{"error": {"message": 5, "status": [], "details": 5}}', "the provider answered 429"),
    ],
)
def test_odd_bodies_are_classified_all_the_same(body, message):
    error = dialect.error_from_wire(429, {}, body)
    assert type(error) is RateLimitError
    assert error.message == message


def test_an_error_of_this_api_goes_on_as_it_came():
    body = b'{"error": {"code": 404, "message": "No.", "status": "NOT_FOUND"}}'
    written = dialect.error_to_wire(dialect.error_from_wire(404, {}, body))
    assert (written.status, written.body) == (404, body)


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (InvalidRequestError("no", param="contents"), 400, "INVALID_ARGUMENT"),
        (AuthenticationError("no"), 401, "UNAUTHENTICATED"),
        (AuthenticationError("no", status=403), 403, "PERMISSION_DENIED"),
        (ModelError("no"), 404, "NOT_FOUND"),
        (RateLimitError("no", retry_after=1.25), 429, "RESOURCE_EXHAUSTED"),
        (OverloadedError("no", status=529), 503, "UNAVAILABLE"),
        (APITimeoutError("no"), 504, "DEADLINE_EXCEEDED"),
        (ServiceError("no", status=500), 500, "INTERNAL"),
    ],
)
def test_our_errors_in_googles_envelope(error, status, word):
    written = dialect.error_to_wire(error)
    inside = msgspec.json.decode(written.body)["error"]
    assert (written.status, inside["code"], inside["status"], inside["message"]) == (status, status, word, "no")
    again = dialect.error_from_wire(written.status, written.headers, written.body)
    assert type(again) is type(error)
    assert (again.param, again.retry_after) == (error.param, 1 if error.retry_after else None)  # the header comes first


def test_a_wait_is_written_where_the_sdk_looks():
    body = msgspec.json.decode(dialect.error_to_wire(RateLimitError("no", retry_after=1.25, code="rpm")).body)
    assert body["error"]["details"] == [
        {"@type": RPC + "ErrorInfo", "reason": "rpm", "domain": "trunkline"},
        {"@type": RPC + "RetryInfo", "retryDelay": "1.25s"},
    ]
