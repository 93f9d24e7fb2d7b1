"""Recorded traffic: reading a folder of `*.jsonl` files, one exchange a line.

The format is that of the README beside the recordings; any other folder in it will do. Nothing of it is kept here.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from trunkline.wire.grammar.eventstream import event_frame

FOLDER = Path(os.environ.get("RECORDINGS") or Path(__file__).parents[2].parent / "shared" / "recordings")
"""Where they are: beside the checkout, or where the environment says."""


class Request(Struct):
    """What was asked; `body` is parsed JSON, or something else that we do not speak."""

    method: str = "POST"
    path: str | None = None
    body: Any = None
    headers: dict[str, Any] = {}


class Response(Struct):
    """What was answered: parsed JSON, or the raw text of a stream, or base64 of binary frames."""

    status: int = 200
    headers: dict[str, Any] = {}
    body: Any = None
    body_encoding: str | None = None
    decoded_events: list[dict[str, Any]] | None = None


class Exchange(Struct):
    """One line."""

    id: str
    provider: str
    api: str
    fidelity: str
    response: Response
    request: Request = field(default_factory=Request)
    error_kind: str | None = None
    tags: list[str] = []
    family: str = ""
    documented: bool = False

    @property
    def path(self) -> str:
        """The path without its query; empty where only the answer was recorded."""
        return (self.request.path or "").partition("?")[0]

    @property
    def is_wire(self) -> bool:
        """Whether the text is that of the wire, key order and blanks apart."""
        return self.fidelity.startswith("wire")

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers as a transport gives them."""
        return {name.lower(): str(value) for name, value in self.response.headers.items()}

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream's text."""
        body = self.response.body
        if self.response.body_encoding == "base64" or self._unframed:
            return "stream" in self.api or "stream" in self.tags
        if isinstance(body, list):  # Gemini's other form of a stream
            return self.path.endswith("streamGenerateContent")
        return isinstance(body, str) and self.response.status < 400 and body.lstrip("\ufeff \r\n")[:1] not in {"", "<"}

    @property
    def _unframed(self) -> bool:
        """Whether only the payloads of binary frames were recorded: the frames are made here."""
        return self.response.body is None and bool(self.response.decoded_events)

    @property
    def raw(self) -> bytes:
        """The answer's bytes."""
        body = self.response.body
        if self.response.body_encoding == "base64":
            return base64.b64decode(body)
        if self._unframed:
            return b"".join(_framed(event) for event in self.response.decoded_events or ())
        return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _framed(event: dict[str, Any]) -> bytes:
    return event_frame(event["event"], msgspec.json.encode(event["payload"]), event.get("message_type", "event"))


def families(folder: Path = FOLDER) -> list[Path]:
    """The files of a folder, one family each."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem != "errors")


def exchanges(path: Path) -> Iterator[Exchange]:
    """The lines of one family."""
    for line in path.read_bytes().splitlines():
        exchange = msgspec.json.decode(line, type=Exchange, strict=False)
        exchange.family = path.stem
        yield exchange
