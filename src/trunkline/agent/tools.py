"""Tools that are run: functions that a model may call.

Owns the running: arguments that fit the function, its result in words, and its failure in words. Whatever a tool
raises is told to the model, which may do better next time; only a cancellation goes on to the caller.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct

from trunkline.asking import tool_from_function
from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.tools import Tool

from .text import Call, signature

LONGEST = 8_000
"""The most characters of an observation; what is longer is cut, and says so."""


class Runnable(Struct, frozen=True):
    """A tool and the function that it runs: for an agent whose tools have schemas of their own."""

    tool: Tool
    function: Callable[..., Any]
    takes: type[Struct] | None = None
    """What the arguments are converted to; None: the function gets them as the model gives them."""

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """The result in words. A function that is not async runs in a thread; a cancelled call does not wait for it."""
        given = self._fitting(arguments)
        if inspect.iscoroutinefunction(self.function):
            return _in_words(await self.function(**given))
        result = await asyncio.to_thread(self.function, **given)
        return _in_words(await result if inspect.isawaitable(result) else result)

    def _fitting(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.takes is None:
            return arguments
        try:
            fit = msgspec.convert(arguments, self.takes, strict=False, dec_hook=_read_foreign)
        except ValueError as error:
            raise _Refused(f"the arguments do not fit {signature(self.tool)}: {error}") from None
        values = {name: getattr(fit, name) for name in self.takes.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}


def runnables_from(tools: Iterable[Any]) -> dict[str, Runnable]:
    """The tools by name. A list among them is a group of tools."""
    found: dict[str, Runnable] = {}
    for entry in tools:
        for value in cast("Iterable[Any]", entry) if isinstance(entry, list | tuple) else (entry,):
            one = _runnable_from(value)
            if one.tool.name in found:
                raise InvalidRequestError(f"two tools are called '{one.tool.name}': rename one", param="tools")
            found[one.tool.name] = one
    return found


def _runnable_from(value: Any) -> Runnable:
    if isinstance(value, Runnable):
        return value
    if not callable(value):
        raise InvalidRequestError(
            "an agent runs its tools: give functions, or Runnable(Tool(…), function) where you have a schema",
            param="tools",
        )
    tool = tool_from_function(value)
    return Runnable(tool, value, _struct_of(value, tool))


def _struct_of(function: Callable[..., Any], tool: Tool) -> type[Struct]:
    """A struct with the function's parameters: msgspec converts to it, and says what does not fit."""
    fields: list[Any] = []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name in tool.parameters["properties"]:  # the others a partial has already
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields.append((name, kind) if parameter.default is parameter.empty else (name, kind, UNSET))
    return msgspec.defstruct(tool.name, fields, kw_only=True, forbid_unknown_fields=True)


def _read_foreign(kind: Any, value: Any) -> Any:
    return kind.model_validate(value)  # pydantic's


def _in_words(result: Any) -> str:
    try:
        plain = msgspec.to_builtins(result)
        return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
    except (TypeError, ValueError):  # no JSON: its own words
        return str(result)


class _Refused(Exception):
    """A call that is not made; the model is told why."""


async def observed(call: Call, tools: Mapping[str, Runnable]) -> tuple[str, bool]:
    """What comes of a call: the result, or why there is none; and whether it failed."""
    try:
        return _short(await _found(call, tools).run(call.arguments)), False
    except _Refused as error:
        return _short(str(error)), True
    except Exception as error:  # noqa: BLE001 a tool may raise whatever it likes
        return _short(f"{type(error).__name__}: {error}"), True


def _found(call: Call, tools: Mapping[str, Runnable]) -> Runnable:
    if call.tool and call.tool not in tools:
        raise _Refused(f"there is no tool '{call.tool}'; the tools are: {', '.join(tools) or 'none'}")
    if call.wrong is not None:
        raise _Refused(call.wrong)
    return tools[call.tool]


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… (cut: the first {LONGEST:,} of {len(text):,} characters)"
