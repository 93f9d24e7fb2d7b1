"""What is counted of calls and their attempts, and the page that a collector reads."""

import os
import re
import signal
import threading
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from trunkline import AsyncClient, Client
from trunkline.providers.mock import MockAnswer
from trunkline.runtime import Runtime
from trunkline.telemetry import page
from trunkline.telemetry.metrics import BOUNDS, Metrics
from trunkline.vocabulary.calls import Record
from trunkline.vocabulary.decisions import Attempt
from trunkline.vocabulary.usage import Usage

USAGE = Usage(input=10, cache_read=2, output=5, reasoning=1)


def attempt(target="openai/gpt", outcome="finished", **more):
    """One attempt; an answer for a tenth of a cent, where nothing else is said."""
    answered = {"usage": USAGE, "cost": Decimal("0.001")} if outcome == "finished" else {}
    told = {"provider": target.partition("/")[0], "started": 0.0, "seconds": 0.5, **answered, **more}
    return Attempt(id="", target=target, outcome=outcome, **told)


def record(*attempts, outcome=None, **more):
    """A call of these attempts, which ended as the last of them did."""
    told = {"operation": "chat", "target": "openai/gpt", "provider": "openai", **more}
    outcome = outcome or (attempts[-1].outcome if attempts else "finished")
    return Record(id="", at=0.0, model="m", stream=False, seconds=0.5, outcome=outcome, attempts=[*attempts], **told)


def counted(*records, **more):
    metrics = Metrics(**more)
    for one in records:
        metrics(one)
    return metrics


def only(*records):
    """The one row that these calls make."""
    (row,) = counted(*records).rows()
    return row


# --- counts -----------------------------------------------------------------------------------------------------------


def test_a_failure_is_seen_although_a_fallback_answered():
    metrics = counted(record(attempt("a/x", "error", error="RateLimitError"), attempt("b/y")))
    failed, answered = metrics.rows()
    assert (failed.provider, failed.target, failed.failed, failed.finished) == ("a", "a/x", 1, 0)
    assert failed.errors == {"RateLimitError": 1}
    assert (answered.target, answered.failed, answered.finished, answered.errors) == ("b/y", 0, 1, {})
    assert metrics.calls() == {"finished": 1, "cut": 0, "error": 0, "cancelled": 0}


def test_an_answer_that_is_not_what_was_asked_for_is_a_failure():
    row = only(record(attempt(error="ResponseParseError")))
    assert (row.finished, row.failed, row.errors) == (0, 1, {"ResponseParseError": 1})


def test_a_row_adds_its_attempts_up():
    row = only(
        record(attempt(seconds=1.0), attempt(seconds=3.0)),
        record(attempt(outcome="error", error="ServiceError", seconds=0.5)),
        record(attempt(outcome="cut", error="CutOff", seconds=1.5, usage=USAGE, cost=Decimal("0.0005"))),
    )
    assert (row.attempts, row.finished, row.failed, row.cut, row.cancelled) == (4, 2, 1, 1, 0)
    assert row.errors == {"ServiceError": 1, "CutOff": 1}
    assert (row.success_rate, row.seconds, row.mean_seconds) == (0.5, 6.0, 1.5)
    assert (row.prompt_tokens, row.completion_tokens) == (36, 18)
    assert row.cost == Decimal("0.0025")


def test_one_that_nobody_waited_for_is_neither_success_nor_failure_but_was_paid_for():
    left = attempt(outcome="cancelled", error="cancelled", seconds=60.0, usage=USAGE, cost=Decimal(1))
    row = only(
        record(attempt(seconds=2.0)), record(left), record(attempt(outcome=None, seconds=None), outcome="cancelled")
    )
    assert (row.attempts, row.cancelled, row.success_rate, row.mean_seconds) == (3, 2, 1.0, 2.0)
    assert (row.errors, sum(row.histogram)) == ({}, 1)
    assert (row.prompt_tokens, row.cost) == (24, Decimal("1.001"))


def test_without_an_attempt_that_ended_there_is_no_rate():
    row = only(record(attempt(outcome="cancelled")))
    assert (row.success_rate, row.mean_seconds) == (None, None)


def test_an_unknown_cost_is_not_taken_for_nothing():
    unpriced = [attempt(cost=None), attempt(usage=None, cost=None), attempt(outcome="cut", error="CutOff")]
    row = only(record(*unpriced, attempt()))
    assert (row.unpriced, row.cost) == (3, Decimal("0.001"))


def test_a_refusal_and_what_is_free_have_no_unknown_cost():
    row = only(
        record(attempt(outcome="error", error="RateLimitError")),
        record(attempt(usage=None, cost=None), operation="moderations"),
        record(attempt(usage=USAGE, cost=None), operation="tokens"),
    )
    assert row.unpriced == 0


def test_money_is_exact_whatever_the_program_rounds_to():
    with localcontext() as context:
        context.prec = 3
        row = only(*[record(attempt(cost=Decimal("0.12345678")))] * 3)
    assert row.cost == Decimal("0.37037034")


def test_an_answer_from_the_cache_is_no_attempt():
    metrics = counted(record(attempt()), record(cached=True))
    (row,) = metrics.rows()
    assert (row.attempts, row.cache_hits, row.cost) == (1, 1, Decimal("0.001"))
    assert metrics.calls()["finished"] == 2


def test_a_call_for_which_nobody_was_asked_is_a_call():
    metrics = counted(record(outcome="error", error="LimitError"))
    assert (metrics.rows(), metrics.calls()["error"]) == ([], 1)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.01, 0), (0.011, 1), (81.92, 13), (82.0, 14), (10_000.0, 14), (None, 0)]
)
def test_a_bucket_takes_its_bound_too(seconds, bucket):
    histogram = only(record(attempt(seconds=seconds))).histogram
    assert [at for at, count in enumerate(histogram) if count] == [bucket]
    assert len(histogram) == len(BOUNDS) + 1


def test_what_callers_invent_takes_no_memory():
    metrics = counted(*(record(attempt(f"a/{number}")) for number in range(10)), record(cached=True), most_rows=4)
    rows = {row.target: row for row in metrics.rows()}
    assert list(rows) == ["a/0", "a/1", "a/2", "other"]
    assert (rows["other"].provider, rows["other"].finished, rows["other"].cache_hits) == ("other", 7, 1)
    metrics(record(attempt("a/1")))
    metrics(record(cached=True, provider="a", target="a/1"))
    row = metrics.rows()[1]
    assert (row.target, row.finished, row.cache_hits) == ("a/1", 2, 1)


def test_a_row_stays_as_it_was_read():
    metrics = counted(record(attempt(outcome="error", error="ServiceError")))
    (before,) = metrics.rows()
    metrics(record(attempt(outcome="error", error="ServiceError")))
    assert (before.failed, before.errors, sum(before.histogram)) == (1, {"ServiceError": 1}, 1)


def test_reset_begins_at_zero():
    metrics = counted(record(attempt()))
    before = metrics.rows()
    metrics.reset()
    assert (metrics.rows(), metrics.calls()["finished"]) == ([], 0)
    assert before[0].finished == 1


def test_threads_lose_nothing():
    metrics, begin = Metrics(), threading.Barrier(4)

    def count():
        begin.wait()
        for _ in range(2000):
            metrics(record(attempt()))
            metrics.rows()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.calls()["finished"] == metrics.rows()[0].finished == 8000


def test_a_lock_is_held_while_it_is_counted():
    metrics = Metrics()
    with metrics._lock:
        thread = threading.Thread(target=metrics, args=[record(attempt())])
        thread.start()
        thread.join(0.02)
        assert metrics._calls["finished"] == 0
    thread.join()
    assert metrics.calls()["finished"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_counts_for_itself():
    metrics = counted(record(attempt()))
    metrics._lock.acquire()  # as another thread may at that moment
    child = os.fork()
    if child == 0:
        metrics(record(attempt("a/child")))
        os._exit([row.target for row in metrics.rows()] != ["a/child"])
    metrics._lock.release()
    overdue = threading.Timer(5, os.kill, (child, signal.SIGKILL))  # rather than wait for ever
    overdue.start()
    assert os.waitpid(child, 0)[1] == 0
    overdue.cancel()
    assert [row.target for row in metrics.rows()] == ["openai/gpt"]


# --- in the runtime ---------------------------------------------------------------------------------------------------


def test_a_client_counts_by_itself():
    runtime = Runtime(sinks=(), mock={"busy": [MockAnswer(status=429)]})
    line = Client(runtime=runtime)
    line.complete("Hello", "mock/busy", fallbacks=["mock/echo"], retries=0)
    rows = {row.target: row for row in runtime.metrics.rows()}
    assert (rows["mock/busy"].errors, rows["mock/echo"].finished) == ({"RateLimitError": 1}, 1)


@pytest.mark.anyio
async def test_a_named_target_has_its_name():
    runtime = Runtime(sinks=())
    async with AsyncClient({"targets": {"fast": {"model": "mock/echo"}}}, runtime=runtime) as line:
        await line.complete("Hello", "fast")
    assert [(row.provider, row.target, row.finished) for row in runtime.metrics.rows()] == [("mock", "fast", 1)]


# --- the page ---------------------------------------------------------------------------------------------------------


HELP = re.compile(r"# HELP ([a-z_]+) ([^\n\\]+)")
TYPE = re.compile(r"# TYPE ([a-z_]+) (counter|histogram)")
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (-?[0-9.]+(?:e[-+][0-9]+)?)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)')
UNESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


def parsed(text):
    """Every sample by its name and labels. Holds the page to the format's rules, and to those that are only custom."""
    assert text.endswith("\n") and "\n\n" not in text
    samples, families = {}, []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP"):
            families.append(HELP.fullmatch(line)[1])
        elif line.startswith("# TYPE"):
            name, kind = TYPE.fullmatch(line).groups()
            assert name == families[-1], "HELP and TYPE come together"
            assert (kind == "counter") == name.endswith("_total"), "a counter's name says so"
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            of = re.sub(r"_(bucket|sum|count)$", "", name) if kind == "histogram" else name
            assert of == families[-1], "the samples of a family stand together, below its type"
            assert LABEL.sub("", labels) == "", f"no labels: {labels}"
            told = {key: re.sub(r"\\.", lambda found: UNESCAPED[found[0]], said) for key, said in LABEL.findall(labels)}
            key = name, *sorted(told.items())
            assert key not in samples, "a sample stands there once"
            samples[key] = value
    assert len(families) == len(set(families))
    return samples


def written(*records):
    return parsed(page.text(counted(*records)).decode())


def test_the_page_says_what_was_counted():
    failed = attempt(outcome="error", error="RateLimitError", seconds=0.02)
    samples = written(
        record(failed, attempt(seconds=2.0)), record(attempt(cost=None, seconds=100.0)), record(cached=True)
    )
    assert samples["trunkline_calls_total", ("outcome", "finished")] == "3"
    mine = {
        (name.removeprefix("trunkline_"), *(value for key, value in labels if key not in ("provider", "target"))): value
        for (name, *labels), value in samples.items()
        if ("provider", "openai") in labels and ("target", "openai/gpt") in labels
    }
    histogram = {key: mine.pop(key) for key in [*mine] if key[0] == "attempt_seconds_bucket"}
    assert mine == {
        ("attempts_total", "finished"): "2",
        ("attempts_total", "cut"): "0",
        ("attempts_total", "error"): "1",
        ("attempts_total", "cancelled"): "0",
        ("errors_total", "RateLimitError"): "1",
        ("attempt_seconds_sum",): "102.02",
        ("attempt_seconds_count",): "3",
        ("tokens_total", "input"): "24",
        ("tokens_total", "output"): "12",
        ("cost_usd_total",): "0.001",
        ("unpriced_total",): "1",
        ("cache_hits_total",): "1",
    }
    assert [key[1] for key in histogram] == [*map(str, BOUNDS), "+Inf"]
    assert [*histogram.values()] == ["0", *["1"] * 7, *["2"] * 6, "3"]


def test_an_empty_page_is_a_page():
    samples = written()
    assert set(samples.values()) == {"0"}
    assert {name for name, *_ in samples} == {"trunkline_calls_total"}


@pytest.mark.parametrize("name", ['a/"b"', "a/b\\", "a/b\nc", 'a/\\"\n\\n', "a/}{,=", "a/é模", "a/b\r"])
def test_any_name_is_written_so_that_it_can_be_read_again(name):
    samples = written(record(attempt(name)))
    assert ("trunkline_unpriced_total", ("provider", "a"), ("target", name)) in samples


def test_a_name_that_is_no_text_breaks_nothing():
    assert b'target="a/?"' in page.text(counted(record(attempt("a/\ud800"))))


def test_a_small_cost_is_written_out():
    samples = written(record(attempt(cost=Decimal("1E-9"))))
    assert samples["trunkline_cost_usd_total", ("provider", "openai"), ("target", "openai/gpt")] == "0.000000001"


def test_every_series_is_in_the_docs():
    told = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()
    text = page.text(Metrics()).decode()
    for name in TYPE.findall(text):
        assert f"`{name[0]}`" in told or f"`{name[0]}{{" in told, f"docs/gateway.md says nothing of {name[0]}"
