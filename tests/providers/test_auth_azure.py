"""Tokens that a function of the user's gives: asked each time, never on the loop, and what its mistakes become."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from trunkline.providers.auth.azure import TokenCallback
from trunkline.vocabulary.errors import APIConnectionError, AuthenticationError
from trunkline.vocabulary.secret import MASK, Token

pytestmark = pytest.mark.anyio


async def test_a_plain_function_is_asked_each_time_and_not_on_the_loop():
    threads = []

    def fetch():
        threads.append(threading.current_thread())
        return f"token-{len(threads)}"

    credential = TokenCallback(fetch)
    assert [await credential.current() for _ in range(2)] == [Token("token-1"), Token("token-2")]
    assert threading.current_thread() not in threads


async def test_a_function_that_blocks_holds_nobody_up():
    go = threading.Event()

    def fetch():
        assert go.wait(10)
        return "token"

    waiting = asyncio.ensure_future(TokenCallback(fetch).current())
    await asyncio.sleep(0)
    assert not waiting.done()  # and yet we are here
    go.set()
    assert await waiting == Token("token")


class Provider:
    async def __call__(self):
        return self.name(threading.current_thread() is threading.main_thread())

    async def fetch(self, on_loop=True):
        return self.name(threading.current_thread() is threading.main_thread())

    def name(self, on_loop):
        return "on-loop" if on_loop else "elsewhere"


@pytest.mark.parametrize(
    "fn",
    [Provider(), Provider().fetch, functools.partial(Provider().fetch, on_loop=True), lambda: Provider().fetch()],
)
async def test_an_asynchronous_function_runs_on_the_loop(fn):
    assert (await TokenCallback(fn).current()).reveal() == "on-loop"


class NoNetwork(Exception):
    pass


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_its_failure_is_an_authentication_error_with_its_cause(asynchronous):
    def fails():
        raise NoNetwork("token tok-secret")

    async def fails_later():
        fails()

    with pytest.raises(AuthenticationError, match="the token callback failed: NoNetwork") as caught:
        await TokenCallback(fails_later if asynchronous else fails).current()
    assert isinstance(caught.value.__cause__, NoNetwork)
    assert "tok-secret" not in str(caught.value)
    assert (caught.value.status, caught.value.transient) == (401, False)


async def test_an_error_of_ours_stays_as_it_is():
    def fails():
        raise APIConnectionError("no network")

    with pytest.raises(APIConnectionError, match=r"^no network$"):
        await TokenCallback(fails).current()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (None, "gave no text but NoneType"),
        (b"t", "gave no text but bytes"),
        ("", "no"),
        ("a\r\nb: c", "no"),
        ("ü", "no"),
    ],
)
async def test_what_is_no_token_is_refused_unseen(given, complaint):
    with pytest.raises(AuthenticationError, match=complaint) as caught:
        await TokenCallback(lambda: given).current()
    assert "b: c" not in str(caught.value)


async def test_whoever_stops_waiting_is_let_go():
    go = threading.Event()
    waiting = asyncio.ensure_future(TokenCallback(lambda: go.wait(10) and "t").current())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()


async def test_it_shows_nothing():
    assert repr(TokenCallback(lambda: "t")) == "Credential(…)"
    assert TokenCallback(lambda: "t").masked() == Token(MASK)
