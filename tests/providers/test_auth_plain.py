"""Keys that are shown as they are: which header or parameter holds them, and what never shows them."""

from __future__ import annotations

import copy
import pickle

import pytest

from trunkline.providers.auth import bearer, header, query
from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import MASK, Secret, Token

KEY = Secret("sk-a b+c/d")


def sending(url="https://h/v1/x", **headers):
    return Sending("POST", url, headers, b"{}", keep_alive=False)


def test_a_key_as_bearer():
    assert bearer(sending(a="1"), KEY) == Sending(
        "POST", "https://h/v1/x", {"authorization": "Bearer sk-a b+c/d", "a": "1"}, b"{}", keep_alive=False
    )


def test_a_key_in_a_header_of_its_own():
    assert header("x-api-key")(sending(), KEY).headers == {"x-api-key": "sk-a b+c/d"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/v1/x", "https://h/v1/x?key=sk-a%20b%2Bc/d"),
        ("https://h/v1/x?alt=sse", "https://h/v1/x?alt=sse&key=sk-a%20b%2Bc/d"),
    ],
)
def test_a_key_as_a_parameter(url, shown):
    assert query("key")(sending(url), KEY) == Sending("POST", shown, {}, b"{}", keep_alive=False)


@pytest.mark.parametrize("auth", [bearer, header("api-key"), query("key")])
def test_a_token_goes_as_bearer(auth):
    assert auth(sending(), Token("t")) == sending(authorization="Bearer t")


@pytest.mark.parametrize("auth", [bearer, header("authorization")])
def test_what_somebody_said_himself_stays(auth):
    assert auth(sending(authorization="mine"), KEY).headers == {"authorization": "mine"}


def test_a_stand_in_is_readable_wherever_it_stands():
    assert query("key")(sending(), KEY.masked()).url == f"https://h/v1/x?key={MASK}"
    assert type(Token("t").masked()) is Token


def test_an_echoed_key_is_scrubbed_as_it_is_and_as_an_address_has_it():
    said = "no such key: sk-a b+c/d, at ?key=sk-a%20b%2Bc%2Fd&x, or sk-a%20b%2Bc/d"
    assert KEY.scrub(said) == "no such key: [key], at ?key=[key]&x, or [key]"
    assert Secret("").scrub("text") == "text"


@pytest.mark.parametrize("secret", [KEY, Token("sk-a")])
def test_a_secret_shows_itself_nowhere(secret):
    assert "sk-" not in f"{secret} {secret!r} {[secret]}"
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(secret)


def test_secrets_are_equal_by_kind_and_value():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Token("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secret_is_a_credential_that_never_changes():
    assert KEY.current() is KEY
