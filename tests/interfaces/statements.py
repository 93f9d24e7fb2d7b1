"""Items of the documents that no test can hold, and why."""

STATEMENTS: dict[str, str] = {}
