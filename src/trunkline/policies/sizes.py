"""Sizes: about how much a call will use, before anyone has counted.

Owns the estimate that limits, budgets and prices are reserved by. It is made once for a call, without reading what
passes through; base64 is never counted as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import msgspec
from msgspec import Struct

from trunkline.models.tokens import ATTACHMENT, LEAST, attachments, bytes_per_token
from trunkline.vocabulary.calls import Call
from trunkline.vocabulary.requests import Request
from trunkline.wire.grammar.sizes import asked_for


class Size(Struct, frozen=True, gc=False):
    """How much a call asks for."""

    text: int
    """Bytes of what is said, without base64."""
    attached: int = 0
    """Pictures and files in it."""
    most: int | None = None
    """The most tokens an answer may have; None where the caller does not say."""
    answers: int = 1

    def prompt(self, model: str) -> int:
        """About how many tokens a model makes of what is said."""
        return ceil(self.text / bytes_per_token(model)) + ATTACHMENT * self.attached


def size_of(call: Call) -> Size:
    """The size of a call."""
    most: int | None = 0  # vectors, rankings and judgements have no tokens
    answers: int | None = None
    texts: Iterable[bytes]
    if (words := call.words) is not None:
        texts = map(bytes, words.fields.values())
        if call.operation == "chat":
            most, answers = asked_for(words)
    elif isinstance(request := call.request, Request):
        texts = (_encode([request.messages, request.tools, request.response_format]),)
        most, answers = request.settings.max_tokens, request.settings.n
    else:
        texts = (_encode(request),)
    text = attached = 0
    for raw in texts:
        text += len(raw)
        if len(raw) > LEAST:
            for length in attachments(raw):
                text -= length
                attached += 1
    return Size(text, attached, most, answers or 1)


_encode = msgspec.json.Encoder().encode
