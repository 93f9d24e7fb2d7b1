"""Emulation: tools for a model that has none, by a JSON schema that its answer must fit.

Owns the way a tool is put into words and its call is read back. The runtime constrains the grammar, so the answer is
always of the form below; whether it is wise is up to the model. Used where a row says `tools_by_schema`. The wording
was measured on the embedded model (docs/local.md): the key `tool` comes first, the way out has the same first key, and
examples help more than explanations.

    {"tool": "get_weather", "arguments": {"city": "Paris"}}
    {"tool": "none", "answer": "…"}                            where it may answer in words
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
from trunkline.vocabulary.messages import Message, said, system_text
from trunkline.vocabulary.parts import AnyPart, Text, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Decoder, Json
from trunkline.vocabulary.replies import Choice, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat, Tool, ToolChoice

from .fields import an_object

NONE = "none"

_EXAMPLES = (
    ("What time is it in Rome?", {"tool": "get_time", "arguments": {"city": "Rome"}}),
    ("Who are you?", {"tool": NONE, "answer": "I am a helpful assistant."}),
    ("Multiply 6 by 7.", {"tool": "multiply", "arguments": {"x": 6, "y": 7}}),
    ("Hello!", {"tool": NONE, "answer": "Hello! How can I help?"}),
)
"""Turns that show the form. Their tools need not exist: the grammar allows only those that do."""


def request(asked: Request) -> Request:
    """The same request without tools: they stand in the system prompt, and a schema makes the answer a call.

    Once a tool has answered, the model is asked for words: offered its tools again, it repeats the call.
    """
    tools = [tool for tool in asked.tools if isinstance(tool, Tool)]
    choice = asked.tool_choice or ToolChoice()
    told = _told(asked.messages)
    plain = replace(asked, tools=(), tool_choice=None, messages=told)
    answered = choice.mode == "auto" and any(isinstance(part, ToolResult) for part in asked.messages[-1].parts)
    if choice.mode == "none" or not tools or answered:
        return plain
    if choice.mode == "tool":
        tools = [tool for tool in tools if tool.name == choice.name] or tools
    may_answer = choice.mode == "auto"
    shown = (*_instruction(told, tools, may_answer), *(message for message in told if message.role not in _SYSTEM))
    return replace(plain, response_format=ResponseFormat("schema", _schema(tools, may_answer), "call"), messages=shown)


_SYSTEM = frozenset({"system", "developer"})


def _schema(tools: Sequence[Tool], may_answer: bool) -> Json:
    forms = [_object({"tool": {"const": tool.name}, "arguments": tool.parameters}) for tool in tools]
    if may_answer:
        forms.append(_object({"tool": {"const": NONE}, "answer": {"type": "string"}}))
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _instruction(messages: Sequence[Message], tools: Sequence[Tool], may_answer: bool) -> list[Message]:
    """The system prompt that names the tools, and turns that show how they are called."""
    lines = [system_text(messages) or "You are a helpful assistant.", "You can call these functions:"]
    for tool in tools:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        lines.append(msgspec.json.encode(function).decode())
    rule = 'If a function helps to answer, call it: {"tool": name, "arguments": {...}}.'
    if may_answer:
        rule += ' If the user just talks or asks something else, answer: {"tool": "none", "answer": "..."}.'
    lines.append(rule)
    turns = [said("system", "\n".join(lines))]
    for question, answer in _EXAMPLES:
        if may_answer or answer["tool"] != NONE:
            turns += [said("user", question), said("assistant", msgspec.json.encode(answer).decode())]
    return turns


def _told(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with its calls and their results in words."""
    names = {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}
    told: list[Message] = []
    for message in messages:
        rest = tuple(part for part in message.parts if not isinstance(part, ToolCall | ToolResult))
        for part in message.parts:
            if isinstance(part, ToolResult):
                name = names.get(part.call_id, "a tool")
                told.append(said("assistant", f"I looked it up with {name}. It says: {part.text}"))
        if rest:
            told.append(replace(message, parts=rest))
    if any(isinstance(part, ToolResult) for part in messages[-1].parts) and told[-1].role == "assistant":
        told.append(said("user", "So what is the answer? Say it in one sentence."))
    return tuple(told)


def reply(answered: Reply) -> Reply:
    """The reply as it would have been with tools: a call, or the answer's plain text."""
    answered.choices = tuple(_choice(choice) for choice in answered.choices)
    return answered


def _choice(choice: Choice) -> Choice:
    parts = _meant(choice.message.text, choice.index)
    message = replace(choice.message, parts=parts)
    return replace(choice, message=message, finish=_finish(parts, choice.finish), word=None)


def _meant(text: str, choice: int) -> tuple[AnyPart, ...]:
    """The parts that an answer of the schema's form stands for."""
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.MsgspecError:  # cut by max_tokens: the text is all there is
        return (Text(text),)
    form = an_object(value)
    if isinstance(name := form.get("tool"), str) and name != NONE:
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
        parts = _meant("".join(self._words.pop(choice, [])), choice)
        events: list[Event] = []
        for part in parts:
            if isinstance(part, ToolCall):
                events.append(ToolCallStarted(choice=choice, id=part.id, name=part.name))
                events.append(ArgumentsDelta(choice=choice, delta=part.arguments))
            elif isinstance(part, Text):
                events.append(TextDelta(choice=choice, delta=part.text))
        return [*events, replace(event, finish=_finish(parts, event.finish) or event.finish, word=None)]
