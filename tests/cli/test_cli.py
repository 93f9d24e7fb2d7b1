"""The command line: what each command prints, where, and with which exit code."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from trunkline.cli import COMMANDS, trunkline
from trunkline.cli.ask import dollars
from trunkline.vocabulary.errors import TrunklineError

PROGRAM = Path(sys.executable).with_name("trunkline")
BARE = {name: value for name, value in os.environ.items() if not re.search("TRUNKLINE|_KEY$|_BASE$|_URL$", name)}
"""An environment without keys and addresses of providers."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory without a configuration, and an environment without keys."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - BARE.keys():
        monkeypatch.delenv(name)
    return tmp_path


def run(*words, text=None, **env):
    """One command in this process."""
    return CliRunner(env=env).invoke(trunkline, words, input=text)


def process(*words, **how):
    """One command in a process of its own."""
    how = {"env": BARE, "text": True, "capture_output": True, "timeout": 20, **how}
    return subprocess.run([PROGRAM, *words], check=False, **how)


# --- ask --------------------------------------------------------------------------------------------------------------


def test_ask_prints_the_answer_and_beside_it_model_tokens_time_and_cost():
    done = run("ask", "-m", "mock/echo", "What", "is", "this?")
    assert (done.exit_code, done.stdout) == (0, "What is this?\n")
    assert re.fullmatch(r"mock/echo · \d+ \+ 3 tokens · \d+\.\d s · \$0\n", done.stderr)


def test_ask_quietly_prints_the_answer_alone():
    done = run("ask", "-q", "-m", "mock/echo", "hello")
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_ask_takes_the_question_from_standard_input():
    assert run("ask", "-m", "mock/echo", text="from a pipe\n").stdout == "from a pipe\n"
    assert run("ask", "-m", "mock/echo", "Sum up:", "-", text="a report\n").stdout == "Sum up: a report\n"
    assert run("ask", "-m", "mock/echo", text=b"caf\xe9").stdout == "caf\ufffd\n"  # what is no UTF-8 ends no program


def test_ask_without_a_question_says_how_to_ask():
    with pytest.raises(TrunklineError, match=r"ask what\? For example: trunkline ask"):
        raise run("ask", "-m", "mock/echo", text="").exception


def test_ask_finds_its_model_in_argument_variable_and_file(folder):
    (folder / "trunkline.yaml").write_text(
        "model: mock/a\nmock: {a: [{text: file}], b: [{text: variable}], c: [{text: argument}]}"
    )
    assert run("ask", "hi").stdout == "file\n"
    assert run("ask", "hi", TRUNKLINE_MODEL="mock/b").stdout == "variable\n"
    assert run("ask", "-m", "mock/c", "hi", TRUNKLINE_MODEL="mock/b").stdout == "argument\n"


def test_ask_takes_another_file(folder):
    (folder / "other.yaml").write_text("model: mock/a\nmock: {a: [{text: other}]}")
    assert run("ask", "--config", "other.yaml", "hi").stdout == "other\n"


def test_ask_says_when_the_answer_was_cut(folder):
    (folder / "trunkline.yaml").write_text("mock: {a: [{text: It was, finish: length}]}")
    assert run("ask", "-m", "mock/a", "hi").stderr.endswith("cut at the most tokens allowed\n")


def test_ask_prints_what_came_before_the_line_broke(folder):
    (folder / "trunkline.yaml").write_text("retries: 0\nmock: {a: [{text: one two three, cut_after: 3}]}")
    done = run("ask", "-m", "mock/a", "hi")
    assert done.stdout == "one two\n"
    assert "broke off" in str(done.exception)


@pytest.mark.parametrize(
    ("cost", "shown"), [(None, "cost unknown"), ("0", "$0"), ("0.00", "$0"), ("0.0000150", "$0.000015"), ("12", "$12")]
)
def test_a_cost_is_printed_as_people_read_it(cost, shown):
    from decimal import Decimal

    assert dollars(None if cost is None else Decimal(cost)) == shown


# --- models -----------------------------------------------------------------------------------------------------------


def lines(done):
    return {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith(("✓", "·"))}


def test_models_says_what_can_be_called_and_which_variable_is_missing():
    shown = lines(run("models"))
    assert shown["openai"].startswith("·") and shown["openai"].endswith("OPENAI_API_KEY is not set")
    assert shown["azure"].endswith("azure has no address: set AZURE_API_BASE, or give a base_url")
    assert shown["ollama"].endswith("OLLAMA_API_BASE is not set; ollama/<model> asks http://127.0.0.1:11434/v1")
    assert shown["mock"].startswith("✓") and shown["mock"].endswith("needs no key")


def test_models_sees_keys_and_addresses_in_the_environment(folder):
    (folder / "trunkline.yaml").write_text("targets: {fast: {model: groq/llama-3.3-70b-versatile, api_key: k}}")
    done = run("models", OPENAI_API_KEY="sk-secret", VLLM_API_BASE="http://127.0.0.1:9")
    shown = lines(done)
    assert re.fullmatch(r"✓ openai +\d+ models, key from OPENAI_API_KEY", shown["openai"])
    assert shown["vllm"].endswith("at http://127.0.0.1:9/v1, without a key")
    assert shown["fast"].startswith("✓") and shown["fast"].endswith("key from the file")
    assert "sk-secret" not in done.output


def test_models_details_shows_window_price_and_abilities_of_what_can_be_called():
    done = run("models", "--details", OPENAI_API_KEY="k")
    shown = lines(done)
    assert shown["openai/gpt-4o"].split()[2:6] == ["128,000", "16,384", "2.5", "10"]
    assert "vision" in shown["openai/gpt-4o"]
    assert not any(name.startswith("anthropic/") for name in shown)
    assert any(name.startswith("anthropic/") for name in lines(run("models", "--details", "--all")))


@pytest.mark.parametrize("words", [("models", "gpt-4o"), ("models", "--details", "gpt-4o")])
def test_models_searches_everywhere_and_marks_what_can_be_called(words):
    shown = lines(run(*words, OPENAI_API_KEY="k"))
    assert shown["openai/gpt-4o"].startswith("✓")
    assert shown["openrouter/openai/gpt-4o"].startswith("·")
    assert all("gpt-4o" in name for name in shown)


def test_models_shows_the_facts_of_a_target_that_cannot_be_called_yet(folder):
    (folder / "trunkline.yaml").write_text("targets: {clever: {model: openai/gpt-4o}}")
    assert "128,000" in lines(run("models", "clever"))["clever"]


def test_models_that_finds_nothing_says_so():
    done = run("models", "xyzzy")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "no model's name holds 'xyzzy'\n")


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_shows_what_each_target_stands_for(folder):
    (folder / "trunkline.yaml").write_text(
        """
        model: fast
        targets:
          fast: {model: groq/llama-3.3-70b-versatile, base_url: "http://127.0.0.1:9/v1", api_key: sk-secret}
          slow: {model: openai/gpt-4o}
          own: {model: vllm/qwen, base_url: "http://127.0.0.1:8"}
        """
    )
    done = run("check")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "fast: groq/llama-3.3-70b-versatile at http://127.0.0.1:9/v1, key from the file",
        "slow: openai/gpt-4o at https://api.openai.com/v1, OPENAI_API_KEY is not set",
        "own: vllm/qwen at http://127.0.0.1:8/v1, without a key",
        "default model: fast",
        "default embedding model: local/wordllama-256",
        "trunkline.yaml: no mistakes",
    ]


def test_check_prints_every_mistake_and_fails(folder):
    (folder / "trunkline.yaml").write_text("modle: x\ntargets:\n  fast: {model: opnai/gpt-4o}\n")
    done = run("check", TRUNKLINE_PORT="x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "environment: TRUNKLINE_PORT: must be a port from 0 to 65535, not 'x'",
        "trunkline.yaml:1: modle: unknown key 'modle', did you mean 'model'?",
        "trunkline.yaml:3: targets.fast.model: unknown provider 'opnai' in 'opnai/gpt-4o', did you mean 'openai'?",
        "3 mistakes",
    ]


def test_check_takes_a_file_and_says_when_there_is_none(folder):
    (folder / "other.yaml").write_text("timeout: 0")
    assert run("check", "other.yaml").stderr.startswith("other.yaml:1: timeout: must be a number of seconds above 0")
    assert run("check", TRUNKLINE_CONFIG="other.yaml").exit_code == 1
    assert run("check", "nope.yaml").stderr == "nope.yaml: cannot be read: No such file or directory\n1 mistake\n"
    assert run("check").stdout.endswith("no mistakes; there is no trunkline.yaml here\n")


def test_check_finds_a_key_that_is_not_where_it_should_be(folder):
    (folder / "trunkline.yaml").write_text("targets: {fast: {model: groq/x, api_key: 'keyring:no-such-form'}}")
    done = run("check")
    assert done.exit_code == 1
    assert done.stderr == ("targets.fast: 'keyring:no-such-form' names no key: write keyring:service/name\n1 mistake\n")


def test_check_prints_the_schema_for_editors():
    schema = msgspec.json.decode(run("check", "--schema").stdout)
    assert schema["$defs"]["Config"]["properties"].keys() >= {"model", "targets", "gateway"}


# --- serve, and the command line itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (("--port", "70000"), "70000 is not in the range 0<=x<=65535"),
        (("--workers", "0"), "0 is not in the range x>=1"),
    ],
)
def test_serve_refuses_numbers_out_of_range(option, complaint):
    done = run("serve", *option)
    assert done.exit_code == 2
    assert complaint in done.stderr


@pytest.mark.parametrize("env", [{"TRUNKLINE_HOST": "0.0.0.0"}, {}])
def test_serve_listens_on_loopback_only(env):
    done = run("serve", *([] if env else ["--host", "0.0.0.0"]), **env)
    assert "loopback" in str(done.exception) or "127.0.0.1" in str(done.exception)
    assert done.exit_code == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: trunkline {command}")
    assert all(line.split(maxsplit=1)[1:] for line in done.stdout.splitlines() if line.startswith("  --"))


def test_help_lists_the_commands_without_importing_them():
    done = run("--help")
    for name, words in COMMANDS.items():
        assert re.search(rf"{name} +{re.escape(words[:20])}", done.stdout)
    code = "import sys; from trunkline.cli import trunkline; trunkline(['--help'], standalone_mode=False)\n"
    code += "print(*[name for name in sys.modules if name.startswith('trunkline.')], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["trunkline.cli"]


def test_what_asks_no_one_imports_no_network():
    code = "import sys, trunkline.cli.check, trunkline.cli.models; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- as a process -----------------------------------------------------------------------------------------------------


def test_a_question_in_a_process_of_its_own(folder):
    done = process("ask", "-m", "mock/echo", "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("ask", "-m", "opnai/x", "hi"), 1, "unknown provider 'opnai' in 'opnai/x', did you mean 'openai'?"),
        (("ask", "-m", "openai/gpt-4o", "hi"), 1, "openai has no key: set OPENAI_API_KEY"),
        (("aks",), 2, "No such command 'aks'"),
    ],
)
def test_what_goes_wrong_is_told_on_stderr_and_by_the_exit_code(folder, words, code, complaint):
    done = process(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or done.stderr.count("\n") == 1


def test_a_reader_that_has_had_enough_is_no_accident(folder):
    words = " ".join(["word"] * 20_000)
    (folder / "words").write_text(words)
    done = process("-c", f"{PROGRAM} ask -m mock/echo < words | head -c 9", executable="/bin/sh")
    assert (done.stdout, done.stderr) == ("word word", "")


def test_ctrl_c_ends_at_once_with_exit_code_130(folder):
    words = "one" + " and another" * 500
    (folder / "trunkline.yaml").write_text(f"mock: {{slow: [{{text: {words}, chunk_delay: 0.2}}]}}")
    words = [PROGRAM, "ask", "-m", "mock/slow", "hi"]
    with subprocess.Popen(words, env=BARE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        assert asking.stdout.read(3) == b"one"
        asking.send_signal(signal.SIGINT)
        rest, complaint = asking.communicate(timeout=10)
    assert asking.returncode == 130
    assert len(rest) < 100 and rest.endswith(b"\n")
    assert b"Traceback" not in complaint
