"""The official openai SDK, synchronous."""

import openai
from host import ASKED, MESSAGES

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Driver:
    """One client for all calls."""

    sync = True

    def __init__(self, base_url):
        self.create = openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-bench").chat.completions.create

    def call(self):
        reply = self.create(model="gpt-4o-mini", messages=MESSAGES, **ASKED)
        return reply.choices[0].message.content, reply.usage.prompt_tokens, reply.usage.completion_tokens

    def stream(self):
        for chunk in self.create(model="gpt-4o-mini", messages=MESSAGES, **ASKED, **STREAMED):
            if chunk.choices and (word := chunk.choices[0].delta.content):
                yield word
