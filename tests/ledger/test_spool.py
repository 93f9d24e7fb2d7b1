"""The spool: what is written survives, what is torn is left out, and a disk that takes nothing fails no call."""

import errno
import logging
import os
import zlib

import pytest
from ledger_records import record

from trunkline.ledger import spool as spools
from trunkline.ledger.lines import body_of, line_of, record_of
from trunkline.ledger.spool import Spool, SpoolFile


class Disk:
    """Writes as `os.write` does, unless it is told to be full, to take the first bytes only, or to break after them."""

    def __init__(self):
        self.full = False
        self.takes = None
        self.breaks = False

    def __call__(self, fd, text):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, self.takes = self.takes, None
        written = os.write(fd, text[:taken])
        if taken is not None and self.breaks:
            raise OSError(errno.EIO, "Input/output error")
        return written


def ids(asked):
    return [one for (one,) in asked("SELECT id FROM calls ORDER BY id")]


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_line_is_a_checksum_and_the_record_as_json():
    said = record()
    line = line_of(said)
    assert line.endswith(b"}\n") and line.count(b"\n") == 1
    assert int(line[:8], 16) == zlib.crc32(line[9:-1])
    assert record_of(body_of(line[:-1])) == said


@pytest.mark.parametrize("cut", [1, 8, 9, 10, 100, -2])
def test_a_torn_line_is_known_by_its_checksum(cut):
    assert body_of(line_of(record())[:cut]) is None


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_record_is_in_the_file_when_the_sink_returns(opened, tmp_path):
    ledger, said = opened(), record()
    ledger(said)
    [file] = (tmp_path / "ledger").glob("*.spool")
    assert file.read_bytes() == line_of(said)


def test_what_is_recorded_is_nobody_elses_business(opened, tmp_path):
    opened()(record())
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "ledger").iterdir()} == {0o600}


@pytest.mark.parametrize("breaks", [False, True])
def test_a_torn_line_takes_none_of_those_that_follow_with_it(opened, asked, breaks):
    disk = Disk()
    disk.breaks = breaks
    ledger = opened(write=disk)
    said = [record() for _ in range(4)]
    for place, one in enumerate(said):
        disk.takes = 50 if place == 1 else None
        ledger(one)
    assert ledger.unwritten == 3, "from the torn one on they wait"
    ledger.flush()
    assert (ledger.unwritten, ledger.lost) == (0, 0)
    assert ids(asked) == sorted(one.id for one in said)


def test_a_file_that_ends_in_the_middle_of_a_line_is_carried_up_to_there(opened, asked, tmp_path):
    folder = tmp_path / "ledger"
    folder.mkdir()
    first, second, third = record(), record(), record()
    torn = line_of(first) + line_of(second)[:77] + b"\n\n" + line_of(third) + line_of(record())[:-30]
    (folder / "1-dead.spool").write_bytes(torn)
    opened().flush()
    assert ids(asked) == sorted([first.id, third.id])
    assert not [*folder.glob("*.spool")]


def test_a_last_line_that_lacks_only_its_newline_is_whole(opened, asked, tmp_path):
    (tmp_path / "ledger").mkdir()
    said = record()
    (tmp_path / "ledger" / "1-dead.spool").write_bytes(line_of(said)[:-1])
    opened().flush()
    assert ids(asked) == [said.id]


def test_a_line_may_be_longer_than_what_is_read_at_once(opened, asked):
    ledger = opened()
    for size in (10, 1_000_000, 10):
        ledger(record(tags=("x" * size,)))
    ledger.flush()
    assert len(ids(asked)) == 3


def test_a_large_file_is_followed_by_the_next_and_deleted_when_it_is_carried(opened, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "LARGE", 2000)
    ledger = opened()
    files = set()
    for _ in range(20):
        ledger(record())
        now = {*(tmp_path / "ledger").glob("*.spool")}
        assert len(now) == 1
        files |= now
        ledger._round()
    assert 2 < len(files) < 10
    assert ledger._spool.files()[0] == [], "and closed"
    assert len(ids(asked)) == 20
    assert len(asked("SELECT * FROM spools")) <= 1


def test_a_closed_ledger_leaves_no_spool_and_opens_anew(opened, asked, tmp_path):
    ledger = opened()
    for _ in range(3):
        ledger(record())
        ledger.close()
        assert not [*(tmp_path / "ledger").glob("*.spool")]
    assert len(ids(asked)) == 3
    assert asked("SELECT * FROM spools") == []


@pytest.mark.parametrize("deleted", [False, True])
def test_a_file_that_is_taken_over_before_its_writer_has_claimed_it_is_not_used(tmp_path, monkeypatch, deleted):
    taken, claim = [], SpoolFile.claim

    def later(file):
        if not taken:
            taken.append(SpoolFile.open(file.path))
            assert claim(taken[0])
            if deleted:
                file.path.unlink()
                taken[0].close()
        return claim(file)

    monkeypatch.setattr(SpoolFile, "claim", later)
    spool = Spool(tmp_path)
    spool.append(b"x\n")
    _, written = spool.files()
    assert written.path != taken[0].path
    assert written.path.read_bytes() == b"x\n"
    written.close()
    if not deleted:
        taken[0].close()


def test_half_a_line_that_is_still_being_written_is_waited_for(opened, asked, tmp_path):
    ledger, said = opened(), record()
    theirs = SpoolFile.create(tmp_path / "ledger")
    os.write(theirs.fd, line_of(said)[:100])
    ledger.flush()
    os.write(theirs.fd, line_of(said)[100:])
    ledger.flush()
    theirs.close()
    assert ids(asked) == [said.id]


# --- a disk that takes nothing ----------------------------------------------------------------------------------------


def test_a_full_disk_fails_no_call_and_what_waited_is_written_when_it_has_room(opened, asked, caplog):
    disk = Disk()
    ledger = opened(write=disk)
    ledger(record())
    disk.full = True
    with caplog.at_level(logging.INFO, "trunkline"):
        for _ in range(20):
            ledger(record())
        ledger.flush()
        assert (ledger.unwritten, ledger.lost, len(ids(asked))) == (20, 0, 1)
        disk.full = False
        ledger.flush()
    assert (ledger.unwritten, ledger.lost, len(ids(asked))) == (0, 0, 21)
    told = [line.getMessage() for line in caplog.records if "spool" in line.getMessage()]
    assert len(told) == 2, "once when it fails, once when it works again"
    assert "No space left on device" in told[0] and "written again" in told[1]


def test_what_waits_is_bounded_and_what_is_given_up_is_counted(opened, asked, monkeypatch):
    monkeypatch.setattr(spools, "KEPT", 5)
    disk = Disk()
    disk.full = True
    ledger, said = opened(write=disk), [record() for _ in range(8)]
    for one in said:
        ledger(one)
    assert (ledger.unwritten, ledger.lost) == (5, 3)
    disk.full = False
    ledger.flush()
    assert ids(asked) == sorted(one.id for one in said[3:])


def test_a_folder_that_cannot_be_made_fails_no_call(opened, asked, tmp_path):
    (tmp_path / "ledger").write_text("in the way")
    ledger, said = opened(), record()
    ledger(said)
    ledger._round()
    assert ledger.unwritten == 1
    (tmp_path / "ledger").unlink()
    ledger._round()
    assert ledger.unwritten == 0
    assert ids(asked) == [said.id]


def test_a_folder_that_is_deleted_is_made_anew(opened, asked, tmp_path):
    ledger, said = opened(), [record() for _ in range(3)]
    ledger(said[0])
    ledger._round()
    for file in (tmp_path / "ledger").iterdir():
        file.unlink()
    (tmp_path / "ledger").rmdir()
    for one in said[1:]:
        ledger(one)  # the first of these goes into a file that has no name any more
        ledger._round()
    assert ids(asked) == sorted(one.id for one in said)
    assert len([*(tmp_path / "ledger").glob("*.spool")]) == 1


def test_a_record_that_is_no_json_is_counted_as_lost(opened, caplog):
    ledger = opened()
    ledger(record(payer="\ud800"))
    assert ledger.lost == 1
    assert "cannot be written into the ledger" in caplog.text
