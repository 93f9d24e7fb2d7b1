"""Gemini's countTokens: how many tokens a chat request would put in. Source: ai.google.dev/api/tokens.

AI Studio takes the bare contents, or a whole request under `generateContentRequest`; Vertex takes instructions and
tools beside the contents, and its row says so (`accepts` has `systemInstruction`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import How, Json, Seen, Written
from trunkline.vocabulary.replies import TokenCount
from trunkline.vocabulary.requests import Operation, Request, Words

from . import gemini
from .gemini import error_from_wire, error_to_wire
from .gemini.errors import hidden_error
from .gemini.spelling import public, respell
from .grammar import fields
from .grammar.fields import as_count, as_object

name: Literal["gemini_tokens"] = "gemini_tokens"
operation: Operation = "tokens"
path = "/models/{model}:countTokens"
addressed: tuple[str, ...] = ("model",)
says: Mapping[str, How] = gemini.says
required = ("model",)

__all__ = ["error_from_wire", "error_to_wire"]

WHOLE = "generateContentRequest"
_WRAPPED = "~wrapped"
"""The note that the request stood under that key, which holds how it was spelled and what else it said."""

_COUNTED = frozenset({"contents", "systemInstruction", "tools"})
"""What is counted; the rest of a request changes nothing."""


def request_from_wire(body: Json) -> Request:
    """Read a caller's request, bare or whole."""
    notes: Extra = {}
    body = respell(dict(body), notes)
    if body.get(WHOLE) is None:
        return replace(gemini.request_from_wire(body), dialect=name)
    inside = as_object(body.pop(WHOLE), WHOLE)
    kept = {"key": notes.get(WHOLE, WHOLE), "model": inside.get("model")}
    if "model" in body:
        inside["model"] = body["model"]
    request = gemini.request_from_wire(inside)
    return replace(request, extra={**request.extra, _WRAPPED: kept}, dialect=name)


def request_to_wire(request: Request, facts: Facts) -> Written:
    """Write a request for a target: a caller's of this API as it was, any other as far as it counts."""
    own = request.dialect == name
    written = gemini.request_to_wire(replace(request, dialect=gemini.name) if own else request, facts)
    body = written.body
    wrapped = request.extra.get(_WRAPPED) if own else None
    if wrapped is not None:
        model = {} if wrapped["model"] is None else {"model": wrapped["model"]}
        return Written({wrapped["key"]: {**model, **body}}, written.loss)
    if own:
        return written
    body = {key: value for key, value in body.items() if key in _COUNTED}
    if body.keys() != {"contents"} and "systemInstruction" not in facts.quirks.accepts:
        body = {WHOLE: {"model": f"models/{facts.model}", **body}}
    return Written(body, written.loss)


def words_to_wire(words: Words, facts: Facts) -> Written:
    """The caller's own words. A whole request names the model once more: there too it becomes the target's."""
    written = fields.words_to_wire(words, facts, addressed)
    for key in (WHOLE, "generate_content_request"):
        if (asked := words.fields.get(key)) is not None:
            written.body[key] = _renamed(asked, facts.model)
    return written


def _renamed(asked: Raw, target: str) -> Raw:
    """The request for the target; as it came, where it names no model."""
    try:
        inside = msgspec.json.decode(asked, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return asked  # for the API to refuse
    model = Raw(msgspec.json.encode(f"models/{target}"))
    if bytes(inside.get("model", model)) == bytes(model):
        return asked
    return Raw(msgspec.json.encode({**inside, "model": model}))


def reply_from_wire(body: Json) -> TokenCount:
    """Read a count."""
    body = dict(body)
    if body.get("error"):
        raise hidden_error(body)
    try:
        total = as_count(body.pop("totalTokens", 0), "totalTokens")  # 0 is left out
    except InvalidRequestError as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    return TokenCount(input_tokens=total, extra=body, dialect=name)


def reply_to_wire(reply: TokenCount) -> Json:
    """Write a count for a caller."""
    return {"totalTokens": reply.input_tokens, **(public(reply.extra) if reply.dialect == name else {})}


def glance(body: bytes) -> Seen:
    """Nothing is used, and nothing ends."""
    return Seen()
