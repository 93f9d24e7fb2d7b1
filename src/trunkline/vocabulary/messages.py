"""Messages: who says what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from .parts import AnyPart, Extra, FunctionView, Refusal, Text, Thinking, ToolCall, text_of
from .view import OpenAIShape

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Struct, OpenAIShape, frozen=True, omit_defaults=True):
    """One turn of a conversation: a role and its parts, in order."""

    role: Role
    parts: tuple[AnyPart, ...] = ()
    name: str | None = None
    extra: Extra = field(default_factory=dict)
    dialect: str | None = None
    """The dialect it was read from, whose its unknown keys and those of its parts are; None when we made it."""
    signer: str | None = None
    """Whose signatures it holds (`Facts.signer`): others get it without them. None where nobody knows."""

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return text_of(self.parts)

    @property
    def content(self) -> str | None:
        """The text, or None where the message has none: OpenAI's meaning."""
        return self.text if any(type(part) is Text for part in self.parts) else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...] | None:
        """The tools that the model asks for; None where it asks for none, as OpenAI has it."""
        return tuple(part for part in self.parts if type(part) is ToolCall) or None

    @property
    def function_call(self) -> FunctionView | None:
        """The first of them in OpenAI's older form: `.name`, `.arguments`."""
        return next((part.function for part in self.parts if type(part) is ToolCall), None)

    @property
    def refusal(self) -> str | None:
        """The model's words for declining, if it did."""
        return "".join(part.text for part in self.parts if type(part) is Refusal) or None

    @property
    def thinking(self) -> str | None:
        """The visible reasoning, if the model showed any."""
        return "".join(part.text for part in self.parts if type(part) is Thinking) or None

    shape = (
        ("role", "role"),
        ("content", "content"),
        ("tool_calls", "tool_calls"),
        ("refusal", "refusal"),
        ("reasoning_content", "thinking"),
    )


def said(role: Role, *parts: str | AnyPart) -> Message:
    """A message from words and parts: `said("user", "What is this?", Image(…))`."""
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system_text(messages: Iterable[Message]) -> str:
    """The text of all system and developer messages, a blank line between two."""
    return "\n\n".join(message.text for message in messages if message.role in {"system", "developer"})
