"""Cut anywhere (`make chaos`): streams of every dialect, cut at every byte, by a program and through the gateway.

Owns what must come of each cut, said by the bytes alone: before the first content is complete, the call is moved and
the caller sees one clean stream; after it, an error with everything in it that had come; and only the end of the last
event may be missing without harm. What is complete is told from the bytes that the upstream sends, not by a reader.

python tests/chaos/cuts.py [--every n] [--way name]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import msgspec
from msgspec import Struct
from trial import DOORS, TARGETS, Came, world
from ways import WAYS, Way, asked_in

from trunkline.testing.chaos.answers import Saying
from trunkline.vocabulary.errors import CutOff

TEXT, EVENTS = "Ünder the bridge.", 3
"""What is said; a letter of two bytes is in it, so that cuts go through letters too."""
PIECES = Saying.of(TEXT, EVENTS).pieces

LAST_WORDS = {
    "chat~": b"[DONE]",
    "responses~": b"response.completed",
    "messages~": b"message_stop",
    "gemini~": b"finishReason",
}
"""What ends a stream of each dialect well."""
ENDS_WITH_THE_BODY = {"gemini~"}
"""Those without an event for it: more may follow the last word, and only the end of the HTTP body says that it did
not. Where that is missing, the stream is cut, complete as it looks."""

STREAMS = tuple(way for way in WAYS if way.stream)


class Plan(Struct, frozen=True):
    """The bytes of a stream: where each piece of its content is complete, and where all of it is."""

    contents: tuple[int, ...]
    size: int

    def complete(self, at: int) -> int:
        """How many pieces of content are complete if it is cut there."""
        return sum(end <= at for end in self.contents)

    def blank(self, at: int) -> bool:
        """Whether only the blank line is missing that ends an event: a reader may take it as complete or not."""
        return any(end - 2 <= at < end for end in (*self.contents, self.size))


async def plan(way: Way, door: str) -> Plan:
    """What the upstream sends to a program, or to the gateway, when nothing goes wrong."""
    async with world(["ok"], asked_in(way, door), targets=2, retries=0, text=TEXT, events=EVENTS) as there:
        await DOORS[door](there, way)
        pieces = there.upstream.told.pieces
    ends = [*accumulate(map(len, pieces))]
    quoted = [msgspec.json.encode(text) for text in PIECES]
    contents = [next(end for piece, end in zip(pieces, ends, strict=True) if text in piece) for text in quoted]
    return Plan(tuple(contents), ends[-1])


async def plans(ways: Iterable[Way] = STREAMS) -> dict[tuple[str, str], Plan]:
    """Those of all ways and doors, by their names."""
    return {(way.name, door): await plan(way, door) for way in ways for door in way.doors}


class Cut(Struct, frozen=True):
    """A stream, where it is cut, and who reads it."""

    way: Way
    door: str
    at: int
    plan: Plan

    def __str__(self) -> str:
        return f"{self.way.name} · {self.door} · byte {self.at}"


class Result(Struct, frozen=True):
    """What came of a cut."""

    cut: Cut
    end: str
    """`whole`, `moved`, or `broken`."""
    problems: tuple[str, ...]


async def cuts(every: int = 1, ways: Sequence[Way] = STREAMS) -> list[Cut]:
    """Every place of every stream, or every so-manieth; the end is always among them."""
    found = await plans(ways)
    return [
        Cut(way, door, at, whole)
        for way in ways
        for door in way.doors
        for whole in [found[way.name, door]]
        for at in sorted({*range(0, whole.size, every), whole.size - 1, whole.size, whole.size + 1})
    ]


async def made(cut: Cut) -> Result:
    """Make the call whose stream is cut, with another target behind."""
    script = [f"cut={cut.at}", "ok"]
    async with world(script, asked_in(cut.way, cut.door), targets=2, retries=0, text=TEXT, events=EVENTS) as there:
        came = await DOORS[cut.door](there, cut.way)
    end = "broken" if came.error is not None else "whole" if came.target == TARGETS[0] else "moved"
    return Result(cut, end, tuple(problems(cut, came, end)))


def problems(cut: Cut, came: Came, end: str) -> Iterator[str]:
    """In what it is not as it should be."""
    whole = cut.plan
    complete, blank = whole.complete(cut.at), whole.blank(cut.at)
    over = cut.at >= whole.size and asked_in(cut.way, cut.door).name not in ENDS_WITH_THE_BODY
    should = "whole" if over else "broken" if complete else "moved"
    also = "whole" if blank and complete == len(PIECES) else "broken" if blank else should
    if end not in (should, also):
        yield f"is {end} instead of {should}"
    if end == "broken":
        lengths = (complete, complete + blank)
        if came.text not in ("".join(PIECES[:length]) for length in lengths):
            yield f"leaves {came.text!r} of {complete} pieces"
        if (came.record.outcome, came.record.error) != ("cut", "CutOff"):
            yield f"records {came.record.outcome}, {came.record.error}"
        if came.record.usage is None or came.record.cost is None:
            yield "bills nothing"
    elif (came.text, came.finish, came.record.outcome) != (TEXT, "stop", "finished"):
        yield f"gives {came.text!r}, {came.finish}, {came.record.outcome}"
    if len(came.record.attempts) != 1 + (end == "moved") or came.records != 1:
        yield f"makes {len(came.record.attempts)} attempts, {came.records} records"
    if came.asked != len(came.record.attempts):
        yield f"the upstream was asked {came.asked} times"
    if end == "moved" and came.target != TARGETS[1]:
        yield f"names {came.target}"
    if came.held:
        yield f"holds {came.held}"
    yield from _of_the_error(cut, came) if end == "broken" else ()


def _of_the_error(cut: Cut, came: Came) -> Iterator[str]:
    """A program catches a CutOff; a caller of the gateway reads an error, and no word that ends a stream well."""
    if cut.door == "library":
        if type(came.error) is not CutOff or came.error.partial is None:
            yield f"raises {came.error!r}, {came.error.partial!r}"
    elif isinstance(came.error, CutOff):
        yield "ends without a word of the error"
    elif LAST_WORDS[cut.way.name] in came.body and cut.at < cut.plan.size - 2:
        yield "says that it is complete"


async def all_of(chosen: Iterable[Cut], at_once: int = 16) -> list[Result]:
    """Make many, some at a time."""
    todo, done = iter(list(chosen)), []

    async def work() -> None:
        for cut in todo:
            async with asyncio.timeout(10):
                done.append(await made(cut))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return done


async def _made(every: int, ways: Sequence[Way]) -> list[Result]:
    return await all_of(await cuts(every, ways))


def main() -> int:
    """Cut everywhere, and print what came of it; 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth byte")
    parser.add_argument("--way", action="append", default=[], help="only this one")
    options = parser.parse_args()
    began = time.perf_counter()
    ways = [way for way in STREAMS if not options.way or way.name in options.way]
    results = asyncio.run(_made(options.every, ways))
    print(f"{'cut anywhere':12} {'':8} {'bytes':>6} {'moved':>6} {'broken':>6} {'whole':>6} {'wrong':>6}")
    for name, door in dict.fromkeys((cut.way.name, cut.door) for cut in (result.cut for result in results)):
        mine = [result for result in results if (result.cut.way.name, result.cut.door) == (name, door)]
        ends = Counter(result.end for result in mine)
        wrong = sum(bool(result.problems) for result in mine)
        figures = [mine[0].cut.plan.size, ends["moved"], ends["broken"], ends["whole"], wrong]
        print(f"{name:12} {door:8} " + " ".join(f"{figure:6}" for figure in figures))
    wrong = [result for result in results if result.problems]
    for result in sorted(wrong, key=lambda result: str(result.cut))[:20]:
        print(f"{result.cut}: {'; '.join(result.problems)}")
    print(f"{len(results)} cuts in {time.perf_counter() - began:.0f} s, {len(wrong)} wrong")
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
