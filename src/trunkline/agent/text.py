"""Text: thinking, acting and answering in plain words, for models without tools.

Owns the protocol: how it is explained, and what a reply in it means. Pure functions.

    THINK: I need the sum.
    ACT: add(a=2, b=2)
    OBSERVE: 4                  what the tool said: ours to write, never the model's
    FINAL_ANSWER: 4
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from trunkline.vocabulary.tools import Schema, Tool
from trunkline.wire.grammar.schemas import inlined


class Call(Struct, frozen=True):
    """A tool that the model asks for."""

    tool: str
    arguments: dict[str, Any] = {}
    wrong: str | None = None
    """Why it cannot be run, where the model wrote it badly."""


class Meaning(Struct, frozen=True):
    """What a text means. At most one of `call` and `answer` is there: what came first."""

    kept: str
    """The text as far as it counts: what a model invents after its call is left out."""
    thought: str = ""
    call: Call | None = None
    answer: str | None = None
    spoken: bool = True
    """Whether it holds a word of the protocol."""


_PROTOCOL = """\
Solve the problem step by step. Write lines that begin with one of these words:

THINK: what you think
ACT: tool(argument='value', number=2)
FINAL_ANSWER: the answer to the problem

After an ACT line stop writing: you are told the tool's result as OBSERVE. Never write OBSERVE yourself. When you know \
the answer, write FINAL_ANSWER."""

GO_ON = (
    "Go on. To use a tool write a line such as ACT: tool(argument='value'). If you know the answer, write "
    "FINAL_ANSWER: and the answer."
)
"""What a model is told that has neither acted nor answered."""


def explained(tools: Iterable[Tool], instructions: str | None) -> str:
    """The system prompt that explains the protocol and the tools."""
    shown = "\n".join(line for tool in tools for line in _described(tool))
    told = f"The tools are:\n\n{shown}" if shown else "There are no tools."
    return "\n\n".join([*([instructions] if instructions else []), _PROTOCOL, told])


def signature(tool: Tool) -> str:
    """A tool as it is called: `add(a: integer, b: integer = 2)`."""
    schema = inlined(tool.parameters)
    said: list[str] = []
    for name, each in _properties(schema).items():
        default = "" if name in schema.get("required", ()) else f" = {each.get('default')!r}"
        said.append(f"{name}: {_kind(each)}{default}")
    return f"{tool.name}({', '.join(said)})"


def _described(tool: Tool) -> list[str]:
    about = {name: each.get("description") for name, each in _properties(tool.parameters).items()}
    head = f"{signature(tool)}: {tool.description}" if tool.description else signature(tool)
    return [f"- {head}", *(f"    {name}: {words}" for name, words in about.items() if words)]


def _properties(schema: Schema) -> Schema:
    return schema.get("properties", {})


def _kind(schema: Schema) -> str:
    """The type in a word, where one says it all; else the schema."""
    if isinstance(kind := schema.get("type"), str) and not schema.keys() & {"enum", "items", "properties"}:
        return kind
    said = {key: value for key, value in schema.items() if key not in ("description", "default")}
    return msgspec.json.encode(said).decode()


# --- reading ----------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"^[ \t>*_`#-]*(THINK|ACT|FINAL[_ ]ANSWER)[*_`]*[ \t]*:[*_` \t]*", re.MULTILINE)
"""A word of the protocol at the beginning of a line; models like to print it bold."""


def read(text: str, tools: Mapping[str, Tool]) -> Meaning:
    """What a reply means: a call, an answer, or only thoughts."""
    words = list(_WORD.finditer(text))
    turn = next((word for word in words if word[1] != "THINK"), None)
    if turn is None:
        return Meaning(text.strip(), _thought(text), spoken=bool(words))
    thought, after = _thought(text[: turn.start()]), text[turn.end() :]
    if turn[1] != "ACT":
        return Meaning(text.strip(), thought, answer=after.strip())
    written = _first_call(after)
    return Meaning(text[: turn.end() + len(written)].strip(), thought, call=call_from(written.strip(), tools))


def _thought(text: str) -> str:
    return _WORD.sub("", text).strip()


_NAME = re.compile(r"([A-Za-z0-9_-]+)\s*\(")
_TOKEN = re.compile(
    r"""('''|\"{3})(?:\\.|.)*?\1 | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | [()\[\]{}]""", re.DOTALL | re.VERBOSE
)
"""A bracket; or a string, in which brackets do not count."""


def _first_call(text: str) -> str:
    """The call that a text begins with, up to the bracket that closes it; its first line where there is none."""
    depth = 0
    if head := _NAME.match(text):
        for token in _TOKEN.finditer(text, head.end() - 1):
            depth += (token[0] in "([{") - (token[0] in ")]}")
            if depth == 0:
                return text[: token.end()]
    return text.partition("\n")[0]


def call_from(text: str, tools: Mapping[str, Tool]) -> Call:
    """A call in Python's syntax: arguments are literals, by name or in the order of the tool's parameters."""
    head = _NAME.match(text)
    if head is None:
        return Call("", wrong=f"'{text}' is no call: write one as in ACT: tool(argument='value')")
    name = head[1]
    parameters = list(_properties(tools[name].parameters)) if name in tools else []
    try:
        call = ast.parse(f"_({text[head.end() :]}", mode="eval").body
        return Call(name, _arguments(cast("ast.Call", call), parameters))
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        return Call(name, wrong=f"'{text}' is no call in Python's syntax with literal arguments: {error}")


def _arguments(call: ast.Call, parameters: list[str]) -> dict[str, Any]:
    """The arguments by name; whether there are such parameters, the tool itself finds out."""
    if len(call.args) > len(parameters):
        raise TypeError(f"it takes {len(parameters)} arguments by position, not {len(call.args)}")
    named = {keyword.arg or "**": keyword.value for keyword in call.keywords}
    given = {**dict(zip(parameters, call.args, strict=False)), **named}
    return {name: ast.literal_eval(value) for name, value in given.items()}
