"""Truncate: a conversation that is too long, without its oldest turns.

Owns what may be left out: never the system prompt, of the last question only the middle and only where that is asked
for, and a tool's result only together with the call that asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import Text, ToolResult
from trunkline.vocabulary.requests import Request

KEEP = 0.7
"""The share of the conversation, in bytes, that is left after one time."""
BEFORE = ("system", "developer")


def shorter(request: Request, *, prompt: bool = False) -> Request | None:
    """The request without its oldest turns; None where nothing can be left out. `prompt`: where there are no such
    turns, without the middle of its longest text."""
    messages = request.messages
    start = next((at for at, message in enumerate(messages) if message.role not in BEFORE), len(messages))
    head, turns = messages[:start], _turns(messages[start:])
    if len(turns) < 2:
        return _without_middle(request) if prompt else None
    sizes = [len(msgspec.json.encode(turn)) for turn in turns]
    room = KEEP * sum(sizes)
    left = sum(sizes)
    first = 0
    while left > room and first < len(turns) - 1:
        left -= sizes[first]
        first += 1
    kept = [message for turn in turns[:first] for message in turn if message.role in BEFORE]
    rest = [message for turn in turns[first:] for message in turn]
    return replace(request, messages=(*head, *kept, *rest))


LEAST = 200
"""Characters: a text that is shorter is not what makes a request too long."""
KEEP_OF_A_TEXT = 0.5
"""The share of the longest text that is left after one time."""
LEFT_OUT = "\n[…]\n"


def _without_middle(request: Request) -> Request | None:
    """The request with less of its longest text: how a prompt begins and ends says best what it wants."""
    texts = [
        (len(part.text), at, place)
        for at, message in enumerate(request.messages)
        if message.role == "user"
        for place, part in enumerate(message.parts)
        if isinstance(part, Text)
    ]
    length, at, place = max(texts, default=(0, 0, 0))
    if length < LEAST:
        return None
    message = request.messages[at]
    text = cast("Text", message.parts[place])
    half = int(KEEP_OF_A_TEXT * length / 2)
    short = replace(text, text=f"{text.text[:half]}{LEFT_OUT}{text.text[-half:]}")
    parts = (*message.parts[:place], short, *message.parts[place + 1 :])
    messages = (*request.messages[:at], replace(message, parts=parts), *request.messages[at + 1 :])
    return replace(request, messages=messages)


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """What belongs together: a question, and everything up to the next."""
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or _asks(message):
            turns.append([])
        turns[-1].append(message)
    return turns


def _asks(message: Message) -> bool:
    """Whether a turn begins: a tool's result, whoever brings it, belongs to the call before."""
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)
