"""Trunkline's asynchronous client with everything that can be said of a call: `policies.json`."""

import json
from pathlib import Path

import with_trunkline

import trunkline

POLICIES = json.loads(Path(__file__).parent.with_name("policies.json").read_text())


class Driver(with_trunkline.Driver):
    """The same calls, along a route."""

    def __init__(self, base_url):
        changed = {"openai": {"base_url": f"{base_url}/v1", "api_key": "sk-bench"}}
        config = {**POLICIES, "model": "bench", "providers": changed}
        self.client = trunkline.AsyncClient(config, env={}).with_options(payer="alice")
