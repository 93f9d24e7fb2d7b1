"""Processes: what was recorded survives them, and each record is carried once, however many share a folder."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ledger_records import record

PATHS = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))

WRITER = """
import os, sys
from pathlib import Path
from ledger_records import record
from trunkline.ledger import Ledger
from trunkline.clock import SystemClock

ledger = Ledger(Path(sys.argv[1]), SystemClock(), pause=0.01)
for _ in range(int(sys.argv[2])):
    said = record()
    ledger(said)
    os.write(1, said.id.encode() + b"\\n")
"""


def started(code, *words):
    """A process with our paths; its output is read through a pipe."""
    env = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, env=env)


def written(process):
    """The ids of records whose write has returned. A last line that was cut is of one that may have."""
    with process.stdout:
        told = process.stdout.read()
    process.wait(10)
    return told.decode().rpartition("\n")[0].split()


def recorded(asked):
    return [one for (one,) in asked("SELECT id FROM calls")]


@pytest.mark.parametrize("seconds", [0.05, 0.12, 0.2])
def test_a_process_that_is_killed_under_load_loses_no_record_and_doubles_none(opened, asked, tmp_path, seconds):
    process = started(WRITER, tmp_path / "ledger", 10**9)
    first = process.stdout.read(1)
    collected = []
    reading = threading.Thread(target=lambda: collected.append(written(process)))
    reading.start()
    reading.join(seconds)
    process.send_signal(signal.SIGKILL)
    reading.join(10)
    [ids] = collected
    ids[0] = first.decode() + ids[0]
    assert len(ids) > 20
    opened().flush()
    found = recorded(asked)
    assert set(ids) <= set(found)
    assert len(found) - len(ids) <= 1, "one may have been written whose return nobody saw"
    assert len(asked("SELECT * FROM attempts")) == len(found)
    assert not [*(tmp_path / "ledger").glob("*.spool")]


def test_processes_that_share_a_folder_have_each_record_once(opened, asked, tmp_path):
    processes = [started(WRITER, tmp_path / "ledger", 1500) for _ in range(2)]
    mine = opened(pause=0.01)
    said = [record() for _ in range(500)]
    for one in said:
        mine(one)
    ids = [one.id for one in said]
    for process in processes:
        ids += written(process)
        assert process.returncode == 0
    mine.flush()
    assert sorted(recorded(asked)) == sorted(ids)
    assert len(ids) == 3500
    assert len([*(tmp_path / "ledger").glob("*.spool")]) == 1, "those of the dead are carried and deleted"


def test_a_program_that_ends_at_once_leaves_its_record_to_the_next(opened, asked, tmp_path):
    process = started(WRITER, tmp_path / "ledger", 1)
    ids = written(process)
    assert process.returncode == 0
    mine, said = opened(), record()
    mine(said)
    mine._round()
    assert sorted(recorded(asked)) == sorted([*ids, said.id])


FORKER = """
import os, sys
from pathlib import Path
from ledger_records import record
from trunkline.ledger import Ledger
from trunkline.clock import SystemClock

ledger = Ledger(Path(sys.argv[1]), SystemClock(), pause=0.001)

def tell(times):
    for _ in range(times):
        said = record()
        ledger(said)
        os.write(1, said.id.encode() + b"\\n")

tell(300)
children = []
for _ in range(4):
    child = os.fork()
    tell(100)
    if child == 0:
        ledger.flush()
        tell(1)
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
ledger.close()
"""


def test_a_forked_child_has_a_spool_of_its_own(opened, asked, tmp_path):
    process = started(FORKER, tmp_path / "ledger")
    ids = written(process)
    assert process.returncode == 0
    assert len(set(ids)) == 300 + 4 * 201
    opened().flush()
    assert sorted(recorded(asked)) == sorted(ids)


def test_a_living_child_does_not_keep_its_dead_parents_spool(opened, asked, tmp_path):
    code = FORKER.partition("tell(300)")[0] + (
        "tell(3)\n"
        "if os.fork() == 0:\n"
        "    os.close(1)\n"
        "    os.read(0, 1)\n"  # until the test closes the pipe
        "    os._exit(0)\n"
        "os._exit(0)\n"
    )
    env = {**os.environ, "PYTHONPATH": PATHS}
    words = [sys.executable, "-c", code, str(tmp_path / "ledger")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        ids = written(process)
        opened().flush()
        assert sorted(recorded(asked)) == sorted(ids)
        assert not [*(tmp_path / "ledger").glob("*.spool")]
