"""A ledger of one's own, and a look into its database."""

import sqlite3
from contextlib import closing

import pytest
from ledger_records import NOON

from trunkline.ledger import Ledger
from trunkline.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock(wall=NOON)


@pytest.fixture
def opened(tmp_path, clock):
    """Opens ledgers whose threads carry nothing by themselves, and closes them."""
    ledgers = []

    def open_one(folder=tmp_path / "ledger", **more):
        ledgers.append(Ledger(folder, clock, **{"pause": 60.0, **more}))
        return ledgers[-1]

    yield open_one
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def asked(tmp_path):
    """Asks the database itself."""

    def ask(question, folder=tmp_path / "ledger"):
        with closing(sqlite3.connect(folder / "ledger.db")) as database:
            return database.execute(question).fetchall()

    return ask
