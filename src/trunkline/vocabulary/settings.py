"""Settings: the dials of a chat request, and how a caller's words become them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from .errors import InvalidRequestError
from .tools import Reasoning


class Settings(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The dials of a chat request. None means: not said, the provider's default applies."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    store: bool | None = None
    modalities: tuple[str, ...] | None = None
    """The forms in which to answer (`text`, `audio`, `image`)."""
    prompt_cache_key: str | None = None
    """Requests with the same key are sent to where their prompt is cached."""
    safety_identifier: str | None = None
    """The end user, for the provider's abuse checks."""


KNOWN = frozenset(Settings.__struct_fields__)
OTHER_WORDS = frozenset({"reasoning_effort", "max_completion_tokens"})
"""OpenAI's words for settings that have another name here."""


def settings_from(said: Mapping[str, Any], beside: tuple[str, ...] = ()) -> Settings:
    """The settings that a caller names. One that has no word of ours is an InvalidRequestError that names those there
    are; `beside` is what else he could have meant."""
    for name in said:
        if name not in KNOWN and name not in OTHER_WORDS:
            raise _unknown(name, beside)
    dials = {name: value for name, value in said.items() if value is not None}
    if isinstance(stop := dials.get("stop"), str):
        dials["stop"] = (stop,)
    if isinstance(effort := dials.pop("reasoning_effort", None), str):
        dials["reasoning"] = Reasoning(off=True) if effort == "none" else Reasoning(effort=effort)
    if (most := dials.pop("max_completion_tokens", None)) is not None:
        dials["max_tokens"] = most
    try:
        return msgspec.convert(dials, Settings)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise InvalidRequestError(f"{name}: {what[:1].lower()}{what[1:]}", param=name) from None


def _unknown(name: str, beside: tuple[str, ...]) -> InvalidRequestError:
    if name == "stream":
        return InvalidRequestError("complete() gives whole answers: use client.stream(…) instead", param=name)
    close = get_close_matches(name, [*KNOWN, *OTHER_WORDS, *beside], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return InvalidRequestError(
        f"unknown setting '{name}'; there are {', '.join(sorted(KNOWN))}.{hint} What only a provider knows goes into "
        "extra_body",
        param=name,
    )


def with_defaults(said: Settings, usual: Settings) -> Settings:
    """What is said, and what is usual where nothing is said."""
    said_too = ((name, getattr(said, name)) for name in Settings.__struct_fields__)
    return msgspec.structs.replace(usual, **{name: value for name, value in said_too if value is not None})
