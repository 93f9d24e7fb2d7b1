"""Across: what is said in one API and meant in the other. Golden examples of our own making, both ways."""

from __future__ import annotations

import msgspec
import pytest
from streaming import bodies, events_of, frames, reply_of, until_error

from trunkline.vocabulary.errors import CutOff, OverloadedError, RateLimitError
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import File, Source, Text
from trunkline.vocabulary.requests import Request
from trunkline.wire import anthropic_messages, openai_chat

CLAUDE = Facts(model="claude", max_output=8192)
GPT = Facts(model="gpt", quirks=Quirks(developer_role=True))


def across(body, source, target, facts):
    """A request that came in one API, written in the other, and the fields that could not be said."""
    written = target.request_to_wire(source.request_from_wire(body), facts)
    return written.body, {loss.field for loss in written.loss}


# --- requests -------------------------------------------------------------------------------------------------------

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "additionalProperties": False}

CHAT = {
    "model": "alias",
    "messages": [
        {"role": "system", "content": "You keep a lighthouse."},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                {"type": "file", "file": {"filename": "log.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS}},
    ],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
    "max_tokens": 500,
    "temperature": 0.5,
    "stop": ["END"],
    "user": "u1",
    "service_tier": "default",
    "stream": True,
}

MESSAGES = {
    "model": "claude",
    "system": [{"type": "text", "text": "You keep a lighthouse."}, {"type": "text", "text": "Be brief."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "log.pdf",
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "call_2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "sun"},
                {"type": "text", "text": "And?"},
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "max_tokens": 500,
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u1"},
    "service_tier": "standard_only",
    "stream": True,
}


def test_a_chat_completion_as_messages():
    assert across(CHAT, openai_chat, anthropic_messages, CLAUDE) == (MESSAGES, set())


def test_messages_as_a_chat_completion():
    body, loss = across(MESSAGES, anthropic_messages, openai_chat, GPT)
    system = [{"type": "text", "text": "You keep a lighthouse."}, {"type": "text", "text": "Be brief."}]
    expected = {
        **CHAT,
        "model": "gpt",
        "messages": [{"role": "system", "content": system}, *CHAT["messages"][2:]],
        "stream_options": {"include_usage": True},
    }
    assert (body, loss) == (expected, set())


def test_a_conversation_survives_going_there_and_back():
    there, _ = across(MESSAGES, anthropic_messages, openai_chat, GPT)
    assert across(there, openai_chat, anthropic_messages, CLAUDE) == (MESSAGES, set())


def test_what_messages_say_and_chat_completions_cannot():
    body = {
        "model": "m",
        "max_tokens": 100,
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "context_management": {},
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "text", "text": "Look."},
                    {"type": "tool_use", "id": "a", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "dark"},
                            {"type": "image", "source": {"type": "url", "url": "https://example.com"}},
                        ],
                    }
                ],
            },
        ],
    }
    written, loss = across(body, anthropic_messages, openai_chat, GPT)
    assert written["messages"] == [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "dark"},
    ]
    assert written["reasoning_effort"] == "low"
    assert loss == {
        "context_management",
        "top_k",
        "tools",
        "messages[0].content[0].cache_control",
        "messages[1].content[0].signature",
        "messages[1].content[0]",
        "messages[2].content[0]",
        "messages[2].content[0].is_error",
    }


def test_what_chat_completions_say_and_messages_cannot():
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi", "name": "Ada"},
            {"role": "assistant", "content": "", "reasoning_content": "Hm.", "audio": {"id": "x"}},
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]},
        ],
        "temperature": 1.2,
        "n": 2,
        "seed": 3,
        "logit_bias": {"1": 1},
        "frequency_penalty": 0,
        "response_format": {"type": "json_object"},
        "prediction": {},
        "reasoning_effort": "medium",
    }
    written, loss = across(body, openai_chat, anthropic_messages, CLAUDE)
    assert written["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Be kind."}]},
    ]
    assert written["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert loss == {
        "prediction",
        "messages[0].name",
        "messages[1].content[2]",
        "messages[1].content[0]",
        "messages[2].role",
        "messages[3].content[0]",
        "temperature",
        "n",
        "seed",
        "logit_bias",
        "response_format",
    }


@pytest.mark.parametrize(
    ("chat", "messages"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "look"}}, {"type": "tool", "name": "look"}),
    ],
)
def test_tool_choices_mean_the_same(chat, messages):
    base = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    tools = {"tools": CHAT["tools"], "tool_choice": chat}
    assert across(base | tools, openai_chat, anthropic_messages, CLAUDE)[0]["tool_choice"] == messages
    tools = {"tools": MESSAGES["tools"], "tool_choice": messages}
    assert across(base | tools, anthropic_messages, openai_chat, GPT)[0]["tool_choice"] == chat


# --- replies --------------------------------------------------------------------------------------------------------

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning_content": "Hm.",
                "content": "Rain.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}}
                ],
                "refusal": None,
            },
            "logprobs": None,
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

MESSAGE = {
    "id": "chatcmpl-1",
    "type": "message",
    "role": "assistant",
    "model": "gpt",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Rain."},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"city": "Paris"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 15,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}


def test_a_completion_as_a_message():
    assert anthropic_messages.reply_to_wire(openai_chat.reply_from_wire(COMPLETION)) == MESSAGE


def test_a_message_as_a_completion():
    completion = openai_chat.reply_to_wire(anthropic_messages.reply_from_wire(MESSAGE))
    assert completion == {**COMPLETION, "created": 0}


FINISHES = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("tool_use", "tool_calls"),
    ("stop_sequence", "stop"),
    ("refusal", "stop"),
    ("pause_turn", "stop"),
    ("model_context_window_exceeded", "length"),
]


@pytest.mark.parametrize(("theirs", "ours"), FINISHES)
def test_why_a_message_ended_in_openais_words(theirs, ours):
    reply = anthropic_messages.reply_from_wire({**MESSAGE, "content": [], "stop_reason": theirs})
    assert openai_chat.reply_to_wire(reply)["choices"][0]["finish_reason"] == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("function_call", "tool_use")],
)
def test_why_a_completion_ended_in_anthropics_words(theirs, ours):
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": theirs}]}
    assert anthropic_messages.reply_to_wire(openai_chat.reply_from_wire(body))["stop_reason"] == ours


# --- streams --------------------------------------------------------------------------------------------------------


def rewritten(raw, source, target, usage=True):
    """A stream of one API, said in the other, event by event."""
    encoder = target.encoder(Request(model="m", messages=(), include_usage=usage))
    return b"".join(encoder.encode([event]) for event in events_of(source, [raw]))


HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "gpt"}


def chunk(finish=None, **delta):
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def grown(index, arguments):
    return chunk(tool_calls=[{"index": index, "function": {"arguments": arguments}}])


def called(index, call_id):
    function = {"name": "look", "arguments": ""}
    return chunk(tool_calls=[{"index": index, "id": call_id, "type": "function", "function": function}])


CHAT_STREAM = frames(
    {**HEAD, "id": "", "model": "", "choices": [], "prompt_filter_results": []},
    chunk(role="assistant", content=""),
    chunk(reasoning_content="Hm."),
    chunk(content="Ra"),
    chunk(content="in."),
    called(0, "a"),
    called(1, "b"),
    grown(0, '{"city":'),
    grown(1, "{}"),
    grown(0, '"Paris"}'),
    chunk("tool_calls"),
    {**HEAD, "choices": [], "usage": COMPLETION["usage"]},
    b"[DONE]",
)


def block(index, **body):
    return {"type": "content_block_start", "index": index, "content_block": body}


def more(index, kind, **delta):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def stop(index):
    return {"type": "content_block_stop", "index": index}


NOUGHT = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 0,
}

MESSAGE_STREAM = [
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": NOUGHT},
    },
    block(0, type="thinking", thinking="", signature=""),
    more(0, "thinking_delta", thinking="Hm."),
    stop(0),
    block(1, type="text", text=""),
    more(1, "text_delta", text="Ra"),
    more(1, "text_delta", text="in."),
    stop(1),
    block(2, type="tool_use", id="a", name="look", input={}),
    more(2, "input_json_delta", partial_json='{"city":'),
    more(2, "input_json_delta", partial_json='"Paris"}'),
    stop(2),
    block(3, type="tool_use", id="b", name="look", input={}),
    more(3, "input_json_delta", partial_json="{}"),
    stop(3),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": MESSAGE["usage"],
    },
    {"type": "message_stop"},
]


def test_a_chat_stream_as_messages():
    assert bodies(rewritten(CHAT_STREAM, openai_chat, anthropic_messages)) == MESSAGE_STREAM


def test_a_message_stream_as_chat():
    said = bodies(rewritten(frames(*MESSAGE_STREAM), anthropic_messages, openai_chat))
    assert said == [
        chunk(role="assistant", content="", reasoning_content="Hm."),
        chunk(content="Ra"),
        chunk(content="in."),
        called(0, "a"),
        grown(0, '{"city":'),
        grown(0, '"Paris"}'),
        called(1, "b"),
        grown(1, "{}"),
        chunk("tool_calls"),
        {**HEAD, "choices": [], "usage": COMPLETION["usage"]},
        b"[DONE]",
    ]


def test_usage_is_told_only_to_those_who_asked():
    raw = rewritten(frames(*MESSAGE_STREAM), anthropic_messages, openai_chat, usage=False)
    assert b"usage" not in raw


def test_there_and_back_says_the_same():
    back = rewritten(rewritten(CHAT_STREAM, openai_chat, anthropic_messages), anthropic_messages, openai_chat)
    again, once = reply_of(events_of(openai_chat, [back])), reply_of(events_of(openai_chat, [CHAT_STREAM]))
    assert (again.choices, again.usage) == (once.choices, once.usage)


@pytest.mark.parametrize(
    ("source", "target", "good", "bad"),
    [
        (
            openai_chat,
            anthropic_messages,
            frames(chunk(content="Hi")),
            frames({"error": {"message": "busy", "code": "model_overloaded"}}),
        ),
        (
            anthropic_messages,
            openai_chat,
            frames(*MESSAGE_STREAM[:3]),
            frames({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
        ),
    ],
)
def test_an_error_in_a_stream_is_an_error_over_there(source, target, good, bad):
    events, error = until_error(source, [good + bad])
    encoder = target.encoder(Request(model="m", messages=()))
    raw = encoder.encode(events) + target.broken(error)
    seen, again = until_error(target, [raw])
    assert type(error) is OverloadedError
    assert any(event.content for event in seen)
    assert "busy" in again.message and again.transient
    assert isinstance(until_error(source, [good])[1], CutOff)


# --- errors ---------------------------------------------------------------------------------------------------------


def test_a_refusal_crosses_with_its_wait_and_its_name():
    body = msgspec.json.encode({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    error = openai_chat.error_from_wire(429, {"retry-after": "7", "x-request-id": "r1"}, body)
    told = anthropic_messages.error_to_wire(error)
    assert (told.status, told.headers["retry-after"], told.headers["request-id"]) == (429, "7", "r1")
    assert msgspec.json.decode(told.body)["error"]["type"] == "rate_limit_error"
    back = anthropic_messages.error_from_wire(told.status, told.headers, told.body)
    assert type(back) is RateLimitError and (back.retry_after, back.request_id) == (7, "r1")


def test_an_overload_crosses_the_other_way():
    body = msgspec.json.encode({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    told = openai_chat.error_to_wire(anthropic_messages.error_from_wire(529, {"request-id": "r2"}, body))
    assert told.status == 529 and told.headers["x-request-id"] == "r2"
    inside = msgspec.json.decode(told.body)["error"]
    assert (inside["type"], inside["code"]) == ("server_error", "overloaded_error")
    assert "Overloaded" in inside["message"]


@pytest.mark.parametrize(("accepts", "sent"), [(frozenset(), False), (frozenset({"file_url"}), True)])
def test_a_linked_file_is_lost_where_the_target_fetches_none(accepts, sent):
    linked = File(Source(url="https://example.com/a.pdf"), "a.pdf")
    request = Request(model="m", messages=(Message("user", (Text("Read"), linked)),))
    written = openai_chat.request_to_wire(request, Facts(model="m", quirks=Quirks(accepts=accepts)))
    assert ("https://example.com/a.pdf" in str(written.body)) is sent
    assert bool(written.loss) is not sent
