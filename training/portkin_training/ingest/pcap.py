"""Capture files: pcap and pcapng, read once from front to back, decoded by a compiled walk over blocks of bytes.

Formats: draft-ietf-opsawg-pcap (both byte orders, micro- and nanoseconds) and draft-ietf-opsawg-pcapng (sections of
either byte order, several interfaces, if_tsresol and if_tsoffset; enhanced, simple and the obsolete packet block).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.layers import REASONS, STORED, be16, be32, decode, kernel
from portkin_training.ingest.packets import Packets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import Window, open_stream

PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (True, 1),
    b"\xd4\xc3\xb2\xa1": (False, 1),
    b"\xa1\xb2\x3c\x4d": (True, 1000),
    b"\x4d\x3c\xb2\xa1": (False, 1000),
}
"""First four bytes of a pcap -> (big-endian, stamp units in a microsecond)."""
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

ROWS = 1 << 16
"""Rows of a chunk: columns that stay in the processor's cache."""

MAX_PACKET = 1 << 18
"""Longest capture length believed where the file names none longer; libpcap's MAXIMUM_SNAPLEN."""
MAX_BLOCK = 1 << 26
"""Longest pcapng block believed."""

FULL, MORE, BAD, CONTROL, FOREIGN = range(5)
_STAMP = len(REASONS)
_MAX_TS = 253_402_300_800 * 1_000_000  # 10000-01-01: what a calendar day can be made of
_BYTE_ORDER, _SWAPPED_ORDER = 0x1A2B3C4D, 0x4D3C2B1A

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_TSRESOL, _TSOFFSET = 9, 14
_DECIMAL, _BINARY = 10, 2


@kernel
def u16(buf, p, big):
    """Two bytes at p in the file's byte order."""
    return be16(buf, p) if big else (np.int64(buf[p + 1]) << 8) | np.int64(buf[p])


@kernel
def u32(buf, p, big):
    """Four bytes at p in the file's byte order."""
    if big:
        return be32(buf, p)
    return (
        (np.int64(buf[p + 3]) << 24)
        | (np.int64(buf[p + 2]) << 16)
        | (np.int64(buf[p + 1]) << 8)
        | np.int64(buf[p])
    )


@kernel
def walk_pcap(
    buf, pos, filled, big, units, link, longest, row, ts, src, dst, sport, dport, proto, flags, seq, counts
):
    """Decode the records of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big, units, link, longest: byte order, stamp units in a microsecond, link type, longest record believed.
        counts: (len(REASONS) + 1,) int64, one more for each packet by what became of it.

    Returns:
        (position of the first record not used, rows filled, FULL | MORE | BAD).
    """
    rows = len(ts)
    while row < rows:
        if pos + 16 > filled:
            return pos, row, MORE
        captured = u32(buf, pos + 8, big)
        if captured > longest:
            return pos, row, BAD
        end = pos + 16 + captured
        if end > filled:
            return pos, row, MORE
        code = decode(buf, pos + 16, end, link, row, src, dst, sport, dport, proto, flags, seq)
        counts[code] += 1
        if code == STORED:
            ts[row] = u32(buf, pos, big) * 1_000_000 + u32(buf, pos + 4, big) // units
            row += 1
        pos = end
    return pos, row, FULL


@kernel
def micros(ticks, base, exponent, offset):
    """Microseconds of a pcapng stamp counted in base**-exponent seconds, plus ``offset`` seconds."""
    if base == _DECIMAL:
        if exponent <= 6:
            us = ticks * 10 ** (6 - exponent)
        else:
            us = ticks // 10 ** (exponent - 6)
    else:
        fraction = ticks & ((np.int64(1) << exponent) - 1)
        seconds = ticks >> exponent
        if exponent > 43:  # keep fraction * 10**6 below 2**63
            fraction >>= exponent - 43
            exponent = 43
        us = seconds * 1_000_000 + (fraction * 1_000_000 >> exponent)
    return us + offset * 1_000_000


@kernel
def walk_pcapng(
    buf, pos, filled, big, interfaces, last, row, ts, src, dst, sport, dport, proto, flags, seq, counts
):
    """Decode the packet blocks of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big: byte order of the section.
        interfaces: (m, 5) int64: link type, snap length (0: none), base and exponent of the stamp, offset in s.
        last: (1,) int64, the last stamp seen: what a simple packet block, which has none, is given.

    Returns:
        (position of the first block not used, rows filled, FULL | MORE | BAD | CONTROL | FOREIGN); CONTROL: a
        whole section or interface block is there for the caller to read; FOREIGN: a packet of no known interface.
    """
    rows = len(ts)
    while row < rows:
        if pos + 12 > filled:
            return pos, row, MORE
        kind = u32(buf, pos, big)
        if kind == _SECTION:  # the same in both byte orders
            return pos, row, CONTROL
        size = u32(buf, pos + 4, big)
        if size < 12 or size > MAX_BLOCK or size & 3:
            return pos, row, BAD
        after = pos + size
        if after > filled:
            return pos, row, MORE
        if u32(buf, after - 4, big) != size:
            return pos, row, BAD
        if kind == _INTERFACE:
            return pos, row, CONTROL
        at = -1
        if kind == _ENHANCED_PACKET or kind == _OLD_PACKET:
            if size < 32:
                return pos, row, BAD
            which = u32(buf, pos + 8, big) if kind == _ENHANCED_PACKET else u16(buf, pos + 8, big)
            ticks = (u32(buf, pos + 12, big) << 32) | u32(buf, pos + 16, big)
            captured = u32(buf, pos + 20, big)
            at = pos + 28
        elif kind == _SIMPLE_PACKET:
            if size < 16:
                return pos, row, BAD
            which = np.int64(0)
            ticks = np.int64(0)
            captured = min(u32(buf, pos + 8, big), size - 16)
            at = pos + 12
        if at >= 0:
            if which >= len(interfaces):
                return pos, row, FOREIGN
            if kind == _SIMPLE_PACKET:
                if interfaces[0, 1] and captured > interfaces[0, 1]:
                    captured = interfaces[0, 1]
                stamp = last[0]
            else:
                stamp = micros(ticks, interfaces[which, 2], interfaces[which, 3], interfaces[which, 4])
                last[0] = stamp
            if at + captured > after - 4:
                return pos, row, BAD
            if stamp < 0 or stamp >= _MAX_TS:
                code = _STAMP
            else:
                code = decode(
                    buf,
                    at,
                    at + captured,
                    interfaces[which, 0],
                    row,
                    src,
                    dst,
                    sport,
                    dport,
                    proto,
                    flags,
                    seq,
                )
            counts[code] += 1
            if code == STORED:
                ts[row] = stamp
                row += 1
        pos = after
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
    with open_stream(path) as stream:
        window = Window(stream)
        window.more(0)
        head = bytes(window.data[: min(window.filled, 24)])
        if head[:4] in PCAP_MAGICS:
            walker = _Pcap(head, path)
        elif head[:4] == PCAPNG_MAGIC:
            walker = _Pcapng()
        else:
            broken = f" ({window.error})" if window.error else ""
            raise InputError(
                f"{path}: byte 0: {head[:4].hex(' ') or 'nothing'} is not how a pcap or pcapng file begins{broken}"
            )
        reading.kind = walker.kind
        yield from _chunks(walker, window, reading, rows)


def _chunks(walker: _Pcap | _Pcapng, window: Window, reading: Reading, rows: int) -> Iterator[Packets]:
    counts = np.zeros(len(REASONS) + 1, np.int64)
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
            except _Broken as error:
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
        for name, count in zip((*REASONS, "stamp out of range"), counts, strict=True):
            if count and name != REASONS[STORED]:
                reading.skipped[name] += int(count)


def _end(window: Window, reading: Reading) -> None:
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


class _Broken(Exception):
    """A control block that makes no sense; its text says why."""


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

    def walk(self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray):
        return walk_pcap(
            data,
            pos,
            filled,
            self._big,
            self._units,
            self._link,
            self._longest,
            row,
            *out.columns(),
            counts,
        )

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        if status == BAD:
            claimed = u32(data, pos + 8, self._big)
            raise _Broken(f"a record claims {claimed} captured bytes, more than {self._longest}")
        return 0


class _Pcapng:
    """A pcapng file: sections, each with its byte order and interfaces."""

    kind = "pcapng"
    start = 0

    def __init__(self) -> None:
        self._big = False
        self._interfaces = np.empty((0, 5), np.int64)
        self._last = np.zeros(1, np.int64)

    def walk(self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray):
        return walk_pcapng(
            data,
            pos,
            filled,
            self._big,
            self._interfaces,
            self._last,
            row,
            *out.columns(),
            counts,
        )

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        """Read the section or interface block at pos; its size, 0 where more bytes are needed first."""
        if status == MORE:
            return 0
        if status == FOREIGN:
            raise _Broken("a packet of an interface that no block describes")
        block = bytes(data[pos : min(filled, pos + 12)])
        if block.startswith(PCAPNG_MAGIC):
            (mark,) = struct.unpack("<I", block[8:12])
            if mark not in (_BYTE_ORDER, _SWAPPED_ORDER):
                raise _Broken(f"byte-order mark {block[8:12].hex(' ')}")
            self._big = mark == _SWAPPED_ORDER
        order = ">" if self._big else "<"
        kind, size = struct.unpack(f"{order}II", block[:8])
        least = {_SECTION: 28, _INTERFACE: 20, _ENHANCED_PACKET: 32, _OLD_PACKET: 32, _SIMPLE_PACKET: 16}
        if size < least.get(kind, 12) or size > MAX_BLOCK or size & 3:
            raise _Broken(f"a block of type {kind:#x} claims {size} bytes")
        if pos + size > filled:
            return 0
        block = bytes(data[pos : pos + size])
        (again,) = struct.unpack(f"{order}I", block[-4:])
        if again != size:
            raise _Broken(
                f"a block of type {kind:#x} claims {size} bytes at its front and {again} at its end"
            )
        if kind == _SECTION:
            self._interfaces = np.empty((0, 5), np.int64)
        elif kind == _INTERFACE:
            self._interfaces = np.vstack((self._interfaces, _interface(block, order)))
        else:
            raise _Broken(f"a packet block of {size} bytes claims more captured bytes than it holds")
        return size


def _interface(block: bytes, order: str) -> NDArray[np.int64]:
    """(link type, snap length, base and exponent of the stamps, their offset in seconds) of an interface block."""
    link, _, snap = struct.unpack(f"{order}HHI", block[8:16])
    base, exponent, offset = _DECIMAL, 6, 0
    at = 16
    while at + 4 <= len(block) - 4:
        code, size = struct.unpack(f"{order}HH", block[at : at + 4])
        value = block[at + 4 : at + 4 + size]
        if code == 0 or at + 4 + size > len(block) - 4:
            break
        if code == _TSRESOL and size == 1:
            base, exponent = (_BINARY if value[0] & 0x80 else _DECIMAL), value[0] & 0x7F
        elif code == _TSOFFSET and size == 8:
            (offset,) = struct.unpack(f"{order}q", value)
        at += 4 + size + (-size & 3)
    if exponent > (18 if base == _DECIMAL else 62):
        raise _Broken(f"stamps in units of {base}^-{exponent} s, finer than 64 bits can count")
    if abs(offset) > _MAX_TS // 1_000_000:
        raise _Broken(f"stamps offset by {offset} s")
    return np.array([[link, snap, base, exponent, offset]], np.int64)
