"""`trunkline usage`: what it prints, of which ledger, and what it says where there is none."""

from textwrap import dedent

import msgspec
import pytest
from click.testing import CliRunner
from ledger_records import NOON, attempt, record

from trunkline.cli import trunkline
from trunkline.ledger import is_empty
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.usage import Usage

DAY = 86_400.0
JUNE = ("--since", "2025-06-16", "--until", "2025-06-17")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working directory without a configuration, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_STATE_HOME", "TRUNKLINE_LEDGER", "TRUNKLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def june(opened):
    """A ledger with two days of June: a fallback, a model without a price, an estimate, an answer from the cache."""
    ledger = opened()
    used = Usage(input=1200, cache_read=800, output=300, reasoning=45)
    failed = attempt("groq/llama", outcome="error", error="RateLimitError", cost=None)
    ledger(record(failed, attempt("openai/gpt-4o", usage=used, cost="0.0123456")))
    ledger(record(attempt("openai/gpt-4o", usage=used, cost="1.5"), payer="bob"))
    ledger(
        record(attempt("vllm/house", cost=None), attempt("vllm/house", usage=Usage(input=3, estimated=True), cost="0"))
    )
    ledger(record(attempt("groq/llama", cost=None, usage=Usage(output=5)), at=NOON + DAY, route=None))
    cached = record(at=NOON + DAY, cached=True)
    cached.attempts.clear()
    ledger(cached)
    ledger.close()
    return ledger.folder


def run(*words, **env):
    return CliRunner(env=env).invoke(trunkline, ["usage", *map(str, words)])


def printed(*words, **env):
    done = run(*words, **env)
    assert (done.exit_code, done.stderr) == (0, ""), done
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def test_usage_prints_spend_by_day_and_target(june):
    shown = f"""\
    day         target         calls  attempts  failed  input  cached  output  reasoning          cost
    2025-06-16  openai/gpt-4o      2         2       0  2,400   1,600     600         90    $1.5123456
    2025-06-16  vllm/house         1         2       0     13       0       5          0             ?       17% estimated
    2025-06-16  groq/llama         0         1       1      0       0       0          0    $0.0000000
    2025-06-17  groq/llama         1         1       0      0       0       5          0             ?
    2025-06-17  openai/gpt-4o      1         0       0      0       0       0          0    $0.0000000
    all                            5         6       1  2,413   1,600     610         90  ≥ $1.5123456  under 1% estimated

    ≥ and ?: some attempts have no known cost; it is missing from the sum.

    From 2025-06-16 to 2025-06-17 (UTC), in {june}."""  # noqa: E501 as wide as it is
    assert printed("--folder", june, *JUNE) == dedent(shown)


def test_usage_by_other_columns(june):
    assert printed("--folder", june, *JUNE, "--by", "payer", "--payer", "bob") == dedent(f"""\
    payer  calls  attempts  failed  input  cached  output  reasoning   cost
    bob        1         1       0  1,200     800     300         45  $1.50

    From 2025-06-16 to 2025-06-17 (UTC) for bob, in {june}.""")
    words = printed("--folder", june, *JUNE, "--by", "kind", "--by", "route").split()
    assert words[:2] == ["kind", "route"]
    assert words[words.index("RateLimitError") :][:2] == ["RateLimitError", "smart"]
    assert "-" in words, "what has no value is a line of its own"


def test_usage_as_json_has_every_bucket_and_exact_costs(june):
    said = msgspec.json.decode(printed("--folder", june, *JUNE, "--by", "target", "--by", "day", "--json"))
    assert said[0] == {
        "target": "openai/gpt-4o",
        "day": "2025-06-16",
        "calls": 2,
        "attempts": 2,
        "failed": 0,
        "input": 2400,
        "cache_read": 1600,
        "cache_write": 0,
        "cache_write_1h": 0,
        "input_audio": 0,
        "output": 600,
        "reasoning": 90,
        "output_audio": 0,
        "estimated": 0,
        "cost": "1.5123456",
        "unpriced": 0,
    }
    assert [one["cost"] for one in said if one["unpriced"]] == [None, None]


def test_each_token_is_in_one_column(opened):
    ledger = opened()
    buckets = {"input": 1, "cache_read": 2, "cache_write": 4, "cache_write_1h": 8, "input_audio": 16, "output": 32}
    ledger(record(attempt(usage=Usage(**buckets, reasoning=64, output_audio=128))))
    ledger.close()
    line = printed("--folder", ledger.folder, *JUNE, "--by", "target").splitlines()[1].split()
    assert line[4:8] == ["29", "2", "160", "64"]


def test_the_last_seven_days_are_shown_and_what_is_still_spooled_counts(opened, clock):
    from trunkline.clock import SystemClock

    ledger, now = opened(), SystemClock().wall()
    for days in (0, 6, 7):
        ledger(record(at=now - days * DAY))
    assert printed("--folder", ledger.folder, "--by", "provider").splitlines()[1].split()[1] == "2"


def test_the_ledger_is_that_of_the_argument_the_variable_the_file_or_the_default(opened, tmp_path):
    folders = [tmp_path / name for name in ("argument", "variable", "file")]
    folders.append(tmp_path / "home" / ".local" / "state" / "trunkline")
    for number, folder in enumerate(folders, 1):
        ledger = opened(folder)
        for _ in range(number):
            ledger(record())
        ledger.close()
    (tmp_path / "other.yaml").write_text("ledger: file")

    def calls(*words, **env):
        return int(printed(*JUNE, "--by", "provider", *words, **env).splitlines()[1].split()[1])

    assert calls("--folder", folders[0], "--config", "other.yaml", TRUNKLINE_LEDGER="variable") == 1
    assert calls("--config", "other.yaml", TRUNKLINE_LEDGER="variable") == 2
    assert calls("--config", "other.yaml") == 3
    assert calls() == 4
    assert calls(TRUNKLINE_LEDGER="off") == 4


def test_an_empty_ledger_says_so_and_how_to_turn_it_on(tmp_path):
    default = tmp_path / "home" / ".local" / "state" / "trunkline"
    shown = f"no call was recorded in {default} yet: write `ledger: {default}` into trunkline.yaml"
    assert printed().startswith(shown)
    assert is_empty(default) and not default.exists(), "looking makes no ledger"
    done = run("--json", "--folder", "nowhere")
    assert (done.stdout, done.exit_code) == ("[]\n", 0)
    assert done.stderr.startswith("no call was recorded in nowhere yet")


def test_days_without_calls_say_so(june):
    done = printed("--folder", june, "--since", "2024-01-01", "--until", "2024-01-02")
    assert done == f"nothing was recorded in {june} from 2024-01-01 to 2024-01-02"
    assert printed("--folder", june, "--since", "2024-01-01", "--until", "2024-01-02", "--json") == "[]"


def test_what_is_no_ledger_is_one_clear_error(tmp_path):
    (tmp_path / "ledger.db").write_text("a shopping list")
    assert isinstance(error := run("--folder", tmp_path).exception, ConfigurationError)
    assert "is no ledger" in str(error)


@pytest.mark.parametrize("words", [("--by", "colour"), ("--since", "yesterday")])
def test_a_wrong_option_is_a_wrong_command_line(words):
    assert run(*words).exit_code == 2
