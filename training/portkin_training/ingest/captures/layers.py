"""From the bytes of one captured packet to one row of columns: link layer, IP, transport.

Compiled functions over addresses, without bounds checks: every read lies between the packet's first
byte and ``end``, one past its last captured byte (or past the IP packet, where that is shorter:
Ethernet pads), and each function keeps to that.

Not looked into: tunnels (GRE, VXLAN, IP in IP), MPLS, PPPoE. Fragments are not put together: the first
one counts when it holds the ports (and, for TCP, the flags), the others never. Checksums are not
verified.
"""

from __future__ import annotations

from portkin_training.core.protocols import ICMP, ICMPV6, TCP, UDP
from portkin_training.core.unaligned import be16, be32, be64, inlined, u8
from portkin_training.ingest.captures.packets import IPV4_MAPPED

STORED, NOT_IP, OTHER_PROTO, FRAGMENT, CUT, MALFORMED, UNKNOWN_LINK, STAMP = range(8)
REASONS = (
    "stored",
    "not IP",
    "neither TCP nor UDP",
    "later fragment",
    "cut before the ports or flags",
    "malformed headers",
    "unknown link type",
    "stamp out of range",
)
"""What became of a packet; the place in the tuple is the code."""

NULL, ETHERNET, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
RAW_OLD, RAW_OPENBSD = 12, 14
"""Link types understood (tcpdump.org/linktypes.html)."""

_MAX_EXTENSIONS = 16


@inlined
def _behind_tags(p, end, kind):
    """Where the IP header starts behind VLAN tags; below 0, minus the reason there is none."""
    # 802.1Q, 802.1ad (QinQ) and the older 0x9100: four bytes a tag
    while kind in (0x8100, 0x88A8, 0x9100):
        if p + 4 > end:
            return -CUT
        kind = be16(p + 2)
        p += 4
    return p if kind in (0x0800, 0x86DD) else -NOT_IP


@inlined
def _network_layer(p, end, link):
    """Where the IP header starts; below 0, minus the reason there is none."""
    if link == ETHERNET:
        return _behind_tags(p + 14, end, be16(p + 12)) if p + 14 <= end else -CUT
    if link in (RAW, IPV4, IPV6, RAW_OLD, RAW_OPENBSD):
        return p
    if link == SLL:
        return _behind_tags(p + 16, end, be16(p + 14)) if p + 16 <= end else -CUT
    if link == SLL2:
        return _behind_tags(p + 20, end, be16(p)) if p + 20 <= end else -CUT
    if link in (NULL, LOOP):
        if p + 4 > end:
            return -CUT
        # The address family is in the byte order of the machine that captured: one byte, at either end;
        # 10 is Linux's IPv6, 24, 28 and 30 are the BSDs' and macOS'.
        family = u8(p) | u8(p + 3)
        return p + 4 if u8(p + 1) | u8(p + 2) == 0 and family in (2, 10, 24, 28, 30) else -NOT_IP
    return -UNKNOWN_LINK


@inlined
def _skip_extensions(p, end, proto):
    """(upper-layer protocol, its address) behind the IPv6 extension headers (RFC 8200, 4).

    Below 0, the protocol is minus the reason there is none.
    """
    for _ in range(_MAX_EXTENSIONS):
        if proto in (TCP, UDP, ICMPV6):
            return proto, p
        if proto in (0, 43, 60, 135, 139, 140):  # hop-by-hop, routing, destination, mobility, HIP, shim6
            if p + 2 > end:
                return -CUT, p
            proto, p = u8(p), p + (u8(p + 1) + 1) * 8
        elif proto == 44:  # fragment: only the first holds the ports
            if p + 8 > end:
                return -CUT, p
            if be16(p + 2) & 0xFFF8:
                return -FRAGMENT, p
            proto, p = u8(p), p + 8
        elif proto == 51:  # authentication header, in words of four bytes less two (RFC 4302, 2.2)
            if p + 2 > end:
                return -CUT, p
            proto, p = u8(p), p + (u8(p + 1) + 2) * 4
        else:
            return -OTHER_PROTO, p
    return -MALFORMED, p


@inlined
def _nothing(code):
    return code, 0, 0, 0, 0, 0, 0, 0, 0, 0


@inlined
def _quoted(p, end, icmp):
    """What `decode` returns, of the datagram that an ICMP error quotes at p."""
    if icmp == ICMP:
        if p + 20 > end:
            return _nothing(CUT)
        header = (u8(p) & 15) * 4
        if u8(p) >> 4 != 4 or header < 20:
            return _nothing(MALFORMED)
        if be16(p + 6) & 0x1FFF:
            return _nothing(FRAGMENT)
        inner = u8(p + 9)
        src_hi, src_lo = 0, IPV4_MAPPED | be32(p + 12)
        dst_hi, dst_lo = 0, IPV4_MAPPED | be32(p + 16)
        p += header
    else:
        if p + 40 > end:
            return _nothing(CUT)
        if u8(p) >> 4 != 6:
            return _nothing(MALFORMED)
        src_hi, src_lo, dst_hi, dst_lo = be64(p + 8), be64(p + 16), be64(p + 24), be64(p + 32)
        inner, p = _skip_extensions(p + 40, end, u8(p + 6))
        if inner < 0:
            return _nothing(-inner)
    if inner not in (TCP, UDP):
        return _nothing(OTHER_PROTO)
    if p + 4 > end:
        return _nothing(CUT)
    return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), icmp, inner, 0


@inlined
def decode(start, end, link):
    """One row of `Packets` from the captured bytes [start, end) of an interface of type ``link``.

    Args:
        start, end: addresses.
        link: link type.

    Returns:
        (code of `REASONS`, src high and low, dst high and low, sport, dport, proto, flags, seq), all
        int64; what follows a code other than STORED means nothing.
    """
    p = _network_layer(start, end, link)
    if p < 0:
        return _nothing(-p)
    if p >= end:
        return _nothing(CUT)
    version = u8(p) >> 4
    if version == 4:
        if p + 20 > end:
            return _nothing(CUT)
        header = (u8(p) & 15) * 4
        total = be16(p + 2)
        if total == 0:  # segmentation offload leaves the field empty
            total = end - p
        if header < 20 or total < header:
            return _nothing(MALFORMED)
        upper = u8(p + 9)
        if upper not in (TCP, UDP, ICMP):
            return _nothing(OTHER_PROTO)
        if be16(p + 6) & 0x1FFF:
            return _nothing(FRAGMENT)
        src_hi, src_lo = 0, IPV4_MAPPED | be32(p + 12)
        dst_hi, dst_lo = 0, IPV4_MAPPED | be32(p + 16)
        last = p + total
        p += header
    elif version == 6:
        if p + 40 > end:
            return _nothing(CUT)
        payload = be16(p + 4)
        # 0: a jumbogram (RFC 2675) or segmentation offload
        last = p + 40 + payload if payload else end
        src_hi, src_lo, dst_hi, dst_lo = be64(p + 8), be64(p + 16), be64(p + 24), be64(p + 32)
        upper, p = _skip_extensions(p + 40, min(end, last), u8(p + 6))
        if upper < 0:
            return _nothing(MALFORMED if upper == -CUT and last <= end else -upper)
    else:
        return _nothing(MALFORMED)
    short = MALFORMED if last <= end else CUT  # whether the sender or the capture left bytes out
    end = min(end, last)
    if upper == TCP:
        if p + 14 > end:
            return _nothing(short)
        if u8(p + 12) >> 4 < 5:
            return _nothing(MALFORMED)
        return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), TCP, u8(p + 13), be32(p + 4)
    if p + 8 > end:
        return _nothing(short)
    if upper == UDP:
        return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), UDP, 0, 0
    # Port unreachable: type 3 code 3 (RFC 792), type 1 code 4 (RFC 4443, 3.1)
    unreachable = 0x0303 if version == 4 else 0x0104
    if be16(p) != unreachable or upper != (ICMP if version == 4 else ICMPV6):
        return _nothing(OTHER_PROTO)
    return _quoted(p + 8, end, upper)
