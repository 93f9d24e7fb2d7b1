"""Anthropic Messages requests, both ways: settings, thinking, tools and the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Tool, ToolChoice
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import INSTRUCTIONS, at_home
from trunkline.wire.grammar.fields import (
    Field,
    array_at,
    as_array,
    as_count,
    as_flag,
    as_object,
    as_text,
    cache_from_wire,
    mark_cache,
    text_at,
)
from trunkline.wire.grammar.structured import instruction

from .messages import content_from_wire, message_from_wire, name, system_to_wire, turns_to_wire
from .schema import fit

TIERS = {"auto": "auto", "default": "standard_only"}
"""The service tiers that both APIs have, in our words (OpenAI's) and in this API's."""


def _tier(word: str) -> str:
    return TIERS.get(word, word)


def _tier_word(word: str) -> str:
    return next((ours for ours, theirs in TIERS.items() if theirs == word), word)


def _user(metadata: Any) -> Any:
    return as_object(metadata, "metadata").get("user_id")


SETTINGS = (
    Field("max_tokens", "max_tokens"),
    Field("temperature", "temperature"),
    Field("top_p", "top_p"),
    Field("top_k", "top_k"),
    Field("stop", "stop_sequences", encode=list),
    Field("user", "metadata", encode=lambda user: {"user_id": user}, decode=_user),
    Field("service_tier", "service_tier", encode=_tier, decode=_tier_word),
)
"""`reasoning` and `parallel_tool_calls` are spread over several keys: see below."""

says = matrix.says(
    SETTINGS,
    native="text image_url image_data file_data file_text file_url file_name cache tool_strict schema choice_none"
    " tool_result_media tool_result_error reasoning_budget reasoning_adaptive",
    translated="system refusal tool_call tool_result tools choice_required choice_tool parallel_tool_calls"
    " reasoning_effort reasoning_off",
    emulated="json",
)

MOST_BY_DEFAULT = 20_000
"""`max_tokens` for callers who give none, where the model could do more: the API wants the answer streamed from 21,333
tokens on (its SDKs refuse to wait longer than ten minutes), and limits and budgets reserve what is asked for."""

LEAST_KNOWN = 4096
"""`max_tokens` for a model of which nothing is known: every one of them can do this."""

LEAST_BUDGET = 1024
"""The fewest tokens of thinking that the API takes (…/build-with-claude/extended-thinking)."""

BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_000,
    "max": 32_000,
}
"""Tokens of thinking for an effort in words, where the model wants a number: the first four are those that
ai.google.dev/gemini-api/docs/openai names; beyond 32,000 the API's own page advises against waiting for the answer."""

EFFORTS: Mapping[str, str] = {"minimal": "low"}
"""OpenAI's efforts that have another name here; the others are `low`, `medium`, `high`, `xhigh` and `max`."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request."""
    body = dict(body)
    model = text_at(body, "model")
    turns = array_at(body, "messages")
    system = body.pop("system", None)
    leading = (Message("system", content_from_wire(system, "system"), dialect=name),) if system else ()
    stream = as_flag(body.pop("stream", None), "stream")
    tools = as_array(body.pop("tools", None) or [], "tools")
    choice, parallel = _choice_from_wire(body.pop("tool_choice", None))
    reasoning, form = _thinking_from_wire(body)
    settings = fields.read(SETTINGS, body)
    return Request(
        model=model,
        messages=(*leading, *(message_from_wire(turn, f"messages[{at}]") for at, turn in enumerate(turns))),
        tools=tuple(tool_from_wire(tool, f"tools[{at}]") for at, tool in enumerate(tools)),
        tool_choice=choice,
        response_format=form,
        settings=replace(settings, parallel_tool_calls=parallel, reasoning=reasoning),
        stream=stream,
        extra=body,
        dialect=name,
    )


def _thinking_from_wire(body: Json) -> tuple[Reasoning | None, ResponseFormat | None]:
    """Read `thinking` and `output_config`, which holds the effort beside the form of the answer."""
    thinking: Json = as_object(body.pop("thinking", None) or {}, "thinking")
    output: Json = as_object(body.pop("output_config", None) or {}, "output_config")
    effort = output.pop("effort", None)
    form = output.pop("format", None)
    if form is None and (form := body.pop("output_format", None)) is not None:  # its name in the beta
        body["~beta"] = True
    if output:
        body["output_config"] = output
    effort = as_text(effort, "output_config.effort") if effort is not None else None
    match thinking.pop("type", None):
        case None:
            reasoning = Reasoning(effort=effort) if effort is not None else None
        case "enabled":
            budget = as_count(thinking.pop("budget_tokens", None), "thinking.budget_tokens")
            reasoning = Reasoning(effort, budget, extra=thinking)
        case "adaptive":
            reasoning = Reasoning(effort, adaptive=True, extra=thinking)
        case "disabled":
            reasoning = Reasoning(effort, off=True, extra=thinking)
        case kind:
            reasoning = Reasoning(effort, extra={"type": kind, **thinking})
    return reasoning, _format_from_wire(form) if form is not None else None


def _format_from_wire(form: Any) -> ResponseFormat:
    match form:
        case {"type": "json_schema"}:
            return ResponseFormat("schema", as_object(form.get("schema"), "output_config.format.schema"))
        case _:
            raise InvalidRequestError(
                "output_config.format.type must be json_schema", param="output_config.format", code="invalid_value"
            )


def tool_from_wire(value: Any, where: str = "tool") -> AnyTool:
    """Read one tool: a function of the caller's, or one that runs at the provider and is kept whole."""
    body: Json = as_object(value, where)
    if body.get("type") not in (None, "custom"):
        return OpaqueTool(name, body)
    body.pop("type", None)
    return Tool(
        text_at(body, "name", where),
        body.pop("description", None),
        as_object(body.pop("input_schema", None), f"{where}.input_schema"),
        body.pop("strict", None),
        cache_from_wire(body),
        body,
    )


def _choice_from_wire(value: Any) -> tuple[ToolChoice | None, bool | None]:
    """Read `tool_choice`, which also says whether several tools may be called at once."""
    if value is None:
        return None, None
    body: Json = as_object(value, "tool_choice")
    alone = body.get("disable_parallel_tool_use")
    parallel = None if alone is None else not as_flag(alone, "tool_choice.disable_parallel_tool_use")
    match body:
        case {"type": "tool", "name": str(tool)}:
            return ToolChoice("tool", tool), parallel
        case {"type": "any"}:
            return ToolChoice("required"), parallel
        case {"type": "auto" | "none" as mode}:
            return ToolChoice(mode), parallel
        case _:
            raise InvalidRequestError(
                'tool_choice.type must be "auto", "any", "none" or "tool" with a name',
                param="tool_choice",
                code="invalid_value",
            )


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request for a target. What a caller of this API said goes out as it was said."""
    return _Writer(request, facts).written()


class _Writer:
    """One request on its way to the wire: the body so far, and what could not be said in it."""

    def __init__(self, request: Request, facts: Facts) -> None:
        self.request, losses = at_home(request, facts, name, says)
        self.facts = facts
        self.own = request.dialect == name
        self.losses: list[Loss] = [*losses]
        self.body: Json = {"model": facts.model}

    def written(self) -> Written:
        """The whole of it."""
        self._conversation()
        self._settings()
        self._tools()
        self._form()
        self._thinking()
        if not self.own:
            self._narrow()
        if self.request.stream:
            self.body["stream"] = True
        self.losses += fields.apply_quirks(self.body, self.facts)
        for key, value in fields.said(self.request.extra).items():  # under a key of ours it stands beside what we say
            ours = self.body.get(key)
            self.body[key] = {**value, **ours} if isinstance(value, dict) and isinstance(ours, dict) else value
        return Written(self.body, tuple(self.losses))

    def _conversation(self) -> None:
        messages = self.request.messages
        leading = next((at for at, one in enumerate(messages) if one.role not in INSTRUCTIONS), len(messages))
        system = system_to_wire(messages[:leading], self.losses) or self.facts.quirks.system
        turns = turns_to_wire(messages, leading, self.own, self.losses)
        if not turns and system is not None:  # there must be a turn
            self.losses.append(Loss("messages[0].role", "instructions alone are said as the user", "target"))
            turns, system = [{"role": "user", "content": system}], None
        if system is not None:
            self.body["system"] = system
        self.body["messages"] = turns

    def _settings(self) -> None:
        said = replace(self.request.settings, reasoning=None, parallel_tool_calls=None)
        self.losses += fields.write(SETTINGS, said, self.facts, self.body)
        tier = self.body.get("service_tier")
        if not self.own and tier is not None and tier not in TIERS.values():
            self._drop("service_tier", "the target has no such tier")
        if not self.facts.sampling:
            for key in ("temperature", "top_p", "top_k"):
                self._drop(key, "the model rejects it", unless=1)

    def _drop(self, key: str, why: str, *, unless: Any = None) -> None:
        """Leave a key out; that is no loss where it said `unless`, the API's default."""
        if key in self.body and self.body.pop(key) != unless:
            self.losses.append(Loss(key, why, "target"))

    def _tools(self) -> None:
        tools = [self._tool(tool) for tool in self.request.tools]
        choice, parallel = self.request.tool_choice, self.request.settings.parallel_tool_calls
        if tools:
            self.body["tools"] = tools
        elif not self.own:  # the API refuses a choice among no tools
            return
        if choice is None and parallel is False:
            choice = ToolChoice()
        if choice is not None:
            self.body["tool_choice"] = _choice_to_wire(choice, parallel)

    def _tool(self, tool: AnyTool) -> Json:
        if isinstance(tool, OpaqueTool):
            return tool.body
        schema = tool.parameters
        if not self.own:
            schema = {"type": "object", **schema}
            schema = fit(schema, f"tools.{tool.name}", self.losses) if tool.strict else schema
        wire: Json = {"name": tool.name, "input_schema": schema}
        if tool.description is not None:
            wire["description"] = tool.description
        if tool.strict is not None:
            wire["strict"] = tool.strict
        mark_cache(wire, tool.cache)
        return {**wire, **tool.extra}

    def _form(self) -> None:
        form = self.request.response_format
        if form is None or form.kind == "text":
            return
        if form.kind == "schema":
            schema = form.schema or {"type": "object"}
            if not self.own:
                schema = fit(schema, "response_format.schema", self.losses)
            wire = {"type": "json_schema", "schema": schema}
            beta = self.own and "~beta" in self.request.extra
            self.body |= {"output_format": wire} if beta else {"output_config": {"format": wire}}
            return
        self.losses.append(
            Loss("response_format", "emulated: the API has no JSON mode, the system prompt asks for it", "json")
        )
        system = self.body.get("system")
        words = instruction(form)
        ours = {"type": "text", "text": words}
        self.body["system"] = [*system, ours] if isinstance(system, list) else _paragraphs(system, words)

    def _thinking(self) -> None:
        reasoning = self.request.settings.reasoning
        if reasoning is None:
            pass
        elif self.own:
            self._think(_thinking_of(reasoning), reasoning.effort)
        elif self.facts.adaptive_thinking:
            self._adaptive(reasoning)
        elif reasoning.off or reasoning.effort == "none":
            if self.facts.reasoning:
                self._think({"type": "disabled"})
        elif self._forced():
            self.losses.append(Loss("reasoning", "the API does not think when it is told which tool to call", "target"))
        else:
            self._budgeted(reasoning)
        if "max_tokens" not in self.body:
            self.body["max_tokens"] = self._most()

    def _think(self, thinking: Json, effort: str | None = None) -> None:
        if thinking:
            self.body["thinking"] = thinking
        if effort is not None:
            self.body.setdefault("output_config", {})["effort"] = effort

    def _adaptive(self, reasoning: Reasoning) -> None:
        """These models think as much as they see fit: only the effort can be named (…/build-with-claude/effort)."""
        effort = reasoning.effort
        if reasoning.off or effort == "none":
            self.losses.append(
                Loss("reasoning", "the model decides whether to think: it is asked for its least effort", "target")
            )
            return self._think({}, "low")  # the newest refuse `disabled`, the others do not think unasked
        if reasoning.budget is not None:
            self.losses.append(Loss("reasoning.budget", "the model takes an effort, not a number of tokens", "target"))
            effort = effort or _effort_of(reasoning.budget)
        effort = EFFORTS.get(effort, effort) if effort is not None else None
        if self._forced():
            self.losses.append(Loss("reasoning", "the API does not think when it is told which tool to call", "target"))
            return self._think({}, effort)
        return self._think({"type": "adaptive"}, effort)

    def _budgeted(self, reasoning: Reasoning) -> None:
        """A budget below `max_tokens`, which counts thinking too: an effort's makes room, a given one takes it."""
        said: int | None = self.body.get("max_tokens")
        budget = reasoning.budget or BUDGETS.get(reasoning.effort or "medium", BUDGETS["medium"])
        if said is not None and reasoning.budget is None:
            budget = min(budget, said // 2)
        budget = max(LEAST_BUDGET, budget)
        most = said or self._most()
        if budget >= most:
            most = budget + (said or LEAST_KNOWN)
        if self.facts.max_output is not None and most > self.facts.max_output:
            most = self.facts.max_output
            budget = min(budget, max(LEAST_BUDGET, most // 2))
        if budget >= most:
            self.losses.append(Loss("reasoning", f"there is no room for {budget} tokens of thinking", "target"))
            return
        if said is not None and most != said:
            self.losses.append(Loss("max_tokens", f"{most} instead of {said}: thinking counts too", "target"))
        self.body["max_tokens"] = most
        self._think({"type": "enabled", "budget_tokens": budget})

    def _most(self) -> int:
        limit = self.facts.max_output
        return LEAST_KNOWN if limit is None else min(limit, MOST_BY_DEFAULT)

    def _forced(self) -> bool:
        return self.body.get("tool_choice", {}).get("type") in {"any", "tool"}

    def _narrow(self) -> None:
        """Keep what other APIs allow within this API's bounds."""
        body = self.body
        heat: float | None = body.get("temperature")
        if heat is not None and not 0 <= heat <= 1:
            body["temperature"] = min(1, max(0, heat))
            self.losses.append(
                Loss("temperature", f"{body['temperature']} instead of {heat}: the API's scale ends there", "range")
            )
        if body.get("thinking", {}).get("type") in {"enabled", "adaptive"}:
            self._drop("temperature", "the API does not take it together with thinking", unless=1)
            self._drop("top_k", "the API does not take it together with thinking")
            if body.get("top_p", 1) < 0.95:
                self._drop("top_p", "the API does not take it together with thinking")
        if "temperature" in body:  # newer models refuse both
            self._drop("top_p", "the API takes temperature or top_p, not both", unless=1)
        stops: list[str] = body.get("stop_sequences", [])
        if blank := [stop for stop in stops if not stop.strip()]:
            self.losses.append(Loss("stop", f"{blank[0]!r} cannot end an answer in this API", "range"))
            body["stop_sequences"] = [stop for stop in stops if stop.strip()]


def _paragraphs(before: str | None, text: str) -> str:
    return f"{before}\n\n{text}" if before else text


def _choice_to_wire(choice: ToolChoice, parallel: bool | None) -> Json:
    wire: Json = {"type": {"required": "any"}.get(choice.mode, choice.mode)}
    if choice.mode == "tool":
        wire["name"] = choice.name
    if parallel is not None and choice.mode != "none":
        wire["disable_parallel_tool_use"] = not parallel
    return wire


def _thinking_of(reasoning: Reasoning) -> Json:
    """`thinking`, as a caller of this API said it."""
    if reasoning.off:
        return {"type": "disabled", **reasoning.extra}
    if reasoning.budget is not None:
        return {"type": "enabled", "budget_tokens": reasoning.budget, **reasoning.extra}
    if reasoning.adaptive:
        return {"type": "adaptive", **reasoning.extra}
    return reasoning.extra


def _effort_of(budget: int) -> str:
    """The effort whose budget comes nearest."""
    return next((word for word, most in (("low", 4096), ("medium", 16_384)) if budget <= most), "high")
