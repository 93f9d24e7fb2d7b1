"""What a caller checks of an answer: a wrong one is asked for again, then of somebody else, and is paid for."""

from decimal import Decimal

import pytest

from samples import chat
from trunkline import AsyncClient, ResponseParseError
from trunkline.runtime import Runtime
from trunkline.testing import FakeClock, FakeUpstream, reply

pytestmark = pytest.mark.anyio


def must_be_short(answer):
    return None if len(answer.text) < 10 else "the answer is too long"


def client(upstream, records=None, **config):
    env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url}
    runtime = Runtime(clock=FakeClock(), sinks=[] if records is None else [records.append])
    return AsyncClient({"model": "openai/gpt-4o", **config}, env=env, runtime=runtime)


async def test_a_wrong_answer_is_asked_for_once_more():
    async with FakeUpstream([reply(200, chat("much too long")), reply(200, chat("short"))]) as upstream:
        async with client(upstream) as line:
            answer = await line.complete("Hi", check=must_be_short)
    assert (answer.text, len(upstream.served)) == ("short", 2)
    first, second = answer.route.attempts
    assert (first.error, second.error) == ("ResponseParseError", None)
    assert first.cost == second.cost > 0


async def test_then_somebody_else_is_asked():
    def told(asked):
        return reply(200, chat("much too long" if asked.json["model"] == "gpt-4o" else "short"))

    async with FakeUpstream(told) as upstream:
        async with client(upstream) as line:
            await line.complete("Hi", check=must_be_short, fallbacks=["openai/gpt-4o-mini"])
    assert [one.json["model"] for one in upstream.served] == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]


async def test_one_that_stays_wrong_is_an_error_and_paid_for():
    records = []
    async with FakeUpstream([reply(200, chat("much too long"))]) as upstream:
        async with client(upstream, records) as line:
            with pytest.raises(ResponseParseError, match="too long"):
                await line.complete("Hi", check=must_be_short, cache=True)
            with pytest.raises(ResponseParseError):
                await line.complete("Hi", check=must_be_short, cache=True)
    assert len(upstream.served) == 4  # a wrong one is never kept
    one = records[0].attempts[0].cost
    assert records[0].cost == 2 * one > Decimal(0)
