"""Value: the one JSON value in a text that may hold more: a code fence, words before and after."""

from __future__ import annotations

import re

import msgspec

from trunkline.vocabulary.tools import ResponseFormat


def opening(form: ResponseFormat) -> str:
    """The characters with which an answer of the form may begin."""
    kind = (form.schema or {}).get("type") if form.kind == "schema" else "object"
    return {"object": "{", "array": "["}.get(kind, "{[") if isinstance(kind, str) else "{["


BEFORE = re.compile(r"\s*(?:```\w*\s*)?")
"""What may stand before an answer that is nothing but one: blanks, the head of a code fence."""

_MARK = re.compile(r'[\\"{}\[\]]')

TRIES = 32
"""So many brackets in a text are looked at in search of the answer."""


def bare(text: str, form: ResponseFormat) -> str:
    """The JSON value of an answer without the code fence and the talk around it; the text itself where it has none."""
    return within(text, opening(form))


def within(text: str, opens: str) -> str:
    """The value in a text that begins with one of these characters."""
    start = begins(text, opens)
    if start is not None:
        return text[start : start + Span().upto(text[start:])]
    start = 0
    for _ in range(TRIES):
        start = min((at for at in (text.find(mark, start) for mark in opens) if at >= 0), default=-1)
        if start < 0:
            break
        span = Span()
        end = start + span.upto(text[start:])
        if span.over and _is_json(text[start:end]):
            return text[start:end]
        start = end if span.over else start + 1
    return text


def begins(text: str, opens: str) -> int | None:
    """Where the answer begins in a text that is nothing but one; None where something else comes first."""
    before = BEFORE.match(text)
    start = before.end() if before is not None else 0
    return start if text[start : start + 1] and text[start] in opens else None


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class Span:
    """Where the object or array ends with which a text begins, however it is cut."""

    def __init__(self) -> None:
        self.over = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def upto(self, text: str) -> int:
        """How many characters of these belong to it."""
        at = 1 if self._escaped else 0
        self._escaped = False
        for mark in _MARK.finditer(text):
            if mark.start() < at:
                continue
            match mark[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    at = mark.start() + 2
                    self._escaped = at > len(text)
                case _ if self._quoted:
                    pass
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        self.over = True
                        return mark.end()
        return len(text)
