"""Protocols: what a dialect and a transport must offer.

A dialect is a module of `wire/` with these functions; the two halves of each (`…_from_wire`, `…_to_wire`) serve the
client on one side and the gateway on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct

from .errors import TrunklineError
from .events import Event
from .facts import Facts
from .replies import Loss
from .requests import Operation, Request, Words
from .routes import Connections
from .usage import Usage

Json = dict[str, Any]
"""A JSON object, parsed."""


How = Literal["native", "translated", "emulated", "lost"]
"""How a dialect says something: in the same form, in another form that says the same, by asking the model in words or
in a form that says less, or not at all."""


class Written(Struct, frozen=True):
    """A request on the wire: its body, and what could not be said in it."""

    body: Json
    loss: tuple[Loss, ...] = ()


class Refused(Struct, frozen=True):
    """An error on the wire, for a caller of our gateway."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Seen(NamedTuple):
    """What is seen of an answer that passes through unread."""

    usage: Usage | None = None
    finish: str | None = None
    tier: str | None = None
    """The service tier that served it, in the provider's word; it decides the price."""
    made: tuple[str, ...] = ()
    """What lives on at the provider: the names of a stored answer and of its sealed reasoning."""


class Dialect(Protocol):
    """How one API says one operation, both ways. Pure functions: no provider's name, no I/O."""

    @property
    def name(self) -> str:
        """`openai_chat`, `anthropic_messages`, …: what `Words.dialect` and `Opaque.dialect` say."""
        ...

    @property
    def operation(self) -> Operation:
        """What it asks for."""
        ...

    @property
    def path(self) -> str:
        """Where, below a provider's base address; `{model}` stands for the model's name."""
        ...

    @property
    def addressed(self) -> tuple[str, ...]:
        """Top-level keys that the API has in its address: a reader and `Words` have them as if they were in the body,
        and a writer leaves them out."""
        ...

    @property
    def says(self) -> Mapping[str, How]:
        """How it says what another dialect said: a row of the matrix (`wire/grammar/matrix.py`) to the way."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """Top-level keys without which a request makes no sense."""
        ...

    def request_from_wire(self, body: Json, /) -> Any:
        """Read a caller's request. Raises InvalidRequestError that names the field to mend."""
        ...

    def request_to_wire(self, request: Any, facts: Facts, /) -> Written:
        """Write a request for a target."""
        ...

    def words_to_wire(self, words: Words, facts: Facts, /) -> Written:
        """Write a caller's own words, in this dialect, for a target that speaks it: only the edits its row declares."""
        ...

    def reply_from_wire(self, body: Json, /) -> Any:
        """Read a provider's whole answer. Raises ResponseParseError, or the error that a 200 may hold."""
        ...

    def reply_to_wire(self, reply: Any, /) -> Json:
        """Write a whole answer for a caller."""
        ...

    def glance(self, body: bytes, /) -> Seen:
        """What must be known of a whole answer that passes through, at the least cost."""
        ...

    def error_from_wire(self, status: int, headers: Mapping[str, str], body: bytes, /) -> TrunklineError:
        """Read a provider's refusal as the kind of error it is."""
        ...

    def error_to_wire(self, error: TrunklineError, /) -> Refused:
        """Write an error for a caller, where its SDK looks for it."""
        ...


class Decoder(Protocol):
    """Reads a provider's stream. Fed pieces cut anywhere, it gives the same events."""

    def feed(self, data: bytes, /) -> list[Event]:
        """The events that these bytes complete. Raises the typed error that the stream itself may hold."""
        ...

    def close(self) -> list[Event]:
        """The bytes are over: the last events. Raises CutOff when the terminal event is missing."""
        ...


class Encoder(Protocol):
    """Writes a stream for a caller."""

    def encode(self, events: list[Event], /) -> bytes:
        """These events, as the dialect says them."""
        ...


class Tap(Protocol):
    """Watches a stream that passes through unchanged, decoding only what it must."""

    content: bool
    """The first content has been seen."""
    ended: bool
    """The terminal event has been seen."""
    finish: str | None
    tier: str | None
    """The service tier that serves it."""

    made: tuple[str, ...]
    """What lives on at the provider (`Seen.made`)."""

    @property
    def usage(self) -> Usage | None:
        """The count so far."""
        ...

    @property
    def said(self) -> int:
        """About how many letters of content have gone by: what a stream that is cut off is billed by."""
        ...

    def feed(self, data: bytes, /) -> bytes:
        """Whole events to pass on: what is left out is what the caller did not ask for. Raises errors that it meets."""
        ...

    def close(self) -> bytes:
        """The bytes are over: what is left to pass on. Raises CutOff when the terminal event is missing."""
        ...


class StreamingDialect(Dialect, Protocol):
    """A dialect that can answer piece by piece."""

    @property
    def stream_path(self) -> str:
        """Where streams are asked for; the same as `path` in most."""
        ...

    @property
    def media_type(self) -> str:
        """The content type of a stream."""
        ...

    def decoder(self) -> Decoder:
        """A reader for one provider's stream."""
        ...

    def encoder(self, request: Request, /) -> Encoder:
        """A writer for one caller's stream."""
        ...

    def tap(self, words: Words, /) -> Tap:
        """A watcher for one stream that passes through."""
        ...

    def broken(self, error: TrunklineError, /) -> bytes:
        """What a caller's stream ends with when it breaks, said so that no SDK mistakes it for an end."""
        ...


class Sending(Struct, frozen=True):
    """An HTTP request, ready to go."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool = True
    connect: float | None = None
    """Seconds until a connection must stand; None: the transport's own."""
    connections: Connections | None = None
    """Over which connections; None: those that everyone shares."""


class Receiving(Protocol):
    """An HTTP response whose head has come."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, lower-case names."""
        ...

    async def read(self) -> bytes:
        """The whole body; the connection is free afterwards."""
        ...

    async def more(self) -> bytes | None:
        """The next bytes of the body, as they come; None after the last."""
        ...

    def release(self) -> None:
        """Give the connection up at once, read or not; safe to call again."""
        ...


class Transport(Protocol):
    """Carries a request to a server and brings the answer back. Raises only our errors."""

    async def send(self, request: Sending, /) -> Receiving:
        """Send, and wait for the answer's head."""
        ...

    async def close(self) -> None:
        """Close every connection; safe to call again."""
        ...
