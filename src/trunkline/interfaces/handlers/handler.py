"""Handler: from a prompt, and screenshots, to the object in the answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from trunkline.asking.lenient import lenient
from trunkline.asking.media import image
from trunkline.client import AsyncClient
from trunkline.vocabulary.errors import ContextWindowError, InvalidRequestError, TrunklineError
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Text
from trunkline.vocabulary.replies import Reply

from .faults import ours

logger = logging.getLogger("trunkline.interfaces.handlers")

PREFIX = "{"
"""With what an answer is begun for a model that would rather talk."""


class LLMAPIHandler(Protocol):
    """Answers prompts: what the factory gives, and what a program may register as its own."""

    async def __call__(
        self,
        prompt: str,
        prompt_name: str | None = None,
        *,
        screenshots: Sequence[bytes] | None = None,
        parameters: Mapping[str, Any] | None = None,
        system_prompt: str | None = None,
        raw_response: bool = False,
    ) -> Any:
        """The object in the answer, or the whole reply."""
        ...


class LLMCallStats(Struct, kw_only=True):
    """What a call came to: tokens, and US dollars with those of every attempt. None: nobody says."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    llm_cost: float | None = None

    def model_dump(self) -> dict[str, Any]:
        """As a dict."""
        return asdict(self)

    def model_dump_json(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()


class Handler:
    """A handler over the engine. May be called many times at once."""

    def __init__(self, key: str, client: AsyncClient, *, sees: bool, prefixed: bool) -> None:
        """`sees`: it is shown screenshots. `prefixed`: its answers are begun for it."""
        self.llm_key = key
        self._client = client
        self._sees = sees
        self._prefixed = prefixed
        self.last_call_stats = LLMCallStats()
        """Of the call that ended last."""

    def __repr__(self) -> str:
        return f"Handler({self.llm_key!r})"

    async def __call__(
        self,
        prompt: str,
        prompt_name: str | None = None,
        *,
        screenshots: Sequence[bytes] | None = None,
        parameters: Mapping[str, Any] | None = None,
        system_prompt: str | None = None,
        raw_response: bool = False,
    ) -> Any:
        """The object in the answer to a prompt; with `raw_response`, or where the model calls tools, the whole reply.
        `parameters` (settings, rules, `tools`) count more than the configuration's. Raises LLMProviderError and its
        kin; `prompt_name` is told in the log."""
        check = None if raw_response else self._complaint
        try:
            talk = self._talk(prompt, screenshots or ())
            if self._prefixed and not raw_response:
                talk.append(Message("assistant", (Text(PREFIX),)))
            said: dict[str, Any] = {"truncate_prompt": True, "check": check, **_words(parameters)}
            reply = await self._client.complete(talk, system=system_prompt, **said)
        except TrunklineError as error:
            told = ours(error)
            logger.error("%s failed for %s: %s", self.llm_key, prompt_name or "a prompt", told.kind)  # noqa: TRY400
            if isinstance(error, ContextWindowError) and prompt_name:
                told.message = f"{prompt_name}: {told.message}"
            raise told from error
        self.last_call_stats = _stats(reply)
        return reply if raw_response or reply.tool_calls else self._read(reply)

    send_prompt = __call__

    def _talk(self, prompt: Any, screenshots: Sequence[bytes]) -> list[Message]:
        if not isinstance(prompt, str):
            raise InvalidRequestError(f"the prompt is a text, not {type(prompt).__name__}", param="prompt")
        return [said("user", prompt, *(map(image, screenshots) if self._sees else ()))]

    def _read(self, reply: Reply) -> Any:
        text = reply.text
        if self._prefixed and not text.lstrip().startswith(PREFIX):  # it may have begun anew, or in a fence
            try:
                return lenient(PREFIX + text)
            except ValueError:
                return lenient(text)
        return lenient(text)

    def _complaint(self, reply: Reply) -> str | None:
        """What is wrong with an answer; the engine asks again."""
        if reply.tool_calls:
            return None
        if not reply.text.strip():
            return "the answer is empty"
        try:
            self._read(reply)
        except ValueError as error:
            return f"the answer is no JSON: {error}"
        return None


def _words(parameters: Any) -> Mapping[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise InvalidRequestError(f"parameters is a dict, not {type(parameters).__name__}", param="parameters")
    said = cast("Mapping[str, Any]", parameters)
    for word in ("messages", "system", "model"):
        if word in said:
            raise InvalidRequestError(f"{word} is no parameter of a prompt", param=word)
    return said


def _stats(reply: Reply) -> LLMCallStats:
    usage = reply.usage
    cost = reply.route.cost if reply.route is not None and reply.route.attempts else reply.cost
    if usage is None:
        return LLMCallStats(llm_cost=float(cost) if cost is not None else None)
    return LLMCallStats(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning,
        cached_tokens=usage.cache_read,
        llm_cost=float(cost) if cost is not None else None,
    )
