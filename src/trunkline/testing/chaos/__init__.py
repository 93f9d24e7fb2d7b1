"""A provider on the loopback that speaks the dialects and fails as it is told.

upstream.py   the server: who decides what goes wrong, what is kept of each request
choosing.py   script, seeded mix, seeded latency
faults.py     the table of faults and their words; `refusals`, `breaks` and `bodies` hold its rows
draft.py      an answer before it is sent, which faults change
answers.py    what is said when nothing goes wrong
"""

from .faults import FAULTS
from .upstream import ChaosServed, ChaosUpstream

__all__ = ["FAULTS", "ChaosServed", "ChaosUpstream"]
