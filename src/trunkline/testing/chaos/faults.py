"""Faults: the table of everything that the chaos upstream can get wrong, and how one is asked for in words: `stall=3`,
`429-seconds=2,drip`. What each does is in `refusals`, `breaks` and `bodies`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from trunkline.vocabulary.errors import ConfigurationError

from .bodies import BODIES
from .breaks import BREAKS
from .draft import Draft
from .fault import Fault
from .refusals import REFUSALS

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*REFUSALS, *BREAKS, *BODIES)}
"""Every fault by its name."""

OK = "ok"
"""The word for no fault."""


class Chosen(NamedTuple):
    """What one request is to meet: its faults with their numbers, and how that is said."""

    said: str
    faults: tuple[tuple[Fault, float], ...]

    def commit(self, draft: Draft) -> None:
        """Change the draft, one fault after another."""
        for fault, value in self.faults:
            fault.commit(draft, value)

    @property
    def at_accept(self) -> bool:
        """Whether it happens when a connection is opened."""
        return any(fault.at_accept for fault, _ in self.faults)


NOTHING = Chosen(OK, ())


def chosen(said: str) -> Chosen:
    """The faults that are said, `name` or `name=number`, with commas between them. Raises ConfigurationError."""
    faults: list[tuple[Fault, float]] = []
    for word in said.split(","):
        name, given, number = word.strip().partition("=")
        if name == OK:
            continue
        fault = FAULTS.get(name)
        if fault is None:
            close = get_close_matches(name, FAULTS, n=1)
            hint = f", did you mean '{close[0]}'?" if close else ": `trunkline chaos --list` names them all"
            raise ConfigurationError(f"there is no fault '{name}'{hint}", param="faults")
        if given and not fault.parameter:
            raise ConfigurationError(f"the fault '{name}' takes no number: leave '={number}' out", param="faults")
        faults.append((fault, _number(name, number) if given else fault.usual))
    return Chosen(said, tuple(faults)) if faults else NOTHING


def _number(name: str, said: str) -> float:
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"the fault '{name}' takes a number that is not negative, not '{said}'")
    return value
