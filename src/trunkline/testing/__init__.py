"""What users (and we) test with: a clock that a test turns, and an upstream on the loopback that answers as told."""

from .clock import FakeClock
from .upstream import FakeUpstream, Served, Told, reply, stream

__all__ = ["FakeClock", "FakeUpstream", "Served", "Told", "reply", "stream"]
