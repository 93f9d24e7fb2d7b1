"""Translates conversations of so many turns between the dialects, and prints CPU µs a turn as JSON."""

import json
import sys
import time

import msgspec

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text, ToolCall, ToolResult
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import Tool
from trunkline.wire import anthropic_messages, bedrock_converse, gemini, openai_chat, openai_responses

DIALECTS = (openai_chat, openai_responses, anthropic_messages, gemini, bedrock_converse)
FACTS = Facts(model="m")
WORDS = "The tide turns at six, and the wind comes round to the north-west before it does. " * 4
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {"where": {"type": "string"}}})


def conversation(turns: int) -> Request:
    messages = [said("system", WORDS)]
    for turn in range(turns):
        ids = f"call_{turn}_a", f"call_{turn}_b"
        calls = (ToolCall(call_id, "look", '{"where":"north, as far as the light"}') for call_id in ids)
        messages += [
            said("user", f"{turn}: {WORDS}"),
            Message("assistant", (Text("Let me see."), *calls)),
            *(Message("tool", (ToolResult(call_id, (Text(WORDS),)),)) for call_id in ids),
            said("assistant", WORDS),
        ]
    return Request(model="m", messages=(*messages, said("user", "And?")), tools=(TOOL,))


def cost(first, second, turns: int) -> float:
    body = first.request_to_wire(conversation(turns), FACTS).body
    raw = msgspec.json.encode(
        body | dict.fromkeys(first.addressed, "m") | ({"stream": False} if first.addressed else {})
    )
    rounds = max(3, 3000 // turns)

    def once() -> None:
        request = first.request_from_wire(msgspec.json.decode(raw))
        msgspec.json.encode(second.request_to_wire(request, FACTS).body)

    once()
    began = time.process_time()
    for _ in range(rounds):
        once()
    return (time.process_time() - began) / rounds / turns * 1e6


figures = {
    f"{first.name} → {second.name}": {turns: cost(first, second, turns) for turns in map(int, sys.argv[1:])}
    for first in DIALECTS
    for second in DIALECTS
    if first is not second
}
print(json.dumps(figures))
