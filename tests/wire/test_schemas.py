"""JSON Schema on its way to an API: references, what is left out, and what `strict` takes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import ResponseFormat, Tool
from trunkline.wire import anthropic_messages, openai_chat, openai_responses
from trunkline.wire.grammar import schemas
from trunkline.wire.grammar.schemas import Takes, fit, fits, inlined, refers_to_itself
from trunkline.wire.openai_chat.schema import STRICT

NAME = {"type": "string"}
CITY = {"type": "object", "properties": {"name": NAME}, "required": ["name"], "additionalProperties": False}
TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Leaf"}, "city": {"$ref": "#/$defs/City"}},
    "$defs": {"Leaf": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Leaf"}}}, "City": CITY},
}


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/City", "$defs": {"City": CITY}},
        {"$ref": "#/definitions/City", "definitions": {"City": CITY}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": CITY}},
        {"$ref": "#/$defs/a~1b~0", "$defs": {"a/b~": CITY}},
    ],
)
def test_a_reference_becomes_what_it_refers_to(schema):
    assert inlined(schema) == CITY


def test_what_stands_beside_a_reference_wins():
    schema = {"properties": {"a": {"$ref": "#/$defs/Name", "title": "A"}}, "$defs": {"Name": {**NAME, "title": "Name"}}}
    assert inlined(schema) == {"properties": {"a": {"type": "string", "title": "A"}}}


def test_what_refers_to_itself_stays_under_defs():
    leaf = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Leaf"}}}
    assert inlined(TREE) == {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Leaf"}, "city": CITY},
        "$defs": {"Leaf": leaf},
    }
    assert inlined({"type": "object", "properties": {"same": {"$ref": "#"}}})["properties"] == {
        "same": {"$ref": "#/$defs/root"}
    }


@pytest.mark.parametrize("pointer", ["#/$defs/gone", "https://example.com/x", "#name", 7])
def test_what_is_not_there_stays_as_it_is(pointer):
    schema = {"properties": {"a": {"$ref": pointer}}}
    assert inlined(schema) == schema
    assert not refers_to_itself(schema)


def test_references_do_not_multiply_without_measure():
    doubling = {
        f"d{at}": {"properties": {"a": {"$ref": f"#/$defs/d{at + 1}"}, "b": {"$ref": f"#/$defs/d{at + 1}"}}}
        for at in range(40)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": NAME}}
    assert inlined(schema) is schema


@pytest.mark.parametrize(
    ("schema", "circular"),
    [
        (CITY, False),
        (TREE, True),
        ({"$defs": TREE["$defs"], **CITY}, False),  # nothing refers to it
        ({"$ref": "#"}, True),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"items": {"$ref": "#/properties/a"}}}}, True),
        ({"properties": {"$ref": {"type": "string"}}}, False),
    ],
)
def test_circles_are_found(schema, circular):
    assert refers_to_itself(schema) is circular


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "object", "array"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "$defs",
                    "a",
                    "b",
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "allOf",
                    "enum",
                    "const",
                    "required",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)
TABLES = [
    anthropic_messages.schema.TAKES,
    STRICT,
    Takes(known=frozenset({"type", "properties"}), references=False, lone_references=True),
]


@given(st.dictionaries(st.sampled_from(["$ref", "$defs", "type", "properties", "items", "allOf"]), JSON, max_size=5))
def test_whatever_a_caller_calls_a_schema_is_walked_through(schema):
    before = msgspec.json.encode(schema)
    inlined(schema)
    for table in TABLES:
        fits(schema, table)
        fit(schema, table, "x", [])
    assert msgspec.json.encode(schema) == before


# --- fitting ----------------------------------------------------------------------------------------------------------


def test_what_an_api_does_not_take_is_said_otherwise_or_listed():
    table = Takes(known=frozenset({"type", "properties", "enum", "anyOf", "$ref", "$defs"}))
    schema = {
        "$schema": "x",
        "type": "object",
        "minProperties": 1,
        "properties": {
            "minProperties": {"const": 1, "title": "One"},
            "either": {"oneOf": [NAME, {"allOf": [{"type": "integer", "minimum": 3}]}]},
            "city": {"$ref": "#/definitions/City"},
        },
        "definitions": {"City": {"type": "object"}},
    }
    losses = []
    assert fit(schema, table, "here", losses) == {
        "type": "object",
        "properties": {
            "minProperties": {"enum": [1]},
            "either": {"anyOf": [NAME, {"type": "integer"}]},
            "city": {"$ref": "#/$defs/City"},
        },
        "$defs": {"City": {"type": "object"}},
    }
    assert [loss.field for loss in losses] == ["here.minProperties", "here.minimum", "here.title"]
    assert {loss.row for loss in losses} == {"range"}


def test_an_api_that_follows_no_references_gets_none():
    table = Takes(references=False)
    assert fit({"items": {"$ref": "#/$defs/City"}, "$defs": {"City": CITY}}, table, "x", []) == {"items": CITY}


def test_closed_objects_name_all_their_keys():
    losses = []
    schema = {"type": "object", "properties": {"a": {"properties": {}}}, "additionalProperties": {"type": "string"}}
    fitted = fit(schema, Takes(closed=True), "x", losses)
    assert fitted["additionalProperties"] is fitted["properties"]["a"]["additionalProperties"] is False
    assert [loss.field for loss in losses] == ["x.additionalProperties"]


# --- strict -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "fitting"),
    [
        (CITY, True),
        ({**CITY, "$defs": {"City": CITY}, "properties": {"name": {"$ref": "#/$defs/City"}}}, True),
        ({**CITY, "properties": {"name": {"$ref": "#"}}}, True),  # it takes schemas that refer to themselves
        ({**CITY, "required": []}, False),
        ({**CITY, "additionalProperties": True}, False),
        ({**CITY, "properties": {"name": {"type": "string", "minLength": 1}}}, False),
        ({**CITY, "properties": {"name": {"type": "object", "properties": {}}}}, False),
        ({**CITY, "properties": {"name": {}}}, False),
        ({**CITY, "properties": {"name": {"type": "array"}}}, False),
        ({"anyOf": [CITY, CITY]}, False),
        ({"type": "array", "items": CITY}, False),
        ({}, False),
    ],
)
def test_which_schemas_strict_takes(schema, fitting):
    assert fits(schema, STRICT) is fitting


def written(dialect, form=None, tool=None, said_in=None):
    tools = (tool,) if tool is not None else ()
    request = Request(model="m", messages=(said("user", "Hi"),), response_format=form, tools=tools, dialect=said_in)
    result = dialect.request_to_wire(request, Facts(model="m"))
    body = result.body
    told = body.get("text", body).get("format") or body.get("response_format", {}).get("json_schema")
    offered = [one.get("function", one) for one in body.get("tools", ())]
    return (told or offered[0]).get("strict"), [loss.field for loss in result.loss]


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("said_in", [None, "anthropic_messages"])
def test_strict_is_said_only_of_a_schema_that_it_takes(dialect, said_in):
    def form(schema, strict):
        return written(dialect, ResponseFormat("schema", schema, strict=strict), said_in=said_in)

    assert form(CITY, True) == (True, [])
    assert form(CITY, None) == (True, [])  # whoever does not know the word means it
    assert form(CITY, False) == (False, [])
    assert form({"type": "object"}, None) == (None, [])
    assert form({"type": "object"}, True) == (None, ["response_format.strict"])


@pytest.mark.parametrize(("dialect", "unsaid"), [(openai_chat, None), (openai_responses, False)])
def test_a_tool_is_strict_where_its_schema_is(dialect, unsaid):
    assert written(dialect, tool=Tool("t", None, CITY, True)) == (True, [])
    assert written(dialect, tool=Tool("t", None, CITY)) == (unsaid, [])
    assert written(dialect, tool=Tool("t", None, {"type": "object"}, True)) == (unsaid, ["tools.t.strict"])


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses], ids=lambda dialect: dialect.name)
def test_a_caller_of_the_same_api_is_taken_at_his_word(dialect):
    form = ResponseFormat("schema", {"type": "object"}, "n", strict=True)
    assert written(dialect, form, said_in=dialect.name) == (True, [])
    assert schemas.fits({"type": "object"}, STRICT) is False
