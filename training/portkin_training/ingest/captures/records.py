"""What both capture formats are read with: integers of either byte order, a row filled, how a walk ends."""

from __future__ import annotations

from portkin_training.core.unaligned import be16, be32, inlined, le16, le32

FULL, MORE, BAD, CONTROL, FOREIGN = range(5)
"""How a walk over a block of bytes ended: no rows left, no whole record left, a record that makes no sense, one that
the caller is to read, a packet of no known interface."""

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


@inlined
def store(fields, row, stamp, out):
    """Fill a row of the columns of `Packets` with a stamp and what `decode` gave."""
    ts, src, dst, sport, dport, proto, flags, seq, context = out
    ts[row] = stamp
    src[row, 0], src[row, 1] = fields[1], fields[2]
    dst[row, 0], dst[row, 1] = fields[3], fields[4]
    sport[row], dport[row] = fields[5], fields[6]
    proto[row], flags[row], seq[row], context[row] = fields[7], fields[8], fields[9], fields[10]
