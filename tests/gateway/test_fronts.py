"""Every path that asks something of a model: passed through, translated, streamed, refused, and broken off."""

import http.client
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from samples import (
    chat,
    chunks,
    completion,
    generated,
    generated_chunks,
    message,
    message_events,
    response,
    response_events,
    vectors,
)
from trunkline.testing import Told, reply, stream
from trunkline.wire.grammar.eventstream import event_frame

SSE = {"content-type": "text/event-stream"}
GPT, CLAUDE, GEMINI = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash"
INSTRUCT = "openai/gpt-3.5-turbo-instruct"


def json(value) -> bytes:
    return msgspec.json.encode(value)


def events(said) -> list[bytes]:
    return [b"event: %s\ndata: %s\n\n" % (name.encode(), json(event)) for name, event in said]


def plain(said, *, newline: bytes = b"\n") -> list[bytes]:
    return [b"data: " + json(one) + newline * 2 for one in said]


def datas(body: bytes) -> list[Any]:
    """The JSON of a stream's events."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    return [msgspec.json.decode(line[6:]) for line in lines if line.startswith(b"data: ") and line != b"data: [DONE]"]


# --- the fronts -------------------------------------------------------------------------------------------------------


class Front(Struct, frozen=True):
    """A path on which models are talked to, and what its own API says there."""

    name: str
    model: str
    """A model whose provider speaks it."""
    path: str
    streamed: str
    body: dict[str, Any]
    upstream: str
    """The path at its own provider, and that of its streams."""
    upstream_streamed: str
    whole: dict[str, Any]
    pieces: list[bytes]
    """Its own provider's stream."""
    text_of: Callable[[Any], str]
    piece_of: Callable[[Any], str]
    kind: str
    """Whose errors it has."""
    end: bytes
    """What a whole stream has and a broken one must not have."""
    in_body: bool = True
    """Model and stream are said in the body."""

    def asked(self, model: str | None = None, *, streamed: bool = False) -> tuple[str, dict[str, Any]]:
        """Path and body of a request."""
        model = model or self.model
        path = (self.streamed if streamed else self.path).replace("{model}", model)
        if not self.in_body:
            return path, self.body
        body = {"model": model, **self.body}
        return path, {**body, "stream": True} if streamed else body


TURN = [{"role": "user", "content": "The capital of France?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "The capital of France?"}]}]


def gemini_text(body) -> str:
    return "".join(
        part.get("text", "") for one in body.get("candidates", ()) for part in one.get("content", {}).get("parts", ())
    )


FRONTS = (
    Front(
        name="openai_chat",
        model=GPT,
        path="/v1/chat/completions",
        streamed="/v1/chat/completions",
        body={"messages": TURN, "max_tokens": 20},
        upstream="/v1/chat/completions",
        upstream_streamed="/v1/chat/completions",
        whole=chat(),
        pieces=[*plain(chunks("Par", "is.")), b"data: [DONE]\n\n"],
        text_of=lambda body: body["choices"][0]["message"]["content"],
        piece_of=lambda event: (event["choices"][0]["delta"].get("content") or "") if event["choices"] else "",
        kind="openai",
        end=b"[DONE]",
    ),
    Front(
        name="openai_responses",
        model=GPT,
        path="/v1/responses",
        streamed="/v1/responses",
        body={"input": "The capital of France?", "max_output_tokens": 20},
        upstream="/v1/responses",
        upstream_streamed="/v1/responses",
        whole=response(),
        pieces=events(response_events("Par", "is.")),
        text_of=lambda body: body["output"][0]["content"][0]["text"],
        piece_of=lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
        kind="openai",
        end=b"response.completed",
    ),
    Front(
        name="openai_completions",
        model=INSTRUCT,
        path="/v1/completions",
        streamed="/v1/completions",
        body={"prompt": "The capital of France is", "max_tokens": 20},
        upstream="/v1/completions",
        upstream_streamed="/v1/completions",
        whole=completion(),
        pieces=[
            *plain([completion("Par", finish=None, usage=False), completion("is.", usage=False)]),
            *plain([{**completion(), "choices": []}]),
            b"data: [DONE]\n\n",
        ],
        text_of=lambda body: body["choices"][0]["text"],
        piece_of=lambda event: event["choices"][0]["text"] if event["choices"] else "",
        kind="openai",
        end=b"[DONE]",
    ),
    Front(
        name="anthropic_messages",
        model=CLAUDE,
        path="/v1/messages",
        streamed="/v1/messages",
        body={"messages": TURN, "max_tokens": 20},
        upstream="/v1/messages",
        upstream_streamed="/v1/messages",
        whole=message(),
        pieces=events(message_events("Par", "is.")),
        text_of=lambda body: body["content"][0]["text"],
        piece_of=lambda event: event["delta"].get("text", "") if event["type"] == "content_block_delta" else "",
        kind="anthropic",
        end=b"message_stop",
    ),
    Front(
        name="gemini",
        model=GEMINI,
        path="/v1beta/models/{model}:generateContent",
        streamed="/v1beta/models/{model}:streamGenerateContent?alt=sse",
        body={"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 20}},
        upstream="/v1beta/models/gemini-2.5-flash:generateContent",
        upstream_streamed="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        whole=generated(),
        pieces=plain(generated_chunks("Par", "is."), newline=b"\r\n"),
        text_of=gemini_text,
        piece_of=gemini_text,
        kind="gemini",
        end=b"STOP",
        in_body=False,
    ),
)
BY_NAME = {front.name: front for front in FRONTS}
every_front = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)


def providers(asked) -> Told:
    """OpenAI, Anthropic and Google behind one address, streamed or not."""
    if ":generateContent" in asked.path:
        return reply(200, generated())
    if ":streamGenerateContent" in asked.path:
        return Told(headers=SSE, pieces=BY_NAME["gemini"].pieces)
    for front in FRONTS:
        if asked.path == front.upstream:
            return Told(headers=SSE, pieces=front.pieces) if asked.json.get("stream") else reply(200, front.whole)
    raise AssertionError(f"nobody is asked at {asked.path}")


def call(gateway, path, body=None, method="POST", **headers):
    """One request: status, headers and body of the answer."""
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=5)
    content = body if isinstance(body, bytes | None) else json(body)
    named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, content, named)
    answer = connection.getresponse()
    told = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return told


CONFIG = "{retries: 0, targets: {v: {model: google/v-1}}}"


@pytest.fixture(scope="module")
def shared(lasting_gateway_for):
    return lasting_gateway_for(lambda asked: shared_answer[0](asked), CONFIG)


shared_answer: list[Callable[[Any], Told]] = [providers]


@pytest.fixture
def gateway(shared):
    """A gateway whose providers answer sensibly."""
    shared_answer[0] = providers
    shared.upstream.served.clear()
    shared.records.clear()
    return shared


@pytest.fixture
def gateway_for(gateway):
    """The same, with an answer of the test's own."""

    def start(answer: Told | Callable[[Any], Told]):
        shared_answer[0] = answer if callable(answer) else lambda asked: answer
        return gateway

    return start


# --- the same API on both sides ---------------------------------------------------------------------------------------


def odd(body: dict[str, Any]) -> bytes:
    """A body whose values could be written in other bytes, with a key that nobody knows."""
    fields = [f'"{key}" : {json(value).decode().replace(":", " :  ")}' for key, value in body.items()]
    return ("{ " + " ,\n".join([*fields, '"future_key":{"b": 1.10, "a": [ ], "c": "h\\u00e9"}']) + "}").encode()


@every_front
def test_what_the_provider_speaks_itself_passes_byte_for_byte(gateway, front):
    path, body = front.asked()
    status, headers, answer = call(gateway, path, odd(body))
    (served,) = gateway.upstream.served
    assert (status, answer) == (200, json(front.whole))
    assert served.path == front.upstream
    for key, value in body.items():
        if key != "model":
            assert f'"{key}":{json(value).decode().replace(":", " :  ")}'.encode() in served.body
    assert b'"future_key":{"b": 1.10, "a": [ ], "c": "h\\u00e9"}' in served.body
    assert served.json.keys() == {*body, "future_key"}
    assert headers["x-trunkline-target"] == front.model


@every_front
def test_a_stream_that_the_provider_speaks_itself_passes_byte_for_byte(gateway, front):
    path, body = front.asked(streamed=True)
    wants_usage = {"stream_options": {"include_usage": True}} if front.end == b"[DONE]" else {}
    status, headers, answer = call(gateway, path, {**body, **wants_usage})
    assert (status, answer) == (200, b"".join(front.pieces))
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    (served,) = gateway.upstream.served
    assert served.path == front.upstream_streamed
    assert served.json == {**body, **({"model": served.json["model"]} if front.in_body else {}), **wants_usage}


# --- another API behind it --------------------------------------------------------------------------------------------


def others(front: Front) -> list[str]:
    return [model for model in (GPT, CLAUDE, GEMINI) if model != front.model and (front.kind, model) != ("openai", GPT)]


ACROSS = [pytest.param(front, model, id=f"{front.name}-{model}") for front in FRONTS for model in others(front)]


@pytest.mark.parametrize(("front", "model"), ACROSS)
def test_an_answer_of_another_api(gateway, front, model):
    status, headers, answer = call(gateway, *front.asked(model))
    said = msgspec.json.decode(answer)
    assert status == 200
    assert front.text_of(said) == "Paris."
    assert said.keys() >= {key for key, value in front.whole.items() if value} - {"system_fingerprint"}
    assert headers["x-trunkline-target"] == model
    assert b"The capital of France" in gateway.upstream.served[0].body


@pytest.mark.parametrize(("front", "model"), ACROSS)
def test_a_stream_of_another_api(gateway, front, model):
    status, headers, answer = call(gateway, *front.asked(model, streamed=True))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    said = datas(answer)
    assert "".join(front.piece_of(event) for event in said) == "Paris."
    assert front.end in answer
    assert answer.endswith(b"data: [DONE]\n\n") == (front.end == b"[DONE]")


# --- Gemini's list of chunks ------------------------------------------------------------------------------------------

ARRAY = BY_NAME["gemini"].streamed.removesuffix("?alt=sse")


@pytest.mark.parametrize("model", [GEMINI, GPT, CLAUDE])
def test_a_stream_without_alt_sse_is_one_json_array(gateway, model):
    status, headers, answer = call(gateway, ARRAY.replace("{model}", model), BY_NAME["gemini"].body)
    said = msgspec.json.decode(answer)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert "".join(gemini_text(chunk) for chunk in said) == "Paris."
    assert said[-1]["candidates"][0]["finishReason"] == "STOP"
    if model == GEMINI:
        assert said == generated_chunks("Par", "is.")


def test_the_array_comes_piece_by_piece(gateway_for):
    """Each element is there when its event is, not when the array is whole."""
    pieces = BY_NAME["gemini"].pieces
    gateway = gateway_for(Told(headers=SSE, pieces=pieces[:1], hang=True))
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=5)
    body = json(BY_NAME["gemini"].body)
    connection.request("POST", ARRAY.replace("{model}", GEMINI), body, {"content-type": "application/json"})
    first = json(generated_chunks("Par", "is.")[0])
    assert connection.getresponse().read(len(first) + 1) == b"[" + first
    connection.close()


def test_an_array_waits_in_blanks(gateway_for, monkeypatch):
    monkeypatch.setattr("trunkline.gateway.relay.HOLD_SECONDS", 0.05)
    gateway = gateway_for(Told(headers=SSE, pieces=BY_NAME["gemini"].pieces, delay=0.2))
    _, headers, answer = call(gateway, ARRAY.replace("{model}", GEMINI), BY_NAME["gemini"].body)
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert answer.startswith(b"\n\n")
    assert msgspec.json.decode(answer) == generated_chunks("Par", "is.")


def test_an_array_that_breaks_ends_with_an_error(gateway_for):
    gateway = gateway_for(Told(headers=SSE, pieces=BY_NAME["gemini"].pieces[:1], cut=True))
    _, _, answer = call(gateway, ARRAY.replace("{model}", GEMINI), BY_NAME["gemini"].body)
    first, last = msgspec.json.decode(answer)
    assert gemini_text(first) == "Par"
    assert last["error"]["status"] == "UNAVAILABLE"


def test_an_array_that_fails_after_its_headers(gateway_for, monkeypatch):
    monkeypatch.setattr("trunkline.gateway.relay.HOLD_SECONDS", 0.05)
    busy = reply(503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})
    gateway = gateway_for(Told(status=503, headers=busy.headers, pieces=busy.pieces, delay=0.2))
    status, _, answer = call(gateway, ARRAY.replace("{model}", GEMINI), BY_NAME["gemini"].body)
    assert status == 200
    (only,) = msgspec.json.decode(answer)
    assert only["error"]["code"] == 503


# --- errors -----------------------------------------------------------------------------------------------------------

PATHS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "/v1/chat/completions": (GPT, {"messages": TURN}, "messages", "openai"),
    "/v1/responses": (GPT, {"input": "Hi"}, "model", "openai"),
    "/v1/responses/input_tokens": (GPT, {"input": "Hi"}, "model", "openai"),
    "/v1/completions": (INSTRUCT, {"prompt": "Hi"}, "prompt", "openai"),
    "/v1/embeddings": ("openai/text-embedding-3-small", {"input": "Hi"}, "input", "openai"),
    "/v1/moderations": ("openai/omni-moderation-latest", {"input": "Hi"}, "input", "openai"),
    "/v1/rerank": ("together/rerank", {"query": "Hi", "documents": ["a"]}, "documents", "openai"),
    "/v1/messages": (CLAUDE, {"messages": TURN, "max_tokens": 5}, "messages", "anthropic"),
    "/v1/messages/count_tokens": (CLAUDE, {"messages": TURN}, "messages", "anthropic"),
    "/v1beta/models/{model}:generateContent": (GEMINI, {"contents": CONTENTS}, "contents", "gemini"),
    "/v1beta/models/{model}:streamGenerateContent": (GEMINI, {"contents": CONTENTS}, "contents", "gemini"),
    "/v1beta/models/{model}:countTokens": (GEMINI, {"contents": CONTENTS}, "", "gemini"),
    "/v1beta/models/{model}:embedContent": (
        "google/gemini-embedding-001",
        {"content": {"parts": [{"text": "Hi"}]}},
        "content",
        "gemini",
    ),
    "/v1beta/models/{model}:batchEmbedContents": (
        "google/gemini-embedding-001",
        {"requests": [{"content": {"parts": [{"text": "Hi"}]}}]},
        "",
        "gemini",
    ),
}
"""Path: a model that is asked there, a request, a key that it cannot do without, and whose errors it has."""
every_path = pytest.mark.parametrize("path", PATHS)


def asked_at(path: str, model: str | None = None) -> tuple[str, dict[str, Any]]:
    usual, body, _, _ = PATHS[path]
    model = model or usual
    return path.replace("{model}", model), body if "{model}" in path else {"model": model, **body}


def envelope(kind: str, answer: bytes, status: int) -> str:
    """The message of an error, found where an SDK of that kind looks."""
    body = msgspec.json.decode(answer)
    inside = body["error"]
    match kind:
        case "openai":
            assert inside.keys() == {"message", "type", "param", "code"}
        case "anthropic":
            assert body["type"] == "error"
            assert inside["type"].endswith("_error")
        case _:
            assert inside["code"] == status
            assert inside["status"].isupper()
    return inside["message"]


@every_path
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "a", "input": "\xff"}'])
def test_a_body_that_is_no_json_object(gateway, path, body):
    status, _, answer = call(gateway, asked_at(path)[0], body)
    assert status == 400
    assert "no JSON object" in envelope(PATHS[path][3], answer, status)
    assert gateway.upstream.served == []


@pytest.mark.parametrize("path", [path for path in PATHS if PATHS[path][2]])
def test_a_key_that_is_missing_is_named(gateway, path):
    missing = PATHS[path][2]
    where, body = asked_at(path)
    status, _, answer = call(gateway, where, {key: value for key, value in body.items() if key != missing})
    assert status == 400
    assert envelope(PATHS[path][3], answer, status).startswith(f"{missing} is missing")
    assert gateway.upstream.served == []


@every_path
def test_a_model_that_nobody_knows(gateway, path):
    status, _, answer = call(gateway, *asked_at(path, "whatever"))
    assert status == 404
    assert "unknown model 'whatever'" in envelope(PATHS[path][3], answer, status)


@every_path
def test_a_rate_limit_of_the_provider(gateway_for, path):
    told = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down", "code": 429}}
    gateway = gateway_for(reply(429, told, retry_after="7", x_request_id="req_7"))
    status, headers, answer = call(gateway, *asked_at(path))
    assert (status, headers["retry-after"]) == (429, "7")
    assert "req_7" in {headers.get("x-request-id"), headers.get("request-id")}
    assert msgspec.json.decode(answer)["error"]["message"].endswith("slow down")
    assert headers["x-trunkline-id"].startswith("tl_")


CROSSED_LIMITS = {
    "/v1/chat/completions": CLAUDE,
    "/v1/responses": CLAUDE,
    "/v1/responses/input_tokens": CLAUDE,
    "/v1/completions": CLAUDE,
    "/v1/embeddings": "google/gemini-embedding-001",
    "/v1/messages": GPT,
    "/v1/messages/count_tokens": GEMINI,
    "/v1beta/models/{model}:generateContent": GPT,
    "/v1beta/models/{model}:streamGenerateContent": CLAUDE,
    "/v1beta/models/{model}:countTokens": CLAUDE,
    "/v1beta/models/{model}:embedContent": "openai/text-embedding-3-small",
    "/v1beta/models/{model}:batchEmbedContents": "openai/text-embedding-3-small",
}


@pytest.mark.parametrize(("path", "model"), CROSSED_LIMITS.items())
def test_a_rate_limit_of_a_provider_that_speaks_another_api(gateway_for, path, model):
    told = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down", "code": 429}}
    gateway = gateway_for(reply(429, told, retry_after="7"))
    status, headers, answer = call(gateway, *asked_at(path, model))
    assert (status, headers["retry-after"]) == (429, "7")
    assert "slow down" in envelope(PATHS[path][3], answer, status)


BROKEN = [
    pytest.param(front, model, id=f"{front.name}-{model}")
    for front in FRONTS
    for model in (front.model, *others(front))
]


def own_pieces(model: str, front: Front) -> list[bytes]:
    """The beginning of a provider's stream: it says `Par`, and then no more."""
    if model == front.model:
        pieces = front.pieces
    else:
        name = {GPT: "openai_chat", CLAUDE: "anthropic_messages", GEMINI: "gemini"}[model]
        pieces = BY_NAME[name].pieces
    last = next(at for at, piece in enumerate(pieces) if b'"Par"' in piece)
    return pieces[: last + 1]


@pytest.mark.parametrize(("front", "model"), BROKEN)
@pytest.mark.parametrize("how", ["cut", "short"])
def test_a_stream_that_breaks_is_no_end(gateway_for, front, model, how):
    told = Told(headers=SSE, pieces=own_pieces(model, front), cut=how == "cut")
    gateway = gateway_for(told)
    status, _, answer = call(gateway, *front.asked(model, streamed=True))
    assert status == 200
    assert b"Par" in answer
    assert front.end not in answer
    last = datas(answer)[-1]
    if front.name == "openai_responses":
        assert last["type"] in {"error", "response.failed"}
    else:
        assert last["error"]["message"]
    assert gateway.records[0].outcome == "cut"


@every_path
def test_other_methods(gateway, path):
    where, _ = asked_at(path)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        status, _, answer = call(gateway, where, method=method)
        assert status == 405, method
        if method == "HEAD":
            assert answer == b""
        else:
            assert f"does not take {method}" in envelope(PATHS[path][3], answer, status)
    assert gateway.upstream.served == []


def test_a_word_that_gemini_does_not_have(gateway):
    status, _, answer = call(gateway, f"/v1beta/models/{GEMINI}:generateNothing", {"contents": CONTENTS})
    assert (status, msgspec.json.decode(answer)["error"]["code"]) == (405, 405)


# --- a client that leaves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/completions", ARRAY, f"{ARRAY}?alt=sse"])
def test_a_client_that_leaves_a_stream_cancels_the_call(gateway_for, path):
    front = next(front for front in FRONTS if path.startswith((front.path, front.streamed.partition("?")[0])))
    _, body = front.asked(CLAUDE, streamed=True)
    gateway = gateway_for(Told(headers=SSE, pieces=own_pieces(CLAUDE, front), hang=True))
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=5)
    connection.request("POST", path.replace("{model}", CLAUDE), json(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    seen = b""
    while b"Par" not in seen:
        seen += answer.read1(65536)
    answer.close()
    connection.close()
    until(lambda: gateway.upstream.served[0].gone)
    until(lambda: gateway.records)
    assert gateway.records[0].outcome == "cancelled"


def until(condition, within: float = 2.0) -> None:
    """Wait for something on a socket to come true."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


# --- what is no conversation ------------------------------------------------------------------------------------------


def test_embeddings_of_every_front(gateway_for):
    def upstream(asked):
        if asked.path.endswith(":batchEmbedContents"):
            return reply(200, {"embeddings": [{"values": [1.0, 0.0]} for _ in asked.json["requests"]]})
        if asked.path.endswith(":embedContent"):
            return reply(200, {"embedding": {"values": [1.0, 0.0]}})
        return reply(200, vectors([1.0, 0.0]))

    gateway = gateway_for(upstream)
    seen = {}
    for path in PATHS:
        if "mbed" not in path:
            continue
        for model in ("openai/text-embedding-3-small", "google/gemini-embedding-001"):
            status, _, answer = call(gateway, *asked_at(path, model))
            body = msgspec.json.decode(answer)
            found = body.get("data") or body.get("embeddings") or [body.get("embedding")]
            (one,) = found
            seen[path.rpartition("/")[2], model.partition("/")[0]] = (
                status,
                one.get("embedding") or one["values"],
                gateway.upstream.served[-1].path,
            )
    ours, batch = "/v1/embeddings", "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    single = "/v1beta/models/gemini-embedding-001:embedContent"
    assert seen == {
        ("embeddings", "openai"): (200, [1.0, 0.0], ours),
        ("embeddings", "google"): (200, [1.0, 0.0], batch),
        ("{model}:embedContent", "openai"): (200, [1.0, 0.0], ours),
        ("{model}:embedContent", "google"): (200, [1.0, 0.0], single),
        ("{model}:batchEmbedContents", "openai"): (200, [1.0, 0.0], ours),
        ("{model}:batchEmbedContents", "google"): (200, [1.0, 0.0], batch),
    }


def test_the_requests_of_a_batch_name_the_targets_model(gateway_for):
    """google-genai says the model in each of them, as it was asked for."""
    gateway = gateway_for(reply(200, {"embeddings": [{"values": [1.0]}]}))
    body = {"requests": [{"model": "models/v", "content": {"parts": [{"text": "Hi"}]}}]}
    call(gateway, "/v1beta/models/v:batchEmbedContents", body)
    assert gateway.upstream.served[0].json["requests"][0]["model"] == "models/v-1"


def test_a_counted_request_names_the_targets_model(gateway_for):
    gateway = gateway_for(reply(200, {"totalTokens": 5}))
    body = {"generateContentRequest": {"model": "models/v", "contents": CONTENTS}}
    status, _, answer = call(gateway, "/v1beta/models/v:countTokens", body)
    assert (status, msgspec.json.decode(answer)) == (200, {"totalTokens": 5})
    assert gateway.upstream.served[0].json == {"generateContentRequest": {"model": "models/v-1", "contents": CONTENTS}}


COUNTED = {
    GPT: ("/v1/responses/input_tokens", {"model", "input"}),
    CLAUDE: ("/v1/messages/count_tokens", {"model", "messages"}),
    GEMINI: ("/v1beta/models/gemini-2.5-flash:countTokens", {"contents"}),
}
"""Where each provider counts tokens, and what it is told."""
COUNTING = ["/v1/responses/input_tokens", "/v1/messages/count_tokens", "/v1beta/models/{model}:countTokens"]


@pytest.mark.parametrize("path", COUNTING)
@pytest.mark.parametrize("model", COUNTED)
def test_tokens_are_counted_where_they_can_be(gateway_for, path, model):
    gateway = gateway_for(
        lambda asked: reply(200, {"totalTokens" if "countTokens" in asked.path else "input_tokens": 7})
    )
    status, headers, answer = call(gateway, *asked_at(path, model))
    (served,) = gateway.upstream.served
    count = msgspec.json.decode(answer)
    assert (status, count.get("totalTokens") or count["input_tokens"]) == (200, 7)
    assert (served.path, set(served.json)) == COUNTED[model]
    assert "x-trunkline-estimated" not in headers


@pytest.mark.parametrize("path", COUNTING)
@pytest.mark.parametrize("model", ["together/llama", "local", "mock"])
def test_elsewhere_they_are_estimated_and_marked(gateway, path, model):
    status, headers, answer = call(gateway, *asked_at(path, model))
    body = msgspec.json.decode(answer)
    assert (status, headers["x-trunkline-estimated"]) == (200, "true")
    assert 3 < (body.get("totalTokens") or body["input_tokens"]) < 20
    assert headers["x-trunkline-target"].startswith(model)
    assert gateway.upstream.served == []


def test_a_ranking(gateway_for):
    ranked = {
        "id": "r1",
        "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 1}},
    }
    gateway = gateway_for(reply(200, ranked))
    body = {"model": "together/rerank-v1", "query": "Paris?", "documents": ["a", "b"], "top_n": 1}
    status, _, answer = call(gateway, "/v1/rerank", body)
    assert (status, answer) == (200, json(ranked))
    assert gateway.upstream.served[0].path == "/v1/rerank"
    assert gateway.upstream.served[0].json == {**body, "model": "rerank-v1"}


def test_a_ranking_of_voyages_for_a_caller_of_coheres(gateway_for):
    ranked = {"object": "list", "data": [{"index": 1, "relevance_score": 0.9}], "usage": {"total_tokens": 26}}
    gateway = gateway_for(reply(200, {**ranked, "model": "rerank-2"}))
    body = {"model": "voyage/rerank-2", "query": "Paris?", "documents": ["a", "b"], "top_n": 1}
    _, _, answer = call(gateway, "/v1/rerank", body)
    assert msgspec.json.decode(answer)["results"] == [{"index": 1, "relevance_score": 0.9}]
    assert gateway.upstream.served[0].json == {
        "model": "rerank-2",
        "query": "Paris?",
        "documents": ["a", "b"],
        "top_k": 1,
    }


@pytest.mark.parametrize(
    "model", [{}, {"model": None}, {"model": "omni-moderation-latest"}, {"model": "openai/omni-moderation-latest"}]
)
def test_a_judgement(gateway_for, model):
    judged = {
        "id": "m1",
        "model": "omni-moderation-latest",
        "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
    }
    gateway = gateway_for(reply(200, judged))
    status, _, answer = call(gateway, "/v1/moderations", {"input": "Hello", **model})
    assert (status, answer) == (200, json(judged))
    assert gateway.upstream.served[0].json == {"input": "Hello", "model": "omni-moderation-latest"}


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/rerank", GPT),
        ("/v1/moderations", CLAUDE),
        ("/v1/embeddings", CLAUDE),
        ("/v1/chat/completions", "voyage/x"),
    ],
)
def test_what_a_provider_does_not_have(gateway_for, path, model):
    gateway = gateway_for(reply(200, {}))
    status, _, answer = call(gateway, *asked_at(path, model))
    assert status == 400
    assert f"{model.partition('/')[0]} has no " in envelope("openai", answer, status)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_models_in_three_forms(gateway):
    openai = msgspec.json.decode(call(gateway, "/v1/models", method="GET")[2])
    anthropic = msgspec.json.decode(call(gateway, "/v1/models", method="GET", anthropic_version="2023-06-01")[2])
    gemini = msgspec.json.decode(call(gateway, "/v1beta/models?pageSize=50", method="GET")[2])
    names = [one["id"] for one in openai["data"]]
    assert {GPT, CLAUDE, GEMINI, "local/smollm2-135m"} <= set(names)
    assert [one["id"] for one in anthropic["data"]] == names
    assert [one["name"] for one in gemini["models"]] == [f"models/{name}" for name in names]


@pytest.mark.parametrize("model", [GEMINI, "local", CLAUDE, "openai%2Fgpt-4o-mini"])
def test_one_model_in_geminis_form(gateway, model):
    status, _, answer = call(gateway, f"/v1beta/models/{model}", method="GET")
    body = msgspec.json.decode(answer)
    assert (status, body["name"]) == (200, f"models/{model.replace('%2F', '/')}")
    assert "generateContent" in body["supportedGenerationMethods"]


def test_googles_clients_are_known_by_their_header(gateway):
    """Its newer SDK asks below /v1, where OpenAI's and Anthropic's lists are too."""
    for header in ("x_goog_api_key", "x_goog_api_client"):
        listed = msgspec.json.decode(call(gateway, "/v1/models", method="GET", **{header: "k"})[2])
        assert f"models/{GPT}" in [one["name"] for one in listed["models"]]
    status, _, answer = call(gateway, "/v1/models/whatever", method="GET", x_goog_api_key="k")
    assert "unknown model" in envelope("gemini", answer, status)


def test_geminis_list_says_what_a_model_makes(gateway):
    listed = msgspec.json.decode(call(gateway, "/v1beta/models", method="GET")[2])["models"]
    methods = {one["name"].removeprefix("models/"): one["supportedGenerationMethods"] for one in listed}
    assert all("generateContent" in methods[name] for name in (GPT, CLAUDE, "local/smollm2-135m", "mock/mock"))
    embedding = ("openai/text-embedding-3-small", "google/gemini-embedding-001", "local/wordllama-256")
    assert all(methods[name] == ["embedContent", "batchEmbedContents"] for name in embedding)


def test_a_model_that_is_not_there_in_geminis_form(gateway):
    status, _, answer = call(gateway, "/v1beta/models/whatever", method="GET")
    assert status == 404
    assert "unknown model 'whatever'" in envelope("gemini", answer, status)
    assert call(gateway, "/v1beta/models/whatever", method="HEAD")[::2] == (404, b"")


# --- Azure ------------------------------------------------------------------------------------------------------------

FILTERED = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]}


def azure(asked) -> Told:
    """Azure's stream: a first chunk without choices, verdicts of its filter, one of them in a chunk without words."""
    first, *middle, last, usage = chunks("Par", "is.")
    opening = {"id": "", "object": "", "created": 0, "model": "", "choices": [], **FILTERED}
    verdict = {"content_filter_results": {}, "content_filter_offsets": {"check_offset": 1}}
    filtered = {**first, "choices": [{"index": 0, "delta": {}, "finish_reason": None, "logprobs": None, **verdict}]}
    return stream(opening, first, *middle, filtered, last, usage)


def test_azures_first_chunk_and_its_filter_pass(gateway_for):
    gateway = gateway_for(azure)
    body = {"model": "azure/my-gpt", "messages": TURN, "stream": True, "stream_options": {"include_usage": True}}
    status, _, answer = call(gateway, "/v1/chat/completions", body)
    assert (status, answer) == (200, b"".join(azure(None).pieces))
    (served,) = gateway.upstream.served
    assert served.path == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize("name", ["anthropic_messages", "gemini"])
def test_azures_stream_in_another_api(gateway_for, name):
    front = BY_NAME[name]
    gateway = gateway_for(azure)
    status, _, answer = call(gateway, *front.asked("azure/my-gpt", streamed=True))
    assert status == 200
    assert "".join(front.piece_of(event) for event in datas(answer)) == "Paris."
    assert front.end in answer


# --- Bedrock ----------------------------------------------------------------------------------------------------------

BEDROCK = "bedrock-anthropic/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"


def wrapped(*, ending: bytes = b"", until: int | None = None) -> Told:
    """Anthropic's events in AWS's frames."""
    said = [event for _, event in message_events("Par", "is.")][:until]
    frames = [event_frame("chunk", json({"bytes": b64encode(json(event)).decode()})) for event in said]
    pieces = [*frames, ending] if ending else frames
    return Told(headers={"content-type": "application/vnd.amazon.eventstream"}, pieces=pieces)


def test_bedrocks_stream_passes_as_anthropics_own(gateway_for):
    gateway = gateway_for(wrapped())
    front = BY_NAME["anthropic_messages"]
    status, headers, answer = call(gateway, *front.asked(BEDROCK, streamed=True), anthropic_beta="b-1, b-2")
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer == b"".join(front.pieces)
    (served,) = gateway.upstream.served
    assert served.path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke-with-response-stream"
    assert served.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert served.json.keys() == {"messages", "max_tokens", "anthropic_version", "anthropic_beta"}
    assert served.json["anthropic_beta"] == ["b-1", "b-2"]
    assert "anthropic-beta" not in served.headers


def test_a_dialects_headers_go_only_to_who_speaks_it(gateway):
    path, body = BY_NAME["anthropic_messages"].asked(GPT)
    call(gateway, path, body, anthropic_beta="b-1", anthropic_version="2023-06-01")
    call(gateway, path, {**body, "model": CLAUDE}, anthropic_beta="b-1", anthropic_version="2024-01-01")
    first, second = gateway.upstream.served
    assert not {"anthropic-beta", "anthropic-version"} & first.headers.keys()
    assert (second.headers["anthropic-beta"], second.headers["anthropic-version"]) == ("b-1", "2024-01-01")


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "gemini"])
def test_bedrocks_stream_in_another_api(gateway_for, name):
    front = BY_NAME[name]
    _, _, answer = call(gateway_for(wrapped()), *front.asked(BEDROCK, streamed=True))
    assert "".join(front.piece_of(event) for event in datas(answer)) == "Paris."
    assert front.end in answer


def test_an_exception_in_bedrocks_stream(gateway_for):
    ending = event_frame("throttlingException", json({"message": "too many"}), "exception")
    front = BY_NAME["anthropic_messages"]
    status, _, answer = call(gateway_for(wrapped(ending=ending, until=4)), *front.asked(BEDROCK, streamed=True))
    last = datas(answer)[-1]
    assert (status, last["error"]["type"]) == (200, "rate_limit_error")
    assert "too many" in last["error"]["message"]
    status, _, answer = call(gateway_for(wrapped(ending=ending, until=0)), *front.asked(BEDROCK, streamed=True))
    assert status == 429
    assert "too many" in envelope("anthropic", answer, status)
