"""Emulation: tools for a model that has none, by a JSON schema that its answer must fit.

Owns the way a tool is put into words and its call is read back. The runtime constrains the grammar, so the answer is
always valid JSON of the form below; whether it is wise is up to the model. Used where a row says `tools_by_schema`.

    {"tool": "get_weather", "arguments": {"city": "Paris"}}      or, where it may, {"answer": "…"}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Event,
    Finished,
    TextDelta,
    ToolCallStarted,
)
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Text, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Decoder, Json
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat, Tool, ToolChoice

from .fields import an_object


def request(asked: Request) -> Request:
    """The same request without tools: they stand in the system prompt, and a schema makes the answer a call."""
    tools = [tool for tool in asked.tools if isinstance(tool, Tool)]
    choice = asked.tool_choice or ToolChoice()
    messages = tuple(_without_tools(message) for message in asked.messages)
    plain = replace(asked, tools=(), tool_choice=None, messages=messages)
    if choice.mode == "none" or not tools:
        return plain
    if choice.mode == "tool":
        tools = [tool for tool in tools if tool.name == choice.name] or tools
    may_answer = choice.mode == "auto"
    form = ResponseFormat("schema", _schema(tools, may_answer), "call")
    return replace(plain, response_format=form, messages=(_instruction(tools, may_answer), *messages))


def _schema(tools: Sequence[Tool], may_answer: bool) -> Json:
    forms = [_call_schema(tool) for tool in tools]
    if may_answer:
        forms.append(_object({"answer": {"type": "string"}}))
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _call_schema(tool: Tool) -> Json:
    return _object({"tool": {"const": tool.name}, "arguments": tool.parameters})


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _instruction(tools: Sequence[Tool], may_answer: bool) -> Message:
    lines = [
        "You are a helpful assistant. Answer with a JSON object that calls one of these tools:",
        *(f"- {tool.name}: {tool.description or ''} {_arguments(tool)}" for tool in tools),
    ]
    if may_answer:
        lines.append('If no tool is needed, answer with {"answer": "…"}.')
    return Message("system", (Text("\n".join(lines)),))


def _arguments(tool: Tool) -> str:
    return msgspec.json.encode(tool.parameters.get("properties", {})).decode()


def _without_tools(message: Message) -> Message:
    if not any(isinstance(part, ToolCall | ToolResult) for part in message.parts):
        return message
    role = "user" if message.role == "tool" else message.role
    return Message(role, tuple(_in_words(part) for part in message.parts), name=message.name)


def _in_words(part: AnyPart) -> AnyPart:
    match part:
        case ToolCall():
            return Text(f'{{"tool": "{part.name}", "arguments": {part.arguments}}}')
        case ToolResult():
            return Text(f"The tool answered: {part.text}")
        case _:
            return part


def reply(answered: Reply) -> Reply:
    """The reply as it would have been with tools: a call, or the answer's plain text."""
    answered.choices = tuple(_choice(choice) for choice in answered.choices)
    return answered


def _choice(choice: Choice) -> Choice:
    parts = _said(choice.message.text, choice.index)
    message = replace(choice.message, parts=parts)
    return replace(choice, message=message, finish=_finish(parts, choice.finish))


def _said(text: str, choice: int) -> tuple[AnyPart, ...]:
    """The parts that an answer of the schema's form stands for."""
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.MsgspecError:  # cut by max_tokens: the text is all there is
        return (Text(text),)
    form = an_object(value)
    if isinstance(name := form.get("tool"), str):
        arguments = msgspec.json.encode(form.get("arguments", {})).decode()
        return (ToolCall(f"call_{choice}_{crc32(text.encode()):08x}", name, arguments),)
    return (Text(str(form.get("answer", text))),)


def _finish(parts: tuple[AnyPart, ...], finish: str | None) -> str | None:
    return "tool_calls" if finish == "stop" and any(isinstance(part, ToolCall) for part in parts) else finish


def decoder(inner: Decoder) -> Decoder:
    """A decoder whose text is read as calls: it waits for the whole of it, for half a call is none."""
    return _Calls(inner)


class _Calls:
    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._words: dict[int, list[str]] = {}

    def feed(self, data: bytes) -> list[Event]:
        return self._read(self._inner.feed(data))

    def close(self) -> list[Event]:
        return self._read(self._inner.close())

    def _read(self, events: list[Event]) -> list[Event]:
        read: list[Event] = []
        for event in events:
            match event:
                case TextDelta():
                    self._words.setdefault(event.choice, []).append(event.delta)
                case Finished():
                    read += self._finished(event)
                case _:
                    read.append(event)
        return read

    def _finished(self, event: Finished) -> list[Event]:
        choice = event.choice
        parts = _said("".join(self._words.pop(choice, [])), choice)
        events: list[Event] = []
        for part in parts:
            if isinstance(part, ToolCall):
                events.append(ToolCallStarted(choice=choice, id=part.id, name=part.name))
                events.append(ArgumentsDelta(choice=choice, delta=part.arguments))
            elif isinstance(part, Text):
                events.append(TextDelta(choice=choice, delta=part.text))
        return [*events, replace(event, finish=_finish(parts, event.finish) or event.finish)]
