"""What happened: one record for each call, kept through crashes and carried into a database that answers questions.

    ledger.py    the one noun that the rest of the house knows: a sink, and the questions
    spool.py     the file of this process: a record is one write, and survives the process
    lines.py     a record as a line of that file
    carrying.py  from the files into the database, each record once
    database.py  the SQL
    schema.py    the tables, and how old ones become new
    rows.py      a record as rows of those tables
    spending.py  what can be asked, and the shape of an answer
    folders.py   where it all lies

This room takes records and asks nobody anything: it knows no call, no price, no limit and no configuration.
"""

from .folders import default_folder, is_empty
from .ledger import Ledger
from .spending import COLUMNS, Column, Spend, Spent, total

__all__ = ["COLUMNS", "Column", "Ledger", "Spend", "Spent", "default_folder", "is_empty", "total"]
