"""Forms: the shape that an answer must have, and how its text becomes the caller's own type.

Owns the way from a class to a schema that strict structured output takes: an object at the top, every object closed,
every property required (platform.openai.com/docs/guides/structured-outputs).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.tools import ResponseFormat, Schema
from trunkline.wire.grammar import schemas
from trunkline.wire.grammar.structured import bare, complaint, path_of
from trunkline.wire.openai_chat.request import format_from_wire

from .tools import foreign_schema, lifted

Reader = Callable[[str | bytes], Any]


class Form(Struct, frozen=True):
    """The form that an answer must have, and how its text becomes the caller's own type."""

    format: ResponseFormat
    parse: Callable[[str], Any]
    wrapped: bool = False
    """The answer is the key `answer` of an object."""


def form_from(value: Any) -> Form:
    """From a type (dataclass, struct, pydantic class, any type msgspec knows), a JSON schema, or OpenAI's shape."""
    if isinstance(value, ResponseFormat):
        return _plain_form(value)
    if isinstance(value, Mapping):
        return _form_from_dict(dict(cast("Mapping[str, Any]", value)))
    if isinstance(value, str):
        if value not in ("json", "json_object", "text"):
            raise _refused(f"'{value}' is no response_format: say json, or give a class or a JSON schema")
        return _plain_form(ResponseFormat("text" if value == "text" else "json"))
    return _form_from_type(value)


def _plain_form(form: ResponseFormat) -> Form:
    return Form(form, str if form.kind == "text" else msgspec.json.decode)


def _form_from_dict(value: Json) -> Form:
    if value.get("type") in ("text", "json_object", "json_schema"):
        return _plain_form(format_from_wire(value))
    if isinstance(value.get("schema"), dict):  # the inside of OpenAI's shape
        return _plain_form(format_from_wire({"type": "json_schema", "json_schema": value}))
    if not value.keys() & {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}:
        raise _refused("the response_format is no JSON schema: it needs a 'type', as in {'type': 'object', …}")
    return _plain_form(ResponseFormat("schema", value, _name(value.get("title"))))


def _form_from_type(kind: Any) -> Form:
    read: Reader
    try:
        if isinstance(kind, type) and hasattr(kind, "model_validate_json"):  # pydantic's
            schema, read = foreign_schema(kind), cast("Any", kind).model_validate_json
        else:
            schema, read = msgspec.json.schema(kind, schema_hook=foreign_schema), _reader(kind)
    except TypeError:
        word = getattr(kind, "__name__", None) or f"an object of {type(kind).__name__}"
        raise _refused(
            f"{word} has no JSON schema: response_format takes a dataclass, a TypedDict, a msgspec struct, a pydantic "
            "class or plain types such as list[int] (the class itself, not an object of it), or a JSON schema"
        ) from None
    schema = _unfolded(schema)
    wrapped = schema.get("type") != "object"
    if wrapped:
        schema, read = _wrapped(schema), _unwrapping(read)
    strict = _closable(schema)
    name = _name(getattr(kind, "__name__", None))
    said = ResponseFormat("schema", _closed(schema) if strict else schema, name, strict=strict or None)
    return Form(said, read, wrapped)


def _reader(kind: Any) -> Reader:
    """Reads into any type that msgspec knows, and into pydantic's classes inside of it."""

    def read_foreign(kind: Any, value: Any) -> Any:
        return kind.model_validate(value)

    return msgspec.json.Decoder(kind, dec_hook=read_foreign).decode


def _name(word: Any) -> str:
    """A name as the APIs want it: letters, digits, dashes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(word or "answer")).strip("_")[:64] or "answer"


# --- schemas ----------------------------------------------------------------------------------------------------------


def _unfolded(schema: Schema) -> Schema:
    """The schema with its own shape at the top instead of a reference, and all definitions in one place."""
    definitions: Json = {}
    body: Schema = lifted(schema, definitions)
    name = str(body.get("$ref", "")).rpartition("/")[2]
    if name in definitions:
        body = dict(definitions[name])
        if f'"#/$defs/{name}"' not in msgspec.json.encode([body, definitions]).decode():
            del definitions[name]
    return {**body, "$defs": definitions} if definitions else body


class _Wrapped(Struct):
    """An answer that is no object by itself."""

    answer: Raw


def _wrapped(schema: Schema) -> Schema:
    """An object that holds the answer: the APIs take nothing else at the top."""
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer: Schema = {"type": "object", "properties": {"answer": inner}, "required": ["answer"]}
    return outer | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def _unwrapping(read: Reader) -> Reader:
    def unwrap(text: str | bytes) -> Any:
        try:
            inner = msgspec.json.decode(text, type=_Wrapped).answer
        except msgspec.ValidationError:  # a model that is not held to schemas may leave the wrapping out
            return read(text)
        return read(bytes(inner))

    return unwrap


_UNSAID = frozenset({"default", "discriminator"})
"""Keys that strict structured output refuses; the parser still knows them."""


def _closable(schema: Schema) -> bool:
    """Whether every object's keys and every value's type are known: strict structured output takes nothing else."""
    known = schema.keys() & {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
    is_open = (schema.get("type") == "object" and "properties" not in schema) or "prefixItems" in schema
    is_any = schema.get("type") == "array" and "items" not in schema
    by_name = schema.get("additionalProperties", False) is not False
    return bool(known) and not (is_open or is_any or by_name) and all(map(_closable, schemas.inside(schema)))


def _closed(schema: Schema) -> Schema:
    """Every object of a schema closed, and each of its properties required."""
    said = {"anyOf" if key == "oneOf" else key: value for key, value in schema.items() if key not in _UNSAID}
    body = schemas.mapped(said, _closed)
    if body.get("type") == "object":
        body.setdefault("additionalProperties", False)
        body["required"] = list(body["properties"])
    return body


# --- reading ----------------------------------------------------------------------------------------------------------


def parsed(reply: Reply, form: Form, unheld: ResponseFormat | None = None) -> Reply:
    """The reply with `parsed` filled in. A refusal or a call of tools has nothing to parse. `unheld`: the form that
    nobody held the model to, and that is yet to be checked."""
    if reply.tool_calls or (reply.choices and reply.message.refusal):
        return reply
    text = reply.text if form.format.kind == "text" else bare(reply.text, form.format)
    if unheld is not None and (wrong := complaint(reply, unheld)) is not None:
        raise _unfit(reply, wrong.why)
    try:
        reply.parsed = form.parse(text)
    except ValueError as error:  # msgspec's and pydantic's complaints are ValueErrors
        raise _unfit(reply, _complained(error)) from None
    return reply


def _unfit(reply: Reply, why: str) -> ResponseParseError:
    cut = _CUT.get(reply.finish or "", "")
    return ResponseParseError(
        f"the answer does not fit the response_format{cut}: {why}",
        provider=reply.provider,
        model=reply.model,
        request_id=reply.request_id,
        body=reply.body,
    )


def _complained(error: ValueError) -> str:
    """What a parser complains of, with its place, and without the answer."""
    if not hasattr(error, "errors"):  # which pydantic's have
        return str(error).splitlines()[0]
    first: Any = cast("Any", error).errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{path_of(first['loc'])}: {first['msg']}"


_CUT = {
    "length": "; it was cut by max_tokens",
    "content_filter": "; the provider withheld the rest",
    "context_window": "; the context window was full",
}


def _refused(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, param="response_format")
