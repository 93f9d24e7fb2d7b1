"""Keys in calls: what goes out, what is shown of it, and what becomes of a call whose key cannot be had."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, quote

import pytest
from msgspec.structs import replace

from samples import chat, chunks
from trunkline import (
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    ConfigurationError,
    TrunklineError,
)
from trunkline.providers.auth import aws, header, query
from trunkline.providers.auth.renewal import Fresh, Renewed
from trunkline.providers.catalog import CATALOG
from trunkline.runtime import Runtime
from trunkline.snapshot import Snapshot
from trunkline.testing import FakeClock, FakeUpstream, reply, stream
from trunkline.vocabulary.secret import MASK, Secret

pytestmark = pytest.mark.anyio

SERVER = CATALOG["openai-compatible"]
KEY = "sk-s+/cret"
AWS_KEY = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "sec+ret", "AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def _rows(monkeypatch):
    """Rows for the schemes that no built-in row has."""
    rows = (
        replace(SERVER, name="asked", auth=query("key"), key_env="ASKED_API_KEY", key_optional=False),
        replace(
            SERVER,
            name="signing",
            auth=aws.sigv4("bedrock"),
            key_env="SIGNING_API_KEY",
            key_optional=False,
            credential=aws.credential,
            options={"aws_profile": ""},
            option_env={"aws_region": "AWS_REGION"},
        ),
        replace(SERVER, name="cloud", auth=header("x-key"), key_env=None, key_optional=False, credential=cloud),
    )
    monkeypatch.setattr("trunkline.config.sense.CATALOG", CATALOG.with_rows(*rows))


MADE: list[str] = []


def cloud(options, env):
    if "CLOUD" not in env:
        return None
    MADE.append(options.get("zone", ""))
    return Renewed(lambda: Fresh(Secret("from-cloud")), Secret(MASK))


def line(url="http://h", env=(), keys=None, clock=None, **config):
    bases = {f"{name}_BASE_URL": url for name in ("ASKED", "AZURE", "CLOUD", "OPENAI", "SIGNING")}
    return AsyncClient(config, env={**bases, **dict(env)}, keys=keys, runtime=Runtime(clock=clock))


# --- what goes out ----------------------------------------------------------------------------------------------------


async def test_a_function_of_the_programs_is_asked_for_each_call():
    tokens = iter(["t1", "t2"])
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with line(upstream.url, keys={"azure": lambda: next(tokens)}) as client:
            await client.complete("hi", "azure/my-gpt")
            await client.complete("hi", "azure/my-gpt")
    assert [served.headers["authorization"] for served in upstream.served] == ["Bearer t1", "Bearer t2"]
    assert all("api-key" not in served.headers for served in upstream.served)


async def test_a_key_in_the_address():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with line(upstream.url, {"ASKED_API_KEY": KEY}) as client:
            await client.complete("hi", "asked/m")
    path, _, said = upstream.served[0].path.partition("?")
    assert (path, parse_qs(said)) == ("/chat/completions", {"key": [KEY]})
    assert quote(KEY) in said  # as a scrubbed error knows it
    assert KEY not in str(upstream.served[0].headers)


async def test_a_request_is_signed_with_what_the_environment_has():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with line(upstream.url, AWS_KEY) as client:
            await client.complete("hi", "signing/m")
            await client.complete("hi", "signing/m", extra_headers={"authorization": "mine"})
    first, second = upstream.served
    assert first.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/bedrock/aws4_request, " in first.headers["authorization"]
    assert second.headers["authorization"] == "mine"


async def test_an_api_key_comes_before_a_credential():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with line(upstream.url, {**AWS_KEY, "SIGNING_API_KEY": "bedrock-key"}) as client:
            await client.complete("hi", "signing/m")
    assert upstream.served[0].headers["authorization"] == "Bearer bedrock-key"


async def test_targets_share_a_credential_where_they_have_the_same_options():
    MADE.clear()
    targets = {
        "a": {"model": "cloud/a"},
        "b": {"model": "cloud/b"},
    }
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with line(upstream.url, {"CLOUD": "1"}, targets=targets) as client:
            for name in ("a", "b", "cloud/c"):
                await client.complete("hi", name)
    assert [served.headers["x-key"] for served in upstream.served] == ["from-cloud"] * 3
    assert MADE == [""]


# --- whose key counts -------------------------------------------------------------------------------------------------


async def test_the_programs_key_comes_before_what_is_configured():
    targets = {
        "own": {"model": "openai/a", "api_key": "of-the-target"},
        "mine": {"model": "openai/a", "api_key": "of-the-target"},
        "plain": {"model": "openai/a"},
    }
    keys = {"mine": "of-the-program", "openai": Secret("for-openai")}
    env = {"OPENAI_API_KEY": "of-the-environment"}
    client = line(env=env, keys=keys, targets=targets)
    snapshot = client._engine.snapshot
    found = {name: snapshot.target(name).key.reveal() for name in ("own", "mine", "plain", "openai/b")}
    assert found == {"own": "of-the-target", "mine": "of-the-program", "plain": "for-openai", "openai/b": "for-openai"}
    assert {entry.name: entry.why for entry in client.models() if entry.name in (*targets, "openai")} == {
        "own": "key from the file",
        "mine": "key from the program",
        "plain": "key from the program",
        "openai": "key from the program",
    }


async def test_a_key_for_nobody_is_a_mistake():
    with pytest.raises(ConfigurationError, match="keys: no target or provider is called 'azur', did you mean 'azure'"):
        line(keys={"azur": "k"})
    with pytest.raises(ConfigurationError, match="the key of azure is empty"):
        line(keys={"azure": ""})


async def test_what_can_be_called_with_a_credential():
    def why(**env):
        found = {entry.name: (entry.ready, entry.why) for entry in line(env=env).models()}
        return found["signing"], found["cloud"]

    assert why() == (
        (False, "SIGNING_API_KEY is not set and no credentials are found"),
        (False, "no credentials are found"),
    )
    signs_in = (True, "signs in with the credentials of this machine")
    assert why(CLOUD="1", **AWS_KEY) == (signs_in, signs_in)
    assert why(SIGNING_API_KEY="k")[0] == (True, "key from SIGNING_API_KEY")


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("signing/m", "set SIGNING_API_KEY, or sign in to its cloud on this machine, or give the target an api_key"),
        ("cloud/m", "sign in to its cloud on this machine, or give the target an api_key"),
        ("asked/m", "set ASKED_API_KEY, or give the target an api_key"),
    ],
)
async def test_without_a_key_it_says_how_to_have_one(name, ways):
    with pytest.raises(AuthenticationError) as caught:
        await line().complete("hi", name)
    assert caught.value.message == f"{name.split('/')[0]} has no key: {ways}"


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_render_shows_no_key_and_asks_nobody_for_one():
    def fail():
        raise AssertionError("a rendering needs no token")

    client = line(
        env={"ASKED_API_KEY": KEY, "CLOUD": "1", **AWS_KEY},
        keys={"azure": fail},
        targets={"twice": {"model": "asked/m", "headers": {"x-also": KEY}}},
    )
    shown = {name: client.render("hi", name) for name in ("asked/m", "signing/m", "azure/m", "cloud/m", "twice")}
    assert shown["asked/m"].url.endswith(f"?key={MASK}")
    assert shown["twice"].headers["x-also"] == MASK
    assert shown["azure/m"].headers["authorization"] == f"Bearer {MASK}"
    assert shown["cloud/m"].headers["x-key"] == MASK
    assert shown["signing/m"].headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={MASK}/")
    text = repr(shown)
    assert not any(part in text for part in (KEY, quote(KEY, safe=""), "AKIDEXAMPLE", "sec+ret"))


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_that_echoes_the_key_is_told_without_it(streamed):
    echo = {"error": {"message": f"bad key {KEY} in ?key={quote(KEY)}", "code": "nope"}}
    told = stream(chunks("Hello")[0], echo) if streamed else reply(400, echo)
    async with FakeUpstream([told]) as upstream:
        async with line(upstream.url, {"ASKED_API_KEY": KEY}, retries=0) as client:
            with pytest.raises(TrunklineError) as caught:
                if streamed:
                    async with client.stream("hi", "asked/m") as answer:
                        await answer.final()
                else:
                    await client.complete("hi", "asked/m")
    error = caught.value
    assert "bad key [key] in ?key=[key]" in str(error)
    assert KEY.encode() not in (error.body or b"")
    assert quote(KEY).encode() not in (error.body or b"")


async def test_an_error_that_echoes_a_token_is_told_without_it():
    async with FakeUpstream([reply(401, {"error": {"message": "bad token tok-secret"}})]) as upstream:
        async with line(upstream.url, keys={"azure": lambda: "tok-secret"}) as client:
            with pytest.raises(AuthenticationError, match=r"bad token \[key\]") as caught:
                await client.complete("hi", "azure/m")
    assert b"tok-secret" not in caught.value.body


# --- a key that cannot be had -----------------------------------------------------------------------------------------


async def test_no_key_here_means_the_next_target():
    def fails():
        raise RuntimeError("signed out")

    async with FakeUpstream([reply(200, chat("Paris."))]) as upstream:
        async with line(upstream.url, {"OPENAI_API_KEY": "k"}, keys={"azure": fails}) as client:
            answer = await client.complete("hi", "azure/m", fallbacks=["openai/gpt"])
            assert answer.target == "openai/gpt"
            with pytest.raises(AuthenticationError, match="azure/m: the token callback failed: RuntimeError"):
                await client.complete("hi", "azure/m")
    assert len(upstream.served) == 1


async def test_a_key_is_waited_for_no_longer_than_the_call():
    clock = FakeClock()

    async def never():
        clock.advance(60)
        await asyncio.Event().wait()

    async with line(keys={"azure": never}, clock=clock) as client:
        with pytest.raises(APITimeoutError, match="no key within 5 seconds"):
            await client.complete("hi", "azure/m", timeout=5, retries=0)


async def test_a_snapshot_takes_keys_too():
    config = AsyncClient({}, env={})._engine.snapshot.config
    assert Snapshot(config, {}, {"openai": "k"}).target("openai/a").key == Secret("k")
