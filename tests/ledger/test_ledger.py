"""The ledger: each record once in the database, whoever carries it, and a database that is only ever its own."""

import logging
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal

import pytest
from ledger_records import NOON, attempt, record

from trunkline.ledger import Ledger, default_folder, is_empty
from trunkline.ledger.database import Database
from trunkline.ledger.lines import line_of
from trunkline.ledger.rows import ATTEMPTS, CALLS
from trunkline.ledger.schema import STEPS
from trunkline.vocabulary.calls import Attempt, Record
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.usage import BUCKETS, Usage

DAY = 86_400.0


def count(asked, table="calls"):
    return asked(f"SELECT count(*) FROM {table}")[0][0]


# --- what stands in the tables ----------------------------------------------------------------------------------------


def test_a_record_stands_in_its_tables_field_by_field(opened, asked):
    ledger = opened()
    used = Usage(input=1, cache_read=2, cache_write=3, cache_write_1h=4, input_audio=5, output=6, reasoning=7)
    ledger(
        record(
            attempt("openai/gpt-4o", outcome="error", error="RateLimitError", status=429, cost=None, waited=0.5),
            attempt("groq/x", usage=used, cost="0.0000000015", priced="2025-06-01", request_id="req_1", tier="flex"),
            tags=("a", "b"),
            loss=("top_k",),
            waited=0.5,
        )
    )
    ledger.flush()
    tokens = ", ".join(BUCKETS)
    [call] = asked(
        f"SELECT payer, owner, route, model, target, provider, tags, loss, waited, cost, {tokens} FROM calls"
    )
    assert call[:6] == ("alice", "research", "smart", "smart", "groq/x", "groq")
    assert call[6:] == ('["a","b"]', '["top_k"]', 0.5, "0.0000000015", 1, 2, 3, 4, 5, 6, 7, 0)
    first, second = asked(f"SELECT number, target, error, status, cost, nanos, priced, {tokens} FROM attempts")
    assert first == (1, "openai/gpt-4o", "RateLimitError", 429, None, None, None, *[0] * 8)
    assert second == (2, "groq/x", None, None, "0.0000000015", 2, "2025-06-01", 1, 2, 3, 4, 5, 6, 7, 0)


def test_every_field_of_a_record_has_its_column():
    def stored(struct):
        return {name for name in struct.__struct_fields__ if name not in {"usage", "attempts", "id"}}

    assert stored(Record) <= set(CALLS)
    assert stored(Attempt) <= set(ATTEMPTS)


def test_the_tables_have_the_columns_that_rows_fill(opened, asked):
    opened()
    for table, columns in (("calls", CALLS), ("attempts", ATTEMPTS)):
        assert {row[1] for row in asked(f"PRAGMA table_info({table})")} == set(columns)


@pytest.mark.parametrize("rows", [1, 24, 25, 26, 120])
def test_records_are_carried_whatever_their_number(opened, asked, rows):
    ledger = opened()
    for _ in range(rows):
        ledger(record(attempt(), attempt()))
    ledger.flush()
    assert (count(asked), count(asked, "attempts")) == (rows, 2 * rows)


# --- each once --------------------------------------------------------------------------------------------------------


def test_carrying_twice_writes_once(opened, asked, tmp_path):
    ledger = opened()
    for _ in range(10):
        ledger(record())
    ledger.flush()
    ledger.flush()
    assert (count(asked), count(asked, "attempts")) == (10, 10)
    [spool] = (tmp_path / "ledger").glob("*.spool")
    (tmp_path / "ledger" / "1-again.spool").write_bytes(spool.read_bytes())
    ledger.flush()
    assert (count(asked), count(asked, "attempts")) == (10, 10)


def test_a_transaction_that_breaks_off_is_done_anew(opened, asked, monkeypatch):
    ledger = opened()
    for _ in range(120):
        ledger(record())
    add, broken = Database.add, iter([None, sqlite3.OperationalError("the disk is gone")])

    def breaks(self, rows):
        if (error := next(broken, None)) is not None:
            raise error
        add(self, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "add", breaks)
        with pytest.raises(ConfigurationError, match="the disk is gone"):
            ledger.flush()
    assert count(asked) == 0
    ledger.flush()
    assert count(asked) == 120


def test_a_spool_is_read_on_from_where_the_database_says(opened, asked, tmp_path):
    ledger = opened()
    ledger(record())
    ledger.flush()
    [spool] = (tmp_path / "ledger").glob("*.spool")
    assert asked("SELECT name, offset, unread FROM spools") == [(spool.name, spool.stat().st_size, 0)]


def test_two_ledgers_share_a_folder_and_each_sees_what_the_other_has_only_spooled(opened, asked):
    mine, theirs = opened(), opened()
    for ledger in (mine, theirs):
        for _ in range(5):
            ledger(record())
    assert mine.usage(())[0].calls == 10
    theirs(record())
    theirs.flush()
    mine.flush()
    assert count(asked) == 11


def test_the_spool_of_a_living_process_is_not_taken_away(opened, tmp_path):
    mine, theirs = opened(), opened()
    theirs(record())
    mine.flush()
    mine._round()
    assert len([*(tmp_path / "ledger").glob("*.spool")]) == 1
    theirs(record())
    assert mine.usage(())[0].calls == 2


def test_what_this_version_cannot_read_is_kept_for_one_that_can(opened, asked, tmp_path, caplog):
    folder, said = tmp_path / "ledger", [record() for _ in range(120)]
    folder.mkdir()
    strange = line_of(record(operation="dreams")) + line_of(record(attempt(cost="1e40")))
    strange += line_of(record(attempt(usage=Usage(output=2**70)))) + b"".join(map(line_of, said))
    (folder / "1-newer.spool").write_bytes(strange)
    opened().flush()
    assert asked("SELECT id FROM calls ORDER BY id") == sorted((one.id,) for one in said)
    assert (folder / "1-newer.unread").read_bytes() == strange
    assert not (folder / "1-newer.spool").exists()
    assert "3 records" in caplog.text


def test_the_first_word_on_a_call_stands(opened, asked):
    ledger = opened()
    for payer in ("alice", "bob"):
        ledger(record(id="tl_1", payer=payer))
    ledger.flush()
    assert asked("SELECT payer FROM calls") == [("alice",)]


# --- the thread -------------------------------------------------------------------------------------------------------


def wait_for(condition, seconds=5.0):
    turn = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        turn.wait(0.01)
    raise AssertionError("it never came")


def test_records_are_carried_by_themselves(opened, asked):
    ledger = opened(pause=0.02)
    for _ in range(3):
        ledger(record())
        wait_for(lambda: asked("SELECT max(offset) > 0 FROM spools")[0][0])
    wait_for(lambda: count(asked) == 3)


def test_many_records_do_not_wait(opened, asked):
    ledger = opened(pause=3600.0)
    for _ in range(500):
        ledger(record())
    wait_for(lambda: count(asked) == 500)


def test_a_database_that_is_locked_delays_the_carrying_and_no_call(opened, asked, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("trunkline.ledger.database.PATIENCE", 0.0)
    ledger = opened(pause=0.02)
    with closing(sqlite3.connect(tmp_path / "ledger" / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger(record())
        wait_for(lambda: "does not work" in caplog.text)
        ledger(record())
        other.execute("ROLLBACK")
    with caplog.at_level(logging.INFO, "trunkline"):
        wait_for(lambda: "works again" in caplog.text)
    assert count(asked) == 2
    assert caplog.text.count("does not work") == 1


def test_what_is_durable_is_brought_onto_the_disk_before_it_is_carried(opened, monkeypatch):
    synced = []
    monkeypatch.setattr("trunkline.ledger.carrying.os.fsync", synced.append)
    for durable in (False, True):
        ledger = opened(durable=durable)
        ledger(record())
        ledger._round()
        assert len(synced) == durable


# --- the database -----------------------------------------------------------------------------------------------------


def test_an_empty_database_becomes_one_of_this_version(opened, asked, tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.db").touch()
    opened().flush()
    assert asked("PRAGMA user_version") == [(len(STEPS),)]
    assert asked("PRAGMA journal_mode") == [("wal",)]
    assert count(asked) == 0


def test_an_older_database_is_brought_forward_and_keeps_what_it_has(opened, asked, monkeypatch):
    ledger = opened()
    ledger(record())
    ledger.close()
    monkeypatch.setattr("trunkline.ledger.database.STEPS", (*STEPS, ("ALTER TABLE calls ADD COLUMN colour TEXT",)))
    opened().flush()
    assert asked("PRAGMA user_version") == [(len(STEPS) + 1,)]
    assert asked("SELECT count(*), colour FROM calls") == [(1, None)]


def test_a_step_that_fails_leaves_the_database_as_it_was(opened, asked, monkeypatch):
    opened().close()
    steps = (*STEPS, ("ALTER TABLE calls ADD COLUMN colour TEXT", "ALTER TABLE absent ADD COLUMN colour TEXT"))
    monkeypatch.setattr("trunkline.ledger.database.STEPS", steps)
    with pytest.raises(ConfigurationError, match="no such table"):
        opened().flush()
    assert asked("PRAGMA user_version") == [(len(STEPS),)]
    assert "colour" not in {row[1] for row in asked("PRAGMA table_info(calls)")}


def test_a_newer_database_is_refused_and_left_alone(opened, asked, tmp_path):
    opened().close()
    path = tmp_path / "ledger" / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"written by a newer Trunkline: its version is 99, this one knows 1"):
        opened()
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(opened, tmp_path):
    (tmp_path / "ledger").mkdir()
    path = tmp_path / "ledger" / "ledger.db"
    path.write_text("a shopping list\n" * 100)
    with pytest.raises(ConfigurationError, match=r"ledger\.db is no ledger: it is no SQLite database"):
        opened()
    assert path.read_text().startswith("a shopping list")


STRANGERS = ["CREATE TABLE recipes (name TEXT)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"]


@pytest.mark.parametrize("sign", STRANGERS)
def test_another_programs_database_is_refused_and_left_alone(opened, tmp_path, sign):
    (tmp_path / "ledger").mkdir()
    path = tmp_path / "ledger" / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(sign)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program's SQLite database"):
        opened()
    assert path.read_bytes() == before


def test_a_transaction_keeps_others_from_writing_until_it_ends(tmp_path):
    database = Database(tmp_path / "ledger.db")
    with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:
        with database.transaction():
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
    database.close()


def test_only_a_durable_transaction_waits_for_the_disk(tmp_path):
    database = Database(tmp_path / "ledger.db")
    normal, full = 1, 2
    for durable, waits in ((False, normal), (True, full), (False, normal)):
        with database.transaction(durable=durable):
            assert database._one("PRAGMA synchronous") == waits
    database.close()


def test_a_spool_is_deleted_when_the_database_is_on_the_disk(opened, tmp_path, monkeypatch):
    durable, transaction = [], Database.transaction

    def seen(self, **more):
        durable.append((more.get("durable", False), len([*(tmp_path / "ledger").glob("*.spool")])))
        return transaction(self, **more)

    monkeypatch.setattr(Database, "transaction", seen)
    ledger = opened()
    ledger(record())
    ledger.close()
    assert durable[-1] == (True, 1)


def test_old_calls_are_deleted_and_young_ones_stay(opened, asked, clock, monkeypatch):
    monkeypatch.setattr("trunkline.ledger.ledger.FORGOTTEN_AT_ONCE", 3)
    ledger = opened(keep_days=7)
    for days in range(20):
        ledger(record(at=NOON - days * DAY))
    ledger._round()
    assert (count(asked), count(asked, "attempts")) == (8, 8)
    clock.advance(3 * DAY)
    ledger._round()
    assert (count(asked), count(asked, "attempts")) == (5, 5)


def test_nothing_is_deleted_unless_somebody_says_so(opened, asked):
    ledger = opened()
    ledger(record(at=0.0))
    ledger._round()
    assert count(asked) == 1


# --- where it lies ----------------------------------------------------------------------------------------------------


def test_the_default_folder_follows_the_desktops_rules(monkeypatch, tmp_path):
    assert default_folder({"XDG_STATE_HOME": "/var/state"}).as_posix() == "/var/state/trunkline"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder({}) == tmp_path / ".local" / "state" / "trunkline"


def test_a_folder_is_empty_until_something_was_recorded(opened, tmp_path):
    folder = tmp_path / "ledger"
    assert is_empty(folder)
    folder.mkdir()
    assert is_empty(folder)
    (folder / "1-dead.spool").write_bytes(line_of(record()))
    assert not is_empty(folder)
    assert opened().usage(())[0].cost == Decimal("0.001")
    assert not is_empty(folder)


def test_a_ledger_that_cannot_be_opened_says_so_when_it_is_asked(tmp_path, clock):
    (tmp_path / "ledger").write_text("in the way")
    ledger = Ledger(tmp_path / "ledger", clock)
    with pytest.raises(ConfigurationError, match="the ledger cannot be used"):
        ledger.usage()
