"""The order of things: what is measured, how long, and what is written about it."""

import argparse
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import gateway
import library
import startup
import wire
from rig import BENCH, ENVIRONMENTS, LOAD, MEASURED, PYTHON, Running, calibration, free_port

LONGEST_SECONDS = 12.5 * 60

FULL = {"processes": 12, "repetitions": 3, "seconds": 2.5, "added": 40.0, "starts": 4, "soak": (50_000, 25.0)}
QUICK = {"processes": 2, "repetitions": 1, "seconds": 0.5, "added": 4.0, "starts": 0, "soak": (5_000, 1.5)}


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(description="Measure Trunkline beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a minute, for development: the figures are rough")
    parser.add_argument("--only", default="start,library,wire,gateway", help="sections, separated by commas")
    parser.add_argument("--output", type=Path, help="write the report to this file too")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done within {LONGEST_SECONDS:.0f} seconds"))
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    os.sched_setaffinity(0, LOAD)
    report = measured(asked.only.split(","), QUICK if asked.quick else FULL)
    print(report)
    if asked.output:
        asked.output.write_text(report)


def measured(sections: list[str], effort: dict) -> str:
    """The report of one run."""
    began, quiet = time.monotonic(), [calibration()]
    tables: list[str] = []

    def note(*parts: str) -> None:
        tables.extend(parts)
        quiet.append(calibration())
        print(f"{time.monotonic() - began:4.0f} s  {parts[0].splitlines()[0]}", file=sys.stderr)

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-bench-")))
        port = free_port()
        mock = stack.enter_context(Running([PYTHON, str(BENCH / "upstream.py"), str(port)], log=scratch / "mock.log"))
        mock.line()
        upstream = f"http://127.0.0.1:{port}"
        if "start" in sections:
            note(startup.starts(effort["processes"]).markdown())
            note(startup.sizes().markdown())
        timed = {"repetitions": effort["repetitions"], "seconds": effort["seconds"]}
        if "library" in sections:
            table = library.calls(upstream, scratch, **timed)
            note(table.markdown(), library.added(table, upstream, scratch, seconds=effort["added"]))
        if "wire" in sections:
            note(wire.conversations(repetitions=effort["repetitions"]).markdown())
        if "gateway" in sections:
            started, asked = gateway.measured(upstream, scratch, **timed, starts=effort["starts"], soak=effort["soak"])
            note(started.markdown(), asked.markdown())
    return "\n".join([_head(quiet, time.monotonic() - began), *tables])


def _head(quiet: list[float], seconds: float) -> str:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    pinned = "the measured process on one, mock and load on another" if MEASURED != LOAD else "not pinned"
    return f"""# Results

- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, `sh bench/run {shlex.join(sys.argv[1:])}`, {seconds:.0f} s
- {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores ({pinned}), {memory:.0f} GiB
- Linux {platform.release()}, Python {platform.python_version()}, {", ".join(_versions())}
- a fixed loop took {", ".join(f"{figure:.1f}" for figure in quiet)} ms before, between and after: where it differs,
  neighbours were busy, and the figures there are too high
"""


def _versions() -> list[str]:
    found: dict[str, str] = {}
    wanted = {"trunkline", "openai", "litellm", "aiohttp", "uvicorn", "uvloop", "httptools", "msgspec"}
    for environment in ("litellm", "openai", "gateway"):
        for path in (ENVIRONMENTS / environment).glob("lib/python*/site-packages/*.dist-info"):
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            if name in wanted:
                found[name] = version
    return [f"{name} {version}" for name, version in sorted(found.items())]


if __name__ == "__main__":
    main()
