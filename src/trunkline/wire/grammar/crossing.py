"""Crossing: what may not go from one dialect, or one provider, to another.

Takes out of a request what the target's dialect cannot say (its column of the matrix), and what only another dialect or
provider understands: unknown keys, uploads, signatures. Each is named once in the losses, before a writer starts: so no
writer has to ask where a value comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import (
    AnyPart,
    Audio,
    File,
    Image,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.vocabulary.protocols import How
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, ToolChoice

from .fields import an_object
from .schemas import refers_to_itself

INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles that instruct the model."""


def at_home(
    request: Request, facts: Facts, dialect: str, says: Mapping[str, How], also: Collection[str] = ()
) -> tuple[Request, tuple[Loss, ...]]:
    """The request as far as `dialect` can say it to this target, and what it cannot. `also`: rows that this target
    takes beyond its dialect. A request that was read in the same dialect comes back as it is."""
    if request.dialect == dialect:
        return request, ()
    border = _Border(request.dialect, dialect, facts, {**says, **dict.fromkeys(also, "native")} if also else says)
    messages = border.messages(request.messages)
    tools = tuple(tool for tool in map(border.tool, request.tools) if tool is not None) if request.tools else ()
    settings, choice = request.settings, request.tool_choice
    if request.tools and not tools:  # a choice among no tools is refused
        if choice is not None and choice.mode in {"required", "tool"}:
            border.losses["tool_choice"] = Loss("tool_choice", "none of the tools is left", "tool_opaque")
        choice, settings = None, replace(settings, parallel_tool_calls=None)
    if settings.reasoning is not None:
        settings = replace(settings, reasoning=border.reasoning(settings.reasoning))
    extra = request.extra
    if extra and request.dialect is not None:
        border.lose("", extra)
        extra = {}
    crossed = replace(
        request,
        messages=messages,
        tools=tools,
        tool_choice=border.choice(choice) if choice is not None else None,
        response_format=border.form(request.response_format) if request.response_format is not None else None,
        settings=settings,
        extra=extra,
    )
    return crossed, tuple(border.losses.values())


WHOLE = "~whole"
"""Notes a part without which nothing would be asked: it crosses to nobody."""


class _Border:
    """Where values are looked through. What is mostly said in many places is listed with the first."""

    def __init__(self, spoken: str | None, dialect: str, facts: Facts, says: Mapping[str, How]) -> None:
        self.spoken = spoken
        self.dialect = dialect
        self.facts = facts
        self.says = says
        self.losses: dict[str, Loss] = {}
        self.foreign = False
        """The message at hand was read in another dialect, or is another provider's."""
        self.strange = False
        """It is another provider's."""
        self.heard: str | None = None
        """The dialect in which it was read."""

    def lost(self, row: str, where: str, why: str) -> bool:
        """Whether this API cannot say it; then that is listed."""
        if self.says[row] != "lost":
            return False
        self.losses.setdefault(row if row in _ONCE else where, Loss(where, why, row))
        return True

    def lose(self, where: str, keys: Iterable[str], why: str = "it has no meaning in the target's API") -> None:
        """List unknown keys, each once."""
        for key in keys:
            if not key.startswith("~"):
                self.losses.setdefault(f"extra {key}", Loss(f"{where}.{key}" if where else key, why, "extra"))

    def messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        crossed: list[Message] = []
        leading = True
        for at, message in enumerate(messages):
            leading = leading and message.role in INSTRUCTIONS
            one = self.message(message, f"messages[{at}]", leading=leading)
            if one.parts or not message.parts:  # a turn of which nothing is left is none
                crossed.append(one)
        return tuple(crossed)

    def message(self, message: Message, where: str, *, leading: bool) -> Message:
        spoken = message.dialect or self.spoken
        signer = message.signer
        self.heard = spoken
        self.strange = signer is not None and signer != self.facts.signer
        self.foreign = spoken not in {None, self.dialect} or self.strange
        changes: dict[str, Any] = {}
        if message.role in INSTRUCTIONS:
            row = "system" if leading else "system_midway"
            if self.lost(row, f"{where}.role", "it is said as the user: this API has no such instructions"):
                changes["role"] = "user"
        if message.name is not None and self.lost("speaker", f"{where}.name", "speakers have no names in this API"):
            changes["name"] = None
        if self.foreign and message.extra:
            self.lose(where, message.extra)
            changes["extra"] = {}
        assistant = message.role == "assistant"
        if (parts := self.parts(message.parts, where, assistant=assistant)) is not message.parts:
            changes["parts"] = parts
        return replace(message, **changes) if changes else message

    def parts(self, parts: tuple[AnyPart, ...], where: str, *, assistant: bool) -> tuple[AnyPart, ...]:
        crossed: list[AnyPart] = []
        changed = False
        for at, part in enumerate(parts):
            if type(part) is Text and not part.extra and not part.citations and part.cache is None:
                crossed.append(part)  # nearly all are: nothing to look at
                continue
            one = self.part(part, f"{where}.content[{at}]", assistant=assistant)
            changed = changed or one is not part
            if one is not None:
                crossed.append(one)
        return tuple(crossed) if changed else parts

    def part(self, part: AnyPart, where: str, *, assistant: bool) -> AnyPart | None:
        """The part as far as it can be said; None where not at all."""
        changes: dict[str, Any] = {}
        match part:
            case Text():
                own = tuple(one for one in part.citations if one.dialect == self.dialect and not self.foreign)
                why = "this API has no sources in a turn"
                if len(own) < len(part.citations) and self.lost("citations", f"{where}.citations", why):
                    changes["citations"] = own
            case Image() | Audio() | File():
                if self._media_lost(part, where, assistant):
                    return None
                changes = self._media(part, where)
            case Thinking():
                thought = self._thinking(part, where)
                if thought is None:
                    return None
                part = thought
            case ToolCall():
                if self.lost("tool_call", where, "this API has no tool calls"):
                    return None
                if part.signature is not None and not self._signed_here(part):
                    why = "it is good only at the provider that gave it"
                    self.losses.setdefault("call signature", Loss(f"{where}.signature", why, "signature"))
                    changes = {"signature": None, "dialect": None}
            case ToolResult():
                if self.lost("tool_result", where, "this API has no results of tools"):
                    return None
                changes = self._result(part, where)
            case Refusal():
                if self.lost("refusal", where, "this API cannot say that the model declined"):
                    return None
            case Opaque():
                return self._opaque(part, where)
        if self.foreign and part.extra:
            self.lose(where, part.extra)
            changes["extra"] = {}
        if part.cache is not None and self.lost("cache", f"{where}.cache_control", "the target takes no cache marks"):
            changes["cache"] = None
        return replace(part, **changes) if changes else part

    def _media_lost(self, part: Image | Audio | File, where: str, assistant: bool) -> bool:
        source = part.source
        if source.file_id is not None and source.data is None and source.url is None:
            if self.foreign:
                self.losses.setdefault(where, Loss(where, "the upload is at another provider", "upload"))
            return self.foreign
        if assistant and self.lost("assistant_media", where, "the model's own media cannot be sent back in this API"):
            return True
        linked = source.url is not None
        match part:
            case Image():
                row = "image_url" if linked else "image_data"
            case Audio():
                row = "audio_url" if linked else "audio"
            case File():
                row = "file_url" if linked else "file_text" if source.media_type == "text/plain" else "file_data"
        return self.lost(row, where, _WHY[row])

    def _media(self, part: Image | Audio | File, where: str) -> dict[str, Any]:
        match part:
            case Image(detail=str(hint)) if hint != "auto":
                lost = self.lost("image_detail", f"{where}.detail", "this API has no such hint")
                return {"detail": None} if lost else {}
            case File(name=str()):
                lost = self.lost("file_name", f"{where}.name", "documents have no names in this API")
                return {"name": None} if lost else {}
            case _:
                return {}

    def _thinking(self, part: Thinking, where: str) -> Thinking | None:
        """Reasoning without another's signature; None where nothing is left, or where it cannot go back unsigned."""
        signed = part.signature is not None or part.redacted is not None
        if signed and (self.foreign or part.dialect != self.dialect):
            why = "it is good only at the provider that gave it"
            self.losses.setdefault(f"{where}.signature", Loss(f"{where}.signature", why, "signature"))
            if not part.text:
                return None
            part = replace(part, signature=None, redacted=None, dialect=None, extra={})
            signed = False
        if not signed and self.lost("thinking", where, "the target takes no reasoning back that it did not sign"):
            return None
        return part

    def _signed_here(self, call: ToolCall) -> bool:
        """Whether a call's signature may go to the target: it speaks the dialect that gave it, or the one in which the
        message was read, and nobody says that another provider signed it."""
        return not self.strange and self.dialect in {call.dialect, self.heard}

    def _result(self, part: ToolResult, where: str) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        inside = part.parts
        if any(type(one) is not Text for one in inside) and self.says["tool_result_media"] == "lost":
            self.lost("tool_result_media", where, "results of tools are text in this API")
            inside = tuple(one for one in inside if type(one) is Text)
        inside = self.parts(inside, where, assistant=False)
        if inside is not part.parts:
            changes["parts"] = inside
        if part.is_error and self.lost("tool_result_error", f"{where}.is_error", "it cannot say that a tool failed"):
            changes["is_error"] = False
        return changes

    def _opaque(self, part: Opaque, where: str) -> Opaque | None:
        if part.dialect == self.dialect and not self.foreign:
            return part
        kind = an_object(part.body).get("type", "part")
        if WHOLE in part.extra:
            raise InvalidRequestError(
                f"only the API it came from takes this {kind}, and without it nothing is left to ask: "
                "say it in a way that other APIs have, or name a target that speaks that API",
                param=str(kind),
                code="unsupported_parameter",
            )
        self.losses.setdefault(where, Loss(where, f"only the API it came from has this {kind}", "opaque"))
        return None

    def tool(self, tool: AnyTool) -> AnyTool | None:
        if isinstance(tool, OpaqueTool):
            if tool.dialect in {None, self.dialect}:
                return tool
            self._own_tool("tools")
            return None
        if self.lost("tools", "tools", "this API has no tools"):
            return None
        where = f"tools.{tool.name}"
        changes: dict[str, Any] = {}
        if tool.extra and self.spoken not in {None, self.dialect}:
            self.lose(where, tool.extra)
            changes["extra"] = {}
        if tool.cache is not None and self.lost("cache", f"{where}.cache_control", "the target takes no cache marks"):
            changes["cache"] = None
        if tool.strict and self.lost(
            "tool_strict", f"{where}.strict", "this API does not hold a model to a tool's schema"
        ):
            changes["strict"] = None
        return replace(tool, **changes) if changes else tool

    def _own_tool(self, where: str) -> None:
        self.losses.setdefault("tool_opaque", Loss(where, "a tool that only its own provider has", "tool_opaque"))

    def choice(self, choice: ToolChoice) -> ToolChoice | None:
        if choice.extra and self.spoken not in {None, self.dialect}:
            self.losses.setdefault(
                "tool_opaque", Loss("tool_choice", "a tool that only its own provider has", "tool_opaque")
            )
            return None
        if choice.allowed and self.lost("choice_allowed", "tool_choice", "this API offers all tools or none"):
            choice = replace(choice, allowed=())
        if choice.mode != "auto" and self.lost(f"choice_{choice.mode}", "tool_choice", "this API cannot say it"):
            return None
        return choice

    def form(self, form: ResponseFormat) -> ResponseFormat | None:
        if form.kind != "text" and self.lost(form.kind, "response_format", "this API answers in no certain form"):
            return None
        if form.kind == "schema" and self.says["schema_recursive"] == "lost" and refers_to_itself(form.schema or {}):
            self.lost("schema_recursive", "response_format", "this API takes no schema that refers to itself")
            return None
        return form

    def reasoning(self, said: Reasoning) -> Reasoning | None:
        changes: dict[str, Any] = {}
        if said.extra and self.spoken not in {None, self.dialect}:
            self.lose("reasoning", said.extra)
            changes["extra"] = {}
        for attribute, nothing in _REASONING.items():
            is_said = getattr(said, attribute) not in {None, False}
            if is_said and self.lost(f"reasoning_{attribute}", f"reasoning.{attribute}", "this API cannot say it"):
                changes[attribute] = nothing
        return replace(said, **changes) if changes else said


_REASONING: Mapping[str, Any] = {"effort": None, "budget": None, "adaptive": False, "off": False, "summary": None}

_ONCE = frozenset({"cache", "speaker", "tool_strict", "tools"})
"""What is mostly said in many places, or in none."""

_WHY: Mapping[str, str] = {
    "image_url": "this API has no images that are linked to",
    "image_data": "this API has no images",
    "audio": "this API has no sound",
    "audio_url": "this API has no sound that is linked to",
    "file_url": "the target reads files only when they are sent along",
    "file_text": "this API has no documents",
    "file_data": "this API has no documents",
}
