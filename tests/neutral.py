"""Neutral: what a request asks, so that requests that were read in two dialects can be compared.

Forgets what no API keeps when it is said in another: where a turn is cut into messages, blanks between texts, the ids
of tool calls (their order stays), and the rows of the matrix that were reported as lost.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Audio, File, Image, Refusal, Text, Thinking, ToolCall, ToolResult
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Tool
from trunkline.wire.grammar.fields import TAKEN_FOR_GRANTED, plain_text

Item = tuple[Any, ...]


def asked(request: Request, lost: AbstractSet[str], own: str) -> dict[str, Any]:
    """What is asked, as far as it is not lost; `own` is the dialect it was first said in."""
    ids: dict[str, int] = {}
    choice = request.tool_choice
    form = request.response_format
    said: dict[str, Any] = {
        "turns": _turns(request.messages, ids, lost),
        "tools": [
            (tool.name, tool.description or "", _shape(tool.parameters, lost))
            for tool in request.tools
            if isinstance(tool, Tool)
        ],
        "stream": request.stream,
    }
    if "target" in lost:  # an API wants tools named that the conversation has called, offered or not
        called = {part.name for one in request.messages for part in one.parts if isinstance(part, ToolCall)}
        said["tools"] = [tool for tool in said["tools"] if tool[0] not in called or tool[1] or tool[2]]
    if lost & _WITHHELD:
        del said["tools"]
        choice = None
    if choice is not None and not choice.extra and said["tools"] and f"choice_{choice.mode}" not in lost:
        said["choice"] = (
            choice.mode,
            choice.name,
            tuple(sorted(choice.allowed)) if "choice_allowed" not in lost else (),
        )
        if said["choice"] == ("auto", None, ()):
            del said["choice"]
    if form is not None and form.kind != "text" and form.kind not in lost and "target" not in lost:
        said["form"] = (form.kind, _shape(form.schema, lost))
    for name in Settings.__struct_fields__:
        value = getattr(request.settings, name)
        if value in (None, ()) or name in lost or value == _UNASKED.get(name) or name in {"reasoning", "max_tokens"}:
            continue
        if name == "parallel_tool_calls" and (value is True or not said.get("tools")):
            continue
        if lost & _BENT and name in {"temperature", "top_p", "top_k", "stop", "service_tier"}:
            continue
        said[name] = value
    return said


_WITHHELD = frozenset({"choice_none", "choice_tool", "choice_allowed"})
"""Choices that an API without them says by offering other tools, or none."""
_UNASKED = {**TAKEN_FOR_GRANTED, "top_p": 1, "temperature": 1}
"""What a target may leave out because it does it unasked."""
_BENT = frozenset({"range", "target"})


def arguments(text: Any) -> Any:
    """A call's arguments as a value, whether the API gives text or an object."""
    if not isinstance(text, str):
        return text or {}
    try:
        return msgspec.json.decode(text) if text.strip() else {}
    except msgspec.MsgspecError:
        return text


def _shape(schema: Any, lost: AbstractSet[str]) -> Any:
    """A schema's properties by name and type: what restrictions an API's own form adds or refuses is in the losses."""
    if not isinstance(schema, dict):
        return None
    inside = schema.get("properties")
    return sorted(inside) if isinstance(inside, dict) else []


def _turns(messages: Collection[Message], ids: dict[str, int], lost: AbstractSet[str]) -> list[list[Item]]:
    turns: list[tuple[str, list[Item]]] = []
    for message in messages:
        if "json" in lost and message.role in {"system", "developer"}:  # which ask for it
            continue
        role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        if role == "system" and turns and ("system_midway" in lost or turns[-1][0] != "system"):
            role = "user" if "system_midway" in lost else "system"
        if role == "system" and "target" in lost and len(messages) == 1:
            role = "user"  # there must be a turn
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(item for part in message.parts for item in _items(part, ids, lost))
    said = [[(role,), *_settled(items, lost)] for role, items in turns if items]
    if "target" in lost and said[:1] == [[("user",), ("text", "Begin.")]]:
        said = said[1:]  # some APIs' conversations must begin with the user
    return said


def _settled(items: list[Item], lost: AbstractSet[str]) -> list[Item]:
    """Results first, then texts that follow each other as one; media last where its place among them is not kept."""
    places = {"result": 0, "media": 2 if "order" in lost else 1}
    ordered = sorted(items, key=lambda item: places.get(item[0], 1))
    settled: list[Item] = []
    for item in ordered:
        if item[0] in {"text", "thinking"} and settled and settled[-1][0] == item[0]:
            settled[-1] = (item[0], settled[-1][1] + item[1])
        else:
            settled.append(item)
    return settled


_MEDIA = frozenset(
    {"image_url", "image_data", "audio", "audio_url", "file_data", "file_text", "file_url", "upload", "assistant_media"}
)


def _items(part: AnyPart, ids: dict[str, int], lost: AbstractSet[str]) -> list[Item]:
    match part:
        case Text() | Refusal():
            words = "".join(part.text.split())
            return [("text", words)] if words else []
        case Image() | File() | Audio():
            source = part.source
            if lost & _MEDIA:
                return []
            if isinstance(part, File) and source.media_type == "text/plain" and source.data is not None:
                named = part.name or "" if "file_name" not in lost else ""  # some APIs write it among the text
                return [("text", "".join(f"{named}{plain_text(source.data)}".split()))]
            return [("media", source.data or source.url or source.file_id)]
        case ToolCall():
            return [("call", ids.setdefault(part.id, len(ids)), part.name, arguments(part.arguments))]
        case ToolResult():
            inside = [item for one in part.parts for item in _items(one, ids, lost)]
            if "tool_result_media" in lost:
                inside = [item for item in inside if item[0] == "text"]
            failed = part.is_error and "tool_result_error" not in lost
            return [("result", ids.setdefault(part.call_id, len(ids)), failed, _settled(inside, lost))]
        case Thinking() if part.text and "thinking" not in lost and "signature" not in lost:
            return [("thinking", "".join(part.text.split()))]
        case _:
            return []
