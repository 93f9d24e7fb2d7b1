"""Cassettes: conversations with providers on file, keys left out, and played again without a network.

recorder.py   a transport that writes down what passes through it
player.py     a transport that answers from what was written down
tape.py       what a line says, and when two requests are the same
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from trunkline.vocabulary.calls import Clock
from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.protocols import Transport
from trunkline.vocabulary.secret import Secret

from .player import NotRecorded, Player
from .recorder import Recorder

__all__ = ["NotRecorded", "Player", "Recorder", "cassette"]

Mode = Literal["auto", "record", "replay"]


def cassette(
    path: str | Path,
    mode: Mode = "auto",
    *,
    speed: float = 0.0,
    through: Transport | None = None,
    clock: Clock | None = None,
    secrets: Iterable[Secret | str] = (),
) -> Recorder | Player:
    """A transport for `Runtime(transports={"http": cassette("tests/cassettes/x.jsonl")})`.

    `record` writes the file anew, `replay` answers from it, `auto` does the one where there is no file and the other
    where there is. `through` is what recording sends through (the network), `speed` how fast is replayed (0: at once),
    `secrets` are keys beyond those that requests show. Raises ConfigurationError for a file that cannot be replayed.
    """
    if mode not in ("auto", "record", "replay"):
        raise ConfigurationError(f"a cassette's mode is auto, record or replay, not '{mode}'", param="mode")
    if mode == "record" or (mode == "auto" and not Path(path).exists()):
        return Recorder(path, through=through, clock=clock, secrets=secrets)
    return Player(path, speed=speed, clock=clock, secrets=secrets)
