"""Laws: what must hold for every recorded exchange.

Each law is one function that gives the ways in which it is broken, empty where it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from equal import differences
from msgspec import Struct, field
from msgspec.structs import replace
from oracles import SAID, missing_words, neutral, unlike
from recorded import Exchange
from speakers import CHAT, load

from neutral import asked
from trunkline.vocabulary.errors import CutOff, TrunklineError
from trunkline.vocabulary.events import Ended, Event, Finished
from trunkline.vocabulary.facts import Facts, Quirks
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text, ToolCall, ToolResult
from trunkline.vocabulary.replies import Accumulator, Loss, Reply
from trunkline.vocabulary.requests import Request, Words
from trunkline.vocabulary.tools import Tool
from trunkline.wire.grammar.sse import Frames, data_of
from trunkline.wire.grammar.unwrapped import Unwrapped

STEPS = (1, 2, 3, 5, 64, 1000)
"""Sizes of the pieces that a stream is cut into: in ones, every boundary there is."""


class Found(Struct):
    """What was found out about one exchange."""

    exchange: Exchange
    dialect: str | None
    problems: list[str] = field(default_factory=list[str])
    parsed: bool = False
    equal: bool = False
    crossed: int = 0
    pairs: int = 0
    losses: list[tuple[str, Loss]] = field(default_factory=list[tuple[str, Loss]])
    """What could not be said, and to which dialect."""


def facts_for(body: Any) -> Facts:
    """A target that edits nothing."""
    model = body.get("model") if isinstance(body, dict) else None
    return Facts(model=model or "m", quirks=Quirks(developer_role=True, usage_on_request=False))


def examine(exchange: Exchange, name: str) -> Found:
    """All laws on one exchange."""
    found = Found(exchange, name)
    dialect = load(name)
    if dialect is None:
        found.problems.append(f"there is no dialect {name}")
        return found
    laws = [_request, _answer]
    for law in laws:
        try:
            found.problems += law(exchange, dialect, found)
        except TrunklineError as error:
            found.problems.append(f"{law.__name__}: {type(error).__name__}: {error}"[:300])
        except Exception as error:  # noqa: BLE001 - a dialect's mistake is what is looked for here
            found.problems.append(f"{law.__name__}: CRASH {type(error).__name__}: {error}"[:300])
    return found


def request_body(exchange: Exchange, dialect: Any) -> dict[str, Any] | None:
    """The recorded request as the dialect's reader wants it; None where there is none to read."""
    body = exchange.request.body
    if not isinstance(body, dict) or exchange.response.status == 400:
        return None
    body = dict(body)
    if exchange.fidelity == "sdk-object":
        body |= body.pop("extra_body", None) or {}
    if "model" not in body and (dialect.addressed or exchange.path):
        body["model"] = "m"
    if "stream" in dialect.addressed:
        body["stream"] = "tream" in exchange.path
    return body


def _request(exchange: Exchange, dialect: Any, found: Found) -> Iterator[str]:
    """A request that is read and written again is the same; said in another dialect, the same but for its loss."""
    body = request_body(exchange, dialect)
    if body is None:
        return
    request = dialect.request_from_wire(msgspec.json.decode(msgspec.json.encode(body)))
    if exchange.is_wire:
        written = dialect.request_to_wire(request, facts_for(body))
        recorded = {key: value for key, value in body.items() if key not in dialect.addressed}
        ours = (
            {**written.body}
            if "model" in exchange.request.body or dialect.addressed
            else {**written.body, "model": "m"}
        )
        ours = msgspec.json.decode(msgspec.json.encode(ours))
        yield from (f"request {d}" for d in differences(ours, recorded)[:4])
        yield from (f"request: own words lost: {loss.field} ({loss.why})" for loss in written.loss)
        raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in body.items()}
        passed = dialect.words_to_wire(Words(dialect.name, raw), Facts(model="m")).body
        for key, value in raw.items():
            if key in dialect.addressed or key in _EDITED:
                continue
            if bytes(passed.get(key, b"")) != bytes(value):
                yield f"request: {key} does not pass through byte for byte"
    if dialect.operation == "chat":
        yield from _across(request, dialect, found)


_EDITED = frozenset({"model", "stream_options"})
"""What a row may have changed in words that pass through: the model, and that a stream counts its tokens."""


def _across(request: Request, dialect: Any, found: Found) -> Iterator[str]:
    for name in CHAT:
        other = load(name)
        if other is None or name == dialect.name:
            continue
        found.pairs += 1
        problems = list(_to(request, dialect, other, found))
        if not problems:
            found.crossed += 1
        yield from problems


def _to(request: Request, dialect: Any, other: Any, found: Found) -> Iterator[str]:
    where = f"{dialect.name} → {other.name}"
    try:
        written = other.request_to_wire(request, Facts(model=request.model))
    except TrunklineError as error:
        if error.code == "unsupported_parameter":  # nothing would be left to ask, and it says so
            found.losses.append((other.name, Loss(error.param or "", error.message, "opaque")))
        else:
            yield f"{where}: {type(error).__name__}: {error}"
        return
    found.losses += [(other.name, loss) for loss in written.loss]
    for loss in written.loss:
        if loss.row in other.says and other.says[loss.row] in {"native", "translated"}:
            yield f"{where}: lost {loss.field}, though the matrix calls {loss.row} {other.says[loss.row]} ({loss.why})"
    body = msgspec.json.decode(msgspec.json.encode(written.body))
    body |= {key: getattr(request, key) for key in other.addressed}
    back = other.request_from_wire(body)
    lost = {loss.row for loss in written.loss}
    if "ollama_chat" in {dialect.name, other.name}:
        lost.add("order")  # of images among texts: they stand beside them there
    said, heard = asked(request, lost, dialect.name), asked(back, lost, other.name)
    for key in {**said, **heard}:
        if said.get(key) != heard.get(key):
            yield f"{where}: {key}: said {str(said.get(key))[:300]}, heard {str(heard.get(key))[:300]}"


def _answer(exchange: Exchange, dialect: Any, found: Found) -> Iterator[str]:
    """An answer is read with nothing lost, and written as it came."""
    nothing = exchange.response.body in (None, "") and not exchange.response.decoded_events
    if exchange.response.status >= 400 or nothing:
        found.parsed = found.equal = True
        return
    if dialect.operation == "chat" and exchange.is_stream:
        yield from _stream(exchange, dialect, found)
        return
    body = exchange.response.body
    if not isinstance(body, dict):
        found.problems.append(f"an answer that is no object: {str(body)[:60]!r}")
        return
    if "error-in-200" in exchange.tags:
        try:
            dialect.reply_from_wire(body)
        except TrunklineError:
            found.parsed = found.equal = True
        else:
            yield "the error in a 200 was taken for an answer"
        return
    reply = dialect.reply_from_wire(msgspec.json.decode(msgspec.json.encode(body)))
    found.parsed = True
    if dialect.operation == "chat":
        yield from (f"reply: lost the words {word[:60]!r}" for word in missing_words(body, reply)[:3])
        yield from (f"reply: {unlikeness}" for unlikeness in unlike(SAID[dialect.name](body), neutral(reply)))
        if dialect.name != "openai_completions":
            yield from _continued(exchange, dialect, reply)
    unequal = [f"reply {d}" for d in differences(dialect.reply_to_wire(reply), body)]
    found.equal = not unequal
    if exchange.is_wire or exchange.fidelity == "body-only":
        yield from unequal[:4]


HERE = Facts(model="m", signer="here", reasoning=True, quirks=Quirks(developer_role=True, reasoning_key="reasoning"))
"""A target at the provider that gave the answer."""


def _continued(exchange: Exchange, dialect: Any, reply: Reply) -> Iterator[str]:
    """A conversation goes on with the answer: signed reasoning comes back to its provider, and to nobody else."""
    if not reply.choices or not reply.message.parts:
        return
    body = request_body(exchange, dialect)
    asked = dialect.request_from_wire(body).messages if body is not None else (said("user", "Hello"),)
    answer = replace(reply.to_message(), signer="here")
    results = tuple(ToolResult(call.id, (Text("done"),), name=call.name) for call in reply.tool_calls)
    turn = Message("tool", results) if results else said("user", "Go on.")
    tools = tuple(Tool(name) for name in dict.fromkeys(call.name for call in reply.tool_calls))
    further = Request(model="m", messages=(*asked, answer, turn), tools=tools)
    secrets = set(_secrets(msgspec.to_builtins(answer)))
    for other in filter(None, map(load, CHAT)):
        home = other is dialect
        for target in (HERE, replace(HERE, signer="elsewhere")) if home else (HERE,):
            wire = msgspec.json.encode(other.request_to_wire(further, target).body).decode()
            kept = {secret for secret in secrets if secret in wire}
            if home and target is HERE and kept != secrets:
                yield f"continued: {len(secrets - kept)} signatures do not come back"
            elif kept and not (home and target is HERE):
                yield f"continued: a signature leaves for {other.name} at {target.signer}"
            heard = other.request_from_wire(msgspec.json.decode(wire) | dict.fromkeys(other.addressed[:1], "m"))
            calls = [part for message in heard.messages for part in message.parts if type(part) is ToolCall]
            if len(reply.tool_calls) > len(calls) and other.says["tool_call"] != "lost":
                yield f"continued: {other.name} hears {len(calls)} calls of {len(reply.tool_calls)}"


def _secrets(value: Any) -> Iterator[str]:
    """What only its provider may read: signatures, encrypted reasoning."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if isinstance(inside, str) and len(inside) > 30 and key in _SECRET:
                yield inside
            else:
                yield from _secrets(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _secrets(inside)


_SECRET = frozenset(
    {"signature", "thoughtSignature", "thought_signature", "encrypted_content", "redacted", "reasoning_opaque"}
)


def stream_bytes(exchange: Exchange, dialect: Any) -> bytes:
    """The stream as the dialect's decoder gets it: Anthropic's events come wrapped on Bedrock."""
    raw = exchange.raw
    if exchange.response.body_encoding == "base64" and dialect.name == "anthropic_messages":
        unwrapped = Unwrapped()
        return unwrapped.feed(raw) + unwrapped.close()
    start = _STARTS.get(dialect.name)
    if start is not None and raw.count(start) > 1:
        return raw[: raw.index(start, 1)]  # a recorder put several answers into one
    return raw


_STARTS = {"anthropic_messages": b"event: message_start\n", "openai_responses": b"event: response.created\n"}
"""What a stream begins with."""


def _events(decoder: Any, raw: bytes, step: int) -> tuple[list[Event], TrunklineError | None]:
    events: list[Event] = []
    try:
        for start, end in pairwise([*range(0, len(raw), step), len(raw)]):
            events += decoder.feed(raw[start:end])
        events += decoder.close()
    except TrunklineError as error:
        return events, error
    return events, None


def events_of(dialect: Any, raw: bytes) -> tuple[list[Event], TrunklineError | None]:
    """The events of a whole stream, and the error that it ends with."""
    return _events(dialect.decoder(), raw, len(raw) or 1)


def reply_of(events: list[Event]) -> Reply:
    """The reply that a stream amounts to."""
    accumulator = Accumulator()
    accumulator.add(events)
    return accumulator.reply()


def _stream(exchange: Exchange, dialect: Any, found: Found) -> Iterator[str]:
    raw = stream_bytes(exchange, dialect)
    events, error = _events(dialect.decoder(), raw, len(raw))
    if error is not None and not exchange.error_kind and "error-mid-stream" not in exchange.tags:
        yield f"stream: {type(error).__name__}: {error}"[:200]
        return
    found.parsed = True
    for step in STEPS:
        if step == 1 and len(raw) > 60_000:
            continue
        cut, cut_error = _events(dialect.decoder(), raw, step)
        if cut != events or type(cut_error) is not type(error):
            yield f"stream: other events when cut into pieces of {step}"
            break
    if error is not None:
        found.equal = True
        return
    reply = reply_of(events)
    missing = _missing_in_stream(exchange, raw, dialect, events)
    yield from (f"stream: lost the words {word[:60]!r}" for word in missing[:3])
    if sum(isinstance(event, Ended) for event in events) != 1:
        yield "stream: it does not end exactly once"
    again = dialect.encoder(Request(model="m", messages=(), stream=True, include_usage=True, dialect=dialect.name))
    written = again.encode(events)
    reread, failed = _events(dialect.decoder(), written, len(written) or 1)
    if failed is not None:
        yield f"stream: what was written cannot be read: {failed}"
    else:
        unequal = _unlike_streams(reply, reply_of(reread))
        found.equal = not unequal
        yield from unequal[:3]
    if dialect.name != "openai_completions":
        yield from _continued(exchange, dialect, reply)
    yield from _tapped(raw, dialect, reply)
    yield from _cut_off(raw, dialect, len(events))


def _unlike_streams(first: Reply, second: Reply) -> list[str]:
    one, two = msgspec.to_builtins(first), msgspec.to_builtins(second)
    return [f"stream written and read again: {d}" for d in differences(two, one)]


def _missing_in_stream(exchange: Exchange, raw: bytes, dialect: Any, events: list[Event]) -> list[str]:
    reply = reply_of(events)
    if exchange.response.decoded_events and dialect.media_type != "text/event-stream":
        haystack = [msgspec.to_builtins(events), msgspec.to_builtins(reply)]
        squeezed = _squeezed(msgspec.json.encode(haystack).decode())
        payloads = [event["payload"] for event in exchange.response.decoded_events]
        return [word for word in missing_words(payloads, haystack) if _squeezed(word) not in squeezed]
    if dialect.media_type != "text/event-stream" or raw.lstrip()[:1] == b"[":
        return []
    frames = Frames()
    haystack = [msgspec.to_builtins(events), msgspec.to_builtins(reply)]
    payloads: list[Any] = []
    for frame in [*frames.feed(raw), frames.close() + b"\n\n"]:
        data = data_of(frame)
        if data and data.strip() != b"[DONE]":
            payloads.append(msgspec.json.decode(data))
    squeezed = _squeezed(msgspec.json.encode(haystack).decode())  # pieces of JSON that were read as a value
    return [word for word in missing_words(payloads, haystack) if len(word) > 1 and _squeezed(word) not in squeezed]


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\\]+", "", text)


def _tapped(raw: bytes, dialect: Any, reply: Reply) -> Iterator[str]:
    options = msgspec.Raw(b'{"include_usage":true}')
    tap = dialect.tap(Words(dialect.name, {"stream": msgspec.Raw(b"true"), "stream_options": options}))
    passed = b"".join(tap.feed(raw[start : start + 700]) for start in range(0, len(raw), 700)) + tap.close()
    if passed != raw.removeprefix(b"\xef\xbb\xbf"):
        yield f"stream: {len(passed)} of {len(raw)} bytes pass through"
    if not tap.ended or (tap.usage is None) != (reply.usage is None):
        yield "stream: the watcher missed the end or the usage"
    elif tap.usage != reply.usage:
        yield f"stream: the watcher counts {tap.usage}, the reader {reply.usage}"


def _cut_off(raw: bytes, dialect: Any, count: int) -> Iterator[str]:
    """Half a stream is no answer."""
    if count < 4:
        return
    events, error = _events(dialect.decoder(), raw[: len(raw) // 2], len(raw))
    if any(isinstance(event, Finished) for event in events):
        return
    if not isinstance(error, CutOff):
        yield f"stream: cut in half it ends with {error!r}"
