"""Calls that refer to what lives at a provider go where that was made."""

import httpx2 as httpx
import msgspec
import pytest

from trunkline.testing import Told, reply

CONFIG = """
targets:
  one: {model: openai/gpt-4o, headers: {x-account: one}}
  two: {model: openai/gpt-4o, headers: {x-account: two}}
  else: {model: anthropic/claude-sonnet-4-5, headers: {x-account: else}}
routes:
  smart: {targets: [one, two], strategy: round-robin, fallbacks: [else]}
"""


def response(number):
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
    }
    sealed = {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": "gAAA"}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "status": "completed",
        "model": "gpt-4o",
        "output": [sealed, said],
    }


def streamed(number):
    whole = response(number)
    events = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Yes."},
        {"type": "response.completed", "response": whole},
    ]
    pieces = [f"event: {event['type']}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode() for event in events]
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces)


def ask(gateway, **said):
    answer = httpx.post(f"{gateway.url}/v1/responses", json={"model": "smart", "input": "Hi", **said}, timeout=5)
    return answer, gateway.upstream.served[-1].headers["x-account"]


@pytest.fixture
def gateway(gateway_for):
    numbers = iter(range(100))

    def answer(asked):
        number = next(numbers)
        return streamed(number) if asked.json.get("stream") else reply(200, response(number))

    return gateway_for(answer, CONFIG)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_answer_is_gone_on_with_where_it_is(gateway, stream):
    _, made = ask(gateway, stream=stream)
    accounts = {ask(gateway, previous_response_id="resp_0", stream=stream)[1] for _ in range(4)}
    assert accounts == {made}
    assert {ask(gateway)[1] for _ in range(4)} == {"one", "two"}


def test_sealed_reasoning_goes_back_to_its_account(gateway):
    _, made = ask(gateway)
    turns = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "gAAA"},
        {"role": "user", "content": "And?"},
    ]
    assert {ask(gateway, input=turns)[1] for _ in range(4)} == {made}


def test_what_nobody_here_made_goes_anywhere(gateway):
    ask(gateway)
    assert {ask(gateway, previous_response_id="resp_77")[1] for _ in range(4)} == {"one", "two"}


def test_nobody_else_is_asked_for_a_stored_answer(gateway_for):
    wells = [True]

    def answer(asked):
        if not wells[0] and asked.headers["x-account"] == "one":
            return reply(500, {"error": {"message": "down"}})
        return reply(200, response(0))

    gateway = gateway_for(answer, CONFIG)
    assert ask(gateway)[1] == "one"
    wells[0] = False
    before = len(gateway.upstream.served)
    answered, _ = ask(gateway, previous_response_id="resp_0")
    assert answered.status_code == 500
    assert {asked.headers["x-account"] for asked in gateway.upstream.served[before:]} == {"one"}
