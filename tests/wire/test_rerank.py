"""Rankings: Cohere's form, Voyage's, and each for the other's callers."""

from __future__ import annotations

import pytest

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.requests import RerankRequest
from trunkline.vocabulary.usage import Usage
from trunkline.wire import cohere_rerank, voyage_rerank

SERVER = Facts(model="m")
ASKED = {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]}
COHERE = {
    "id": "r1",
    "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}, {"index": 0, "relevance_score": 0.1}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}
VOYAGE = {
    "object": "list",
    "data": [{"relevance_score": 0.9, "index": 1}, {"relevance_score": 0.1, "index": 0}],
    "model": "rerank-2",
    "usage": {"total_tokens": 26},
}


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        (cohere_rerank, {"top_n": 1, "max_tokens_per_doc": 10}),
        (cohere_rerank, {"return_documents": True}),
        (voyage_rerank, {"top_k": 1, "truncation": True}),
        (voyage_rerank, {}),
    ],
)
def test_a_request_is_written_as_it_was_read(dialect, more):
    body = {**ASKED, **more}
    assert dialect.request_to_wire(dialect.request_from_wire(body), SERVER).body == body


@pytest.mark.parametrize(("dialect", "body"), [(cohere_rerank, COHERE), (voyage_rerank, VOYAGE)])
def test_a_ranking_is_written_as_it_was_read(dialect, body):
    reply = dialect.reply_from_wire(body)
    assert [(one.index, one.score) for one in reply.results] == [(1, 0.9), (0, 0.1)]
    assert dialect.reply_to_wire(reply) == body


def test_what_is_used():
    assert cohere_rerank.reply_from_wire(COHERE).usage == Usage(extra={"search_units": 1})
    assert voyage_rerank.reply_from_wire(VOYAGE).usage == Usage(input=26)


def test_a_caller_of_coheres_is_asked_for_and_answered_by_voyage():
    request = cohere_rerank.request_from_wire({**ASKED, "top_n": 1, "max_tokens_per_doc": 10})
    written = voyage_rerank.request_to_wire(request, SERVER)
    assert written.body == {**ASKED, "top_k": 1}
    assert [lost.field for lost in written.loss] == ["max_tokens_per_doc"]
    assert cohere_rerank.reply_to_wire(voyage_rerank.reply_from_wire(VOYAGE)) == {
        "model": "rerank-2",
        "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
        "meta": {"tokens": {"input_tokens": 26}},
    }


def test_a_caller_of_voyages_is_asked_for_and_answered_by_cohere():
    request = voyage_rerank.request_from_wire({**ASKED, "top_k": 1, "truncation": True})
    written = cohere_rerank.request_to_wire(request, SERVER)
    assert written.body == {**ASKED, "top_n": 1}
    assert [lost.field for lost in written.loss] == ["truncation"]
    answer = voyage_rerank.reply_to_wire(cohere_rerank.reply_from_wire(COHERE))
    assert [one["index"] for one in answer["data"]] == [1, 0]
    assert answer["usage"] == {"total_tokens": 0}


def test_a_programs_own_keys_go_on():
    request = RerankRequest(model="m", query="q", documents=("a",), top_n=2, extra={"truncation": True})
    assert voyage_rerank.request_to_wire(request, SERVER).body["top_k"] == 2
    assert all(
        dialect.request_to_wire(request, SERVER).body["truncation"] for dialect in (cohere_rerank, voyage_rerank)
    )


@pytest.mark.parametrize("dialect", [cohere_rerank, voyage_rerank])
def test_nonsense(dialect):
    for body in ({}, {"results": 5}, {"results": [5]}, {"results": [{"index": "a"}]}, {"results": [{"index": 0}]}):
        with pytest.raises(ResponseParseError):
            dialect.reply_from_wire(body)
    for body in (
        {},
        {"model": "m", "query": "q", "documents": "a"},
        {**ASKED, "top_n": "x"},
        {**ASKED, "documents": [5]},
    ):
        with pytest.raises(InvalidRequestError):
            dialect.request_from_wire(body)
