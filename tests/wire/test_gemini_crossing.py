"""Gemini and the other APIs: what is said in one and meant in the other, and signatures that find their way back."""

from __future__ import annotations

import msgspec
from streaming import ASKED, events_of, reply_of

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text, ToolCall, ToolResult
from trunkline.vocabulary.requests import Request
from trunkline.wire import anthropic_messages, gemini, openai_chat

MODEL = Facts(model="gemini-3", reasoning=True, adaptive_thinking=True, signer="google")
GPT = Facts(model="gpt", signer="openai")

CALLED = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "look", "args": {"at": "north"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "look", "args": {"at": "south"}}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
    "modelVersion": "gemini-3",
    "responseId": "r-1",
}
SIGNED = CALLED["candidates"][0]["content"]["parts"]


def conversation(assistant):
    """What a caller of chat completions sends back."""
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "sea"} for call in assistant["tool_calls"]]
    return {"model": "m", "messages": [{"role": "user", "content": "Look."}, assistant, *results]}


def test_a_chat_caller_keeps_a_conversation_going():
    answer = openai_chat.reply_to_wire(gemini.reply_from_wire(CALLED))
    assistant = answer["choices"][0]["message"]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert [call.get("extra_content") for call in assistant["tool_calls"]] == [
        {"google": {"thought_signature": "c2ln"}},
        None,
    ]
    written = gemini.request_to_wire(openai_chat.request_from_wire(conversation(assistant)), MODEL)
    called = written.body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in called] == ["c2ln", None]
    assert [part["functionCall"]["args"] for part in called] == [{"at": "north"}, {"at": "south"}]
    asked = [part["functionCall"]["id"] for part in called]
    results = written.body["contents"][2]["parts"]
    assert [(one["functionResponse"]["id"], one["functionResponse"]["name"]) for one in results] == [
        (asked[0], "look"),
        (asked[1], "look"),
    ]
    assert written.loss == ()


def test_a_streamed_chat_caller_too():
    raw = b"data: " + msgspec.json.encode(CALLED) + b"\r\n\r\n"
    streamed = openai_chat.encoder(ASKED).encode(events_of(gemini, [raw]))
    first, second = reply_of(events_of(openai_chat, [streamed])).tool_calls
    assert (first.signature, first.dialect, first.arguments) == ("c2ln", "gemini", '{"at":"north"}')
    assert (second.signature, second.dialect) == (None, None)


def test_the_signature_stays_with_whoever_speaks_chat_completions():
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "look", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    vertex = {**call, "id": "b", "extra_content": {"vertex": {"thought_signature": "dmVy"}}}
    more = {**call, "id": "c", "extra_content": {"google": {"thought_signature": "c2ln", "x": 1}}}
    body = conversation({"role": "assistant", "content": None, "tool_calls": [call, vertex, more]})
    request = openai_chat.request_from_wire(body)
    assert [one.signature for one in request.messages[1].tool_calls] == ["c2ln", "dmVy", None]
    again = openai_chat.request_to_wire(request, GPT).body["messages"][1]["tool_calls"]
    assert again == [call, vertex, more]


def test_a_signature_reaches_no_other_provider():
    reply = gemini.reply_from_wire(CALLED)
    reply.signer = "google"
    result = Message("tool", (ToolResult(reply.tool_calls[0].id, (Text("sea"),)),))
    request = Request(model="m", messages=(said("user", "Look."), reply.to_message(), result))
    for other, facts in ((openai_chat, GPT), (anthropic_messages, Facts(model="claude", signer="anthropic"))):
        written = other.request_to_wire(request, facts)
        assert b"c2ln" not in msgspec.json.encode(written.body)
        assert [loss.kind for loss in written.loss if loss.field.endswith("signature")] == ["signature"]
    home = gemini.request_to_wire(request, MODEL)
    assert home.body["contents"][1]["parts"] == SIGNED
    assert home.loss == ()
    elsewhere = gemini.request_to_wire(request, Facts(model="gemini-3", signer="vertex"))
    assert elsewhere.body["contents"][1]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"
    assert [loss.kind for loss in elsewhere.loss] == ["signature"]


def test_a_chat_endpoints_signature_goes_back_to_it_and_to_gemini():
    part = ToolCall("a", "look", "{}", "c2ln", "gemini")
    turns = (said("user", "Look."), Message("assistant", (part,), dialect="openai_chat", signer="google"))
    chat = openai_chat.request_to_wire(Request(model="m", messages=turns), Facts(model="g", signer="google"))
    assert chat.body["messages"][1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert chat.loss == ()
    own = gemini.request_to_wire(Request(model="m", messages=turns), MODEL)
    assert own.body["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


def test_callers_who_cannot_carry_a_signature_are_excused():
    answer = anthropic_messages.reply_to_wire(gemini.reply_from_wire(CALLED))
    assert answer["stop_reason"] == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "sea"} for one in answer["content"]]
    body = {
        "model": "m",
        "max_tokens": 100,
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": results},
        ],
    }
    written = gemini.request_to_wire(anthropic_messages.request_from_wire(body), MODEL)
    called = written.body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in called] == ["skip_thought_signature_validator", None]


PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}

CHAT = {
    "model": "alias",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS}}],
    "tool_choice": "required",
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": PARAMETERS}},
    "max_tokens": 500,
    "temperature": 0.5,
    "stop": "END",
    "reasoning_effort": "low",
    "stream": True,
}

GENERATE = {
    "systemInstruction": {"parts": [{"text": "You keep a lighthouse."}]},
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "What is this?"}, {"inlineData": {"data": "iVBORw==", "mimeType": "image/png"}}],
        },
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "look", "id": "call_1", "args": {"city": "Paris"}},
                    "thoughtSignature": "skip_thought_signature_validator",
                }
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "look", "id": "call_1", "response": {"result": "rain"}}}],
        },
    ],
    "tools": [
        {"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": PARAMETERS}]}
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {
        "maxOutputTokens": 500,
        "temperature": 0.5,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": PARAMETERS,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"},
    },
}


def test_a_chat_completion_as_generate_content():
    written = gemini.request_to_wire(openai_chat.request_from_wire(CHAT), MODEL)
    assert written.body == GENERATE
    assert written.loss == ()


def test_generate_content_as_a_chat_completion():
    request = gemini.request_from_wire({**GENERATE, "model": "m", "stream": True})
    written = openai_chat.request_to_wire(request, GPT)
    *before, result = CHAT["messages"]
    messages = [*before, {**result, "name": "look"}]
    usage = {"stream_options": {"include_usage": True}}
    assert written.body == {**CHAT, "model": "gpt", "messages": messages, "stop": ["END"], **usage}
    assert {loss.row for loss in written.loss} == {"signature", "reasoning_summary"}


def test_a_stream_of_another_api_is_read_back_as_what_it_was():
    chunks = [
        {"id": "c", "model": "gpt", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]},
        {"id": "c", "model": "gpt", "choices": [{"index": 0, "delta": {"content": "lo"}}]},
        {"id": "c", "model": "gpt", "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
        {"id": "c", "model": "gpt", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    raw = b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in chunks) + b"data: [DONE]\n\n"
    written = gemini.encoder(ASKED).encode(events_of(openai_chat, [raw]))
    reply = reply_of(events_of(gemini, [written]))
    assert (reply.id, reply.model, reply.text, reply.finish) == ("c", "gpt", "Hello", "length")
    assert (reply.usage.input, reply.usage.output) == (3, 2)
