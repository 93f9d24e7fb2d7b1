"""A key that does not show itself."""

from __future__ import annotations


class Secret:
    """Wraps a key so that no log line, repr, traceback or pickle prints it. `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the header it belongs in."""
        return self._value

    def scrub(self, text: str) -> str:
        """`text` without the key, should a provider have echoed it."""
        return text.replace(self._value, "[key]") if self._value else text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: read it again where it is needed")
