"""From the first byte of a frame to its IP header: link layers, VLAN tags, MPLS, PPPoE, LLC.

Compiled functions over addresses; every read lies between ``p`` and ``end``, which each function checks.
"""

from __future__ import annotations

from portkin_training.core.unaligned import be16, be32, inlined, kernel, le16, le32, u8
from portkin_training.ingest.captures.framing import (
    ETHERTYPE,
    IP,
    LLC,
    MPLS,
    behind_802_11,
    behind_erf,
    behind_llc,
    behind_nflog,
    behind_ppp,
)
from portkin_training.ingest.captures.link_types import (
    AVS,
    C_HDLC,
    ERF,
    ETHERNET,
    FDDI,
    IEEE802_11,
    IPV4,
    IPV6,
    LOOP,
    MOST,
    NFLOG,
    NFLOG_BIG,
    NULL,
    PFLOG,
    PKTAP,
    PPI,
    PPP,
    PPP_DIRECTION,
    PPP_ETHER,
    PPP_HDLC,
    PPP_PPPD,
    PRISM,
    RADIOTAP,
    RAW,
    RAW_OLD,
    RAW_OPENBSD,
    SLL,
    SLL2,
)
from portkin_training.ingest.captures.reasons import CUT, MALFORMED, NOT_IP, UNKNOWN_LINK

_COOKED = 1 << 18
"""Added as well where a cooked capture says the type: a tag may stand before what it names."""

VLAN_TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
"""802.1Q, 802.1ad (QinQ) and their older forms."""
_IPV4, _IPV6, _MPLS_MULTICAST, _PPPOE = 0x0800, 0x86DD, 0x8848, 0x8864
_PBB, _VN_TAG, _FABRIC_PATH = 0x88E7, 0x8926, 0x8903

INNER_SHIFT = 13
"""Bits of a VLAN number in a context: outer from bit 0 on, inner from here on; each plus one, 0 where there is none."""


@inlined
def _tagged(tags, tag):
    """The tags with one more: the first is the outer, the last the inner one, as Zeek has it."""
    number = (tag & 0xFFF) + 1
    outer = tags & ((1 << INNER_SHIFT) - 1)
    return outer | (number << INNER_SHIFT) if outer else number


@inlined
def _is_ip(p, end, whole):
    """Whether an IP header stands at p; ``whole``: and the packet is as long as it says."""
    if p + 20 > end:
        return False
    version = u8(p) >> 4
    if version == 4:
        return u8(p) & 15 >= 5 and not (whole and p + be16(p + 2) > end)
    return version == 6 and not (whole and p + 40 + be16(p + 4) > end)


@kernel
def _behind_type(p, end, kind, tags):
    """What lies behind an EtherType: (address or minus the reason, end, tags, layer)."""
    if kind in (_IPV4, _IPV6):
        return p, end, tags, IP
    if kind in VLAN_TAGS:
        if p + 4 > end:
            return -CUT, end, tags, IP
        return p + 4, end, _tagged(tags, be16(p)), ETHERTYPE + be16(p + 2)
    if kind <= 1500:  # the length of an 802.3 frame, without its padding
        return (p, min(end, p + kind), tags, LLC) if kind >= 3 else (-NOT_IP, end, tags, IP)
    if kind in (MPLS, _MPLS_MULTICAST):  # RFC 3032: labels up to the one with the bottom bit
        while p + 5 <= end:
            bottom = u8(p + 2) & 1
            p += 4
            if bottom:
                version = u8(p) >> 4
                if version in (4, 6):
                    return p, end, tags, IP
                # a pseudowire's control word, then a frame (RFC 4448)
                return (p + 4, end, tags, ETHERNET) if version == 0 else (-NOT_IP, end, tags, IP)
        return -CUT, end, tags, IP
    if kind == _PPPOE:
        return p, end, tags, PPP_ETHER
    if kind == _PBB:  # 802.1ah: a service tag before the customer's frame
        return p + 4, end, tags, ETHERNET
    if kind == _FABRIC_PATH:
        return p + 2, end, tags, ETHERNET
    if kind == _VN_TAG:  # 802.1BR's forerunner
        return (p + 6, end, tags, ETHERTYPE + be16(p + 4)) if p + 6 <= end else (-CUT, end, tags, IP)
    return -NOT_IP, end, tags, IP


@kernel
def _behind_cooked(p, end, kind, tags):
    """The same behind a cooked header (`tcpdump -i any`).

    For frames with two tags Linux names the innermost type, and a tag still stands before the packet.
    """
    if kind == 4:  # 802.2 frames have a number of their own there
        return p, end, tags, LLC
    if kind <= 1500:  # other numbers of Linux (if_ether.h), none of IP
        return -NOT_IP, end, tags, IP
    if kind in (_IPV4, _IPV6):
        while p + 4 <= end and not _is_ip(p, end, True):
            behind = be16(p + 2)
            cut = _is_ip(p, end, False)  # by the capture; then only a whole packet behind the tag is believed
            if not (behind == kind and _is_ip(p + 4, end, cut)) and (cut or behind not in VLAN_TAGS):
                break
            tags = _tagged(tags, be16(p))
            p += 4
        return p, end, tags, IP
    return p, end, tags, ETHERTYPE + kind


@kernel
def _behind_link(p, end, link):
    """What lies behind the header of a link type: (address or minus the reason, end, layer)."""
    if link == ETHERNET:
        return (p + 14, end, ETHERTYPE + be16(p + 12)) if p + 14 <= end else (-CUT, end, IP)
    if link in (RAW, IPV4, IPV6, RAW_OLD, RAW_OPENBSD):
        return p, end, IP
    if link == SLL:
        return (p + 16, end, _COOKED + be16(p + 14)) if p + 16 <= end else (-CUT, end, IP)
    if link == SLL2:
        return (p + 20, end, _COOKED + be16(p)) if p + 20 <= end else (-CUT, end, IP)
    if link in (NULL, LOOP):
        if p + 4 > end:
            return -CUT, end, IP
        # The address family is in the byte order of the machine that captured: one byte, at either end;
        # 10 is Linux's IPv6, 24, 28 and 30 are the BSDs' and macOS'.
        family = u8(p) | u8(p + 3)
        known = u8(p + 1) | u8(p + 2) == 0 and family in (2, 10, 24, 28, 30)
        return (p + 4 if known else -NOT_IP), end, IP
    if link == LLC:
        p, layer = behind_llc(p, end)
        return p, end, layer
    if link in (PPP, PPP_PPPD):
        p, layer = behind_ppp(p, end)
        return p, end, layer
    if link == PPP_DIRECTION:
        return p + 1, end, PPP
    if link in (PPP_HDLC, C_HDLC):
        if p + 4 > end:
            return -CUT, end, IP
        if link == C_HDLC or u8(p) in (0x0F, 0x8F):  # Cisco's framing: an EtherType
            return p + 4, end, ETHERTYPE + be16(p + 2)
        return p, end, PPP
    if link == PPP_ETHER:  # RFC 2516: code and length
        if p + 6 > end:
            return -CUT, end, IP
        return (p + 6, min(end, p + 6 + be16(p + 4)), PPP) if u8(p + 1) == 0 else (-NOT_IP, end, IP)
    if link in (NFLOG, NFLOG_BIG):
        return behind_nflog(p, end, link == NFLOG_BIG)
    if link == IEEE802_11:
        p, layer = behind_802_11(p, end)
        return p, end, layer
    if link in (RADIOTAP, PPI):
        if p + 8 > end:
            return -CUT, end, IP
        size = le16(p + 2)
        if size < 8:
            return -MALFORMED, end, IP
        if link == RADIOTAP:
            return p + size, end, IEEE802_11
        inner = le32(p + 4)
        return (p + size, end, inner) if inner <= MOST else (-UNKNOWN_LINK, end, IP)
    if link in (PRISM, AVS):
        if p + 8 > end:
            return -CUT, end, IP
        # Drivers write either header under the number of the other; AVS begins with its version.
        size = be32(p + 4) if be32(p) & 0xFFFF_FF00 == 0x8021_1000 else 144
        return (p + size, end, IEEE802_11) if size >= 8 else (-MALFORMED, end, IP)
    if link == FDDI:
        return p + 13, end, LLC
    if link == PFLOG:  # its length, padded to four
        return (p + ((u8(p) + 3) & ~3), end, IP) if p + 1 <= end else (-CUT, end, IP)
    if link == ERF:
        p, layer = behind_erf(p, end)
        return p, end, layer
    if link == PKTAP:
        if p + 12 > end:
            return -CUT, end, IP
        size, inner = le32(p), le32(p + 8)
        return (p + size, end, inner) if size >= 12 and inner <= MOST else (-MALFORMED, end, IP)
    return -UNKNOWN_LINK, end, IP


@kernel
def network_layer(p, end, layer):
    """Where the IP header is.

    Args:
        p, end: addresses.
        layer: a link type, or `ETHERTYPE` plus an EtherType.

    Returns:
        (address of the IP header, end of the frame, VLAN tags as `core.context` packs them); the address below 0
        is minus the reason there is none. The address may be ``end`` or lie behind it.
    """
    tags = 0
    # Every round but those of raw headers takes bytes; a length of 0 in a header cannot loop forever.
    for _ in range(64):
        if layer >= _COOKED:
            p, end, tags, layer = _behind_cooked(p, end, layer - _COOKED, tags)
        elif layer >= ETHERTYPE:
            p, end, tags, layer = _behind_type(p, end, layer - ETHERTYPE, tags)
        else:
            p, end, layer = _behind_link(p, end, layer)
        if p < 0 or layer == IP:
            return p, end, tags
    return -MALFORMED, end, tags
