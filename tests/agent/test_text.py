"""The text protocol: how it is explained, and what a reply in it means."""

from typing import Annotated, Any, Literal

import pytest

from trunkline.agent.text import Call, Meaning, call_from, explained, read, signature
from trunkline.asking import tool_from_function
from trunkline.vocabulary.tools import Tool


def add(a: int, b: int = 2) -> int:
    """Adds two numbers.

    a: the first
    """
    return a + b


def find(query: str, where: Literal["web", "books"] = "web", words: list[str] | None = None) -> str:
    return f"{query} in {where}"


ADD, FIND = tool_from_function(add), tool_from_function(find)
TOOLS = {"add": ADD, "find": FIND}


def meant(text: str) -> Meaning:
    return read(text, TOOLS)


# --- explaining -------------------------------------------------------------------------------------------------------


def test_the_prompt_names_tools_their_parameters_and_the_words():
    prompt = explained([ADD], "Be brief.")
    assert prompt.startswith("Be brief.\n\n")
    assert prompt.endswith("- add(a: integer, b: integer = 2): Adds two numbers.\n    a: the first")
    for word in ("THINK:", "ACT:", "FINAL_ANSWER:", "OBSERVE"):
        assert word in prompt
    assert explained([], None).endswith("There are no tools.")


def test_a_parameter_that_no_word_describes_shows_its_schema():
    assert signature(FIND) == (
        'find(query: string, where: {"enum":["books","web"]} = \'web\', '
        'words: {"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}]} = None)'
    )
    assert signature(Tool("now")) == "now()"


# --- reading ----------------------------------------------------------------------------------------------------------


def test_thinking_and_acting():
    said = meant("THINK: I need the sum.\nOf both.\nACT: add(a=2, b=3)")
    assert said.thought == "I need the sum.\nOf both."
    assert said.call == Call("add", {"a": 2, "b": 3})
    assert said.answer is None


def test_what_is_invented_after_the_call_is_left_out():
    said = meant("ACT: add(a=2, b=3) and then\nOBSERVE: 6\nFINAL_ANSWER: 6")
    assert said.kept == "ACT: add(a=2, b=3)"
    assert (said.call, said.answer) == (Call("add", {"a": 2, "b": 3}), None)


def test_an_answer_may_go_over_several_lines():
    said = meant("THINK: Done.\nFINAL_ANSWER: One.\n\nTwo (2).\n")
    assert (said.thought, said.answer) == ("Done.", "One.\n\nTwo (2).")


def test_what_comes_first_counts():
    said = meant("FINAL_ANSWER: 4\nACT: add(a=2, b=2)")
    assert said.call is None
    assert said.answer == "4\nACT: add(a=2, b=2)"


@pytest.mark.parametrize("text", ["**FINAL_ANSWER:** 4", "FINAL ANSWER: 4", "> `FINAL_ANSWER`: 4", "  FINAL_ANSWER :4"])
def test_words_may_be_printed_bold_or_quoted(text: str):
    assert meant(text).answer == "4"


def test_words_in_the_middle_of_a_line_are_none():
    said = meant("I shall write ACT: and FINAL_ANSWER: later. Final answer: no.")
    assert said == Meaning(said.kept, said.kept, spoken=False)


def test_thinking_alone_is_a_word_too():
    assert meant("THINK: Hm.") == Meaning("THINK: Hm.", "Hm.")


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("add(2, 3)", {"a": 2, "b": 3}),
        ("add(2, b=-3)", {"a": 2, "b": -3}),
        ("add( )", {}),
        ("`add(a=1)`", {"a": 1}),
        ("find(query='brackets :) in [text')", {"query": "brackets :) in [text"}),
        ('find("it\'s", words=["a", "b"])', {"query": "it's", "words": ["a", "b"]}),
        ("find(\n  query='''two\nlines)''',\n)", {"query": "two\nlines)"}),
        ("add(a=(1, 2), b={'c': [3]})", {"a": (1, 2), "b": {"c": [3]}}),
        ("find(query=r'\\d+', where=None)", {"query": "\\d+", "where": None}),
    ],
)
def test_a_call_is_written_as_in_python(text: str, arguments: dict[str, Any]):
    said = meant(f"ACT: {text}\nOBSERVE: made up")
    assert said.call is not None
    assert (said.call.wrong, said.call.arguments) == (None, arguments)
    assert "made up" not in said.kept


def test_nothing_is_evaluated():
    said = call_from("add(a=__import__('os').getpid())", TOOLS)
    assert said.arguments == {}
    assert said.wrong is not None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("I will add them", "is no call: write one as in ACT:"),
        ("add(a=", "is no call in Python's syntax"),
        ("add(a=2", "was never closed"),
        ("add(1, 2, 3)", "takes 2 arguments by position, not 3"),
        ("add(a=x)", "with literal arguments"),
        ("find(words={[]: 1})", "unhashable"),
        ("add(a=" + "[" * 5_000 + "]" * 5_000 + ")", "is no call in Python's syntax"),
        ("add(a=" + "-" * 100_000 + "1)", "is no call in Python's syntax"),
        ("add(a=1" + "+1" * 20_000 + ")", "maximum recursion depth exceeded"),
    ],
)
def test_a_call_that_cannot_be_read_says_why(text: str, wrong: str):
    said = meant(f"ACT: {text}")
    assert said.call is not None
    assert wrong in (said.call.wrong or "")


def test_a_name_with_a_dash_is_a_name():
    tools = {"get-time": Tool("get-time", parameters={"type": "object", "properties": {"in-city": {}}})}
    assert call_from("get-time('Rome')", tools) == Call("get-time", {"in-city": "Rome"})


def test_a_description_may_stand_at_the_parameter():
    def look(where: Annotated[str, "which page"]) -> str:
        return where

    assert explained([tool_from_function(look)], None).endswith("- look(where: string)\n    where: which page")
