"""Start: what an import and the first client cost in a cold process, and what an installation weighs."""

import json
import re
import tempfile
from pathlib import Path

from report import Table
from rig import ENVIRONMENTS, MEASURED, Running, python_of

CONTESTANTS = {
    "trunkline": ("core", "import trunkline", "trunkline.Client(env={})"),
    "openai": ("openai", "import openai", "openai.OpenAI(api_key='sk-bench')"),
    "litellm": ("litellm", "import litellm", None),
    "aiohttp, which we stand on": ("core", "import aiohttp", None),
    "bare Python": ("core", "pass", None),
}
"""Name: its environment, its import, and its first client."""

PROBE = """
import os, sys, time
def at():
    pages = int(open('/proc/self/statm').read().split()[1])
    return time.perf_counter(), time.process_time(), pages * os.sysconf('SC_PAGE_SIZE') / 1e6, len(sys.modules)
a = at()
{imports}
b = at()
{makes}
c = at()
import json
print(json.dumps([a, b, c]))
"""

QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""litellm fetches its price list at import unless told to use its own."""


def starts(processes: int) -> Table:
    """Cold processes, one after the other, the contestants in turn."""
    columns = ["import ms", "CPU ms", "RSS MB", "modules", "+ client ms", "client CPU ms", "RSS with client MB"]
    table = Table(
        "Start of the library",
        columns,
        f"Medians of {processes} cold processes with compiled files. RSS is the whole process's. `+ client` is what "
        "the first `Client()` adds to the import.",
    )
    with tempfile.TemporaryDirectory() as scratch:
        for process in range(processes + 1):
            for name, (environment, imports, makes) in CONTESTANTS.items():
                probe = PROBE.format(imports=imports, makes=makes or "pass")
                log = Path(scratch, "log")
                with Running([python_of(environment), "-c", probe], MEASURED, env=QUIET, log=log) as running:
                    first, second, third = json.loads(running.line())
                if process == 0:  # it compiled
                    continue
                figures = [(second[0] - first[0]) * 1e3, (second[1] - first[1]) * 1e3, second[2], second[3]]
                if makes:
                    figures += [(third[0] - second[0]) * 1e3, (third[1] - second[1]) * 1e3, third[2]]
                for column, figure in zip(columns, figures, strict=False):
                    table.add(name, column, figure)
    return table


INSTALLATIONS = {
    "trunkline": ("core", "trunkline"),
    "trunkline[gateway]": ("gateway", "trunkline"),
    "openai": ("openai", "openai"),
    "litellm": ("litellm", "litellm"),
    "litellm[proxy]": ("litellm-proxy", "litellm"),
}
"""What is installed, its environment, and the distribution that was asked for."""


def sizes() -> Table:
    """What `pip install` brings."""
    table = Table(
        "Size of an installation",
        ["MB", "distributions", "direct dependencies"],
        "The files of a fresh environment, compiled ones left out; direct dependencies are those without an extra.",
    )
    for name, (environment, distribution) in INSTALLATIONS.items():
        packages = next((ENVIRONMENTS / environment).glob("lib/python*/site-packages"))
        files = [path for path in packages.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        table.add(name, "MB", sum(path.stat().st_size for path in files) / 1e6)
        table.add(name, "distributions", str(sum(1 for _ in packages.glob("*.dist-info"))))
        if "[" not in name:
            metadata = next(packages.glob(f"{distribution}-*.dist-info/METADATA")).read_text()
            direct = [line for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.M) if "extra ==" not in line]
            table.add(name, "direct dependencies", str(len(direct)))
    return table
