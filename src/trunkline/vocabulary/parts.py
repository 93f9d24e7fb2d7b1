"""Parts: what a message is made of.

Owns the neutral forms of content. Knows no API: each dialect says how a part is written over there, and what it cannot
say ends up in the reply's `loss`. `extra` keeps the keys of the original that have no word here; only the dialect that
read them (the message's `dialect`) writes them back.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from .view import OpenAIShape

Extra = dict[str, Any]
"""Unknown keys of the wire object that a value came from, as parsed JSON. A key that begins with `~` is a note of the
reader for the writer of its own dialect, and never on the wire itself."""


class CacheMark(Struct, frozen=True, omit_defaults=True):
    """Asks the provider to cache the prompt up to and including the marked part."""

    ttl: str | None = None
    """How long, in the provider's words (`"5m"`, `"1h"`); None is its default."""


class Source(Struct, frozen=True, omit_defaults=True):
    """Where media is: exactly one of `url`, `data` (base64 text) or `file_id` (an upload at the provider)."""

    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    """MIME type; required with `data`."""


class Citation(Struct, frozen=True, omit_defaults=True):
    """A source that the model names for what it wrote: kept as its dialect gave it, with what all of them say."""

    dialect: str
    body: Any
    url: str | None = None
    title: str | None = None
    quote: str | None = None
    """The words of the source."""
    start: int | None = None
    """Where in the text that it stands for begins, in characters; None where the API does not say."""
    end: int | None = None


class Part(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """One piece of a message's content."""

    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


class Text(Part, tag="text", frozen=True, kw_only=False):
    """Plain text."""

    text: str
    citations: tuple[Citation, ...] = ()


class Image(Part, tag="image", frozen=True, kw_only=False):
    """A picture. `detail` is OpenAI's hint (`low`, `high`, `auto`)."""

    source: Source
    detail: str | None = None


class Audio(Part, tag="audio", frozen=True, kw_only=False):
    """Sound. `format` is the container (`wav`, `mp3`)."""

    source: Source
    format: str | None = None
    transcript: str | None = None
    """Its words, where the API sends them along."""


class File(Part, tag="file", frozen=True, kw_only=False):
    """A document, PDF first of all."""

    source: Source
    name: str | None = None


class Thinking(Part, tag="thinking", frozen=True, kw_only=False):
    """Reasoning that the model shows.

    `signature` proves to its provider that the text is its own; `redacted` is reasoning that only the provider can
    read. Both must come back untouched to the dialect that gave them and never reach another.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    dialect: str | None = None
    """The dialect that gave signature or redacted text; None for text that anyone may see."""


class ToolCall(Part, OpenAIShape, tag="tool_call", frozen=True, kw_only=False):
    """The model asks for a tool. `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str | None = None
    """Proves to its provider that its model made the call; it must come back untouched and never reaches another."""
    dialect: str | None = None
    """The dialect whose signature it is."""

    @property
    def function(self) -> FunctionView:
        """The call in OpenAI's shape: `.function.name`, `.function.arguments`."""
        return FunctionView(self.name, self.arguments)

    shape = (("id", "id"), ("type", "kind"), ("function", "function"))
    kind = "function"


class FunctionView(Struct, OpenAIShape, frozen=True):
    """The inside of a tool call as OpenAI shows it."""

    name: str
    arguments: str

    shape = (("name", "name"), ("arguments", "arguments"))


class ToolResult(Part, tag="tool_result", frozen=True, kw_only=False):
    """What a tool answered to the call `call_id`."""

    call_id: str
    parts: tuple[AnyPart, ...] = ()
    is_error: bool = False
    name: str | None = None

    @property
    def text(self) -> str:
        """The result's text parts, joined."""
        return text_of(self.parts)


class Refusal(Part, tag="refusal", frozen=True, kw_only=False):
    """The model's own words for declining."""

    text: str


class Opaque(Part, tag="opaque", frozen=True, kw_only=False):
    """A part that only its dialect understands, kept whole: server tools, search results, containers."""

    dialect: str
    body: Any


AnyPart = Text | Image | Audio | File | Thinking | ToolCall | ToolResult | Refusal | Opaque


def text_of(parts: tuple[AnyPart, ...]) -> str:
    """The text parts joined, nothing else."""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    return "".join(part.text for part in parts if type(part) is Text)
