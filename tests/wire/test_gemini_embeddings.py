"""Gemini's embeddings in their three forms, and its token count: golden examples of our own making."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.vocabulary.errors import InvalidRequestError, RateLimitError, ResponseParseError
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import said
from trunkline.vocabulary.protocols import Seen
from trunkline.vocabulary.replies import EmbeddingReply, TokenCount
from trunkline.vocabulary.requests import EmbeddingRequest, Request, Words
from trunkline.vocabulary.tools import Tool
from trunkline.vocabulary.usage import Usage
from trunkline.wire import (
    gemini_embed_content,
    gemini_embeddings,
    gemini_tokens,
    openai_embeddings,
    vertex_embeddings,
)

FACTS = Facts(model="gemini-embedding-001")


def content(text):
    return {"parts": [{"text": text}]}


MANY = {
    "requests": [
        {"model": "models/e", "content": content("Hello"), "outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY"},
        {
            "model": "models/e",
            "content": {"role": "user", "parts": [{"text": "wor"}, {"text": "ld"}]},
            "outputDimensionality": 3,
            "taskType": "RETRIEVAL_QUERY",
        },
    ]
}


def again(dialect, body):
    """A caller's request, read and written in its own dialect."""
    written = dialect.request_to_wire(dialect.request_from_wire({**body, "model": "e"}), FACTS)
    assert written.loss == ()
    return written.body


@pytest.mark.parametrize(
    "body",
    [
        MANY,
        {"content": content("Hello")},
        {"content": content("Hello"), "task_type": "RETRIEVAL_QUERY", "output_dimensionality": 3},
        {"requests": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}]}}]},
        {"requests": [{"content": content("a"), "outputDimensionality": 3}, {"content": content("b")}]},
        {"requests": [{"content": content("a")}], "newKey": 1},
    ],
)
def test_a_request_is_written_as_it_was_read(body):
    assert again(gemini_embeddings, body) == body


def test_a_request_is_read():
    request = gemini_embeddings.request_from_wire({**MANY, "model": "models/e"})
    assert (request.model, request.input, request.dimensions) == ("e", ("Hello", "world"), 3)
    assert not request.single
    assert request.extra["taskType"] == "RETRIEVAL_QUERY"


def test_one_content_is_one_text():
    request = gemini_embeddings.request_from_wire({"model": "e", "content": content("Hi")})
    assert (request.input, request.single) == (("Hi",), True)


def test_what_only_this_api_has_is_lost_to_others():
    picture = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}]}
    body = {"model": "e", "requests": [{"content": picture, "taskType": "CLUSTERING", "outputDimensionality": 3}]}
    written = openai_embeddings.request_to_wire(gemini_embeddings.request_from_wire(body), Facts(model="m"))
    assert written.body == {"model": "m", "input": [""], "dimensions": 3}
    assert {loss.field for loss in written.loss} == {"content", "taskType"}


def test_another_apis_request_asks_for_many():
    request = EmbeddingRequest(model="m", input=("a", "b"), dimensions=3, user="u", encoding_format="base64")
    written = gemini_embeddings.request_to_wire(request, FACTS)
    assert written.body == {
        "requests": [
            {"model": "models/gemini-embedding-001", "content": content(text), "outputDimensionality": 3}
            for text in ("a", "b")
        ]
    }
    assert [loss.field for loss in written.loss] == ["user"]


def test_token_ids_are_another_models():
    request = EmbeddingRequest(model="m", input=((1, 2),))
    for dialect in (gemini_embeddings, vertex_embeddings):
        with pytest.raises(InvalidRequestError):
            dialect.request_to_wire(request, FACTS)


@pytest.mark.parametrize(
    "body",
    [{"requests": []}, {"requests": 5}, {"requests": [5]}, {}, {"content": 5}, {"content": {"parts": [{"text": 5}]}}],
)
def test_a_malformed_request_is_refused(body):
    with pytest.raises(InvalidRequestError) as caught:
        gemini_embeddings.request_from_wire({"model": "e", **body})
    assert caught.value.param


def test_the_model_is_named_in_every_one_of_many():
    def passed(model, requests):
        raw = {"model": msgspec.Raw(msgspec.json.encode(model)), "requests": msgspec.Raw(msgspec.json.encode(requests))}
        written = gemini_embeddings.words_to_wire(Words("gemini_embeddings", raw), FACTS)
        return raw["requests"], written.body

    requests = [{"model": "models/fast", "content": content("a")}, {"content": content("b")}]
    _, body = passed("fast", requests)
    assert list(body) == ["requests"]
    assert msgspec.json.decode(body["requests"]) == [
        {**requests[0], "model": "models/gemini-embedding-001"},
        requests[1],
    ]
    before, body = passed("gemini-embedding-001", requests)
    assert body["requests"] is before


@pytest.mark.parametrize(
    "body",
    [
        {"embeddings": [{"values": [0.5, 1.0]}, {"values": [2.0]}]},
        {"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}},
        {
            "embeddings": [{"values": [0.5], "shape": [1]}],
            "usageMetadata": {"promptTokenCount": 4, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 4}]},
            "newKey": 1,
        },
    ],
)
def test_vectors_are_written_as_they_were_read(body):
    reply = gemini_embeddings.reply_from_wire(body)
    assert gemini_embeddings.reply_to_wire(reply) == body
    assert gemini_embeddings.glance(msgspec.json.encode(body)) == Seen(reply.usage or Usage())


def test_vectors_are_read():
    reply = gemini_embeddings.reply_from_wire(
        {"embeddings": [{"values": [1, 2.5]}], "usageMetadata": {"promptTokenCount": 4}}
    )
    assert (reply.vectors, reply.usage) == (((1.0, 2.5),), Usage(input=4))


def test_another_apis_vectors_are_written():
    reply = EmbeddingReply(vectors=((0.5,),), usage=Usage(input=2), model="m", dialect="openai_embeddings")
    usage = {"promptTokenCount": 2, "totalTokenCount": 2}
    assert gemini_embeddings.reply_to_wire(reply) == {"embeddings": [{"values": [0.5]}], "usageMetadata": usage}
    assert gemini_embed_content.reply_to_wire(reply) == {"embedding": {"values": [0.5]}, "usageMetadata": usage}


@pytest.mark.parametrize("dialect", [gemini_embeddings, gemini_embed_content, vertex_embeddings, gemini_tokens])
def test_nonsense_is_not_an_answer(dialect):
    for body in ({"embeddings": 5}, {"embedding": {"values": ["x"]}}, {"predictions": [5]}, {"totalTokens": "x"}):
        if dialect is gemini_tokens and "totalTokens" not in body:
            continue
        with pytest.raises(ResponseParseError):
            dialect.reply_from_wire(body)
    with pytest.raises(RateLimitError):
        dialect.reply_from_wire({"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"}})
    assert dialect.glance(b"<html>") == Seen()


def test_one_text_has_a_method_of_its_own():
    body = {"content": content("Hi"), "taskType": "CLUSTERING"}
    assert again(gemini_embed_content, body) == body
    request = EmbeddingRequest(model="m", input=("a",), dimensions=3)
    assert gemini_embed_content.request_to_wire(request, FACTS).body == {
        "content": content("a"),
        "outputDimensionality": 3,
    }
    with pytest.raises(InvalidRequestError):
        gemini_embed_content.request_to_wire(EmbeddingRequest(model="m", input=("a", "b")), FACTS)
    answer = {"embedding": {"values": [0.5], "shape": [1]}}
    reply = gemini_embed_content.reply_from_wire(answer)
    assert reply.dialect == "gemini_embed_content"
    assert gemini_embed_content.reply_to_wire(reply) == answer


PREDICT = {
    "instances": [{"content": "Hello", "task_type": "CLUSTERING", "title": "t"}, {"content": "world"}],
    "parameters": {"outputDimensionality": 3, "autoTruncate": False},
}


def test_vertex_predicts_vectors():
    assert again(vertex_embeddings, PREDICT) == PREDICT
    request = vertex_embeddings.request_from_wire({**PREDICT, "model": "e"})
    assert (request.input, request.dimensions) == (("Hello", "world"), 3)
    lost = openai_embeddings.request_to_wire(request, Facts(model="m")).loss
    assert {loss.field for loss in lost} == {"task_type", "title", "parameters"}
    written = vertex_embeddings.request_to_wire(
        EmbeddingRequest(model="m", input=("a",), dimensions=2, user="u"), FACTS
    )
    assert written.body == {"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 2}}
    assert [loss.field for loss in written.loss] == ["user"]


def test_vertex_counts_text_by_text():
    def one(values, count):
        return {"embeddings": {"statistics": {"truncated": False, "token_count": count}, "values": values}}

    body = {"predictions": [one([0.5], 3), one([1.5], 4)], "metadata": {"billableCharacterCount": 9}}
    reply = vertex_embeddings.reply_from_wire(body)
    assert (reply.vectors, reply.usage) == (((0.5,), (1.5,)), Usage(input=7))
    assert vertex_embeddings.reply_to_wire(reply) == body
    assert vertex_embeddings.glance(msgspec.json.encode(body)) == Seen(Usage(input=7))
    other = EmbeddingReply(vectors=((0.5,), (1.5,)), usage=Usage(input=7), dialect="openai_embeddings")
    assert vertex_embeddings.reply_to_wire(other) == {"predictions": [one([0.5], 7), one([1.5], 0)]}


# --- tokens ---------------------------------------------------------------------------------------------------------

BARE = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
WHOLE = {**BARE, "systemInstruction": content("Be."), "tools": [{"functionDeclarations": [{"name": "f"}]}]}


@pytest.mark.parametrize(
    "body",
    [
        BARE,
        WHOLE,
        {"generateContentRequest": {"model": "models/e", **WHOLE, "generationConfig": {"maxOutputTokens": 3}}},
        {"generate_content_request": BARE},
    ],
)
def test_a_counted_request_is_written_as_it_was_read(body):
    assert again(gemini_tokens, body) == body


def test_a_request_is_counted_with_its_instructions_and_tools():
    request = Request(model="m", messages=(said("system", "Be."), said("user", "Hi")), tools=(Tool("f"),))
    studio = gemini_tokens.request_to_wire(request, Facts(model="g"))
    assert studio.body == {"generateContentRequest": {"model": "models/g", **WHOLE}}
    vertex = Facts(model="g", quirks=Quirks(accepts=frozenset({"systemInstruction"})))
    assert gemini_tokens.request_to_wire(request, vertex).body == WHOLE
    plain = Request(model="m", messages=(said("user", "Hi"),))
    assert gemini_tokens.request_to_wire(plain, Facts(model="g")).body == BARE


def test_a_count_is_read_and_written():
    body = {"totalTokens": 9, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}
    reply = gemini_tokens.reply_from_wire(body)
    assert (reply.input_tokens, reply.estimated) == (9, False)
    assert gemini_tokens.reply_to_wire(reply) == body
    other = TokenCount(input_tokens=5, extra={"x": 1}, dialect="anthropic_tokens")
    assert gemini_tokens.reply_to_wire(other) == {"totalTokens": 5}
    assert gemini_tokens.reply_from_wire({}).input_tokens == 0
