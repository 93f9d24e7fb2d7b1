"""Complexity: of which kind a request is, who says so, and what gave it away."""

import time

import pytest
from course import Course, entry, route

from trunkline.policies.complexity import KINDS, complexity
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.parts import Image, Source
from trunkline.vocabulary.requests import EmbeddingRequest, Request
from trunkline.vocabulary.settings import Settings
from trunkline.vocabulary.tools import Reasoning, Tool

pytestmark = pytest.mark.anyio
PICTURE = Image(Source(url="https://example.com/cat.png"))


def kind(*messages, tags=(), **more):
    call = Course().call(route(entry("a")), tags=tags)
    return complexity(call.asking(Request(model="m", messages=messages, **more)))


def test_what_the_caller_says_counts():
    for named in KINDS:
        assert kind(said("user", "Hi"), tags=("eu", f"complexity:{named}")) == (named, "the caller says so")


def test_a_kind_that_does_not_exist_is_not_said():
    assert kind(said("user", "Hi"), tags=("complexity:hard",))[0] == "simple"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("What is the capital of France?", ("simple", "its question is short")),
        ("Prove that the square root of two is irrational.", ("reasoning", "the words of its question")),
        ("```\nfor x in y: pass\n``` what is wrong?", ("reasoning", "the code in it")),
        ("What is 12 * 7 + 3 / 4 - 9?", ("reasoning", "the sums in it")),
        ("Two doors, two guards, one of whom lies. Which way?", ("reasoning", "the numbers in it")),
        ("If it rains, the street is wet. It is wet. Has it rained?", ("reasoning", "the condition in it")),
        ("Write two lines on a lighthouse.", ("default", "it wants a text")),
        ("la one two three " * 30, ("default", "nothing stands out")),
        ("If " + "la " * 200 + ", then?", ("default", "nothing stands out")),
        ("la " * 300, ("default", "nothing stands out")),
        ("la " * 3000, ("default", "its question is long")),
    ],
)
def test_what_gives_it_away(asked, expected):
    assert kind(said("user", asked)) == expected


def test_a_picture_anywhere_needs_eyes():
    before = said("user", "What is this?", PICTURE), said("assistant", "A cat.")
    assert kind(*before, said("user", "Prove it."))[0] == "vision"


def test_who_asks_for_thinking_gets_it():
    settings = Settings(reasoning=Reasoning(effort="high"))
    assert kind(said("user", "Hi"), settings=settings) == ("reasoning", "it asks for thinking")


def test_tools_are_not_simple():
    assert kind(said("user", "Hi"), tools=(Tool("look", "", {}),)) == ("default", "it has tools")


def test_only_the_last_question_counts():
    before = said("user", "Prove it step by step."), said("assistant", "Done.")
    assert kind(*before, said("user", "Thanks!"))[0] == "simple"


def test_what_is_no_conversation_is_of_no_kind():
    call = Course().call(route(entry("a")))
    assert complexity(call.asking(EmbeddingRequest(model="m", input=("a",))))[0] == "default"


@pytest.mark.parametrize("noise", ["SELECT ", "1+1 x", "if ", "what a ", "write. ", "; "])
def test_a_long_text_takes_no_longer_than_its_length(noise):
    began = time.process_time()
    kind(said("user", noise * (200_000 // len(noise))))
    assert time.process_time() - began < 5.0  # by its square it would be minutes


async def test_each_kind_goes_to_its_target():
    course = Course()
    on = route(
        entry("small", "eyes", "brain", strategy="by-complexity", simple="small", reasoning="brain", default="eyes")
    )
    await course.ask(on, prompt="Hello!")
    call = await course.ask(on, prompt="Debug this deadlock.")
    await course.ask(on, prompt="la " * 300)
    assert course.asked == ["small", "brain", "eyes"]
    assert call.decided.because == "reasoning: the words of its question"
