"""Emulation: what a target cannot be told, told in another way; here tools, by a schema that the answer must fit.

Owns what an emulation is, and one of the two there are (the other is `structured`): the way a tool is put into words
and its call is read back. The runtime constrains the grammar, so the answer is always of the form below; whether it is
wise is up to the model. Used where a row says `tools_by_schema`. The wording was measured on the embedded model
(docs/local.md): the key `tool` comes first, the way out has the same first key, and examples help more than
explanations.

    {"tool": "get_weather", "arguments": {"city": "Paris"}}
    {"tool": "none", "answer": "…"}                            where it may answer; in the caller's form, if it has one
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Event,
    Finished,
    TextDelta,
    ToolCallStarted,
)
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said, system_text
from trunkline.vocabulary.parts import AnyPart, Text, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Decoder, Json
from trunkline.vocabulary.replies import Choice, Loss, Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat, Tool, ToolChoice

from . import schemas
from .fields import an_object


class Reading(Struct, frozen=True):
    """How the answer to an emulated request is read back as what was asked for."""

    reply: Callable[[Reply], Reply]
    """A whole one."""
    decoder: Callable[[Decoder], Decoder]
    """A stream: the decoder of its dialect, with this one around it."""


class Emulation(Struct, frozen=True):
    """A request that its target cannot be told, told in another way."""

    request: Request
    """What is asked instead."""
    facts: Facts
    reading: Reading | None
    """None: the answer is what it would have been."""
    loss: tuple[Loss, ...] = ()


def tools_by_schema(asked: Request, facts: Facts) -> Emulation:
    """The request without tools, for a target that can be held to a schema."""
    quirks = facts.quirks
    with_tools = replace(quirks, defaults={**quirks.defaults, **quirks.defaults_with_tools})
    plain = request(asked)
    reading = None if plain.response_format is asked.response_format else Reading(reply, decoder)
    return Emulation(plain, replace(facts, quirks=with_tools), reading, _unsaid(asked.messages))


def _unsaid(messages: Sequence[Message]) -> tuple[Loss, ...]:
    """What results of tools hold beside words."""
    for at, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, ToolResult) and any(not isinstance(one, Text) for one in part.parts):
                why = "results of tools are told in words to this model"
                return (Loss(f"messages[{at}].content", why, "tool_result_media"),)
    return ()


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
    elif choice.allowed:
        tools = [tool for tool in tools if tool.name in choice.allowed] or tools
    may_answer = choice.mode == "auto"
    answer = _answer(asked.response_format) if may_answer else None
    shown = (*_instruction(told, tools, answer), *(message for message in told if message.role not in _SYSTEM))
    schema = _schema(tools, answer)
    return replace(plain, response_format=ResponseFormat("schema", schema, "call"), messages=shown)


_SYSTEM = frozenset({"system", "developer"})


def _answer(form: ResponseFormat | None) -> Json:
    """The schema of an answer: plain words, or what the caller wants."""
    if form is None or form.kind == "text":
        return _WORDS
    return form.schema or {"type": "object"}


_WORDS: Json = {"type": "string"}


def _schema(tools: Sequence[Tool], answer: Json | None) -> Json:
    """What the model may say: a call, or an answer, where there may be one."""
    definitions: Json = {}
    forms: list[Json] = []
    for tool in tools:
        forms.append(_object({"tool": {"const": tool.name}, "arguments": _lifted(tool.parameters, definitions)}))
    if answer is not None:
        forms.append(_object({"tool": {"const": NONE}, "answer": _lifted(answer, definitions)}))
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {**schema, "$defs": definitions} if definitions else schema


def _lifted(schema: Json, definitions: Json) -> Json:
    """A schema that stands in another one: its references look for their definitions at the top of the whole."""
    plain = schemas.inlined(schema)
    definitions.update(plain.get("$defs", {}))
    return {key: value for key, value in plain.items() if key != "$defs"}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _instruction(messages: Sequence[Message], tools: Sequence[Tool], answer: Json | None) -> list[Message]:
    """The system prompt that names the tools, and turns that show how they are called."""
    lines = [system_text(messages) or "You are a helpful assistant.", "You can call these functions:"]
    for tool in tools:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        lines.append(msgspec.json.encode(function).decode())
    rule = 'If a function helps to answer, call it: {"tool": name, "arguments": {...}}.'
    in_words = answer == _WORDS
    if in_words:
        rule += ' If the user just talks or asks something else, answer: {"tool": "none", "answer": "..."}.'
    elif answer is not None:
        rule += ' Else answer: {"tool": "none", "answer": {...}}.'
    lines.append(rule)
    turns = [said("system", "\n".join(lines))]
    for question, reaction in _EXAMPLES:
        if in_words or reaction["tool"] != NONE:
            turns += [said("user", question), said("assistant", msgspec.json.encode(reaction).decode())]
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
                result = f"That failed: {part.text}" if part.is_error else f"It says: {part.text}"
                told.append(said("assistant", f"I looked it up with {name}. {result}"))
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
    answer = form.get("answer", text)
    return (Text(answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()),)


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
