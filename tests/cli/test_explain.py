"""`trunkline explain`: whom a call would ask, and what it would reserve; nobody is called."""

from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner

from trunkline.cli import trunkline

CONFIG = """
targets:
  cheap: {model: acme/small}
  dear: {model: acme/large}
  private: {model: acme/small, tags: [eu]}
  vague: {model: acme/unknown}
providers:
  acme: {like: openai-compatible, base_url: "http://127.0.0.1:1/v1", api_key: k}
prices:
  acme/small: {input: 1, output: 2}
  acme/large: {input: 100, output: 200}
routes:
  smart: {targets: [dear, cheap, private, vague], strategy: lowest-cost, fallbacks: [mock/echo]}
payers:
  alice: {budget: {usd: 5}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.yaml").write_text(CONFIG)


def run(*words):
    done = CliRunner().invoke(trunkline, ["explain", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def decided(*words):
    said = msgspec.json.decode(run("--json", *words))
    return {one["target"]: one for one in said["considered"]}, said


def test_targets_stand_in_the_order_in_which_they_are_asked():
    _, said = decided("-m", "smart", "How are you?")
    assert [one["target"] for one in said["considered"] if "why" not in one] == ["cheap", "dear", "vague", "mock/echo"]
    assert said["strategy"] == "lowest-cost"


def test_those_who_are_not_asked_say_why():
    considered, _ = decided("-m", "smart", "--payer", "alice", "--max-cost", "0.01", "--max-tokens", "1000")
    assert considered["dear"]["why"].startswith("it may cost $0.2")
    assert considered["private"]["why"] == "it serves only calls with its tags"
    assert considered["vague"]["why"].startswith("its price is unknown")
    assert "why" not in considered["cheap"]


def test_tags_and_fallbacks_are_those_of_the_call():
    considered, _ = decided("-m", "smart", "--tag", "eu", "--fallback", "dear")
    assert {name for name, one in considered.items() if "why" not in one} == {"private", "dear"}


def test_what_is_reserved_is_the_worst_that_the_caller_allows():
    considered, _ = decided("-m", "cheap", "--max-tokens", "1000", "x")
    one = considered["cheap"]
    prompt = one["tokens"] - 1000
    assert 0 < prompt < 50
    assert one["cost"] == one["most"]
    assert Decimal(one["cost"]) == Decimal(prompt * 1 + 1000 * 2) / 10**6


def test_what_cannot_be_bounded_is_not_given_a_figure():
    text = run("-m", "vague", "x")
    row = next(line for line in text.splitlines() if line.startswith("1."))
    assert row.count("?") == 2
    assert "A budget can be overspent by the last figure" in text


def test_a_table_names_the_order_and_the_sums():
    text = run("-m", "smart", "--max-tokens", "10", "x")
    assert text.startswith("smart: ")
    assert "1.  cheap" in text and "2.  dear" in text
    assert "it serves only calls with its tags" in text
