"""Across: what chat completions and Messages say, said as responses, and back again. Examples of our own making."""

from __future__ import annotations

import pytest
from streaming import bodies, events_of, frames, reply_of, until_error

from trunkline.vocabulary.errors import OverloadedError
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.requests import Request
from trunkline.wire import anthropic_messages, openai_chat, openai_responses

GPT = Facts(model="gpt", quirks=Quirks(developer_role=True))
CLAUDE = Facts(model="claude", max_output=8192)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def across(body, source, target, facts):
    """A request that came in one API, written in the other, and the rows of the matrix that were lost."""
    written = target.request_to_wire(source.request_from_wire(body), facts)
    rows = {loss.row for loss in written.loss}
    assert not any(target.says.get(row) in {"native", "translated"} for row in rows)
    return written.body, rows


# --- requests ---------------------------------------------------------------------------------------------------------

CHAT = {
    "model": "gpt",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                {"type": "file", "file": {"filename": "log.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
        {"role": "assistant", "content": None, "refusal": "I would rather not."},
        {"role": "system", "content": "Be kind now."},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS, "strict": True},
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": PARAMETERS, "strict": True},
    },
    "reasoning_effort": "low",
    "verbosity": "high",
    "logprobs": True,
    "top_logprobs": 2,
    "max_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "user": "u1",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "stream": True,
}

RESPONSES = {
    "model": "gpt",
    "input": [
        {"role": "system", "content": "You keep a lighthouse."},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "low"},
                {"type": "input_image", "image_url": "https://example.com/x.png"},
                {"type": "input_file", "filename": "log.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            ],
        },
        {"role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"city":"Paris"}'},
        {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_2", "output": "sun"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I would rather not."}]},
        {"role": "system", "content": "Be kind now."},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"type": "function", "name": "look", "description": "Looks.", "parameters": PARAMETERS, "strict": True},
    ],
    "tool_choice": {"type": "function", "name": "look"},
    "parallel_tool_calls": False,
    "text": {
        "format": {"type": "json_schema", "name": "place", "schema": PARAMETERS, "strict": True},
        "verbosity": "high",
    },
    "reasoning": {"effort": "low"},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "user": "u1",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "stream": True,
}

MESSAGES = {
    "model": "claude",
    "system": "You keep a lighthouse.",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "log.pdf",
                },
                {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "rain"},
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/r.png"}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "sun"},
                {"type": "text", "text": "And?"},
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": PARAMETERS | {"additionalProperties": False}}},
    "max_tokens": 500,
    "temperature": 0.5,
    "metadata": {"user_id": "u1"},
    "service_tier": "standard_only",
    "stream": True,
}


def test_a_chat_completion_as_a_response():
    assert across(CHAT, openai_chat, openai_responses, GPT) == (RESPONSES, set())


def test_a_chat_completion_survives_going_there_and_back():
    there, _ = across(CHAT, openai_chat, openai_responses, GPT)
    body, lost = across(there, openai_responses, openai_chat, GPT)
    assert body.pop("stream_options") == {"include_usage": True}
    assert (body, lost) == (CHAT, set())


def test_messages_survive_going_there_and_back():
    there, lost = across(MESSAGES, anthropic_messages, openai_responses, GPT)
    assert lost == set()
    tools = there["tools"]
    assert tools[0].pop("strict") is False  # the default there is another
    body, lost = across(there, openai_responses, anthropic_messages, CLAUDE)
    assert (body, lost) == (MESSAGES, set())


def test_instructions_are_a_system_prompt_elsewhere():
    body = {"model": "m", "instructions": "Be brief.", "input": "Hi"}
    chat, _ = across(body, openai_responses, openai_chat, GPT)
    assert chat["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    messages, _ = across(body, openai_responses, anthropic_messages, CLAUDE)
    assert (messages["system"], messages["messages"]) == ("Be brief.", [{"role": "user", "content": "Hi"}])


def test_what_only_this_api_has_is_lost_elsewhere_and_leaves_no_empty_turns():
    body = {
        "model": "m",
        "previous_response_id": "resp_1",
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "item_reference", "id": "msg_1"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"role": "user", "content": "So?"},
        ],
        "tools": [{"type": "web_search"}],
    }
    for other, facts in ((openai_chat, GPT), (anthropic_messages, CLAUDE)):
        written = other.request_to_wire(openai_responses.request_from_wire(body), facts)
        assert {turn["role"] for turn in written.body["messages"]} == {"user"}
        fields = {loss.field for loss in written.loss}
        assert {"previous_response_id", "include", "tools", "messages[1].content[0]"} <= fields
        assert {loss.row for loss in written.loss} == {"extra", "tool_opaque", "opaque", "signature"}


def test_reasoning_of_this_api_goes_as_text_to_servers_that_take_it():
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "So?"},
        ],
    }
    facts = Facts(model="m", quirks=Quirks(reasoning_key="reasoning_content"))
    chat, lost = across(body, openai_responses, openai_chat, facts)
    assert chat["messages"][1] == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    assert lost == set()


def test_a_cache_mark_is_one_elsewhere():
    marked = {"type": "input_text", "text": "Long.", "prompt_cache_breakpoint": {"mode": "explicit"}}
    body = {"model": "m", "input": [{"role": "user", "content": [marked, {"type": "input_text", "text": "Hi"}]}]}
    messages, lost = across(body, openai_responses, anthropic_messages, CLAUDE)
    assert messages["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"} and lost == set()


# --- replies ----------------------------------------------------------------------------------------------------------

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "gpt",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning_content": "Hm.",
                "content": "Rain.",
                "refusal": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}}
                ],
            },
            "logprobs": {"content": [{"token": "Rain", "logprob": -0.1, "bytes": [82], "top_logprobs": []}]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    },
}


def test_a_completion_survives_going_there_and_back():
    there = openai_responses.reply_to_wire(openai_chat.reply_from_wire(COMPLETION))
    back = openai_chat.reply_to_wire(openai_responses.reply_from_wire(there))
    assert {key: back[key] for key in COMPLETION} == COMPLETION


def test_a_response_as_a_message():
    response = {
        "id": "resp_1",
        "model": "gpt",
        "status": "completed",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Rain.", "annotations": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "look", "arguments": '{"city":"Paris"}'},
        ],
        "usage": {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 9},
    }
    message = anthropic_messages.reply_to_wire(openai_responses.reply_from_wire(response))
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Rain."},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"city": "Paris"}},
    ]
    assert message["stop_reason"] == "tool_use"
    usage = message["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (15, 5, 9)


# --- streams ----------------------------------------------------------------------------------------------------------

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt"}


def chunk(finish=None, **delta):
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(index, arguments="", **more):
    return chunk(tool_calls=[{"index": index, **more, "function": {**_named(more), "arguments": arguments}}])


def _named(more):
    return {"name": "look"} if "id" in more else {}


CHAT_STREAM = frames(
    chunk(role="assistant", content=""),
    chunk(reasoning_content="Hm."),
    chunk(content="Ra"),
    chunk(content="in."),
    called(0, id="a", type="function"),
    called(1, id="b", type="function"),
    called(0, '{"city":'),
    called(1, "{}"),
    called(0, '"Paris"}'),
    chunk("tool_calls"),
    {**HEAD, "choices": [], "usage": COMPLETION["usage"]},
    b"[DONE]",
)

PIECE = {"type": "input_json_delta", "partial_json": '{"city":"Paris"}'}

MESSAGE_STREAM = frames(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 15, "cache_read_input_tokens": 5, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Rain."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "a", "name": "look", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": PIECE},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
)  # fmt: skip


def rewritten(raw, source, target):
    """A stream of one API, said in the other, event by event."""
    encoder = target.encoder(Request(model="m", messages=(), include_usage=True))
    return b"".join(encoder.encode([event]) for event in events_of(source, [raw]))


def heard(raw, dialect):
    reply = reply_of(events_of(dialect, [raw]))
    calls = [(call.id, call.name, call.arguments) for call in reply.tool_calls]
    return reply.text, reply.message.thinking, calls, reply.finish, reply.usage, reply.id, reply.model


@pytest.mark.parametrize(("raw", "source"), [(CHAT_STREAM, openai_chat), (MESSAGE_STREAM, anthropic_messages)])
def test_a_stream_survives_going_there_and_back(raw, source):
    there = rewritten(raw, source, openai_responses)
    assert heard(there, openai_responses) == heard(raw, source)
    assert heard(rewritten(there, openai_responses, source), source) == heard(raw, source)


@pytest.mark.parametrize(("raw", "source"), [(CHAT_STREAM, openai_chat), (MESSAGE_STREAM, anthropic_messages)])
def test_the_official_sdk_accepts_every_event(raw, source):
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    adapter = TypeAdapter(ResponseStreamEvent)
    for event in bodies(rewritten(raw, source, openai_responses)):
        assert adapter.validate_python(event).type == event["type"]


def test_calls_that_grow_side_by_side_stay_apart():
    said = bodies(rewritten(CHAT_STREAM, openai_chat, openai_responses))
    deltas = [one for one in said if one["type"] == "response.function_call_arguments.delta"]
    assert [(one["output_index"], one["delta"]) for one in deltas] == [(2, '{"city":'), (3, "{}"), (2, '"Paris"}')]
    assert len({one["item_id"] for one in deltas}) == 2


@pytest.mark.parametrize("target", [openai_chat, anthropic_messages])
def test_an_error_in_a_stream_is_an_error_over_there(target):
    start = {"type": "response.created", "response": {"id": "resp_1", "model": "m"}}
    text = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}
    bad = {"type": "error", "error": {"code": "model_overloaded", "message": "busy"}}
    events, error = until_error(openai_responses, [frames(start, text, bad)])
    assert type(error) is OverloadedError
    raw = target.encoder(Request(model="m", messages=())).encode(events) + target.broken(error)
    seen, again = until_error(target, [raw])
    assert any(event.content for event in seen) and "busy" in again.message
