"""What users (and we) test with: a clock that a test turns, upstreams on the loopback that answer or fail as told, and
cassettes of what real ones said.

clock.py      a clock whose hands a test turns
server.py     the small HTTP server that both upstreams are made of
upstream.py   an upstream that answers as a test tells it, byte by byte
chaos/        an upstream that speaks the dialects and fails on demand
cassettes/    record and replay
scrubbing.py  keys, taken out of what is kept
plugin.py     for pytest
"""

from .cassettes import NotRecorded, Player, Recorder, cassette
from .chaos import FAULTS, ChaosServed, ChaosUpstream
from .clock import FakeClock
from .server import Served, Told
from .upstream import FakeUpstream, reply, stream

__all__ = [
    "FAULTS",
    "ChaosServed",
    "ChaosUpstream",
    "FakeClock",
    "FakeUpstream",
    "NotRecorded",
    "Player",
    "Recorder",
    "Served",
    "Told",
    "cassette",
    "reply",
    "stream",
]
