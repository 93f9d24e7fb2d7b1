"""Guard: what is refused before anything is read.

Until the gateway has keys, it serves programs on this machine only. A page in a browser is not one of them: it could
reach a loopback port, under its own name (`Origin`) or under a name that was made to point here (`Host`), and spend a
developer's money. Programs name the host they were given and send JSON.
"""

from __future__ import annotations

import re

from trunkline.vocabulary.errors import AuthenticationError, InvalidRequestError, TrunklineError

Headers = list[tuple[bytes, bytes]]

_LOOPBACK = re.compile(rb"(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d+)?")
_LOOPBACK_ORIGIN = re.compile(rb"https?://(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d+)?")


def refusal(headers: Headers, *, has_body: bool) -> TrunklineError | None:
    """Why a request is refused; None where it may pass."""
    kind = host = None
    for name, value in headers:
        if name == b"host":
            host = value
        elif name == b"content-type":
            kind = value
        elif name == b"origin" and not _LOOPBACK_ORIGIN.fullmatch(value):
            return AuthenticationError(
                "requests from web pages of other origins are refused", status=403, code="forbidden_origin"
            )
    if host is None or not _LOOPBACK.fullmatch(host):
        return AuthenticationError(
            "the Host header must name this machine (localhost or 127.0.0.1)", status=403, code="forbidden_host"
        )
    if has_body and (kind is None or kind.partition(b";")[0].strip().lower() != b"application/json"):
        return InvalidRequestError(
            "the Content-Type must be application/json", status=415, code="unsupported_media_type"
        )
    return None
