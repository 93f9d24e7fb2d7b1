"""Generate: `generate` and `LLMInterface`, which answer with dicts and never raise what a provider did.

Owns the variables of this door (`LLM_PROVIDER`, `PRIMARY_MODEL`, …), the order in which they count, and the shape of
its dicts. Which target answers, retries, fallbacks and the line for a slot are the engine's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from trunkline.client import AsyncClient
from trunkline.clock import SystemClock
from trunkline.config.file import Reading
from trunkline.config.shapes import Address, Count, CountFromZero, Seconds, fitting
from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import AllTargetsFailed, ConfigurationError, InvalidRequestError, TrunklineError
from trunkline.vocabulary.replies import Reply

from .faults import row_of
from .line import FOREVER, Once, chain, line, manner, named, on_reload, placed

logger = logging.getLogger("trunkline.interfaces.generate")

ProviderName = Literal["openai", "litellm", "anthropic", "azure", "fallback"]
PROVIDERS: tuple[str, ...] = get_args(ProviderName)

MAX_RETRIES = 3
TIMEOUT = 60.0
CONCURRENT = 5
TEMPERATURE = 0.7
MAX_TOKENS = 1000
AZURE_API_VERSION = "2023-05-15"
USUAL_MODELS = {"openai": "gpt-3.5-turbo", "anthropic": "claude-3-5-haiku-latest"}
"""What the fallback asks of a provider that has a key, where `OPENAI_MODEL` or `ANTHROPIC_MODEL` do not say."""
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_numbers = count(1)

Response = dict[str, Any]
"""`text` and `metadata`; where it failed, `error` and `error_type` too."""


class LLMInterface:
    """A line to one provider, or with `fallback` to several in order.

    What an argument does not say, a variable does, and then the file that `LLM_CONFIG_FILE` names: YAML with the same
    names, in small letters or large. Raises ConfigurationError for an argument that cannot be.
    """

    def __init__(
        self,
        provider: str | None = None,
        model: str | None = None,
        api_key: str | None = None,
        api_base: str | None = None,
        max_retries: int = MAX_RETRIES,
        timeout: float = TIMEOUT,
        max_concurrent_requests: int | None = None,
    ) -> None:
        """`max_retries` is how often a call asks again, `timeout` the seconds of an attempt, and
        `max_concurrent_requests` how many attempts are under way at a time; more of them wait."""
        self._said = _Said()
        self.provider = _one_of(provider or self._said("LLM_PROVIDER") or "litellm")
        self.model = _name(model, ConfigurationError) or self._said("PRIMARY_MODEL")
        self.max_retries = fitting(max_retries, CountFromZero, "max_retries")
        self.timeout = fitting(timeout, Seconds, "timeout")
        concurrent = self._said.count("LLM_CONCURRENT_NUMBER", CONCURRENT)
        if max_concurrent_requests is not None:
            concurrent = fitting(max_concurrent_requests, Count, "max_concurrent_requests")
        self.max_concurrent_requests = concurrent
        self._key = api_key
        self._base = fitting(api_base, Address, "api_base") if api_base is not None else None
        self._slots = f"interface-{next(_numbers)}"
        """The bucket that its attempts share."""
        self._clients: dict[str | None, AsyncClient] = {}
        line()  # what is wrong with the machine's configuration is told here, not by a call
        _set_level(self._said("WISEFLOW_LOG_LEVEL"))

    def __repr__(self) -> str:
        return f"LLMInterface(provider={self.provider!r}, model={self.model!r})"

    async def generate(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None = None,
        temperature: float | None = TEMPERATURE,
        max_tokens: int | None = MAX_TOKENS,
        **options: Any,
    ) -> Response:
        """Ask. Whatever goes wrong is told in the answer, under `error` and `error_type`; only cancelling raises."""
        clock = line().runtime.clock
        began = clock.now()
        metadata = _metadata(self.provider, model or self.model, temperature, max_tokens)
        logger.debug("asking %s for %s", self.provider, metadata["model"])
        try:
            line_ = self._client(_name(model))
            reply = await line_.complete(_talk(messages), temperature=temperature, max_tokens=max_tokens, **options)
        except TrunklineError as error:
            outcome = self._failed(error)
        else:
            outcome = {"text": reply.text}
            metadata |= self._told(reply)
        return {**outcome, "metadata": _timed(metadata, clock, began)}

    def _failed(self, error: TrunklineError) -> Response:
        kind = row_of(error).kind
        for cause in error.causes[:-1] if isinstance(error, AllTargetsFailed) else ():
            logger.warning("attempt at %s/%s: %s", cause.provider, cause.model, cause.kind)
        logger.error("%s failed: %s: %s", self.provider, kind, error)
        text = f"No provider could answer: {error}" if self.provider == "fallback" else ""
        return {"text": text, "error": str(error), "error_type": kind}

    def _told(self, reply: Reply) -> dict[str, Any]:
        """What the answer says of itself."""
        attempts = reply.route.attempts if reply.route is not None else []
        for attempt in attempts:
            if attempt.error is not None:
                logger.warning("attempt at %s: %s", attempt.target, attempt.error)
        logger.info("%s answered in %.2f s after %d attempts", reply.target, reply.seconds or 0.0, len(attempts))
        usage = reply.usage
        return {
            "provider": (reply.provider or self.provider) if self.provider == "fallback" else self.provider,
            "model": (reply.target or "").partition("/")[2] or reply.model,
            "usage": {name: getattr(usage, name) for name in NO_USAGE} if usage is not None else dict(NO_USAGE),
        }

    # -- who is asked --------------------------------------------------------------------------------------------------

    def _client(self, model: str | None) -> AsyncClient:
        """The client for a model, with those behind it."""
        name = model or self.model
        if not name and self.provider != "fallback":
            raise ConfigurationError("no model is named: set PRIMARY_MODEL, or give model=…", param="model")
        client = self._clients.get(name)
        if client is None:
            if len(self._clients) >= MOST_MODELS:
                self._clients.clear()
            client = self._clients[name] = self._made(name)
        return client

    def _made(self, model: str | None) -> AsyncClient:
        targets = dict(self._chain(model))
        if not targets:
            raise ConfigurationError("the fallback has nobody to ask: set PRIMARY_MODEL, or a provider's key")
        shared = {name: {**target, "buckets": [self._slots]} if target else {} for name, target in targets.items()}
        said = chain(shared, manner(retries=self.max_retries, timeout=self.timeout, first=1.0))
        said["buckets"] = {self._slots: {"concurrency": self.max_concurrent_requests}}
        said["queue"] = {"length": MOST_WAITING, "seconds": FOREVER}
        return line().client(said, self._said.env)

    def _chain(self, model: str | None) -> list[tuple[str, dict[str, Any]]]:
        """The targets to try, in order; nothing is said of those that the machine's configuration has."""
        several = self.provider == "fallback"
        found = [self._target(model, model)] if model else []
        second = self._said("SECONDARY_MODEL")
        if second:
            found.append(self._target(second, model))
        if several:
            others = {name: self._said(f"{name.upper()}_MODEL") or usual for name, usual in USUAL_MODELS.items()}
            others["azure"] = self._said("AZURE_MODEL") or "" if self._said("AZURE_API_BASE") else ""
            asked = {name.partition("/")[0] for name, _ in found}
            for name, usual in others.items():
                if usual and name not in asked and self._said(f"{name.upper()}_API_KEY"):
                    found.append(self._target(f"{name}/{usual}", model))
        return found

    def _target(self, model: str, first: str | None) -> tuple[str, dict[str, Any]]:
        """A model at its provider, with that one's key and address. What the caller gave, and the variables that name
        no provider, go to the interface's own and to no other: where it has none, to that of its model, or of the
        `first` that is asked."""
        if named(model):
            return model, {}
        provider, name = self._placed(model)
        variable, home = provider.upper(), self.provider
        if home in ("litellm", "fallback"):
            home = placed(self.model or first or model)[0]
        key = self._said(f"{variable}_API_KEY")
        base = self._said(f"{variable}_API_BASE") or self._said(f"{variable}_BASE_URL")
        if provider == home:
            key = self._key or key or self._said("LLM_API_KEY")
            base = self._base or base or self._said("LLM_API_BASE")
        target: dict[str, Any] = {"model": f"{provider}/{name}", "api_key": key, "base_url": base}
        if provider == "azure":
            target["options"] = {"api_version": self._said("AZURE_API_VERSION") or AZURE_API_VERSION}
        return f"{provider}/{name}", target

    def _placed(self, model: str) -> tuple[str, str]:
        """Provider and name of a model: as it is written, else at the provider of this interface, else at its lab's."""
        return placed(model, None if self.provider in ("litellm", "fallback") else self.provider)


MOST_MODELS = 100
MOST_WAITING = 100_000


class _Said:
    """The variables, and the file behind them."""

    def __init__(self) -> None:
        self.env: Mapping[str, str] = dict(os.environ)
        self._file: Mapping[str, str] = (
            _read(Path(named), self.env) if (named := self.env.get("LLM_CONFIG_FILE")) else {}
        )

    def __call__(self, name: str) -> str | None:
        said = self.env.get(name) or self._file.get(name)
        return said.strip() or None if said else None

    def count(self, name: str, usual: int) -> int:
        """A whole number from 1 up."""
        said = self(name)
        if said is None:
            return usual
        return fitting(said, Count, name, strict=False)


def _read(file: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What a file says, by variables' names, with `${VAR}` from the environment."""
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"LLM_CONFIG_FILE: {file} cannot be read: {type(error).__name__}") from None
    if not isinstance(read, dict):
        raise ConfigurationError(f"LLM_CONFIG_FILE: {file} must have lines such as 'primary_model: gpt-4'")
    said, reading = cast("dict[Any, Any]", read), Reading(str(file), env)
    filled = {
        str(name).upper(): reading.filled(str(value), str(name)) for name, value in said.items() if value is not None
    }
    if reading.mistakes:
        raise ConfigurationError("\n".join(map(str, reading.mistakes)))
    return filled


def _one_of(said: Any) -> str:
    provider = said.lower() if isinstance(said, str) else said
    if provider not in PROVIDERS:
        raise ConfigurationError(f"the provider is one of {', '.join(PROVIDERS)}, not {provider!r}", param="provider")
    return provider


def _name(model: Any, wrong: type[TrunklineError] = InvalidRequestError) -> str | None:
    if model is not None and not isinstance(model, str):
        raise wrong(f"model is a model's name, not {model!r}", param="model")
    return model or None


def _metadata(provider: str | None, model: str | None, temperature: Any, max_tokens: Any) -> dict[str, Any]:
    """What is told of every call."""
    said = {"provider": provider, "model": model, "temperature": temperature, "max_tokens": max_tokens}
    return {**said, "usage": dict(NO_USAGE)}


def _timed(metadata: dict[str, Any], clock: Clock, began: float) -> dict[str, Any]:
    stamp = datetime.fromtimestamp(clock.wall(), UTC).isoformat()
    return {**metadata, "latency": clock.now() - began, "timestamp": stamp}


def _talk(messages: Any) -> Any:
    if not isinstance(messages, list | tuple) or not messages:
        raise InvalidRequestError("messages must be a list of dicts with role and content", param="messages")
    return cast("Any", messages)


def _set_level(level: str | None) -> None:
    """`WISEFLOW_LOG_LEVEL` says how much is logged; where nobody listens yet, on stderr."""
    if level is None:
        logger.setLevel(logging.NOTSET)
        return
    if level.upper() not in logging.getLevelNamesMapping():
        raise ConfigurationError(f"WISEFLOW_LOG_LEVEL is DEBUG, INFO, WARNING or ERROR, not {level!r}")
    logger.setLevel(level.upper())
    listening = [each for own in (logger, *_above(logger)) for each in own.handlers]
    if all(isinstance(each, logging.NullHandler) for each in listening):
        logger.addHandler(logging.StreamHandler())


def _above(own: logging.Logger) -> Iterator[logging.Logger]:
    """The loggers to which one passes on."""
    while own.propagate and own.parent is not None:
        own = own.parent
        yield own


# -- the process' own --------------------------------------------------------------------------------------------------

_interface = Once(LLMInterface)
on_reload(_interface.forget)


async def generate(
    messages: Sequence[Mapping[str, Any]],
    model: str | None = None,
    temperature: float | None = TEMPERATURE,
    max_tokens: int | None = MAX_TOKENS,
    **options: Any,
) -> Response:
    """Ask the interface that the environment describes: see `LLMInterface.generate`."""
    try:
        interface = _interface()
    except ConfigurationError as error:
        logger.error("%s", error)  # noqa: TRY400 it is the user's, and the trace says nothing
        clock = SystemClock()
        metadata = _metadata(os.environ.get("LLM_PROVIDER"), model, temperature, max_tokens)
        told = _timed(metadata, clock, clock.now())
        return {"text": "", "error": str(error), "error_type": error.kind, "metadata": told}
    return await interface.generate(messages, model, temperature, max_tokens, **options)
