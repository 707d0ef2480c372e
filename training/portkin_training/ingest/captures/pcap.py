"""Capture files: pcap and pcapng, read once from front to back, decoded by a compiled walk over blocks of bytes.

pcap is draft-ietf-opsawg-pcap: both byte orders, micro- and nanoseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.layers import REASONS, STORED, decode
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcapng import PCAPNG_MAGIC, Pcapng
from portkin_training.ingest.captures.records import BAD, FULL, MAX_BLOCK, MORE, Broken, store, u32
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import StreamBuffer, open_stream

PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (True, 1),
    b"\xd4\xc3\xb2\xa1": (False, 1),
    b"\xa1\xb2\x3c\x4d": (True, 1000),
    b"\x4d\x3c\xb2\xa1": (False, 1000),
}
"""First four bytes of a pcap -> (big-endian, stamp units in a microsecond)."""

ROWS = 1 << 16
"""Rows of a chunk: columns that stay in the processor's cache."""

MAX_PACKET = 1 << 18
"""Longest capture length believed where the file names none longer; libpcap's MAXIMUM_SNAPLEN."""


@kernel
def walk_pcap(buf, pos, filled, big, units, link, longest, row, out, counts):
    """Decode the records of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big, units, link, longest: byte order, stamp units in a microsecond, link type, longest record
            believed.
        out: the columns of `Packets`.
        counts: (len(REASONS),) int64, one more for each packet by what became of it.

    Returns:
        (position of the first record not used, rows filled, FULL | MORE | BAD).
    """
    base = np.int64(buf.ctypes.data)
    rows = len(out[0])
    while row < rows:
        at = base + pos
        if pos + 16 > filled:
            return pos, row, MORE
        captured = u32(at + 8, big)
        if captured > longest:
            return pos, row, BAD
        if pos + 16 + captured > filled:
            return pos, row, MORE
        fields = decode(at + 16, at + 16 + captured, link)
        counts[fields[0]] += 1
        if fields[0] == STORED:
            fraction = u32(at + 4, big)
            stamp = u32(at, big) * 1_000_000 + (fraction if units == 1 else fraction // units)
            store(fields, row, stamp, out)
            row += 1
        pos += 16 + captured
    return pos, row, FULL


def read_capture(path: Path, reading: Reading | None = None, *, rows: int = ROWS) -> Iterator[Packets]:
    """The TCP, UDP and port-unreachable packets of a capture file, in chunks of at most ``rows``.

    A file that breaks off or turns to nonsense ends the stream there: the chunks before it stand, and
    ``reading.problems`` says at which byte it broke.

    Args:
        path: pcap or pcapng, plain or compressed by gzip, xz or zstd.
        reading: filled in while the chunks are taken.

    Raises:
        InputError: the file cannot be opened, or its first bytes are those of no capture file.
    """
    path = Path(path)
    reading = Reading(str(path)) if reading is None else reading
    with open_stream(path, reading) as stream:
        window = StreamBuffer(stream)
        window.more(0)
        head = bytes(window.data[: min(window.filled, 24)])
        if head[:4] in PCAP_MAGICS:
            walker: _Pcap | Pcapng = _Pcap(head, path)
        elif head[:4] == PCAPNG_MAGIC:
            walker = Pcapng()
        else:
            broken = f" ({window.error})" if window.error else ""
            raise InputError(
                f"{path}: byte 0: {head[:4].hex(' ') or 'nothing'} is not how a pcap or pcapng file begins{broken}"
            )
        reading.kind = walker.kind
        yield from _chunks(walker, window, reading, rows)


def _chunks(walker: _Pcap | Pcapng, window: StreamBuffer, reading: Reading, rows: int) -> Iterator[Packets]:
    counts = np.zeros(len(REASONS), np.int64)
    pos, row, out = walker.start, 0, Packets.empty(rows)
    try:
        while True:
            pos, row, status = walker.walk(window.data, pos, window.filled, row, out, counts)
            if status == FULL:
                yield out
                row, out = 0, Packets.empty(rows)
                continue
            try:
                size = walker.control(window.data, pos, window.filled, status)
            except Broken as error:
                reading.problem(f"byte {window.offset + pos}", f"{error}; what came before is kept")
                break
            if size:
                pos += size
            elif window.more(pos):
                pos = 0
            else:
                _end(window, reading)
                break
        if row:
            yield out[:row]
    finally:
        reading.read += int(counts.sum())
        for name, count in zip(REASONS, counts, strict=True):
            if count and name != REASONS[STORED]:
                reading.skipped[name] += int(count)


def _end(window: StreamBuffer, reading: Reading) -> None:
    """Say so where the last bytes are no whole record, or the compressed stream broke."""
    if window.error:
        reading.problem(
            f"byte {window.offset + window.filled} of the decompressed stream",
            f"the file is cut or damaged ({window.error}); what came before is kept",
        )
    elif window.filled:
        reading.problem(
            f"byte {window.offset}",
            f"the last record is cut after {window.filled} bytes; what came before is kept",
        )


class _Pcap:
    """A pcap file: one header, then records."""

    kind = "pcap"
    start = 24

    def __init__(self, head: bytes, path: Path) -> None:
        if len(head) < 24:
            raise InputError(f"{path}: byte {len(head)}: the file ends inside the pcap header of 24 bytes")
        self._big, self._units = PCAP_MAGICS[head[:4]]
        order = ">" if self._big else "<"
        _, _, _, _, snap, network = struct.unpack(f"{order}HHiIII", head[4:24])
        self._link = network & 0x03FF_FFFF  # above: whether and how long a frame check sequence is
        self._longest = min(max(snap, MAX_PACKET), MAX_BLOCK)

    def walk(
        self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        pos, row, status = walk_pcap(
            data,
            pos,
            filled,
            self._big,
            self._units,
            self._link,
            self._longest,
            row,
            out.columns(),
            counts,
        )
        return pos, row, status

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        if status == BAD:
            claimed = int.from_bytes(data[pos + 8 : pos + 12], "big" if self._big else "little")
            raise Broken(f"a record claims {claimed} captured bytes, more than {self._longest}")
        return 0
