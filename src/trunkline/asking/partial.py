"""Partial: the object of an answer that is still being written.

Owns when the text is read again, so that a long answer in tiny pieces costs no more than a few readings of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

import jiter

from trunkline.vocabulary.events import Event

from .forms import Form

NOTHING = object()
"""No object, or none that is new."""

SHARE = 32
"""The text is read again when it has grown by one part in so many: all readings together cost at most as much as so
many and one of the whole. Up to 2 kB that means with every piece from the network."""
FREE = 64
"""So many bytes of growth are not waited for."""


_BEFORE = re.compile(rb"\s*(?:```\w*\s*)?")
"""Blanks, and the head of the code fence that weaker models begin with."""


class Growing:
    """The object of a stream's first choice, as far as it has come: plain dicts and lists, strings cut where the text
    ends. Members only ever grow, but a number may be one whose last digits are still to come."""

    def __init__(self, form: Form | None) -> None:
        self._wrapped = form is not None and form.wrapped
        self._text = bytearray()
        self._read = 0
        """How much of the text the last reading read."""
        self._last: Any = NOTHING
        self._broken = False

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events in."""
        for event in events:
            if event.text and event.choice == 0:
                self._text += event.text.encode("utf-8", "replace")

    def value(self, *, over: bool = False) -> Any:
        """The object, where it has grown enough to be read again (at the end of the stream: at all); else NOTHING."""
        new = len(self._text) - self._read
        if new == 0 or self._broken or (new < len(self._text) // SHARE - FREE and not over):
            return NOTHING
        self._read = len(self._text)
        before = _BEFORE.match(self._text)
        start = before.end() if before is not None else 0
        if bytes(self._text[start : start + 3]) in (b"", b"`", b"``"):
            return NOTHING
        try:
            value: Any = jiter.from_json(bytes(self._text[start:]), partial_mode="trailing-strings")
        except ValueError:  # no JSON: whoever reads the whole of it says so
            self._broken = True
            return NOTHING
        if self._wrapped and isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("answer", NOTHING)
        if value == self._last:
            return NOTHING
        self._last = value
        return value
