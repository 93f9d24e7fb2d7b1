"""Lines: a record as one line of a spool, and back.

Owns the form of a line: a checksum in eight hexadecimal digits, a blank, the record as JSON, a newline. A line that was
not written to its end has another checksum. Knows no file.
"""

from __future__ import annotations

from zlib import crc32

from msgspec import MsgspecError
from msgspec.json import Decoder, Encoder

from trunkline.vocabulary.calls import Record

_encode = Encoder().encode
_decode = Decoder(Record).decode

UNSAYABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What `line_of` raises of a record that holds something which is no JSON."""
UNREADABLE = (MsgspecError, ValueError)


def line_of(record: Record) -> bytes:
    """A record as a line. Raises what `UNSAYABLE` lists."""
    body = _encode(record)
    return b"%08x %b\n" % (crc32(body), body)


def body_of(line: bytes) -> bytes | None:
    """What a line says, without its newline; None for one that is torn."""
    body = line[9:]
    return body if line[:9] == b"%08x " % crc32(body) else None


def record_of(body: bytes) -> Record:
    """The record that a line says. Raises what `UNREADABLE` lists where it tells of something that this version does
    not know."""
    return _decode(body)
