"""Signatures of tool calls in chat completions, both ways.

Gemini signs its calls, and wants the signature back. Google's own chat endpoints put it beside the call:
`extra_content.google.thought_signature`, or `.vertex.` (ai.google.dev/gemini-api/docs/thought-signatures); whoever
speaks chat completions with us finds it there too.
"""

from __future__ import annotations

from trunkline.vocabulary.events import ToolCallStarted
from trunkline.vocabulary.parts import ToolCall
from trunkline.vocabulary.protocols import Json
from trunkline.wire.grammar.fields import an_object

GEMINI = "gemini"
"""The dialect whose signatures these are."""

_KEY = "extra_content"
_SIGNERS = ("google", "vertex")
_WHERE = "~signed"
"""The note that says who gave it, where that is not the usual one."""


def take_signature(call: Json) -> tuple[str | None, str | None]:
    """The signature and its dialect, taken out of a call; where more stands beside it, all of it stays."""
    said = an_object(call.get(_KEY))
    where = next(iter(said), "") if len(said) == 1 else ""
    inside = an_object(said.get(where))
    signature = inside.get("thought_signature")
    if where not in _SIGNERS or len(inside) != 1 or not isinstance(signature, str):
        return None, None
    del call[_KEY]
    if where != _SIGNERS[0]:
        call[_WHERE] = where
    return signature, GEMINI


def signed(call: ToolCall | ToolCallStarted) -> Json:
    """The signature, as it stands beside a call."""
    if call.signature is None or call.dialect != GEMINI:
        return {}
    return {_KEY: {call.extra.get(_WHERE, _SIGNERS[0]): {"thought_signature": call.signature}}}
