"""Capture files: pcap and pcapng, read once from front to back, decoded by a compiled walk over blocks of
bytes.

Formats: draft-ietf-opsawg-pcap (both byte orders, micro- and nanoseconds) and draft-ietf-opsawg-pcapng
(sections of either byte order, several interfaces, if_tsresol and if_tsoffset; enhanced, simple and the
obsolete packet block).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.layers import REASONS, STAMP, STORED, decode
from portkin_training.ingest.loads import be16, be32, inlined, kernel, le16, le32
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
_MAX_TS = 253_402_300_800 * 1_000_000  # 10000-01-01: what a calendar day can be made of
_BYTE_ORDER, _SWAPPED_ORDER = 0x1A2B3C4D, 0x4D3C2B1A

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_TSRESOL, _TSOFFSET = 9, 14
_DECIMAL, _BINARY = 10, 2


@inlined
def u16(address, big):
    """Two bytes in the file's byte order."""
    return be16(address) if big else le16(address)


@inlined
def u32(address, big):
    """Four bytes in the file's byte order."""
    return be32(address) if big else le32(address)


@inlined
def _store(fields, row, stamp, out):
    """Fill a row of the columns of `Packets` with a stamp and what `decode` gave."""
    ts, src, dst, sport, dport, proto, flags, seq = out
    ts[row] = stamp
    src[row, 0], src[row, 1] = fields[1], fields[2]
    dst[row, 0], dst[row, 1] = fields[3], fields[4]
    sport[row], dport[row] = fields[5], fields[6]
    proto[row], flags[row], seq[row] = fields[7], fields[8], fields[9]


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
            _store(fields, row, stamp, out)
            row += 1
        pos += 16 + captured
    return pos, row, FULL


@inlined
def micros(ticks, base, exponent, offset):
    """Microseconds of a pcapng stamp counted in base**-exponent seconds, plus ``offset`` seconds."""
    if base == _DECIMAL:
        us = ticks * 10 ** (6 - exponent) if exponent <= 6 else ticks // 10 ** (exponent - 6)
    else:
        fraction = ticks & ((np.int64(1) << exponent) - 1)
        seconds = ticks >> exponent
        if exponent > 43:  # keep fraction * 10**6 below 2**63
            fraction >>= exponent - 43
            exponent = 43
        us = seconds * 1_000_000 + (fraction * 1_000_000 >> exponent)
    return us + offset * 1_000_000


@kernel
def walk_pcapng(buf, pos, filled, big, interfaces, last, row, out, counts):
    """Decode the packet blocks of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big: byte order of the section.
        interfaces: (m, 5) int64: link type, snap length (0: none), base and exponent of the stamp,
            offset in s.
        last: (1,) int64, the last stamp seen: what a simple packet block, which has none, is given.
        out, counts: as for `walk_pcap`.

    Returns:
        (position of the first block not used, rows filled, FULL | MORE | BAD | CONTROL | FOREIGN);
        CONTROL: the caller is to read a section or interface block; FOREIGN: a packet of no known
        interface.
    """
    base = np.int64(buf.ctypes.data)
    rows = len(out[0])
    while row < rows:
        if pos + 12 > filled:
            return pos, row, MORE
        at = base + pos
        kind = u32(at, big)
        if kind == _SECTION:  # the same in both byte orders
            return pos, row, CONTROL
        size = u32(at + 4, big)
        if size < 12 or size > MAX_BLOCK or size & 3:
            return pos, row, BAD
        if pos + size > filled:
            return pos, row, MORE
        if u32(at + size - 4, big) != size:
            return pos, row, BAD
        if kind == _INTERFACE:
            return pos, row, CONTROL
        if kind in (_ENHANCED_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            header = 12 if kind == _SIMPLE_PACKET else 28
            if size < header + 4:
                return pos, row, BAD
            which = np.int64(0)
            if kind == _ENHANCED_PACKET:
                which = u32(at + 8, big)
            elif kind == _OLD_PACKET:
                which = u16(at + 8, big)
            if which >= len(interfaces):
                return pos, row, FOREIGN
            if kind == _SIMPLE_PACKET:  # captured length: the original or the snap length, whichever is less
                captured = min(u32(at + 8, big), size - header - 4)
                if interfaces[0, 1]:
                    captured = min(captured, interfaces[0, 1])
                stamp = last[0]
            else:
                captured = u32(at + 20, big)
                ticks = (u32(at + 12, big) << 32) | u32(at + 16, big)
                stamp = micros(ticks, interfaces[which, 2], interfaces[which, 3], interfaces[which, 4])
                last[0] = stamp
            if captured > size - header - 4:
                return pos, row, BAD
            if stamp < 0 or stamp >= _MAX_TS:
                counts[STAMP] += 1
            else:
                fields = decode(at + header, at + header + captured, interfaces[which, 0])
                counts[fields[0]] += 1
                if fields[0] == STORED:
                    _store(fields, row, stamp, out)
                    row += 1
        pos += size
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
        for name, count in zip(REASONS, counts, strict=True):
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
            out.columns(),
            counts,
        )

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        if status == BAD:
            claimed = int.from_bytes(data[pos + 8 : pos + 12], "big" if self._big else "little")
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
            out.columns(),
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
            raise _Broken(f"a block of type {kind:#x} claims {size} bytes at its front and {again} at its end")
        if kind == _SECTION:
            self._interfaces = np.empty((0, 5), np.int64)
        elif kind == _INTERFACE:
            self._interfaces = np.vstack((self._interfaces, _interface(block, order)))
        else:
            raise _Broken(f"a packet block of {size} bytes claims more captured bytes than it holds")
        return size


def _interface(block: bytes, order: str) -> NDArray[np.int64]:
    """(link type, snap length, base and exponent of the stamps, their offset in seconds) of an interface
    block."""
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
