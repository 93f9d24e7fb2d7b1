"""Asking: from plain Python values to a request.

Owns what a caller of the library may write: strings, OpenAI-shaped dicts or our structs for messages; functions for
tools; dataclasses, msgspec structs or pydantic classes for the form of an answer; paths, bytes or URLs for media.
"""

from __future__ import annotations

import base64
import inspect
import mimetypes
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

import msgspec
from msgspec import Struct

from trunkline.vocabulary.errors import InvalidRequestError, ResponseParseError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, Audio, File, Image, Part, Source, Text
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Reply
from trunkline.vocabulary.requests import EmbeddingRequest, Request, Settings
from trunkline.vocabulary.tools import AnyTool, OpaqueTool, Reasoning, ResponseFormat, Schema, Tool, ToolChoice
from trunkline.wire.openai_chat.messages import message_from_wire
from trunkline.wire.openai_chat.request import format_from_wire, tool_choice_from_wire, tool_from_wire

Said = str | Message | Part | Mapping[str, Any]
Messages = str | Message | Sequence[Said]
"""What may be asked: a question, a message, or a conversation."""

Callables = Callable[..., Any] | Tool | OpaqueTool | Mapping[str, Any]
"""A tool: a Python function, ours, or in OpenAI's shape."""


# --- messages ---------------------------------------------------------------------------------------------------------


def messages_from(said: Messages, system: str | None = None) -> tuple[Message, ...]:
    """A conversation from what the caller wrote; a list of texts and media is one message of the user."""
    if isinstance(said, str | Message | Mapping):
        said = [cast("Said", said)]
    if not isinstance(said, Sequence):
        raise InvalidRequestError(f"messages must be text or a list, not {type(said).__name__}", param="messages")
    if not said:
        raise InvalidRequestError("messages must not be empty", param="messages")
    if any(isinstance(item, Part) for item in said):
        messages = (Message("user", tuple(_part(item, at) for at, item in enumerate(said))),)
    else:
        messages = tuple(_message(item, at) for at, item in enumerate(said))
    return messages if system is None else (Message("system", (Text(system),)), *messages)


def _message(item: Said, at: int) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, str):
        return Message("user", (Text(item),))
    if isinstance(item, Mapping):
        return message_from_wire(_plain(item), f"messages[{at}]")
    raise InvalidRequestError(
        f"messages[{at}] must be text, a dict or a Message, not {type(item).__name__}", param=f"messages[{at}]"
    )


def _part(item: Said, at: int) -> AnyPart:
    if isinstance(item, str):
        return Text(item)
    if isinstance(item, Part):
        return cast("AnyPart", item)
    raise InvalidRequestError(f"messages[{at}]: texts and media make one message; leave dicts out", param="messages")


def _plain(item: Mapping[str, Any]) -> Json:
    """A dict whose values may be our own views (`reply.choices[0].message` unpacked) as plain JSON."""
    return {key: value.model_dump() if hasattr(value, "model_dump") else value for key, value in item.items()}


# --- media ------------------------------------------------------------------------------------------------------------

Media = str | Path | bytes


def image(media: Media, *, media_type: str | None = None, detail: str | None = None) -> Image:
    """A picture from a path, bytes, or an http(s) or data URL."""
    return Image(_source(media, media_type, "image/png"), detail)


def audio(media: Media, *, media_type: str | None = None) -> Audio:
    """Sound from a path, bytes, or an http(s) or data URL."""
    source = _source(media, media_type, "audio/wav")
    word = (source.media_type or "audio/wav").partition("/")[2]
    return Audio(source, {"x-wav": "wav", "mpeg": "mp3"}.get(word, word))


def file(media: Media, *, media_type: str | None = None, name: str | None = None) -> File:
    """A document from a path, bytes, or an http(s) or data URL."""
    named = name or (Path(str(media)).name if _is_path(media) else None)
    return File(_source(media, media_type, "application/pdf"), named)


def _is_path(media: Media) -> bool:
    return isinstance(media, Path) or (isinstance(media, str) and not re.match(r"(https?|data|gs|s3):", media))


def _source(media: Media, media_type: str | None, usual: str) -> Source:
    if isinstance(media, bytes):
        kind = media_type or next((kind for magic, kind in _MAGIC if media.startswith(magic)), usual)
        return Source(data=base64.b64encode(media).decode(), media_type=kind)
    if _is_path(media):
        try:
            content = Path(str(media)).read_bytes()
        except OSError as error:
            raise InvalidRequestError(f"{media} cannot be read: {error.strerror}") from None
        guessed = mimetypes.guess_type(str(media))[0]
        return _source(content, media_type or guessed, usual)
    url = str(media)
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        return Source(data=data, media_type=media_type or head.partition(";")[0] or usual)
    return Source(url=url, media_type=media_type or mimetypes.guess_type(url.partition("?")[0])[0])


_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
)
"""How the usual formats begin."""


# --- tools ------------------------------------------------------------------------------------------------------------


def tool_from(value: Callables, at: int = 0) -> AnyTool:
    """A tool from a Python function (schema from its signature and docstring), a struct, or OpenAI's shape."""
    if isinstance(value, Tool | OpaqueTool):
        return value
    if isinstance(value, Mapping):
        return tool_from_wire(dict(cast("Mapping[str, Any]", value)), f"tools[{at}]")
    if callable(value):
        return tool_from_function(value)
    raise InvalidRequestError(f"tools[{at}] must be a function, a dict or a Tool, not {type(value).__name__}")


def tool_from_function(function: Callable[..., Any]) -> Tool:
    """A tool from a Python function: name, first paragraph of the docstring, parameters and their descriptions."""
    name = getattr(function, "__name__", type(function).__name__)
    documentation = inspect.getdoc(function) or ""
    described = dict(_PARAMETER.findall(documentation))
    try:
        hints = get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"the tool '{name}' has a signature that cannot be read: {error}") from None
    properties: Json = {}
    definitions: Json = {}
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise InvalidRequestError(f"the tool '{name}' takes *{parameter.name}: give every argument a name")
        schema = _schema_of(hints.get(parameter.name, str), definitions)
        if text := described.get(parameter.name):
            schema["description"] = " ".join(text.split())
        properties[parameter.name] = schema
    schema = {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in parameters if parameter.default is parameter.empty],
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return Tool(name, _first_paragraph(documentation) or None, schema)


_PARAMETER = re.compile(r"^\s*(?::param\s+)?(\w+)(?:\s*\([^)]*\))?:[ \t]+(.+?)\s*$", re.MULTILINE)
"""`city: where to look`, with or without `:param` or a type in brackets, as the usual docstring styles write it."""


def _first_paragraph(documentation: str) -> str:
    return " ".join(documentation.partition("\n\n")[0].split())


def _schema_of(kind: Any, definitions: Json) -> Json:
    (schema,), found = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    definitions.update(found)
    return dict(schema)


# --- the form of an answer --------------------------------------------------------------------------------------------


class Form(Struct, frozen=True):
    """The form that an answer must have, and how its text becomes the caller's own type."""

    format: ResponseFormat
    parse: Callable[[str], Any]


def form_from(value: Any) -> Form:
    """From a type (dataclass, struct, pydantic class, any type msgspec knows), a JSON schema, or OpenAI's shape."""
    if isinstance(value, ResponseFormat):
        return Form(value, msgspec.json.decode)
    if isinstance(value, Mapping):
        return _form_from_mapping(dict(cast("Mapping[str, Any]", value)))
    if value in ("json", "json_object"):
        return Form(ResponseFormat("json"), msgspec.json.decode)
    name = getattr(value, "__name__", "answer")
    if hasattr(value, "model_json_schema") and hasattr(value, "model_validate_json"):
        return Form(ResponseFormat("schema", value.model_json_schema(), name, strict=True), value.model_validate_json)
    if isinstance(value, type) or is_dataclass(value) or hasattr(value, "__origin__"):
        return Form(ResponseFormat("schema", _closed(msgspec.json.schema(value)), name, strict=True), _reader(value))
    raise InvalidRequestError(
        "response_format must be a class, a JSON schema, or OpenAI's {'type': …}", param="response_format"
    )


def _form_from_mapping(value: Json) -> Form:
    if value.get("type") in {"text", "json_object", "json_schema"}:
        form = format_from_wire(value)
        return Form(form, str if form.kind == "text" else msgspec.json.decode)
    return Form(ResponseFormat("schema", value, str(value.get("title", "answer"))), msgspec.json.decode)


def _reader(kind: Any) -> Callable[[str], Any]:
    return msgspec.json.Decoder(kind).decode


def _closed(schema: Schema) -> Schema:
    """Every object of a schema closed and every property required, as strict structured output wants it
    (platform.openai.com/docs/guides/structured-outputs)."""
    for entry in (schema, *cast("dict[str, Schema]", schema.get("$defs", {})).values()):
        if entry.get("type") == "object" and "properties" in entry:
            entry.setdefault("additionalProperties", False)
            entry["required"] = list(entry["properties"])
    return schema


def parsed(reply: Reply, form: Form) -> Reply:
    """The reply with `parsed` filled in. A refusal or a call of tools has nothing to parse."""
    if reply.tool_calls or (reply.choices and reply.message.refusal):
        return reply
    try:
        reply.parsed = form.parse(reply.text)
    except ValueError as error:  # msgspec's and pydantic's complaints are ValueErrors
        cut = "; it was cut by max_tokens" if reply.finish == "length" else ""
        raise ResponseParseError(
            f"the answer does not fit the response_format{cut}: {str(error).splitlines()[0]}",
            provider=reply.provider,
            model=reply.model,
            body=reply.body,
        ) from None
    return reply


# --- requests ---------------------------------------------------------------------------------------------------------

_SETTINGS = frozenset(Settings.__struct_fields__)


def request_from(
    model: str,
    messages: Messages,
    *,
    system: str | None = None,
    tools: Sequence[Callables] = (),
    tool_choice: Any = None,
    form: Form | None = None,
    stream: bool = False,
    settings: Mapping[str, Any],
) -> Request:
    """A chat request. A setting that has no word of ours is an error that names those there are."""
    dials = dict(settings)
    if isinstance(stop := dials.get("stop"), str):
        dials["stop"] = (stop,)
    if isinstance(effort := dials.pop("reasoning_effort", None), str):
        dials["reasoning"] = Reasoning(effort=effort)
    if (most := dials.pop("max_completion_tokens", None)) is not None:
        dials["max_tokens"] = most
    for name in dials:
        if name not in _SETTINGS:
            known = ", ".join(sorted(_SETTINGS))
            raise InvalidRequestError(
                f"unknown setting '{name}'; there are {known}. What only a provider knows goes into extra_body",
                param=name,
            )
    return Request(
        model=model,
        messages=messages_from(messages, system),
        tools=tuple(tool_from(tool, at) for at, tool in enumerate(tools)),
        tool_choice=_choice(tool_choice),
        response_format=form.format if form is not None else None,
        settings=_settings(dials),
        stream=stream,
        include_usage=stream,
    )


def _settings(dials: Json) -> Settings:
    try:
        return msgspec.convert({key: value for key, value in dials.items() if value is not None}, Settings)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise InvalidRequestError(f"{name}: {what[:1].lower()}{what[1:]}", param=name) from None


def _choice(value: Any) -> ToolChoice | None:
    if value is None or isinstance(value, ToolChoice):
        return value
    if isinstance(value, str) and value not in {"auto", "none", "required"}:
        return ToolChoice("tool", value)
    if callable(value):
        return ToolChoice("tool", getattr(value, "__name__", ""))
    return tool_choice_from_wire(value)


def embedding_request_from(model: str, texts: str | Sequence[str], dimensions: int | None) -> EmbeddingRequest:
    """An embedding request for one text or several."""
    inputs = (texts,) if isinstance(texts, str) else tuple(texts)
    if not inputs or not all(isinstance(text, str) for text in inputs):
        raise InvalidRequestError("embed takes a text or a list of texts, at least one", param="input")
    return EmbeddingRequest(model=model, input=inputs, dimensions=dimensions, single=isinstance(texts, str))
