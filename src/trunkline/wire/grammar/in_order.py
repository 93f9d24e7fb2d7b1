"""In order: a stream's events for an API whose parts come one after the other.

Some APIs let several tool calls grow at once. What comes for a later one waits here until the open one is complete;
every part is ended before the next begins, whether its own API says so or not. Knows no API.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.vocabulary.events import (
    ArgumentsDelta,
    Ended,
    Event,
    Finished,
    PartAdded,
    PartEnded,
    ToolCallStarted,
)


class InOrder:
    """Orders the events of one choice."""

    def __init__(self) -> None:
        self._open: int | None = None
        """The part that grows."""
        self._over: set[int] = set()
        self._arguments: list[str] | None = None
        """What is written of the open part's arguments, where it is a tool call."""
        self._waiting: list[Event] = []

    def put(self, events: list[Event]) -> list[Event]:
        """These events, as far as it is their turn, and the ends of parts that were not said."""
        ordered: list[Event] = []
        for event in events:
            if isinstance(event, Finished | Ended):
                self._flush(ordered)
                ordered.append(event)
            elif hasattr(event, "index"):
                self._take(event, ordered)
            else:
                ordered.append(event)
        return ordered

    def _take(self, event: Any, ordered: list[Event]) -> None:
        """An event of a part: now, or when its turn has come."""
        index: int = event.index
        if self._open is not None and self._open != index:
            if self._arguments is not None and not self._complete():
                self._waiting.append(event)
                return
            if type(event) is PartEnded:
                self._end(event, ordered)
                return
            self._close(ordered)
            self._take(event, ordered)  # now it is next, or one that waited longer is
            return
        match event:
            case PartEnded():
                self._end(event, ordered)
            case PartAdded():
                self._over.add(index)
                ordered.append(event)
            case _:
                if self._open is None:
                    self._open = index
                    self._arguments = [] if isinstance(event, ToolCallStarted) else None
                    self._over.discard(index)
                ordered.append(event)
                if isinstance(event, ArgumentsDelta) and self._arguments is not None:
                    self._arguments.append(event.delta)
                    if self._waiting and self._complete():
                        self._close(ordered)

    def _end(self, event: PartEnded, ordered: list[Event]) -> None:
        """The end of a part is said once."""
        if event.index == self._open:
            self._close(ordered, event)
        elif event.index not in self._over:
            self._over.add(event.index)
            ordered.append(event)

    def _complete(self) -> bool:
        """Whether the open call has all of its arguments: nothing but blanks can follow a whole object."""
        try:
            return isinstance(msgspec.json.decode("".join(self._arguments or ())), dict)
        except msgspec.MsgspecError:
            return False

    def _close(self, ordered: list[Event], said: PartEnded | None = None) -> None:
        """End the open part, and say what has waited for that."""
        if self._open is not None:
            ordered.append(said or PartEnded(index=self._open))
            self._over.add(self._open)
            self._open = None
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._take(event, ordered)

    def _flush(self, ordered: list[Event]) -> None:
        """End every part: nothing more comes for any."""
        while self._open is not None or self._waiting:
            self._close(ordered)
