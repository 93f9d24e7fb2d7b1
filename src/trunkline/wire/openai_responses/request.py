"""Responses requests, both ways: settings, reasoning, tools and the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import at_home
from trunkline.wire.grammar.fields import Field, an_object, as_array, as_flag, as_object, as_text, text_at
from trunkline.wire.openai_chat.schema import strict_form, strict_tool

from .items import name, said
from .messages import input_to_wire, messages_from_wire, unpinned

SETTINGS = (
    Field("max_tokens", "max_output_tokens"),
    Field("temperature", "temperature"),
    Field("top_p", "top_p"),
    Field("top_logprobs", "top_logprobs"),
    Field("user", "user"),
    Field("metadata", "metadata"),
    Field("service_tier", "service_tier"),
    Field("parallel_tool_calls", "parallel_tool_calls"),
    Field("store", "store"),
    Field("prompt_cache_key", "prompt_cache_key"),
    Field("safety_identifier", "safety_identifier"),
)
"""`reasoning`, `verbosity` and `logprobs` stand inside other keys: see below. What is not stored is only what a caller
says (`store`): the API stores every answer unasked, and some servers none."""

says = matrix.says(
    SETTINGS,
    native="system system_midway text image_url image_data image_detail file_data file_url file_name verbosity"
    " tool_call tool_result tool_result_media refusal tools tool_strict json schema schema_recursive"
    " choice_none choice_required choice_tool choice_allowed reasoning_effort reasoning_off reasoning_summary",
    translated="file_text logprobs",
    emulated="reasoning_budget",
)

LEAST_TOKENS = 16
"""The smallest `max_output_tokens` that the API takes (platform.openai.com/docs/api-reference/responses/create)."""

EFFORTS: Mapping[str, str] = {"max": "xhigh"}
"""Efforts that only the newest models have, and the nearest that the others know."""

SAMPLING = ("temperature", "top_p", "top_logprobs")
"""Settings that a model without sampling rejects (platform.openai.com/docs/guides/reasoning)."""

ENCRYPTED = "reasoning.encrypted_content"
PROBABILITIES = "message.output_text.logprobs"
"""What an answer includes only when it is asked for (`include`)."""

_INCLUDE = "~include"
"""Notes `include` as it was said: its two words above have another meaning, or none, in other APIs."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request."""
    body = dict(body)
    model = text_at(body, "model")
    messages = messages_from_wire(body)
    stream = as_flag(body.pop("stream", None), "stream")
    tools = as_array(body.pop("tools", None) or [], "tools")
    choice = body.pop("tool_choice", None)
    reasoning = body.pop("reasoning", None)
    form, verbosity = _text_from_wire(body)
    logprobs = _include_from_wire(body)
    settings = fields.read(SETTINGS, body)
    return Request(
        model=model,
        messages=messages,
        tools=tuple(tool_from_wire(tool, f"tools[{at}]") for at, tool in enumerate(tools)),
        tool_choice=tool_choice_from_wire(choice) if choice is not None else None,
        response_format=form,
        settings=replace(
            settings,
            reasoning=_reasoning_from_wire(reasoning) if reasoning is not None else None,
            verbosity=verbosity,
            logprobs=logprobs,
        ),
        stream=stream,
        include_usage=stream,
        extra=body,
        dialect=name,
    )


def _text_from_wire(body: Json) -> tuple[ResponseFormat | None, str | None]:
    """Read `text`, which holds the form of the answer and how long-winded it is."""
    text = body.pop("text", None)
    if text is None:
        return None, None
    inside: Json = as_object(text, "text")
    form, verbosity = inside.pop("format", None), inside.pop("verbosity", None)
    if inside:
        body["text"] = inside
    return (
        _format_from_wire(form) if form is not None else None,
        as_text(verbosity, "text.verbosity") if verbosity is not None else None,
    )


def _format_from_wire(value: Any) -> ResponseFormat:
    match value:
        case {"type": "text"}:
            return ResponseFormat()
        case {"type": "json_object"}:
            return ResponseFormat("json")
        case {"type": "json_schema"}:
            return ResponseFormat(
                "schema",
                as_object(value.get("schema"), "text.format.schema"),
                value.get("name"),
                value.get("description"),
                value.get("strict"),
            )
        case _:
            raise InvalidRequestError(
                "text.format.type must be text, json_object or json_schema", param="text.format", code="invalid_value"
            )


def _include_from_wire(body: Json) -> bool | None:
    """Read `include`; whether log probabilities are among it."""
    include = body.pop("include", None)
    if include is None:
        return None
    asked = as_array(include, "include")
    body[_INCLUDE] = asked
    if rest := [one for one in asked if one not in (ENCRYPTED, PROBABILITIES)]:
        body["include"] = rest
    return True if PROBABILITIES in asked else None


def _reasoning_from_wire(value: Any) -> Reasoning:
    body: Json = as_object(value, "reasoning")
    effort, summary = body.pop("effort", None), body.pop("summary", None)
    word = as_text(effort, "reasoning.effort") if effort is not None else None
    return Reasoning(
        effort=None if word == "none" else word,
        off=word == "none",
        summary=as_text(summary, "reasoning.summary") if summary is not None else None,
        extra=body,
    )


_SCHEMALESS = "~schemaless"
"""Notes a function that was offered without a schema of its arguments."""


def tool_from_wire(value: Any, where: str = "tool") -> AnyTool:
    """Read one tool: a function of the caller's, or another kind, which is kept whole."""
    body: Json = as_object(value, where)
    if body.get("type") != "function":
        return OpaqueTool(name, value)
    del body["type"]
    called = text_at(body, "name", where)
    description, strict = body.pop("description", None), body.pop("strict", None)
    parameters = body.pop("parameters", None)
    if parameters is None:
        body[_SCHEMALESS] = True
        return Tool(called, description, strict=strict, extra=body)
    return Tool(called, description, as_object(parameters, f"{where}.parameters"), strict, extra=body)


def tool_choice_from_wire(value: Any) -> ToolChoice:
    """Read `tool_choice`. A kind of tool that is not a function is this API's own affair."""
    match value:
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case {"type": "function", "name": str(tool)}:
            return ToolChoice("tool", tool)
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list()}:
            inside = [an_object(one) for one in cast("list[Any]", value["tools"])]
            named = tuple(one["name"] for one in inside if isinstance(one.get("name"), str))
            plain = [{"type": "function", "name": one} for one in named]
            return (
                ToolChoice(mode, allowed=named) if named and inside == plain else ToolChoice(extra=cast("Json", value))
            )
        case {"type": str()}:
            return ToolChoice(extra=cast("Json", value))
        case _:
            raise InvalidRequestError(
                'tool_choice must be "auto", "none", "required" or {"type": "function", "name": …}',
                param="tool_choice",
                code="invalid_value",
            )


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request for a target. What a caller of this API said goes out as it was said."""
    return _Writer(request, facts).written()


class _Writer:
    """One request on its way to the wire: the body so far, and what could not be said in it."""

    def __init__(self, request: Request, facts: Facts) -> None:
        also = ["cache"] if "prompt_cache_breakpoint" in facts.quirks.accepts else []
        if facts.quirks.reasoning_key is not None:
            also.append("thinking")
        self.own = request.dialect == name
        if not self.own:
            request = replace(request, messages=tuple(map(unpinned, request.messages)))
        self.ours = request.dialect is None
        """Our own library asks: nobody else says what a conversation needs to go on."""
        self.request, losses = at_home(request, facts, name, says, also)
        self.facts = facts
        self.losses: list[Loss] = [*losses]
        self.body: Json = {"model": facts.model}

    def written(self) -> Written:
        """The whole of it."""
        self.body |= input_to_wire(self.request.messages, self.facts, self.own, self.losses)
        self._settings()
        self._tools()
        self._text()
        self._reasoning()
        self._include()
        if self.request.stream:
            self.body["stream"] = True
        if not self.own:
            self._narrow()
        self.losses += fields.apply_quirks(self.body, self.facts)
        extra = said(self.request.extra)
        if self.own:
            extra.pop("include", None)  # said as a whole
        for key, value in extra.items():  # under a key of ours it stands beside what we say
            ours = self.body.get(key)
            self.body[key] = {**value, **ours} if isinstance(value, dict) and isinstance(ours, dict) else value
        return Written(self.body, tuple(self.losses))

    def _settings(self) -> None:
        plain = replace(self.request.settings, reasoning=None, verbosity=None, logprobs=None)
        self.losses += fields.write(SETTINGS, plain, self.facts, self.body, own=self.own)
        if not self.facts.sampling:
            for key in SAMPLING:
                if self.body.pop(key, None) is not None:
                    self.losses.append(Loss(key, "the model rejects it", "target"))

    def _tools(self) -> None:
        request = self.request
        if request.tools:
            self.body["tools"] = [self._tool(tool) for tool in request.tools]
        elif not self.own:  # a choice among no tools is refused
            return
        if request.tool_choice is not None:
            self.body["tool_choice"] = _tool_choice_to_wire(request.tool_choice)

    def _tool(self, tool: AnyTool) -> Json:
        """A tool; `strict` is the default here, and nowhere else."""
        if isinstance(tool, OpaqueTool):
            return tool.body
        wire: Json = {"type": "function", "name": tool.name}
        if _SCHEMALESS not in tool.extra:
            wire["parameters"] = tool.parameters
        if tool.description is not None:
            wire["description"] = tool.description
        held = strict_tool(tool, self.losses, own=self.own)
        if held is not None or not self.own:
            wire["strict"] = bool(held)
        return {**wire, **said(tool.extra)}

    def _text(self) -> None:
        text: Json = {}
        if self.request.response_format is not None:
            text["format"] = _format_to_wire(self.request.response_format, self.losses, own=self.own)
        if self.request.settings.verbosity is not None:
            text["verbosity"] = self.request.settings.verbosity
        if text:
            self.body["text"] = text

    def _reasoning(self) -> None:
        reasoning = self.request.settings.reasoning
        if reasoning is None:
            return
        if self.facts.reasoning is False and not self.own:
            if not reasoning.off:
                self.losses.append(Loss("reasoning", "the model does not think", "target"))
            return
        wire: Json = {**said(reasoning.extra)}
        effort = _effort(reasoning, own=self.own)
        if effort is not None:
            wire["effort"] = effort
        if reasoning.summary is not None and (self.own or reasoning.summary != "none"):
            wire["summary"] = reasoning.summary
        if wire or self.own:
            self.body["reasoning"] = wire

    def _include(self) -> None:
        """What the answer is to hold beyond the usual. Our library has a model's reasoning come along encrypted where a
        turn may go on after tools: without it, or where nothing is stored, it could not be sent back."""
        include: list[str] | None = self.request.extra.get(_INCLUDE) if self.own else None
        if include is not None:
            self.body["include"] = include
            return
        asked: list[str] = [PROBABILITIES] if self.request.settings.logprobs and not self.own else []
        if asked and not self.facts.sampling:
            asked = []
            self.losses.append(Loss("logprobs", "the model rejects it", "target"))
        if self.ours and self.request.tools and self.facts.reasoning:
            asked.append(ENCRYPTED)
        if asked:
            self.body["include"] = asked

    def _narrow(self) -> None:
        """Keep what other APIs allow within this API's bounds."""
        most = self.body.get("max_output_tokens")
        if most is not None and most < LEAST_TOKENS:
            self.body["max_output_tokens"] = LEAST_TOKENS
            why = f"{LEAST_TOKENS} instead of {most}: the API takes no fewer"
            self.losses.append(Loss("max_tokens", why, "range"))


def _effort(reasoning: Reasoning, *, own: bool) -> str | None:
    """The effort in words; None leaves it to the model."""
    if reasoning.off:
        return "none"
    if reasoning.effort is not None:
        return reasoning.effort if own else EFFORTS.get(reasoning.effort, reasoning.effort)
    if reasoning.budget is None:
        return None
    return next((word for word, most in (("low", 2048), ("medium", 16_384)) if reasoning.budget <= most), "high")


def _tool_choice_to_wire(choice: ToolChoice) -> str | Json:
    if choice.extra:
        return choice.extra
    if choice.allowed:
        tools = [{"type": "function", "name": allowed} for allowed in choice.allowed]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    if choice.mode == "tool":
        return {"type": "function", "name": choice.name}
    return choice.mode


def _format_to_wire(form: ResponseFormat, losses: list[Loss], *, own: bool) -> Json:
    if form.kind != "schema":
        return {"type": "text" if form.kind == "text" else "json_object"}
    wire: Json = {"type": "json_schema", "schema": form.schema}
    if form.name is not None or not own:
        wire["name"] = form.name or "answer"
    if form.description is not None:
        wire["description"] = form.description
    if (held := strict_form(form, losses, own=own)) is not None:
        wire["strict"] = held
    return wire
