"""Fault: what a row of the table of faults says. The rows are in `refusals` and `breaks`, the table in `faults`."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.vocabulary.errors import TrunklineError

from .draft import Draft

Commit = Callable[[Draft, float], None]
"""Changes a draft; the number is the fault's parameter."""


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that can go wrong."""

    name: str
    does: str
    commit: Commit
    parameter: str = ""
    """What its number counts; empty where it takes none."""
    usual: float = 0.0
    """Its number where none is given."""
    status: int = 200
    """The status that is sent, if one is."""
    raises: type[TrunklineError] | None = None
    """What a call that is tried once ends with; None where it gets its answer."""
    raises_streamed: type[TrunklineError] | None = None
    """The same of a stream, where that is something else."""
    streams: bool = False
    """Only streams have it; whole answers are as they should be."""
    waits: bool = False
    """Without a timeout the call never ends."""
    at_accept: bool = False
    """It happens when a connection is opened, if it is already certain that its first request is to meet it."""
