"""Google's credentials: from where, what for, and what the token endpoint's refusals become."""

from __future__ import annotations

import asyncio
import base64
import sys
from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from trunkline.providers.auth import fetching, google
from trunkline.testing import FakeUpstream, Told, reply
from trunkline.vocabulary.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    ResponseParseError,
)
from trunkline.vocabulary.secret import Token

pytestmark = pytest.mark.anyio

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def account(token_uri: str) -> dict[str, str]:
    """What a service account's JSON file holds."""
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "kid-1",
        "private_key": PEM,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }


PERSON = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
"""What `gcloud auth application-default login` writes."""


def token(value="ya29.token", seconds=3600):
    return reply(200, {"access_token": value, "expires_in": seconds, "token_type": "Bearer"})


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_service_account_signs_for_a_token():
    async with FakeUpstream([token()]) as server:
        credential = google.from_info(account(f"{server.url}/token"))
        first = await credential.current()
        assert first == Token("ya29.token")
        assert credential.current() is first
    (asked,) = server.served
    assert (asked.method, asked.path) == ("POST", "/token")
    form = parse_qs(asked.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].split(".")
    PRIVATE.public_key().verify(unpadded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    said = msgspec.json.decode(unpadded(claims))
    assert (said["iss"], said["scope"]) == ("robot@p.iam.gserviceaccount.com", google.SCOPES[0])


async def test_many_calls_fetch_one_token():
    async with FakeUpstream([token()]) as server:
        credential = google.from_info(account(server.url))
        tokens = await asyncio.gather(*[credential.current() for _ in range(20)])
    assert set(tokens) == {Token("ya29.token")}
    assert len(server.served) == 1


async def test_a_token_that_expires_at_once_is_fetched_again():
    async with FakeUpstream([token("a", seconds=0), token("b")]) as server:
        credential = google.from_info(account(server.url))
        assert [await credential.current() for _ in range(2)] == [Token("a"), Token("b")]


@pytest.mark.parametrize("how", ["option", "variable", "text", "person"])
async def test_where_credentials_are_said(how, tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/not/this/one")  # the program's environment counts
    async with FakeUpstream([token()]) as server:
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", server.url)
        text = msgspec.json.encode(PERSON if how == "person" else account(server.url))
        (tmp_path / "sa.json").write_bytes(text)
        path = str(tmp_path / "sa.json")
        options = {"credentials_file": path} if how == "option" else {}
        env = {
            "option": {"GOOGLE_APPLICATION_CREDENTIALS": "/not/this/one"},
            "text": {"GOOGLE_APPLICATION_CREDENTIALS_JSON": text.decode()},
        }.get(how, {"GOOGLE_APPLICATION_CREDENTIALS": path})
        assert await google.credential(options, env).current() == Token("ya29.token")
    assert len(server.served) == 1


async def test_what_gcloud_has_signed_in_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    env = {"CLOUDSDK_CONFIG": str(tmp_path)}
    assert google.credential({}, env) is None
    async with FakeUpstream([token()]) as server:
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", server.url)
        (tmp_path / "application_default_credentials.json").write_bytes(msgspec.json.encode(PERSON))
        assert await google.credential({}, env).current() == Token("ya29.token")


@pytest.mark.parametrize(
    ("options", "env", "found"),
    [
        ({}, {}, False),
        ({"credentials_file": "", "project": ""}, {"HOME": "/nowhere"}, False),
        ({"project": "p"}, {}, True),
        ({}, {"GOOGLE_CLOUD_PROJECT": "p"}, True),
        ({"credentials_file": "/x.json"}, {}, True),
    ],
)
async def test_where_nothing_speaks_of_google_there_is_no_credential(options, env, found):
    assert (google.credential(options, env) is not None) is found


async def test_a_refusal_is_an_authentication_error_that_holds_no_key():
    leak = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJyb2JvdCJ9.c2lnbmF0dXJl"
    refusal = {"error": "invalid_grant", "error_description": f"Invalid JWT Signature: {leak}"}
    async with FakeUpstream([reply(400, refusal)]) as server:
        with pytest.raises(AuthenticationError, match="invalid_grant: Invalid JWT Signature: …") as caught:
            await google.from_info(account(server.url)).current()
    error = caught.value
    assert (error.status, error.transient, error.__cause__) == (401, False, None)
    assert leak not in str(error)


async def test_an_endpoint_that_does_not_answer_is_the_network():
    async with FakeUpstream([Told(silent=True)]) as server:
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1 does not answer"):
            await google.from_info(account(server.url)).current()
    with pytest.raises(APIConnectionError, match="does not answer"):
        await google.from_info(account("http://127.0.0.1:1/token")).current()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"expires_in": "soon", "access_token": "t"}'])
async def test_an_endpoint_that_answers_nonsense(body):
    async with FakeUpstream([reply(200, body)]) as server:
        with pytest.raises(ResponseParseError, match="token endpoint answers something that cannot be read"):
            await google.from_info(account(server.url)).current()


@pytest.mark.parametrize("uri", ["http://example.com/token", "ftp://127.0.0.1/x", "file:///etc/passwd", "nonsense"])
async def test_a_key_goes_over_tls_or_nowhere(uri):
    with pytest.raises(APIConnectionError, match="must be asked over https"):
        await google.from_info(account(uri)).current()


@pytest.mark.parametrize("status", [301, 302, 303, 307])
async def test_a_redirect_is_not_followed(status):
    async with FakeUpstream([token()]) as elsewhere:
        moved = Told(status=status, headers={"location": f"{elsewhere.url}/token"}, pieces=(b"{}",))
        async with FakeUpstream([moved]) as server:
            with pytest.raises(AuthenticationError):
                await google.from_info(account(server.url)).current()
    assert elsewhere.served == []


async def test_a_proxy_is_not_asked_for_what_is_on_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    fetching._opener.cache_clear()
    async with FakeUpstream([token()]) as server:
        assert await google.from_info(account(server.url)).current() == Token("ya29.token")
    fetching._opener.cache_clear()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff", "holds no JSON object"),
        (b"[]", "holds no JSON object"),
        (b'{"type": "service_account"}', "a field is missing, or the key is no key"),
        (msgspec.json.encode({**account("https://h"), "private_key": "-----BEGIN secret"}), "the key is no key"),
    ],
)
async def test_a_file_that_holds_no_credentials(tmp_path, content, complaint):
    path = tmp_path / "sa.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        await google.from_file(str(path)).current()
    assert "BEGIN" not in f"{caught.value} {caught.value.__cause__}"


async def test_inline_text_that_is_none_is_refused_when_it_is_said():
    with pytest.raises(ConfigurationError, match="GOOGLE_APPLICATION_CREDENTIALS_JSON holds no JSON object") as caught:
        google.credential({}, {"GOOGLE_APPLICATION_CREDENTIALS_JSON": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


async def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.oauth2.credentials", None)
    google._google.cache_clear()
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[google\]'"):
        await google.from_info(account("https://h")).current()
    google._google.cache_clear()


async def test_it_shows_nothing():
    credential = google.from_info(account("https://h"))
    assert repr(credential) == "Credential(…)"
    assert credential.masked().reveal() == "[key]"
