"""Library: what a call and a streamed event cost in the process of the program that asks."""

from pathlib import Path

from report import Table
from rig import MEASURED, Running, python_of

DRIVERS = {
    "aiohttp + json, by hand": ("core", "with_aiohttp"),
    "**trunkline**": ("core", "with_trunkline"),
    "**trunkline**, all policies": ("core", "with_trunkline_policies"),
    "**trunkline**, sync": ("core", "with_trunkline_sync"),
    "**trunkline**, Anthropic's dialect": ("core", "with_trunkline_anthropic"),
    "openai": ("openai", "with_openai"),
    "openai, sync": ("openai", "with_openai_sync"),
    "litellm": ("litellm", "with_litellm"),
}
"""Name in the table: its environment and its driver."""

CALL, MANY, EVENT = "call, 1 caller", "call, 64 callers", "streamed event"
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def calls(upstream: str, scratch: Path, *, repetitions: int, seconds: float) -> Table:
    """Each driver in a process of its own, in turn; the mock is on the other core."""
    table = Table(
        "Library",
        [CALL, MANY, EVENT, "RSS MB"],
        "CPU µs of the calling process. Answers are checked. A streamed event is one of 200 that arrive together.",
    )
    for _ in range(repetitions):
        for name, (environment, driver) in DRIVERS.items():
            host = [python_of(environment), str(Path(__file__).parent / "drivers" / "host.py"), driver, upstream]
            with Running(host, MEASURED, env=QUIET, log=scratch / f"{driver}.log") as running:
                running.line()
                for column, command in ((CALL, "call 1"), (MANY, "call 64"), (EVENT, "stream")):
                    if command == "call 64" and driver.endswith("_sync"):
                        continue
                    running.ask(f"{command} {max(0.2, seconds / 5)}")  # warm
                    before = running.cpu()
                    done = int(running.ask(f"{command} {seconds}"))
                    table.add(name, column, (running.cpu() - before) / done * 1e6)
                table.add(name, "RSS MB", running.memory())
    return table


def added(table: Table, upstream: str, scratch: Path, *, seconds: float) -> str:
    """What the synchronous door and the policies add to a call. The policies' is too little to be the difference of two
    processes: `policies_added.py`."""
    script = str(Path(__file__).parent / "drivers" / "policies_added.py")
    command = [python_of("core"), script, upstream, str(seconds)]
    with Running(command, MEASURED, log=scratch / "policies_added.log") as running:
        one, many = (float(running.line()) for _ in range(2))
    sync = table.value("**trunkline**, sync", CALL) - table.value("**trunkline**", CALL)
    return (
        f"The sync door adds {sync:.0f} µs to a call. All policies add {one:.0f} µs, {many:.0f} where 64 calls are\n"
        "under way: measured in one process, in turn with calls without them.\n"
    )
