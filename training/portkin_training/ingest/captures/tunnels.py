"""Where a tunnel's inner packet begins: IP in IP, GRE with ERSPAN and PPTP, VXLAN, Geneve, GTP-U, Teredo.

The headers and what they may carry are those that Zeek opens (src/packet_analysis/protocol), so that both count the
same packets. Compiled functions over addresses; every read lies between ``p`` and ``end``, which each function checks.
"""

from __future__ import annotations

from portkin_training.core.unaligned import be16, be32, inlined, kernel, u8
from portkin_training.ingest.captures.framing import ETHERTYPE
from portkin_training.ingest.captures.link_types import ETHERNET, IEEE802_11, PPP, RAW
from portkin_training.ingest.captures.reasons import CUT, OTHER_PROTO

MAX_DEPTH = 4
"""Tunnels opened within each other; Zeek's `Tunnel::max_depth`."""

IP_IN_IP, IPV6_IN_IP, GRE = 4, 41, 47
"""IANA protocols of tunnels."""
VXLAN, GENEVE, GTP_U, GTP_C, TEREDO, GRE_IN_UDP = 4789, 6081, 2152, 2123, 3544, 4754
"""UDP ports of tunnels, as Zeek has them."""

VNI_SHIFT = 26
"""Bits of a context from which on the network identifier of VXLAN or Geneve stands, plus one."""

_BRIDGED, _PPTP, _ERSPAN, _ERSPAN_3 = 0x6558, 0x880B, 0x88BE, 0x22EB


@inlined
def is_tunnel_port(port):
    """Whether UDP datagrams of the port may hold packets."""
    return port in (VXLAN, GENEVE, GTP_U, GTP_C, TEREDO, GRE_IN_UDP)


@inlined
def may_be_teredo(p, end):
    """Whether at p an IPv6 header with a Teredo address may stand, at whatever port: peers use ephemeral ones."""
    return (
        p + 40 <= end and u8(p) >> 4 == 6 and (be32(p + 8) == 0x2001_0000 or be32(p + 24) == 0x2001_0000)
    )  # RFC 4380, 2.6


@kernel
def open_gre(p, end):
    """(address of what a GRE header at p carries, its layer); the layer below 0 is minus the reason there is none.

    RFC 2784 and 2890, RFC 2637 (version 1), draft-foschiano-erspan.
    """
    if p + 4 > end:
        return p, -CUT
    flags, kind = be16(p), be16(p + 2)
    version = flags & 7
    if version > 1 or flags & 0x4000 or flags & 0x0078:  # source routes (RFC 1701) and reserved bits
        return p, -OTHER_PROTO
    p += 4
    if flags & 0x8000:  # checksum
        p += 4
    if flags & 0x2000:  # key
        p += 4
    if flags & 0x1000:  # sequence number
        p += 4
    if flags & 0x0080:  # acknowledgement
        p += 4
    if version == 1:
        return p, (PPP if kind == _PPTP else -OTHER_PROTO)
    if kind == _BRIDGED:
        return p, ETHERNET
    if kind == _ERSPAN:  # type II has a sequence number and a header of eight bytes, type I neither
        return (p + 8 if flags & 0x1000 else p), ETHERNET
    if kind == _ERSPAN_3:
        if p + 12 > end:
            return p, -CUT
        about = be16(p + 10)
        # frame type 2: an IP packet; the last bit: eight further bytes
        return p + (20 if about & 1 else 12), (RAW if (about >> 10) & 31 == 2 else ETHERNET)
    if 0x8200 <= kind <= 0x83F0 and kind & 15 == 0:  # Aruba's access points
        return p, IEEE802_11
    return p, (ETHERTYPE + kind if kind > 1500 else -OTHER_PROTO)  # 0: a keepalive


@kernel
def _open_geneve(p, end):
    """RFC 8926, 3.4."""
    at = p + 8 + (u8(p) & 63) * 4
    kind = be16(p + 2)
    if u8(p) >> 6 or at >= end or kind not in (_BRIDGED, 0x0800, 0x86DD, 0x0806):
        return p, -1, False
    return at, (ETHERNET if kind == _BRIDGED else ETHERTYPE + kind), u8(p + 1) & 63 == 0 and u8(p + 7) == 0


@kernel
def _open_gtp(p, end):
    """3GPP TS 29.281, 5.1: version 1, a user's packet."""
    flags, at = u8(p), p + 8
    if flags >> 5 != 1 or not flags & 0x10 or u8(p + 1) != 255:
        return p, -1, False
    if flags & 7:
        at += 4
        following = u8(at - 1) if flags & 4 and at <= end else 0
        while following:  # extension headers, in units of four bytes
            if at + 4 > end or u8(at) == 0:
                return p, -1, False
            at += u8(at) * 4
            following = u8(at - 1) if at <= end else 0
    if at >= end:
        return p, -1, False
    return at, RAW, p + 8 + be16(p + 2) == end


@kernel
def _open_teredo(p, end):
    """RFC 4380, 5.1.1: an authentication and an origin header may stand before the IPv6 packet."""
    at = p
    if be16(at) == 1:
        at += 13 + u8(at + 2) + u8(at + 3)
    if at + 8 <= end and be16(at) == 0:
        at += 8
    if at + 40 > end or u8(at) >> 4 != 6:
        return p, -1, False
    return at, RAW, at + 40 + be16(at + 4) <= end


@kernel
def open_udp(p, end, port):
    """The packet in the payload at p of a UDP datagram to or from a tunnel's port.

    Returns:
        (its address, its layer, VNI or -1, sure); the layer below 0: this is no tunnel. Not ``sure``: other data may
        look like this, and where nothing inside can be read, the datagram is one like any other.
    """
    if p + 8 > end:
        return p, -1, -1, False
    if port == VXLAN:  # RFC 7348, 5
        if not u8(p) & 8 or p + 8 + 14 > end:
            return p, -1, -1, False
        return p + 8, ETHERNET, be32(p + 4) >> 8, u8(p + 7) == 0
    if port == GENEVE:
        at, layer, sure = _open_geneve(p, end)
        return at, layer, be32(p + 4) >> 8, sure
    if port in (GTP_U, GTP_C):
        at, layer, sure = _open_gtp(p, end)
        return at, layer, -1, sure
    if port == GRE_IN_UDP:  # RFC 8086
        at, layer = open_gre(p, end)
        return at, layer, -1, False
    at, layer, sure = _open_teredo(p, end)
    return at, layer, -1, sure
