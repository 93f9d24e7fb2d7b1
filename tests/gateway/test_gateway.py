"""The gateway as a program on this machine sees it: what it refuses, and what happens when someone leaves."""

import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from samples import chat, chunks
from trunkline.testing import Told, reply, stream

ASK = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def call(gateway, method="POST", path="/v1/chat/completions", body=ASK, **headers):
    """One request; its status, headers and body."""
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=5)
    content = body if isinstance(body, bytes | type(None)) else msgspec.json.encode(body)
    named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, content, {name: value for name, value in named.items() if value is not None})
    response = connection.getresponse()
    answer = (response.status, dict(response.getheaders()), response.read())
    connection.close()
    return answer


@pytest.fixture(scope="module")
def shared(lasting_gateway_for):
    return lasting_gateway_for([reply(200, chat("Paris."))], "gateway: {max_body: 10000}")


@pytest.fixture
def gateway(shared):
    shared.upstream.served.clear()
    shared.records.clear()
    return shared


def test_an_answer_says_who_answered(gateway):
    status, headers, body = call(gateway)
    assert status == 200
    assert msgspec.json.decode(body) == chat("Paris.")
    assert headers["x-trunkline-target"] == "openai/gpt-4o-mini"
    assert headers["x-trunkline-id"] == gateway.records[0].id


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4000", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_foreign_host_is_refused(gateway, host):
    assert call(gateway, host=host)[0] == 403
    assert call(gateway, "GET", "/v1/models", None, host=host)[0] == 403
    assert gateway.upstream.served == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_foreign_origin_is_refused(gateway, origin):
    status, _, body = call(gateway, origin=origin)
    assert status == 403
    assert msgspec.json.decode(body)["error"]["code"] == "forbidden_origin"
    assert gateway.upstream.served == []


def test_a_page_of_this_machine_may_ask(gateway):
    assert call(gateway, origin="http://localhost:3000")[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_only_json_is_read(gateway, kind):
    assert call(gateway, content_type=kind)[0] == 415
    assert gateway.upstream.served == []


BAD_BODIES = [
    (b"", "no JSON object"),
    (b"{", "no JSON object"),
    (b"[]", "no JSON object"),
    (b'{"model": "a", "messages": "\xff"}', "no JSON object"),
    (b'{"messages": []}', "model is missing"),
    (b'{"model": "openai/gpt-4o-mini"}', "messages is missing"),
    (b'{"model": 7, "messages": []}', "model must be a string"),
    (b'{"model": "openai/gpt-4o-mini", "messages": [], "stream": "yes"}', "stream must be a boolean"),
    (b'{"model": "anthropic/claude-sonnet-4-5", "messages": "hi"}', "messages must be an array"),
    (b"[" * 100_000, "larger than"),
    (b'{"model": "m", "messages": ' + b"[" * 9000, "no JSON object"),
]


@pytest.mark.parametrize(("body", "complaint"), BAD_BODIES)
def test_bad_bodies_get_a_clear_error_and_nothing_is_sent(gateway, body, complaint):
    status, _, answer = call(gateway, body=body)
    assert status in {400, 413}
    assert complaint in msgspec.json.decode(answer)["error"]["message"]
    assert gateway.upstream.served == []


def test_errors_of_the_messages_path_are_anthropics(gateway):
    status, _, body = call(gateway, path="/v1/messages", body=b"{")
    assert (status, msgspec.json.decode(body)["type"]) == (400, "error")


def test_paths_and_methods_that_are_not_there(gateway):
    assert call(gateway, "GET", "/v1/chat/completions", None)[0] == 405
    assert call(gateway, "POST", "/v1/nothing")[0] in {404, 405}
    assert call(gateway, "GET", "/nothing", None)[0] == 404
    assert call(gateway, "GET", "/v1/models/nothing", None)[0] == 404


def test_metrics_are_a_page_for_prometheus(gateway):
    call(gateway)
    status, headers, body = call(gateway, "GET", "/metrics", None)
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    counted = 'trunkline_attempts_total{provider="openai",target="openai/gpt-4o-mini",outcome="finished"} '
    assert any(line.startswith(counted) for line in body.decode().splitlines())
    assert call(gateway, "POST", "/metrics")[0] == 405
    assert call(gateway, "GET", "/metrics", None, host="evil.example")[0] == 403


def test_health(gateway):
    assert call(gateway, "GET", "/health/live", None)[0] == 200
    assert call(gateway, "GET", "/health/ready", None)[0] == 200
    assert call(gateway, "GET", "/", None)[0] == 200


def test_duplicate_keys_cannot_hide(gateway):
    body = b'{"model": "openai/gpt-4o-mini", "messages": [], "model": "openai/gpt-4o"}'
    assert call(gateway, body=body)[0] == 200
    assert gateway.upstream.served[0].body.count(b'"model"') == 1
    assert gateway.upstream.served[0].json["model"] == "gpt-4o"


def raw(gateway, body) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    content = msgspec.json.encode(body)
    connection = socket.create_connection((host, int(port)), timeout=5)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


def test_a_client_that_leaves_cancels_the_call(gateway_for):
    gateway = gateway_for([Told(delay=30, pieces=(b"{}",))])
    connection = raw(gateway, ASK)
    until(lambda: gateway.upstream.served)
    time.sleep(0.05)
    connection.close()
    until(lambda: gateway.upstream.served[0].gone)
    until(lambda: gateway.records)
    assert gateway.records[0].outcome == "cancelled"


def test_a_client_that_leaves_a_stream_cancels_the_call(gateway_for):
    gateway = gateway_for([stream(*chunks("a", "b"), done=False, hang=True)])
    connection = raw(gateway, {**ASK, "stream": True})
    seen = b""
    while b'"content":"a"' not in seen:
        seen += connection.recv(65536)
    connection.close()
    until(lambda: gateway.upstream.served[0].gone)
    until(lambda: gateway.records)
    assert gateway.records[0].outcome == "cancelled"


def test_a_client_that_leaves_while_its_stream_has_not_begun(gateway_for):
    gateway = gateway_for([Told(delay=30, pieces=(b"",))])
    connection = raw(gateway, {**ASK, "stream": True})
    until(lambda: gateway.upstream.served)
    time.sleep(0.05)
    connection.close()
    until(lambda: gateway.upstream.served[0].gone)


def test_a_stream_that_fails_before_its_first_content_has_a_status(gateway_for):
    gateway = gateway_for([reply(503, {"error": {"message": "busy"}})], "retries: 0")
    status, _, body = call(gateway, body={**ASK, "stream": True})
    assert status == 503
    assert "busy" in msgspec.json.decode(body)["error"]["message"]


def test_headers_go_out_when_the_first_content_is_long_in_coming(gateway_for, monkeypatch):
    monkeypatch.setattr("trunkline.gateway.relay.HOLD_SECONDS", 0.05)
    told = stream(*chunks("a"))
    gateway = gateway_for([Told(headers=told.headers, pieces=told.pieces, delay=0.2)])
    status, _, body = call(gateway, body={**ASK, "stream": True})
    assert status == 200
    assert body.startswith(b": waiting\n\n")
    assert body.endswith(b"data: [DONE]\n\n")


def test_an_error_after_the_headers_went_out_is_no_end(gateway_for, monkeypatch):
    monkeypatch.setattr("trunkline.gateway.relay.HOLD_SECONDS", 0.05)
    busy = reply(503, {"error": {"message": "busy"}})
    gateway = gateway_for([Told(status=503, headers=busy.headers, pieces=busy.pieces, delay=0.2)], "retries: 0")
    status, _, body = call(gateway, body={**ASK, "stream": True})
    assert status == 200
    assert b'data: {"error"' in body
    assert b"[DONE]" not in body


def test_a_mistake_of_ours_in_a_stream_is_no_end_either(gateway_for, monkeypatch, caplog):
    def mistaken(self, events):
        raise RuntimeError("ours")

    monkeypatch.setattr("trunkline.wire.anthropic_messages.stream.MessagesEncoder.encode", mistaken)
    gateway = gateway_for([stream(*chunks("a"))])
    status, _, body = call(gateway, path="/v1/messages", body={**ASK, "stream": True, "max_tokens": 5})
    assert status == 200
    assert body.startswith(b"event: error")
    assert b"message_stop" not in body
    assert b"ours" not in body
    assert "ours" in caplog.text


def test_the_key_never_comes_back(gateway_for):
    def echo(asked):
        return reply(
            401, {"error": {"message": f"bad key {asked.headers['authorization']}", "code": "invalid_api_key"}}
        )

    gateway = gateway_for(echo)
    status, headers, body = call(gateway)
    assert status == 401
    assert b"sk-upstream" not in body + repr(headers).encode()


def test_a_hundred_at_once(gateway_for):
    gateway = gateway_for(lambda asked: reply(200, chat(asked.json["messages"][0]["content"])))

    def ask(at):
        _, _, body = call(gateway, body={**ASK, "messages": [{"role": "user", "content": f"q{at}"}]})
        return msgspec.json.decode(body)["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, range(100))) == [f"q{at}" for at in range(100)]


def until(condition, within: float = 2.0) -> None:
    """Wait for something on a socket to come true."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def test_a_targets_settings_are_said_in_the_callers_own_words_too(gateway_for):
    config = "targets: {mine: {model: openai/gpt-4o, settings: {temperature: 0.1}}}"
    gateway = gateway_for([reply(200, chat("Paris."))], config)
    for said in ({}, {"temperature": 0.9}):
        status, _, _ = call(gateway, body={**ASK, "model": "mine", **said})
        assert status == 200
    assert [one.json["temperature"] for one in gateway.upstream.served] == [0.1, 0.9]
