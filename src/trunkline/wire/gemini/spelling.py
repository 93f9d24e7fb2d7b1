"""Spelling: protobuf's JSON takes a key in two spellings, `inlineData` and `inline_data`, and callers use both.

Owns how an object is read in the first and remembered in the second, so that a caller's words go out as they came
(protobuf.dev/programming-guides/json). Knows which keys we read, and nothing of what they mean: an unknown key stays as
it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trunkline.vocabulary.parts import Extra
from trunkline.vocabulary.protocols import Json

SPELLED = "~spelled"
"""The note that holds the other spellings: our key to the caller's."""

_KEYS = (
    "allowedFunctionNames candidateCount displayName fileData fileUri frequencyPenalty functionCall"
    " functionCallingConfig functionDeclarations functionResponse generateContentRequest generationConfig"
    " includeThoughts inlineData maxOutputTokens mimeType outputDimensionality parametersJsonSchema partialArgs"
    " presencePenalty responseJsonSchema responseLogprobs responseMimeType responseModalities responseSchema"
    " serviceTier stopSequences systemInstruction taskType thinkingBudget thinkingConfig thinkingLevel"
    " thoughtSignature toolConfig topK topP willContinue"
)


def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), key)


_CAMEL: Mapping[str, str] = {_snake(key): key for key in _KEYS.split()}


def respell(body: Json, notes: Extra) -> Json:
    """`body` with the keys that we read in the first spelling; `notes` learn the other one. A key that is there in both
    stays as it is."""
    if not any("_" in key for key in body):
        return body
    respelled: Json = {}
    for key, value in body.items():
        ours = _CAMEL.get(key)
        if ours is None or ours in body:
            respelled[key] = value
        else:
            respelled[ours] = value
            notes[ours] = key
    return respelled


def noted(extra: Extra, notes: Extra) -> Extra:
    """`extra` with the spellings in it, if there are any."""
    if notes:
        extra[SPELLED] = notes
    return extra


def respelled(body: Json, notes: Mapping[str, str]) -> Json:
    """`body` with its keys as their caller spelled them."""
    return {notes.get(key, key): value for key, value in body.items()} if notes else body


def public(extra: Extra) -> Json:
    """The keys that may go on the wire: all but the reader's notes."""
    for key in extra:
        if key[:1] == "~":
            return {key: value for key, value in extra.items() if key[:1] != "~"}
    return extra
