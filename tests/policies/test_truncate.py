"""Truncation: which turns are left out of a conversation that is too long."""

import asyncio

import msgspec
import pytest
from course import OK, Course, Said, entry, route
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policies.truncate import KEEP, shorter
from trunkline.vocabulary.errors import ContextWindowError
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text, ToolCall, ToolResult
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.settings import Settings


def asks(text="question"):
    return said("user", text)


def answers(text="answer"):
    return said("assistant", text)


def uses(name, role="tool"):
    """A turn in which a tool is called."""
    return [
        asks(f"use {name}"),
        said("assistant", ToolCall(name, "tool")),
        said(role, ToolResult(name, (Text("result"),))),
        answers(f"{name} said so"),
    ]


def texts(request):
    return [message.text for message in request.messages]


def asked(*messages, **more):
    return Request(model="m", messages=messages, **more)


def test_the_oldest_turns_go_first():
    turns = [message for at in range(10) for message in (asks(f"q{at}"), answers(f"a{at}"))]
    kept = texts(shorter(asked(*turns, asks("last"))))
    assert kept[-1] == "last"
    assert kept[0] in {"q3", "q4"}
    assert kept[:-1] == [text for at in range(int(kept[0][1]), 10) for text in (f"q{at}", f"a{at}")]


def test_each_time_leaves_about_a_third_out():
    turns = [message for at in range(50) for message in (asks("x" * 100), answers("y" * 100))]
    request = asked(*turns, asks("last"))
    before = len(msgspec.json.encode(request.messages))
    after = len(msgspec.json.encode(shorter(request).messages))
    assert KEEP - 0.05 < after / before <= KEEP


def test_instructions_stay_wherever_they_stand():
    request = asked(
        said("system", "first"),
        said("developer", "second"),
        asks("x" * 500),
        answers(),
        said("system", "from now on in French"),
        asks("and then?"),
        answers(),
        asks("last"),
    )
    kept = texts(shorter(request))
    assert kept[:2] == ["first", "second"]
    assert "from now on in French" in kept
    assert "x" * 500 not in kept


@pytest.mark.parametrize("role", ["tool", "user"])
@pytest.mark.parametrize("count", range(2, 12))
def test_a_tools_result_stays_with_its_call(role, count):
    turns = [message for at in range(count) for message in uses(f"{at}" * (1 + 7 * at % 5), role)]
    kept = shorter(asked(*turns, asks("last"))).messages
    calls = [part.id for message in kept for part in message.parts if isinstance(part, ToolCall)]
    results = [part.call_id for message in kept for part in message.parts if isinstance(part, ToolResult)]
    assert calls == results
    assert kept[0].text.startswith("use ")


def test_the_last_question_stays_though_it_is_all_of_it():
    kept = texts(shorter(asked(asks("short"), answers("short"), asks("x" * 10_000))))
    assert kept == ["x" * 10_000]


def test_where_there_is_nothing_to_leave_out_it_says_so():
    assert shorter(asked(asks())) is None
    assert shorter(asked(said("system", "Be brief."), asks())) is None
    assert shorter(asked(*uses("one"))) is None
    assert shorter(asked()) is None


def test_where_that_is_asked_for_the_middle_of_the_prompt_goes_last():
    prompt = "begin " + "x" * 1000 + " end"
    request = asked(said("system", "s" * 5000), asks("old"), answers(), asks(prompt))
    once = shorter(request, prompt=True)
    assert texts(once) == ["s" * 5000, prompt]
    twice = shorter(once, prompt=True)
    system, short = texts(twice)
    assert (system, short[:6], short[-4:]) == ("s" * 5000, "begin ", " end")
    assert 500 < len(short) < 550
    assert shorter(asked(asks("short")), prompt=True) is None


def test_everything_but_the_messages_is_as_it_was():
    request = asked(asks(), answers(), asks("last"), settings=Settings(max_tokens=7, seed=1), stream=True)
    after = shorter(request)
    assert (after.settings, after.stream, after.model) == (request.settings, True, "m")


def lengths_asked(retries, **script):
    """How many messages each attempt had, of a call to `a` and then `b`."""
    course, lengths = Course(), []
    course.script = script
    course.on_ask = lambda call: lengths.append((call.target.name, len(call.request.messages)))
    call = course.call(route(entry("a"), entry("b", name="f")), retries=retries, truncate=True)
    messages = [message for _ in range(5) for message in (asks(), answers())]
    asyncio.run(course.run(call.asking(asked(*messages, asks("last")))))
    return lengths


TOO_LONG = Said(error=ContextWindowError("too long"))


def test_each_retry_is_shorter():
    lengths = lengths_asked(3, a=[TOO_LONG, TOO_LONG, OK])
    assert [name for name, _ in lengths] == ["a", "a", "a"]
    assert 11 == lengths[0][1] > lengths[1][1] > lengths[2][1]


def test_without_a_retry_left_somebody_else_gets_all_of_it():
    assert lengths_asked(0, a=[TOO_LONG]) == [("a", 11), ("b", 11)]


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
MESSAGES = st.builds(
    lambda role, size, at: Message(role, (ToolResult(f"{at}"),) if role == "tool" else (Text("x" * size),)),
    ROLES,
    st.integers(0, 300),
    st.integers(0, 5),
)


@given(st.lists(MESSAGES, max_size=20))
def test_it_gets_shorter_or_stays_and_keeps_instructions_order_and_end(messages):
    request = asked(*messages)
    after = shorter(request)
    if after is None:
        return
    kept = list(after.messages)
    assert len(kept) < len(messages)
    assert kept[-1] is messages[-1]
    instructions = [message for message in messages if message.role in ("system", "developer")]
    assert [message for message in kept if message.role in ("system", "developer")] == instructions
    rest = iter(message for message in messages if message.role not in ("system", "developer"))
    assert all(any(one is other for other in rest) for one in kept if one.role not in ("system", "developer"))
