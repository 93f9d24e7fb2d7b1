"""Draft: an answer before it is sent, which faults may still change.

Owns its parts (status, headers, pieces, times, how it ends) and how they become what the server is told. Knows no
fault by name.
"""

from __future__ import annotations

from typing import cast

from msgspec.structs import replace

from trunkline.testing.server import Told
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.protocols import StreamingDialect

from .answers import Asked, Mark, Piece, Saying, streamed, whole

END = Told()
CUT = Told(cut=True)
RESET = Told(reset=True)
HANG = Told(hang=True)
ENDLESS = Told(endless=True)
UNHEARD = Told(silent=True)
REFUSED = Told(silent=True, reset=True)

JSON = "application/json"


class Draft:
    """An answer that is being made."""

    def __init__(self, asked: Asked, saying: Saying, mark: Mark, wall: float) -> None:
        self.asked = asked
        self.wall = wall
        """Seconds since 1970."""
        self.status = 200
        self.headers: dict[str, str] = {"x-request-id": mark.id}
        self.delay = 0.0
        self.gap = 0.0
        self.ending = END
        """How it ends, and nothing else of what is told."""
        self.bytewise = False
        """Each byte is a piece of its own."""
        self.framed = True
        """The head says where the body ends, by a length or by chunks."""
        self.streams = asked.streams
        dialect = cast("StreamingDialect", asked.dialect)
        self.headers["content-type"] = dialect.media_type if self.streams else JSON
        self._saying = saying
        self._mark = mark
        self._pieces: list[Piece] | None = None

    @property
    def pieces(self) -> list[Piece]:
        """The body. Made when it is first looked at: a refusal never does."""
        if self._pieces is None:
            make = streamed if self.asked.streams else whole
            self._pieces = make(self.asked, self._saying, self._mark)
        return self._pieces

    @pieces.setter
    def pieces(self, pieces: list[Piece]) -> None:
        self._pieces = pieces

    @property
    def body(self) -> bytes:
        """The body, in one."""
        return b"".join([piece.data for piece in self.pieces])

    def remake(self, *, counted: bool) -> None:
        """Say it anew, with its tokens counted or not."""
        self._saying = replace(self._saying, counted=counted)
        self._pieces = None

    def say(self, body: bytes, content_type: str = JSON) -> None:
        """A whole body in the place of what would have been said."""
        self.pieces, self.streams = [Piece(body)], False
        self.headers["content-type"] = content_type

    def refuse(self, error: TrunklineError, status: int) -> None:
        """An error in the place of the answer, as the dialect words it."""
        refused = self.asked.dialect.error_to_wire(error)
        self.status = status
        self.headers |= {name: value for name, value in refused.headers.items() if not name.startswith("retry-after")}
        self.say(refused.body)

    def keep(self, events: int) -> None:
        """Only what frames the answer and so many pieces of its content; half of one that does not stream."""
        self._promise()
        if not self.streams:
            self.pieces = [Piece(self.body[: len(self.body) // 2])]
            return
        places = [at for at, piece in enumerate(self.pieces) if piece.content]
        self.pieces = self.pieces[: places[0] if not events else places[min(events, len(places)) - 1] + 1]

    def keep_bytes(self, count: int) -> None:
        """Only the first bytes of the body."""
        self._promise()
        self.pieces = [Piece(self.body[:count])]

    def _promise(self) -> None:
        """The head speaks of the whole body, whatever becomes of it."""
        if not self.streams:
            self.headers.setdefault("content-length", str(len(self.body)))

    def told(self) -> Told:
        """What the server is told."""
        if self.ending.silent:
            return replace(self.ending, delay=self.delay)
        if not self.framed:
            self.headers["connection"] = "close"
        elif self.streams or self.ending.endless:
            self.headers["transfer-encoding"] = "chunked"
        else:
            self._promise()
        pieces = [piece.data for piece in self.pieces]
        if self.bytewise:
            pieces = [bytes((byte,)) for byte in b"".join(pieces)]
        return replace(
            self.ending, status=self.status, headers=self.headers, pieces=pieces, gap=self.gap, delay=self.delay
        )
