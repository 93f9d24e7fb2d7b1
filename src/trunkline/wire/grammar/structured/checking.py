"""Checking: what is wrong with an answer to whose form nobody held the model, and how that is said to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.messages import said
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat


def misfit(text: str, form: ResponseFormat) -> str | None:
    """What is wrong with an answer, and where, in words that hold nothing of it but names; None where it fits.

    Without the package `jsonschema-rs` (the extra `schema`) only that it is JSON of the right kind.
    """
    try:
        value: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"it is no JSON ({error})"
    schema: Json = (form.schema or {}) if form.kind == "schema" else {"type": "object"}
    kind = schema.get("type")
    if isinstance(kind, str) and not isinstance(value, _KINDS.get(kind, object)):
        return f"$: it is no {kind}"
    return _broken_rule(value, schema) if form.kind == "schema" else None


_KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "number": int | float}


def _broken_rule(value: Any, schema: Json) -> str | None:
    try:
        import jsonschema_rs
    except ImportError:
        return None
    try:  # nothing is fetched from anywhere, whatever the schema refers to
        rules = jsonschema_rs.validator_for(
            schema, mask="it", offline=True, validate_formats=False, pattern_options=jsonschema_rs.RegexOptions()
        )
    except ValueError:  # the schema itself is broken, or of a kind that the package does not know
        return None
    try:
        error = next(iter(rules.iter_errors(value)), None)
    except ValueError:
        return None
    return f"{path_of(error.instance_path)}: {error.message[:LONGEST]}" if error is not None else None


LONGEST = 300
"""Characters of a complaint."""


def path_of(steps: Sequence[str | int]) -> str:
    """A place in a JSON value (`$.cities[0].name`)."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


class Complaint(Struct, frozen=True):
    """An answer that does not fit, and what is wrong with it."""

    answer: str
    why: str


def complaint(reply: Reply, form: ResponseFormat) -> Complaint | None:
    """What is wrong with a reply's first answer. A call, a refusal and an answer that was cut have nothing to check."""
    if not reply.choices or reply.tool_calls or reply.message.refusal or reply.finish not in _WHOLE:
        return None
    why = misfit(reply.text, form)
    return Complaint(reply.text, why) if why is not None else None


_WHOLE = frozenset({None, "stop", "stop_sequence"})


def mending(request: Request, wrong: Complaint) -> Request:
    """The conversation with the answer that does not fit, and what is wrong with it."""
    words = f"This does not fit: {wrong.why}. Answer again, with a single JSON value that fits, and nothing else."
    bad = (said("assistant", wrong.answer),) if wrong.answer.strip() else ()
    return replace(request, messages=(*request.messages, *bad, said("user", words)))
