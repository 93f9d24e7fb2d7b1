"""Wire: what a conversation costs to translate, by its length: the same for each turn, if it is linear."""

import json
import subprocess
from pathlib import Path

from report import Table
from rig import python_of

TURNS = (10, 100, 1000)


def conversations(*, repetitions: int) -> Table:
    """Each pair of dialects at each length, in a process of its own."""
    table = Table(
        "Translation",
        [f"{turns} turns" for turns in TURNS],
        "CPU µs for each turn of a conversation (a question, two tool calls with their results, an answer): JSON read, "
        "request read in one dialect, written in another, JSON written. The same at every length is linear.",
    )
    driver = Path(__file__).parent / "drivers" / "translate.py"
    for _ in range(repetitions):
        command = [python_of("core"), str(driver), *map(str, TURNS)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        for row, figures in json.loads(said).items():
            for turns, figure in figures.items():
                table.add(row, f"{turns} turns", figure)
    return table
