"""The gateway as a process: started by its command, with one worker and with several, and stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest


@contextmanager
def served(*arguments):
    """`trunkline serve` on a free port; gives its address and process."""
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr.read()
        yield found[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        _, process.errors = process.communicate(timeout=20)


def ask(url, model, timeout=60):
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 12,
    }
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", msgspec.json.encode(body), headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return msgspec.json.decode(answer.read())["choices"][0]["message"]["content"]


def children_of(pid):
    """The processes that `pid` started, as (pid, command line)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid:
                found.append((int(stat.parent.name), (stat.parent / "cmdline").read_text().replace("\0", " ")))
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_embedded_model_answers_through_the_gateway_and_is_gone_with_it():
    with served() as (url, process):
        assert "Paris" in ask(url, "local")
        (model,) = [pid for pid, args in children_of(process.pid) if "local" in args]
        assert alive(model)
    assert process.errors == ""
    until(lambda: not alive(model))


def test_it_answers_with_several_workers():
    with served("--workers", "2") as (url, process):
        assert all("Paris" in ask(url, "local") for _ in range(4))
        workers = [pid for pid, _ in children_of(process.pid)]
        models = [pid for worker in workers for pid, args in children_of(worker) if "local" in args]
        assert models
    until(lambda: not any(alive(pid) for pid in [*workers, *models]))


def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "trunkline.cli", "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"trunkline: port {port} is in use: stop what listens there, or pass --port"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5"])
def test_only_loopback_is_listened_on(host):
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--host", host, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert "127.0.0.1" in done.stderr


def until(condition, within=5.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
