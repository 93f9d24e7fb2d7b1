"""The fault matrix of `make chaos`: every fault, met in every way to ask, by a program and through the gateway, on
routes of every shape. What should come of each is computed; the table says what did, and where they differ.

python tests/chaos/matrix.py [--fault name] [--way name]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from expected import EVENTS, SHAPES, TEXT, Expected, Met, Shape, expected, met, rows, wait
from msgspec import Struct
from trial import DOORS, TARGETS, Came, world
from ways import WAYS, Way, asked_in

from trunkline.testing.chaos.answers import place_of
from trunkline.vocabulary.errors import AllTargetsFailed, CutOff, TrunklineError


class Cell(Struct, frozen=True):
    """A fault, the way in which it is met, through which door, and on what route."""

    fault: str
    way: Way
    door: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.fault} · {self.way.name} · {self.door} · {self.shape.name}"


class Result(Struct, frozen=True):
    """What came of a cell."""

    cell: Cell
    met: Met
    expected: Expected
    problems: tuple[str, ...]


def cells(faults: Iterable[str] = (), ways: Iterable[str] = ()) -> Iterator[Cell]:
    """All of the matrix, or what is named."""
    faults, ways = set(faults), set(ways)
    for fault, way, door, shape in product(rows(), WAYS, DOORS, SHAPES):
        if door in way.doors and (not faults or fault in faults) and (not ways or way.name in ways):
            yield Cell(fault, way, door, shape)


async def tried(cell: Cell) -> Result:
    """Make the call of a cell, and compare."""
    shape, way = cell.shape, cell.way
    there = asked_in(way, cell.door)
    meets = met(cell.fault, there, passes=cell.door == "gateway")
    should = expected(shape, meets)
    script = [cell.fault] if shape.lasts else [cell.fault, "ok"]
    said = {"text": TEXT, "events": EVENTS}
    waits = "" if not meets.waits else "more" if meets.said else "first"
    route = {"targets": shape.targets, "retries": shape.retries, "same": shape.same}
    async with world(script, there, **route, waits=waits, **said) as one:
        came = await DOORS[cell.door](one, way)
    return Result(cell, meets, should, tuple(problems(cell, meets, should, came)))


def problems(cell: Cell, meets: Met, should: Expected, came: Came) -> Iterator[str]:
    """In what a cell is not as it should be."""
    yield from _of_the_answer(cell, meets, should, came)
    yield from _of_the_record(cell, meets, should, came)
    if came.held:
        yield f"holds {came.held}"
    if any(not is_of(asked_in(cell.way, cell.door), path) for path in came.paths):
        yield f"asks at {came.paths}"


def is_of(way: Way, path: str) -> bool:
    """Whether it is where the dialect is spoken."""
    place = place_of(path)
    return place is not None and place.dialect is way.dialect


def _of_the_answer(cell: Cell, meets: Met, should: Expected, came: Came) -> Iterator[str]:
    whole = TEXT if cell.way.dialect.operation == "chat" else "2"
    if should.raises is None:
        last = TARGETS[min(should.attempts, cell.shape.targets) - 1]
        if (came.error, came.text, came.target) != (None, whole, last):
            yield f"answers {came.text!r} from {came.target}, {came.error!r}, instead of {whole!r} from {last}"
    elif came.error is None:
        yield f"answers {came.text!r} instead of {should.raises.kind}"
    elif cell.door == "library":
        if type(came.error) is not should.raises:
            yield f"raises {type(came.error).__name__} instead of {should.raises.__name__}"
        if isinstance(came.error, AllTargetsFailed) and len(came.error.causes) != should.attempts:
            yield f"names {len(came.error.causes)} causes of {should.attempts}"
    else:
        yield from _of_the_refusal(cell, meets, should, came)
    if should.broken and not is_left(meets, came.text):
        yield f"leaves {came.text!r} of {meets.said!r}"
    if cell.door != "library" and should.raises is None and should.attempts > 1:
        told = came.headers.get("x-trunkline-attempts")
        if told != str(should.attempts):
            yield f"tells of {told} attempts"


def is_left(meets: Met, text: str) -> bool:
    """Whether this is what had come when it broke: all of it, or some where a deadline struck on the way."""
    if meets.waits:
        return bool(text) and (meets.said * (1000 if meets.endless else 1)).startswith(text)
    return text == meets.said


def _of_the_refusal(cell: Cell, meets: Met, should: Expected, came: Came) -> Iterator[str]:
    """Whether the gateway's caller hears what his dialect makes of the error: with its status, or at the stream's
    end."""
    dialect, error = cell.way.dialect, the_error(should, meets)
    if should.broken:
        if came.status != 200 or isinstance(came.error, CutOff):
            yield f"{came.status}, {came.error!r}: no word of the error"
        return
    refused = dialect.error_to_wire(error)
    if came.status != refused.status:
        yield f"refuses with {came.status} instead of {refused.status}"
    wanted = type(dialect.error_from_wire(refused.status, refused.headers, refused.body))
    if type(came.error) is not wanted:
        yield f"is read as {came.error!r} instead of {wanted.__name__}"
    if "x-trunkline-id" not in came.headers:
        yield "has no id"


def the_error(should: Expected, meets: Met) -> TrunklineError:
    """The error that is expected."""
    assert meets.error is not None, "it raises"
    return AllTargetsFailed([meets.error] * should.attempts) if should.raises is AllTargetsFailed else meets.error


def _of_the_record(cell: Cell, meets: Met, should: Expected, came: Came) -> Iterator[str]:
    record = came.record
    if came.records != 1:
        yield f"writes {came.records} records"
    if came.asked != should.attempts or len(record.attempts) != should.attempts:
        yield f"makes {came.asked} requests, records {len(record.attempts)}, instead of {should.attempts}"
    failed = should.attempts - (should.raises is None)
    kinds = [meets.error.kind] * failed if meets.error is not None else []
    kinds += [None] * (should.raises is None)
    if [attempt.error for attempt in record.attempts] != kinds:
        yield f"records attempts that end with {[attempt.error for attempt in record.attempts]} instead of {kinds}"
    kind = should.raises.kind if should.raises is not None else None
    outcome = "finished" if kind is None else "cut" if should.broken and should.raises is CutOff else "error"
    if (record.outcome, record.error) != (outcome, kind):
        yield f"records {record.outcome}, {record.error} instead of {outcome}, {kind}"
    if any(attempt.outcome is None for attempt in record.attempts):
        yield "records an attempt that has no end"
    if len(record.attempts) > 1 and meets.error is not None:
        least, most = wait(cell.shape, meets.error)
        if not least <= record.attempts[1].waited <= most + 0.05:
            yield f"waits {record.attempts[1].waited:.3f} s instead of {least:g} to {most:g}"


async def all_of(chosen: Iterable[Cell], at_once: int = 16) -> list[Result]:
    """Try many cells, some at a time."""
    todo, done = iter(list(chosen)), []

    async def work() -> None:
        for cell in todo:
            async with asyncio.timeout(10):
                done.append(await tried(cell))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return done


# --- the table --------------------------------------------------------------------------------------------------------


def word(results: list[Result]) -> str:
    """What happens to the calls of one way and door, in a word."""
    if any(result.problems for result in results):
        return "WRONG"
    by_shape = {result.cell.shape.name: result.expected for result in results}
    if all(one.raises is None and one.attempts == 1 for one in by_shape.values()):
        return "answers"
    if any(one.broken for one in by_shape.values()):
        return "breaks"
    if "again" in by_shape and by_shape["again"].raises is None:
        return "retries"
    return "moves" if "moved" in by_shape and by_shape["moved"].raises is None else "raises"


def report(results: list[Result]) -> None:
    """Print the tables, one for each door: a row for each fault, a column for each way."""
    by: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        by.setdefault((result.cell.fault, result.cell.way.name, result.cell.door), []).append(result)
    faults = list(dict.fromkeys(result.cell.fault for result in results))
    for door in DOORS:
        ways = list(dict.fromkeys(result.cell.way.name for result in results if result.cell.door == door))
        if not ways:
            continue
        print(f"\n{door:15} {'':33} " + " ".join(f"{way:>10}" for way in ways))
        for fault in faults:
            errors = [one.met.error for way in ways for one in by[fault, way, door]]
            named = "/".join(sorted({type(error).__name__ for error in errors if error is not None}))
            print(f"{fault:15} {named:33.33} " + " ".join(f"{word(by[fault, way, door]):>10}" for way in ways))


LEGEND = """
answers   is an answer all the same
retries   is asked again where it may be, moves where there is another target, and is raised where retries are used up
moves     is never asked again there, but moves to another target
raises    is raised at once
breaks    content was seen: raised at once, with what had come
"""


def main() -> int:
    """Print the matrix; 1 where a cell is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fault", action="append", default=[], help="only this one")
    parser.add_argument("--way", action="append", default=[], help="only this one")
    options = parser.parse_args()
    began = time.perf_counter()
    results = asyncio.run(all_of(cells(options.fault, options.way)))
    order = {cell: at for at, cell in enumerate(map(str, cells()))}
    results.sort(key=lambda result: order[str(result.cell)])
    report(results)
    print(LEGEND)
    wrong = [result for result in results if result.problems]
    for result in wrong:
        print(f"{result.cell}: {'; '.join(result.problems)}")
    attempts = Counter(result.expected.attempts for result in results)
    told = ", ".join(f"{count} with {number}" for number, count in sorted(attempts.items()))
    print(f"{len(results)} cells in {time.perf_counter() - began:.0f} s ({told} attempts), {len(wrong)} wrong")
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
