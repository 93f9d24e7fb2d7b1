"""Counts of tokens: each service gets what it counts of a request, and nothing that it would refuse."""

from __future__ import annotations

import pytest

from trunkline.vocabulary.errors import ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Tool
from trunkline.wire import anthropic_tokens, openai_tokens

SERVER = Facts(model="m")
REQUEST = Request(
    model="m",
    messages=(said("system", "Be brief."), said("user", "How late is it?")),
    tools=(Tool("clock", "Tells the time."),),
    settings=Settings(max_tokens=5, temperature=0.5, stop=("END",), seed=1, service_tier="flex"),
    stream=True,
)


@pytest.mark.parametrize("dialect", [anthropic_tokens, openai_tokens], ids=lambda dialect: dialect.name)
def test_only_what_is_counted_is_sent(dialect):
    written = dialect.request_to_wire(REQUEST, SERVER)
    assert written.loss == ()
    assert not {"max_tokens", "temperature", "stop_sequences", "service_tier", "stream", "store"} & set(written.body)
    assert written.body["tools"][0]["name"] == "clock"


@pytest.mark.parametrize("dialect", [anthropic_tokens, openai_tokens], ids=lambda dialect: dialect.name)
def test_a_count_is_read_and_written(dialect):
    body = {"input_tokens": 17, "context_management": {"original_input_tokens": 20}}
    count = dialect.reply_from_wire(body)
    assert (count.input_tokens, count.estimated) == (17, False)
    assert dialect.reply_to_wire(count).items() >= body.items()
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire({"tokens": 17})


def test_what_a_caller_asks_to_count_is_read():
    asked = openai_tokens.request_from_wire({"model": "m", "input": "How late is it?", "instructions": "Be brief."})
    assert [message.text for message in asked.messages] == ["Be brief.", "How late is it?"]
    assert openai_tokens.request_to_wire(asked, SERVER).body == {
        "model": "m",
        "input": "How late is it?",
        "instructions": "Be brief.",
    }
