"""Rerank as Cohere made it and others took it over: documents in the order of their relevance to a query.

Some who took it over say `top_k` and answer under `data`, as Voyage does (`voyage_rerank`): that is read too.
Source: docs.cohere.com/reference/rerank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import How, Json, Written
from trunkline.vocabulary.replies import Ranked, RerankReply
from trunkline.vocabulary.requests import Operation, RerankRequest
from trunkline.vocabulary.usage import Usage

from .grammar import fields
from .grammar.fields import an_object, array_at, as_array, as_count, as_flag, as_object, text_at, unread, words_to_wire
from .openai_chat import error_from_wire, error_to_wire

name: Literal["cohere_rerank"] = "cohere_rerank"
operation: Operation = "rerank"
path = "/rerank"
addressed: tuple[str, ...] = ()
required = ("model", "query", "documents")
says: Mapping[str, How] = {}
glance = unread

__all__ = ["error_from_wire", "error_to_wire", "words_to_wire"]


def request_from_wire(body: Json) -> RerankRequest:
    """Read a caller's request."""
    body = dict(body)
    model, query = text_at(body, "model"), text_at(body, "query")
    documents = array_at(body, "documents")
    top = body.pop("top_n", None)
    if top is None and (top := body.pop("top_k", None)) is not None:
        body["~top"] = "top_k"
    back = body.pop("return_documents", None)
    return RerankRequest(
        model=model,
        query=query,
        documents=tuple(
            one if isinstance(one, str) else as_object(one, f"documents[{at}]") for at, one in enumerate(documents)
        ),
        top_n=as_count(top, "top_n") if top is not None else None,
        return_documents=as_flag(back, "return_documents") if back is not None else None,
        extra=body,
        dialect=name,
    )


def request_to_wire(request: RerankRequest, facts: Facts) -> Written:
    """Write a request for a target."""
    extra, loss = fields.foreign(request.extra, request.dialect, name)
    body: Json = {"model": facts.model, "query": request.query, "documents": list(request.documents)}
    if request.top_n is not None:
        body[extra.pop("~top", "top_n")] = request.top_n
    if request.return_documents is not None:
        body["return_documents"] = request.return_documents
    loss += fields.apply_quirks(body, facts)
    return Written({**body, **extra}, loss)


def reply_from_wire(body: Json) -> RerankReply:
    """Read a ranking."""
    body = dict(body)
    listed = "data" if "results" not in body else "results"
    try:
        results = tuple(_ranked(one, f"{listed}[{at}]") for at, one in enumerate(array_at(body, listed)))
    except InvalidRequestError as error:
        raise ResponseParseError(f"the provider's answer cannot be read: {error.message}", dialect=name) from None
    if listed == "data":
        body["~listed"] = listed
    return RerankReply(
        id=body.pop("id", None),
        model=body.pop("model", None),
        results=results,
        usage=_usage(body),
        extra=body,
        dialect=name,
    )


def _ranked(value: Any, where: str) -> Ranked:
    body = as_object(value, where)
    index, score = as_count(body.pop("index", None), f"{where}.index"), body.pop("relevance_score", None)
    if not isinstance(score, int | float):
        raise InvalidRequestError(f"{where}.relevance_score must be a number", param=where)
    return Ranked(index, float(score), body.pop("document", None), body)


def _usage(body: Json) -> Usage | None:
    """Cohere bills searches, Voyage tokens; both stay in the extra keys, where they were read."""
    billed = an_object(an_object(body.get("meta")).get("billed_units"))
    counted = an_object(body.get("usage"))
    if not billed and not counted:
        return None
    tokens = counted.get("total_tokens") or counted.get("prompt_tokens") or billed.get("input_tokens") or 0
    searches = billed.get("search_units")
    return Usage(input=int(tokens), extra={"search_units": searches} if searches else {})


def _counted(usage: Usage | None) -> Json:
    return {"meta": {"tokens": {"input_tokens": usage.input}}} if usage is not None and usage.input else {}


def reply_to_wire(reply: RerankReply) -> Json:
    """Write a ranking for a caller."""
    own = reply.dialect == name
    results: list[Json] = []
    for one in reply.results:
        document = {} if one.document is None else {"document": one.document}
        results.append({**document, "index": one.index, "relevance_score": one.score, **(one.extra if own else {})})
    known = {key: value for key, value in (("id", reply.id), ("model", reply.model)) if value is not None}
    extra = fields.said(reply.extra) if own else _counted(reply.usage)
    listed = reply.extra.get("~listed", "results") if own else "results"
    return {**known, listed: as_array(results, "results"), **extra}
