"""The chaos upstream: every fault of its table is seen on the wire as it is described, in every dialect, plain and
streamed, and a client of ours makes of it the error that its row names.
"""

import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from msgspec import Struct

from trunkline import APIConnectionError, AsyncClient, Client, ConfigurationError, CutOff, ServiceError
from trunkline.cli import trunkline
from trunkline.runtime import Runtime
from trunkline.testing import FAULTS, ChaosUpstream, FakeClock
from trunkline.vocabulary.errors import OverloadedError
from trunkline.vocabulary.replies import Accumulator, Reply
from trunkline.wire import (
    anthropic_messages,
    cohere_rerank,
    gemini,
    gemini_embed_content,
    gemini_embeddings,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from trunkline.wire.grammar.sse import Frames, data_of

pytestmark = pytest.mark.anyio

# --- a client that hides nothing --------------------------------------------------------------------------------------


class Heard(Struct):
    """What came back, byte for byte, and how it ended."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: bytes = b""
    pieces: list[bytes] = []
    """The chunks, where it came in chunks."""
    end: str = "?"
    """`whole`, `fin`, `reset`, `waiting` (nothing more came for a while), `left` (we went)."""
    seconds: float = 0.0
    """Until the head."""


async def hear(url, path="/", body=None, headers=(), *, patience=5.0, most=100_000, speaks=True):
    """One request and everything that comes of it, at most `most` bytes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heard, began = Heard(headers={}, pieces=[]), time.monotonic()
    said = msgspec.json.encode(body)
    head = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(said)}"]
    head += [f"{name}: {value}" for name, value in headers]
    try:
        if speaks:
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + said)
        async with asyncio.timeout(5):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        heard.seconds = time.monotonic() - began
        heard.status = int(first.split(" ")[1])
        heard.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        heard.end = "waiting"
        await body_of(reader, heard, patience, most)
    except ConnectionResetError:
        heard.end = "reset"
    except asyncio.IncompleteReadError as error:
        heard.body += error.partial if "transfer-encoding" not in heard.headers else b""
        heard.end = "fin"
    except TimeoutError:
        pass
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return heard


async def body_of(reader, heard, patience, most):
    if "chunked" in heard.headers.get("transfer-encoding", ""):
        while len(heard.body) < most:
            async with asyncio.timeout(patience):
                size = int(await reader.readuntil(b"\r\n"), 16)
                piece = (await reader.readexactly(size + 2))[:-2]
            if not size:
                heard.end = "whole"
                return
            heard.body += piece
            heard.pieces.append(piece)
        heard.end = "left"
        return
    left = int(heard.headers["content-length"]) if "content-length" in heard.headers else most
    while left:
        async with asyncio.timeout(patience):
            piece = await reader.read(left)
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        heard.body += piece
        left -= len(piece)
    heard.end = "whole"


# --- every way to ask -------------------------------------------------------------------------------------------------

TURN = [{"role": "user", "content": "Hello"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]
COUNTED = {"stream_options": {"include_usage": True}}


class Way(Struct, frozen=True):
    """A dialect, and how it is asked."""

    dialect: object
    path: str
    body: dict
    streams: bool = False


WAYS = {
    "chat": Way(openai_chat, "/v1/chat/completions", {"model": "m", "messages": TURN}),
    "chat streamed": Way(
        openai_chat, "/v1/chat/completions", {"model": "m", "messages": TURN, "stream": True, **COUNTED}, True
    ),
    "responses": Way(openai_responses, "/v1/responses", {"model": "m", "input": "Hello"}),
    "responses streamed": Way(
        openai_responses, "/v1/responses", {"model": "m", "input": "Hello", "stream": True}, True
    ),
    "completions": Way(openai_completions, "/v1/completions", {"model": "m", "prompt": "Hello"}),
    "completions streamed": Way(
        openai_completions, "/v1/completions", {"model": "m", "prompt": "Hello", "stream": True, **COUNTED}, True
    ),
    "messages": Way(anthropic_messages, "/v1/messages", {"model": "m", "max_tokens": 9, "messages": TURN}),
    "messages streamed": Way(
        anthropic_messages, "/v1/messages", {"model": "m", "max_tokens": 9, "messages": TURN, "stream": True}, True
    ),
    "gemini": Way(gemini, "/v1beta/models/m:generateContent", {"contents": CONTENTS}),
    "gemini streamed": Way(gemini, "/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": CONTENTS}, True),
    "embeddings": Way(openai_embeddings, "/v1/embeddings", {"model": "m", "input": ["a", "b"]}),
    "gemini embeddings": Way(
        gemini_embeddings, "/v1beta/models/m:batchEmbedContents", {"requests": [{"content": CONTENTS[0]}]}
    ),
    "gemini embedding": Way(gemini_embed_content, "/v1beta/models/m:embedContent", {"content": CONTENTS[0]}),
    "rerank": Way(cohere_rerank, "/v2/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}),
}
TALKING = [name for name, way in WAYS.items() if hasattr(way.dialect, "decoder")]


async def ask(upstream, way, fault=None, **how):
    headers = [("x-chaos", fault)] if fault is not None else []
    return await hear(upstream.url, way.path, way.body, headers, **how)


async def ask_all(upstream, fault, **how):
    """What each way hears of a fault, and what it hears when nothing goes wrong."""
    names = [name for name, way in WAYS.items() if way.streams or not FAULTS[fault.partition("=")[0]].streams]
    heard = await asyncio.gather(*(ask(upstream, WAYS[name], fault, **how) for name in names))
    good = await asyncio.gather(*(ask(upstream, WAYS[name]) for name in names))
    return [(name, WAYS[name], one, other) for name, one, other in zip(names, heard, good, strict=True)]


def read_back(way, body) -> Reply:
    """An answer, as the dialect reads it."""
    if not way.streams:
        return way.dialect.reply_from_wire(msgspec.json.decode(body))
    decoder, growing = way.dialect.decoder(), Accumulator()
    growing.add(decoder.feed(body))
    growing.add(decoder.close())
    return growing.reply()


def contents(way, body) -> int:
    """How many pieces of content a stream holds, counted by the dialect's own reader."""
    decoder = way.dialect.decoder()
    return sum(event.content for frame in Frames().feed(body) for event in decoder.feed(frame))


def framing(way, heard):
    """The pieces of a stream before its first content."""
    for at in range(len(heard.pieces)):
        if contents(way, b"".join(heard.pieces[: at + 1])):
            return heard.pieces[:at]
    return heard.pieces


# --- when nothing goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
async def test_answers_are_well_formed_and_counted(name):
    way = WAYS[name]
    async with ChaosUpstream(text="All is well.", events=4) as upstream:
        heard = await ask(upstream, way)
    assert (heard.status, heard.end) == (200, "whole")
    assert heard.headers["content-type"] == ("text/event-stream" if way.streams else "application/json")
    reply = read_back(way, heard.body)
    size = len(msgspec.json.encode(way.body))
    assert reply.usage.prompt_tokens == size // 4 if way.dialect is not cohere_rerank else b"meta" in heard.body
    if name in TALKING:
        assert (reply.text, reply.finish, reply.usage.completion_tokens) == ("All is well.", "stop", 4)
        assert reply.id
        assert reply.model == "m"
    if way.streams:
        assert contents(way, heard.body) == 4
        assert framing(way, heard) or way.dialect in (gemini, openai_completions)  # whose first event is content


async def test_answers_are_told_apart():
    async with ChaosUpstream() as upstream:
        first, second = [(await ask(upstream, WAYS["chat"])) for _ in range(2)]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert read_back(WAYS["chat"], first.body).id == first.headers["x-request-id"]


async def test_vectors_depend_on_the_text_alone_and_have_the_size_that_was_asked_for():
    async with ChaosUpstream() as upstream:
        asked = {"model": "m", "input": ["a", "b", "a"], "dimensions": 3, "encoding_format": "base64"}
        heard = await hear(upstream.url, "/embeddings", asked)
    assert all(isinstance(one["embedding"], str) for one in msgspec.json.decode(heard.body)["data"])
    vectors = openai_embeddings.reply_from_wire(msgspec.json.decode(heard.body)).vectors
    assert [len(vector) for vector in vectors] == [3, 3, 3]
    assert vectors[0] == vectors[2] != vectors[1]


async def test_a_request_that_is_wrong_is_refused_in_its_dialect():
    async with ChaosUpstream() as upstream:
        heard = await hear(upstream.url, "/v1/messages", {"model": "m"})
        assert (heard.status, msgspec.json.decode(heard.body)["error"]["type"]) == (400, "invalid_request_error")
        assert b"messages is missing" in heard.body
        assert (await hear(upstream.url, "/v1/chat/completions", "no object")).status == 400
        assert (await hear(upstream.url, "/v1/nothing", {})).status == 404
    assert [asked.model for asked in upstream.served] == [None, None, None]


# --- every fault, on the wire -----------------------------------------------------------------------------------------


def refused(way, heard, row):
    """A refusal in the dialect's own words, of the kind that the row names."""
    assert (heard.status, heard.end) == (row.status, "whole")
    error = way.dialect.error_from_wire(heard.status, heard.headers, heard.body)
    assert is_kind(error, row.raises)
    assert isinstance(msgspec.json.decode(heard.body)["error"], dict)
    return error


def is_kind(error, kind):
    """The kind itself, or a closer word that the dialect has for it: Gemini calls a 502 UNAVAILABLE."""
    return type(error) is kind or (kind is ServiceError and type(error) is OverloadedError)


REFUSALS = [name for name, row in FAULTS.items() if row.status >= 400 and not name.startswith("html")]


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_on_the_wire(name):
    async with ChaosUpstream() as upstream:
        for _, way, heard, _ in await ask_all(upstream, name):
            refused(way, heard, FAULTS[name])
        assert {asked.fault for asked in upstream.served} == {name, "ok"}


def days(text):
    return datetime.fromisoformat(text).timestamp()


WAITS = {
    "429": lambda heard, way: (None, None),
    "429-seconds": lambda heard, way: (heard.headers["retry-after"], "90"),
    "429-ms": lambda heard, way: (heard.headers["retry-after-ms"], "90000"),
    "429-date": lambda heard, way: (
        (parsedate_to_datetime(heard.headers["retry-after"]) - parsedate_to_datetime(heard.headers["date"])).seconds,
        90,
    ),
    "429-requests": lambda heard, way: (heard.headers["x-ratelimit-reset-requests"], "1m30s"),
    "429-tokens": lambda heard, way: (heard.headers["x-ratelimit-reset-tokens"], "1m30s"),
    "429-anthropic": lambda heard, way: (
        days(heard.headers["anthropic-ratelimit-requests-reset"]) - 1_750_000_000,
        90,
    ),
    "429-body": lambda heard, way: (
        re.search(r'retryDelay":"(.*?)"' if way == "gemini" else r"try again in (\w+)\.", heard.body.decode())[1],
        "90s",
    ),
}
"""How a wait of 90 seconds is said, and how it should be."""


@pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith("429")])
async def test_how_a_wait_is_said(name):
    said = name if not FAULTS[name].parameter else f"{name}=90"
    async with ChaosUpstream(clock=FakeClock()) as upstream:
        for _, way, heard, _ in await ask_all(upstream, said):
            got, wanted = WAITS[name](heard, way.dialect.name.partition("_")[0])
            assert got == wanted
            waits = [key for key in heard.headers if "retry" in key or "reset" in key]
            assert len(waits) == (name not in {"429", "429-body"})
            read = refused(way, heard, FAULTS[name]).retry_after
            assert read in (None, 90)
            assert read == 90 or name in {"429", "429-requests", "429-tokens", "429-anthropic", "429-body"}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.02, "20ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (3600, "1h0m0s"), (90061, "25h1m1s")]
)
async def test_durations_are_said_as_go_prints_them(seconds, said):
    async with ChaosUpstream([f"429-tokens={seconds}"]) as upstream:
        assert (await ask(upstream, WAYS["chat"])).headers["x-ratelimit-reset-tokens"] == said


def silent(way, heard, good):
    assert (heard.status, heard.body) == (None, b"")


def half_of(way, heard, good):
    """So much of the good answer: half of a whole one, no content of a stream."""
    assert heard.status == 200
    same_start(way, heard.body, good.body)
    if way.streams:
        assert list(map(neutral, heard.pieces)) == list(map(neutral, framing(way, good))) or heard.end == "reset"
    else:
        assert len(heard.body) == len(good.body) // 2


def same_start(way, body, good):
    """The beginning of an answer, but for what tells one from another (its id)."""
    assert len(body) < len(good)
    assert neutral(good).startswith(neutral(body)[: len(body) // 2])


def neutral(body):
    return re.sub(rb'(chaos|msg|resp|item)[-_]\w+|"created(_at)?":[\d.]+', b"id", body)


def page(way, heard, good):
    assert heard.body.startswith(b"<!DOCTYPE html>")
    assert heard.headers["content-type"] == "text/html"
    assert "transfer-encoding" not in heard.headers


def broken_json(way, heard, good):
    bodies = [data_of(frame) for frame in Frames().feed(heard.body)] if way.streams else [heard.body]
    for body in bodies[:-1]:
        assert isinstance(msgspec.json.decode(body), dict)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(bodies[-1])


def hidden_error(way, heard, good):
    bodies = [data_of(frame) for frame in Frames().feed(heard.body)] if way.streams else [heard.body]
    assert b"in the middle" in bodies[-1]
    assert "error" in msgspec.json.decode(bodies[-1])
    if way.streams:
        assert contents_before_the_error(way, heard.body) == 0


def contents_before_the_error(way, body):
    decoder, count = way.dialect.decoder(), 0
    with pytest.raises(ServiceError):
        for frame in Frames().feed(body):
            count += sum(event.content for event in decoder.feed(frame))
        decoder.close()
    return count


def the_same_again(way, heard, good):
    assert len(heard.body) > 2 * len(good.body)
    assert heard.end == "left"
    assert "transfer-encoding" in heard.headers
    pieces = heard.pieces if way.streams else heard.pieces[1:]
    assert len(set(pieces[-10:])) == 1
    if way.streams:
        assert contents(way, heard.body) > 10


def as_good(way, heard, good):
    assert heard.status == 200
    assert neutral(heard.body) == neutral(good.body)


def late(way, heard, good):
    assert heard.seconds >= 0.05
    as_good(way, heard, good)


def bytewise(way, heard, good):
    as_good(way, heard, good)
    assert not way.streams or set(map(len, heard.pieces)) == {1}


def bare(way, heard, good):
    assert heard.headers.keys() & {"content-length", "transfer-encoding"} == set()
    assert (heard.headers["connection"], heard.body) == ("close", b"")


def without_usage(way, heard, good):
    assert b"sage" not in heard.body.replace(b"message", b"").replace(b"Message", b"")
    assert b"sage" in good.body.replace(b"message", b"").replace(b"Message", b"") or way.dialect is cohere_rerank
    assert b'"choices":[]' not in heard.body
    assert re.findall(rb"(?m)^event: .*", heard.body) == re.findall(rb"(?m)^event: .*", good.body)
    read = read_back(way, heard.body)
    assert read.usage is None
    assert not isinstance(read, Reply) or read.text == read_back(way, good.body).text


def without_an_end(way, heard, good):
    assert contents(way, heard.body) == contents(way, good.body)
    with pytest.raises(CutOff):
        read_back(way, heard.body)


def head_only(way, heard, good):
    assert (heard.status, heard.body) == (200, b"")


def begun(way, heard, good):
    assert heard.status == 200
    assert len(heard.body) == (100 if not way.streams or heard.end == "fin" else 0)
    same_start(way, heard.body, good.body)


SIGNS = {
    "refused": ("refused", "reset", silent),
    "reset": ("reset", "reset", silent),
    "unheard": ("unheard", "fin", silent),
    "reset-head": ("reset-head", "reset", head_only),
    "reset-after": ("reset-after", "reset", half_of),
    "cut": ("cut=100", "fin", begun),
    "cut-after": ("cut-after", "fin", half_of),
    "stall": ("stall", "waiting", half_of),
    "endless": ("endless=0.00001", "left", the_same_again),
    "slow": ("slow=0.05", "whole", late),
    "drip": ("drip=0.00001", "whole", bytewise),
    "malformed": ("malformed", "whole", broken_json),
    "error-in-200": ("error-in-200", "whole", hidden_error),
    "wrong-type": ("wrong-type", "whole", as_good),
    "html-200": ("html-200", "whole", page),
    "html-502": ("html-502", "whole", page),
    "empty": ("empty", "whole", head_only),
    "no-body": ("no-body", "fin", bare),
    "no-usage": ("no-usage", "whole", without_usage),
    "no-end": ("no-end", "whole", without_an_end),
}
"""How each fault that is no refusal is asked for, how the connection ends, and what is seen of it."""


def test_every_fault_has_its_sign():
    assert {*SIGNS} | {*REFUSALS} == {*FAULTS}
    assert {*WAITS} == {name for name in FAULTS if name.startswith("429")}


@pytest.mark.parametrize("name", SIGNS)
async def test_a_fault_on_the_wire(name):
    said, end, sign = SIGNS[name]
    async with ChaosUpstream() as upstream:
        patience = 0.05 if end == "waiting" else 5.0
        for way_name, way, heard, good in await ask_all(upstream, said, most=20_000, patience=patience):
            assert heard.end == end, way_name
            assert heard.status in (None, FAULTS[name].status), way_name
            assert heard.headers.get("content-length") != "0" or name == "empty"
            if name == "wrong-type":
                assert heard.headers["content-type"] == "text/plain"
            sign(way, heard, good)
        assert {asked.fault for asked in upstream.served} == {said, "ok"}


@pytest.mark.parametrize("fault", ["cut-after", "stall", "reset-after", "error-in-200", "malformed"])
@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.streams])
async def test_streams_break_after_so_much_content(fault, name):
    async with ChaosUpstream(events=3, text="abc") as upstream:
        for count, seen in ((1, 1), (2, 2), (3, 3), (99, 3)):
            patience = 0.05 if fault == "stall" else 5.0
            heard = await ask(upstream, WAYS[name], f"{fault}={count}", patience=patience)
            texts = [b'"a"', b'"b"', b'"c"']
            assert sum(text in heard.body for text in texts) == seen + (fault == "malformed" and seen < 3)


@pytest.mark.parametrize("name", ["chat", "messages streamed"])
async def test_a_cut_is_where_it_was_asked_for(name):
    way = WAYS[name]
    async with ChaosUpstream() as upstream:
        whole = len((await ask(upstream, way)).body)
        for at in (0, 1, 7, whole // 2, whole - 1, whole, whole + 9):
            heard = await ask(upstream, way, f"cut={at}")
            assert len(heard.body) == min(at, whole)
            assert heard.end == ("fin" if way.streams or at < whole else "whole")


async def test_faults_are_joined_by_commas():
    async with ChaosUpstream() as upstream:
        heard = await ask(upstream, WAYS["chat"], "slow=0.05,429-seconds=3,cut=10")
    assert heard.seconds >= 0.05
    assert (heard.status, heard.headers["retry-after"], len(heard.body), heard.end) == (429, "3", 10, "fin")


async def test_a_connection_may_break_late():
    clock = FakeClock()
    async with ChaosUpstream(["slow=3,reset"], latency=2.0, clock=clock) as upstream:
        assert (await ask(upstream, WAYS["chat"])).end == "reset"
    assert clock.slept == [5.0]


async def test_a_connection_is_refused_before_a_word_is_said():
    async with ChaosUpstream(["refused", "ok"]) as upstream:
        assert (await hear(upstream.url, speaks=False)).end == "reset"
        assert (await ask(upstream, WAYS["chat"])).status == 200
        assert (upstream.connections, len(upstream.served)) == (2, 1)


# --- every fault, to a client of ours ---------------------------------------------------------------------------------

CLIENT = {
    "chat": ("groq/m", "/openai/v1"),
    "responses": ("openai/gpt-5-pro", "/v1"),  # which only Responses serves
    "messages": ("anthropic/m", "/v1"),
    "gemini": ("google/m", "/v1beta"),
}
EMBEDDERS = {"embeddings": ("openai/m", "/v1"), "gemini embeddings": ("google/m", "/v1beta")}


def configured(url, retries=0):
    targets = {
        name.replace(" ", "-"): {"model": model, "base_url": url + path, "api_key": "sk-test"}
        for name, (model, path) in {**CLIENT, **EMBEDDERS}.items()
    }
    return {"targets": targets, "retries": retries}


async def outcome(doing):
    try:
        return await doing
    except Exception as error:  # noqa: BLE001 whatever it is, it is what we want to see
        return error


@pytest.mark.parametrize("name", FAULTS)
async def test_what_a_client_makes_of_a_fault(name):
    row = FAULTS[name]
    said = {"slow": "slow=0.01", "drip": "drip=0.00001"}.get(name, name)
    rules = {"timeout": 0.08 if row.waits else 5, "extra_headers": {"x-chaos": said}}
    async with ChaosUpstream() as upstream, AsyncClient(configured(upstream.url), env={}) as client:

        async def stream(target):
            async with client.stream("Hi", target, **rules) as events:
                return await events.final()

        plain = [outcome(client.complete("Hi", target, **rules)) for target in CLIENT]
        plain += [outcome(client.embed(["a"], target.replace(" ", "-"), **rules)) for target in EMBEDDERS]
        streamed = [outcome(stream(target)) for target in CLIENT]
        done = await asyncio.gather(*plain, *streamed)
    kinds = [row.raises if not row.streams else None] * len(plain) + [row.raises_streamed or row.raises] * len(CLIENT)
    for target, answer, kind in zip([*CLIENT, *EMBEDDERS, *CLIENT], done, kinds, strict=True):
        if kind is None:
            assert not isinstance(answer, Exception), target
            assert target in EMBEDDERS or (answer.text and answer.finish == "stop"), target
        else:
            assert is_kind(answer, kind), (target, answer)
    assert len(upstream.served) == len(done)


async def test_a_stream_that_breaks_after_its_first_content_keeps_what_came():
    async with ChaosUpstream(text="Hello world", events=2) as upstream:
        async with AsyncClient(configured(upstream.url, retries=3), env={}) as client:
            for target, fault in itertools.product(CLIENT, ("cut-after=1", "reset-after=1", "error-in-200=1")):
                upstream.served.clear()
                stream = client.stream("Hi", target, extra_headers={"x-chaos": fault})
                with pytest.raises((APIConnectionError, ServiceError)):
                    async for _ in stream:
                        pass
                assert (stream.reply.text, len(upstream.served)) == ("Hello", 1), (target, fault)


# --- who decides ------------------------------------------------------------------------------------------------------


async def statuses(upstream, times, **how):
    return [(await ask(upstream, WAYS["chat"], **how)).status for _ in range(times)]


async def test_a_script_is_followed_and_its_last_word_repeated():
    async with ChaosUpstream(["429", "ok", "500"]) as upstream:
        assert await statuses(upstream, 5) == [429, 200, 500, 500, 500]
        assert [asked.fault for asked in upstream.served] == ["429", "ok", "500", "500", "500"]


async def test_what_a_caller_asks_for_is_not_counted():
    async with ChaosUpstream(["429", "500"]) as upstream:
        body = {"model": "chaos:503", "messages": TURN}
        assert (await hear(upstream.url, "/v1/chat/completions", body)).status == 503
        assert (await hear(upstream.url, "/v1/chat/completions", body, [("x-chaos", "504")])).status == 504
        assert (await hear(upstream.url, "/v1/chat/completions", body, [("x-chaos", "ok")])).status == 200
        assert await statuses(upstream, 2) == [429, 500]


@pytest.mark.parametrize("path", ["models/chaos:429-seconds=7", "models/chaos%3A429-seconds%3D7"])
async def test_a_models_name_decides_in_a_path_too(path):
    async with ChaosUpstream() as upstream:
        heard = await hear(upstream.url, f"/v1beta/{path}:generateContent", {"contents": CONTENTS})
        assert (heard.status, heard.headers["retry-after"]) == (429, "7")
        assert upstream.served[0].model == "chaos:429-seconds=7"


async def test_a_mix_is_as_its_seed_and_its_shares_say():
    async def faults(seed):
        async with ChaosUpstream(mix={"429": 0.3, "cut=5": 0.1}, seed=seed) as upstream:
            await asyncio.gather(*(ask(upstream, WAYS["chat"]) for _ in range(300)))
            return [asked.fault for asked in upstream.served]

    first, again, other = await faults(7), await faults(7), await faults(8)
    assert first == again != other
    assert 60 < first.count("429") < 120
    assert 15 < first.count("cut=5") < 50
    assert first.count("ok") > 140


async def test_refused_connections_are_part_of_a_mix():
    async with ChaosUpstream(mix={"refused": 0.5}, seed=1) as upstream:
        heard = [await ask(upstream, WAYS["chat"]) for _ in range(40)]
    refusals = sum(one.end == "reset" for one in heard)
    assert 10 < refusals < 30
    assert upstream.connections == 40
    assert len(upstream.served) == 40 - refusals


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"faults": ["stal=3"]}, "did you mean 'stall'"),
        ({"faults": ["???"]}, "--list"),
        ({"faults": ["reset=3"]}, "takes no number"),
        ({"faults": ["stall=many"]}, "not 'many'"),
        ({"faults": ["cut=-1"]}, "not negative"),
        ({"mix": {"429": 0.8, "500": 0.3}}, "1 at most"),
        ({"mix": {"429": -0.1}}, "from 0 to 1"),
        ({"mix": {"4299": 0.1}}, "there is no fault"),
        ({"faults": ["429"], "mix": {"429": 0.1}}, "not both"),
    ],
)
def test_mistakes_are_told(settings, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        ChaosUpstream(**settings)


async def test_a_caller_who_asks_for_a_fault_that_there_is_not_is_told_so():
    async with ChaosUpstream() as upstream:
        heard = await ask(upstream, WAYS["messages"], "stal=3")
    assert heard.status == 400
    assert "did you mean 'stall'" in msgspec.json.decode(heard.body)["error"]["message"]


# --- time -------------------------------------------------------------------------------------------------------------


async def slept(**settings):
    clock = FakeClock()
    async with ChaosUpstream(clock=clock, **settings) as upstream:
        await statuses(upstream, 200)
    return clock.slept


async def test_a_latency_is_always_the_same_or_has_a_heavy_tail():
    assert set(await slept(latency=3.0)) == {3.0}
    assert await slept() == []
    times = await slept(latency=0.2, tail=1.0, seed=3)
    assert times == await slept(latency=0.2, tail=1.0, seed=3) != await slept(latency=0.2, tail=1.0, seed=4)
    assert 0.15 < statistics.median(times) < 0.27
    assert max(times) > 1.5


async def test_a_latency_changes_no_fault():
    async def faults(**settings):
        async with ChaosUpstream(mix={"429": 0.5}, seed=5, clock=FakeClock(), **settings) as upstream:
            return await statuses(upstream, 50)

    assert await faults() == await faults(latency=0.1, tail=2.0)


async def test_a_gap_lies_between_the_pieces_of_a_stream_only():
    clock = FakeClock()
    async with ChaosUpstream(events=5, gap=2.0, clock=clock) as upstream:
        streamed, plain = await ask(upstream, WAYS["chat streamed"]), await ask(upstream, WAYS["chat"])
    assert plain.status == 200
    assert clock.slept == [2.0] * (len(streamed.pieces) - 1)


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_what_came_is_kept_without_keys_and_bounded():
    headers = [
        ("authorization", "Bearer sk-1"),
        ("x-api-key", "sk-1"),
        ("X-Goog-Api-Key", "sk-1"),
        ("cookie", "a=sk-1"),
    ]
    headers += [("idempotency-key", "i-1"), ("x-chaos", "429")]
    seen = []
    async with ChaosUpstream(kept=3, each=seen.append) as upstream:
        await hear(upstream.url, "/v1/chat/completions?key=sk-1&a=b", WAYS["chat"].body, headers)
        first = upstream.served[0]
        assert "sk-1" not in str(first)
        assert first.headers["idempotency-key"] == "i-1"
        assert (first.path, first.model, first.fault) == ("/v1/chat/completions?key=[key]&a=b", "m", "429")
        assert first.json == WAYS["chat"].body
        await statuses(upstream, 5)
        assert (len(upstream.served), upstream.count, len(seen)) == (3, 6, 6)
    assert seen[0] is first


@pytest.mark.parametrize("fault", ["stall=1", "endless", "drip=0.01", "slow=30", "endless=0"])
async def test_a_client_that_leaves_is_noticed_at_once(fault):
    async with ChaosUpstream() as upstream:
        async with AsyncClient(configured(upstream.url), env={}) as client:
            rules = {"extra_headers": {"x-chaos": fault}}
            asking = asyncio.create_task(client.complete("Hi", "messages", **rules))
            while not upstream.served:
                await asyncio.sleep(0.001)
            asked = upstream.served[0]
            await asyncio.sleep(0.02)
            assert not asked.gone
            left = upstream.clock.now()
            asking.cancel()
            while not asked.gone:
                await asyncio.sleep(0.001)
    assert asked.came_at < left <= asked.left_at < left + 0.25


async def test_who_stays_to_the_end_has_not_left():
    async with ChaosUpstream() as upstream:
        for fault in ("ok", "slow=0.001", "cut-after=1", "reset", "429"):
            await ask(upstream, WAYS["chat streamed"], fault)
        await asyncio.sleep(0.02)
        assert not any(asked.gone or asked.left_at for asked in upstream.served)


async def test_an_endless_stream_waits_for_its_reader():
    """Whoever reads slowly slows it down: what has not been sent is not piled up."""
    async with ChaosUpstream(["endless=0"], text="x" * 500_000, events=1) as upstream:
        host, port = upstream.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
        body = msgspec.json.encode(WAYS["chat streamed"].body)
        writer.write(b"POST /chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.02)
        (line,) = upstream._lines
        assert line._transport.get_write_buffer_size() < 1_000_000
        assert line._room is not None
        writer.write_eof()  # whoever hangs up is noticed though nothing can be sent
        while not upstream.served[0].gone:
            await asyncio.sleep(0.001)
        writer.close()


async def test_a_soak_leaves_nothing_behind():
    mix = dict.fromkeys(("429", "cut-after=2", "reset", "malformed", "html-502", "unheard", "refused", "stall=1"), 0.1)
    async with ChaosUpstream(mix=mix, seed=11, kept=50) as upstream:
        for _ in range(10):
            await asyncio.gather(*(ask(upstream, WAYS["messages streamed"], patience=0.02) for _ in range(40)))
        await asyncio.sleep(0.01)
        assert (len(upstream.served), len(upstream._lines)) == (50, 0)
        assert upstream.connections == 400
        assert len({asked.fault for asked in upstream.served}) > 5


# --- other doors ------------------------------------------------------------------------------------------------------


def test_without_a_loop():
    with ChaosUpstream(["500", "ok"], text="hello") as upstream:
        with Client(configured(upstream.url, retries=1), env={}, runtime=Runtime(clock=FakeClock())) as client:
            assert client.complete("Hi", "chat").text == "hello"
    assert [asked.fault for asked in upstream.served] == ["500", "ok"]


PAGE = Path(__file__).parent.parent / "docs" / "testing.md"
PLUGIN_TESTS = """
import pytest
from trunkline import Client, RateLimitError

def ask(upstream):
    target = {"model": "openai/m", "base_url": upstream.url, "api_key": "sk-test"}
    with Client({"targets": {"t": target}, "retries": 0}, env={}) as client:
        return client.complete("Hi", "t").text

def test_it_answers(chaos_upstream):
    assert ask(chaos_upstream)

@pytest.mark.chaos("429", "ok", text="again")
def test_it_fails_as_told(chaos_upstream):
    with pytest.raises(RateLimitError):
        ask(chaos_upstream)
    assert ask(chaos_upstream) == "again"
"""


def test_the_plugin(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["trunkline.testing.plugin"]\n')
    (tmp_path / "test_ours.py").write_text(PLUGIN_TESTS)
    (shown,) = re.findall(r"```python\n(import pytest\n.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "test_of_the_page.py").write_text(shown)
    words = [sys.executable, "-m", "pytest", "--strict-markers", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


# --- the command line -------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(trunkline, ["chaos", *words])


def test_the_list_names_every_fault():
    done = run("--list")
    assert done.exit_code == 0
    lines = {line.partition("  ")[0].partition("[")[0]: line for line in done.stdout.splitlines()}
    for name, row in FAULTS.items():
        assert row.does in lines[name]
        assert (f"[={row.usual:g}]" in lines[name]) == bool(row.parameter)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--mix", "429"], "write fault=share"),
        (["--mix", "429=often"], "write fault=share"),
        (["stal"], "did you mean 'stall'"),
        (["429", "--mix", "500=0.1"], "not both"),
    ],
)
def test_mistakes_on_the_command_line(words, complaint):
    assert complaint in str(run(*words).exception)


def test_the_command_serves_until_it_is_stopped():
    words = [sys.executable, "-m", "trunkline.cli", "chaos", "429-seconds=2", "ok", "--port", "0"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    stop = threading.Timer(20, process.kill)
    stop.start()
    try:
        url = re.search(r"http://\S+", process.stdout.readline()).group()
        heard = asyncio.run(hear(url, "/v1/chat/completions", WAYS["chat"].body))
        assert (heard.status, heard.headers["retry-after"]) == (429, "2")
        assert asyncio.run(hear(url, "/v1/chat/completions", WAYS["chat"].body)).status == 200
        taken = subprocess.run([*words[:-1], url.rpartition(":")[2]], capture_output=True, text=True, check=False)
        assert (taken.returncode, "--port names another" in taken.stderr) == (1, True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        with closing(process.stdout), closing(process.stderr):
            pass
    assert (process.returncode, err.strip()) == (130, "")
    assert "/v1/chat/completions  m  429-seconds=2\n/v1/chat/completions  m  ok\n" in out


def test_a_mix_on_the_command_line_may_have_numbers():
    from trunkline.cli.chaos import _shares

    assert _shares("429=0.1, cut=100=0.05") == {"429": 0.1, "cut=100": 0.05}
    assert json.loads(json.dumps(_shares("ok=1"))) == {"ok": 1}
