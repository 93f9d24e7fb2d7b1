"""Tools: what the model may call, from Python functions, our structs, or dicts with a JSON schema."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast, get_origin, get_type_hints

import msgspec

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Schema, Tool, ToolChoice
from trunkline.wire.openai_chat.request import tool_choice_from_wire, tool_from_wire

from .docstrings import documented

Callables = Callable[..., Any] | Tool | OpaqueTool | Mapping[str, Any]
"""A tool: a Python function, ours, or a dict: OpenAI's shape, or name, description and a JSON schema."""


def tools_from(values: Sequence[Callables]) -> tuple[AnyTool, ...]:
    """The tools of a request; no two may have the same name."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        name = getattr(values, "__name__", "…")
        raise InvalidRequestError(f"tools is a list, as in tools=[{name}]", param="tools")
    tools = tuple(tool_from(value, at) for at, value in enumerate(values))
    names = _names(tools)
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequestError(f"two tools are called '{name}': give each its own name", param="tools")
    return tools


def tool_from(value: Callables, at: int = 0) -> AnyTool:
    """A tool from a Python function (schema from its signature and docstring), a struct, or a dict."""
    if isinstance(value, Tool | OpaqueTool):
        return value
    if isinstance(value, Mapping):
        return _tool_from_dict(dict(cast("Mapping[str, Any]", value)), f"tools[{at}]")
    if callable(value):
        return tool_from_function(value)
    where = f"tools[{at}]"
    raise InvalidRequestError(f"{where} must be a function, a dict or a Tool, not {type(value).__name__}", param=where)


def _tool_from_dict(body: Json, where: str) -> AnyTool:
    if "function" in body:
        return tool_from_wire(body, where)
    schema: Any = body.get("parameters", body.get("input_schema"))
    if isinstance(schema, dict) and isinstance(body.get("name"), str):
        return Tool(body["name"], body.get("description"), cast("Schema", schema), body.get("strict"))
    if isinstance(body.get("properties"), dict) and isinstance(body.get("title"), str):  # a JSON schema by itself
        return Tool(body["title"], body.get("description"), body)
    if "type" not in body or body["type"] in ("function", "object"):
        raise InvalidRequestError(
            f"{where} says no function: give it 'name' and 'parameters' (a JSON schema), or OpenAI's 'function'",
            param=where,
        )
    return tool_from_wire(body, where)


def choice_from(value: Any, tools: Sequence[AnyTool]) -> ToolChoice | None:
    """Which tool must be used: `auto`, `none`, `required`, a tool's name, the function itself, or OpenAI's shape."""
    if value is None:
        return None
    if isinstance(value, ToolChoice):
        choice = value
    elif isinstance(value, str) and value not in {"auto", "none", "required"}:
        choice = ToolChoice("tool", value)
    else:
        choice = ToolChoice("tool", name_of(value)) if callable(value) else tool_choice_from_wire(value)
    if choice.mode in ("required", "tool") and not tools:
        raise InvalidRequestError("tool_choice asks for a tool, and there are none: give tools", param="tool_choice")
    names = _names(tools)
    if choice.mode == "tool" and choice.name not in names and len(names) == len(tools):
        raise InvalidRequestError(
            f"tool_choice names '{choice.name}', and the tools are {', '.join(names)}; or say auto, none or required",
            param="tool_choice",
        )
    return choice


def _names(tools: Sequence[AnyTool]) -> list[str]:
    return [tool.name for tool in tools if isinstance(tool, Tool)]


# --- functions --------------------------------------------------------------------------------------------------------


def tool_from_function(function: Callable[..., Any]) -> Tool:
    """A tool from a Python function: name, first paragraph of the docstring, parameters and their descriptions."""
    name = name_of(function)
    definitions: Json = {}
    properties: Json = {}
    required: list[str] = []
    parameters = list(_parameters(function, name))
    told = documented(inspect.getdoc(_inner(function)) or "", [parameter.name for parameter in parameters])
    for parameter in parameters:
        schema = _schema_of(parameter, definitions, name)
        if words := _note(parameter.annotation) or told.parameters.get(parameter.name):
            schema["description"] = words
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        properties[parameter.name] = schema
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if definitions:
        schema["$defs"] = definitions
    return Tool(name, told.summary or None, schema)


def name_of(function: Callable[..., Any]) -> str:
    """A function's name as the model is told it."""
    inner = _inner(function)
    name = getattr(inner, "__name__", type(inner).__name__)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise InvalidRequestError(f"a tool cannot be called '{name}': use def and plain letters", param="tools")
    return name


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a partial (of a partial) is a part of."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _parameters(function: Callable[..., Any], name: str) -> Iterator[inspect.Parameter]:
    """The parameters that a caller may give, their annotations evaluated."""
    inner = _inner(function)
    annotated = inner if inspect.isroutine(inner) or inspect.isclass(inner) else type(inner).__call__
    try:
        hints = get_type_hints(annotated, include_extras=True)
        if inspect.isclass(inner):
            hints |= get_type_hints(inner.__init__, include_extras=True)
        parameters = inspect.signature(function).parameters
    except (NameError, TypeError, ValueError) as error:
        raise _refused(name, f"has a signature that cannot be read: {error}") from None
    for at, parameter in enumerate(parameters.values()):
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise _refused(name, f"takes *{parameter.name}: give every argument a name")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise _refused(name, f"takes '{parameter.name}' by position only: arguments come by name")
        if at == 0 and parameter.name in {"self", "cls"} and parameter.name not in hints:
            raise _refused(name, f"takes '{parameter.name}': give the method of an object, as in tools=[thing.{name}]")
        if not (isinstance(function, functools.partial) and parameter.name in function.keywords):
            yield parameter.replace(annotation=hints.get(parameter.name, _guessed(parameter.default)))


def _guessed(default: Any) -> Any:
    """The type of a parameter without annotation: its default's, else text."""
    return type(default) if isinstance(default, bool | int | float | str) else str


def _schema_of(parameter: inspect.Parameter, definitions: Json, tool: str) -> Schema:
    try:
        (schema,), found = msgspec.json.schema_components(
            [parameter.annotation], ref_template="#/$defs/{name}", schema_hook=foreign_schema
        )
    except TypeError:
        kind = getattr(parameter.annotation, "__name__", parameter.annotation)
        raise _refused(
            tool,
            f"takes '{parameter.name}' of the type {kind}, which has no JSON schema: use plain types, a dataclass, "
            "a TypedDict, a msgspec struct or a pydantic class",
        ) from None
    definitions.update({name: lifted(entry, definitions) for name, entry in found.items()})
    schema = lifted(dict(schema), definitions)
    if parameter.default not in (parameter.empty, None):
        with contextlib.suppress(TypeError):  # a default that JSON cannot say: the model need not know it
            schema["default"] = msgspec.to_builtins(parameter.default)
    return schema


def foreign_schema(kind: type) -> Schema:
    """The schema of a class that knows its own, as pydantic's do."""
    if not hasattr(kind, "model_json_schema"):
        raise NotImplementedError
    return cast("Any", kind).model_json_schema()


def lifted(schema: Any, definitions: Json) -> Any:
    """A schema whose inner `$defs` have moved to `definitions`, where its references look for them."""
    if isinstance(schema, list):
        return [lifted(entry, definitions) for entry in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    body = {key: lifted(value, definitions) for key, value in cast("Json", schema).items()}
    definitions.update(cast("Json", body.pop("$defs", {})))
    return body


def _note(annotation: Any) -> str | None:
    """The description in `Annotated[str, "where to look"]`, or of pydantic's `Field`."""
    if get_origin(annotation) is not Annotated:
        return None
    notes = (note if isinstance(note, str) else getattr(note, "description", None) for note in annotation.__metadata__)
    return next((note for note in notes if isinstance(note, str)), None)


def _refused(tool: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"the tool '{tool}' {why}", param="tools")
