"""Every example of the documents runs as printed, with only its import path changed."""

import ast
import inspect

import pytest
from documents import FOLDER, blocks

from samples import chat
from trunkline.testing import FakeUpstream, reply

pytestmark = [
    pytest.mark.anyio,
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
async def test_generate(machine, capsys, number, printed):
    async with FakeUpstream([reply(200, chat("Hello!"))]) as upstream:
        machine.setenv("LLM_PROVIDER", "openai")
        machine.setenv("OPENAI_API_KEY", "sk-own")
        machine.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        machine.setenv("PRIMARY_MODEL", "gpt-4")
        block = blocks(4)[number].replace("https://api.openai.com/v1", f"{upstream.url}/v1")
        await run(block, GENERATE)
    assert capsys.readouterr().out.startswith(printed)
