"""The cache through the gateway: one answer, told in every dialect, and what a caller says of it."""

import httpx2 as httpx
import pytest

from samples import chat, chunks
from trunkline.testing import reply, stream

QUESTION = [{"role": "user", "content": "Hello"}]
CHAT = ("/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": QUESTION, "max_tokens": 9})
MESSAGES = ("/v1/messages", {"model": "openai/gpt-4o-mini", "messages": QUESTION, "max_tokens": 9})


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_is_told_in_every_dialect(gateway_for, streamed):
    def answer(asked):
        return stream(*chunks("Pa", "ris.")) if asked.json.get("stream") else reply(200, chat())

    gateway = gateway_for(answer, "cache: {always: true}")
    texts = []
    for path, body in (CHAT, MESSAGES) * 2:
        answered = httpx.post(gateway.url + path, json={**body, "stream": streamed})
        assert answered.status_code == 200
        texts.append(answered.text)
    assert len(gateway.upstream.served) == 1
    assert texts[:2] == texts[2:]
    assert all("ris." in text for text in texts)
    assert [record.cached for record in gateway.records] == [False] + 3 * [True]
    assert [record.cost for record in gateway.records][1:] == 3 * [0]


def test_a_caller_decides_in_a_header(gateway_for):
    gateway = gateway_for([reply(200, chat())])
    path, body = CHAT
    for said in ({}, {"x-trunkline-cache": "true"}, {"x-trunkline-cache": "true"}, {"x-trunkline-cache": "false"}):
        httpx.post(gateway.url + path, json=body, headers=said)
    assert len(gateway.upstream.served) == 3
