"""Embeddings of Cohere, Ollama and Titan, both ways: golden examples of our own making."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from trunkline.vocabulary.errors import InvalidRequestError, ModelError, ResponseParseError, TrunklineError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.replies import EmbeddingReply
from trunkline.vocabulary.requests import EmbeddingRequest, Words
from trunkline.vocabulary.usage import Usage
from trunkline.wire import cohere_embeddings, ollama_embeddings, titan_embeddings

FACTS = Facts(model="m")
PACKED = base64.b64encode(struct.pack("<2f", 0.5, -1)).decode()
META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}

REQUESTS: list[tuple[Any, dict[str, Any]]] = [
    (cohere_embeddings, {"model": "m", "texts": ["a", "b"], "input_type": "search_query", "output_dimension": 2}),
    (cohere_embeddings, {"model": "m", "texts": ["a"], "input_type": "x", "embedding_types": ["int8", "float"]}),
    (cohere_embeddings, {"model": "m", "images": ["data:image/png;base64,iVBORw=="], "input_type": "image"}),
    (cohere_embeddings, {"model": "m", "inputs": [{"content": [{"type": "text", "text": "a"}]}], "input_type": "x"}),
    (ollama_embeddings, {"model": "m", "input": "a", "options": {"temperature": 0}, "truncate": True}),
    (ollama_embeddings, {"model": "m", "input": ["a", "b"], "dimensions": 2, "keep_alive": "1m"}),
    (titan_embeddings, {"inputText": "a", "dimensions": 256, "normalize": True, "embeddingTypes": ["float"]}),
]

REPLIES: list[tuple[Any, dict[str, Any], int | None]] = [
    (
        cohere_embeddings,
        {
            "id": "e1", "texts": ["a"], "embeddings": {"float": [[0.5, -1.0]], "binary": [[3]]}, "meta": META,
            "response_type": "embeddings_by_type",
        },
        7,
    ),
    (cohere_embeddings, {"id": "e1", "embeddings": {"base64": [PACKED]}, "meta": META}, 7),
    (cohere_embeddings, {"id": "e1", "embeddings": {"int8": [[5, -7]]}, "meta": META}, 7),
    (cohere_embeddings, {"id": "e1", "embeddings": {"ubinary": [[5]]}}, None),
    (
        cohere_embeddings,
        {"id": "e1", "embeddings": [[0.5]], "response_type": "embeddings_floats", "meta": META},
        7,
    ),
    (
        ollama_embeddings,
        {"model": "m", "embeddings": [[0.5], [1.0]], "total_duration": 9, "load_duration": 1, "prompt_eval_count": 2},
        2,
    ),
    (titan_embeddings, {"embedding": [0.5, 1.0], "inputTextTokenCount": 5}, 5),
    (
        titan_embeddings,
        {"embedding": [0.5], "embeddingsByType": {"float": [0.5], "binary": [1]}, "inputTextTokenCount": 5},
        5,
    ),
    (titan_embeddings, {"embeddingsByType": {"binary": [1]}, "inputTextTokenCount": 5}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body"), REQUESTS)
def test_its_own_request_comes_back_as_it_was(dialect, body):
    request = dialect.request_from_wire({"model": "m", **body})
    written = dialect.request_to_wire(request, FACTS)
    assert (written.body, written.loss) == (body, ())
    words = Words(dialect.name, {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in body.items()})
    assert set(dialect.words_to_wire(words, FACTS).body) == set(body)


@pytest.mark.parametrize(("dialect", "body", "count"), REPLIES)
def test_its_own_reply_comes_back_as_it_was(dialect, body, count):
    reply = dialect.reply_from_wire(body)
    assert (reply.usage.input if reply.usage else None) == count
    assert dialect.reply_to_wire(reply) == body
    assert dialect.glance(msgspec.json.encode(body)).usage == reply.usage


def test_packed_numbers_are_read_and_written():
    reply = cohere_embeddings.reply_from_wire({"embeddings": {"base64": [PACKED]}})
    assert reply.vectors == ((0.5, -1.0),)
    assert reply.encoding_format == "base64"
    theirs = EmbeddingReply(vectors=((0.5, -1.0),), encoding_format="base64", usage=Usage(input=3))
    body = cohere_embeddings.reply_to_wire(theirs)
    assert body["embeddings"] == {"base64": [PACKED]}
    assert body["meta"]["billed_units"] == {"input_tokens": 3}


OTHERS = EmbeddingRequest(
    model="x", input=("a",), dimensions=2, encoding_format="base64", user="u", extra={"theirs": 1}, dialect="x"
)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (
            cohere_embeddings,
            {
                "model": "m", "texts": ["a"], "output_dimension": 2, "input_type": "search_document",
                "embedding_types": ["float"],
            },
        ),
        (ollama_embeddings, {"model": "m", "input": ["a"], "dimensions": 2}),
        (titan_embeddings, {"inputText": "a", "dimensions": 2}),
    ],
)  # fmt: skip
def test_what_others_said_is_said_and_what_is_not_is_listed(dialect, body):
    written = dialect.request_to_wire(OTHERS, FACTS)
    assert written.body == body
    assert sorted(loss.row for loss in written.loss) == ["extra", "user"]


@pytest.mark.parametrize("dialect", [cohere_embeddings, ollama_embeddings, titan_embeddings])
def test_token_ids_are_refused_by_name(dialect):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_to_wire(EmbeddingRequest(model="m", input=((1, 2),)), FACTS)
    assert caught.value.param == "input"


def test_titan_takes_one_text_a_call():
    with pytest.raises(InvalidRequestError, match="one text, not 2"):
        titan_embeddings.request_to_wire(EmbeddingRequest(model="m", input=("a", "b")), FACTS)


def test_cohere_takes_96_texts_a_call():
    with pytest.raises(InvalidRequestError, match="96 texts in one call, not 97"):
        cohere_embeddings.request_to_wire(EmbeddingRequest(model="m", input=("a",) * 97), FACTS)


@pytest.mark.parametrize(
    ("dialect", "body", "field"),
    [
        (cohere_embeddings, {"model": "m"}, "texts"),
        (cohere_embeddings, {"model": "m", "texts": "a"}, "texts"),
        (cohere_embeddings, {"model": "m", "texts": [1]}, "texts[0]"),
        (cohere_embeddings, {"model": "m", "texts": ["a"], "output_dimension": "x"}, "output_dimension"),
        (ollama_embeddings, {"model": "m"}, "input"),
        (ollama_embeddings, {"model": "m", "input": [1]}, "input[0]"),
        (titan_embeddings, {"model": "m"}, "inputText"),
        (titan_embeddings, {"model": "m", "inputText": ["a"]}, "inputText"),
    ],
)
def test_the_field_to_mend_is_named(dialect, body, field):
    with pytest.raises(InvalidRequestError) as caught:
        dialect.request_from_wire(body)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (cohere_embeddings, {}),
        (cohere_embeddings, {"embeddings": 1}),
        (cohere_embeddings, {"embeddings": {"float": ["!"]}}),
        (cohere_embeddings, {"embeddings": {"float": [["x"]]}}),
        (ollama_embeddings, {}),
        (ollama_embeddings, {"embeddings": [1]}),
        (titan_embeddings, {}),
        (titan_embeddings, {"embedding": ["x"]}),
    ],
)
def test_nonsense_is_a_typed_error(dialect, body):
    with pytest.raises(ResponseParseError):
        dialect.reply_from_wire(body)
    assert dialect.glance(b"<html>").usage is None


def test_errors_are_those_of_their_apis():
    assert isinstance(ollama_embeddings.error_from_wire(404, {}, b'{"error":"model \'x\' not found"}'), ModelError)
    for dialect, body in ((ollama_embeddings, {"error": "x"}), (titan_embeddings, {"message": "x"})):
        with pytest.raises(TrunklineError, match="x"):
            dialect.reply_from_wire(body)
    assert dialect.error_to_wire(ModelError("x")).headers["x-amzn-errortype"] == "ResourceNotFoundException"


@pytest.mark.parametrize("dialect", [cohere_embeddings, ollama_embeddings, titan_embeddings])
def test_anothers_reply_has_its_form(dialect):
    reply = EmbeddingReply(model="x", vectors=((0.5, 1.0),), usage=Usage(input=3), extra={"theirs": 1}, dialect="x")
    body = dialect.reply_to_wire(reply)
    assert "theirs" not in body
    again = dialect.reply_from_wire(body)
    assert (again.vectors, again.usage) == (((0.5, 1.0),), Usage(input=3))
