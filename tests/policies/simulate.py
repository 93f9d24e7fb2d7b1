"""Prints what the simulations of the policies show: `python tests/policies/simulate.py [name …]`."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import complexity_score  # noqa: E402
from simulations import adapting, affinity, hedging, strategies  # noqa: E402

TABLES = {
    "hedging": hedging.table,
    "strategies": strategies.table,
    "affinity": affinity.table,
    "adapting": adapting.table,
    "complexity": complexity_score.table,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or TABLES:
        sys.stdout.write(f"{TABLES[name]()}\n")
