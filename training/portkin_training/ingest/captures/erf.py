"""Endace's ERF files: records of a stamp, a type and a length (ERF types reference guide, EDM11-01), no file header."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.unaligned import be16, kernel, le32
from portkin_training.ingest.captures.layers import decode
from portkin_training.ingest.captures.link_types import ERF
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.reasons import STORED
from portkin_training.ingest.captures.records import BAD, FULL, MORE, Broken, store

_HEADER = 16
_TYPES = range(1, 49)
_LATEST = 4_000_000_000
_LEAST_OF_TEXT = 0x20
"""Bytes below are none of text but for white space and escapes; a record has zeros in its header."""
_WHITE = b"\t\n\r\x1b"
_PLAUSIBLE = 3
"""Records that must follow each other for a file to be taken for ERF: it has no magic."""


def is_erf(head: bytes) -> bool:
    """Whether a file that begins with ``head`` may be ERF: its first records make sense, and one at least is whole."""
    if all(byte >= _LEAST_OF_TEXT or byte in _WHITE for byte in head[:_HEADER]):
        return False  # a log whose first line reads like a header, as one that begins with a date does
    at = 0
    before = None
    for _ in range(_PLAUSIBLE):
        if at + _HEADER > len(head):
            break
        fraction, seconds, kind, _, size, _, length = struct.unpack_from("<IIBB", head, at) + struct.unpack_from(
            ">HHH", head, at + 10
        )
        before = seconds if before is None else before
        if (
            (kind & 0x7F) not in _TYPES
            or size < _HEADER
            or not 0 < seconds < _LATEST
            or abs(seconds - before) > 86_400
            or (fraction and length == 0)
        ):
            return False
        at += size
    return at > 0 and (at <= len(head) or len(head) >= 4096)


@kernel
def walk_erf(buf, pos, filled, how, row, out, counts):
    """Decode the records of buf[pos:filled] into the columns from ``row`` on; as `pcap.walk_pcap`."""
    base = np.int64(buf.ctypes.data)
    rows = len(out[0])
    while row < rows:
        at = base + pos
        if pos + _HEADER > filled:
            return pos, row, MORE
        size = be16(at + 10)
        if size < _HEADER:
            return pos, row, BAD
        if pos + size > filled:
            return pos, row, MORE
        fields = decode(at, at + size, ERF, how)
        counts[fields[0]] += 1
        if fields[0] == STORED:
            store(fields, row, le32(at + 4) * 1_000_000 + (le32(at) * 1_000_000 >> 32), out)
            row += 1
        pos += size
    return pos, row, FULL


class Erf:
    """An ERF file."""

    kind = "erf"
    start = 0

    def __init__(self, how: int) -> None:
        self.links: set[int] = set()
        self._how = how

    def walk(
        self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        """See `walk_erf`."""
        found: tuple[int, int, int] = walk_erf(data, pos, filled, self._how, row, out.columns(), counts)
        return found

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        """0: no record of `data` (bytes,) is for the caller to read. Raises Broken for one that makes no sense."""
        if status == BAD:
            raise Broken(
                f"a record claims {int.from_bytes(data[pos + 10 : pos + 12], 'big')} bytes, less than its header"
            )
        return 0
