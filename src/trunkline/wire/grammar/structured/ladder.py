"""The ladder: how a target that cannot be held to a form is told it.

Owns the decision, in one place: natively where the dialect and the model can; else by a forced tool whose arguments are
the form; else by an instruction in the system prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.protocols import Dialect
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, ResponseFormat, Schema, Tool, ToolChoice
from trunkline.wire.grammar.crossing import INSTRUCTIONS
from trunkline.wire.grammar.emulation import Emulation
from trunkline.wire.grammar.schemas import inlined, refers_to_itself

from .reading import reading_of
from .value import opening


def emulated(request: Request, dialect: Dialect, facts: Facts) -> Emulation | None:
    """How a target is told the form of the answer that it cannot be held to; None where it can, or none is wanted."""
    form = request.response_format
    if form is None or form.kind == "text" or request.dialect == dialect.name or _is_native(form, dialect, facts):
        return None
    told = _as_a_tool(request, form, dialect, facts) if form.kind == "schema" else None
    return told or _in_words(request, form, facts)


def _is_native(form: ResponseFormat, dialect: Dialect, facts: Facts) -> bool:
    """Whether the dialect says it. Nothing known of the model means that it can what its API can."""
    if dialect.says[form.kind] == "lost":
        return False
    if form.kind == "json":
        return True
    recursive = dialect.says["schema_recursive"] == "lost" and refers_to_itself(form.schema or {})
    return facts.structured_output is not False and not recursive


def _as_a_tool(request: Request, form: ResponseFormat, dialect: Dialect, facts: Facts) -> Emulation | None:
    """The form as a tool that must be called; None where that cannot be said.

    Tools of the caller's own stay: the model must then call one of them, or give its answer. A model that is asked to
    think is not forced, for some then do not think: it is told in words.
    """
    choice = request.tool_choice or ToolChoice()
    schema = _an_object(form.schema or {})
    if schema is None or choice.mode in {"required", "tool"} or choice.extra:  # the caller wants a call, not an answer
        return None
    mode = _mode(request, choice, dialect, facts)
    if mode is None:
        return None
    name = _named(form, request.tools)
    tool = Tool(name, form.description or "Gives the answer: call it once, with all of it.", schema)
    allowed = (*choice.allowed, name) if choice.allowed and mode != "tool" else ()
    messages = request.messages
    if request.tools or mode == "auto":
        words = f"When you have the answer, give it by calling the tool `{name}`, and say nothing beside it."
        messages = _instructed(messages, words, facts)
    asked = replace(
        request,
        messages=messages,
        tools=(*request.tools, tool),
        tool_choice=ToolChoice(mode, name if mode == "tool" else None, allowed),
        response_format=None,
    )
    why = "emulated: the model cannot be held to a schema, it gives its answer by calling a tool"
    return Emulation(asked, facts, reading_of(form, name), (Loss("response_format", why, form.kind),))


def _mode(request: Request, choice: ToolChoice, dialect: Dialect, facts: Facts) -> Any:
    """How the answer's tool is asked for: alone, as one of those that must be called, or in words."""
    says = dialect.says
    by_name, any_tool = says["choice_tool"] in _SAID, says["choice_required"] in _SAID
    if says["tools"] == "lost" or facts.tools is False or not (by_name or any_tool):
        return None
    reasoning = request.settings.reasoning
    thinks = reasoning is not None and not reasoning.off and reasoning.effort != "none"
    if request.tools and choice.mode != "none":
        return "required" if any_tool and not thinks else "auto"
    if request.tools or (by_name and not thinks):  # the caller's tools may not be called
        return "tool" if by_name else None
    return "auto" if thinks else "required"


_SAID = frozenset({"native", "translated"})


def _an_object(schema: Schema) -> Schema | None:
    """The schema as a tool's parameters, which are always an object; None where it is of something else."""
    if "$ref" in schema:
        schema = inlined(schema)
    kind = schema.get("type")
    return {"type": "object", **schema} if kind == "object" or (kind is None and "properties" in schema) else None


def _named(form: ResponseFormat, tools: Sequence[AnyTool]) -> str:
    """A name for the answer's tool that none of the caller's has, of letters that all APIs take."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(form.name or "")).strip("_-")[:48] or "answer"
    taken = {tool.name for tool in tools if isinstance(tool, Tool)}
    while name in taken:
        name += "_"
    return name


def _in_words(request: Request, form: ResponseFormat, facts: Facts) -> Emulation:
    """The form as an instruction."""
    asked = replace(request, messages=_instructed(request.messages, instruction(form), facts), response_format=None)
    why = "emulated: the model cannot be held to it, the system prompt asks for it"
    return Emulation(asked, facts, reading_of(form), (Loss("response_format", why, form.kind),))


def instruction(form: ResponseFormat) -> str:
    """The form in words."""
    value = "object" if opening(form) == "{" else "value"
    words = f"Answer with a single JSON {value} and nothing else: no introduction, no code fence."
    if form.schema is None:
        return words
    return f"{words} It must fit this JSON schema: {msgspec.json.encode(form.schema).decode()}"


def _instructed(messages: Sequence[Message], words: str, facts: Facts) -> tuple[Message, ...]:
    """The conversation with one more instruction, after those of the caller, or of the target's row."""
    leading = next((at for at, one in enumerate(messages) if one.role not in INSTRUCTIONS), len(messages))
    system = facts.quirks.system
    first = (said("system", system),) if system is not None and leading == 0 else messages[:leading]
    return (*first, said("system", words), *messages[leading:])
