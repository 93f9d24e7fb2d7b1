"""Requests, both ways: settings, thinking, tools and the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from msgspec.structs import replace

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import Reasoning, ResponseFormat, Tool
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import INSTRUCTIONS, at_home
from trunkline.wire.grammar.fields import (
    Field,
    an_object,
    array_at,
    as_array,
    as_flag,
    as_object,
    as_text,
    text_at,
)
from trunkline.wire.grammar.structured import instruction

from .messages import contents_to_wire, message_from_wire, own_to_wire, system_from_wire, system_to_wire
from .parts import Ids, name
from .schema import fit, from_openapi
from .spelling import SPELLED, public, respell, respelled
from .tools import GROUPS, choice_from_wire, choice_to_wire, tools_from_wire, tools_to_wire


def _lower(words: Any) -> Any:
    listed = as_array(words, "generationConfig.responseModalities")
    return [as_text(word, "generationConfig.responseModalities[]").lower() for word in listed]


def _upper(words: tuple[str, ...]) -> list[str]:
    return [word.upper() for word in words]


SETTINGS = (
    Field("max_tokens", "maxOutputTokens"),
    Field("temperature", "temperature"),
    Field("top_p", "topP"),
    Field("top_k", "topK"),
    Field("stop", "stopSequences", encode=list),
    Field("seed", "seed"),
    Field("frequency_penalty", "frequencyPenalty"),
    Field("presence_penalty", "presencePenalty"),
    Field("n", "candidateCount"),
    Field("logprobs", "responseLogprobs"),
    Field("top_logprobs", "logprobs"),
    Field("modalities", "responseModalities", encode=_upper, decode=_lower),
)
"""What stands in `generationConfig`; `thinkingConfig` and the form of the answer stand there too."""

TIERS: Mapping[str, str] = {"default": "standard", "flex": "flex", "priority": "priority"}
"""The service tiers (ai.google.dev/gemini-api/docs/flex-inference), in our words (OpenAI's) and in this API's."""

says = matrix.says(
    SETTINGS,
    native="text image_data audio file_data file_text assistant_media thinking json choice_none reasoning_budget",
    translated="system image_url audio_url file_url refusal tool_call tool_result tool_result_media tool_result_error"
    " tools choice_required choice_tool choice_allowed schema schema_recursive service_tier"
    " reasoning_effort reasoning_adaptive reasoning_off reasoning_summary",
)
"""Public addresses are fetched since 2026 (ai.google.dev/gemini-api/docs/file-input-methods), as Vertex always did."""

BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Tokens of thinking for an effort in words (ai.google.dev/gemini-api/docs/openai); the last is the most that every
model takes."""

LEVELS: Mapping[str, str] = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts that not every model has as a level (…/docs/thinking): the nearest that all have."""

MOST_STOPS = 5
MOST_CANDIDATES = 8


def request_from_wire(body: Json) -> Request:
    """Read a caller's request; `model` and `stream` stand in its address."""
    notes: Extra = {}
    body = respell(dict(body), notes)
    model = text_at(body, "model").rpartition("models/")[2]
    contents = array_at(body, "contents")
    system = body.pop("systemInstruction", None)
    leading = (system_from_wire(system),) if system is not None else ()
    stream = as_flag(body.pop("stream", None), "stream")
    tools = tools_from_wire(body)
    choice = choice_from_wire(body, notes)
    settings, form = _config_from_wire(body, notes)
    tier = body.pop("serviceTier", None)
    if tier is not None:
        word = as_text(tier, "serviceTier")
        settings = replace(settings, service_tier=_OUR_TIERS.get(word, word))
    if notes:
        body[SPELLED] = notes
    ids = Ids("call")
    return Request(
        model=model,
        messages=(*leading, *(message_from_wire(one, f"contents[{at}]", ids) for at, one in enumerate(contents))),
        tools=tools,
        tool_choice=choice,
        response_format=form,
        settings=settings,
        stream=stream,
        extra=body,
        dialect=name,
    )


_OUR_TIERS: Mapping[str, str] = {theirs: ours for ours, theirs in TIERS.items()}


def _config_from_wire(body: Json, notes: Extra) -> tuple[Any, ResponseFormat | None]:
    """Read `generationConfig`: what it says goes, the rest stays where it was."""
    said = body.pop("generationConfig", None)
    config = respell(as_object(said, "generationConfig"), notes) if said is not None else {}
    thinking = config.pop("thinkingConfig", None)
    reasoning = _thinking_from_wire(as_object(thinking, "thinkingConfig")) if thinking is not None else None
    modalities = config.get("responseModalities")
    settings = replace(fields.read(SETTINGS, config), reasoning=reasoning)
    if modalities is not None and settings.modalities and _upper(settings.modalities) != modalities:
        body["~modalities"] = modalities
    form = _form_from_wire(config, body)
    if config:
        body["generationConfig"] = config
    elif said is not None:
        body["~config"] = True
    return settings, form


def _form_from_wire(config: Json, body: Json) -> ResponseFormat | None:
    """The form of the answer: JSON, and perhaps a schema in one of two keys."""
    kind = config.get("responseMimeType")
    key = next((key for key in ("responseJsonSchema", "responseSchema") if config.get(key) is not None), None)
    if kind not in (None, "application/json", "text/plain") or (kind is None and key is None):
        return None
    kept = {one: config.pop(one) for one in ("responseMimeType", key) if one is not None and one in config}
    if key is None:
        return ResponseFormat("json" if kind == "application/json" else "text")
    schema = as_object(kept[key], f"generationConfig.{key}")
    body["~form"] = kept
    return ResponseFormat("schema", from_openapi(schema) if key == "responseSchema" else schema)


def _thinking_from_wire(config: Json) -> Reasoning:
    notes: Extra = {}
    config = respell(config, notes)
    level = config.pop("thinkingLevel", None)
    effort = as_text(level, "thinkingConfig.thinkingLevel").lower() if level is not None else None
    budget: Any = config.pop("thinkingBudget", None)
    shown = config.pop("includeThoughts", None)
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool)):
        budget = fields.as_count(budget, "thinkingConfig.thinkingBudget")
    if effort is not None and level != effort:
        config["~level"] = level
    if notes:
        config[SPELLED] = notes
    return Reasoning(
        effort,
        budget if budget is not None and budget > 0 else None,
        adaptive=budget is not None and budget < 0,
        off=budget == 0,
        summary=None if shown is None else "auto" if as_flag(shown, "thinkingConfig.includeThoughts") else "none",
        extra=config,
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
        self.older = facts.reasoning is not None and not facts.adaptive_thinking
        """It is known to be of the second generation: it is told a number of tokens, takes no pictures among results
        and no schema together with functions."""
        self.losses: list[Loss] = [*losses]
        self.body: Json = {}
        self.config: Json = {}

    def written(self) -> Written:
        """The whole of it."""
        self._conversation()
        self._settings()
        self._tools()
        self._form()
        self._thinking()
        extra = self.request.extra
        if not self.own:
            self._narrow()
        if self.config or "~config" in extra:
            self.body["generationConfig"] = self.config
        self.losses += fields.apply_quirks(self.body, self.facts)
        for key, value in public(extra).items():  # under a key of ours it stands beside what we say
            ours = self.body.get(key)
            beside = isinstance(value, dict) and isinstance(ours, dict)
            self.body[key] = _beside(an_object(value), an_object(ours)) if beside else value
        return Written(self._as_spelled(extra.get(SPELLED)), tuple(self.losses))

    def _as_spelled(self, notes: Any) -> Json:
        if not notes:
            return self.body
        for key in ("generationConfig", "toolConfig"):
            if isinstance(inside := self.body.get(key), dict):
                self.body[key] = respelled(cast("Json", inside), notes)
        return respelled(self.body, notes)

    def _conversation(self) -> None:
        messages = self.request.messages
        if self.own:
            self._own_conversation()
            return
        leading = next((at for at, one in enumerate(messages) if one.role not in INSTRUCTIONS), len(messages))
        system = system_to_wire(messages[:leading], self.losses)
        if system is None and self.facts.quirks.system is not None:
            system = {"parts": [{"text": self.facts.quirks.system}]}
        contents = contents_to_wire(
            messages,
            leading,
            self.losses,
            signed=self.facts.reasoning is not False,
            media_in_results=not self.older,
        )
        if not contents and system is not None:  # there must be a turn
            self.losses.append(Loss("messages[0].role", "instructions alone are said as the user", "target"))
            contents, system = [{"role": "user", **system}], None
        if system is not None:
            self.body["systemInstruction"] = system
        self.body["contents"] = contents

    def _own_conversation(self) -> None:
        messages = self.request.messages
        if messages and messages[0].role == "system":
            self.body["systemInstruction"] = own_to_wire(messages[0])
            messages = messages[1:]
        elif self.facts.quirks.system is not None:
            self.body["systemInstruction"] = {"parts": [{"text": self.facts.quirks.system}]}
        self.body["contents"] = [own_to_wire(message) for message in messages]

    def _settings(self) -> None:
        said = self.request.settings
        tier = said.service_tier
        if tier is not None:
            if self.own or tier in TIERS:
                self.body["serviceTier"] = TIERS.get(tier, tier)
            else:
                self.losses.append(Loss("service_tier", "the target has no such tier", "target"))
        said = replace(said, reasoning=None, service_tier=None)
        self.losses += fields.write(SETTINGS, said, self.facts, self.config)
        if (kept := self.request.extra.get("~modalities")) is not None:
            self.config["responseModalities"] = kept
        if not self.facts.sampling:
            for key in _SAMPLING:
                if self.config.pop(key, None) is not None:
                    self.losses.append(Loss(key, "the model rejects it", "target"))

    def _tools(self) -> None:
        request = self.request
        if tools := tools_to_wire(request.tools, request.extra.get(GROUPS)):
            self.body["tools"] = tools
        offered = any(isinstance(tool, Tool) for tool in request.tools)
        if request.tool_choice is not None and (self.own or offered):  # the API refuses a choice among no functions
            choice = choice_to_wire(request.tool_choice, request.extra.get("~choice"))
            self.body["toolConfig"] = {"functionCallingConfig": choice}

    def _form(self) -> None:
        form = self.request.response_format
        if form is None:
            return
        kept: Json | None = self.request.extra.get("~form")
        if self.own and kept is not None and form.kind == "schema":
            self.config |= kept
            return
        if form.kind == "text":
            if self.own:
                self.config["responseMimeType"] = "text/plain"
            return
        if self.older and not self.own and any(isinstance(tool, Tool) for tool in self.request.tools):
            self._form_in_words(form)
            return
        self.config["responseMimeType"] = "application/json"
        if form.kind == "schema":
            schema = form.schema or {"type": "object"}
            if not self.own:
                schema = fit(schema, "response_format.schema", self.losses)
            self.config["responseJsonSchema"] = schema

    def _form_in_words(self, form: ResponseFormat) -> None:
        """These models refuse a form of the answer together with functions: they are asked for it in words."""
        self.losses.append(
            Loss(
                "response_format", "emulated: the model takes tools or a form, the system prompt asks for it", "target"
            )
        )
        system: Json = self.body.get("systemInstruction") or {"parts": []}
        self.body["systemInstruction"] = {**system, "parts": [*system["parts"], {"text": instruction(form)}]}

    def _thinking(self) -> None:
        reasoning = self.request.settings.reasoning
        if reasoning is None:
            return
        if self.own:
            self.config["thinkingConfig"] = _own_thinking(reasoning)
            return
        off = reasoning.off or reasoning.effort == "none"
        if self.facts.reasoning is False:  # which refuses to be told anything about it
            if not off:
                self.losses.append(Loss("reasoning", "the model does not think", "target"))
            return
        config: Json = {}
        if not off and reasoning.summary != "none":
            config["includeThoughts"] = True  # other APIs show what is thought when they are asked to think
        if self.facts.adaptive_thinking:
            config |= self._level(reasoning, off=off)
        else:
            config |= self._budget(reasoning, off=off)
        if config:
            self.config["thinkingConfig"] = config

    def _level(self, reasoning: Reasoning, *, off: bool) -> Json:
        """An effort in words, of which each of these models has the ones that we name."""
        effort = reasoning.effort
        if off:
            why = "the model always thinks: it is asked for its least effort"
            self.losses.append(Loss("reasoning", why, "target"))
            return {"thinkingLevel": "low"}
        if reasoning.budget is not None and effort is None:
            self.losses.append(Loss("reasoning.budget", "the model takes an effort, not a number of tokens", "target"))
            effort = "low" if reasoning.budget <= BUDGETS["low"] else "high"
        return {"thinkingLevel": LEVELS.get(effort, effort)} if effort is not None else {}

    def _budget(self, reasoning: Reasoning, *, off: bool) -> Json:
        """A number of tokens: 0 is off, where the model can do without, and -1 as many as it sees fit."""
        least = self.facts.least_thinking
        if off:
            if least > 0:
                why = f"the model always thinks: it is allowed {least} tokens"
                self.losses.append(Loss("reasoning", why, "target"))
            return {"thinkingBudget": least}
        if reasoning.budget is not None:
            return {"thinkingBudget": max(least, reasoning.budget)}
        if reasoning.effort is not None and not reasoning.adaptive:
            return {"thinkingBudget": max(least, BUDGETS.get(reasoning.effort, BUDGETS["medium"]))}
        return {"thinkingBudget": -1} if reasoning.adaptive else {}

    def _narrow(self) -> None:
        """Keep what other APIs allow within this API's bounds."""
        config = self.config
        stops = [stop for stop in config.get("stopSequences", ()) if stop]
        if len(stops) > MOST_STOPS:
            self.losses.append(Loss("stop", f"the API takes {MOST_STOPS} of them", "range"))
        if stops:
            config["stopSequences"] = stops[:MOST_STOPS]
        else:
            config.pop("stopSequences", None)
        seed: int = config.get("seed", 0)
        if not -(2**31) <= seed < 2**31:
            self.losses.append(Loss("seed", "it has 32 bits in this API", "range"))
            del config["seed"]
        self._bounded("temperature", "temperature", 0, 2)
        self._bounded("candidateCount", "n", 1, MOST_CANDIDATES)

    def _bounded(self, key: str, field: str, least: int, most: int) -> None:
        value = self.config.get(key)
        if value is not None and not least <= value <= most:
            self.config[key] = min(most, max(least, value))
            why = f"{self.config[key]} instead of {value}: the API's scale ends there"
            self.losses.append(Loss(field, why, "range"))


_SAMPLING = ("temperature", "topP", "topK", "frequencyPenalty", "presencePenalty")


def _beside(theirs: Json, ours: Json) -> Json:
    """Two objects in one, ours on top; objects in both are joined too."""
    return {
        **theirs,
        **{
            key: {**an_object(theirs.get(key)), **value} if isinstance(value, dict) else value
            for key, value in ours.items()
        },
    }


def _own_thinking(reasoning: Reasoning) -> Json:
    """`thinkingConfig`, as a caller of this API said it."""
    extra = reasoning.extra
    config = dict(public(extra))
    if reasoning.summary is not None:
        config["includeThoughts"] = reasoning.summary != "none"
    if reasoning.effort is not None:
        config["thinkingLevel"] = extra.get("~level", reasoning.effort)
    if reasoning.off or reasoning.adaptive or reasoning.budget is not None:
        config["thinkingBudget"] = 0 if reasoning.off else reasoning.budget if reasoning.budget is not None else -1
    return respelled(config, extra.get(SPELLED) or {})
