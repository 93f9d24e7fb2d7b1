"""The matrix: what each dialect's column says is what its writer does, row by row."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import (
    Audio,
    CacheMark,
    Citation,
    File,
    Image,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar.matrix import ROWS
from trunkline.wire.registry import CHAT

SERVER = Facts(model="m", reasoning=True, tools=True)
HELLO = said("user", "Hello")
TOOL = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
TREE = {"type": "object", "properties": {"leaves": {"type": "array", "items": {"$ref": "#"}}}}
PICTURE = Source(data="iVBORw0KGgo=", media_type="image/png")
PAGE = Source(data="JVBERi0=", media_type="application/pdf")


def asking(*messages, **more):
    return Request(model="m", messages=messages or (HELLO,), **more)


def showing(*parts):
    return asking(Message("user", (Text("Look."), *parts)))


def answered(*parts, **more):
    called = Message("assistant", (ToolCall("call_1", "add", '{"a":1}'),))
    return asking(HELLO, called, Message("tool", (ToolResult("call_1", parts, **more),)), tools=(TOOL,))


def spoke(*parts):
    return asking(HELLO, Message("assistant", (*parts, Text("Yes."))), HELLO)


def setting(name, value):
    return asking(settings=Settings(**{name: value}), tools=(TOOL,) if name == "parallel_tool_calls" else ())


SAMPLES = {
    "system": asking(said("system", "Be brief."), HELLO),
    "system_midway": asking(HELLO, said("assistant", "Hi."), said("system", "Be brief."), HELLO),
    "speaker": asking(Message("user", (Text("Hello"),), name="Ann")),
    "text": asking(),
    "image_url": showing(Image(Source(url="https://example.com/a.png"))),
    "image_data": showing(Image(PICTURE)),
    "image_detail": showing(Image(PICTURE, "low")),
    "audio": showing(Audio(Source(data="UklGRg==", media_type="audio/wav"), "wav")),
    "audio_url": showing(Audio(Source(url="https://example.com/a.wav", media_type="audio/wav"), "wav")),
    "file_data": showing(File(PAGE, "a.pdf")),
    "file_text": showing(File(Source(data="aGVsbG8=", media_type="text/plain"), "a.txt")),
    "file_url": showing(File(Source(url="https://example.com/a.pdf", media_type="application/pdf"), "a.pdf")),
    "file_name": showing(File(PAGE, "a.pdf")),
    "assistant_media": spoke(Image(PICTURE)),
    "thinking": spoke(Thinking("Hm.")),
    "tool_call": answered(Text("3")),
    "tool_result": answered(Text("3")),
    "tool_result_media": answered(Text("3"), Image(PICTURE)),
    "tool_result_error": answered(Text("no"), is_error=True),
    "refusal": spoke(Refusal("No.")),
    "citations": spoke(Text("It is.", (Citation("elsewhere", {}, "https://example.com", "A page"),))),
    "cache": asking(said("user", Text("Hello", cache=CacheMark()))),
    "tools": asking(tools=(TOOL,)),
    "tool_strict": asking(tools=(Tool("add", "Adds.", CLOSED, strict=True),)),
    "choice_none": asking(tools=(TOOL,), tool_choice=ToolChoice("none")),
    "choice_required": asking(tools=(TOOL,), tool_choice=ToolChoice("required")),
    "choice_tool": asking(tools=(TOOL,), tool_choice=ToolChoice("tool", "add")),
    "choice_allowed": asking(tools=(TOOL,), tool_choice=ToolChoice("required", allowed=("add",))),
    "json": asking(response_format=ResponseFormat("json")),
    "schema": asking(response_format=ResponseFormat("schema", {"type": "object", "properties": {}})),
    "schema_recursive": asking(response_format=ResponseFormat("schema", TREE)),
    "reasoning_effort": setting("reasoning", Reasoning("high")),
    "reasoning_budget": setting("reasoning", Reasoning(budget=2048)),
    "reasoning_adaptive": setting("reasoning", Reasoning(adaptive=True)),
    "reasoning_off": setting("reasoning", Reasoning(off=True)),
    "reasoning_summary": setting("reasoning", Reasoning("high", summary="auto")),
    "max_tokens": setting("max_tokens", 5000),
    "temperature": setting("temperature", 0.5),
    "top_p": setting("top_p", 0.5),
    "top_k": setting("top_k", 5),
    "stop": setting("stop", ("END",)),
    "seed": setting("seed", 1),
    "frequency_penalty": setting("frequency_penalty", 0.5),
    "presence_penalty": setting("presence_penalty", 0.5),
    "n": setting("n", 2),
    "logprobs": setting("logprobs", True),
    "top_logprobs": asking(settings=Settings(logprobs=True, top_logprobs=2)),
    "logit_bias": setting("logit_bias", {"50256": -100.0}),
    "user": setting("user", "u1"),
    "metadata": setting("metadata", {"a": "b"}),
    "service_tier": setting("service_tier", "default"),
    "parallel_tool_calls": setting("parallel_tool_calls", False),
    "verbosity": setting("verbosity", "low"),
    "store": setting("store", True),
    "modalities": setting("modalities", ("text", "image")),
    "prompt_cache_key": setting("prompt_cache_key", "k"),
    "safety_identifier": setting("safety_identifier", "u"),
}
"""A request for every row that says it."""


HOLDS = {
    "image_detail": "image_data",
    "file_name": "file_data",
    "tool_strict": "tools",
    "schema_recursive": "schema",
    "choice_none": "tools",
    "choice_required": "tools",
    "choice_tool": "tools",
    "choice_allowed": "tools",
    "parallel_tool_calls": "tools",
    "tool_result_media": "tool_result",
    "tool_result_error": "tool_result",
}
"""What is lost already where the whole of it is."""


def test_every_row_has_a_sample():
    assert set(SAMPLES) == set(ROWS)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("dialect", CHAT, ids=lambda dialect: dialect.name)
def test_a_column_says_what_its_writer_does(dialect, row):
    written = dialect.request_to_wire(SAMPLES[row], SERVER)
    lost = {loss.row for loss in written.loss}
    how = dialect.says[row]
    if how in {"native", "translated"}:
        assert row not in lost
    elif how == "lost":
        assert row in lost or HOLDS.get(row) in lost
    assert all(dialect.says.get(name, "lost") in {"lost", "emulated"} for name in lost)


@pytest.mark.parametrize("row", [row for row in ROWS if row not in {"text", "file_name"}])
@pytest.mark.parametrize("dialect", CHAT, ids=lambda dialect: dialect.name)
def test_what_is_said_is_on_the_wire_and_what_is_lost_is_not(dialect, row):
    """A native or translated row changes the body; a lost one leaves the rest as it would be without it."""
    if dialect.says[row] not in {"native", "translated"}:
        return
    body = dialect.request_to_wire(SAMPLES[row], SERVER).body
    bare = dialect.request_to_wire(asking(), SERVER).body
    assert msgspec.json.encode(body) != msgspec.json.encode(bare)
