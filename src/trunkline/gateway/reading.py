"""Reading: a request body, as words.

Takes the object apart at its top level only; every value keeps its bytes. What an engine's call needs to know (the
model, whether to stream) is looked at, nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.protocols import Dialect
from trunkline.vocabulary.requests import Words

Receive = Callable[[], Awaitable[Any]]

_objects = msgspec.json.Decoder(dict[str, Raw])


class Gone(Exception):
    """The client left before it had said everything."""


async def body_of(receive: Receive, most: int) -> bytes:
    """The whole body, unless it is larger than `most` bytes."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise Gone
    if not message.get("more_body", False) and len(body) <= most:
        return body
    pieces, size = [body], len(body)
    while message.get("more_body", False) and size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
    if size > most:
        raise InvalidRequestError(
            f"the request is larger than {most} bytes; the gateway's max_body allows more", status=413, code="too_large"
        )
    return b"".join(pieces)


def words_of(body: bytes, dialect: Dialect, headers: Mapping[str, str], said: Mapping[str, Raw] | None = None) -> Words:
    """The body's top level, and what is `said` elsewhere. Raises InvalidRequestError that names what is wrong."""
    try:
        fields = _objects.decode(body)
        body.decode()  # values are passed on unread: that they are text is checked here
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is no JSON object: {error}", code="invalid_json") from None
    if said:
        fields.update(said)
    for key in dialect.required:
        if key not in fields:
            raise InvalidRequestError(f"{key} is missing", param=key, code="missing_required_parameter")
    return Words(dialect.name, fields, headers)


def model_of(words: Words, default: str | None = None) -> str:
    """The model that is asked for."""
    if default is not None and bytes(words.fields.get("model", b"null")) == b"null":
        return default
    return _value(words, "model", str, "a string")


def streams(words: Words) -> bool:
    """Whether the answer is wanted piece by piece."""
    said = words.fields.get("stream")
    if said is None or (text := bytes(said)) == b"false":
        return False
    return text == b"true" or bool(_value(words, "stream", bool | None, "a boolean"))


def _value(words: Words, key: str, kind: Any, wanted: str) -> Any:
    try:
        return msgspec.json.decode(words.fields[key], type=kind)
    except msgspec.ValidationError:
        raise InvalidRequestError(f"{key} must be {wanted}", param=key, code="invalid_type") from None
