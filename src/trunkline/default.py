"""The default client: what `trunkline.complete`, `.stream` and `.embed` ask.

Made at the first use from the environment and `trunkline.yaml`; a program that wants another configuration makes a
`Client` of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from trunkline.asking import Messages
from trunkline.portal import Client, Stream
from trunkline.vocabulary.replies import EmbeddingReply, Reply

_client: Client | None = None
_making = threading.Lock()


def client() -> Client:
    """The process's default client."""
    global _client  # noqa: PLW0603 one per process is the point
    if _client is None:
        with _making:
            _client = _client or Client()
    return _client


def complete(messages: Messages, model: str | None = None, **options: Any) -> Reply:
    """Ask, and wait for the whole answer. Takes what `Client.complete` takes."""
    return client().complete(messages, model, **options)


def stream(messages: Messages, model: str | None = None, **options: Any) -> Stream:
    """Ask, and read the answer as it comes. Takes what `Client.stream` takes."""
    return client().stream(messages, model, **options)


def embed(texts: str | Sequence[str], model: str | None = None, **options: Any) -> EmbeddingReply:
    """Turn texts into vectors. Takes what `Client.embed` takes."""
    return client().embed(texts, model, **options)
