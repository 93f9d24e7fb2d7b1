"""The report of `make fidelity`: by family, what was read, written back and said in other dialects, and what is lost.

python tests/fidelity/report.py [folder] [--family name] [--problems n]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from laws import Found, examine
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
    unspoken: Counter[str] = Counter()
    losses: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[str] = Counter()
    for path in families(options.folder):
        if options.family and path.stem != options.family:
            continue
        found, skipped = _family(list(exchanges(path)))
        unspoken.update(f"{path.stem}: {why_not(exchange)}" for exchange in skipped)
        losses.update((one.dialect or "", to, loss.row) for one in found for to, loss in one.losses)
        _print(path.stem, found, len(skipped), totals, options.problems)
    if not options.family:
        _print_refusals(options.folder, totals)
    _print_totals(totals, losses, unspoken)
    return 1 if totals["broken"] else 0


def _family(lines: list[Exchange]) -> tuple[list[Found], list[Exchange]]:
    found: list[Found] = []
    skipped: list[Exchange] = []
    for exchange in lines:
        name = dialect_of(exchange)
        if name is None:
            skipped.append(exchange)
        else:
            found.append(examine(exchange, name))
    return found, skipped


def _print(family: str, found: list[Found], skipped: int, totals: Counter[str], problems: int) -> None:
    broken = [one for one in found if one.problems]
    counts = {
        "lines": len(found) + skipped,
        "ours": len(found),
        "parsed": sum(one.parsed for one in found),
        "equal": sum(one.equal for one in found),
        "crossed": sum(one.crossed for one in found),
        "pairs": sum(one.pairs for one in found),
        "lost": sum(len(one.losses) for one in found),
        "broken": len(broken),
    }
    totals.update(counts)
    print(_line(family, counts))
    shown = 0
    for one in broken:
        for problem in one.problems:
            if shown < problems:
                print(f"    {one.exchange.id}: {problem}")
                shown += 1


def _line(family: str, counts: dict[str, int] | Counter[str]) -> str:
    across = f"{counts['crossed']}/{counts['pairs']}"
    return (
        f"{family:24} {counts['lines']:5} {counts['ours']:5} {counts['parsed']:6} {counts['equal']:5} {across:>11} "
        f"{counts['lost']:5} {counts['broken']:6}"
    )


def _print_refusals(folder: Path, totals: Counter[str]) -> None:
    lines = list(refusals(folder))
    broken = [(line, problems) for line in lines if (problems := misread(line))]
    totals["broken"] += len(broken)
    read = len(lines) - len(broken)
    print(f"{'errors':24} {len(lines):5} {len(lines):5} {read:6} {'':5} {'':11} {'':5} {len(broken):6}")
    for line, problems in broken:
        print(f"    {line.id}: {'; '.join(problems)}")


def _print_totals(totals: Counter[str], losses: Counter[tuple[str, str, str]], unspoken: Counter[str]) -> None:
    print(_line("all", totals))
    print("\nwhat is lost, by row of the matrix, and how often by target dialect")
    rows: dict[str, Counter[str]] = {}
    for (_, to, row), count in losses.items():
        rows.setdefault(row, Counter())[to] += count
    for row, targets in sorted(rows.items()):
        print(f"  {row:24} " + ", ".join(f"{to} {count}" for to, count in targets.most_common()))
    print("\nwhat is not spoken, and why")
    for why, count in sorted(unspoken.items()):
        print(f"  {count:4} {why}")


if __name__ == "__main__":
    sys.exit(main())
