"""Rests: which targets are left alone after failures, and who finds out whether one is well again.

Owns rest and probation of the targets that one process knows. Knows no lock, and not why a target rests.
"""

from __future__ import annotations

from msgspec import Struct

from trunkline.vocabulary.buckets import Refusal

PROBE_SECONDS = 60.0
"""A probe that says nothing for so long is given up, and another may begin."""
ASK_AGAIN_SECONDS = 1.0
"""After how long it is worth asking again whether a probe has ended."""
FORGET_SECONDS = 3600.0
"""A target whose rest ended so long ago, and that nobody asked since, needs no probe any more."""
FEW = 1000


class _Rest(Struct):
    until: float
    probe_until: float = 0.0


class Rests(dict[str, _Rest]):
    """The targets that rest, or are on probation after it. Times are the clock's `now()`, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._many = FEW
        """At how many it is time to look which are forgotten."""

    def refusal(self, target: str, now: float) -> Refusal | None:
        """Why a target that is in here may not be asked; None: by a probe."""
        rest = self[target]
        if rest.until > now:
            return Refusal(why="resting", retry_after=rest.until - now)
        if rest.probe_until > now:
            return Refusal(why="probing", retry_after=min(ASK_AGAIN_SECONDS, rest.probe_until - now))
        return None

    def probe(self, target: str, now: float) -> None:
        """Somebody finds out."""
        self[target].probe_until = now + PROBE_SECONDS

    def begin(self, target: str, seconds: float, now: float) -> None:
        """A target rests for so long, or as long as it was to rest already."""
        rest = self.get(target)
        if rest is not None:
            rest.until, rest.probe_until = max(rest.until, now + seconds), 0.0
            return
        if len(self) >= self._many:
            for name in [name for name, rest in self.items() if rest.until + FORGET_SECONDS <= now]:
                del self[name]
            self._many = max(FEW, 2 * len(self))
        self[target] = _Rest(now + seconds)

    def end(self, target: str) -> None:
        """It is well."""
        self.pop(target, None)

    def forgo(self, target: str) -> None:
        """Its probe found nothing out."""
        if target in self:
            self[target].probe_until = 0.0

    def left(self, target: str, now: float) -> float:
        """Seconds that it still rests."""
        rest = self.get(target)
        return 0.0 if rest is None else max(0.0, rest.until - now)
