"""Listing: the models that can be called now, in each dialect's own list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.snapshot import Snapshot
from trunkline.vocabulary.errors import ConfigurationError, ModelNotRegistered

BEGINNING = "1970-01-01T00:00:00Z"
"""Anthropic's list dates every model; we do not know the day."""

CHAT = ("generateContent", "streamGenerateContent", "countTokens")
EMBEDDING = ("embedContent", "batchEmbedContents")
"""What Gemini's list says may be asked of a model; programs choose by it."""


class Listing:
    """The models of a snapshot. Made once: a reload makes another."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._models: dict[str, str] = {
            model: available.name for available in snapshot.available() if available.ready for model in available.models
        }

    @property
    def ready(self) -> bool:
        """Whether anything can be called."""
        return bool(self._models)

    @property
    def names(self) -> list[str]:
        """The names under which models can be asked for."""
        return list(self._models)

    def all(self, dialect: str) -> bytes:
        """The whole list, as callers of a dialect know it."""
        if dialect == "gemini":
            return msgspec.json.encode({"models": [self._gemini(name) for name in self._models]})
        if dialect != "anthropic_messages":
            data = [_openai(name, owner) for name, owner in self._models.items()]
            return msgspec.json.encode({"object": "list", "data": data})
        page = [_anthropic(name) for name in self._models]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return msgspec.json.encode({"data": page, "has_more": False, **ends})

    def one(self, name: str, dialect: str) -> bytes:
        """One model, under any name that can be asked for. Raises ModelNotRegistered for the others."""
        owner = self._models.get(name) or self._owner_of(name)
        match dialect:
            case "gemini":
                return msgspec.json.encode(self._gemini(name))
            case "anthropic_messages":
                return msgspec.json.encode(_anthropic(name))
            case _:
                return msgspec.json.encode(_openai(name, owner))

    def _owner_of(self, name: str) -> str:
        try:
            target = self._snapshot.target(name)
        except ConfigurationError as error:
            raise ModelNotRegistered(error.message, param="model") from None
        if (reason := self._snapshot.why_not(target)) is not None:
            raise ModelNotRegistered(f"the model '{name}' cannot be called now: {reason}", param="model")
        return target.provider

    def _gemini(self, name: str) -> Mapping[str, Any]:
        methods = EMBEDDING if self._embeds(name) else CHAT
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}

    def _embeds(self, name: str) -> bool:
        """Whether a model makes vectors and no words, as far as that is known."""
        target = self._snapshot.target(name)
        own = self._snapshot.catalog[target.provider].own_models
        if target.model in own.values():
            return own.get("chat") != target.model
        facts = self._snapshot.model_facts(target)
        return facts is not None and facts.mode == "embedding"


def _openai(name: str, owner: str) -> Mapping[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _anthropic(name: str) -> Mapping[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": BEGINNING}
