"""Azure, Bedrock, Vertex AI and Google, each at a loopback server that answers as the cloud would.

Nothing here has seen the cloud itself: the addresses, signatures and frames are those of its documentation.
"""

from __future__ import annotations

from base64 import b64encode

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from samples import chat, chunks, completion, generated, generated_chunks, message, message_events, vectors
from trunkline import (
    AsyncClient,
    CutOff,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    ServiceError,
    TrunklineError,
)
from trunkline.testing import FakeUpstream, Told, reply, stream
from trunkline.wire.grammar.eventstream import event_frame

pytestmark = pytest.mark.anyio

SSE = {"content-type": "text/event-stream"}
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "sec+ret", "AWS_REGION": "eu-west-1"}


def json(value) -> bytes:
    return msgspec.json.encode(value)


# --- Azure ------------------------------------------------------------------------------------------------------------


def azure(url: str, keys=None, **env: str) -> AsyncClient:
    known = {} if keys else {"AZURE_API_KEY": "az-key"}
    return AsyncClient({"retries": 0}, env={"AZURE_BASE_URL": url, **known, **env}, keys=keys)


async def test_an_azure_deployment():
    async with FakeUpstream([reply(200, chat())]) as upstream, azure(upstream.url) as client:
        assert (await client.complete("Hi", "azure/my-gpt", max_tokens=5)).text == "Paris."
    (asked,) = upstream.served
    assert asked.path == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert asked.headers["api-key"] == "az-key"
    assert "authorization" not in asked.headers
    assert asked.json["messages"] == [{"role": "user", "content": "Hi"}]


async def test_another_version_of_azures_api():
    async with FakeUpstream([reply(200, vectors([1.0]))]) as upstream:
        async with azure(upstream.url, AZURE_API_VERSION="2025-01-01-preview") as client:
            await client.embed("Hi", "azure/my-vectors")
    assert upstream.served[0].path == "/openai/deployments/my-vectors/embeddings?api-version=2025-01-01-preview"


async def test_azures_plain_api():
    """Below /openai/v1 paths and bodies are OpenAI's own: the deployment is the body's model."""
    async with FakeUpstream(lambda asked: reply(200, vectors([1.0]) if "emb" in asked.path else chat())) as upstream:
        async with azure(f"{upstream.url}/openai/v1") as client:
            await client.complete("Hi", "azure/my-gpt")
            await client.embed("Hi", "azure/my-vectors")
    asked = [(one.path, one.json["model"]) for one in upstream.served]
    assert asked == [("/openai/v1/chat/completions", "my-gpt"), ("/openai/v1/embeddings", "my-vectors")]


@pytest.mark.parametrize("base", ["", "/openai/v1"])
async def test_azures_responses_have_one_address(base):
    client = azure(f"https://res.openai.azure.com{base}")
    row = client._engine.snapshot.catalog["azure"]
    responses = next(dialect for dialect in row.speaks if dialect.name == "openai_responses")
    target = client._engine.snapshot.target("azure/my-gpt")
    assert row.url(target, responses) == "https://res.openai.azure.com/openai/v1/responses"


async def test_azures_entra_tokens():
    tokens = iter(["t1", "t2"])

    async def get_token() -> str:
        return next(tokens)

    async with FakeUpstream([reply(200, chat())]) as upstream, azure(upstream.url, {"azure": get_token}) as client:
        await client.complete("Hi", "azure/my-gpt")
        await client.complete("Hi", "azure/my-gpt")
    assert [one.headers["authorization"] for one in upstream.served] == ["Bearer t1", "Bearer t2"]


async def test_azures_stream():
    """Its first chunk has no choices, and its filter's verdicts come in chunks without words."""
    first, *rest = chunks("Par", "is.")
    opening = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    verdict = {**first, "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}, "delta": {}}]}
    async with FakeUpstream([stream(opening, first, verdict, *rest)]) as upstream, azure(upstream.url) as client:
        async with client.stream("Hi", "azure/my-gpt") as answer:
            assert (await answer.final()).text == "Paris."


async def test_azures_filter_refuses():
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
    refused = {
        "error": {
            "message": "filtered",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": inner,
        }
    }
    async with FakeUpstream([reply(400, refused)]) as upstream, azure(upstream.url) as client:
        with pytest.raises(TrunklineError) as caught:
            await client.complete("Hi", "azure/my-gpt")
    assert (type(caught.value).__name__, caught.value.code) == ("ContentPolicyError", "content_filter")


async def test_azures_completions():
    async with FakeUpstream([reply(200, completion())]) as upstream:
        async with azure(upstream.url) as client:
            answer = await client.complete("Hi", "azure/gpt-35-turbo-instruct")
    assert answer.text == "Paris."
    assert upstream.served[0].path == "/openai/deployments/gpt-35-turbo-instruct/completions?api-version=2024-10-21"


# --- Bedrock ----------------------------------------------------------------------------------------------------------

CLAUDE = "bedrock-anthropic/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"


def bedrock(url: str, **env: str) -> AsyncClient:
    return AsyncClient({"retries": 0}, env={**AWS, "BEDROCK_ANTHROPIC_BASE_URL": url, **env})


def wrapped(*said, ending: bytes = b"") -> Told:
    """Anthropic's events in the frames that Bedrock sends them in."""
    frames = [event_frame("chunk", json({"bytes": b64encode(json(event)).decode(), "p": "abcd"})) for event in said]
    headers = {"content-type": "application/vnd.amazon.eventstream"}
    return Told(headers=headers, pieces=[*frames, ending] if ending else frames)


EVENTS = [event for _, event in message_events("Par", "is.")]


async def test_claude_on_bedrock():
    async with FakeUpstream([reply(200, message(), x_amzn_requestid="req_1")]) as upstream:
        async with bedrock(upstream.url) as client:
            answer = await client.complete("Hi", CLAUDE, system="Be brief.", max_tokens=5)
    (asked,) = upstream.served
    assert (answer.text, answer.usage.output) == ("Paris.", 5)
    assert asked.path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"
    assert asked.json == {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hi"}],
        "system": "Be brief.",
    }
    signature = asked.headers["authorization"]
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, " in signature
    assert answer.cost is not None


async def test_claude_on_bedrock_streamed():
    async with FakeUpstream([wrapped(*EVENTS)]) as upstream, bedrock(upstream.url) as client:
        async with client.stream("Hi", CLAUDE, max_tokens=5) as answer:
            whole = await answer.final()
    (asked,) = upstream.served
    assert (whole.text, whole.finish, whole.usage.output) == ("Paris.", "stop", 5)
    assert asked.path.endswith("/invoke-with-response-stream")
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert "stream" not in asked.json


async def test_an_api_key_of_bedrocks():
    async with FakeUpstream([reply(200, message())]) as upstream:
        async with bedrock(upstream.url, AWS_BEARER_TOKEN_BEDROCK="br-key") as client:
            await client.complete("Hi", CLAUDE, max_tokens=5)
    assert upstream.served[0].headers["authorization"] == "Bearer br-key"


EXCEPTIONS = {
    "throttlingException": RateLimitError,
    "modelStreamErrorException": ServiceError,
    "internalServerException": ServiceError,
    "serviceUnavailableException": OverloadedError,
    "validationException": InvalidRequestError,
}


@pytest.mark.parametrize(("name", "kind"), EXCEPTIONS.items())
@pytest.mark.parametrize("said", [0, 4])
async def test_exceptions_in_bedrocks_stream(name, kind, said):
    ending = event_frame(name, json({"message": "too many"}), "exception")
    async with FakeUpstream([wrapped(*EVENTS[:said], ending=ending)]) as upstream, bedrock(upstream.url) as client:
        words = []
        with pytest.raises(kind, match="too many"):
            async with client.stream("Hi", CLAUDE, max_tokens=5) as answer:
                async for event in answer:
                    words.append(event.text or "")
    assert "".join(words) == ("Par" if said else "")


async def test_a_stream_of_bedrocks_that_is_short():
    async with FakeUpstream([wrapped(*EVENTS[:4])]) as upstream, bedrock(upstream.url) as client:
        with pytest.raises(CutOff):
            await client.stream("Hi", CLAUDE, max_tokens=5).final()


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (429, "ThrottlingException", RateLimitError),
        (400, "ValidationException", InvalidRequestError),
        (503, "ServiceUnavailableException", OverloadedError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals_of_bedrocks(status, name, kind, streamed):
    """The type stands in a header, the sentence in a bare object, whole or not."""
    refused = reply(status, {"message": "no way"}, x_amzn_errortype=f"{name}:http://internal.amazon.com/")
    async with FakeUpstream([refused]) as upstream, bedrock(upstream.url) as client:
        with pytest.raises(kind, match="no way"):
            if streamed:
                await client.stream("Hi", CLAUDE, max_tokens=5).final()
            else:
                await client.complete("Hi", CLAUDE, max_tokens=5)


async def test_openais_models_on_bedrock():
    async with FakeUpstream([reply(200, chat())]) as upstream:
        async with AsyncClient({}, env={**AWS, "BEDROCK_OPENAI_BASE_URL": upstream.url}) as client:
            await client.complete("Hi", "bedrock-openai/openai.gpt-oss-20b-1:0", max_tokens=5)
    assert upstream.served[0].path == "/openai/v1/chat/completions"
    assert upstream.served[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


# --- Google -----------------------------------------------------------------------------------------------------------


async def test_gemini_with_a_key():
    async with FakeUpstream([reply(200, generated())]) as upstream:
        env = {"GEMINI_API_KEY": "g-key", "GOOGLE_BASE_URL": upstream.url}
        async with AsyncClient({}, env=env) as client:
            answer = await client.complete("Hi", "google/gemini-2.5-flash", max_tokens=5)
    (asked,) = upstream.served
    assert (answer.text, answer.usage.input, answer.provider) == ("Paris.", 12, "google")
    assert asked.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert asked.headers["x-goog-api-key"] == "g-key"
    assert "key=" not in asked.path


def account(token_uri: str) -> str:
    """A service account's file, with a key that was made a moment ago."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json(
        {
            "type": "service_account",
            "private_key_id": "kid",
            "private_key": pem,
            "client_email": "robot@proj.iam.gserviceaccount.com",
            "token_uri": f"{token_uri}/token",
        }
    ).decode()


def vertex(asked) -> Told:
    """Google's token endpoint and Vertex AI behind one address."""
    path = asked.path.rpartition(":")[2]
    match path:
        case "generateContent":
            return reply(200, generated())
        case "streamGenerateContent?alt=sse":
            return Told(
                headers=SSE, pieces=[b"data: " + json(one) + b"\r\n\r\n" for one in generated_chunks("Par", "is.")]
            )
        case "rawPredict":
            return reply(200, message())
        case "streamRawPredict":
            return Told(
                headers=SSE, pieces=[b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json(one)) for one in EVENTS]
            )
        case "countTokens":
            return reply(200, {"totalTokens": 7})
        case "predict":
            return reply(
                200, {"predictions": [{"embeddings": {"values": [1.0, 2.0], "statistics": {"token_count": 3}}}]}
            )
        case _:
            return reply(200, {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})


async def test_vertex_with_a_service_account():
    """One token for all that is asked: words, streams, vectors, counts, of Google's models and of Anthropic's."""
    async with FakeUpstream(vertex) as upstream:
        env = {
            "GOOGLE_APPLICATION_CREDENTIALS_JSON": account(upstream.url),
            "GOOGLE_CLOUD_PROJECT": "proj",
            "GOOGLE_CLOUD_LOCATION": "europe-west4",
            "VERTEX_BASE_URL": upstream.url,
            "VERTEX_ANTHROPIC_BASE_URL": upstream.url,
        }
        async with AsyncClient({}, env=env) as client:
            gemini, claude = "vertex/gemini-2.5-flash", "vertex-anthropic/claude-sonnet-4-5@20250929"
            assert (await client.complete("Hi", gemini)).text == "Paris."
            assert (await client.stream("Hi", gemini).final()).text == "Paris."
            assert (await client.count_tokens("Hi", gemini, system="Be brief.")).input_tokens == 7
            vectors = await client.embed("Hi", "vertex/text-embedding-005")
            assert (vectors.vectors, vectors.usage.input) == (((1.0, 2.0),), 3)
            assert (await client.complete("Hi", claude, max_tokens=5)).text == "Paris."
            assert (await client.stream("Hi", claude, max_tokens=5).final()).text == "Paris."
    tokens = [one for one in upstream.served if one.path == "/token"]
    asked = [one for one in upstream.served if one.path != "/token"]
    below = "/v1/projects/proj/locations/europe-west4/publishers"
    assert [one.path.removeprefix(below) for one in asked] == [
        "/google/models/gemini-2.5-flash:generateContent",
        "/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        "/google/models/gemini-2.5-flash:countTokens",
        "/google/models/text-embedding-005:predict",
        "/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
        "/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
    ]
    assert {one.headers["authorization"] for one in asked} == {"Bearer ya29.token"}
    assert len(tokens) == 2  # one for each provider
    assert asked[2].json.keys() == {"contents", "systemInstruction"}
    assert asked[4].json["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in asked[4].json
    assert asked[5].json["stream"] is True


async def test_vertex_at_its_own_address():
    env = {"GOOGLE_CLOUD_PROJECT": "proj", "HOME": "/nowhere"}
    regional = {"vertex": {"options": {"location": "us-east5", "host": "us-east5-aiplatform.googleapis.com"}}}
    plain, moved = AsyncClient({}, env=env), AsyncClient({"providers": regional}, env=env)
    place = "projects/proj/locations/global/publishers/google/models/g:generateContent"
    assert plain.render("Hi", "vertex/g").url == f"https://aiplatform.googleapis.com/v1/{place}"
    assert moved.render("Hi", "vertex/g").url.startswith(
        "https://us-east5-aiplatform.googleapis.com/v1/projects/proj/locations/us-east5/"
    )


async def test_a_project_that_nobody_named():
    client = AsyncClient({}, env={}, keys={"vertex": lambda: "token"})
    with pytest.raises(TrunklineError, match="vertex needs the option 'project' to build its address"):
        client.render("Hi", "vertex/gemini-2.5-flash")
