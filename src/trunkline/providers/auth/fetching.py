"""Fetching: the few requests that fetch Google's tokens, in the form that google-auth asks for.

Blocking, from the standard library, for they run in a thread of their own; over TLS, or in the clear to this machine
itself and to the metadata server that Google's own machines have. Imported at the first use.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

METADATA = frozenset({"metadata.google.internal", "169.254.169.254"})
"""Google's machines ask here in the clear: the address is on the machine's own link."""
SECONDS = 30.0
"""For one request to a token endpoint."""
MOST = 2**20
"""Bytes of its answer: a token is some hundred."""


class _Answer(NamedTuple):
    """What google-auth looks at."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token endpoint does not move: whoever says so would be given the key's signature."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Nowhere: the redirect itself is the answer."""


@cache
def _opener(*, nearby: bool) -> urllib.request.OpenerDirector:
    """Made at the first need: it reads the machine's certificates and proxies. None leads to what is nearby."""
    return urllib.request.build_opener(_NoRedirect, *[urllib.request.ProxyHandler({})] * nearby)


def ask(
    failed: Any,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: Any,
) -> _Answer:
    """One HTTP request, as `google.auth.transport.Request` describes it; `failed` is what it wants raised."""
    host = urlsplit(url).hostname or ""
    secure = url.startswith("https://")
    if not secure and not (url.startswith("http://") and _is_nearby(host)):
        raise failed(f"{host} must be asked over https")
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 checked above
    try:
        with _opener(nearby=not secure).open(request, timeout=timeout or SECONDS) as answer:
            return _Answer(answer.status, dict(answer.headers), answer.read(MOST))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _Answer(refusal.code, dict(refusal.headers), refusal.read(MOST))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise failed(f"{host} does not answer ({type(reason).__name__})") from None


def _is_nearby(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or host in METADATA
    except ValueError:
        return host in METADATA or host == "localhost"
