"""AWS keys: what is signed and how, and where they are found."""

from __future__ import annotations

import hashlib
import hmac
import sys
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from trunkline.providers.auth import aws, bearer
from trunkline.providers.auth.aws import AwsKey, sigv4
from trunkline.testing import FakeUpstream, reply
from trunkline.vocabulary.errors import APIConnectionError, AuthenticationError, ConfigurationError
from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import MASK, Secret

AT = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
EXAMPLE = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region="us-east-1")
BEDROCK = "https://bedrock-runtime.eu-central-1.amazonaws.com"


def at():
    return AT


def sending(url, body=b'{"messages":[]}', **headers):
    return Sending("POST", url, {"content-type": "application/json", **headers}, body)


def signature(request, key=EXAMPLE, service="bedrock", now=at):
    return sigv4(service, now)(request, key).headers["authorization"]


# --- signing ----------------------------------------------------------------------------------------------------------


def test_the_example_of_awss_own_pages():
    # docs.aws.amazon.com: "Signature Version 4 signing process", IAM ListUsers, 20150830T123600Z
    request = Sending(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"",
    )
    signed = sigv4("iam", at)(request, EXAMPLE)
    assert signed.headers["x-amz-date"] == "20150830T123600Z"
    assert signed.headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_request_to_bedrock_step_by_step():
    body = b'{"messages":[]}'
    key = AwsKey("AKIDEXAMPLE", "secret", "session+token")
    canonical = "\n".join(
        [
            "POST",
            "/model/anthropic.claude-3%3A0/converse",
            "",
            "content-type:application/json",
            "host:bedrock-runtime.eu-central-1.amazonaws.com",
            "x-amz-date:20150830T123600Z",
            "x-amz-security-token:session+token",
            "",
            "content-type;host;x-amz-date;x-amz-security-token",
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = "20150830/eu-central-1/bedrock/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    made = b"AWS4secret"
    for step in scope.split("/"):
        made = hmac.new(made, step.encode(), "sha256").digest()
    text = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{digest}"
    expected = hmac.new(made, text.encode(), "sha256").hexdigest()
    signed = sigv4("bedrock", at)(sending(f"{BEDROCK}/model/anthropic.claude-3%3A0/converse", body), key)
    assert signed.headers["authorization"].endswith(f"Signature={expected}")
    assert signed.headers["x-amz-security-token"] == "session+token"
    assert signed.body == body


@pytest.mark.parametrize(
    "url",
    [
        f"{BEDROCK}/model/amazon.nova-lite-v1:0/invoke",
        f"{BEDROCK}/model/arn:aws:bedrock:eu-central-1:1:inference-profile%2Fx.y/converse-stream",
        f"{BEDROCK}/",
        f"{BEDROCK}/foundation-models?byProvider=a&byOutputModality=TEXT",
        "https://bedrock-runtime.us-gov-west-1.amazonaws.com:8443/model/x/converse",
    ],
)
@pytest.mark.parametrize("token", [None, "tok"])
def test_the_library_of_aws_signs_the_same(url, token):
    now = datetime.now(UTC)
    region = url.split(".")[1]
    theirs = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=b"body")
    SigV4Auth(Credentials("AK", "SK", token), "bedrock", region).add_auth(theirs)
    dates = [now + timedelta(seconds=later) for later in range(3)]  # it reads its own clock
    ours = [signature(sending(url, b"body"), AwsKey("AK", "SK", token), now=lambda date=date: date) for date in dates]
    assert theirs.headers["Authorization"] in ours


@pytest.mark.parametrize("path", ["/model/a%3A1/x", "/model/a:1/x", "/a%2Fb%20c/ü", "/a+b/%7E~", "/m/(x)'*!;=@,$&"])
def test_what_is_signed_is_what_an_http_library_sends(path):
    signed = sigv4("bedrock", at)(sending(BEDROCK + path), EXAMPLE)
    assert str(URL(signed.url)) == signed.url


def test_headers_that_proxies_change_are_not_signed():
    plain = signature(sending(f"{BEDROCK}/x"))
    assert signature(sending(f"{BEDROCK}/x", traceparent="00-1-2-01", accept="*/*")) == plain
    assert signature(sending(f"{BEDROCK}/x", b"other")) != plain
    assert "SignedHeaders=content-type;host;x-amz-date," in plain


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-0a1b2c3d-x1y2z3.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("llm-proxy-1.internal", "sa-east-1"),
    ],
)
def test_the_region_is_the_addresss_else_the_keys(host, region):
    key = AwsKey("AK", "SK", region="sa-east-1")
    assert f"/20150830/{region}/bedrock/" in signature(sending(f"https://{host}/x"), key)


def test_without_a_region_it_says_what_to_set():
    with pytest.raises(ConfigurationError, match="set AWS_REGION, or the option aws_region"):
        signature(sending("http://127.0.0.1/x"), AwsKey("AK", "SK"))


def test_a_key_that_is_no_aws_key_goes_as_bearer():
    assert signature(sending(f"{BEDROCK}/x"), Secret("bedrock-api-key")) == "Bearer bedrock-api-key"


def test_an_aws_key_goes_to_nobody_who_wants_keys_sent():
    with pytest.raises(ConfigurationError, match="an AWS key signs requests") as caught:
        bearer(sending("https://h/x"), EXAMPLE)
    assert "wJalr" not in str(caught.value)


def test_a_stand_in_signs_without_the_key():
    key = AwsKey("AKIDEXAMPLE", "SK", "tok", "us-east-1")
    shown = sigv4("bedrock", at)(sending("http://127.0.0.1/x"), key.masked())
    assert shown.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={MASK}/20150830/us-east-1/bedrock")
    assert shown.headers["authorization"] != signature(sending("http://127.0.0.1/x"), key)
    assert shown.headers["x-amz-security-token"] == MASK


def test_an_aws_key_shows_no_part_of_itself():
    key = AwsKey("AKIDEXAMPLE", "s/k", "t+k")
    assert f"{key} {key!r}" == "AwsKey(…) AwsKey(…)"
    assert key.scrub("AKIDEXAMPLE s/k s%2Fk t+k t%2Bk") == " ".join([MASK] * 5)


def test_signing_logs_nothing(caplog):
    caplog.set_level("DEBUG")
    signature(sending(f"{BEDROCK}/x"), AwsKey("AK", "SK", "tok-secret"))
    assert caplog.text == ""


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    aws._botocore.cache_clear()
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[bedrock\]'"):
        signature(sending(f"{BEDROCK}/x"))


# --- finding keys -----------------------------------------------------------------------------------------------------

NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without AWS credentials: what a test sets is all that botocore finds."""
    for name in [*aws.SIGNS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    files = {"AWS_SHARED_CREDENTIALS_FILE": tmp_path / "credentials", "AWS_CONFIG_FILE": tmp_path / "config"}
    for name, value in {**NOWHERE, "HOME": tmp_path, **files}.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


async def key_of(options, env):
    credential = aws.credential(options, env)
    key = await credential.current()
    assert credential.current() is key  # from now on it is in hand
    return (key.access_key, key.secret_key, key.session_token, key.region)


@pytest.mark.anyio
async def test_a_key_of_the_environment(machine):
    env = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    assert await key_of({}, env) == ("AK", "SK", None, None)
    temporary = {**env, "AWS_SESSION_TOKEN": "tok", "AWS_DEFAULT_REGION": "us-west-2"}
    assert await key_of({}, temporary) == ("AK", "SK", "tok", "us-west-2")
    assert await key_of({"aws_region": "eu-west-1"}, temporary) == ("AK", "SK", "tok", "eu-west-1")


@pytest.mark.anyio
async def test_a_profile_that_the_target_names_comes_before_the_environment(machine):
    (machine / "credentials").write_text(
        "[default]\naws_access_key_id=AKD\naws_secret_access_key=SKD\n"
        "[team]\naws_access_key_id=AKT\naws_secret_access_key=SKT\naws_session_token=TT\n"
    )
    env = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    assert await key_of({"aws_profile": "team"}, env) == ("AKT", "SKT", "TT", None)
    assert await key_of({}, {"AWS_SHARED_CREDENTIALS_FILE": str(machine / "credentials")}) == ("AKD", "SKD", None, None)
    with pytest.raises(ConfigurationError, match=r"The config profile \(none\) could not be found"):
        await key_of({"aws_profile": "none"}, env)


@pytest.mark.anyio
async def test_a_containers_key_is_renewed(machine, monkeypatch):
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    given = {"AccessKeyId": "AKC", "SecretAccessKey": "SKC", "Token": "TC", "Expiration": soon}
    async with FakeUpstream([reply(200, given)]) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/creds")
        credential = aws.credential({}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/creds"})
        key = await credential.current()
    assert (key.access_key, key.session_token) == ("AKC", "TC")
    assert credential._held.expires < datetime.now(UTC).timestamp() + aws.LOOK_AGAIN + 1


@pytest.mark.anyio
async def test_a_role_that_is_refused_is_an_authentication_error(machine, monkeypatch):
    refused = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>"
        b"<Message>No provider for eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJpc3MiOiJodHRw</Message>"
        b"</Error></ErrorResponse>"
    )
    (machine / "token").write_text("the-web-identity-token")
    async with FakeUpstream([reply(400, refused, content_type="text/xml")]) as server:
        env = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(machine / "token"),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
            "AWS_ENDPOINT_URL_STS": server.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AuthenticationError, match=r"InvalidIdentityToken.*No provider for …") as caught:
            await aws.credential({}, env).current()
    assert "the-web-identity-token" not in repr(caught.value.__cause__) + str(caught.value)
    assert caught.value.status == 401


@pytest.mark.anyio
async def test_an_identity_service_that_does_not_answer_is_the_network(machine, monkeypatch):
    (machine / "token").write_text("the-web-identity-token")
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(machine / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(APIConnectionError, match="cannot be reached"):
        await aws.credential({}, env).current()


@pytest.mark.anyio
async def test_a_machine_without_credentials_says_so(machine):
    with pytest.raises(AuthenticationError, match="no AWS credentials are found"):
        await key_of({}, {"AWS_REGION": "eu-west-1"})


@pytest.mark.parametrize(
    ("options", "env", "found"),
    [
        ({}, {}, False),
        ({"aws_profile": "", "aws_region": ""}, {"PATH": "/bin", "AWS_PROFILE": ""}, False),
        ({"aws_profile": "team"}, {}, True),
        ({}, {"AWS_PROFILE": "team"}, True),
        ({}, {"AWS_REGION": "eu-west-1"}, True),
        ({}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, True),
    ],
)
def test_where_nothing_speaks_of_aws_there_is_no_credential(options, env, found):
    assert (aws.credential(options, env) is not None) is found


@pytest.mark.parametrize("name", ["credentials", "config"])
def test_the_files_of_awss_tools_speak_of_it(tmp_path, name):
    assert aws.credential({}, {"HOME": str(tmp_path)}) is None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / name).write_text("[default]\n")
    assert aws.credential({}, {"HOME": str(tmp_path)}) is not None
