"""Tools, and the form an answer must have: what the model may ask for and how it must speak."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from .parts import CacheMark, Extra

Schema = dict[str, Any]
"""A JSON Schema as parsed JSON."""


class Tool(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call. `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str | None = None
    parameters: Schema = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


class OpaqueTool(Struct, frozen=True):
    """A tool that only its dialect understands (web search, code execution), kept whole."""

    dialect: str | None
    """None: a caller of the library gave it for whoever is asked."""
    body: Any


AnyTool = Tool | OpaqueTool


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """Whether the model must use a tool: `auto`, `none`, `required` (any), or `tool` (the one called `name`)."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str | None = None
    allowed: tuple[str, ...] = ()
    """The only tools that `auto` and `required` may choose from; empty: all."""
    extra: Extra = field(default_factory=dict)
    """A choice that only its dialect understands (one of the provider's own tools)."""


class ResponseFormat(Struct, frozen=True, omit_defaults=True):
    """The form of the answer: `text`, `json` (any JSON object) or `schema` (JSON that fits `schema`)."""

    kind: Literal["text", "json", "schema"] = "text"
    schema: Schema | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(Struct, frozen=True, omit_defaults=True):
    """How hard to think: an `effort` in words, or a `budget` in tokens; `off` switches thinking off by name."""

    effort: str | None = None
    budget: int | None = None
    adaptive: bool = False
    """The model decides how much (Anthropic's adaptive thinking)."""
    off: bool = False
    summary: str | None = None
    """How much of it to show: `auto`, `concise`, `detailed`, or `none`."""
    extra: Extra = field(default_factory=dict)
