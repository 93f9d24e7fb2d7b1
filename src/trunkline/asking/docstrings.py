"""Docstrings: what they say of a function and of its parameters, in Google's, NumPy's and reST's style."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile

from msgspec import Struct


class Documented(Struct, frozen=True):
    """The first paragraph, and the parameters' descriptions, each on one line."""

    summary: str
    parameters: dict[str, str]


def documented(text: str, parameters: Collection[str]) -> Documented:
    """What a docstring says, as `inspect.getdoc` gives it."""
    lines = text.splitlines()
    found: dict[str, str] = {}
    for style in (_rest, _numpy, _google, _plain):
        for name, words in style(lines):
            if name in parameters and any(words):
                found.setdefault(name, " ".join(" ".join(words).split()))
    return Documented(_summary(lines), found)


def _summary(lines: Sequence[str]) -> str:
    words: list[str] = []
    for at, line in enumerate(lines):
        underlined = at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1])
        if not line.strip() or _GOOGLE_HEAD.match(line) or line.lstrip().startswith(":") or underlined:
            break
        words.append(line)
    return " ".join(" ".join(words).split())


Entry = tuple[str, list[str]]
"""A parameter's name and the lines about it."""

_REST = re.compile(r":param(?:eter)?\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:(.*)")
_GOOGLE_HEAD = re.compile(r"(Args|Arguments|Parameters|Params|Returns|Raises|Yields|Examples?|Notes?)\s*:\s*$")
_GOOGLE = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(.*)")
_NUMPY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_RULE = re.compile(r"\s*-{3,}\s*")


def _rest(lines: Sequence[str]) -> Iterator[Entry]:
    """`:param city: where to look`, perhaps going on in the next lines."""
    for at, line in enumerate(lines):
        if match := _REST.match(line.strip()):
            yield match[1], [match[2], *_deeper(lines[at + 1 :], _depth(line))]


def _google(lines: Sequence[str]) -> Iterator[Entry]:
    """`Args:`, and below it `city (str): where to look`, going on in lines that are indented deeper."""
    for at, line in enumerate(lines):
        if not line.startswith(("Args", "Arguments", "Param")) or not _GOOGLE_HEAD.match(line):
            continue
        section = lines[at + 1 :]
        depth = next((_depth(entry) for entry in section if entry.strip()), 0)
        for below, entry in enumerate(section):
            if entry.strip() and _depth(entry) < max(depth, 1):
                break
            if _depth(entry) == depth and (match := _GOOGLE.match(entry)):
                yield match[1], [match[2], *_deeper(section[below + 1 :], depth)]


def _numpy(lines: Sequence[str]) -> Iterator[Entry]:
    """`Parameters` and a rule, and below it `city : str`, with the description in the next, indented lines."""
    for at, line in enumerate(lines[:-1]):
        if line.strip() != "Parameters" or not _RULE.fullmatch(lines[at + 1]):
            continue
        section = lines[at + 2 :]
        for below, entry in enumerate(section):
            if below + 1 < len(section) and _RULE.fullmatch(section[below + 1]):
                break
            if match := _NUMPY.match(entry):
                about = _deeper(section[below + 1 :], 0)
                yield from ((name.strip(" *"), about) for name in match[1].split(","))


def _plain(lines: Sequence[str]) -> Iterator[Entry]:
    """`city: where to look`, on a line of its own."""
    for line in lines[1:]:
        if _depth(line) == 0 and (match := _GOOGLE.match(line)):
            yield match[1], [match[2]]


def _deeper(lines: Sequence[str], depth: int) -> list[str]:
    """The lines that belong to the one before them: indented deeper, or blank."""
    return list(takewhile(lambda line: not line.strip() or _depth(line) > depth, lines))


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
