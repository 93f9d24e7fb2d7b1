"""The network: the only code that touches it.

Owns connections, one pool for each event loop, and the translation of the HTTP library's errors into ours. Knows no
provider, no dialect and no deadline but the one for connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
import urllib.request
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from http.cookies import BaseCookie, SimpleCookie
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

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30.0


class HttpTransport:
    """HTTP/1.1 over pooled connections. Loop-agnostic: each loop that sends gets a pool, which closes with it."""

    def __init__(self, connect_seconds: float = CONNECT_SECONDS) -> None:
        self._connect_seconds = connect_seconds
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._lock = threading.Lock()
        _TRANSPORTS.add(self)
        weakref.finalize(self, _close_all, self._pools).atexit = False

    async def send(self, request: Sending) -> Receiving:
        """Send, and wait for the answer's head."""
        pool = self._pools.get(asyncio.get_running_loop()) or await self._open_pool()
        return await pool.send(request)

    async def close(self) -> None:
        """Close the pool of the running loop; those of other loops close with their loops."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            await pool.close()

    async def _open_pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [other for other in self._pools if other.is_closed()]:
                del self._pools[other]
            pool = self._pools[loop] = _Pool(self._connect_seconds, self._pools)
        await pool.open()
        return pool

    def leave_to_parent(self) -> None:
        """In a forked child: the parent's sockets are not ours. Left alone, for closing them would say goodbye."""
        _LEFT_TO_THE_PARENT.append(dict(self._pools))
        self._pools.clear()
        self._lock = threading.Lock()


def _close_all(pools: dict[asyncio.AbstractEventLoop, _Pool]) -> None:
    """A transport was dropped without being closed: each pool closes in its own loop, where that still runs."""
    for loop, pool in list(pools.items()):
        with contextlib.suppress(RuntimeError):  # that loop is closed
            loop.call_soon_threadsafe(lambda loop=loop, pool=pool: loop.create_task(pool.close()))


_TRANSPORTS: weakref.WeakSet[HttpTransport] = weakref.WeakSet()
_LEFT_TO_THE_PARENT: list[object] = []
"""Keeps a forked child from collecting, and so from closing, the connections that its parent still uses."""


def _forked() -> None:
    for transport in _TRANSPORTS:
        transport.leave_to_parent()


os.register_at_fork(after_in_child=_forked)


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookies, and does not make an empty collection of them for every request either."""

    _none: BaseCookie[str] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        return self._none


class _Pool:
    """The connections of one event loop."""

    def __init__(self, connect_seconds: float, siblings: dict[asyncio.AbstractEventLoop, _Pool]) -> None:
        self._urls: dict[str, URL] = {}
        self._siblings = siblings
        self._watch = self._until_the_loop_ends()
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
            cookie_jar=_NoCookies(),
            skip_auto_headers=("Content-Type", "User-Agent"),
            read_bufsize=2**18,
        )
        self._proxies: dict[str, str | None] = {}

    async def open(self) -> None:
        """Begin to watch the loop: at its end `asyncio.run` finishes open async generators, and so closes this pool."""
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
        headers = request.headers if request.keep_alive else {**request.headers, "connection": "close"}
        try:
            response = await self._session.request(
                request.method,
                self._parsed(request.url),
                data=request.body or None,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy(request.url),
            )
        except _FAILURES as error:
            raise _translated(error, request.url) from error
        return _Response(response, request.url)

    def _parsed(self, url: str) -> URL:
        parsed = self._urls.get(url)
        if parsed is None:
            if len(self._urls) > 1000:  # deployments come and go; addresses are cheap to parse again
                self._urls.clear()
            parsed = self._urls[url] = URL(url)
        return parsed

    def _proxy(self, url: str) -> str | None:
        """The proxy that the environment names for a host, looked up once."""
        parts = urlsplit(url)
        if parts.netloc not in self._proxies:
            host = parts.hostname or ""
            proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme)
            self._proxies[parts.netloc] = proxy
        return self._proxies[parts.netloc]


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

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while data := await content.readany():
                yield data
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
