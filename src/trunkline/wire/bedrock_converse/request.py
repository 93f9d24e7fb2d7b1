"""Requests, both ways: settings, thinking and the form of the answer.

Notes: `~schema` is the text of the schema as it was written, `~key` where thinking stood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.protocols import Json, Written
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, ResponseFormat
from trunkline.wire.grammar import fields, matrix
from trunkline.wire.grammar.crossing import INSTRUCTIONS, at_home
from trunkline.wire.grammar.fields import Field, as_array, as_count, as_flag, as_object, as_text, text_at
from trunkline.wire.grammar.structured import instruction

from . import tools
from .blocks import content_from_wire, public
from .makers import MAKERS, Thought
from .media import name
from .messages import Conversation, message_from_wire, own_to_wire
from .schema import fit


def _tier(value: Any) -> str:
    return text_at(as_object(value, "serviceTier"), "type", "serviceTier")


SETTINGS = (
    Field("max_tokens", "inferenceConfig.maxTokens"),
    Field("temperature", "inferenceConfig.temperature"),
    Field("top_p", "inferenceConfig.topP"),
    Field("stop", "inferenceConfig.stopSequences", encode=list),
    Field("top_k", "additionalModelRequestFields.top_k"),
    Field("metadata", "requestMetadata"),
    Field("service_tier", "serviceTier", encode=lambda tier: {"type": tier}, decode=_tier),
)
"""A dot leads into an object. Thinking and the form of the answer are spread over several keys: see below."""

says = matrix.says(
    SETTINGS,
    native="text image_data audio file_data file_text cache tools tool_strict tool_result_media tool_result_error",
    translated="system refusal tool_call tool_result choice_required choice_tool schema",
    emulated="json choice_none file_name top_k reasoning_effort reasoning_budget reasoning_adaptive reasoning_off",
)
"""`top_k` and thinking are said to the models of those makers whose words for it are known (`makers`)."""

TIERS = frozenset({"default", "flex", "priority", "reserved"})
"""The service tiers (API_runtime_ServiceTier.html): three are OpenAI's words too, and `auto` is saying nothing."""

MOST_METADATA = 16
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
"""What the API takes of keys and values (API_runtime_Converse.html, requestMetadata)."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request; `model` and `stream` stand in its address. A stored prompt may stand for messages."""
    body = dict(body)
    model = text_at(body, "model")
    turns = as_array(body.pop("messages", None) or [], "messages")
    system = content_from_wire(body.pop("system", None) or [], "system")
    leading = (Message("system", system, dialect=name),) if system else ()
    stream = as_flag(body.pop("stream", None), "stream")
    config = _inside(body, "toolConfig")
    offered = tools.tools_from_wire(config) if "tools" in config else ()
    choice = config.pop("toolChoice", None)
    inference, additional, output = (_inside(body, key) for key in _OBJECTS)
    reasoning = _thinking_from_wire(additional, output)
    form = _form_from_wire(output, body)
    settings = _settings_from_wire(body, {"inferenceConfig": inference, "additionalModelRequestFields": additional})
    for key, rest in (*zip(_OBJECTS, (inference, additional, output), strict=True), ("toolConfig", config)):
        if rest:
            body[key] = rest
    return Request(
        model=model,
        messages=(*leading, *(message_from_wire(turn, f"messages[{at}]") for at, turn in enumerate(turns))),
        tools=offered,
        tool_choice=tools.choice_from_wire(choice) if choice is not None else None,
        response_format=form,
        settings=replace(settings, reasoning=reasoning),
        stream=stream,
        extra=body,
        dialect=name,
    )


_OBJECTS = ("inferenceConfig", "additionalModelRequestFields", "outputConfig")
"""Objects that hold settings among other things: what is not read of them stays where it was."""


def _inside(body: Json, key: str) -> Json:
    """An object of the body, taken out of it; empty where there is none."""
    return as_object(body.pop(key, None) or {}, key)


def _settings_from_wire(body: Json, objects: Mapping[str, Json]) -> Settings:
    """The settings, taken out of the body and of the objects that hold them."""
    said: Json = {}
    for entry in SETTINGS:
        key, _, inner = entry.wire.partition(".")
        said[entry.wire] = objects[key].pop(inner, None) if inner else body.pop(key, None)
    return fields.read(SETTINGS, said)


def _thinking_from_wire(additional: Json, output: Json) -> Reasoning | None:
    """Read Claude's thinking, under either of its names, and the effort, which every model may have."""
    effort = output.pop("effort", None)
    effort = as_text(effort, "outputConfig.effort") if effort is not None else None
    key = next((one for one in ("thinking", "reasoning_config") if isinstance(additional.get(one), dict)), None)
    if key is None:
        return Reasoning(effort=effort) if effort is not None else None
    where = f"additionalModelRequestFields.{key}"
    thinking = as_object(additional.pop(key), where)
    note: Json = {} if key == "thinking" else {"~key": key}
    match thinking.pop("type", None):
        case "enabled":
            budget = as_count(thinking.pop("budget_tokens", None), f"{where}.budget_tokens")
            return Reasoning(effort, budget, extra={**thinking, **note})
        case "adaptive":
            return Reasoning(effort, adaptive=True, extra={**thinking, **note})
        case "disabled":
            return Reasoning(effort, off=True, extra={**thinking, **note})
        case kind:
            return Reasoning(effort, extra={"type": kind, **thinking, **note})


def _thinking_of(reasoning: Reasoning) -> Json:
    """The keys of thinking as a caller of this API said them."""
    rest = public(reasoning.extra)
    said: Json = rest
    if reasoning.off:
        said = {"type": "disabled", **rest}
    elif reasoning.budget is not None:
        said = {"type": "enabled", "budget_tokens": reasoning.budget, **rest}
    elif reasoning.adaptive:
        said = {"type": "adaptive", **rest}
    return {reasoning.extra.get("~key", "thinking"): said} if said else {}


def _form_from_wire(output: Json, body: Json) -> ResponseFormat | None:
    """Read `outputConfig.textFormat`, whose schema is a text."""
    form = output.pop("textFormat", None)
    if form is None:
        return None
    match form:
        case {"type": "json_schema", "structure": {"jsonSchema": {"schema": str(text)} as said}}:
            held = cast("Json", said)
        case _:
            raise InvalidRequestError(
                "outputConfig.textFormat must be of the type json_schema, with structure.jsonSchema.schema as a text",
                param="outputConfig.textFormat",
                code="invalid_value",
            )
    try:
        schema: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        schema = None
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    body["~schema"] = text
    return ResponseFormat("schema", as_object(schema, where), held.get("name"), held.get("description"))


def _form_of(form: ResponseFormat, text: str) -> Json:
    said: Json = {"schema": text}
    if form.name is not None:
        said["name"] = form.name
    if form.description is not None:
        said["description"] = form.description
    return {"type": "json_schema", "structure": {"jsonSchema": said}}


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request for a target. What a caller of this API said goes out as it was said."""
    writer = _Own(request, facts) if request.dialect == name else _Writer(request, facts)
    return writer.written()


class _Own:
    """A request of a caller of this API, on its way to the wire again."""

    def __init__(self, request: Request, facts: Facts) -> None:
        self.request = request
        self.facts = facts
        self.losses: list[Loss] = []
        self.body: Json = {}

    def written(self) -> Written:
        """The whole of it."""
        request, body = self.request, self.body
        system, turns = own_to_wire(request.messages)
        if system:
            body["system"] = system
        if turns:
            body["messages"] = turns
        self._settings(request.settings)
        if config := tools.own_to_wire(request.tools, request.tool_choice):
            body["toolConfig"] = config
        self._form()
        return self._finished()

    def _settings(self, settings: Settings) -> None:
        flat: Json = {}
        self.losses += fields.write(SETTINGS, replace(settings, reasoning=None), self.facts, flat, own=True)
        for wire, value in flat.items():
            key, _, inner = wire.partition(".")
            if inner:
                self.body.setdefault(key, {})[inner] = value
            else:
                self.body[key] = value
        reasoning = settings.reasoning
        if reasoning is None:
            return
        if thinking := _thinking_of(reasoning):
            self.body.setdefault("additionalModelRequestFields", {}).update(thinking)
        if reasoning.effort is not None:
            self.body.setdefault("outputConfig", {})["effort"] = reasoning.effort

    def _form(self) -> None:
        form = self.request.response_format
        if form is None or form.schema is None:
            return
        text = self.request.extra.get("~schema")
        if text is None or msgspec.json.decode(text) != form.schema:
            text = msgspec.json.encode(form.schema).decode()
        self.body.setdefault("outputConfig", {})["textFormat"] = _form_of(form, text)

    def _finished(self) -> Written:
        """With what the row declares and what has no word of ours: that stands beside what we say under its key."""
        self.losses += fields.apply_quirks(self.body, self.facts)
        for key, value in public(self.request.extra).items():
            ours = self.body.get(key)
            self.body[key] = {**value, **ours} if isinstance(value, dict) and isinstance(ours, dict) else value
        return Written(self.body, tuple(self.losses))


class _Writer(_Own):
    """A request of another dialect, or of our own library."""

    def __init__(self, request: Request, facts: Facts) -> None:
        request, losses = at_home(request, facts, name, says)
        super().__init__(request, facts)
        self.losses += losses
        self.maker = MAKERS.get(facts.maker or "")

    def written(self) -> Written:
        """The whole of it."""
        if self.maker is not None and not self.maker.cache:
            self.request = _without_marks(self.request, self.losses)
        self._conversation()
        self._narrowed()
        choice, messages = self.request.tool_choice, self.request.messages
        if config := tools.config_to_wire(self.request.tools, choice, messages, self.losses):
            self.body["toolConfig"] = config
        self._think()
        self._answer()
        return self._finished()

    def _conversation(self) -> None:
        messages = self.request.messages
        leading = next((at for at, one in enumerate(messages) if one.role not in INSTRUCTIONS), len(messages))
        conversation = Conversation(self.losses)
        system = conversation.instruct(messages[:leading])
        if not system and self.facts.quirks.system is not None:
            system = [{"text": self.facts.quirks.system}]
        turns = conversation.hold(messages, leading)
        if not turns and system:  # there must be a turn
            self.losses.append(Loss("messages[0].role", "instructions alone are said as the user", "target"))
            turns, system = [{"role": "user", "content": system}], []
        if system:
            self.body["system"] = system
        self.body["messages"] = turns

    def _narrowed(self) -> None:
        """The settings, within the API's bounds."""
        settings = self.request.settings
        changes: dict[str, Any] = {"reasoning": None, "top_k": None}
        if (tier := settings.service_tier) is not None and tier not in TIERS:
            changes["service_tier"] = None
            if tier != "auto":
                self.losses.append(Loss("service_tier", "the target has no such tier", "target"))
        heat = settings.temperature
        if heat is not None and not 0 <= heat <= 1:
            changes["temperature"] = min(1, max(0, heat))
            why = f"{changes['temperature']} instead of {heat}: the API's scale ends there"
            self.losses.append(Loss("temperature", why, "range"))
        if settings.stop is not None and any(not stop.strip() for stop in settings.stop):
            self.losses.append(Loss("stop", "a blank cannot end an answer in this API", "range"))
            changes["stop"] = tuple(stop for stop in settings.stop if stop.strip()) or None
        if settings.metadata is not None:
            changes["metadata"] = self._labels(settings.metadata)
        self._settings(replace(settings, **changes))
        if settings.top_k is not None:
            self._top_k(settings.top_k)
        if not self.facts.sampling:
            for key, where in (("temperature", "temperature"), ("topP", "top_p")):
                if self.body.get("inferenceConfig", {}).pop(key, None) not in {None, 1}:
                    self.losses.append(Loss(where, "the model rejects it", "target"))

    def _labels(self, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
        """Labels of the call in the logs: short texts of plain characters."""
        fitting = {
            key: value
            for key, value in metadata.items()
            if isinstance(value, str) and _METADATA.fullmatch(key) and _METADATA.fullmatch(value)
        }
        fitting = dict(list(fitting.items())[:MOST_METADATA])
        for key in metadata.keys() - fitting.keys():
            self.losses.append(Loss(f"metadata.{key}", "the API takes 16 short texts of plain characters", "range"))
        return fitting or None

    def _top_k(self, top_k: int) -> None:
        """Among the maker's own keys, where it has one."""
        path = self.maker.top_k if self.maker is not None and self.facts.sampling else ()
        if not path:
            self.losses.append(Loss("top_k", "it is not known that the model takes it", "target"))
            return
        place = self.body.setdefault("additionalModelRequestFields", {})
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = top_k

    def _think(self) -> None:
        reasoning = self.request.settings.reasoning
        if reasoning is None:
            return
        if self.maker is None or self.maker.think is None:
            if not (reasoning.off or reasoning.effort == "none") or self.facts.reasoning:
                why = "how this model is told to think is not known: the API leaves that to each maker"
                self.losses.append(Loss("reasoning", why, "target"))
            return
        forced = bool(self.body.get("toolConfig", {}).get("toolChoice", {}).keys() & {"any", "tool"})
        inference, additional = (self.body.setdefault(key, {}) for key in _OBJECTS[:2])
        thought = Thought(reasoning, self.facts, inference, forced, self.losses, additional)
        self.maker.think(thought)
        if thought.effort is not None:
            self.body.setdefault("outputConfig", {})["effort"] = thought.effort
        for key in _OBJECTS[:2]:
            if not self.body[key]:
                del self.body[key]

    def _answer(self) -> None:
        """The form of the answer: a schema goes along, plain JSON is asked for in words."""
        form = self.request.response_format
        if form is None or form.kind == "text":
            return
        if form.kind == "json":
            why = "emulated: the API has no JSON mode, the instructions ask for it"
            self.losses.append(Loss("response_format", why, "json"))
            self.body["system"] = [*self.body.get("system", ()), {"text": instruction(form)}]
            return
        schema = fit(form.schema or {"type": "object"}, "response_format.schema", self.losses)
        said = _form_of(form, msgspec.json.encode(schema).decode())
        self.body.setdefault("outputConfig", {})["textFormat"] = said


def _without_marks(request: Request, losses: list[Loss]) -> Request:
    """The request without cache marks, which the models of this maker refuse."""
    marked = any(part.cache is not None for message in request.messages for part in message.parts)
    if not marked and not any(getattr(tool, "cache", None) is not None for tool in request.tools):
        return request
    losses.append(Loss("cache_control", "the model takes no cache marks", "target"))
    messages = tuple(
        replace(message, parts=tuple(replace(part, cache=None) if part.cache else part for part in message.parts))
        for message in request.messages
    )
    offered = tuple(
        replace(tool, cache=None) if getattr(tool, "cache", None) is not None else tool for tool in request.tools
    )
    return replace(request, messages=messages, tools=offered)
