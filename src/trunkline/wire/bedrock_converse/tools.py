"""Tools and the choice among them in Converse, both ways.

Source: API_runtime_ToolConfiguration.html. There is no choice of none; and a conversation with calls in it must name
tools ("The toolConfig field must be defined when using toolUse and toolResult content blocks").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Tool, ToolChoice
from trunkline.wire.grammar.fields import array_at, as_object, object_at, text_at

from .blocks import cache_point, mark_of, public
from .media import name
from .schema import fit


def tools_from_wire(config: Json) -> tuple[AnyTool, ...]:
    """Read the tools out of `toolConfig`. A cache point marks the tool before it."""
    tools: list[AnyTool] = []
    for at, value in enumerate(array_at(config, "tools", "toolConfig")):
        where = f"toolConfig.tools[{at}]"
        body = as_object(value, where)
        mark, before = mark_of(body), tools[-1] if tools else None
        if mark is not None and isinstance(before, Tool) and before.cache is None:
            tools[-1] = replace(before, cache=mark)
        elif body.keys() == {"toolSpec"}:
            tools.append(_tool_from_wire(object_at(body, "toolSpec", where), f"{where}.toolSpec"))
        else:
            tools.append(OpaqueTool(name, body))
    return tuple(tools)


def _tool_from_wire(body: Json, where: str) -> Tool:
    schema = object_at(body, "inputSchema", where)
    parameters = object_at(schema, "json", f"{where}.inputSchema")
    return Tool(
        text_at(body, "name", where),
        body.pop("description", None),
        parameters,
        body.pop("strict", None),
        None,
        body,
    )


def choice_from_wire(value: Any) -> ToolChoice:
    """Read `toolConfig.toolChoice`."""
    match value:
        case {"tool": {"name": str(tool)}}:
            return ToolChoice("tool", tool)
        case {"any": dict()}:
            return ToolChoice("required")
        case {"auto": dict()}:
            return ToolChoice("auto")
        case _:
            raise InvalidRequestError(
                'toolConfig.toolChoice must be {"auto": {}}, {"any": {}} or {"tool": {"name": …}}',
                param="toolConfig.toolChoice",
                code="invalid_value",
            )


def own_to_wire(tools: Sequence[AnyTool], choice: ToolChoice | None) -> Json:
    """`toolConfig` as a caller of this API said it."""
    config: Json = {"tools": _listed(tools, None)} if tools else {}
    if choice is not None:
        config["toolChoice"] = _choice_to_wire(choice)
    return config


def config_to_wire(
    tools: Sequence[AnyTool], choice: ToolChoice | None, messages: Sequence[Message], losses: list[Loss]
) -> Json:
    """`toolConfig` for what was said in another dialect; empty where there is nothing to say."""
    called = _called(messages)
    if choice is not None and choice.mode == "none":
        why = "emulated: there is no such choice in this API, "
        if called is None:
            tools, told = (), "so the tools are not offered"
        else:
            told = "and the tools stay, because the conversation has called some"
        losses.append(Loss("tool_choice", why + told, "choice_none"))
        choice = None
    if not tools:
        return {"tools": _listed(_named(called, losses), losses)} if called is not None else {}
    config: Json = {"tools": _listed(tools, losses)}
    if choice is not None:
        config["toolChoice"] = _choice_to_wire(choice)
    return config


def _called(messages: Sequence[Message]) -> dict[str, None] | None:
    """The names of the tools that the conversation has called; None where it has neither calls nor results."""
    parts = [part for message in messages for part in message.parts if isinstance(part, ToolCall | ToolResult)]
    if not parts:
        return None
    return dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)) or {"tool": None}


def _named(called: dict[str, None], losses: list[Loss]) -> list[AnyTool]:
    """Tools that nobody offers any more, but that the conversation has called: the API wants to see them."""
    why = "tools that the conversation has called are named again: the API refuses calls without them"
    losses.append(Loss("tools", why, "target"))
    return [Tool(tool) for tool in called]


def _listed(tools: Sequence[AnyTool], losses: list[Loss] | None) -> list[Json]:
    """`losses`: of a request that was not said in this API, whose schemas must be made fit."""
    listed: list[Json] = []
    for tool in tools:
        if isinstance(tool, OpaqueTool):
            listed.append(tool.body)
            continue
        listed.append({"toolSpec": _tool_to_wire(tool, losses)})
        if tool.cache is not None:
            listed.append(cache_point(tool.cache))
    return listed


def _tool_to_wire(tool: Tool, losses: list[Loss] | None) -> Json:
    schema = tool.parameters
    if losses is not None:
        schema = {"type": "object", **schema}
        schema = fit(schema, f"tools.{tool.name}", losses) if tool.strict else schema
    wire: Json = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description or (tool.description is not None and losses is None):  # an empty one is refused
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return {**wire, **public(tool.extra)}


def _choice_to_wire(choice: ToolChoice) -> Json:
    if choice.mode == "tool":
        return {"tool": {"name": choice.name}}
    return {"any": {}} if choice.mode == "required" else {"auto": {}}
