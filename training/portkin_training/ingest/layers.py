"""From the bytes of one captured packet to one row of columns: link layer, IP, transport.

Compiled kernels without bounds checks: every read lies between the packet's first byte and ``end``, one past its
last captured byte (or past the IP packet, where that is shorter: Ethernet pads), and each function keeps to that.

Not looked into: tunnels (GRE, VXLAN, IP in IP), MPLS, PPPoE. Fragments are not put together: the first one counts
when it holds the ports (and, for TCP, the flags), the others never. Checksums are not verified.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from portkin_training.ingest.packets import ICMP, ICMPV6, IPV4_MAPPED, TCP, UDP

STORED, NOT_IP, OTHER_PROTO, FRAGMENT, CUT, MALFORMED, UNKNOWN_LINK = range(7)
REASONS = (
    "stored",
    "not IP",
    "neither TCP nor UDP",
    "later fragment",
    "cut before the ports or flags",
    "malformed headers",
    "unknown link type",
)
"""What became of a packet; the place in the tuple is the code."""

LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_LOOP = 0, 1, 101, 108
LINK_SLL, LINK_IPV4, LINK_IPV6, LINK_SLL2 = 113, 228, 229, 276
LINK_RAW_OLD, LINK_RAW_OPENBSD = 12, 14
LINKS = frozenset(
    (
        LINK_NULL,
        LINK_ETHERNET,
        LINK_RAW,
        LINK_LOOP,
        LINK_SLL,
        LINK_IPV4,
        LINK_IPV6,
        LINK_SLL2,
        LINK_RAW_OLD,
        LINK_RAW_OPENBSD,
    )
)
"""Link types understood (tcpdump.org/linktypes.html)."""

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6 = 0x0800, 0x86DD
_MAPPED = np.int64(IPV4_MAPPED)
_MAX_EXTENSIONS = 16

kernel = njit(nogil=True, cache=True, error_model="numpy")


@kernel
def be16(buf, p):
    """Two bytes at p, big-endian, as int64."""
    return (np.int64(buf[p]) << 8) | np.int64(buf[p + 1])


@kernel
def be32(buf, p):
    """Four bytes at p, big-endian, as int64."""
    return (
        (np.int64(buf[p]) << 24)
        | (np.int64(buf[p + 1]) << 16)
        | (np.int64(buf[p + 2]) << 8)
        | np.int64(buf[p + 3])
    )


@kernel
def be64(buf, p):
    """Eight bytes at p, big-endian, as int64 (two's complement)."""
    return (be32(buf, p) << 32) | be32(buf, p + 4)


@kernel
def network_layer(buf, p, end, link):
    """Where the IP header starts; below 0, minus the reason there is none."""
    if link == LINK_ETHERNET:
        if p + 14 > end:
            return -CUT
        kind = be16(buf, p + 12)
        p += 14
        # 802.1Q, 802.1ad (QinQ) and the older 0x9100: four bytes a tag
        while kind == 0x8100 or kind == 0x88A8 or kind == 0x9100:
            if p + 4 > end:
                return -CUT
            kind = be16(buf, p + 2)
            p += 4
        if kind != _ETHERTYPE_IPV4 and kind != _ETHERTYPE_IPV6:
            return -NOT_IP
        return p
    if link in (LINK_RAW, LINK_IPV4, LINK_IPV6, LINK_RAW_OLD, LINK_RAW_OPENBSD):
        return p
    if link == LINK_SLL or link == LINK_SLL2:
        size = 16 if link == LINK_SLL else 20
        if p + size > end:
            return -CUT
        kind = be16(buf, p + 14) if link == LINK_SLL else be16(buf, p)
        p += size
        while kind == 0x8100 or kind == 0x88A8 or kind == 0x9100:
            if p + 4 > end:
                return -CUT
            kind = be16(buf, p + 2)
            p += 4
        if kind != _ETHERTYPE_IPV4 and kind != _ETHERTYPE_IPV6:
            return -NOT_IP
        return p
    if link == LINK_NULL or link == LINK_LOOP:
        if p + 4 > end:
            return -CUT
        # The address family is in the byte order of the machine that captured: one byte is not 0, either end.
        family = buf[p] | buf[p + 3]
        if buf[p + 1] != 0 or buf[p + 2] != 0 or family not in (2, 10, 24, 28, 30):
            return -NOT_IP
        return p + 4
    return -UNKNOWN_LINK


@kernel
def quoted(buf, p, end, version, row, src, dst, sport, dport, flags):
    """Fill the row with the flow of the datagram that an ICMP error quotes at p; gives the reason code."""
    if version == 4:
        if p + 20 > end:
            return CUT
        header = np.int64(buf[p] & 15) * 4
        if buf[p] >> 4 != 4 or header < 20:
            return MALFORMED
        if be16(buf, p + 6) & 0x1FFF:
            return FRAGMENT
        inner = np.int64(buf[p + 9])
        if p + header + 4 > end:
            return CUT
        src[row, 0] = 0
        src[row, 1] = _MAPPED | be32(buf, p + 12)
        dst[row, 0] = 0
        dst[row, 1] = _MAPPED | be32(buf, p + 16)
        p += header
    else:
        if p + 40 > end:
            return CUT
        if buf[p] >> 4 != 6:
            return MALFORMED
        src[row, 0] = be64(buf, p + 8)
        src[row, 1] = be64(buf, p + 16)
        dst[row, 0] = be64(buf, p + 24)
        dst[row, 1] = be64(buf, p + 32)
        inner, p = skip_extensions(buf, p + 40, end, np.int64(buf[p + 6]))
        if inner < 0:
            return -inner
        if p + 4 > end:
            return CUT
    if inner != UDP and inner != TCP:
        return OTHER_PROTO
    sport[row] = be16(buf, p)
    dport[row] = be16(buf, p + 2)
    flags[row] = inner
    return STORED


@kernel
def skip_extensions(buf, p, end, proto):
    """(upper-layer protocol, its offset) behind the IPv6 extension headers (RFC 8200, 4); minus a reason if none."""
    for _ in range(_MAX_EXTENSIONS):
        if proto in (0, 43, 60, 135, 139, 140):  # hop-by-hop, routing, destination, mobility, HIP, shim6
            if p + 2 > end:
                return -CUT, p
            proto, p = np.int64(buf[p]), p + (np.int64(buf[p + 1]) + 1) * 8
        elif proto == 44:  # fragment: only the first holds the ports
            if p + 8 > end:
                return -CUT, p
            if be16(buf, p + 2) & 0xFFF8:
                return -FRAGMENT, p
            proto, p = np.int64(buf[p]), p + 8
        elif proto == 51:  # authentication header, in words of four bytes less two (RFC 4302, 2.2)
            if p + 2 > end:
                return -CUT, p
            proto, p = np.int64(buf[p]), p + (np.int64(buf[p + 1]) + 2) * 4
        else:
            return proto, p
    return -MALFORMED, p


@kernel
def decode(buf, start, end, link, row, src, dst, sport, dport, proto, flags, seq):
    """Fill row ``row`` from the packet in buf[start:end]; gives a code of `REASONS`, the row is valid on STORED.

    Args:
        buf: (m,) uint8.
        start, end: the captured bytes.
        link: link type of the interface.
        row: the row to fill; src, dst, ... are the columns of `Packets`.
    """
    p = network_layer(buf, start, end, link)
    if p < 0:
        return -p
    if p >= end:
        return CUT
    version = buf[p] >> 4
    if version == 4:
        if p + 20 > end:
            return CUT
        header = np.int64(buf[p] & 15) * 4
        total = be16(buf, p + 2)
        if total == 0:  # segmentation offload leaves the field empty
            total = end - p
        if header < 20 or total < header:
            return MALFORMED
        upper = np.int64(buf[p + 9])
        if upper != TCP and upper != UDP and upper != ICMP:
            return OTHER_PROTO
        if be16(buf, p + 6) & 0x1FFF:
            return FRAGMENT
        src[row, 0] = 0
        src[row, 1] = _MAPPED | be32(buf, p + 12)
        dst[row, 0] = 0
        dst[row, 1] = _MAPPED | be32(buf, p + 16)
        last = p + total
        p += header
    elif version == 6:
        if p + 40 > end:
            return CUT
        payload = be16(buf, p + 4)
        # 0: a jumbogram (RFC 2675) or segmentation offload
        last = p + 40 + payload if payload else end
        src[row, 0] = be64(buf, p + 8)
        src[row, 1] = be64(buf, p + 16)
        dst[row, 0] = be64(buf, p + 24)
        dst[row, 1] = be64(buf, p + 32)
        upper, p = skip_extensions(buf, p + 40, min(end, last), np.int64(buf[p + 6]))
        if upper < 0:
            return MALFORMED if upper == -CUT and last <= end else -upper
    else:
        return MALFORMED
    short = MALFORMED if last <= end else CUT  # whether the sender or the capture left bytes out
    if last < end:
        end = last
    if upper == TCP:
        if p + 14 > end:
            return short
        if buf[p + 12] >> 4 < 5:
            return MALFORMED
        sport[row] = be16(buf, p)
        dport[row] = be16(buf, p + 2)
        seq[row] = be32(buf, p + 4)
        flags[row] = buf[p + 13]
        proto[row] = TCP
        return STORED
    if upper == UDP:
        if p + 8 > end:
            return short
        sport[row] = be16(buf, p)
        dport[row] = be16(buf, p + 2)
        seq[row] = 0
        flags[row] = 0
        proto[row] = UDP
        return STORED
    # Port unreachable: type 3 code 3 (RFC 792), type 1 code 4 (RFC 4443, 3.1)
    if (upper == ICMP and version == 4) or (upper == ICMPV6 and version == 6):
        if p + 8 > end:
            return short
        if upper == ICMP:
            if buf[p] != 3 or buf[p + 1] != 3:
                return OTHER_PROTO
        elif buf[p] != 1 or buf[p + 1] != 4:
            return OTHER_PROTO
        seq[row] = 0
        proto[row] = upper
        return quoted(buf, p + 8, end, version, row, src, dst, sport, dport, flags)
    return OTHER_PROTO
