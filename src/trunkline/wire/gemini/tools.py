"""Tools and the choice among them, both ways.

One object of `tools` may hold several functions and one of the provider's own tools. A function's parameters come as
JSON Schema (`parametersJsonSchema`) or in the older form (`parameters`); we write the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Tool, ToolChoice
from trunkline.wire.grammar.fields import as_array, as_object, as_text, text_at

from .parts import name
from .schema import from_openapi
from .spelling import SPELLED, noted, public, respell, respelled

GROUPS = "~tools"
"""The note that says how tools stood together: for each object how many functions it had, whether it had more, and
the spelling of its key."""


def tools_from_wire(body: Json) -> tuple[AnyTool, ...]:
    """Read `tools`, which is taken out of the request; `body` keeps the note how they stood together."""
    tools: list[AnyTool] = []
    groups: list[tuple[int, bool, str]] = []
    for at, value in enumerate(as_array(body.pop("tools", None) or [], "tools")):
        where = f"tools[{at}]"
        notes: Extra = {}
        group = respell(as_object(value, where), notes)
        said = group.pop("functionDeclarations", None)
        functions = as_array(said or [], f"{where}.functionDeclarations")
        tools += [tool_from_wire(one, f"{where}.functionDeclarations[{n}]") for n, one in enumerate(functions)]
        if group or said is None:
            tools.append(OpaqueTool(name, group))
        key = notes.get("functionDeclarations", "functionDeclarations")
        groups.append((len(functions), bool(group) or said is None, key))
    if groups and groups != _groups(tools):
        body[GROUPS] = groups
    return tuple(tools)


def tool_from_wire(value: Any, where: str) -> Tool:
    """Read one function."""
    notes: Extra = {}
    body = respell(as_object(value, where), notes)
    tool = text_at(body, "name", where)
    description = body.pop("description", None)
    key = next((key for key in ("parametersJsonSchema", "parameters") if body.get(key) is not None), None)
    schema: Json = {"type": "object", "properties": {}}
    if key is not None:
        said = as_object(body.pop(key), f"{where}.{key}")
        schema = from_openapi(said) if key == "parameters" else said
        if key == "parameters" or not schema.get("properties"):
            body["~parameters"] = (key, said)
    else:
        body["~parameters"] = None
    return Tool(
        tool,
        as_text(description, f"{where}.description") if description is not None else None,
        schema,
        extra=noted(body, notes),
    )


def _groups(tools: Sequence[AnyTool]) -> list[tuple[int, bool, str]]:
    """How we put tools together: the functions in one object, each other tool in one of its own."""
    functions = sum(isinstance(tool, Tool) for tool in tools)
    first = [(functions, False, "functionDeclarations")] if functions else []
    return [*first, *((0, True, "functionDeclarations") for _ in range(len(tools) - functions))]


def tools_to_wire(tools: Sequence[AnyTool], kept: Sequence[tuple[int, bool, str]] | None = None) -> list[Json]:
    """Write tools, as they stood together if that is known."""
    if kept is None or sum(count + more for count, more, _ in kept) != len(tools):
        tools = sorted(tools, key=lambda tool: isinstance(tool, OpaqueTool))
        kept = _groups(tools)
    wires: list[Json] = []
    at = 0
    for count, more, key in kept:
        wire: Json = {}
        if count:
            wire[key] = [_tool_to_wire(tool) for tool in tools[at : at + count]]
            at += count
        if more:
            own = tools[at]
            wire |= own.body if isinstance(own, OpaqueTool) else {key: [_tool_to_wire(own)]}
            at += 1
        wires.append(wire)
    return wires


def _tool_to_wire(tool: AnyTool) -> Json:
    if isinstance(tool, OpaqueTool):
        return tool.body
    wire: Json = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    extra = tool.extra
    kept: Any = extra.get("~parameters", ...)
    if kept is ...:
        if tool.parameters.get("properties") or len(tool.parameters) > _BARE:  # no parameters: the key is left out
            wire["parametersJsonSchema"] = {"type": "object", **tool.parameters}
    elif kept is not None:
        key, said = kept
        wire[key] = said
    wire |= public(extra)
    return respelled(wire, extra.get(SPELLED) or {})


_BARE = 2
"""So many keywords has a schema that says nothing: `type` and empty `properties`."""


def choice_from_wire(body: Json, notes: Extra) -> ToolChoice | None:
    """Read `toolConfig.functionCallingConfig`; what else stands in there stays."""
    said = body.pop("toolConfig", None)
    if said is None:
        return None
    config = respell(as_object(said, "toolConfig"), notes)
    calling = config.pop("functionCallingConfig", None)
    choice = None
    if calling is not None:
        body["~choice"] = calling
        calling = respell(as_object(calling, "toolConfig.functionCallingConfig"), {})
        choice = _choice_from_wire(calling)
        said_here = (
            {"mode", "allowedFunctionNames"} if calling.get("mode") != "VALIDATED" or choice.allowed else set[str]()
        )
        if rest := {key: value for key, value in calling.items() if key not in said_here}:
            config["functionCallingConfig"] = rest
    if config:
        body["toolConfig"] = config
    return choice


_NUMBERED: Mapping[int, str] = {1: "AUTO", 2: "ANY", 3: "NONE"}
"""The modes by number, for callers whose JSON has numbers for words."""


def _choice_from_wire(calling: Json) -> ToolChoice:
    where = "toolConfig.functionCallingConfig"
    mode = calling.get("mode") or "AUTO"
    if isinstance(mode, int):
        mode = _NUMBERED.get(mode)
    named = as_array(calling.get("allowedFunctionNames") or [], f"{where}.allowedFunctionNames")
    allowed = tuple(as_text(one, f"{where}.allowedFunctionNames[]") for one in named)
    match mode:
        case "VALIDATED":
            return ToolChoice("auto", allowed=allowed)
        case "ANY" if len(allowed) == 1:
            return ToolChoice("tool", allowed[0])
        case "ANY":
            return ToolChoice("required", allowed=allowed)
        case "AUTO" | "MODE_UNSPECIFIED":
            return ToolChoice("auto")
        case "NONE":
            return ToolChoice("none")
        case _:
            raise InvalidRequestError(
                f"{where}.mode must be AUTO, ANY, NONE or VALIDATED", param=f"{where}.mode", code="invalid_value"
            )


def choice_to_wire(choice: ToolChoice, kept: Any) -> Json:
    """Write the choice; `kept` is what a caller of this API wrote, if it still says the same."""
    if kept is not None and _choice_from_wire(respell(cast("Json", kept), {})) == choice:
        return kept
    match choice.mode:
        case "tool":
            return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
        case "required" if choice.allowed:
            return {"mode": "ANY", "allowedFunctionNames": [*choice.allowed]}
        case "auto" if choice.allowed:  # only this mode may name some and leave the model free to use none
            return {"mode": "VALIDATED", "allowedFunctionNames": [*choice.allowed]}
        case mode:
            return {"mode": {"auto": "AUTO", "none": "NONE"}.get(mode, "ANY")}
