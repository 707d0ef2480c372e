"""How long a record header of a pcap file is: some forms of the format differ in nothing else.

Kuznetzov's patch of 1999 gave its form a magic of its own, and a later one added four bytes under it; Nokia's firewalls
and an early form of the patch kept the magic of the standard. As Wireshark does, the sizes are tried on the first
records, the standard one first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from portkin_training.ingest.captures.records import begins_capture

STANDARD, NOKIA, MODIFIED, MODIFIED_WITH_CPU = 16, 20, 24, 28
"""Bytes of a record header."""

_RECORDS = 32
_YEAR = 366 * 86_400


def record_size(data: bytes, start: int, *, big: bool, nano: bool, modified: bool, longest: int) -> int:
    """The size of the record headers of a file that begins with ``data``.

    Args:
        start: where the first record is.
        big, nano: byte order, and whether stamps are in ns.
        modified: the magic is that of the modified form.
        longest: no record captured more bytes.
    """
    sizes = (MODIFIED, MODIFIED_WITH_CPU) if modified else (STANDARD, MODIFIED, NOKIA)
    for size in sizes:
        # One record fits any size: what follows it may be damaged.
        if _fitting(data, start, size, big, nano, longest) >= (0 if size == sizes[0] else 2):
            return size
    return sizes[0]


def _fitting(data: bytes, start: int, size: int, big: bool, nano: bool, longest: int) -> int:
    """How many of the first records make sense with headers of this size; -1 where one does not."""
    first, found = None, 0
    for seconds, fraction, captured, length in _headers(data, start, size, ">" if big else "<"):
        first = seconds if first is None else first
        if (
            captured > min(length, longest)
            or fraction >= (1_000_000_000 if nano else 1_000_000)
            or abs(seconds - first) > _YEAR
        ):
            return -1
        found += 1
    return found


def _headers(data: bytes, at: int, size: int, order: str) -> Iterator[tuple[int, int, int, int]]:
    for _ in range(_RECORDS):
        if at + size > len(data) or begins_capture(data[at : at + 12]):
            return
        fields: tuple[int, int, int, int] = struct.unpack_from(f"{order}IIII", data, at)
        yield fields
        at += size + fields[2]
