"""References: what a request says of things that live at a provider."""

import msgspec
import pytest

from trunkline.vocabulary.requests import Words
from trunkline.wire.grammar.references import sealed_in, stored_in


def words(**fields):
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in fields.items()}
    return Words("openai_responses", raw)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"previous_response_id": "resp_1"}, "resp_1"),
        ({"conversation": "conv_1"}, "conv_1"),
        ({"previous_response_id": None}, None),
        ({"previous_response_id": 7}, None),
        ({"input": "resp_1"}, None),
    ],
)
def test_what_came_before_is_named(fields, name):
    assert stored_in(words(**fields).fields) == name


def test_what_is_no_json_names_nothing():
    assert stored_in({"conversation": msgspec.Raw(b"{")}) is None


def test_sealed_reasoning_is_named_the_latest_first():
    turns = [{"type": "reasoning", "id": "rs_1"}, {"role": "user", "content": 'say "rs_0"'}, {"id": "rs_2"}]
    assert list(sealed_in(words(input=turns))) == ["rs_2", "rs_1"]
    assert list(sealed_in(words(model="m"))) == []


def test_looking_for_it_takes_no_longer_than_the_request():
    """By its square this would take hours."""
    hostile = Words("openai_responses", {"input": msgspec.Raw(b'"rs_\\' * 400_000)})
    assert list(sealed_in(hostile)) == []
