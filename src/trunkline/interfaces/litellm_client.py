"""LiteLLM client: `LiteLLMClient`, synchronous, with answers in OpenAI's shape and five errors of its own.

Owns the names of that client, where it finds its configuration, and the older words for tools (`functions`,
`function_call`). Fallbacks, retries, cache and prices are the engine's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from msgspec import Struct, field
from msgspec.structs import asdict

from trunkline.config.file import Reading
from trunkline.config.shapes import CountFromZero, Seconds, fitting
from trunkline.portal import Client, Stream
from trunkline.vocabulary.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
    ResourceExhaustedError,
    TrunklineError,
)
from trunkline.vocabulary.events import Event
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import EmbeddingReply, Reply
from trunkline.wire.grammar.fields import an_object

from .faults import told_as
from .line import CHAIN, chain, line, manner, named, placed

USUAL_MODEL = "gpt-3.5-turbo"
USUAL_EMBEDDING_MODEL = "text-embedding-ada-002"
FILE = "dewey.yaml"
"""Read from the working directory, if it is there, unless LITELLM_CONFIG names another."""


class LLMError(TrunklineError):
    """Whatever this client raises; its cause is the engine's own error."""


class LLMAuthenticationError(LLMError, AuthenticationError):
    """The key is missing, wrong, or not allowed to do this."""


class LLMConnectionError(LLMError, APIConnectionError):
    """The network failed."""


class LLMRateLimitError(LLMError):
    """Too fast, or the account's quota is spent."""


class LLMTimeoutError(LLMError, APITimeoutError):
    """The answer took longer than `timeout` allows."""


class LLMResponseError(LLMError):
    """Anything else that went wrong with a call."""


class LLMConfigurationError(LLMError, ConfigurationError):
    """Something is wrong with what the program, the file or the environment says; nothing was sent."""


_OURS: Mapping[type[TrunklineError], type[TrunklineError]] = {
    AuthenticationError: LLMAuthenticationError,
    APIConnectionError: LLMConnectionError,
    RateLimitError: LLMRateLimitError,
    ResourceExhaustedError: LLMRateLimitError,
    APITimeoutError: LLMTimeoutError,
    ConfigurationError: LLMConfigurationError,
}


class Message(Struct, omit_defaults=True):
    """A turn of a conversation."""

    role: str
    """`system`, `user`, `assistant`, `tool`, or the older `function`."""
    content: str | None = None
    name: str | None = None
    """The tool that a `tool` or `function` turn comes from."""
    function_call: Mapping[str, str] | None = None
    """What the model asked for, in the older form: `name` and `arguments`."""
    tool_calls: Sequence[Any] | None = None
    tool_call_id: str | None = None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


class LiteLLMConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client asks, and how."""

    model: str = USUAL_MODEL
    api_key: str | None = None
    """For the provider of `model`; other providers have the key of their own variable."""
    timeout: Seconds = 60
    """Seconds of an attempt."""
    max_retries: CountFromZero = 3
    """How often a call asks again after its first attempt."""
    fallback_models: list[str] = []
    """Asked in order when the first cannot answer."""
    cache: bool = False
    base_url: str | None = None
    """Where the provider of `model` is, if not at its usual address."""

    def __post_init__(self) -> None:
        try:
            fitting(self.timeout, Seconds, "timeout")
            fitting(self.max_retries, CountFromZero, "max_retries")
        except ConfigurationError as error:
            raise _ours(error) from None
        named: Any = self.fallback_models
        if not isinstance(named, list | tuple) or not all(map(_is_name, cast("list[Any]", named))):
            raise LLMConfigurationError(f"fallback_models is a list of models' names, not {named!r}")
        if not _is_name(self.model):
            raise LLMConfigurationError(f"model is a model's name, not {self.model!r}")

    def __repr__(self) -> str:
        shown = f"model={self.model!r}, timeout={self.timeout!r}, fallback_models={self.fallback_models!r}"
        return f"LiteLLMConfig({shown})"  # the key is left out

    @classmethod
    def from_yaml(cls, path: str | Path) -> LiteLLMConfig:
        """The section `llm` of a file, with `${VAR}` from the environment. Raises LLMConfigurationError that names
        every mistake and its line."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LLMConfigurationError(f"{path} cannot be read: {type(error).__name__}") from None
        reading = Reading(str(path), os.environ)
        read = reading.read(text, _File)
        ours = [one for one in reading.mistakes if read is None or one.path.startswith(SECTION)]  # others' are theirs
        if ours or read is None:
            raise LLMConfigurationError("\n".join(map(str, ours)))
        return read.llm

    @classmethod
    def from_env(cls) -> LiteLLMConfig:
        """What `LITELLM_MODEL`, `LITELLM_TIMEOUT`, `LITELLM_MAX_RETRIES`, `LITELLM_FALLBACKS` (commas between) and
        `LITELLM_CACHE` say. Keys stay in the variables of their providers."""
        reading = Reading("environment", os.environ)
        said: Json = {}
        for variable, (name, kind) in _VARIABLES.items():
            if text := os.environ.get(variable):
                said[name] = reading.variable(variable, text, kind, name)
        if reading.mistakes:
            raise LLMConfigurationError("\n".join(str(mistake) for mistake in reading.mistakes))
        fallbacks = os.environ.get("LITELLM_FALLBACKS", "").split(",")
        return cls(**said, fallback_models=[name.strip() for name in fallbacks if name.strip()])


_VARIABLES: Mapping[str, tuple[str, Any]] = {
    "LITELLM_MODEL": ("model", str),
    "LITELLM_TIMEOUT": ("timeout", Seconds),
    "LITELLM_MAX_RETRIES": ("max_retries", CountFromZero),
    "LITELLM_CACHE": ("cache", bool),
}


SECTION = "llm"


class _File(Struct):
    """A file that may say other things, too."""

    llm: LiteLLMConfig = field(default_factory=LiteLLMConfig)


MOST_ANSWERS = 10_000
"""How many a client keeps, where it keeps them."""
MOST_CLIENTS = 100
"""One for each model that is asked for."""


class LiteLLMClient:
    """A synchronous client. Safe to share between threads, and to call where a loop runs.

    Without a configuration it takes the file that LITELLM_CONFIG names, else `dewey.yaml` if it is there, else the
    environment.
    """

    def __init__(self, config: LiteLLMConfig | None = None) -> None:
        """Raises LLMConfigurationError where the configuration makes no sense."""
        self.config = config if config is not None else _found()
        self._env = dict(os.environ)
        self._clients: dict[str, Client] = {}

    def generate_completion(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        model: str | None = None,
        *,
        functions: Sequence[Mapping[str, Any]] | None = None,
        function_call: str | Mapping[str, str] | None = None,
        stream: bool = False,
        **options: Any,
    ) -> Any:
        """Ask: a whole reply, or with `stream=True` an iterator over chunks, both in OpenAI's shape. Further options
        are those of `trunkline.Client.complete`. Raises the five errors."""
        try:
            if functions is not None:
                options["tools"] = _tools(functions)
            if function_call is not None:
                options["tool_choice"] = _named(function_call)
            client = self._client(model or self.config.model)
            if stream:
                return _chunks(client.stream(_turns(messages), **options))
            return client.complete(_turns(messages), **options)
        except TrunklineError as error:
            raise _ours(error) from error

    def generate_embedding(self, input_text: str | Sequence[str], model: str | None = None, **options: Any) -> Any:
        """Vectors of floats, in the order of the input: `["data"][0]["embedding"]`. Options: `dimensions`, `user`, and
        rules."""
        name = model or self._env.get("LITELLM_EMBEDDING_MODEL") or USUAL_EMBEDDING_MODEL
        try:
            if options.pop("encoding_format", "float") != "float":
                raise InvalidRequestError("vectors are given as floats", param="encoding_format")
            if (user := options.pop("user", None)) is not None:
                options["extra_body"] = {**options.get("extra_body", {}), "user": user}
            reply: EmbeddingReply = self._client(name, fallbacks=()).embed(input_text, CHAIN, **options)
        except TrunklineError as error:
            raise _ours(error) from error
        return reply

    def get_model_details(self, model: str | None = None) -> Json:
        """What is known of a model: its provider, its windows in tokens, its prices in US dollars a token, and what it
        can; None where nobody says."""
        wanted = model or self.config.model
        if not _is_name(wanted):
            raise LLMResponseError(f"a model's name is a text, not {wanted!r}")
        provider, name = placed(wanted)
        facts = line().book.lookup(provider, name)
        rates = facts.rates() if facts is not None else None
        return {
            "model": name,
            "provider": provider,
            "max_input_tokens": facts.context if facts is not None else None,
            "max_output_tokens": facts.max_output if facts is not None else None,
            "input_cost_per_token": _each(rates.input) if rates is not None else None,
            "output_cost_per_token": _each(rates.output) if rates is not None else None,
            "supports_function_calling": facts.tools if facts is not None else None,
            "supports_vision": facts.vision if facts is not None else None,
        }

    def _client(self, model: str, fallbacks: Sequence[str] | None = None) -> Client:
        config = self.config
        if not _is_name(model):
            raise InvalidRequestError(f"a model's name is a text, not {model!r}", param="model")
        names = list(dict.fromkeys([model, *(config.fallback_models if fallbacks is None else fallbacks)]))
        key = ",".join(names)
        if key not in self._clients:
            home = placed(config.model)[0]
            targets: dict[str, Json] = {}
            for name in names:
                provider, bare = placed(name)
                given = {"api_key": config.api_key, "base_url": config.base_url} if provider == home else {}
                targets[name] = {} if named(name) else {"model": f"{provider}/{bare}", **given}
            how = manner(retries=config.max_retries, timeout=config.timeout, first=0.5, always_moves=True)
            said = chain(targets, how)
            said["cache"] = {"always": True, "max_entries": MOST_ANSWERS} if config.cache else {"always": False}
            if len(self._clients) >= MOST_CLIENTS:
                self._clients.clear()
            self._clients[key] = line().client(said, self._env, kind=Client)
        return self._clients[key]


def completion_cost(response: Any) -> float:
    """US dollars that an answer cost. Raises LLMResponseError where the price is unknown: a cost is never taken for
    nothing."""
    if not isinstance(response, Reply):
        raise LLMResponseError("completion_cost takes what generate_completion gave")
    if response.cost is None:
        raise LLMResponseError(f"the price of {response.target} is unknown: name it under 'prices' in trunkline.yaml")
    return float(response.cost)


def _ours(error: TrunklineError) -> TrunklineError:
    return told_as(error, _OURS, LLMResponseError)


def _found() -> LiteLLMConfig:
    named = os.environ.get("LITELLM_CONFIG")
    if named or Path(FILE).is_file():
        return LiteLLMConfig.from_yaml(named or FILE)
    return LiteLLMConfig.from_env()


def _chunks(stream: Stream) -> Iterator[Event]:
    """Those events that a program in OpenAI's words looks for: each has a choice."""
    try:
        with stream:
            yield from (event for event in stream if event.choices)
    except TrunklineError as error:
        raise _ours(error) from error


def _each(rate: Any) -> float | None:
    return float(rate) / 1e6 if rate is not None else None


# -- older words -------------------------------------------------------------------------------------------------------


def _tools(functions: Any) -> list[Json]:
    if not isinstance(functions, list | tuple):
        raise InvalidRequestError("functions is a list of dicts with name and parameters", param="functions")
    return [_tool(function) for function in cast("list[Any]", functions)]


def _tool(function: Any) -> Json:
    """A function as a tool. Parameters that are only the properties of a schema get the object around them."""
    said = an_object(function)
    schema: Json = an_object(said.get("parameters") or {})
    if not isinstance(said.get("name"), str) or (said.get("parameters") and not schema):
        raise InvalidRequestError("a function is a dict with name and parameters", param="functions")
    if "properties" not in schema and schema.get("type") != "object":
        schema = {"type": "object", "properties": schema}
    return {"type": "function", "function": {**said, "parameters": schema}}


def _named(called: Any) -> str:
    """The name in a `function_call`."""
    name = an_object(called).get("name") if isinstance(called, dict) else called
    if not isinstance(name, str):
        raise InvalidRequestError("function_call is 'auto', 'none', or a dict with a name", param="function_call")
    return name


def _turns(messages: Any) -> Any:
    """Messages as the engine reads them; the older turns of functions become those of tools."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return messages
    open_calls: list[tuple[str, str]] = []
    return [_turn(message, open_calls) for message in cast("Sequence[Any]", messages)]


def _turn(message: Any, open_calls: list[tuple[str, str]]) -> Any:
    """`open_calls` are the tools that were called in earlier turns and have not answered: name and id."""
    body: Any = asdict(message) if isinstance(message, Message) else message
    if not isinstance(body, Mapping):
        open_calls += [(call.name, call.id) for call in getattr(body, "tool_calls", None) or ()]
        return message
    body = {name: value for name, value in cast("Json", body).items() if value is not None}
    if (called := body.pop("function_call", None)) is not None:
        name = _named(called)
        body["tool_calls"] = [{"id": f"call_{len(open_calls)}_{name}", "type": "function", "function": dict(called)}]
    open_calls += [_name_and_id(call) for call in body.get("tool_calls") or ()]
    if body.get("role") in ("tool", "function"):
        return {**body, "role": "tool", "tool_call_id": _answered(body, open_calls)}
    return body


def _name_and_id(call: Any) -> tuple[str, str]:
    """Of a call in OpenAI's shape, or of one of ours."""
    if not isinstance(call, dict):
        return str(getattr(call, "name", "")), str(getattr(call, "id", ""))
    said = an_object(cast("Any", call))
    return str(an_object(said.get("function")).get("name", "")), str(said.get("id") or "")


def _answered(body: Json, open_calls: list[tuple[str, str]]) -> str:
    """The id of the call that a turn answers: as it says, else that of the first open one of its name."""
    name, said = str(body.get("name", "")), body.get("tool_call_id")
    found = next((call for call in open_calls if (call[1] == said if said else call[0] == name)), None)
    if found is not None:
        open_calls.remove(found)
    return str(said or (found[1] if found is not None else f"call_{name}"))
