"""All five interfaces in one process: one engine, one set of limits, one ledger, one page of metrics."""

import asyncio
import re
import sqlite3

import pytest

from samples import chat, message
from trunkline import interfaces
from trunkline.interfaces.generate import LLMInterface, generate
from trunkline.interfaces.handlers import LLMAPIHandlerFactory, LLMProviderErrorRetryableTask, get_metrics
from trunkline.interfaces.line import line
from trunkline.interfaces.litellm_client import LiteLLMClient, LiteLLMConfig, LLMRateLimitError
from trunkline.interfaces.manager import LLMManager, RateLimitError, ReactAgent
from trunkline.interfaces.registry import LLMProviderRateLimitError, get_llm_provider, reset_llm_providers
from trunkline.ledger import Ledger
from trunkline.testing import FakeUpstream, reply

pytestmark = pytest.mark.anyio
TALK = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
async def upstream(machine, closing, tmp_path):
    """Every provider at one address."""

    def answer(asked):
        return reply(200, message('{"a": 1}') if asked.path.endswith("/messages") else chat('{"a": 1}'))

    async with FakeUpstream(answer) as upstream:
        for provider in ("OPENAI", "ANTHROPIC", "OPENROUTER"):
            machine.setenv(f"{provider}_API_KEY", f"sk-{provider.lower()}")
            machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        machine.setenv("LLM_MAX_RETRIES", "0")
        machine.setenv("OPENROUTER_DEFAULT_MODEL", "openai/gpt-4o")
        machine.setenv("PRIMARY_MODEL", "gpt-4o")
        yield upstream
        reset_llm_providers()
        LLMAPIHandlerFactory.reset()


def manager():
    made = LLMManager()
    made.add_provider("mine", "openai", {"model": "gpt-4o", "max_retries": 0})
    return made


async def all_five():
    """One call through each, at the same time."""
    client = LiteLLMClient(LiteLLMConfig(model="gpt-4o", max_retries=0))
    return await asyncio.gather(
        LLMAPIHandlerFactory.get_llm_api_handler("gpt-4o")("Hello!"),
        manager().generate_response("mine", TALK),
        asyncio.to_thread(client.generate_completion, TALK),
        get_llm_provider().generate_chat_completion(TALK),
        generate(messages=TALK),
        return_exceptions=True,
    )


async def test_all_five_answer_side_by_side_and_are_counted_together(upstream):
    handled, managed, completed, registered, generated = await all_five()
    assert handled == {"a": 1}
    texts = [managed, completed.choices[0].message.content, registered.content, generated["text"]]
    assert texts == ['{"a": 1}'] * 4
    await ReactAgent("agent", manager()).solve("Hello!")
    metrics = get_metrics()
    assert {name: figures["calls"] for name, figures in metrics.items()} == {
        "openai/gpt-4o": 2,
        "gpt-4o": 1,
        "mine": 2,
        "openrouter/openai/gpt-4o": 1,
    }
    page = interfaces.metrics_page()
    attempts = re.findall(r'^trunkline_attempts_total\{.*outcome="finished"\} (\d+)$', page, re.MULTILINE)
    assert sum(map(int, attempts)) == len(upstream.served) == 6


async def test_the_machines_limits_hold_for_all_of_them_together(upstream, tmp_path):
    (tmp_path / "trunkline.yaml").write_text("payers: {'*': {rpm: 3}}\n")
    interfaces.reload()
    said = await all_five()
    refused = (LLMProviderErrorRetryableTask, RateLimitError, LLMRateLimitError, LLMProviderRateLimitError)
    failed = [one for one in said if isinstance(one, refused) or (isinstance(one, dict) and "error" in one)]
    assert len(failed) == 2
    assert len(upstream.served) == 3


async def test_one_ledger_has_all_their_calls(machine, upstream, tmp_path):
    (tmp_path / "trunkline.yaml").write_text(f"ledger: '{tmp_path / 'ledger'}'\n")
    machine.setattr("trunkline.interfaces.line._line.made", None)
    await all_five()
    await line().runtime.close()
    (database,) = (tmp_path / "ledger").glob("*.db")
    with sqlite3.connect(database) as connection:
        ((calls,),) = connection.execute("SELECT count(*) FROM calls").fetchall()
    assert calls == 5
    assert isinstance(line().runtime.ledger, Ledger)


async def test_an_interface_of_its_own_keeps_its_own_line_for_slots(upstream):
    llm = LLMInterface("openai", "gpt-4o", max_concurrent_requests=1, max_retries=0)
    said = await asyncio.gather(*(llm.generate(TALK) for _ in range(5)), *(generate(messages=TALK) for _ in range(5)))
    assert [one["text"] for one in said] == ['{"a": 1}'] * 10


async def test_what_was_learned_and_counted_is_forgotten_by_a_reload(upstream, clock, tmp_path):
    targets = "mine: {model: openai/gpt-4o}\n  spare: {model: openai/gpt-4o-mini}"
    (tmp_path / "trunkline.yaml").write_text(f"targets:\n  {targets}\n")
    interfaces.reload()
    line().runtime.state.rest("mine", 60.0)
    for _ in range(2):
        client = LiteLLMClient(LiteLLMConfig(model="mine", fallback_models=["spare"]))
        await asyncio.to_thread(client.generate_completion, TALK)
        calls = [figures["calls"] for figures in get_metrics().values()]
        interfaces.reload()
    assert [one.json["model"] for one in upstream.served] == ["gpt-4o-mini", "gpt-4o"]
    assert calls == [1]


async def test_what_one_interface_learned_of_its_own_is_nobody_elses(machine, closing):
    refused = reply(401, {"error": {"message": "no"}})
    async with FakeUpstream([refused, reply(200, chat("Hello!"))]) as upstream:
        machine.setenv("OPENAI_API_KEY", "sk-own")
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        machine.setenv("SECONDARY_MODEL", "gpt-4o-mini")
        for _ in range(2):
            await LLMInterface("openai", "gpt-4o", max_retries=0).generate(TALK)
    assert [one.json["model"] for one in upstream.served] == ["gpt-4o", "gpt-4o-mini", "gpt-4o"]
