"""Every example of the documents runs as printed, with only its import path changed."""

import ast
import asyncio
import inspect

import pytest
from documents import FOLDER, blocks

from samples import chat, chunks, message
from trunkline.interfaces import handlers
from trunkline.interfaces.handlers.dashboard import COLUMNS
from trunkline.interfaces.line import line
from trunkline.interfaces.litellm_client import LiteLLMClient, LiteLLMConfig
from trunkline.testing import FakeClock, FakeUpstream, reply, stream

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
    ("number", "printed"), [(0, "Hello!"), (1, "[0.25, 0.5]"), (2, ""), (3, ""), (4, ""), (5, "None\nHel\nlo!")]
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
    for said in environment.split():
        name, _, value = said.partition("=")
        machine.setenv(name, value)
    assert LiteLLMConfig.from_env() == LiteLLMConfig(model="gpt-4", timeout=60, fallback_models=models)


MANAGER = """
import asyncio, logging, os, time
from typing import Any, Dict, List
from trunkline.interfaces.manager import *
from trunkline.interfaces.manager import LLMManager, LLMProvider

logger = logging.getLogger("example")
your_tools = lambda: None
your_tools.__name__ = "your_tools"
llm_manager = LLMManager()
for name in ("openai", "claude-opus", "claude-sonnet", "claude-haiku"):
    kind = "openai" if name == "openai" else "anthropic"
    llm_manager.add_provider(name, kind, {"api_key": "sk-own", "model": name})
agent = ReactAgent(name="SmartAgent", llm_manager=llm_manager)
openai_provider = llm_manager.get_provider("openai")
"""
"""What the examples of the manager take for granted: their imports, and what the examples before them made."""


@pytest.fixture
async def clouds(machine, closing):
    """OpenAI, Anthropic and the custom service, at one address: each says who it is."""

    def answer(asked):
        if asked.path.endswith("/messages"):
            return reply(200, message(f"{asked.json['model']} says hello"))
        return reply(200, chat(f"{asked.json['model']} says hello"))

    async with FakeUpstream(answer) as upstream:
        for provider in ("OPENAI", "ANTHROPIC"):
            machine.setenv(f"{provider}_API_KEY", "sk-own")
            machine.setenv(f"{provider}_API_BASE", f"{upstream.url}/v1")
        yield upstream


SAYING = [{"role": "user", "content": "Hello!"}]


async def manager_block(number, clouds):
    return await run(blocks(1)[number].replace("https://api.custom-llm.com", clouds.url), MANAGER)


@pytest.mark.anyio
@pytest.mark.parametrize("number", range(16))
async def test_manager(clouds, number):
    await manager_block(number, clouds)


@pytest.mark.seed("S1.3", "S1.4", "S1.5", "S1.10", "S1.12")
@pytest.mark.anyio
async def test_the_basic_setup_of_the_manager(clouds):
    made = (await manager_block(0, clouds))["llm_manager"]
    assert await made.generate_response("openai", SAYING) == "gpt-4 says hello"
    assert await made.generate_response("claude", SAYING) == "claude-3-opus-20240229 says hello"
    assert await made.generate_response(None, SAYING) == "gpt-4 says hello"
    assert await (await manager_block(1, clouds))["agent"].solve("Hello!") == "openai says hello"


@pytest.mark.seed("S1.6", "S1.7", "S1.8", "S1.22")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        (2, "openai", "gpt-4 says hello"),
        (2, "o3", "o3-mini says hello"),
        (3, "claude-opus", "claude-3-opus-20240229 says hello"),
        (3, "claude-sonnet", "claude-3-sonnet-20240229 says hello"),
        (3, "claude-haiku", "claude-3-haiku-20240307 says hello"),
        (4, "mock", "I understand. Let me help you with that."),
        (7, "my-custom", "custom-model-v1 says hello"),
    ],
)
async def test_the_providers_of_the_manager(clouds, number, name, said):
    made = (await manager_block(number, clouds))["llm_manager"]
    assert await made.generate_response(name, SAYING) == said


@pytest.mark.seed("S1.5", "S1.15", "S1.25")
@pytest.mark.anyio
async def test_switching_between_the_managers_providers(clouds):
    made = await manager_block(5, clouds)
    said = [made[f"response{number}"] for number in (1, 2, 3)]
    assert said == ["claude-opus says hello", "openai says hello", "claude-haiku says hello"]


@pytest.mark.seed("S1.27", "S1.28", "S1.29", "S1.30", "S1.31")
@pytest.mark.anyio
async def test_the_custom_provider_of_the_manager(clouds):
    made = (await manager_block(7, clouds))["llm_manager"]
    assert await made.generate_structured_response("my-custom", [dict(SAYING[0])], {"answer": "str"}) == {
        "response": "custom-model-v1 says hello"
    }
    await made.generate_response("my-custom", SAYING, temperature=0.2, colour="blue")
    structured, plain = (one.json for one in clouds.served)
    assert "JSON format: {'answer': 'str'}" in structured["messages"][-1]["content"]
    assert (plain["temperature"], plain["colour"], plain["max_tokens"]) == (0.2, "blue", 1000)
    assert SAYING == [{"role": "user", "content": "Hello!"}]
    assert clouds.served[0].headers["authorization"] == "Bearer your-custom-api-key"


@pytest.mark.seed("S1.34")
@pytest.mark.anyio
async def test_the_manager_of_the_environment(clouds):
    assert (await manager_block(8, clouds))["llm_manager"].get_available_providers() == ["openai", "claude"]


@pytest.mark.seed("S1.16", "S1.37", "S1.38")
@pytest.mark.anyio
async def test_the_robust_agent_of_the_manager(machine, clouds):
    machine.setenv("ANTHROPIC_API_BASE", f"{clouds.url}/v1")
    async with FakeUpstream([reply(503, {"error": {"message": "busy", "code": "model_overloaded"}})]) as busy:
        machine.setenv("OPENAI_API_BASE", f"{busy.url}/v1")
        machine.setattr(line().runtime, "clock", FakeClock())
        made = await manager_block(12, clouds)
        robust = made["RobustAgent"](name="RobustAgent", llm_manager=made["llm_manager"])
        assert await robust.solve("Hello!") == "claude-sonnet says hello"


@pytest.mark.seed("S1.43", "S1.44", "S1.46", "S1.48")
@pytest.mark.anyio
async def test_the_monitored_manager_as_printed(clouds, capsys):
    made = await manager_block(15, clouds)
    assert capsys.readouterr().out.startswith("Success rate: 0.00%\nTotal tokens: 0")
    made["monitored_llm"].add_provider("openai", "openai", {"api_key": "sk-own", "model": "gpt-4"})
    assert await made["monitored_llm"].generate_response("openai", SAYING) == "gpt-4 says hello"
    assert made["monitored_llm"].get_usage_report()["total_requests"] == 1


HANDLERS = """
from dataclasses import dataclass
from typing import Literal, Optional
from pydantic import BaseModel
from trunkline.interfaces.handlers import *
"""


async def handlers_block(number, clouds):
    block = blocks(0)[number].replace("https://api.openai.com/v1", f"{clouds.url}/v1")
    return await run(block, HANDLERS)


@pytest.mark.anyio
@pytest.mark.parametrize("number", range(8))
async def test_handlers(clouds, number):
    await handlers_block(number, clouds)


@pytest.mark.seed("S0.9", "S0.10", "S0.11", "S0.12", "S0.13", "S0.16", "S0.20", "S0.39", "S0.40")
@pytest.mark.anyio
async def test_what_the_examples_of_the_handlers_define_is_as_ours(clouds):
    factory = (await handlers_block(0, clouds))["LLMAPIHandlerFactory"]
    raw = await factory.get_llm_api_handler("gpt-4o")("Hello!", raw_response=True)
    assert raw.text == "gpt-4o says hello"
    for number, name in ((1, "LLMConfig"), (2, "LLMRouterConfig"), (6, "LLMCallStats")):
        theirs, ours = (await handlers_block(number, clouds))[name], getattr(handlers, name)
        named = [field for field in ours.__annotations__ if field in theirs.__annotations__]
        assert named == list(theirs.__annotations__)
    defined = await handlers_block(7, clouds)
    theirs = {name: kind for name, kind in defined.items() if getattr(kind, "__module__", None) == "example"}
    assert len(theirs) == 4
    ours = {name: getattr(handlers, name) for name in theirs}
    for name, error in ours.items():
        for other, kind in ours.items():
            assert issubclass(error, kind) == issubclass(theirs[name], theirs[other])


@pytest.mark.seed("S0.17", "S0.18", "S0.21", "S0.22", "S0.23", "S0.24", "S0.34", "S0.35", "S0.36")
@pytest.mark.anyio
async def test_the_configurations_of_the_handlers(clouds):
    one = (await handlers_block(3, clouds))["OPENAI_CONFIG"]
    assert (one.model_name, one.max_tokens, one.temperature, one.litellm_params.api_key) == (
        "gpt-4o",
        4000,
        0.1,
        "sk-own",
    )
    router = (await handlers_block(4, clouds))["ROUTER_CONFIG"]
    handlers.LLMConfigRegistry.register_config("ONE", one)
    handlers.LLMConfigRegistry.register_config("ROUTER", router)
    try:
        made = [handlers.LLMAPIHandlerFactory.get_llm_api_handler(key) for key in ("ONE", "ROUTER", "ROUTER")]
        said = [(await each("Hello!", raw_response=True)).text for each in made]
    finally:
        handlers.LLMConfigRegistry.reset()
        handlers.LLMAPIHandlerFactory.reset()
    assert said[0] == "gpt-4o says hello"
    assert {*said[1:]} <= {"gpt-4o says hello", "claude-3-opus-20240229 says hello"}


@pytest.mark.seed("S0.38")
@pytest.mark.anyio
async def test_the_key_for_a_task_is_the_same_as_printed(clouds):
    theirs = (await handlers_block(5, clouds))["get_optimal_provider"]
    for kind in ("simple", "vision", "reasoning", "else"):
        assert await theirs(kind) == await handlers.get_optimal_provider(kind)


@pytest.mark.seed("S0.50")
def test_the_dashboard_has_the_columns_that_are_printed():
    printed = next(block for block in blocks(0, "") if "Dashboard" in block)
    names = [cell.strip() for cell in printed.splitlines()[1].strip("│").split("│")]
    assert tuple(names) == COLUMNS


@pytest.mark.seed("S0.51", "S0.52", "S0.53", "S0.54", "S0.55", "S0.56", "S0.57")
def test_the_variables_of_the_handlers(machine):
    said = dict(row.split("=") for row in blocks(0, "bash")[0].splitlines() if "=" in row)
    for name, value in said.items():
        machine.setenv(name, value)
    assert {name: str(getattr(handlers.settings, name)) for name in said} == said
