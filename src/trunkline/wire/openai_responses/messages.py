"""The input of a Responses request, both ways: instructions, what is said, and the items between.

What the model said in several items (reasoning, calls, text) is one message here; a result is a message of its own.
Instructions stay where they are: those of other APIs become items of the input and not `instructions`, which some
servers do not take (docs.x.ai/docs/guides/responses-api), and which hold one text without a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, Role
from trunkline.vocabulary.parts import AnyPart, Extra, Text, Thinking, ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.wire.grammar.crossing import INSTRUCTIONS
from trunkline.wire.grammar.fields import an_object, as_array, as_object, as_text, text_at

from .items import (
    BARE,
    IN,
    ITEM,
    Items,
    contents_from_wire,
    name,
    parts_from_item,
    plain_or_list,
    result_from_wire,
    said,
)

ASIDE = "~aside"
"""Notes what did not stand in the list: "instructions", or "input" that was one bare string."""

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "system": "system",
    "developer": "developer",
    "assistant": "assistant",
}

LONGEST_ID = 64
"""The most characters that the API takes in the id of a call."""


def messages_from_wire(body: Json) -> tuple[Message, ...]:
    """Take `instructions` and `input` out of a request's body and read them."""
    messages: list[Message] = []
    instructions, told = body.pop("instructions", None), body.pop("input", None)
    if instructions is not None:
        text = as_text(instructions, "instructions")
        messages.append(Message("system", (Text(text),), extra={ASIDE: "instructions"}, dialect=name))
    if isinstance(told, str):
        messages.append(Message("user", (Text(told),), extra={ASIDE: "input"}, dialect=name))
    elif told is not None:
        messages += _items_from_wire(as_array(told, "input"))
    elif not any(body.get(key) for key in _INSTEAD):
        raise InvalidRequestError("input is missing", param="input", code="missing_required_parameter")
    return tuple(messages)


_INSTEAD = ("previous_response_id", "conversation", "prompt")
"""What a request may say instead of an input."""


def _items_from_wire(items: list[Any]) -> list[Message]:
    messages: list[Message] = []
    answered: list[AnyPart] = []
    """What the model said, up to where somebody else speaks."""

    def heard() -> None:
        if answered:
            messages.append(Message("assistant", tuple(answered), dialect=name))
            answered.clear()

    for at, value in enumerate(items):
        where = f"input[{at}]"
        body: Json = as_object(value, where)
        kind = body.get("type")
        spoken = kind == "message" or (kind is None and "role" in body)
        if spoken and body.get("role") != "assistant":
            heard()
            messages.append(_message_from_wire(body, where))
        elif kind == "function_call_output":
            heard()
            messages.append(Message("tool", (result_from_wire(body, where),), dialect=name))
        else:
            answered += parts_from_item(value, where)
    heard()
    return messages


def _message_from_wire(body: Json, where: str) -> Message:
    """What a user says, or who instructs the model: content in a string or in parts."""
    word = text_at(body, "role", where)
    role = _ROLES.get(word)
    if role is None:
        raise InvalidRequestError(
            f"{where}.role must be one of {', '.join(_ROLES)}, not '{word}'",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = body.pop("content", None)
    note: Json = {key: body.pop(key) for key in ("id", "type", "status") if key in body}
    bare = isinstance(content, str)
    parts = (Text(content),) if bare else contents_from_wire(content or [], f"{where}.content")
    return Message(role, parts, extra={**body, ITEM: {**note, BARE: bare}}, dialect=name)


def input_to_wire(messages: Sequence[Message], facts: Facts, own: bool, losses: list[Loss]) -> Json:
    """The keys of a request that hold what is said. `own`: a caller of this API wrote it."""
    if not own:
        messages = [_fitting(message, facts) for message in _with_system(messages, facts)]
    wire: Json = {}
    items = Items(_fresh, losses)
    for at, message in enumerate(messages):
        aside = message.extra.get(ASIDE) if own else None
        if aside is not None and _is_plain(message):
            wire[aside] = message.text
        elif message.role == "assistant":
            items.add(message.parts, f"messages[{at}]")
        else:
            _say(message, items, f"messages[{at}]", losses)
    if "input" in wire and items.items:  # somebody has added to the conversation
        items.items.insert(0, {"role": "user", "content": wire["input"]})
        del wire["input"]
    if "input" not in wire:
        wire["input"] = items.items
    return wire


def _is_plain(message: Message) -> bool:
    part = message.parts[0] if len(message.parts) == 1 else None
    return type(part) is Text and not part.extra and part.cache is None


def _say(message: Message, items: Items, where: str, losses: list[Loss]) -> None:
    """A message of somebody else than the model; results of tools in it are items of their own."""
    rest: list[AnyPart] = []
    results = [part for part in message.parts if type(part) is ToolResult]
    items.add(results, where)
    rest = [part for part in message.parts if type(part) is not ToolResult] if results else [*message.parts]
    note: Extra | None = message.extra.get(ITEM)
    if not rest and note is None:
        return
    base: Json = {**note} if note is not None else {}
    bare = base.pop(BARE, True)
    role = "user" if message.role == "tool" else message.role
    content = plain_or_list(rest, f"{where}.content", losses, bare=bare)
    if content or note is not None:
        items.put({**base, "role": role, "content": content, **said(message.extra)})


def _fresh(kind: str) -> Json:
    """An item of the model that was not read here: the short form of a message; reasoning in the open."""
    match kind:
        case "message":
            return {"role": "assistant", BARE: True}
        case "reasoning":
            return {IN: "content"}
        case _:
            return {}


def _with_system(messages: Sequence[Message], facts: Facts) -> Sequence[Message]:
    """The row's system prompt, where the caller gave none."""
    system = facts.quirks.system
    if system is None or any(message.role in INSTRUCTIONS for message in messages):
        return messages
    return [Message("system", (Text(system),)), *messages]


def _fitting(message: Message, facts: Facts) -> Message:
    """The message with a role and with ids that the target takes."""
    if message.role == "developer" and not facts.quirks.developer_role:
        message = replace(message, role="system")
    if any(_is_long(part) for part in message.parts):
        message = replace(message, parts=tuple(_shortened(part) for part in message.parts))
    return message


def _is_long(part: AnyPart) -> bool:
    if type(part) is ToolCall:
        return len(part.id) > LONGEST_ID
    return type(part) is ToolResult and len(part.call_id) > LONGEST_ID


def _shortened(part: AnyPart) -> AnyPart:
    """The same id is shortened to the same everywhere: a call and its result still belong together."""
    if type(part) is ToolCall and _is_long(part):
        return replace(part, id=_short(part.id))
    if type(part) is ToolResult and _is_long(part):
        return replace(part, call_id=_short(part.call_id))
    return part


def _short(call_id: str) -> str:
    return f"call_{sha256(call_id.encode()).hexdigest()[:40]}"


def unpinned(message: Message) -> Message:
    """A message of the model whose reasoning came without its encrypted form, which only a server that has stored it
    knows by its id. It is left out, and then the items beside it may not be named either: the server would miss it
    (`Item 'fc_…' was provided without its required 'reasoning' item`)."""
    if message.dialect != name or not any(type(part) is Thinking and part.signature is None for part in message.parts):
        return message
    return replace(message, parts=tuple(map(_nameless, message.parts)))


def _nameless(part: AnyPart) -> AnyPart:
    note = an_object(part.extra.get(ITEM))
    if type(part) is Thinking or "id" not in note:
        return part
    return replace(part, extra={**part.extra, ITEM: {key: note[key] for key in note if key != "id"}})
