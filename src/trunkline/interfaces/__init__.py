"""Interfaces: doors in the words of other libraries, for programs that are written against those.

line.py             what all of them share: one runtime, and the clients that they make on it
faults.py           errors, by the rows that every such door tells apart
handlers/           `LLMAPIHandlerFactory`: prompts in, objects out
manager/            `LLMManager`: providers by names of their own, and agents
litellm_client.py   `LiteLLMClient`: synchronous, answers in OpenAI's shape
registry/           `get_llm_provider`: OpenRouter, and Portkey behind it
generate.py         `generate` and `LLMInterface`: dicts in, dicts out, errors too

Each translates words and owns no behaviour: what a call does is the engine's. Nothing outside this room imports it.
"""

from .line import metrics_page, reload

__all__ = ["metrics_page", "reload"]
