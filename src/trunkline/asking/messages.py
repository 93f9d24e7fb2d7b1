"""Messages: text, OpenAI-shaped dicts (or the `openai` package's own objects) and our structs, as a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Part, Text
from trunkline.vocabulary.protocols import Json
from trunkline.wire.openai_chat.messages import message_from_wire, plain_message

Said = str | Message | Part | Mapping[str, Any]
Messages = Said | Sequence[Said]
"""What may be asked: a question, a message, or a conversation."""


ASKING = frozenset({"user", "system", "developer"})
"""Roles that have something to say."""


def messages_from(said: Messages, system: str | None = None) -> tuple[Message, ...]:
    """A conversation from what the caller wrote; a list of texts and media is one message of the user."""
    if isinstance(said, str | Message | Part | Mapping) or hasattr(said, "model_dump"):
        said = [cast("Said", said)]
    if not isinstance(said, Sequence) or isinstance(said, bytes | bytearray):
        raise InvalidRequestError(f"messages must be text or a list, not {_kind(said)}", param="messages")
    if not said:
        raise InvalidRequestError("messages must not be empty: ask something", param="messages")
    if all(isinstance(item, str | Part) for item in said):
        messages = (Message("user", tuple(_part(cast("str | Part", item)) for item in said)),)
    else:
        messages = tuple(_message(item, f"messages[{at}]") for at, item in enumerate(said))
    if system is None:
        return messages
    if not isinstance(system, str):
        raise InvalidRequestError(f"system must be text, not {_kind(system)}", param="system")
    return (Message("system", (Text(system),)), *messages)


def _message(item: Any, where: str) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, str):
        return Message("user", (Text(item),))
    if (plain := plain_message(item)) is not None:
        return plain
    if isinstance(item, Part):
        raise InvalidRequestError(
            f"{where} is a {type(item).__name__} between whole messages: put it into one, as in said('user', …)",
            param=where,
        )
    body = _plain(item)
    if not isinstance(body, dict):
        raise InvalidRequestError(f"{where} must be text, a dict or a Message, not {_kind(item)}", param=where)
    return _message_from_dict(cast("Json", body), where)


def _message_from_dict(body: Json, where: str) -> Message:
    """A dict in OpenAI's shape, whose content may hold texts and media of ours as well as OpenAI's parts."""
    body = {key: value for key, value in body.items() if value is not None}
    content: Any = body.get("content")
    if content is None and body.get("role") in ASKING:
        raise InvalidRequestError(f"{where} says nothing: give it content", param=f"{where}.content")
    if not isinstance(content, list) or not any(isinstance(part, str | Part) for part in cast("list[Any]", content)):
        return message_from_wire(body, where)
    parts: list[AnyPart] = []
    for at, part in enumerate(cast("list[Any]", content)):
        if isinstance(part, str | Part):
            parts.append(_part(part))
        else:
            parts += message_from_wire({"role": "user", "content": [part]}, f"{where}.content[{at}]").parts
    message = message_from_wire({**body, "content": None}, where)
    return replace(message, parts=(*parts, *message.parts))


def _part(item: str | Part) -> AnyPart:
    return Text(item) if isinstance(item, str) else cast("AnyPart", item)


def _plain(value: Any) -> Any:
    """Dicts and lists through and through: views of ours (`reply.tool_calls`) and objects of the `openai` package are
    opened; parts of ours stay."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in cast("Sequence[Any]", value)]
    if hasattr(value, "model_dump") and not isinstance(value, Message):
        return _plain(value.model_dump())
    return value


def _kind(value: Any) -> str:
    return type(value).__name__
