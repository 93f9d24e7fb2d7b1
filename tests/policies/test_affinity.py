"""Prompt-cache affinity: where a conversation goes, turn after turn, and when it must not."""

from collections import Counter
from math import ceil

import pytest
from course import Course, Said, entry, route, target
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policies.affinity import BOUND, FEW, by_affinity, opening
from trunkline.policies.standing import Standing
from trunkline.state.figures import Figures
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.requests import EmbeddingRequest, Request
from trunkline.vocabulary.routes import Member
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Tool

pytestmark = pytest.mark.anyio

SYSTEM = said("system", "You are a guide.")
TURNS = (SYSTEM, said("user", "Where am I?"), said("assistant", "In Paris."), said("user", "And now?"))


def pool(**in_flight):
    standings = [Standing(Member(target(name)), target(name), Figures(), None) for name in in_flight]
    for standing, busy in zip(standings, in_flight.values(), strict=True):
        standing.figures.in_flight = busy
    return standings


def order(beginning, **in_flight):
    return [one.target.name for one in by_affinity(pool(**in_flight), beginning)]


def beginning(*messages, **more):
    call = Course().call(route(entry("a")))
    return opening(call.asking(Request(model="m", messages=messages, **more)))


# --- what counts as a beginning ---------------------------------------------------------------------------------------


def test_every_turn_of_a_conversation_has_the_same_beginning():
    assert beginning(*TURNS[:2]) == beginning(*TURNS)


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (SYSTEM, said("user", "Who am I?"))},
        {"messages": (said("system", "You are a cook."), *TURNS[1:])},
        {"messages": TURNS, "tools": (Tool("look", "", {}),)},
    ],
)
def test_another_question_prompt_or_tool_is_another_beginning(other):
    assert beginning(*other.pop("messages"), **other) != beginning(*TURNS)


def test_a_cache_key_of_the_callers_own_is_the_beginning():
    settings = Settings(prompt_cache_key="tenant-7")
    assert beginning(*TURNS, settings=settings) == beginning(said("user", "Hi"), settings=settings) == b"tenant-7"


def test_what_is_no_conversation_has_a_beginning_too():
    call = Course().call(route(entry("a")))
    assert opening(call.asking(EmbeddingRequest(model="m", input=("a",)))) == opening(
        call.asking(EmbeddingRequest(model="m", input=("a",)))
    )


# --- where it goes ----------------------------------------------------------------------------------------------------


def test_the_same_beginning_prefers_the_same_target():
    assert len({tuple(order(b"hello", a=0, b=0, c=0)) for _ in range(10)}) == 1


def test_beginnings_are_spread_evenly():
    first = Counter(order(b"%d" % at, a=0, b=0, c=0, d=0)[0] for at in range(4000))
    assert min(first.values()) > 900


def test_without_one_target_the_others_keep_theirs():
    moved = [at for at in range(500) if order(b"%d" % at, a=0, b=0, c=0)[0] != order(b"%d" % at, a=0, b=0)[0]]
    assert all(order(b"%d" % at, a=0, b=0, c=0)[0] == "c" for at in moved)
    assert 120 < len(moved) < 220


def test_an_overrun_target_is_asked_last():
    (best, *_) = order(b"hello", a=0, b=0, c=0)
    busy = {"a": 0, "b": 0, "c": 0, best: 10}
    assert order(b"hello", **busy)[-1] == best


@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.binary(max_size=8))
def test_nobody_is_given_more_than_twice_its_share_or_a_few(loads, key):
    chosen = by_affinity(pool(**{f"t{at}": load for at, load in enumerate(loads)}), key)[0]
    most = max(FEW, ceil(BOUND * (sum(loads) + 1) / len(loads)))
    assert chosen.figures.in_flight + 1 <= most


def test_a_few_calls_are_no_load():
    (best, *_) = order(b"hello", a=0, b=0, c=0)
    assert order(b"hello", **{"a": 0, "b": 0, "c": 0, best: 3})[0] == best
    assert order(b"hello", **{"a": 0, "b": 0, "c": 0, best: 4})[-1] == best


async def test_a_target_that_fails_gives_way_and_has_its_conversations_back():
    course = Course()
    on = route(entry("a", "b", "c", strategy="prompt-cache"))
    call = await course.ask(on)
    home = call.target.name
    assert call.decided.because == "its beginning"
    course.state.rest(home, 10)
    away = (await course.ask(on)).target.name
    assert away != home
    assert (await course.ask(on)).target.name == away
    course.clock.advance(10)
    course.script[home] = [Said()]
    assert (await course.ask(on)).target.name == home
