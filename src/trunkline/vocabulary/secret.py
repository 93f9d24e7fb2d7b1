"""Keys that do not show themselves, and what makes fresh ones.

A `Secret` is a key. A `Credential` is whatever has one when asked: a Secret has itself, others renew theirs before it
expires. Where a key comes from and how a request shows it is for `providers/auth/` to say.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, Self
from urllib.parse import quote

MASK = "[key]"
"""What stands where a key stood."""
SHORTEST = 6
"""Letters: what is shorter is no key but a stand-in for one, and stands in many words."""


class Credential(Protocol):
    """Has a key whenever one is needed. Shared by the requests of every loop and thread; its repr shows nothing."""

    def current(self) -> Secret | Awaitable[Secret]:
        """The key: at once where the one in hand is good, else to be awaited. Raises AuthenticationError where it is
        refused, APIConnectionError where nobody answers."""
        ...

    def masked(self) -> Secret:
        """A stand-in of the same kind, to show a request without its key."""
        ...


class Secret:
    """Wraps a key so that no log line, repr, traceback or pickle prints it. `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the header it belongs in."""
        return self._value

    def current(self) -> Self:
        """Itself: it never changes."""
        return self

    def masked(self) -> Secret:
        """A stand-in of the same kind."""
        return type(self)(MASK)

    def scrub(self, text: str) -> str:
        """`text` without the key, as it is or as an address has it, should a provider have echoed it."""
        for part in self._parts():
            for form in dict.fromkeys((part, quote(part), quote(part, safe=""))):
                text = text.replace(form, MASK)
        return text

    def _parts(self) -> list[str]:
        """What of it must not be seen."""
        return [self._value] if len(self._value) >= SHORTEST else []

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: read it again where it is needed")


class Token(Secret):
    """A token that somebody signed in for and that expires. It goes as bearer, wherever a provider wants its keys."""

    __slots__ = ()
