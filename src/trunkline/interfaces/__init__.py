"""Interfaces: doors in the words of other libraries, for programs that are written against those.

line.py             what all of them share: one runtime, and the clients that they make on it
faults.py           errors, by the rows that every such door tells apart
generate.py         `generate` and `LLMInterface`: dicts in, dicts out, errors too
litellm_client.py   `LiteLLMClient`: synchronous, answers in OpenAI's shape
manager/            `LLMManager`: providers by names of their own, and agents
registry/           `get_llm_provider`: OpenRouter, Portkey behind it, and providers of the program's own

Each translates words and owns no behaviour: what a call does is the engine's. Nothing outside this room imports it.
"""

from .line import reload

__all__ = ["reload"]
