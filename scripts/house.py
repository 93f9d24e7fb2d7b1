"""Prints the longest files and functions: for looking at, not as limits."""

import ast
from pathlib import Path

HOUSE = Path(__file__).parent.parent / "src" / "trunkline"


def main() -> None:
    files, functions = [], []
    for path in HOUSE.rglob("*.py"):
        text = path.read_text()
        place = path.relative_to(HOUSE)
        files.append((text.count("\n"), str(place)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(((node.end_lineno or 0) - node.lineno + 1, f"{place}:{node.lineno} {node.name}"))
    lengths = sorted(length for length, _ in functions)
    print(f"{len(files)} files, {sum(length for length, _ in files)} lines, {len(functions)} functions,", end=" ")
    print(f"{lengths[len(lengths) // 2]} lines in the middle")
    for title, entries in (("longest files", files), ("longest functions", functions)):
        print(f"\n{title}")
        for length, name in sorted(entries, reverse=True)[:8]:
            print(f"  {length:5} {name}")


if __name__ == "__main__":
    main()
