"""Breaks: connections that fail, stall or never end. Where an answer breaks is counted in what it is made of (content,
or bytes of its body), so that it means the same in every dialect.
"""

from __future__ import annotations

from functools import partial

from trunkline.testing.server import Told
from trunkline.vocabulary.errors import APIConnectionError, APITimeoutError, CutOff

from .answers import Piece
from .draft import CUT, ENDLESS, HANG, REFUSED, RESET, UNHEARD, Draft
from .fault import Fault


def _end(ending: Told, draft: Draft, value: float) -> None:
    draft.ending = ending


def _end_after_head(ending: Told, draft: Draft, value: float) -> None:
    draft.keep_bytes(0)
    draft.ending = ending


def _end_after(ending: Told, draft: Draft, events: float) -> None:
    draft.keep(int(events))
    draft.ending = ending


def _cut(draft: Draft, count: float) -> None:
    draft.keep_bytes(int(count))
    draft.ending = CUT


def _slow(draft: Draft, seconds: float) -> None:
    draft.delay += seconds


def _drip(draft: Draft, seconds: float) -> None:
    draft.gap, draft.bytewise = seconds, True


def _endless(draft: Draft, seconds: float) -> None:
    """The first content of a stream for ever; the first half of a whole answer, and words without an end."""
    if draft.streams:
        draft.keep(1)
    else:
        draft.pieces = [Piece(draft.body[: len(draft.body) // 2]), Piece(b" and so on")]
    draft.gap, draft.ending = seconds, ENDLESS


BREAKS: tuple[Fault, ...] = (
    Fault(
        name="refused",
        does="the connection is reset as soon as it is opened; one that is open already, before the head",
        commit=partial(_end, REFUSED),
        raises=APIConnectionError,
        at_accept=True,
    ),
    Fault(
        name="reset",
        does="the connection is reset (RST) before the head",
        commit=partial(_end, REFUSED),
        raises=APIConnectionError,
    ),
    Fault(
        name="unheard",
        does="the connection ends (FIN) before the head",
        commit=partial(_end, UNHEARD),
        raises=APIConnectionError,
    ),
    Fault(
        name="reset-head",
        does="the connection is reset after the head",
        commit=partial(_end_after_head, RESET),
        raises=CutOff,
    ),
    Fault(
        name="reset-after",
        does="the connection is reset after so much content; in the middle of a whole answer",
        commit=partial(_end_after, RESET),
        parameter="events",
        raises=CutOff,
    ),
    Fault(
        name="cut",
        does="the connection ends (FIN) after so many bytes of the body",
        commit=_cut,
        parameter="bytes",
        usual=100,
        raises=CutOff,
    ),
    Fault(
        name="cut-after",
        does="the connection ends after so much content; in the middle of a whole answer",
        commit=partial(_end_after, CUT),
        parameter="events",
        raises=CutOff,
    ),
    Fault(
        name="stall",
        does="nothing more comes after so much content; after half of a whole answer",
        commit=partial(_end_after, HANG),
        parameter="events",
        raises=APITimeoutError,
        waits=True,
    ),
    Fault(
        name="endless",
        does="the same content again and again, so many seconds apart",
        commit=_endless,
        parameter="seconds",
        usual=0.01,
        raises=APITimeoutError,
        waits=True,
    ),
    Fault(name="slow", does="the head comes late", commit=_slow, parameter="seconds", usual=1.0),
    Fault(
        name="drip",
        does="the body comes byte by byte, so many seconds apart",
        commit=_drip,
        parameter="seconds",
        usual=0.001,
    ),
)
