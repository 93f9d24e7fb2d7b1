"""The log: one line per call, on the logger `trunkline`. Holds no prompt, no answer and no key."""

from __future__ import annotations

import logging

from trunkline.vocabulary.calls import Record

logger = logging.getLogger("trunkline")
logger.addHandler(logging.NullHandler())  # a library is silent until its program asks for the log


def to_stderr(level: str) -> None:
    """Write the log to stderr: for programs of ours, which nobody else configures."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())


def log_sink(record: Record) -> None:
    """Write a record: failures as warnings, the rest as information; nothing is formatted that nobody reads."""
    level = logging.INFO if record.error is None else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    usage = record.usage
    logger.log(
        level,
        "%s %s %s in %.3f s, %s tokens, cost %s%s",
        record.id,
        record.target,
        record.finish or record.error or record.outcome,
        record.seconds,
        f"{usage.prompt_tokens}+{usage.completion_tokens}" if usage is not None else "unknown",
        f"${record.cost:f}" if record.cost is not None else "unknown",
        f", {len(record.attempts)} attempts" if len(record.attempts) > 1 else "",
    )
