"""Trunkline's asynchronous client, against a server that speaks OpenAI's dialect."""

from host import ASKED, MESSAGES

import trunkline


class Driver:
    """One client for all calls."""

    provider, model = "openai", "gpt-4o-mini"

    def __init__(self, base_url):
        changed = {self.provider: {"base_url": f"{base_url}/v1", "api_key": "sk-bench"}}
        self.client = trunkline.AsyncClient({"model": f"{self.provider}/{self.model}", "providers": changed}, env={})

    async def call(self):
        reply = await self.client.complete(MESSAGES, **ASKED)
        return reply.text, reply.usage.prompt_tokens, reply.usage.completion_tokens

    async def stream(self):
        async with self.client.stream(MESSAGES, **ASKED) as events:
            async for event in events:
                if event.text:
                    yield event.text
