"""What all policies add to a call: the client with them and the one without, in turn in one process.

    python policies_added.py BASE_URL SECONDS

Two processes differ by more than this, so their figures cannot be subtracted. Prints, for one caller and for 64, the
median difference of two blocks that followed one another, in CPU µs a call.
"""

import asyncio
import sys
import time
from statistics import median

import host
import with_trunkline
import with_trunkline_policies

BLOCK = 192
"""Calls: enough for the process' clock, few enough for neighbours to be the same for both."""


async def block(driver: with_trunkline.Driver, callers: int) -> float:
    """CPU µs a call."""

    async def live() -> None:
        for _ in range(BLOCK // callers):
            host.check_call(await driver.call())

    began = time.process_time()
    await asyncio.gather(*[live() for _ in range(callers)])
    return (time.process_time() - began) / BLOCK * 1e6


async def main(base_url: str, seconds: float) -> None:
    """Measure, and print both."""
    without, with_all = with_trunkline.Driver(base_url), with_trunkline_policies.Driver(base_url)
    for callers in (1, 64):
        await block(without, callers), await block(with_all, callers)  # warm
        end, added = time.perf_counter() + seconds / 2, []
        while time.perf_counter() < end:
            before = await block(without, callers)
            added.append(await block(with_all, callers) - before)
        print(median(added), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
