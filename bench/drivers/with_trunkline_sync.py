"""Trunkline's synchronous client: the same engine through a door of threads."""

from host import ASKED, MESSAGES

import trunkline


class Driver:
    """One client for all calls."""

    sync = True

    def __init__(self, base_url):
        changed = {"openai": {"base_url": f"{base_url}/v1", "api_key": "sk-bench"}}
        self.client = trunkline.Client({"model": "openai/gpt-4o-mini", "providers": changed}, env={})

    def call(self):
        reply = self.client.complete(MESSAGES, **ASKED)
        return reply.text, reply.usage.prompt_tokens, reply.usage.completion_tokens

    def stream(self):
        with self.client.stream(MESSAGES, **ASKED) as events:
            for event in events:
                if event.text:
                    yield event.text
