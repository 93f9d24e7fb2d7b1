"""Requests, both ways: settings, thinking, tools and the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Thinking
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar import fields, matrix, schemas
from trunkline.wire.grammar.crossing import at_home
from trunkline.wire.grammar.fields import (
    Field,
    array_at,
    as_array,
    as_count,
    as_flag,
    as_object,
    object_at,
    text_at,
)
from trunkline.wire.grammar.schemas import Takes

from .errors import name
from .messages import message_from_wire, message_to_wire, public

SETTINGS = (
    Field("max_tokens", "max_tokens"),
    Field("temperature", "temperature"),
    Field("top_p", "p"),
    Field("top_k", "k"),
    Field("stop", "stop_sequences", encode=list),
    Field("seed", "seed"),
    Field("frequency_penalty", "frequency_penalty"),
    Field("presence_penalty", "presence_penalty"),
    Field("logprobs", "logprobs"),
)

BOUNDS: Mapping[str, tuple[float, float]] = {
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
}
"""What the API takes of these settings (docs.cohere.com/reference/chat)."""

MOST_STOPS = 5

TAKES = Takes(
    refused=frozenset({
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "allOf", "oneOf", "not",
    }),
    page="https://docs.cohere.com/v2/docs/structured-outputs",
)  # fmt: skip
"""What the API takes of JSON Schema, where it holds the model to it. It must be of an object."""

says = matrix.says(
    SETTINGS,
    native="system system_midway text image_url image_data image_detail thinking tool_call tool_result tools json"
    " reasoning_budget reasoning_off",
    translated="refusal file_text file_name tool_strict choice_required schema reasoning_effort reasoning_adaptive",
    emulated="choice_none choice_tool choice_allowed",
)

BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 31_000,
    "max": 31_000,
}
"""Tokens of thinking for an effort in words; beyond 31,000 the answer lacks room (docs.cohere.com/docs/reasoning)."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request."""
    body = dict(body)
    model, turns = text_at(body, "model"), array_at(body, "messages")
    stream = as_flag(body.pop("stream", None), "stream")
    strict = as_flag(body.get("strict_tools"), "strict_tools")
    tools = as_array(body.pop("tools", None) or [], "tools")
    choice, form, thinking = (body.pop(key, None) for key in ("tool_choice", "response_format", "thinking"))
    reasoning = _thinking_from_wire(as_object(thinking, "thinking")) if thinking is not None else None
    return Request(
        model=model,
        messages=tuple(message_from_wire(turn, f"messages[{at}]") for at, turn in enumerate(turns)),
        tools=tuple(_tool_from_wire(tool, f"tools[{at}]", strict) for at, tool in enumerate(tools)),
        tool_choice=_choice_from_wire(choice) if choice is not None else None,
        response_format=_form_from_wire(as_object(form, "response_format")) if form is not None else None,
        settings=replace(fields.read(SETTINGS, body), reasoning=reasoning),
        stream=stream,
        extra=body,
        dialect=name,
    )


def _thinking_from_wire(body: Json) -> Reasoning:
    kind, budget = body.pop("type", None), body.pop("token_budget", None)
    if kind == "disabled":
        return Reasoning(off=True, extra=body)
    if budget is not None:
        return Reasoning(budget=as_count(budget, "thinking.token_budget"), extra=body)
    return Reasoning(adaptive=True, extra=body)


def _tool_from_wire(value: Any, where: str, strict: bool) -> AnyTool:
    body: Json = as_object(value, where)
    if body.pop("type", "function") != "function" or "function" not in body:
        return OpaqueTool(name, as_object(value, where))
    function = object_at(body, "function", where)
    parameters = function.pop("parameters", None)
    tool = Tool(
        text_at(function, "name", f"{where}.function"),
        function.pop("description", None),
        strict=True if strict else None,
        extra={**body, **({"function": function} if function else {})},
    )
    if parameters is None:
        return tool
    return replace(tool, parameters=as_object(parameters, f"{where}.function.parameters"))


def _choice_from_wire(value: Any) -> ToolChoice:
    match value:
        case "REQUIRED":
            return ToolChoice("required")
        case "NONE":
            return ToolChoice("none")
        case _:
            raise InvalidRequestError(
                'tool_choice must be "REQUIRED" or "NONE"', param="tool_choice", code="invalid_value"
            )


def _form_from_wire(body: Json) -> ResponseFormat:
    match body.get("type"):
        case "text":
            return ResponseFormat()
        case "json_object":
            key = next((key for key in ("json_schema", "schema") if body.get(key) is not None), None)
            if key is None:
                return ResponseFormat("json")
            named = "schema" if key == "schema" else None  # the older word, which the writer says again
            return ResponseFormat("schema", as_object(body[key], f"response_format.{key}"), named)
        case _:
            raise InvalidRequestError(
                "response_format.type must be text or json_object", param="response_format", code="invalid_value"
            )


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request for a target. What a caller of this API said goes out as it was said."""
    own = request.dialect == name
    request, losses = at_home(request, facts, name, says)
    return _Writer(request, facts, own, [*losses]).written()


class _Writer:
    """One request on its way to the wire: the body so far, and what could not be said in it."""

    def __init__(self, request: Request, facts: Facts, own: bool, losses: list[Loss]) -> None:
        self.request = request
        self.facts = facts
        self.own = own
        self.losses = losses
        self.body: Json = {"model": facts.model}

    def written(self) -> Written:
        """The whole of it."""
        body = self.body
        body["messages"] = self._messages()
        said = replace(self.request.settings, reasoning=None)
        self.losses += fields.write(SETTINGS, said, self.facts, body)
        self._tools()
        self._form()
        if self.request.settings.reasoning is not None:
            self._think(self.request.settings.reasoning)
        if not self.own:
            self._narrow()
        if self.request.stream:
            body["stream"] = True
        self.losses += fields.apply_quirks(body, self.facts)
        return Written({**body, **public(self.request.extra)}, tuple(self.losses))

    def _messages(self) -> list[Json]:
        thinks = self.own or self.facts.reasoning is not False
        wires: list[Json] = []
        for at, message in enumerate(self.request.messages):
            if not thinks and any(isinstance(part, Thinking) for part in message.parts):
                self.losses.append(Loss(f"messages[{at}].thinking", "the model does not think", "target"))
                message = replace(
                    message, parts=tuple(part for part in message.parts if not isinstance(part, Thinking))
                )
            wires += message_to_wire(message, f"messages[{at}]", self.losses, own=self.own)
        system = self.facts.quirks.system
        if system is not None and not any(wire["role"] == "system" for wire in wires):
            wires.insert(0, {"role": "system", "content": system})
        return wires

    def _tools(self) -> None:
        """There is no choice of a certain tool here: only that one is offered, and one must be called."""
        tools, choice = self.request.tools, self.request.tool_choice
        if choice is not None and not self.own:
            allowed = (choice.name,) if choice.mode == "tool" else choice.allowed
            if allowed:
                row = "choice_tool" if choice.mode == "tool" else "choice_allowed"
                self.losses.append(Loss("tool_choice", "emulated: the other tools are not offered", row))
                tools = tuple(tool for tool in tools if getattr(tool, "name", None) in allowed)
            if not tools:  # the API refuses a choice among no tools
                choice = None
        strict = [tool.strict for tool in tools if isinstance(tool, Tool)]
        fitted = bool(strict) and all(strict) and not self.own
        if tools:
            self.body["tools"] = [_tool_to_wire(tool, self.losses if fitted else None) for tool in tools]
        if choice is not None and choice.mode != "auto":
            self.body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"
        if fitted:
            self.body["strict_tools"] = True
        elif any(strict) and not self.own:
            self.losses.append(Loss("tools", "all tools or none are strict in this API", "range"))

    def _form(self) -> None:
        form = self.request.response_format
        if form is None or (form.kind == "text" and not self.own):
            return
        if self.body.get("tools") and not self.own:  # docs.cohere.com/docs/structured-outputs
            self.losses.append(Loss("response_format", "the API does not take it together with tools", "target"))
            return
        wire: Json = {"type": "text" if form.kind == "text" else "json_object"}
        if form.kind == "schema":
            key = "schema" if self.own and form.name == "schema" else "json_schema"
            schema = form.schema or {"type": "object"}
            if not self.own:
                schema = schemas.fit(schema, TAKES, "response_format.schema", self.losses)
                if schema.get("type", "object") != "object":
                    self.losses.append(Loss("response_format", "the API answers with objects only", "target"))
                    return
            wire[key] = schema
        self.body["response_format"] = wire

    def _think(self, reasoning: Reasoning) -> None:
        off = reasoning.off or reasoning.effort == "none"
        if not self.own and self.facts.reasoning is False:
            if not off:
                self.losses.append(Loss("reasoning", "the model does not think", "target"))
            return
        budget = reasoning.budget
        if budget is None and reasoning.effort is not None and not off:
            budget = BUDGETS.get(reasoning.effort, BUDGETS["medium"])
        wire: Json = {"type": "disabled" if off else "enabled"}
        if budget is not None and not off:
            wire["token_budget"] = budget
        self.body["thinking"] = {**wire, **public(reasoning.extra)}

    def _narrow(self) -> None:
        """Keep what other APIs allow within this API's bounds."""
        names = {entry.wire: entry.attribute for entry in SETTINGS}
        for key, (least, most) in BOUNDS.items():
            said = self.body.get(key)
            if said is None or least <= said <= most:
                continue
            if key == "p" and said >= 1:  # the default of others, and next to it here
                del self.body[key]
                continue
            self.body[key] = min(most, max(least, said))
            why = f"{self.body[key]} instead of {said}: the API's scale ends there"
            self.losses.append(Loss(names[key], why, "range"))
        stops: list[str] = self.body.get("stop_sequences", [])
        if len(stops) > MOST_STOPS:
            self.body["stop_sequences"] = stops[:MOST_STOPS]
            self.losses.append(Loss("stop", f"the API takes {MOST_STOPS} of them", "range"))
        if not self.facts.sampling:
            for key in ("temperature", "p", "k"):
                if self.body.pop(key, None) is not None:
                    self.losses.append(Loss(names[key], "the model rejects it", "target"))


def _tool_to_wire(tool: AnyTool, losses: list[Loss] | None) -> Json:
    """`losses`: the model will be held to the tool's schema, which must be made fit."""
    if isinstance(tool, OpaqueTool):
        return tool.body
    schema = tool.parameters
    if losses is not None:
        schema = schemas.fit(schema, TAKES, f"tools.{tool.name}", losses)
    function: Json = {"name": tool.name, "parameters": schema}
    if tool.description is not None:
        function["description"] = tool.description
    inside = tool.extra.get("function")
    if isinstance(inside, dict):
        function |= inside
    return {"type": "function", **public(tool.extra), "function": function}
