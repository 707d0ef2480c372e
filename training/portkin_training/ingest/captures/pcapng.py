"""pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces, if_tsresol and if_tsoffset;
enhanced, simple and the obsolete packet blocks.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, kernel
from portkin_training.ingest.captures.layers import decode
from portkin_training.ingest.captures.link_types import layer_of
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.reasons import STAMP, STORED
from portkin_training.ingest.captures.records import (
    BAD,
    CONTROL,
    FOREIGN,
    FULL,
    MAX_BLOCK,
    MORE,
    PCAPNG_MAGIC,
    Broken,
    begins_pcap,
    store,
    u16,
    u32,
)

_MAX_TS = 253_402_300_800 * 1_000_000  # 10000-01-01: what a calendar day can be made of
_MOST = 1 << 62  # us to which an offset can be added
_BYTE_ORDER, _SWAPPED_ORDER = 0x1A2B3C4D, 0x4D3C2B1A

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_TSRESOL, _TSOFFSET = 9, 14
_DECIMAL, _BINARY = 10, 2


@inlined
def _micros(ticks, base, exponent, offset):
    """Microseconds of a pcapng stamp counted in base**-exponent seconds, plus ``offset`` seconds; negative for one that
    64 bits cannot hold."""
    if ticks < 0:
        return np.int64(-1)
    if base == _DECIMAL:
        if exponent <= 6 and ticks > _MOST // 10 ** (6 - exponent):
            return np.int64(-1)
        us = ticks * 10 ** (6 - exponent) if exponent <= 6 else ticks // 10 ** (exponent - 6)
    else:
        fraction = ticks & ((np.int64(1) << exponent) - 1)
        seconds = ticks >> exponent
        if seconds > _MOST // 1_000_000:
            return np.int64(-1)
        if exponent > 43:  # keep fraction * 10**6 below 2**63
            fraction >>= exponent - 43
            exponent = 43
        us = seconds * 1_000_000 + (fraction * 1_000_000 >> exponent)
    return us + offset * 1_000_000


@kernel
def walk_pcapng(buf, pos, filled, big, interfaces, how, last, row, out, counts):
    """Decode the packet blocks of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big: byte order of the section.
        interfaces: (m, 5) int64: layer (see `decode`), snap length (0: none), base and exponent of the stamp,
            offset in s.
        how: see `decode`.
        last: (1,) int64, the last stamp seen: what a simple packet block, which has none, is given.
        out, counts: as for `walk_pcap`.

    Returns:
        (position of the first block not used, rows filled, FULL | MORE | BAD | CONTROL | FOREIGN);
        CONTROL: the caller is to read a section or interface block, or the header of a pcap file; FOREIGN: a packet
        of no known interface.
    """
    base = np.int64(buf.ctypes.data)
    rows = len(out[0])
    while row < rows:
        if pos + 12 > filled:
            return pos, row, MORE
        at = base + pos
        kind = u32(at, big)
        if kind == _SECTION or (kind > _SECTION and begins_pcap(at)):  # the same in both byte orders
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
                stamp = _micros(ticks, interfaces[which, 2], interfaces[which, 3], interfaces[which, 4])
                last[0] = stamp
            if captured > size - header - 4:
                return pos, row, BAD
            if stamp < 0 or stamp >= _MAX_TS:
                counts[STAMP] += 1
            else:
                fields = decode(at + header, at + header + captured, interfaces[which, 0], how)
                counts[fields[0]] += 1
                if fields[0] == STORED:
                    store(fields, row, stamp, out)
                    row += 1
        pos += size
    return pos, row, FULL


class Pcapng:
    """A pcapng file: sections, each with its byte order and interfaces."""

    kind = "pcapng"
    start = 0

    def __init__(self, how: int) -> None:
        self.links: set[int] = set()
        """The link types of its interfaces."""
        self._how = how
        self._big = False
        self._interfaces = self._room = np.empty((0, 5), np.int64)
        self._last = np.zeros(1, np.int64)

    def walk(
        self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        """See `walk_pcapng`."""
        pos, row, status = walk_pcapng(
            data,
            pos,
            filled,
            self._big,
            self._interfaces,
            self._how,
            self._last,
            row,
            out.columns(),
            counts,
        )
        return pos, row, status

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        """Read the section or interface block at pos; its size, 0 where more bytes are needed first.

        `data` uint8 (size,), of which `filled` bytes are valid. Raises Broken for a block that makes no sense.
        """
        if status == MORE:
            return 0
        if status == FOREIGN:
            raise Broken("a packet of an interface that no block describes")
        block = bytes(data[pos : min(filled, pos + 12)])
        if block.startswith(PCAPNG_MAGIC):
            (mark,) = struct.unpack("<I", block[8:12])
            if mark not in (_BYTE_ORDER, _SWAPPED_ORDER):
                raise Broken(f"byte-order mark {block[8:12].hex(' ')}")
            self._big = mark == _SWAPPED_ORDER
        order = ">" if self._big else "<"
        kind, size = struct.unpack(f"{order}II", block[:8])
        least = {_SECTION: 28, _INTERFACE: 20, _ENHANCED_PACKET: 32, _OLD_PACKET: 32, _SIMPLE_PACKET: 16}
        if size < least.get(kind, 12) or size > MAX_BLOCK or size & 3:
            raise Broken(f"a block of type {kind:#x} claims {size} bytes")
        if pos + size > filled:
            return 0
        block = bytes(data[pos : pos + size])
        (again,) = struct.unpack(f"{order}I", block[-4:])
        if again != size:
            raise Broken(f"a block of type {kind:#x} claims {size} bytes at its front and {again} at its end")
        if kind == _SECTION:
            self._interfaces = self._room = np.empty((0, 5), np.int64)
        elif kind == _INTERFACE:
            interface = _interface(block, order)
            self.links.add(int(interface[0, 0]))
            interface[0, 0] = layer_of(int(interface[0, 0]), big=self._big)
            self._add(interface)
        else:
            raise Broken(f"a packet block of {size} bytes claims more captured bytes than it holds")
        return int(size)

    def _add(self, interface: NDArray[np.int64]) -> None:
        """One more interface (1, 5) of the section; room for many is made at once."""
        count = len(self._interfaces)
        if count == len(self._room):
            self._room = np.concatenate((self._interfaces, np.empty((max(count, 8), 5), np.int64)))
        self._room[count] = interface[0]
        self._interfaces = self._room[: count + 1]


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
        raise Broken(f"stamps in units of {base}^-{exponent} s, finer than 64 bits can count")
    if abs(offset) > _MAX_TS // 1_000_000:
        raise Broken(f"stamps offset by {offset} s")
    return np.array([[link, snap, base, exponent, offset]], np.int64)
