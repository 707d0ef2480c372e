"""From the bytes of one captured packet to one row of columns: link layer, tunnels, IP, transport.

Compiled functions over addresses, without bounds checks: every read lies between the packet's first
byte and ``end``, one past its last captured byte (or past the IP packet, where that is shorter:
Ethernet pads), and each function keeps to that.

In a tunnel the innermost packet counts, as in Zeek and Suricata; with `OUTER` the outermost. Fragments are not put
together: the first one counts when it holds the ports (and, for TCP, the flags), the others never. Checksums are not
verified.
"""

from __future__ import annotations

from portkin_training.core.protocols import ICMP, ICMPV6, TCP, UDP
from portkin_training.core.unaligned import be16, be32, be64, inlined, kernel, u8
from portkin_training.ingest.captures.link_types import ETHERNET, RAW
from portkin_training.ingest.captures.links import network_layer
from portkin_training.ingest.captures.packets import IPV4_MAPPED
from portkin_training.ingest.captures.reasons import CUT, DEEP, FRAGMENT, MALFORMED, OTHER_PROTO, STORED
from portkin_training.ingest.captures.tunnels import (
    GRE,
    IP_IN_IP,
    IPV6_IN_IP,
    MAX_DEPTH,
    TEREDO,
    VNI_SHIFT,
    is_tunnel_port,
    may_be_teredo,
    open_gre,
    open_udp,
)

OUTER, VLAN, VNI = 1, 2, 4
"""How packets are read, as bits: the outermost one counts; VLANs, or virtual networks, are contexts."""

_MAX_EXTENSIONS = 16


@inlined
def _skip_extensions(p, end, proto):
    """(upper-layer protocol, its address) behind the IPv6 extension headers (RFC 8200, 4).

    Below 0, the protocol is minus the reason there is none.
    """
    for _ in range(_MAX_EXTENSIONS):
        if proto in (TCP, UDP, ICMPV6, IP_IN_IP, IPV6_IN_IP, GRE):
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
    return code, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0


@kernel
def _quoted(p, end, icmp, context):
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
    return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), icmp, inner, 0, context


@inlined
def _ip(p, end):
    """The IP header at p: (STORED or the reason, protocol, address of what it carries, end of that, the same end where
    the packet is not cut, and the two addresses in halves)."""
    if p >= end:
        return CUT, 0, p, end, end, 0, 0, 0, 0
    version = u8(p) >> 4
    if version == 4:
        if p + 20 > end:
            return CUT, 0, p, end, end, 0, 0, 0, 0
        header = (u8(p) & 15) * 4
        total = be16(p + 2)
        if total == 0:  # segmentation offload leaves the field empty
            total = end - p
        if header < 20 or total < header:
            return MALFORMED, 0, p, end, end, 0, 0, 0, 0
        upper = u8(p + 9)
        if upper not in (TCP, UDP, ICMP, IP_IN_IP, IPV6_IN_IP, GRE):
            return OTHER_PROTO, 0, p, end, end, 0, 0, 0, 0
        if be16(p + 6) & 0x1FFF:
            return FRAGMENT, 0, p, end, end, 0, 0, 0, 0
        last = p + total
        src, dst = IPV4_MAPPED | be32(p + 12), IPV4_MAPPED | be32(p + 16)
        return STORED, upper, p + header, min(end, last), last, 0, src, 0, dst
    if version == 6:
        if p + 40 > end:
            return CUT, 0, p, end, end, 0, 0, 0, 0
        payload = be16(p + 4)
        # 0: a jumbogram (RFC 2675) or segmentation offload
        last = p + 40 + payload if payload else end
        upper, at = _skip_extensions(p + 40, min(end, last), u8(p + 6))
        if upper < 0:
            return (MALFORMED if upper == -CUT and last <= end else -upper), 0, p, end, end, 0, 0, 0, 0
        return STORED, upper, at, min(end, last), last, be64(p + 8), be64(p + 16), be64(p + 24), be64(p + 32)
    return MALFORMED, 0, p, end, end, 0, 0, 0, 0


@kernel
def _transport(p, end, whole, upper, src_hi, src_lo, dst_hi, dst_lo, context):
    """What `decode` returns, of the header of TCP, UDP or ICMP at p; ``whole``: the capture did not cut it."""
    short = MALFORMED if whole else CUT  # whether the sender or the capture left bytes out
    if upper == TCP:
        if p + 14 > end:
            return _nothing(short)
        if u8(p + 12) >> 4 < 5:
            return _nothing(MALFORMED)
        return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), TCP, u8(p + 13), be32(p + 4), context
    if p + 8 > end:
        return _nothing(short)
    if upper == UDP:
        return STORED, src_hi, src_lo, dst_hi, dst_lo, be16(p), be16(p + 2), UDP, 0, 0, context
    # Port unreachable: type 3 code 3 (RFC 792), type 1 code 4 (RFC 4443, 3.1)
    four = src_hi == 0 and (src_lo >> 32) == 0xFFFF
    if upper == ICMP and four and be16(p) == 0x0303:
        return _quoted(p + 8, end, ICMP, context)
    if upper == ICMPV6 and not four and be16(p) == 0x0104:
        return _quoted(p + 8, end, ICMPV6, context)
    return _nothing(OTHER_PROTO)


@kernel
def decode_layers(p, end, layer, how):
    """`decode` for any packet."""
    vni = -1
    found = _nothing(DEEP)
    datagram = found  # of a tunnel that may be none
    perhaps = False
    for depth in range(MAX_DEPTH + 1):
        p, end, tags = network_layer(p, end, layer)
        if p < 0:
            found = _nothing(-p)
            break
        code, upper, p, end, last, src_hi, src_lo, dst_hi, dst_lo = _ip(p, end)
        if code != STORED:
            found = _nothing(code)
            break
        context = 0
        if how & VLAN:
            context = tags
        elif how & VNI and vni >= 0:
            context = (vni + 1) << VNI_SHIFT
        layer, at, network, sure = -1, p, -1, True
        if how & OUTER == 0:
            if upper in (IP_IN_IP, IPV6_IN_IP):
                layer = RAW
            elif upper == GRE:
                at, layer = open_gre(p, end)
            elif upper == UDP and p + 16 <= end:
                sport, dport = be16(p), be16(p + 2)
                if is_tunnel_port(dport):
                    at, layer, network, sure = open_udp(p + 8, end, dport)
                elif is_tunnel_port(sport):
                    at, layer, network, sure = open_udp(p + 8, end, sport)
                elif may_be_teredo(p + 8, end):
                    at, layer, network, sure = open_udp(p + 8, end, TEREDO)
        if layer < 0:
            if upper == GRE and layer != -1:
                found = _nothing(-layer)
            elif upper in (IP_IN_IP, IPV6_IN_IP, GRE):
                found = _nothing(OTHER_PROTO)
            else:
                found = _transport(p, end, last <= end, upper, src_hi, src_lo, dst_hi, dst_lo, context)
            break
        if not sure:
            perhaps = True
            datagram = _transport(p, end, last <= end, upper, src_hi, src_lo, dst_hi, dst_lo, context)
        if depth == MAX_DEPTH:
            break
        p = at
        if network >= 0:
            vni = network
    if perhaps and found[0] != STORED:
        return datagram
    return found


@inlined
def decode(start, end, layer, how):
    """One row of `Packets` from the captured bytes [start, end) of an interface.

    What most packets are is decoded here: TCP or UDP in IPv4 without options on Ethernet, or bare. Everything else
    goes to `decode_layers`, which comes to the same for those too.

    Args:
        start, end: addresses.
        layer: its link type, as `link_types.layer_of` gives it.
        how: bits of `OUTER`, `VLAN` and `VNI`.

    Returns:
        (code of `REASONS`, src high and low, dst high and low, sport, dport, proto, flags, seq, context), all
        int64; what follows a code other than STORED means nothing.
    """
    p = start
    plain = layer == RAW
    if layer == ETHERNET and start + 16 <= end:
        plain = be16(start + 12) == 0x0800
        p = start + 14
    if plain and p + 34 <= end and u8(p) == 0x45 and be16(p + 6) & 0x1FFF == 0:
        upper, total, t = u8(p + 9), be16(p + 2), p + 20
        src, dst, sport, dport = IPV4_MAPPED | be32(p + 12), IPV4_MAPPED | be32(p + 16), be16(t), be16(t + 2)
        if upper == TCP and total >= 34 and u8(t + 12) >> 4 >= 5:
            return STORED, 0, src, 0, dst, sport, dport, TCP, u8(t + 13), be32(t + 4), 0
        if (
            upper == UDP
            and total >= 28
            and not (is_tunnel_port(sport) or is_tunnel_port(dport) or may_be_teredo(t + 8, end))
        ):
            return STORED, 0, src, 0, dst, sport, dport, UDP, 0, 0, 0
    return decode_layers(start, end, layer, how)
