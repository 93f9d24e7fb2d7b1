"""litellm's asynchronous function."""

import litellm
from host import ASKED, MESSAGES

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Driver:
    """It keeps its connections itself."""

    def __init__(self, base_url):
        self.asked = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, **ASKED}
        self.asked |= {"api_key": "sk-bench", "api_base": f"{base_url}/v1"}

    async def call(self):
        reply = await litellm.acompletion(**self.asked)
        return reply.choices[0].message.content, reply.usage.prompt_tokens, reply.usage.completion_tokens

    async def stream(self):
        async for chunk in await litellm.acompletion(**self.asked, **STREAMED):
            if chunk.choices and (word := chunk.choices[0].delta.content):
                yield word
