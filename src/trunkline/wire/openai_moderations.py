"""OpenAI moderations: what in a text or a picture a policy forbids.

Source: platform.openai.com/docs/api-reference/moderations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import AnyPart, Text
from trunkline.vocabulary.protocols import How, Json, Written
from trunkline.vocabulary.replies import Moderated, ModerationReply
from trunkline.vocabulary.requests import ModerationRequest, Operation

from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_flag, as_object, as_text, unread, words_to_wire
from .openai_chat import error_from_wire, error_to_wire
from .openai_chat.messages import part_from_wire, part_to_wire

name: Literal["openai_moderations"] = "openai_moderations"
operation: Operation = "moderations"
path = "/moderations"
addressed: tuple[str, ...] = ()
required = ("input",)
says: Mapping[str, How] = {}
glance = unread

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]


def request_from_wire(body: Json) -> ModerationRequest:
    """Read a caller's request: one text, several, or parts that are judged together."""
    body = dict(body)
    if "input" not in body:
        raise InvalidRequestError("input is missing", param="input", code="missing_required_parameter")
    said, model = body.pop("input"), body.pop("model", None)
    if isinstance(said, str):
        inputs, form = ((Text(said),),), "text"
    elif said and all(isinstance(one, dict) for one in as_array(said, "input")):
        inputs, form = (tuple(part_from_wire(one, f"input[{at}]") for at, one in enumerate(said)),), "parts"
    else:
        listed = enumerate(as_array(said, "input"))
        inputs, form = tuple((Text(as_text(one, f"input[{at}]")),) for at, one in listed), "texts"
    model = as_text(model, "model") if model is not None else None
    return ModerationRequest(model=model, inputs=inputs, form=form, extra=body, dialect=name)


def request_to_wire(request: ModerationRequest, facts: Facts) -> Written:
    """Write a request for a target. The provider has a model for who names none."""
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    match request.form:
        case "parts":
            said: Any = [part_to_wire(part, f"input[{at}]", []) for at, part in enumerate(request.inputs[0])]
        case "text":
            said = _text(request.inputs[0])
        case "texts":
            said = [_text(one) for one in request.inputs]
    body: Json = {"input": said}
    if request.model is not None:
        body["model"] = facts.model
    loss += fields.apply_quirks(body, facts)
    return Written({**body, **extra}, loss)


def _text(parts: tuple[AnyPart, ...]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def reply_from_wire(body: Json) -> ModerationReply:
    """Read a judgement."""
    body = dict(body)
    try:
        results = tuple(_moderated(one, f"results[{at}]") for at, one in enumerate(array_at(body, "results")))
    except InvalidRequestError as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    return ModerationReply(
        id=body.pop("id", None), model=body.pop("model", None), results=results, extra=body, dialect=name
    )


def _moderated(value: Any, where: str) -> Moderated:
    body = as_object(value, where)
    flagged = as_flag(body.pop("flagged", None), f"{where}.flagged")
    return Moderated(
        flagged, an_object(body.pop("categories", None)), an_object(body.pop("category_scores", None)), body
    )


def reply_to_wire(reply: ModerationReply) -> Json:
    """Write a judgement for a caller."""
    results = [
        {
            "flagged": one.flagged,
            "categories": one.categories,
            "category_scores": one.category_scores,
            **(one.extra if reply.dialect == name else {}),
        }
        for one in reply.results
    ]
    extra = reply.extra if reply.dialect == name else {}
    return {"id": reply.id or "", "model": reply.model or "", "results": results, **extra}
