"""A pool: the connections of one event loop.

Owns sending over them, reading what comes back, and the translation of the HTTP library's errors into ours. Knows no
provider, no dialect and no deadline but the one for connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from http.cookies import BaseCookie, SimpleCookie
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    CutOff,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Receiving, Sending

KEEP_ALIVE_SECONDS = 30.0
MOST_PLACES = 1000
"""How many addresses are remembered: deployments come and go, and they are cheap to parse again."""


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookies, and does not make an empty collection of them for every request either."""

    _none: BaseCookie[str] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        return self._none


class _Place(NamedTuple):
    """An address as the HTTP library wants it, and the proxy that the environment names for its host."""

    url: URL
    proxy: str | None


class Pool:
    """The connections of one event loop."""

    def __init__(self, connect_seconds: float, siblings: dict[asyncio.AbstractEventLoop, Pool]) -> None:
        self._places: dict[str, _Place] = {}
        self._siblings = siblings
        self._watch = self._until_the_loop_ends()
        self._watched = False
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
            cookie_jar=_NoCookies(),
            skip_auto_headers=("Content-Type", "User-Agent"),
            read_bufsize=2**18,
        )

    async def open(self) -> None:
        """Begin to watch the loop: at its end `asyncio.run` finishes open async generators, and so closes this pool."""
        if not self._watched:
            self._watched = True
            await anext(self._watch)

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._shut()

    async def close(self) -> None:
        """Close every connection; safe to call again."""
        with contextlib.suppress(RuntimeError):  # the loop is closing it at this moment
            await self._watch.aclose()

    async def _shut(self) -> None:
        self._siblings.pop(asyncio.get_running_loop(), None)
        await self._session.close()

    async def send(self, request: Sending) -> Receiving:
        """Send, and wait for the answer's head."""
        headers = request.headers if request.keep_alive else {**request.headers, "connection": "close"}
        try:
            place = self._places.get(request.url) or self._find(request.url)
            response = await self._session.request(
                request.method,
                place.url,
                data=aiohttp.BytesPayload(request.body, content_type="application/json"),
                headers=headers,
                allow_redirects=False,
                proxy=place.proxy,
            )
        except _FAILURES as error:
            raise _translated(error, request.url) from error
        return _Response(response, request.url)

    def _find(self, url: str) -> _Place:
        """Parse an address and look its proxy up, once."""
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy is not None and urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = None
        place = self._places[url] = _Place(URL(url), proxy)
        return place


_FAILURES = (aiohttp.ClientError, OSError, ValueError)
"""What the HTTP library raises when the network or the address fails."""


class _Response:
    """An answer whose head has come."""

    def __init__(self, response: aiohttp.ClientResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except _FAILURES as error:
            raise _translated(error, self._url) from error

    async def more(self) -> bytes | None:
        try:
            return await self._response.content.readany() or None
        except _FAILURES as error:
            raise _translated(error, self._url) from error

    def release(self) -> None:
        """Cut the connection, which tells the server to stop; one that was read to its end is in the pool again."""
        self._response.close()


def _translated(error: Exception, url: str) -> TrunklineError:
    """The HTTP library's error as ours. Only the host is named: a path or a query may hold more than it should."""
    host = urlsplit(url).netloc
    match error:
        case aiohttp.InvalidURL() | ValueError():
            return ConfigurationError(f"'{host or url[:40]}' is no address that can be called")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return APITimeoutError(f"no connection to {host} in time")
        case aiohttp.ClientConnectorDNSError():
            return APIConnectionError(f"no host has the name {host}")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return APIConnectionError(f"TLS with {host} failed: {error}")
        case aiohttp.ClientConnectorError():
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else "refused"
            return APIConnectionError(f"cannot connect to {host}: {reason}")
        case aiohttp.ClientPayloadError():
            return CutOff(f"{host} broke off in the middle of its answer")
        case aiohttp.ServerDisconnectedError():
            return APIConnectionError(f"{host} closed the connection without an answer")
        case _:
            return APIConnectionError(f"the connection to {host} failed: {type(error).__name__}")
