"""The report of `make fidelity`: by family, what was read, written back and said in other dialects, and what is lost.

python tests/fidelity/report.py [folder] [--family name] [--problems n]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from laws import examine
from recorded import FOLDER, Exchange, exchanges, families
from refusals import misread, refusals
from speakers import dialect_of, why_not


def main() -> int:
    """Print the report; 1 where a law is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--family", help="only this one")
    parser.add_argument("--problems", type=int, default=3, help="how many of a family to print")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"no recordings at {options.folder}: nothing to compare with (RECORDINGS=folder names another place)")
        return 0
    print(f"{'family':24} {'lines':>5} {'ours':>5} {'parsed':>6} {'equal':>5} {'across':>11} {'lost':>5} {'broken':>6}")
    report = Report(options.problems)
    for path in families(options.folder):
        if not options.family or path.stem == options.family:
            report.family(path.stem, list(exchanges(path)))
    if not options.family:
        report.refusals(list(refusals(options.folder)))
    report.end()
    return 1 if report.totals["broken"] else 0


class Report:
    """What is printed, and what is summed up on the way."""

    def __init__(self, problems: int) -> None:
        self.problems = problems
        self.totals: Counter[str] = Counter()
        self.whys: dict[str, Counter[str]] = {}
        """Row of the matrix: why it was lost, and how often."""
        self.unspoken: Counter[str] = Counter()

    def family(self, name: str, lines: list[Exchange]) -> None:
        """One family: its figures, what it loses on the way to other dialects, and which laws it breaks."""
        found = [examine(line, dialect) for line in lines if (dialect := dialect_of(line)) is not None]
        self.unspoken.update(f"{name}: {why_not(line)}" for line in lines if dialect_of(line) is None)
        broken = [one for one in found if one.problems]
        losses = [loss for one in found for _, loss in one.losses]
        counts = {
            "lines": len(lines),
            "ours": len(found),
            "parsed": sum(one.parsed for one in found),
            "equal": sum(one.equal for one in found),
            "crossed": sum(one.crossed for one in found),
            "pairs": sum(one.pairs for one in found),
            "lost": len(losses),
            "broken": len(broken),
        }
        self.totals.update(counts)
        print(_line(name, counts))
        if losses:
            rows = Counter(loss.row for loss in losses)
            print("    lost: " + ", ".join(f"{row} {count}" for row, count in rows.most_common()))
        for loss in losses:
            self.whys.setdefault(loss.row, Counter())[loss.why] += 1
        told = [f"    {one.exchange.id}: {problem}" for one in broken for problem in one.problems]
        for problem in told[: self.problems]:
            print(problem)

    def refusals(self, lines: list[Exchange]) -> None:
        """The errors: which are not read as the kind that they are."""
        broken = [(line, problems) for line in lines if (problems := misread(line))]
        self.totals["broken"] += len(broken)
        read = len(lines) - len(broken)
        print(f"{'errors':24} {len(lines):5} {len(lines):5} {read:6} {'':5} {'':11} {'':5} {len(broken):6}")
        for line, problems in broken:
            print(f"    {line.id}: {'; '.join(problems)}")

    def end(self) -> None:
        """The sums, why something is lost, and what is not spoken."""
        print(_line("all", self.totals))
        print("\nwhat is lost on the way to another dialect, by row of the matrix, and why")
        for row, whys in sorted(self.whys.items()):
            print(f"  {row}")
            for why, count in whys.most_common(4):
                print(f"    {count:5} {why}")
        print("\nwhat is not spoken, and why")
        for why, count in sorted(self.unspoken.items()):
            print(f"  {count:4} {why}")


def _line(family: str, counts: Mapping[str, int]) -> str:
    across = f"{counts['crossed']}/{counts['pairs']}"
    return (
        f"{family:24} {counts['lines']:5} {counts['ours']:5} {counts['parsed']:6} {counts['equal']:5} {across:>11} "
        f"{counts['lost']:5} {counts['broken']:6}"
    )


if __name__ == "__main__":
    sys.exit(main())
