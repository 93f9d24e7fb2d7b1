"""A key that is shown as it is: as bearer, in a header of its own, in the address.

Pure functions from a request and a key to the request that shows it; rows name the function. A header that somebody
has said for himself stays as he said it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from msgspec.structs import replace

from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import Secret, Token

Auth = Callable[[Sending, Secret], Sending]
"""Shows a key on a request. May look at all of it: a signature covers method, address, headers and body."""


def bearer(sending: Sending, key: Secret) -> Sending:
    """`Authorization: Bearer …`: most providers."""
    return with_headers(sending, {"authorization": f"Bearer {key.reveal()}"})


def header(name: str) -> Auth:
    """The key alone in a header of its own: `x-api-key`, `api-key`. A token goes as bearer."""

    def shown(sending: Sending, key: Secret) -> Sending:
        return bearer(sending, key) if isinstance(key, Token) else with_headers(sending, {name: key.reveal()})

    return shown


def query(name: str) -> Auth:
    """The key as a parameter of the address: `?key=…`. A token goes as bearer."""

    def shown(sending: Sending, key: Secret) -> Sending:
        if isinstance(key, Token):
            return bearer(sending, key)
        mark = "&" if "?" in sending.url else "?"
        url = f"{sending.url}{mark}{name}={quote(key.reveal(), safe='/[]')}"  # brackets: `[key]` stays readable
        return replace(sending, url=url)

    return shown


def with_headers(sending: Sending, headers: Mapping[str, str]) -> Sending:
    """The request with these headers, where it does not have them yet."""
    return replace(sending, headers={**headers, **sending.headers})
