"""Gateways: `OpenRouterProvider` and `PortkeyProvider`, each a row of the catalog with headers of its own.

Owns what their variables and arguments say of headers and models.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.interfaces.line import Place, placed

from .config import LLMProviderConfig
from .provider import EngineProvider

logger = logging.getLogger("trunkline.interfaces.registry")

VIRTUAL_KEY = "PORTKEY_VIRTUAL_KEY_"


class GatewayProvider(EngineProvider):
    """A provider that stands in the catalog."""

    row: str
    """Its name there."""
    usual_model: str

    def __init__(self, config: LLMProviderConfig | None, headers: Mapping[str, str | None]) -> None:
        super().__init__()
        self.config = config if config is not None else LLMProviderConfig.from_env(self.row)
        self._headers = {name: value for name, value in headers.items() if value}
        named = os.environ.get(f"{self.row.upper()}_DEFAULT_MODEL")
        self._model = self.config.default_model or named or self.usual_model

    @property
    def provider_name(self) -> str:
        """Its name in the catalog."""
        return self.row

    @property
    def default_model(self) -> str:
        """What is asked where neither the call nor the agent names a model."""
        return self._model

    def places(self, model: str | None, agent_type: str | None) -> Mapping[str, Place]:
        """Only its own."""
        return dict([self.place(model, agent_type)])

    def place(self, model: str | None, agent_type: str | None) -> tuple[str, Place]:
        """A model there."""
        asked = model or self.model_for(agent_type)
        target = {
            "model": f"{self.row}/{asked}",
            "api_key": self.config.api_key,
            "base_url": self.config.base_url,
            "headers": self.headers_for(asked),
            **self.config.manner(),
        }
        return f"{self.provider_name}/{asked}", Place(target)

    def model_for(self, agent_type: str | None) -> str:
        """The model of an agent, where a call names none."""
        return self._model

    def headers_for(self, model: str) -> Mapping[str, str]:
        """What a request for a model carries."""
        return self._headers


class OpenRouterProvider(GatewayProvider):
    """OpenRouter: many models behind one key."""

    row = "openrouter"
    usual_model = "openai/gpt-3.5-turbo"

    def __init__(
        self,
        config: LLMProviderConfig | None = None,
        headers: Mapping[str, str] | None = None,
        agent_models: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` come before those of OPENROUTER_HEADERS, `SITE_URL` and `SITE_TITLE`; `agent_models` are the models
        by agent type, instead of AGENT_MODEL_MAP."""
        site = {"HTTP-Referer": os.environ.get("SITE_URL"), "X-Title": os.environ.get("SITE_TITLE")}
        super().__init__(config, {**site, **_texts("OPENROUTER_HEADERS"), **(headers or {})})
        self.agent_models = dict(_texts("AGENT_MODEL_MAP") if agent_models is None else agent_models)

    def model_for(self, agent_type: str | None) -> str:
        """That of the map, else the default."""
        return self.agent_models.get(agent_type or "", self._model)


class PortkeyProvider(GatewayProvider):
    """Portkey: one way to many providers, which its headers name."""

    row = "portkey"
    usual_model = "gpt-3.5-turbo"

    def __init__(
        self,
        config: LLMProviderConfig | None = None,
        virtual_key: str | None = None,
        provider: str | None = None,
        config_id: str | None = None,
        trace_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`virtual_key` is Portkey's name for a key it keeps, instead of PORTKEY_VIRTUAL_KEY_<PROVIDER>; `provider` the
        one to ask, with its key in `headers` as Authorization; `config_id` and `trace_id` instead of PORTKEY_CONFIG_ID
        and TRACE_ID."""
        env = os.environ
        own = {
            "x-portkey-virtual-key": virtual_key,
            "x-portkey-provider": provider,
            "x-portkey-config": config_id or env.get("PORTKEY_CONFIG_ID"),
            "x-portkey-trace-id": trace_id or env.get("TRACE_ID"),
            "x-portkey-metadata": msgspec.json.encode(metadata).decode() if metadata else None,
        }
        super().__init__(config, {**own, **(headers or {})})
        self._provider = provider
        self._virtual_keys = {
            name.removeprefix(VIRTUAL_KEY): key for name, key in env.items() if name.startswith(VIRTUAL_KEY) and key
        }

    def headers_for(self, model: str) -> Mapping[str, str]:
        """With the virtual key of the provider, else of the model's lab, else the only one there is."""
        keys = self._virtual_keys
        if "x-portkey-virtual-key" in self._headers or not keys or model.startswith("@"):  # `@slug/…` names its own
            return self._headers
        key = keys.get((self._provider or placed(model)[0]).upper())
        if key is None and self._provider is None and len(keys) == 1:
            (key,) = keys.values()
        return {**self._headers, "x-portkey-virtual-key": key} if key else self._headers


def _texts(variable: str) -> Mapping[str, str]:
    """A variable that holds a JSON object of texts. One that does not is as good as none, with a warning."""
    text = os.environ.get(variable)
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        logger.warning("%s is no JSON object of texts, and is left out: %s", variable, error)
        return {}
