"""How a key becomes headers. One function for each way of showing it; rows name the function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.vocabulary.secret import Secret

Auth = Callable[[Secret], Mapping[str, str]]
"""Turns a key into the headers that show it."""


def bearer(key: Secret) -> Mapping[str, str]:
    """`Authorization: Bearer …`: most providers."""
    return {"authorization": f"Bearer {key.reveal()}"}


def header(name: str) -> Auth:
    """The key alone in a header of its own: `x-api-key`, `api-key`."""

    def shown(key: Secret) -> Mapping[str, str]:
        return {name: key.reveal()}

    return shown
