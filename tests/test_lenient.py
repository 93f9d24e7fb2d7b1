"""What models make of JSON when nobody holds them to it."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.asking.lenient import lenient

PLAIN = {"a": [1, 2], "b": {"c": "x, y"}}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2], "b": {"c": "x, y"}}',
        '```json\n{"a": [1, 2], "b": {"c": "x, y"}}\n```',
        'Here it is:\n```\n{"a": [1, 2], "b": {"c": "x, y"}}\n```\nAnything else?',
        'Sure! {"a": [1, 2,], "b": {"c": "x, y",},} Is that right? {no}',
        "{'a': [1, 2], 'b': {'c': 'x, y'}}",
        '```json\n{"a": [1, 2], "b": {"c": "x, y"',
        '{"a": [1, 2], "b": {"c": "x, y',
        'I think [maybe]: {"a": [1, 2], "b": {"c": "x, y"}}',
        '<think>{"a": 1}</think>{"a": [1, 2], "b": {"c": "x, y"}}',
    ],
)
def test_it_is_read_as_it_was_meant(text):
    assert lenient(text) == PLAIN


def test_a_text_may_go_over_several_lines():
    assert lenient('{"a": "one\ntwo",}') == {"a": "one\ntwo"}


def test_a_long_text_that_is_cut_off_takes_no_longer_than_its_length():
    said = 'he said \\"x\\" ' * 20_000
    assert len(lenient('{"a": "' + said)["a"]) == len(said.strip()) - 2 * 20_000


def test_what_a_text_holds_is_left_as_it_is():
    assert lenient('{"a": "one,] two,}", "b": "```"}') == {"a": "one,] two,}", "b": "```"}
    assert lenient("{'it': \"isn't\", 'b': True}") == {"it": "isn't", "b": True}


@pytest.mark.parametrize("text", ["", "Hello!", "```\n```", "{]", "{'a': open('/etc/passwd')}"])
def test_what_is_no_json_is_an_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 the words are a parser's
        lenient(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda value: isinstance(value, dict | list))
)
def test_what_is_json_is_read_as_json(value):
    assert lenient(json.dumps(value)) == value
    assert lenient(f"```json\n{json.dumps(value)}\n```") == value or "```" in json.dumps(value)
    assert lenient(f"So: {json.dumps(value)} -") == value or "```" in json.dumps(value)


@given(st.text(alphabet="{}[],:\"\\`\n 'a1"))
def test_nothing_else_happens_than_a_value_or_an_error(text):
    with contextlib.suppress(ValueError):
        lenient(text)
