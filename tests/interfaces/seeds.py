"""`make seeds`: the items of the interfaces' documents, the tests that claim them, and how those ended."""

import sys
from collections import defaultdict
from pathlib import Path

import pytest
from documents import FOLDER, items
from statements import STATEMENTS


class Claims:
    """Notes which test claims which items, and how it ended."""

    def __init__(self) -> None:
        self.tests = defaultdict(list)
        self.ended = {}

    def pytest_collection_modifyitems(self, items):
        for test in items:
            for marker in test.iter_markers("seed"):
                for item in marker.args:
                    self.tests[item].append(test.nodeid)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.ended[report.nodeid] = report.outcome

    def result(self, item) -> str:
        ended = {self.ended.get(test, "not run") for test in self.tests[item]}
        return "passed" if ended == {"passed"} else ", ".join(sorted(ended - {"passed"}))


def main() -> int:
    """Print the table; 1 where an item is not claimed, or its test did not pass."""
    wanted, claims = items(), Claims()
    if not wanted:
        print(f"no documents at {FOLDER}: nothing to hold the interfaces to (SEEDS=folder names another place)")
        return 0
    tests = str(Path(__file__).parents[1])
    pytest.main(["-q", "--no-header", "-m", "seed", tests], plugins=[claims])
    missing = 0
    for item in wanted:
        tests = claims.tests.get(item, [])
        named = tests[0].rpartition("/")[2] if tests else STATEMENTS.get(item, "")
        named += f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        result = claims.result(item) if tests else "a statement" if item in STATEMENTS else "MISSING"
        missing += result not in ("passed", "a statement")
        print(f"{item:6} {result:12} {named}")
    for item in sorted({*claims.tests, *STATEMENTS} - {*wanted}):
        missing += 1
        print(f"{item:6} {'UNKNOWN':12} no document has it")
    print(f"{len(wanted)} items, {missing} without a test that passes")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
