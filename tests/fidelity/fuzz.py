"""Fuzz: recorded traffic, bent out of shape, must end in an answer or in a typed error.

    python tests/fidelity/fuzz.py [inputs] [--seed n]

Each input is one recorded request, answer, stream or refusal with one to three injuries: cut short, a value of
another type, a number beyond all measure, nested to the limit, a key gone or doubled, bytes that are no UTF-8. It is
read by its dialect and written in another, as the gateway does; what is not a `TrunklineError` is found and printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from laws import facts_for, request_body, stream_bytes
from msgspec import Raw, Struct
from recorded import FOLDER, Exchange, exchanges, families
from speakers import CHAT, dialect_of, load

from trunkline.providers.flow import guarded
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.replies import Accumulator
from trunkline.vocabulary.requests import Request, Words

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 10**30, 2**64, -(2**63), "", "\u2028", "a" * 2000, [], {}, [[]], [None],
    {"type": None}, {"type": "text"}, [{"type": "text", "text": 1}], {"": {}}, "{", '{"a":', "\ud7ff",
)  # fmt: skip
"""Values that stand where others should."""


class Source(Struct):
    """Something recorded, and who reads it."""

    dialect: Any
    kind: str
    """`request`, `reply`, `stream` or `refusal`."""
    raw: bytes
    status: int = 200


def sources(folder: Path) -> list[Source]:
    """All that can be bent."""
    found: list[Source] = []
    for path in families(folder):
        for exchange in exchanges(path):
            name = dialect_of(exchange)
            dialect = load(name) if name is not None else None
            if dialect is not None:
                found += _of(exchange, dialect)
    return found


def _of(exchange: Exchange, dialect: Any) -> list[Source]:
    found: list[Source] = []
    body = request_body(exchange, dialect)
    if body is not None:
        found.append(Source(dialect, "request", msgspec.json.encode(body)))
    answer = exchange.response
    if answer.body in (None, ""):
        return found
    if answer.status >= 400:
        found.append(Source(dialect, "refusal", exchange.raw, answer.status))
    elif dialect.operation == "chat" and exchange.is_stream:
        found.append(Source(dialect, "stream", stream_bytes(exchange, dialect)))
    elif isinstance(answer.body, dict):
        found.append(Source(dialect, "reply", exchange.raw))
    return found


class Bender:
    """Injures recorded bytes, the same way for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def bend(self, source: Source) -> bytes:
        """The bytes with an injury or a few."""
        raw = source.raw
        for _ in range(self.random.choice((1, 1, 2, 3))):
            raw = self._once(raw, source.kind)
        return raw

    def _once(self, raw: bytes, kind: str) -> bytes:
        if not raw or self.random.random() < 0.25:
            return self._bytes(raw)
        if kind == "stream":
            return self._in_stream(raw)
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._bytes(raw)
        return _encoded(self._value(value), raw)

    def _in_stream(self, raw: bytes) -> bytes:
        """One event of it is bent, doubled, gone or elsewhere."""
        lines = raw.split(b"\n")
        at = self.random.randrange(len(lines))
        line = lines[at]
        if line.startswith(b"data: {") and self.random.random() < 0.8:
            try:
                lines[at] = b"data: " + _encoded(self._value(msgspec.json.decode(line[6:])), line[6:])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                lines[at] = self._bytes(line)
        elif self.random.random() < 0.5:
            del lines[at]
        else:
            lines.insert(self.random.randrange(len(lines)), line)
        return b"\n".join(lines)

    def _bytes(self, raw: bytes) -> bytes:
        at = self.random.randrange(len(raw) + 1)
        match self.random.randrange(4):
            case 0:
                return raw[:at]
            case 1:
                return raw[:at] + self.random.randbytes(3) + raw[at:]
            case 2:
                return raw[:at] + raw[at + self.random.randrange(1, 40) :]
            case _:
                return raw[:at] + b"[" * 1200 + raw[at:]

    def _value(self, value: Any) -> Any:
        """The value with one thing in it replaced: walked to by chance."""
        if isinstance(value, dict) and value and self.random.random() < 0.9:
            key = self.random.choice(list(value))
            bent = dict(value)
            match self.random.randrange(12):
                case 0:
                    del bent[key]
                case 1:
                    bent[self.random.choice(list(value))] = value[key]
                case 2:
                    bent[key + "x"] = bent.pop(key)
                case _:
                    bent[key] = self._value(value[key])
            return bent
        if isinstance(value, list) and value and self.random.random() < 0.9:
            at = self.random.randrange(len(value))
            return [*value[:at], self._value(value[at]), *value[at + 1 :]]
        if self.random.random() < 0.02:
            return _nested(900)
        return self.random.choice(ODD)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _encoded(value: Any, otherwise: bytes) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, RecursionError, UnicodeEncodeError):
        return otherwise


def survive(source: Source, raw: bytes, other: Any) -> None:
    """What the gateway does with it: raises nothing but a TrunklineError, or it is found."""
    _WAYS[source.kind](source, raw, other)


def _parsed(raw: bytes) -> Any:
    """JSON as the gateway takes it apart; what is none is refused before a dialect sees it."""
    try:
        raw.decode()
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _ask(source: Source, raw: bytes, other: Any) -> None:
    body = _parsed(raw)
    if body is None or any(key not in body for key in source.dialect.required):
        return
    fields = {key: Raw(msgspec.json.encode(value)) for key, value in body.items()}
    source.dialect.words_to_wire(Words(source.dialect.name, fields), facts_for(body))
    request = source.dialect.request_from_wire(body)
    if source.dialect.operation == "chat":
        msgspec.json.encode(other.request_to_wire(request, Facts(model="m")).body)
    msgspec.json.encode(source.dialect.request_to_wire(request, Facts(model="m")).body)


def _answer(source: Source, raw: bytes, other: Any) -> None:
    with guarded:
        source.dialect.glance(raw)
        body = _parsed(raw)
        if body is None:
            return
        reply = source.dialect.reply_from_wire(body)
        msgspec.json.encode(source.dialect.reply_to_wire(reply))
        if source.dialect.operation == "chat":
            msgspec.json.encode(other.reply_to_wire(reply))


def _stream(source: Source, raw: bytes, other: Any) -> None:
    dialect = source.dialect
    asked = Request(model="m", messages=(), stream=True, include_usage=True)
    with guarded:
        decoder, encoder, own = dialect.decoder(), other.encoder(asked), dialect.encoder(asked)
        gathered = Accumulator()
        for at in range(0, len(raw), 4096):
            events = decoder.feed(raw[at : at + 4096])
            gathered.add(events)
            encoder.encode(events)
            own.encode(events)
        events = decoder.close()
        gathered.add(events)
        encoder.encode(events)
        msgspec.json.encode(other.reply_to_wire(gathered.reply()))
    with guarded:
        tap = dialect.tap(Words(dialect.name, {}))
        for at in range(0, len(raw), 4096):
            tap.feed(raw[at : at + 4096])
        tap.close()


def _refusal(source: Source, raw: bytes, other: Any) -> None:
    error = source.dialect.error_from_wire(source.status, {}, raw)
    source.dialect.error_to_wire(error)
    other.error_to_wire(error)
    if hasattr(other, "broken"):
        other.broken(error)


_WAYS: dict[str, Callable[[Source, bytes, Any], None]] = {
    "request": _ask,
    "reply": _answer,
    "stream": _stream,
    "refusal": _refusal,
}


def fuzz(found: Sequence[Source], inputs: int, seed: int) -> tuple[Counter[str], dict[str, tuple[str, str]]]:
    """What came of so many inputs: outcomes by kind, and each escape once, with its place and its trace."""
    bender = Bender(seed)
    others = [dialect for name in CHAT if (dialect := load(name)) is not None]
    outcomes: Counter[str] = Counter()
    escapes: dict[str, tuple[str, str]] = {}
    for _ in range(inputs):
        source = bender.random.choice(found)
        other = bender.random.choice(others)
        raw = bender.bend(source)
        try:
            survive(source, raw, other)
        except TrunklineError:
            outcomes[f"{source.kind}: a typed error"] += 1
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            outcomes[f"{source.kind}: ESCAPED"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = (
                f"{type(error).__name__} at {Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}"
            )
            if where not in escapes:
                escapes[where] = (f"{source.dialect.name} {source.kind}: {error}"[:300], traceback.format_exc())
        else:
            outcomes[f"{source.kind}: taken"] += 1
    return outcomes, escapes


def main() -> int:
    """Print what was found; 1 where something escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--traces", action="store_true")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"no recordings at {options.folder}: nothing to bend (RECORDINGS=folder names another place)")
        return 0
    found = sources(options.folder)
    began = time.process_time()
    outcomes, escapes = fuzz(found, options.inputs, options.seed)
    seconds = time.process_time() - began
    print(f"{options.inputs} inputs of {len(found)} recordings, seed {options.seed}: {seconds:.0f} s of CPU")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {count:8} {outcome}")
    for where, (what, trace) in escapes.items():
        print(f"{where}\n    {what}")
        if options.traces:
            print(trace)
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
