"""Structured output for callers of the gateway: told to the target as it can be told, answered in the caller's API."""

import http.client

import msgspec

from samples import USAGE, chat, chunks, message
from trunkline.testing import reply, stream

GOOD = '{"name":"Paris","people":2}'
BAD = '{"name":"Paris"}'
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
QUESTION = [{"role": "user", "content": "A city?"}]
JSON_MODE = {
    "model": "anthropic/claude-sonnet-4-5",
    "messages": QUESTION,
    "response_format": {"type": "json_object"},
}
SCHEMA_FOR_ANOTHER = {
    "model": "openai/gpt-3.5-turbo",
    "max_tokens": 100,
    "messages": QUESTION,
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
}


def ask(gateway, path, body):
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=5)
    connection.request("POST", path, msgspec.json.encode(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = (response.status, dict(response.getheaders()), response.read())
    connection.close()
    return answer


def called(arguments):
    call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": arguments}}
    return chat(None, tool_calls=[call])


def test_json_mode_where_there_is_none(gateway_for):
    gateway = gateway_for([reply(200, message(f"Of course!\n```json\n{GOOD}\n```"))])
    status, headers, body = ask(gateway, "/v1/chat/completions", JSON_MODE)
    (choice,) = msgspec.json.decode(body)["choices"]
    assert (status, choice["message"]["content"], choice["finish_reason"]) == (200, GOOD, "stop")
    assert "response_format" in headers["x-trunkline-loss"]
    assert "single JSON object" in gateway.upstream.served[0].json["system"]


def test_an_answer_that_does_not_fit_is_asked_for_once_more(gateway_for):
    gateway = gateway_for([reply(200, message("Of course not.")), reply(200, message(GOOD))])
    status, _, body = ask(gateway, "/v1/chat/completions", JSON_MODE)
    answer = msgspec.json.decode(body)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, GOOD)
    assert answer["usage"]["total_tokens"] == 2 * 17
    (record,) = gateway.records
    assert [attempt.error for attempt in record.attempts] == ["ResponseParseError", None]
    assert record.usage.total_tokens == 2 * 17


def test_a_second_bad_answer_is_an_error_of_the_callers_api(gateway_for):
    gateway = gateway_for([reply(200, called(BAD))])
    status, _, body = ask(gateway, "/v1/messages", SCHEMA_FOR_ANOTHER)
    error = msgspec.json.decode(body)
    assert (status, error["type"]) == (502, "error")
    assert '$: "people" is a required property' in error["error"]["message"]
    assert len(gateway.upstream.served) == 2
    assert gateway.records[0].usage.total_tokens == 2 * USAGE["total_tokens"]


def test_a_schema_for_a_model_that_takes_none_is_a_tool(gateway_for):
    gateway = gateway_for([reply(200, called(GOOD))])
    status, _, body = ask(gateway, "/v1/messages", SCHEMA_FOR_ANOTHER)
    answer = msgspec.json.decode(body)
    assert (status, answer["stop_reason"]) == (200, "end_turn")
    assert answer["content"] == [{"type": "text", "text": GOOD}]
    assert gateway.upstream.served[0].json["tool_choice"]["function"]["name"] == "answer"


def test_the_same_as_a_stream(gateway_for):
    first, middle, last, usage = chunks("x")
    function = {"name": "answer", "arguments": GOOD[:9]}
    deltas = [
        {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": GOOD[9:]}}]},
    ]
    told = [{**middle, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = {**last, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    gateway = gateway_for([stream(first, *told, end, usage)])
    status, _, body = ask(gateway, "/v1/messages", {**SCHEMA_FOR_ANOTHER, "stream": True})
    events = [msgspec.json.decode(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert status == 200
    assert "".join(delta["text"] for delta in deltas) == GOOD
    assert len(deltas) == 2
    (end,) = [event for event in events if event["type"] == "message_delta"]
    assert end["delta"]["stop_reason"] == "end_turn"


def test_what_passes_through_is_not_looked_at(gateway_for):
    gateway = gateway_for([reply(200, chat("no JSON"))])
    body = {"model": "openai/gpt-3.5-turbo", "messages": QUESTION, "response_format": {"type": "json_object"}}
    status, _, answer = ask(gateway, "/v1/chat/completions", body)
    assert (status, msgspec.json.decode(answer)) == (200, chat("no JSON"))
    assert len(gateway.upstream.served) == 1
