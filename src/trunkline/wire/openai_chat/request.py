"""Chat completion requests, both ways: settings, tools and the form of the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import ToolCall, ToolResult
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import at_home
from trunkline.wire.grammar.fields import (
    Field,
    an_object,
    array_at,
    as_array,
    as_flag,
    as_object,
    as_text,
    cache_from_wire,
    mark_cache,
    object_at,
    said,
    text_at,
)

from .messages import LEGACY, message_from_wire, message_to_wire, name
from .schema import strict_form, strict_tool


def stops(value: Any) -> Any:
    """Stop sequences: one may stand alone."""
    return [value] if isinstance(value, str) else value


def _effort(value: Any) -> Reasoning:
    effort = as_text(value, "reasoning_effort")
    return Reasoning(off=True) if effort == "none" else Reasoning(effort=effort)


def _effort_word(reasoning: Reasoning) -> str:
    if reasoning.off:
        return "none"
    if reasoning.effort is not None:
        return _EFFORTS.get(reasoning.effort, reasoning.effort)
    budget = reasoning.budget or 8192
    return next((word for word, most in (("low", 2048), ("medium", 16384)) if budget <= most), "high")


_EFFORTS = {"max": "xhigh"}
"""Efforts of other APIs that have another name here."""

SETTINGS = (
    Field("max_tokens", "max_tokens"),
    Field("temperature", "temperature"),
    Field("top_p", "top_p"),
    Field("top_k", "top_k", optional=True),
    Field("stop", "stop", encode=list, decode=stops),
    Field("seed", "seed"),
    Field("frequency_penalty", "frequency_penalty"),
    Field("presence_penalty", "presence_penalty"),
    Field("n", "n"),
    Field("logprobs", "logprobs"),
    Field("top_logprobs", "top_logprobs"),
    Field("logit_bias", "logit_bias"),
    Field("user", "user"),
    Field("metadata", "metadata"),
    Field("service_tier", "service_tier"),
    Field("parallel_tool_calls", "parallel_tool_calls"),
    Field("reasoning", "reasoning_effort", encode=_effort_word, decode=_effort),
    Field("verbosity", "verbosity"),
    Field("store", "store"),
    Field("modalities", "modalities", encode=list),
    Field("prompt_cache_key", "prompt_cache_key"),
    Field("safety_identifier", "safety_identifier"),
)

says = matrix.says(
    SETTINGS,
    native="system system_midway speaker text image_url image_data image_detail audio file_data file_name"
    " tool_call tool_result refusal tools tool_strict json schema schema_recursive"
    " choice_none choice_required choice_tool choice_allowed reasoning_effort reasoning_off",
    translated="file_text",
    emulated="reasoning_budget",
)

ALSO = {"cache_control": "cache", "file_url": "file_url"}
"""What a row `accepts`, and the row of the matrix that is then said."""

SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias")
"""Settings that a model without sampling rejects (platform.openai.com/docs/guides/reasoning)."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's chat completion request."""
    body = dict(body)
    model = text_at(body, "model")
    messages = array_at(body, "messages")
    if (most := body.pop("max_completion_tokens", None)) is not None:  # the newer name wins
        body["max_tokens"] = most
        body["~most"] = "max_completion_tokens"
    stream = as_flag(body.pop("stream", None), "stream")
    options = as_object(body.pop("stream_options", None) or {}, "stream_options")
    include_usage = as_flag(options.pop("include_usage", None), "stream_options.include_usage")
    if options:
        body["stream_options"] = options
    tools = as_array(body.pop("tools", None) or [], "tools")
    functions = as_array(body.pop("functions", None) or [], "functions")
    tools += [_function_from_wire(one, at) for at, one in enumerate(functions)]
    choice = body.pop("tool_choice", None)
    if (function := body.pop("function_call", None)) is not None:
        choice = function if isinstance(function, str) else {"type": "function", "function": function}
    form = body.pop("response_format", None)
    return Request(
        model=model,
        messages=_numbered(message_from_wire(message, f"messages[{at}]") for at, message in enumerate(messages)),
        tools=tuple(tool_from_wire(tool, f"tools[{at}]") for at, tool in enumerate(tools)),
        tool_choice=tool_choice_from_wire(choice) if choice is not None else None,
        response_format=format_from_wire(form) if form is not None else None,
        stream=stream,
        include_usage=include_usage,
        settings=fields.read(SETTINGS, body),
        extra=body,
        dialect=name,
    )


def _function_from_wire(value: Any, at: int) -> Json:
    """A function of the time before tools, as the tool that it is."""
    return {"type": "function", "function": as_object(value, f"functions[{at}]"), LEGACY: True}


def _numbered(read: Iterable[Message]) -> tuple[Message, ...]:
    """The messages; calls and results of the time before tools had no ids, and get those that other APIs want."""
    messages: list[Message] = []
    called = 0
    for message in read:
        old = message.parts and LEGACY in message.parts[-1].extra
        if old and type(part := message.parts[-1]) is ToolCall:
            called += 1
            part = replace(part, id=f"call_{called}")
            message = replace(message, parts=(*message.parts[:-1], part))
        elif old and type(part := message.parts[-1]) is ToolResult:
            message = replace(message, parts=(replace(part, call_id=f"call_{called}"),))
        messages.append(message)
    return tuple(messages)


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a chat completion request for a target."""
    own = request.dialect == name
    also = [row for key, row in ALSO.items() if key in facts.quirks.accepts]
    if facts.quirks.reasoning_key is not None:
        also.append("thinking")
    request, loss = at_home(request, facts, name, says, also)
    losses = [*loss]
    messages = [
        wire
        for at, message in enumerate(request.messages)
        for wire in message_to_wire(message, facts, f"messages[{at}]", losses, own=own)
    ]
    body: Json = {"model": facts.model, "messages": _with_system(messages, facts)}
    losses += fields.write(SETTINGS, request.settings, facts, body, own=own)
    _tools_to_wire(request, body, losses, own=own)
    if request.response_format is not None:
        body["response_format"] = _format_to_wire(request.response_format, losses, own=own)
    if request.stream:
        body["stream"] = True
    if (request.stream and facts.quirks.usage_on_request) or (own and request.include_usage):
        body["stream_options"] = {"include_usage": True}
    named = own and "~most" in request.extra
    if "max_tokens" in body and (facts.quirks.max_completion_tokens or not facts.sampling or named):
        body["max_completion_tokens"] = body.pop("max_tokens")
    if not facts.sampling:
        losses += [Loss(key, "the model rejects it", "target") for key in SAMPLING if body.pop(key, None) is not None]
    losses += fields.apply_quirks(body, facts)
    for key, value in said(request.extra).items():  # under a key of ours it stands beside what we say
        ours = body.get(key)
        body[key] = {**value, **ours} if isinstance(value, dict) and isinstance(ours, dict) else value
    return Written(body, tuple(losses))


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect; a stream is made to report its usage."""
    written = fields.words_to_wire(words, facts)
    asked = words.fields.get("stream")
    if not facts.quirks.usage_on_request:  # it counts unasked, and may refuse to be asked
        written.body.pop("stream_options", None)
    elif asked is not None and bytes(asked) == b"true":
        options = words.fields.get("stream_options")
        said = an_object(msgspec.json.decode(options)) if options is not None else {}
        if not said.get("include_usage"):
            written.body["stream_options"] = {**said, "include_usage": True}
    return written


def asks_for_usage(words: Words) -> bool:
    """Whether the caller wants the chunk that counts a stream's tokens."""
    options = words.fields.get("stream_options")
    return options is not None and bool(an_object(msgspec.json.decode(options)).get("include_usage"))


def _with_system(messages: list[Json], facts: Facts) -> list[Json]:
    """The row's system prompt, where the caller gave none."""
    system = facts.quirks.system
    if system is None or any(message["role"] in {"system", "developer"} for message in messages):
        return messages
    return [{"role": "system", "content": system}, *messages]


def tool_from_wire(value: Any, where: str = "tool") -> AnyTool:
    """Read one tool; `where` is its place in the request, for complaints."""
    body: Json = as_object(value, where)
    if body.get("type", "function") != "function" or "function" not in body:
        return OpaqueTool(name, body)
    if body.pop("type", None) is None:
        body["~untyped"] = True
    function = object_at(body, "function", where)
    cache = cache_from_wire(body)
    tool_name = text_at(function, "name", f"{where}.function")
    parameters: Any = function.pop("parameters", None) or {"type": "object", "properties": {}}
    return Tool(
        tool_name,
        function.pop("description", None),
        as_object(parameters, f"{where}.function.parameters"),
        function.pop("strict", None),
        cache,
        {**body, "function": function} if function else body,
    )


def _tools_to_wire(request: Request, body: Json, losses: list[Loss], *, own: bool) -> None:
    """Tools and the choice among them; as `functions` where that is how the caller said them."""
    tools: list[Json] = []
    functions: list[Json] = []
    for tool in request.tools:
        wire = _tool_to_wire(tool, losses, own=own)
        if isinstance(tool, Tool) and LEGACY in tool.extra:
            functions.append(wire["function"])
        else:
            tools.append(wire)
    if tools:
        body["tools"] = tools
    if functions:
        body["functions"] = functions
    if request.tool_choice is not None:
        choice = _tool_choice_to_wire(request.tool_choice)
        if functions:
            body["function_call"] = choice["function"] if isinstance(choice, dict) else choice
        else:
            body["tool_choice"] = choice


def _tool_to_wire(tool: AnyTool, losses: list[Loss], *, own: bool) -> Json:
    if isinstance(tool, OpaqueTool):
        return tool.body
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if (held := strict_tool(tool, losses, own=own)) is not None:
        function["strict"] = held
    if tool.extra:
        function |= an_object(tool.extra.get("function"))
    wire: Json = {"type": "function", **said(tool.extra), "function": function}
    if "~untyped" in tool.extra:
        del wire["type"]
    mark_cache(wire, tool.cache)
    return wire


def tool_choice_from_wire(value: Any) -> ToolChoice:
    """Read `tool_choice`."""
    match value:
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case "any":  # docs.mistral.ai/capabilities/function_calling
            return ToolChoice("required")
        case {"type": "function", "function": {"name": str(tool)}}:
            return ToolChoice("tool", tool)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list()}}:
            inside = cast("list[Any]", value["allowed_tools"]["tools"])
            named = [an_object(an_object(one).get("function")).get("name") for one in inside]
            return ToolChoice(mode, allowed=tuple(one for one in named if isinstance(one, str)))
        case {"type": "custom", "custom": dict()}:
            return ToolChoice(extra=cast("Json", value))
        case _:
            raise InvalidRequestError(
                'tool_choice must be "auto", "none", "required" or {"type": "function", "function": {"name": …}}',
                param="tool_choice",
                code="invalid_value",
            )


def _tool_choice_to_wire(choice: ToolChoice) -> str | Json:
    if choice.extra:
        return choice.extra
    if choice.allowed:
        tools = [{"type": "function", "function": {"name": allowed}} for allowed in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def format_from_wire(value: Any) -> ResponseFormat:
    """Read `response_format`."""
    match value:
        case {"type": "text"}:
            return ResponseFormat()
        case {"type": "json_object"}:
            return ResponseFormat("json")
        case {"type": "json_schema", "json_schema": dict()}:
            form = an_object(value["json_schema"])
            return ResponseFormat(
                "schema",
                as_object(form.get("schema", {}), "response_format.json_schema.schema"),
                form.get("name"),
                form.get("description"),
                form.get("strict"),
            )
        case _:
            raise InvalidRequestError(
                "response_format.type must be text, json_object or json_schema",
                param="response_format",
                code="invalid_value",
            )


def _format_to_wire(form: ResponseFormat, losses: list[Loss], *, own: bool) -> Json:
    if form.kind != "schema":
        return {"type": "text" if form.kind == "text" else "json_object"}
    wire: Json = {"schema": form.schema}
    if form.name is not None or not own:
        wire["name"] = form.name or "answer"
    if form.description is not None:
        wire["description"] = form.description
    if (held := strict_form(form, losses, own=own)) is not None:
        wire["strict"] = held
    return {"type": "json_schema", "json_schema": wire}
