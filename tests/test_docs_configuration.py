"""The pages on configuration and command line, and the example file: what they show is what there is."""

import os
import re
import shlex
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from trunkline import AsyncClient
from trunkline.cli import COMMANDS, main, trunkline
from trunkline.config import (
    OTHER_VARIABLES,
    VARIABLES,
    BudgetConfig,
    CacheConfig,
    Config,
    ConnectionsConfig,
    GatewayConfig,
    PayerConfig,
    PriceConfig,
    ProviderConfig,
    QueueConfig,
    RouteConfig,
    StateConfig,
    TargetConfig,
    parse,
    schema,
)
from trunkline.config.file import keys_of
from trunkline.providers.catalog import CATALOG
from trunkline.providers.mock import MockAnswer
from trunkline.snapshot import Snapshot
from trunkline.testing import FakeUpstream, reply
from trunkline.vocabulary.rules import Backoff, Hedge, Timeouts

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "examples/trunkline.yaml").read_text(encoding="utf-8")


# --- docs/configuration.md --------------------------------------------------------------------------------------------


def table(section):
    """The rows of the table in a section: first column without its quotes, and the second one."""
    text = re.split(rf"^#+ {section}\n", CONFIGURATION, flags=re.MULTILINE)[1]
    rows = re.split(r"^#", text, flags=re.MULTILINE)[0].splitlines()
    cells = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in rows if row.startswith("|")]
    return {first: second for first, second, *_ in cells[2:]}


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("The whole file", Config),
        ("targets", TargetConfig),
        ("connections", ConnectionsConfig),
        ("providers", ProviderConfig),
        ("prices", PriceConfig),
        ("mock", MockAnswer),
        ("gateway", GatewayConfig),
        ("routes", RouteConfig),
        ("buckets, payers and owners", PayerConfig),
        ("budget", BudgetConfig),
        ("queue", QueueConfig),
        ("cache", CacheConfig),
        ("state", StateConfig),
        ("timeouts", Timeouts),
        ("backoff", Backoff),
        ("hedge", Hedge),
    ],
)
def test_the_page_shows_every_key_and_its_default(section, kind):
    shown = table(section)
    assert [*shown] == keys_of(kind)
    for field in msgspec.structs.fields(kind):
        if field.required:
            assert shown[field.name] == "required"
        elif isinstance(field.default, str | int | float) and field.default != 0:
            assert shown[field.name] == f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def test_the_page_shows_every_variable_and_what_it_says():
    shown = table("The environment")
    assert shown.keys() == {*VARIABLES, *OTHER_VARIABLES}
    assert all(shown[variable] == path for variable, path in VARIABLES.items())


def test_the_variables_of_every_provider_are_called_as_the_page_says():
    for row in CATALOG:
        stem = row.name.upper().replace("-", "_")
        assert row.key_env in {None, f"{stem}_API_KEY"} or f"`{row.key_env}`" in CONFIGURATION
        assert row.base_env == (f"{stem}_API_BASE", f"{stem}_BASE_URL")
        for variable in row.option_env.values():
            assert f"`{variable}`" in CONFIGURATION


def test_what_the_page_shows_can_be_read():
    blocks = re.findall(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert len(blocks) >= 5
    text = "\n".join(blocks)
    config, mistakes = parse(text, "the page", {"TEAM_KEY": "k"})
    assert mistakes == []
    assert config.targets and config.providers and config.prices and config.mock


# --- examples/trunkline.yaml ------------------------------------------------------------------------------------------


def example(**env):
    config, mistakes = parse(EXAMPLE, "examples/trunkline.yaml", env)
    assert mistakes == []
    return config


ADDRESSES = {
    "fast": ("groq", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"),
    "clever": ("anthropic", "claude-opus-4-5", "https://api.anthropic.com/v1"),
    "at-work": ("azure", "gpt-4o-eu", "https://example.openai.azure.com"),
    "vectors": ("openai", "text-embedding-3-small", "https://api.openai.com/v1"),
    "in-house": ("acme", "large", "https://llm.acme.example/v1"),
    "at-home": ("ollama", "qwen3:0.6b", "http://127.0.0.1:11434/v1"),
    "rehearsal": ("mock", "rehearsal", "mock:"),
}


def test_the_example_leads_each_of_its_targets_to_its_address():
    made = Snapshot(example(), {})
    found = {name: made.target(name) for name in made.config.targets}
    assert {name: (target.provider, target.model, target.base_url) for name, target in found.items()} == ADDRESSES
    assert all(target.key is None for target in found.values())
    assert found["at-work"].options == {"api_version": "2024-10-21"}
    assert (made.model, made.embedding_model) == ("fast", "vectors")
    assert str(made.config.prices["acme/large"].output) == "0.60"


def test_the_example_takes_keys_and_numbers_from_the_environment():
    env = {"GROQ_API_KEY": "sk-groq", "ACME_API_KEY": "sk-acme", "PORT": "4321"}
    made = Snapshot(example(**env), env)
    assert made.target("fast").key.reveal() == "sk-groq"
    assert made.target("in-house").key.reveal() == "sk-acme"
    assert made.config.gateway.port == 4321


def test_the_example_says_something_in_every_section():
    config = example()
    silent = [name for name in Config.__struct_fields__ if not re.search(rf"^{name}:", EXAMPLE, re.MULTILINE)]
    assert silent == []
    assert all(section.keys() for section in (config.targets, config.providers, config.prices, config.mock))


def test_the_example_fits_the_schema_that_editors_use():
    config = example()
    read_back = msgspec.convert(msgspec.to_builtins(config), Config, strict=False)
    assert read_back == config
    assert msgspec.to_builtins(config).keys() == schema()["$defs"]["Config"]["properties"].keys()


CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000},
}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
VECTORS = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


def told(asked):
    """What each API answers."""
    kind = asked.path.partition("?")[0].rpartition("/")[2]
    return reply(200, {"completions": CHAT, "messages": MESSAGE, "embeddings": VECTORS}[kind])


async def test_every_target_of_the_example_can_be_asked():
    async with FakeUpstream(told) as upstream:
        env = {f"{name}_URL": f"{upstream.url}/{name.lower()}/v1" for name in ("GROQ", "ANTHROPIC", "OPENAI", "ACME")}
        env |= {"AZURE_URL": f"{upstream.url}/azure", "OLLAMA_URL": upstream.url}
        env |= {f"{name}_API_KEY": f"sk-{name.lower()}" for name in ("GROQ", "ANTHROPIC", "OPENAI", "ACME", "AZURE")}
        async with AsyncClient(example(**env), env=env) as client:
            answers = {name: await client.complete("hi", name) for name in ADDRESSES if name != "vectors"}
            vectors = await client.embed("hi")
    assert {name: answer.text for name, answer in answers.items()} == {
        name: "All is well." if name == "rehearsal" else "hello" for name in ADDRESSES if name != "vectors"
    }
    assert vectors.vectors == ((0.5,),)
    assert answers["in-house"].cost == Decimal("0.00075")
    paths = [asked.path for asked in upstream.served]
    assert paths == [
        "/groq/v1/chat/completions",
        "/anthropic/v1/messages",
        "/azure/openai/deployments/gpt-4o-eu/chat/completions?api-version=2024-10-21",
        "/acme/v1/chat/completions",
        "/v1/chat/completions",
        "/openai/v1/embeddings",
    ]
    sent = [asked.headers for asked in upstream.served]
    assert sent[0]["authorization"] == "Bearer sk-groq"
    assert (sent[1]["x-api-key"], sent[2]["api-key"]) == ("sk-anthropic", "sk-azure")
    assert sent[2]["x-cost-centre"] == "research"
    assert "authorization" not in sent[4]


# --- docs/command-line.md ---------------------------------------------------------------------------------------------

BROKEN = "modle: x\ntargets:\n  fast: {model: opnai/gpt-4o}\n"
GOOD = """
model: fast
targets:
  fast: {model: groq/llama-3.3-70b-versatile}
  clever: {model: anthropic/claude-opus-4-5}
"""


def shown_commands(page):
    """Each command in the page's console blocks, and what it prints there."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = command.partition("\n")
            yield line, output


NOT_REPEATED = ('trunkline ask "What is', "trunkline serve", "trunkline local", "trunkline models sonnet")
"""What asks the embedded model, does not end, or changes with the table of prices."""
REPEATED = [shown for shown in shown_commands(COMMAND_LINE) if not shown[0].startswith(NOT_REPEATED)]


@pytest.mark.parametrize(("line", "output"), REPEATED, ids=[line for line, _ in REPEATED])
def test_a_command_prints_what_the_page_shows(tmp_path, monkeypatch, line, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text(BROKEN)
    if line == "trunkline check":
        (tmp_path / "trunkline.yaml").write_text(GOOD)
    for name in [name for name in os.environ if re.search("TRUNKLINE|_KEY$|_BASE$|_URL$", name)]:
        monkeypatch.delenv(name)
    given, _, command = line.rpartition(" | ")
    words = shlex.split(command)[1:]
    env = {"ANTHROPIC_API_KEY": "k"} if words[0] in {"models", "check"} else {}
    text = shlex.split(given)[1] + "\n" if given else None
    assert_printed(output, ran(words, text, env))


def ran(words, text, env):
    """What a command prints, its known errors as the program tells them."""
    done = CliRunner(env=env).invoke(trunkline, words, input=text)
    known = done.exception is not None and not isinstance(done.exception, SystemExit)
    return done.stdout + done.stderr + (f"trunkline: {done.exception}\n" if known else "")


def assert_printed(shown, printed):
    """Figures may differ; a line of three dots stands for any lines."""
    pattern = re.escape(re.sub(r"\d+", "0", shown)).replace("…\\\n", "(?:.*\n)*")
    assert re.fullmatch(pattern, re.sub(r"\d+", "0", printed)), printed


def test_the_pages_mistakes_are_those_that_check_finds():
    told = [str(mistake) for mistake in parse(BROKEN, "trunkline.yaml", {})[1]]
    for line in told:
        assert line in CONFIGURATION
    assert len(told) == 2


def test_every_command_has_its_section():
    for name in COMMANDS:
        assert f"\n## trunkline {name}\n" in COMMAND_LINE
    assert callable(main)
