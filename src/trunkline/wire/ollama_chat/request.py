"""Requests, both ways: settings, thinking, tools and the form of the answer.

Notes: `~stream` says that the caller did not say whether to stream, which means yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import at_home
from trunkline.wire.grammar.fields import Field, array_at, as_array, as_flag, as_object, object_at, text_at
from trunkline.wire.grammar.fields import said as public

from .errors import name
from .messages import Calls, Conversation, message_from_wire


def _stops(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


SETTINGS = (
    Field("max_tokens", "options.num_predict"),
    Field("temperature", "options.temperature"),
    Field("top_p", "options.top_p"),
    Field("top_k", "options.top_k"),
    Field("stop", "options.stop", encode=list, decode=_stops),
    Field("seed", "options.seed"),
    Field("frequency_penalty", "options.frequency_penalty"),
    Field("presence_penalty", "options.presence_penalty"),
    Field("logprobs", "logprobs"),
    Field("top_logprobs", "top_logprobs"),
)
"""A dot leads into an object."""

says = matrix.says(
    SETTINGS,
    native="system system_midway text image_data thinking tool_call tool_result tools json schema"
    " schema_recursive reasoning_off",
    translated="refusal file_text file_name reasoning_effort reasoning_adaptive",
    emulated="choice_none choice_allowed reasoning_budget",
)

EFFORTS: Mapping[str, str] = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts that have another name here: the API has `low`, `medium` and `high`; models without levels just think."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request."""
    body = dict(body)
    model, turns = text_at(body, "model"), array_at(body, "messages")
    stream = body.pop("stream", None)
    if stream is None:
        body["~stream"] = True
    tools = as_array(body.pop("tools", None) or [], "tools")
    think, form = body.pop("think", None), body.pop("format", None)
    options = as_object(body.pop("options", None) or {}, "options")
    settings = _settings_from_wire(body, options)
    if options:
        body["options"] = options
    if form == "":
        body["format"] = form
    calls = Calls()
    return Request(
        model=model,
        messages=tuple(message_from_wire(turn, f"messages[{at}]", calls) for at, turn in enumerate(turns)),
        tools=tuple(_tool_from_wire(tool, f"tools[{at}]") for at, tool in enumerate(tools)),
        response_format=_form_from_wire(form) if form else None,
        settings=replace(settings, reasoning=_thinking_from_wire(think) if think is not None else None),
        stream=stream is None or as_flag(stream, "stream"),
        extra=body,
        dialect=name,
    )


def _settings_from_wire(body: Json, options: Json) -> Any:
    said: Json = {}
    for entry in SETTINGS:
        key, _, inner = entry.wire.partition(".")
        said[entry.wire] = options.pop(inner, None) if inner else body.pop(key, None)
    return fields.read(SETTINGS, said)


def _thinking_from_wire(think: Any) -> Reasoning:
    if isinstance(think, str):
        return Reasoning(effort=think)
    return Reasoning(adaptive=True) if as_flag(think, "think") else Reasoning(off=True)


def _form_from_wire(form: Any) -> ResponseFormat:
    if form == "json":
        return ResponseFormat("json")
    if isinstance(form, dict):
        return ResponseFormat("schema", as_object(form, "format"))
    raise InvalidRequestError('format must be "json" or a JSON schema', param="format", code="invalid_value")


def _tool_from_wire(value: Any, where: str) -> AnyTool:
    body: Json = as_object(value, where)
    if body.get("type", "function") != "function" or "function" not in body:
        return OpaqueTool(name, as_object(value, where))
    if body.pop("type", None) is None:
        body["~untyped"] = True
    function = object_at(body, "function", where)
    parameters = function.pop("parameters", None)
    tool = Tool(
        text_at(function, "name", f"{where}.function"),
        function.pop("description", None),
        extra={**body, **({"function": function} if function else {})},
    )
    if parameters is None:
        return tool
    return replace(tool, parameters=as_object(parameters, f"{where}.function.parameters"))


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
        request, body = self.request, self.body
        body["messages"] = self._messages()
        if "~stream" not in request.extra:
            body["stream"] = request.stream
        self._settings()
        self._tools()
        if (form := request.response_format) is not None and form.kind != "text":
            body["format"] = "json" if form.kind == "json" else form.schema or {"type": "object"}
        if request.settings.reasoning is not None:
            self._think(request.settings.reasoning)
        self.losses += fields.apply_quirks(body, self.facts)
        for key, value in public(request.extra).items():  # under a key of ours it stands beside what we say
            ours = body.get(key)
            body[key] = {**value, **ours} if isinstance(value, dict) and isinstance(ours, dict) else value
        return Written(body, tuple(self.losses))

    def _messages(self) -> list[Json]:
        conversation = Conversation(self.losses)
        wires: list[Json] = []
        for at, message in enumerate(self.request.messages):
            if not self.own:
                spoken = (part for part in message.parts if type(part) is not Text or part.text.strip())
                message = replace(message, parts=tuple(spoken))
            wires += conversation.write(message, f"messages[{at}]", own=self.own)
        system = self.facts.quirks.system
        if system is not None and not any(wire["role"] == "system" for wire in wires):
            wires.insert(0, {"role": "system", "content": system})
        return wires

    def _settings(self) -> None:
        flat: Json = {}
        said = replace(self.request.settings, reasoning=None)
        self.losses += fields.write(SETTINGS, said, self.facts, flat)
        for wire, value in flat.items():
            key, _, inner = wire.partition(".")
            if inner:
                self.body.setdefault(key, {})[inner] = value
            else:
                self.body[key] = value

    def _tools(self) -> None:
        """There is no choice among tools here: those that may not be chosen are not offered."""
        tools, choice = self.request.tools, self.request.tool_choice
        if choice is not None and choice.mode == "none":
            self.losses.append(Loss("tool_choice", "emulated: the tools are not offered", "choice_none"))
            tools = ()
        elif choice is not None and choice.allowed:
            self.losses.append(Loss("tool_choice", "emulated: the other tools are not offered", "choice_allowed"))
            tools = tuple(tool for tool in tools if getattr(tool, "name", None) in choice.allowed)
        if tools:
            self.body["tools"] = [_tool_to_wire(tool) for tool in tools]

    def _think(self, reasoning: Reasoning) -> None:
        off = reasoning.off or reasoning.effort == "none"
        if not self.own and self.facts.reasoning is False:  # such a model refuses to be told
            if not off:
                self.losses.append(Loss("reasoning", "the model does not think", "target"))
            return
        effort = reasoning.effort
        if not self.own and reasoning.budget is not None:
            why = "emulated: the API has levels, not numbers of tokens"
            self.losses.append(Loss("reasoning.budget", why, "reasoning_budget"))
            effort = effort or next((word for word, most in _LEVELS if reasoning.budget <= most), "high")
        if off:
            self.body["think"] = False
        elif effort is None:
            self.body["think"] = True
        else:
            self.body["think"] = effort if self.own else EFFORTS.get(effort, effort)


_LEVELS = (("low", 2048), ("medium", 16_384))


def _tool_to_wire(tool: AnyTool) -> Json:
    if isinstance(tool, OpaqueTool):
        return tool.body
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    inside = tool.extra.get("function")
    if isinstance(inside, dict):
        function |= inside
    kind = {} if "~untyped" in tool.extra else {"type": "function"}
    return {**kind, **public(tool.extra), "function": function}
