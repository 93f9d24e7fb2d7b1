"""The matrix: what there is to say, row by row, and how each dialect says it.

Owns the rows. A dialect's `says` names a way for each of them, and `crossing` leaves out what a dialect says is lost
before its writer starts: so the table that the docs print is the one that decides. A row that a dialect calls native or
translated never appears in a reply's `loss`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trunkline.vocabulary.protocols import How
from trunkline.vocabulary.settings import Settings

from .fields import Field

PARTS: Mapping[str, str] = {
    "system": "instructions before the first turn",
    "system_midway": "instructions in mid-conversation",
    "speaker": "a speaker's `name`",
    "text": "text",
    "image_url": "images that are linked to",
    "image_data": "images that are sent along",
    "image_detail": "the hint how closely to look at an image",
    "audio": "sound that is sent along",
    "audio_url": "sound that is linked to",
    "file_data": "documents that are sent along",
    "file_text": "plain text documents that are sent along",
    "file_url": "documents that are linked to",
    "file_name": "a document's name",
    "assistant_media": "images, sound and files in the model's own turns",
    "thinking": "visible reasoning, sent back",
    "tool_call": "tool calls",
    "tool_result": "results of tools",
    "tool_result_media": "images and files in results of tools",
    "tool_result_error": "results that say that the tool failed",
    "refusal": "the model's words for declining, sent back",
    "citations": "sources, sent back",
    "cache": "cache marks",
}
"""What messages hold."""

TOOLS: Mapping[str, str] = {
    "tools": "tools",
    "tool_strict": "tools whose arguments must fit their schema",
    "choice_none": "`tool_choice`: none",
    "choice_required": "`tool_choice`: any tool",
    "choice_tool": "`tool_choice`: a certain tool",
    "choice_allowed": "`tool_choice`: one of certain tools",
    "json": "an answer in JSON",
    "schema": "an answer that fits a JSON schema",
    "schema_recursive": "… that refers to itself",
}
"""Tools and the form of the answer."""

REASONING: Mapping[str, str] = {
    "reasoning_effort": "reasoning: an effort in words",
    "reasoning_budget": "reasoning: a number of tokens",
    "reasoning_adaptive": "reasoning: as much as the model sees fit",
    "reasoning_off": "reasoning: none",
    "reasoning_summary": "reasoning: how much of it to show",
}
"""`reasoning` is five things, which the APIs say apart."""

SETTINGS: tuple[str, ...] = tuple(name for name in Settings.__struct_fields__ if name != "reasoning")
"""Settings that are one thing each."""

OWN: Mapping[str, str] = {
    "signature": "signatures and encrypted reasoning",
    "upload": "uploads at the provider, by their id",
    "opaque": "parts that only one API has",
    "tool_opaque": "the provider's own tools",
    "extra": "unknown keys",
    "target": "what a provider's row or a model refuses",
    "range": "values beyond the API's range",
    "order": "where images stand among texts",
}
"""What never crosses from one dialect to another, and what depends on more than the dialect: always a loss."""

ROWS: tuple[str, ...] = (*PARTS, *TOOLS, *REASONING, *SETTINGS)
"""Every row about which a dialect has a say."""


def says(
    table: Iterable[Field], *, native: str = "", translated: str = "", emulated: str = "", lost: str = ""
) -> Mapping[str, How]:
    """A dialect's column: settings as its table has them, and the named rows (apart by blanks) as said. What it does
    not mention is lost."""
    column: dict[str, How] = dict.fromkeys(ROWS, "lost")
    for entry in table:
        if not entry.optional and entry.attribute != "reasoning":
            column[entry.attribute] = "native" if entry.encode is None else "translated"
    ways: tuple[tuple[How, str], ...] = (
        ("native", native),
        ("translated", translated),
        ("emulated", emulated),
        ("lost", lost),
    )
    for how, rows in ways:
        for row in rows.split():
            if row not in column:
                raise ValueError(f"the matrix has no row {row}")
            column[row] = how
    return column
