"""Every example of the documents runs as printed, with only its import path changed."""

import ast
import asyncio
import inspect

import pytest
from documents import FOLDER, blocks

from samples import chat, chunks
from trunkline.interfaces.litellm_client import LiteLLMClient, LiteLLMConfig
from trunkline.testing import FakeUpstream, reply, stream

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the documents are not at {FOLDER}: SEEDS names their folder"),
]


async def run(block: str, prelude: str, **names) -> dict:
    """Run an example, and what it defines and names `example`."""
    names["__name__"] = "example"
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for text in (prelude, block):
        code = compile(text, "example", "exec", flags=flags)
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    if inspect.iscoroutinefunction(names.get("example")):
        await names["example"]()
    return names


GENERATE = """
from trunkline.interfaces.generate import generate
response = {"text": "Hello!", "metadata": {}}
"""


@pytest.mark.seed("S4.10", "S4.11", "S4.12", "S4.13")
@pytest.mark.parametrize(
    ("number", "printed"),
    [(0, "Hello!"), (1, "Hello!\n{'provider': 'openai'"), (2, "Error: messages must be"), (3, "{'provider': 'openai'")],
)
@pytest.mark.anyio
async def test_generate(machine, capsys, number, printed):
    async with FakeUpstream([reply(200, chat("Hello!"))]) as upstream:
        machine.setenv("LLM_PROVIDER", "openai")
        machine.setenv("OPENAI_API_KEY", "sk-own")
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        machine.setenv("PRIMARY_MODEL", "gpt-4")
        block = blocks(4)[number].replace("https://api.openai.com/v1", f"{upstream.url}/v1")
        await run(block, GENERATE)
    assert capsys.readouterr().out.startswith(printed)


CLIENT = """
from trunkline.interfaces.litellm_client import LiteLLMClient, LiteLLMConfig, LLMRateLimitError, Message
client = LiteLLMClient()
messages = [Message(role="user", content="Hello!")]
"""
VECTORS = {"object": "list", "model": "m", "data": [{"index": 0, "embedding": [0.25, 0.5]}]}


@pytest.mark.seed("S2.14", "S2.15", "S2.16", "S2.17", "S2.19", "S2.21", "S2.22")
@pytest.mark.parametrize(
    ("number", "printed"), [(0, "Hello!"), (1, "(0.25, 0.5)"), (2, ""), (3, ""), (4, ""), (5, "None\nHel\nlo!")]
)
def test_litellm_client(machine, capsys, number, printed):
    def answer(asked):
        if asked.path.endswith("/embeddings"):
            return reply(200, VECTORS)
        return stream(*chunks("Hel", "lo!")) if asked.json.get("stream") else reply(200, chat("Hello!"))

    with FakeUpstream(answer) as upstream:
        machine.setenv("LITELLM_MODEL", "gpt-4")
        machine.setenv("OPENAI_API_KEY", "sk-own")
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        asyncio.run(run(blocks(2)[number], CLIENT))
    assert capsys.readouterr().out.strip().startswith(printed)


@pytest.mark.seed("S2.9", "S2.10")
def test_the_configurations_of_litellm_client(machine, tmp_path):
    (yaml,), environment = blocks(2, "yaml"), blocks(2, "")[0]
    machine.setenv("OPENAI_API_KEY", "sk-own")
    (tmp_path / "dewey.yaml").write_text(yaml)
    models = ["gpt-3.5-turbo", "claude-2"]
    whole = LiteLLMConfig(
        model="gpt-4", api_key="sk-own", timeout=60, max_retries=3, fallback_models=models, cache=True
    )
    assert LiteLLMClient().config == whole
    for line in environment.split():
        name, _, value = line.partition("=")
        machine.setenv(name, value)
    assert LiteLLMConfig.from_env() == LiteLLMConfig(model="gpt-4", timeout=60, fallback_models=models)
