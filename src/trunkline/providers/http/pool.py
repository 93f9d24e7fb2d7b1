"""A pool: the connections of one event loop.

Owns sending over them, those that everyone shares and those that have an owner, reading what comes back, and the
translation of the HTTP library's errors into ours. Knows no provider, no dialect and no deadline but the one for
connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping
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
from trunkline.vocabulary.routes import Connections

KEEP_ALIVE_SECONDS = 30.0
IDLE_SECONDS = 1.0
"""A connection that was idle for longer and is hung up on was probably closed before we asked: servers close idle
ones, and say so at the moment at which we use them."""
MOST_PLACES = 1000
"""How many addresses are remembered: deployments come and go, and they are cheap to parse again."""
MOST_OWNERS = 1000
"""How many owners' connections are open while they are idle: a reload of the configuration leaves some behind."""


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookies, and does not make an empty collection of them for every request either."""

    _none: BaseCookie[str] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        return self._none


class _Place(NamedTuple):
    """An address as the HTTP library wants it, and the proxy that the environment names for its host."""

    url: URL
    proxy: str | None


class _Group(NamedTuple):
    """Connections that stand in for one another."""

    session: aiohttp.ClientSession
    keeps: bool
    """They are used again."""
    answered: dict[str, float]
    """By address: when it last answered, on the loop's clock."""


class _Owned:
    """The connections of one owner: how many are in use, and who waits for one.

    The HTTP library's own limit is not used: it loses a free connection when whoever is to have it is cancelled at that
    moment, and it could not say, before a request has waited, whether the connection will be kept.
    """

    def __init__(self, allowed: Connections, kept: _Group, unkept: _Group) -> None:
        self._most_kept = math.inf if allowed.kept is None else allowed.kept
        self._free = asyncio.Semaphore(allowed.most) if allowed.most is not None else None
        self._kept = kept
        self._unkept = unkept
        self._in_use = 0
        """Of the connections that are kept."""
        self.requests = 0
        """Under way or waiting."""

    async def take(self, *, keep_alive: bool) -> tuple[_Group, Callable[[], None]]:
        """Wait for a connection's turn: where to send, and what to call once, when the connection is free again.

        A connection to keep is only opened where none is idle and fewer than `kept` are in use: so there are never more
        of them, in use or idle, and never more than `most` connections in all.
        """
        self.requests += 1
        try:
            if self._free is not None:
                await self._free.acquire()
        except BaseException:
            self.requests -= 1
            raise
        keeps = keep_alive and self._in_use < self._most_kept
        self._in_use += keeps

        def give_back() -> None:
            self.requests -= 1
            self._in_use -= keeps
            if self._free is not None:
                self._free.release()

        return self._kept if keeps else self._unkept, give_back

    async def close(self) -> None:
        await self._kept.session.close()
        await self._unkept.session.close()


class Pool:
    """The connections of one event loop."""

    def __init__(self, connect_seconds: float, siblings: dict[asyncio.AbstractEventLoop, Pool]) -> None:
        self._places: dict[str, _Place] = {}
        self._connect_seconds = connect_seconds
        self._timeouts: dict[float | None, aiohttp.ClientTimeout] = {
            None: aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)
        }
        self._loop = asyncio.get_running_loop()
        self._siblings = siblings
        self._watch = self._until_the_loop_ends()
        self._watched = False
        self._shared = self._group(keeps=True)
        self._owned: dict[Connections, _Owned] = {}

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
        await self._shared.session.close()
        for owned in [*self._owned.values()]:
            await owned.close()

    async def send(self, request: Sending) -> Receiving:
        """Send, and wait for the answer's head."""
        if request.connections is None:
            return _Response(await self._answer(request, self._shared), request.url)
        owned = self._owned.get(request.connections) or await self._make_room(request.connections)
        group, give_back = await owned.take(keep_alive=request.keep_alive)
        try:
            if group.session.closed:  # while the request waited for its turn
                raise _shut_meanwhile(request.url)
            response = await self._answer(request, group)
        except BaseException:
            give_back()
            raise
        if response.connection is None:  # a short answer came whole, and its connection is free already
            give_back()
        else:  # told once, however the answer ends: read, released or broken
            response.connection.add_callback(give_back)
        return _Response(response, request.url)

    async def _answer(self, request: Sending, group: _Group) -> aiohttp.ClientResponse:
        """The answer's head. A kept connection that the server has closed meanwhile is replaced."""
        answered = group.answered
        try:
            response = await self._sent(request, group.session)
        except _HUNG_UP as error:
            if self._loop.time() - answered.pop(request.url, self._loop.time()) < IDLE_SECONDS:
                raise self._failed(error, request) from error
            try:
                response = await self._sent(request, group.session)
            except _FAILURES as again:
                raise self._failed(again, request) from again
        except _FAILURES as error:
            raise self._failed(error, request) from error
        if request.keep_alive and group.keeps:
            if len(answered) >= MOST_PLACES:
                answered.clear()
            answered[request.url] = self._loop.time()
        return response

    async def _sent(self, request: Sending, session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
        place = self._places.get(request.url) or self._find(request.url)
        return await session.request(
            request.method,
            place.url,
            data=aiohttp.BytesPayload(request.body, content_type="application/json"),
            headers=request.headers if request.keep_alive else {**request.headers, "connection": "close"},
            allow_redirects=False,
            proxy=place.proxy,
            timeout=self._timeouts.get(request.connect) or self._timeout(request.connect),
        )

    async def _make_room(self, named: Connections) -> _Owned:
        """Connections for a new owner; those of one that is idle are closed where there are too many."""
        while named not in self._owned:  # another request may open them while we close others
            idle = None
            if len(self._owned) >= MOST_OWNERS:
                idle = next((other for other, owned in self._owned.items() if not owned.requests), None)
            if idle is None:
                self._owned[named] = _Owned(named, self._group(keeps=True), self._group(keeps=False))
            else:
                await self._owned.pop(idle).close()
        return self._owned[named]

    def _group(self, *, keeps: bool) -> _Group:
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=300,
            keepalive_timeout=KEEP_ALIVE_SECONDS if keeps else None,
            force_close=not keeps,  # says `connection: close`, and closes it itself where the server does not
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeouts[None],
            cookie_jar=_NoCookies(),
            skip_auto_headers=("Content-Type", "User-Agent"),
            read_bufsize=2**18,
        )
        return _Group(session, keeps, {})

    def _timeout(self, connect: float | None) -> aiohttp.ClientTimeout:
        if len(self._timeouts) >= MOST_PLACES:
            self._timeouts = {None: self._timeouts[None]}
        timeout = self._timeouts[connect] = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        return timeout

    def _failed(self, error: Exception, request: Sending) -> TrunklineError:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            seconds = self._connect_seconds if request.connect is None else request.connect
            translated: TrunklineError = APITimeoutError(
                f"no connection to {urlsplit(request.url).netloc} within {seconds:g} seconds", code="connect_timeout"
            )
        else:
            translated = _translated(error, request.url)
        translated.sent = not isinstance(error, _BEFORE_SENDING)
        return translated

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


_HUNG_UP = (aiohttp.ServerDisconnectedError, ConnectionResetError)
_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Those of them after which nothing has left this machine."""


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
        content = self._response.content
        if content.exception() is not None:  # it would not give us any more what had come before the connection broke
            left = content._read_nowait(-1)  # pyright: ignore[reportPrivateUsage]
            if left:
                return left
        try:
            return await content.readany() or None
        except _FAILURES as error:
            raise _translated(error, self._url) from error

    def release(self) -> None:
        """Cut the connection, which tells the server to stop; one that was read to its end is in the pool again."""
        self._response.close()


def _shut_meanwhile(url: str) -> TrunklineError:
    error = APIConnectionError(f"the connections to {urlsplit(url).netloc} were closed while a request waited for one")
    error.sent = False
    return error


def _translated(error: Exception, url: str) -> TrunklineError:
    """The HTTP library's error as ours. Only the host is named: a path or a query may hold more than it should."""
    host = urlsplit(url).netloc
    match error:
        case aiohttp.InvalidURL() | ValueError():
            return ConfigurationError(f"'{host or url[:40]}' is no address that can be called")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return APITimeoutError(f"{host} was too slow")
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
