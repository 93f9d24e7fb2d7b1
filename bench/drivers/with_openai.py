"""The official openai SDK, asynchronous."""

import openai
from host import ASKED, MESSAGES

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Driver:
    """One client for all calls."""

    def __init__(self, base_url):
        self.create = openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="sk-bench").chat.completions.create

    async def call(self):
        reply = await self.create(model="gpt-4o-mini", messages=MESSAGES, **ASKED)
        return reply.choices[0].message.content, reply.usage.prompt_tokens, reply.usage.completion_tokens

    async def stream(self):
        async for chunk in await self.create(model="gpt-4o-mini", messages=MESSAGES, **ASKED, **STREAMED):
            if chunk.choices and (word := chunk.choices[0].delta.content):
                yield word
