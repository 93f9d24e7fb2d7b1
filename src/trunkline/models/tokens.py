"""Tokens: a cheap estimate of how many a text has, for limits and budgets that must decide before anyone has counted.

Owns the rule of thumb only. It is an estimate: within a third or so for English, code and JSON, and for other scripts
rather too high than too low. Knows no tokenizer; what a call really used is what the provider says (`Usage`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import ceil

BYTES_PER_TOKEN = (
    ("claude", 3.0),  # no tokenizer is published; Anthropic says 3.5 letters, and a third more tokens since Opus 4.7
    ("gemini", 3.6),
    ("gemma", 3.6),
    ("stral", 3.5),  # Mistral, Codestral, Magistral, Ministral, Devstral …
    ("mixtral", 3.5),
)
"""UTF-8 bytes that make a token, by a part of the model's name. Measured with the models' own tokenizers on English
prose, Markdown, Python and JSON; Chinese and German have as many bytes to a token or more."""
USUAL = 4.0  # OpenAI, Llama, Qwen, DeepSeek, Kimi, GLM: from 3.3 (JSON) to 4.8 (code)

ATTACHMENT = 1_000
"""What a picture or a file counts: its bytes say nothing of its tokens. A picture is billed as some 100 to 1,600."""

URI, DATA, BYTES = b";base64,", b'"data":', b'"bytes":'
"""What stands before base64 in a request: words of a data URI; fields of Anthropic, Gemini, OpenAI and Bedrock."""
LEAST = 64
"""Letters of base64 that are taken for a file."""
BASE64 = re.compile(rb'\s*"?([\w+/=\\-]{%d,}+)' % LEAST)


def estimate(text: str | bytes | int, model: str = "") -> int:
    """About how many tokens a model makes of a text, given as such, as UTF-8 or JSON, or as its number of bytes.

    A file in base64 is not counted as text but as `ATTACHMENT` tokens. A text that is not empty has at least one.
    """
    if isinstance(text, int):
        return ceil(text / bytes_per_token(model))
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    attached = attachments(raw)
    return ceil((len(raw) - sum(attached)) / bytes_per_token(model)) + ATTACHMENT * len(attached)


@lru_cache(1000)
def bytes_per_token(model: str) -> float:
    """How many bytes make a token of a model; the name may have a provider before it."""
    return next((count for part, count in BYTES_PER_TOKEN if part in model), USUAL)


def attachments(raw: bytes) -> list[int]:
    """The lengths of the base64 in a request. Looking for marks first spares long prompts a slow pattern."""
    found: list[int] = []
    if not (URI in raw or DATA in raw or BYTES in raw):  # nearly always: a loop takes three times as long
        return found
    for mark in (URI, DATA, BYTES):
        place = raw.find(mark)
        while place >= 0:
            match = BASE64.match(raw, place + len(mark))
            if match:
                found.append(len(match[1]))
            place = raw.find(mark, match.end() if match else place + 1)
    return found
