"""Sources of an answer: what the API says beside the text, as citations on the text, and the other way.

`groundingMetadata` lists sources (`groundingChunks`) and passages that rest on them (`groundingSupports`), whose places
are counted in bytes; `citationMetadata` lists works that a passage repeats (ai.google.dev/api/generate-content,
GroundingMetadata and CitationMetadata).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from trunkline.vocabulary.parts import Citation
from trunkline.vocabulary.protocols import Json
from trunkline.wire.grammar.fields import an_object

from .parts import name

Place = tuple[int, int | None, int | None]
"""Which text, from which character to which."""


def citations_of(texts: Sequence[str], candidate: Json) -> list[tuple[int, Citation]]:
    """The sources of a candidate, each with the place of its text among `texts`."""
    if not texts or not ("groundingMetadata" in candidate or "citationMetadata" in candidate):
        return []
    passages = _Passages(texts)
    grounding = an_object(candidate.get("groundingMetadata"))
    chunks = [an_object(chunk) for chunk in _listed(grounding.get("groundingChunks"))]
    found: list[tuple[int, Citation]] = []
    used: set[int] = set()
    for support in map(an_object, _listed(grounding.get("groundingSupports"))):
        at, start, end = passages.place(an_object(support.get("segment")))
        for index in _listed(support.get("groundingChunkIndices")):
            if isinstance(index, int) and 0 <= index < len(chunks):
                used.add(index)
                found.append((at, _of_chunk(chunks[index], start, end)))
    last = len(texts) - 1
    found += [(last, _of_chunk(chunk)) for index, chunk in enumerate(chunks) if index not in used]
    found += _repeated(passages, an_object(candidate.get("citationMetadata")))
    return found


def _of_chunk(chunk: Json, start: int | None = None, end: int | None = None) -> Citation:
    """A source: a page, a passage of one's own documents, a place on the map."""
    source = next((an_object(value) for value in chunk.values() if isinstance(value, dict)), an_object(None))
    return Citation(name, chunk, _text(source, "uri"), _text(source, "title"), _text(source, "text"), start, end)


def _repeated(passages: _Passages, metadata: Json) -> Iterator[tuple[int, Citation]]:
    for source in map(an_object, _listed(metadata.get("citationSources") or metadata.get("citations"))):
        at, start, end = passages.anywhere(_count(source, "startIndex"), _count(source, "endIndex"))
        yield at, Citation(name, source, _text(source, "uri"), _text(source, "title"), start=start, end=end)


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(source: Json, key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) and value else None


def _count(source: Json, key: str) -> int:
    value = source.get(key)
    return value if isinstance(value, int) and value > 0 else 0


class _Passages:
    """Finds passages by their places in bytes. A segment names the part it is in, but counts parts as its server does,
    which may leave some out: where the words are not there, they are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._raw = [text.encode("utf-8", "replace") for text in texts]

    def place(self, segment: Json) -> Place:
        """Where a segment is; without an extent where it cannot be found."""
        start, end = _count(segment, "startIndex"), _count(segment, "endIndex")
        words = _text(segment, "text")
        if words is None:
            at = min(_count(segment, "partIndex"), len(self._raw) - 1)
            return self._characters(at, start, end) if end else (len(self._texts) - 1, None, None)
        wanted = words.encode("utf-8", "replace")
        for at in self._likely(_count(segment, "partIndex")):
            if self._raw[at][start:end] == wanted:
                return self._characters(at, start, end)
        for at, text in enumerate(self._texts):
            if (found := text.find(words)) >= 0:
                return at, found, found + len(words)
        return len(self._texts) - 1, None, None

    def anywhere(self, start: int, end: int) -> Place:
        """A place in all the texts together."""
        for at, raw in enumerate(self._raw):
            if start < len(raw) or at == len(self._raw) - 1:
                return self._characters(at, start, end) if end > start else (at, None, None)
            start, end = start - len(raw), end - len(raw)
        return len(self._texts) - 1, None, None

    def _likely(self, at: int) -> Iterable[int]:
        named = [at] if at < len(self._raw) else []
        return [*named, *(other for other in range(len(self._raw)) if other != at)]

    def _characters(self, at: int, start: int, end: int) -> Place:
        raw = self._raw[at]
        if len(raw) == len(self._texts[at]):  # a byte a character
            return at, min(start, len(raw)), min(end, len(raw))
        begun = len(raw[:start].decode("utf-8", "ignore"))
        return at, begun, begun + len(raw[start:end].decode("utf-8", "ignore"))


def grounding_of(texts: Sequence[tuple[str, Sequence[Citation]]]) -> Json:
    """Citations of another API, as `groundingMetadata`; empty where they name no page."""
    chunks: dict[tuple[str, str | None], int] = {}
    supports: dict[tuple[int, int, int], list[int]] = {}
    for part, (text, citations) in enumerate(texts):
        for citation in citations:
            if citation.url is None:
                continue
            at = chunks.setdefault((citation.url, citation.title), len(chunks))
            if citation.start is not None and citation.end is not None and citation.start < citation.end <= len(text):
                supports.setdefault((part, citation.start, citation.end), []).append(at)
    if not chunks:
        return {}
    metadata: Json = {"groundingChunks": [_chunk(url, title) for url, title in chunks]}
    if supports:
        metadata["groundingSupports"] = [
            {"segment": _segment(part, texts[part][0], start, end), "groundingChunkIndices": indices}
            for (part, start, end), indices in supports.items()
        ]
    return metadata


def _chunk(url: str, title: str | None) -> Json:
    named: Mapping[str, str] = {} if title is None else {"title": title}
    return {"web": {"uri": url, **named}}


def _segment(part: int, text: str, start: int, end: int) -> Json:
    before = len(text[:start].encode("utf-8", "replace"))
    inside = text[start:end]
    extent = {"startIndex": before, "endIndex": before + len(inside.encode("utf-8", "replace")), "text": inside}
    return {"partIndex": part, **extent} if part else extent
