"""Chat completion requests, both ways: settings, tools and the form of the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire import fields
from trunkline.wire.crossing import at_home
from trunkline.wire.fields import (
    Field,
    an_object,
    array_at,
    as_array,
    as_flag,
    as_object,
    cache_from_wire,
    mark_cache,
    object_at,
    text_at,
)

from .messages import message_from_wire, message_to_wire, name


def _stop(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _effort(value: Any) -> Reasoning:
    return Reasoning(off=True) if value == "none" else Reasoning(effort=value)


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
    Field("stop", "stop", encode=list, decode=_stop),
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
)

SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias")
"""Settings that a model without sampling rejects (platform.openai.com/docs/guides/reasoning)."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's chat completion request."""
    body = dict(body)
    model = text_at(body, "model")
    messages = array_at(body, "messages")
    if (most := body.pop("max_completion_tokens", None)) is not None:  # the newer name wins
        body["max_tokens"] = most
    stream = as_flag(body.pop("stream", None), "stream")
    options = as_object(body.pop("stream_options", None) or {}, "stream_options")
    tools = as_array(body.pop("tools", None) or [], "tools")
    choice = body.pop("tool_choice", None)
    form = body.pop("response_format", None)
    return Request(
        model=model,
        messages=tuple(message_from_wire(message, f"messages[{at}]") for at, message in enumerate(messages)),
        tools=tuple(tool_from_wire(tool, f"tools[{at}]") for at, tool in enumerate(tools)),
        tool_choice=tool_choice_from_wire(choice) if choice is not None else None,
        response_format=format_from_wire(form) if form is not None else None,
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        settings=fields.read(SETTINGS, body),
        extra=body,
        dialect=name,
    )


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a chat completion request for a target."""
    accepts = facts.quirks.accepts
    request, loss = at_home(request, name, marks="cache_control" in accepts, linked_files="file_url" in accepts)
    losses = [*loss]
    messages = [
        wire
        for at, message in enumerate(request.messages)
        for wire in message_to_wire(message, facts, f"messages[{at}]", losses)
    ]
    body: Json = {"model": facts.model, "messages": _with_system(messages, facts)}
    losses += fields.write(SETTINGS, request.settings, facts, body)
    if request.tools:
        body["tools"] = [wire for tool in request.tools if (wire := _tool_to_wire(tool, losses)) is not None]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice_to_wire(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = _format_to_wire(request.response_format)
    if request.stream:
        body["stream"] = True
        if facts.quirks.usage_on_request:
            body["stream_options"] = {"include_usage": True}
    if "max_tokens" in body and (facts.quirks.max_completion_tokens or not facts.sampling):
        body["max_completion_tokens"] = body.pop("max_tokens")
    if not facts.sampling:
        losses += [Loss(key, "the model rejects it") for key in SAMPLING if body.pop(key, None) is not None]
    losses += fields.apply_quirks(body, facts)
    body.update(request.extra)
    return Written(body, tuple(losses))


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words for a target that speaks this dialect; a stream is made to report its usage."""
    written = fields.words_to_wire(words, facts)
    asked = words.fields.get("stream")
    if asked is not None and bytes(asked) == b"true" and facts.quirks.usage_on_request:
        options = words.fields.get("stream_options")
        said = an_object(msgspec.json.decode(options)) if options is not None else {}
        written.body["stream_options"] = {**said, "include_usage": True}
    return written


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
    body.pop("type", None)
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


def _tool_to_wire(tool: AnyTool, losses: list[Loss]) -> Json | None:
    if isinstance(tool, OpaqueTool):
        if tool.dialect == name:
            return tool.body
        losses.append(Loss("tools", "a tool that only its own provider has"))
        return None
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    wire: Json = {"type": "function", "function": function, **tool.extra}
    wire["function"] = {**function, **an_object(tool.extra.get("function"))}
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
        case _:
            raise InvalidRequestError(
                'tool_choice must be "auto", "none", "required" or {"type": "function", "function": {"name": …}}',
                param="tool_choice",
                code="invalid_value",
            )


def _tool_choice_to_wire(choice: ToolChoice) -> str | Json:
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
                form.get("name", "answer"),
                form.get("description"),
                form.get("strict"),
            )
        case _:
            raise InvalidRequestError(
                "response_format.type must be text, json_object or json_schema",
                param="response_format",
                code="invalid_value",
            )


def _format_to_wire(form: ResponseFormat) -> Json:
    if form.kind != "schema":
        return {"type": "text" if form.kind == "text" else "json_object"}
    wire: Json = {"name": form.name, "schema": form.schema}
    if form.description is not None:
        wire["description"] = form.description
    if form.strict is not None:
        wire["strict"] = form.strict
    return {"type": "json_schema", "json_schema": wire}
