"""Asking: from plain Python values to a request.

Owns what a caller of the library may write, one file each: `messages` (text, OpenAI-shaped dicts, our structs), `media`
(paths, bytes, URLs), `tools` (functions, JSON schemas), `forms` (the classes that an answer is read into; `partial`
reads one that is still being written), `requests` (all of it together). Bad input is refused here, before anything is
sent, with a message that says what to change.
"""

from .forms import Form, form_from, parsed
from .media import Media, audio, file, image
from .messages import Messages, Said, messages_from
from .partial import NOTHING, Growing
from .requests import embedding_request_from, moderation_request_from, request_from, rerank_request_from
from .tools import Callables, tool_from, tool_from_function

__all__ = [
    "NOTHING",
    "Callables",
    "Form",
    "Growing",
    "Media",
    "Messages",
    "Said",
    "audio",
    "embedding_request_from",
    "file",
    "form_from",
    "image",
    "messages_from",
    "moderation_request_from",
    "parsed",
    "request_from",
    "rerank_request_from",
    "tool_from",
    "tool_from_function",
]
