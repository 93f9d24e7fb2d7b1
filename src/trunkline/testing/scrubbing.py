"""Scrubbing: where keys stand in a conversation, and what is put in their place.

Owns the names of headers, parameters and fields that hold keys, the looks of keys, and their removal from bytes that
may have been cut anywhere. A key that was seen in its place once is found wherever it is echoed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import MASK, Secret

_NAMES = re.compile(
    r"auth|api.?key|subscription.?key|token|secret|signature|credential|password|cookie|^key$|^sig$", re.I
)
"""What headers and parameters of addresses are called that hold keys."""

_PARAMETER = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]*)")
_USER = re.compile(r"(?<=://)[^/@?#]+(?=@)")

_LOOKS = tuple(
    re.compile(look)
    for look in (
        rb"\b(?P<key>(?:sk|pk|rk)-[\w-]{4,})",
        rb"\b(?P<key>(?:gsk|hf|csk|xai|pplx|nvapi|r8|fw|tgp)[-_][\w-]{16,})",
        rb"\b(?P<key>AIza[\w-]{30,}|ya29\.[\w.-]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16})",
        rb"\b(?P<key>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)",
        rb"(?i:\bBearer\s+)(?P<key>[^\s\"'\\,;]{4,})",
        rb"(?i:\"[\w-]*(?:api[_-]?key|(?:access|refresh|id)[_-]?token|client[_-]?secret|authorization)\"\s*:\s*\")(?P<key>[^\"]{4,})",
    )
)
"""What keys look like, and the fields of JSON that hold them."""

SHORTEST = 6
"""A key of fewer characters protects nothing, and is part of too many words to be taken out of a text."""


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without those that hold keys."""
    return {name: value for name, value in headers.items() if not _NAMES.search(name)}


def shown_url(url: str) -> str:
    """An address without the keys in its parameters."""
    if "?" in url:
        url = _PARAMETER.sub(_parameter, url)
    return _USER.sub(MASK, url) if "@" in url else url


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={MASK}" if _NAMES.search(found[1]) else found[0]


class Scrubber:
    """Takes keys out. It knows those that it was given and those that it has seen in their places."""

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        self._known: set[str] = set()
        self._looks = _LOOKS
        self._know(secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets)

    def learn(self, request: Sending) -> None:
        """Look at where a request has its keys."""
        self._know(_keys_of(request))

    def _know(self, keys: Iterable[str]) -> None:
        new = {key for key in keys if len(key) >= SHORTEST} - self._known
        if new:
            self._known |= new
            forms = {form for key in self._known for form in (key, quote(key), quote(key, safe=""))}
            longest_first = sorted((re.escape(form.encode()) for form in forms), key=len, reverse=True)
            self._looks = (re.compile(b"(?P<key>" + b"|".join(longest_first) + b")"), *_LOOKS)

    def url(self, url: str) -> str:
        """An address without keys."""
        return self.text(shown_url(url))

    def text(self, text: str) -> str:
        """A text without keys."""
        return self.body(text.encode()).decode()

    def body(self, body: bytes) -> bytes:
        """A body without keys."""
        return self.pieces([body])[0]

    def pieces(self, pieces: list[bytes]) -> list[bytes]:
        """A body in pieces, without the keys that any two of them share: what stands for one is in the first."""
        body = b"".join(pieces)
        spans = self._spans(body)
        if not spans:
            return pieces
        clean: list[bytes] = []
        end = 0
        for piece in pieces:
            begin, end = end, end + len(piece)
            clean.append(b"".join(_without(body, begin, end, spans)))
        return clean

    def _spans(self, body: bytes) -> list[tuple[int, int]]:
        """Where keys stand, in order; some may lie over others."""
        return sorted(match.span("key") for look in self._looks for match in look.finditer(body))


def _without(body: bytes, begin: int, end: int, spans: list[tuple[int, int]]) -> Iterator[bytes]:
    """What lies between two places, with a mask where a key begins and nothing where it goes on."""
    for first, last in spans:
        if last <= begin or first >= end:
            continue
        yield body[begin : max(begin, first)]
        if first >= begin:
            yield MASK.encode()
        begin = last
    yield body[begin:end]


def _keys_of(request: Sending) -> Iterator[str]:
    """The keys in a request's headers and parameters."""
    for name, value in request.headers.items():
        if name.lower() == "cookie":
            yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        elif _NAMES.search(name):
            yield from value.split()[-1:]  # what stands before it is a scheme
    for name, value in _PARAMETER.findall(request.url):
        if _NAMES.search(name):
            yield unquote(value)
