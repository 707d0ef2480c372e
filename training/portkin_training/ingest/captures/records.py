"""What both capture formats are read with: integers of either byte order, a row filled, how a walk ends."""

from __future__ import annotations

from portkin_training.core.unaligned import be16, be32, inlined, le16, le32

FULL, MORE, BAD, CONTROL, FOREIGN = range(5)
"""How a walk over a block of bytes ended: no rows left, no whole record left, a record that makes no sense, one that
the caller is to read (or another file's first bytes), a packet of no known interface."""

PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (True, 1),
    b"\xd4\xc3\xb2\xa1": (False, 1),
    b"\xa1\xb2\x3c\x4d": (True, 1000),
    b"\x4d\x3c\xb2\xa1": (False, 1000),
    b"\xa1\xb2\xcd\x34": (True, 1),
    b"\x34\xcd\xb2\xa1": (False, 1),
}
"""First four bytes of a pcap -> (big-endian, stamp units in a microsecond)."""
_PCAP_VERSIONS = (b"\0\2\0\4", b"\2\0\4\0")
"""The next four, of either byte order: 2.4."""
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS = (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a")
"""What stands at byte 8 of a section of pcapng."""

MAX_BLOCK = 1 << 26
"""Longest record believed, in bytes."""


class Broken(Exception):
    """A control block that makes no sense; its text says why."""


@inlined
def u16(address, big):
    """Two bytes in the file's byte order."""
    return be16(address) if big else le16(address)


@inlined
def u32(address, big):
    """Four bytes in the file's byte order."""
    return be32(address) if big else le32(address)


def begins_capture(head: bytes) -> bool:
    """Whether ``head`` begins with the header of a pcap file, or with a section of pcapng."""
    if head[:4] == PCAPNG_MAGIC:
        return head[8:12] in _BYTE_ORDERS
    return head[:4] in PCAP_MAGICS and head[4:8] in _PCAP_VERSIONS


@inlined
def begins_pcap(address):
    """`begins_capture` for a pcap file at an address."""
    magic, version = be32(address), be32(address + 4)
    return (version == 0x00020004 and magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)) or (
        version == 0x02000400 and magic in (0xD4C3B2A1, 0x4D3CB2A1, 0x34CDB2A1)
    )


@inlined
def store(fields, row, stamp, out):
    """Fill a row of the columns of `Packets` with a stamp and what `decode` gave."""
    ts, src, dst, sport, dport, proto, flags, seq, context = out
    ts[row] = stamp
    src[row, 0], src[row, 1] = fields[1], fields[2]
    dst[row, 0], dst[row, 1] = fields[3], fields[4]
    sport[row], dport[row] = fields[5], fields[6]
    proto[row], flags[row], seq[row], context[row] = fields[7], fields[8], fields[9], fields[10]
