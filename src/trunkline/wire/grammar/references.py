"""References: what a request says of things that live at a provider, read off its words without reading the rest.

Owns the keys under which APIs have them, and how their names begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trunkline.vocabulary.requests import Words

STORED = ("previous_response_id", "conversation")
"""Keys that name what came before: nobody else has it."""
SAID = "input"
"""Where reasoning is that its provider has sealed."""
_SEALED = re.compile(rb'"(rs_[^"\\]+)"')


def stored_in(fields: Mapping[str, Any]) -> str | None:
    """The name of what came before; None where the request brings it along itself."""
    for key in STORED:
        if key in fields and isinstance(name := _plain(fields[key]), str):
            return name
    return None


def sealed_in(words: Words) -> Iterator[str]:
    """The names of sealed reasoning, the latest first."""
    said = words.fields.get(SAID)
    text = bytes(said) if said is not None else b""
    at = len(text)
    while (at := text.rfind(b'"rs_', 0, at)) >= 0:
        if (found := _SEALED.match(text, at)) is not None:
            yield found[1].decode(errors="replace")


def _plain(value: Any) -> Any:
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.MsgspecError:  # whoever reads the request says so
        return None
