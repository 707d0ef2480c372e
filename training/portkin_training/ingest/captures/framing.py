"""What lies in frames whose headers are of several parts: PPP, LLC, 802.11, netfilter logs, ERF.

Compiled functions over addresses; every read lies between ``p`` and ``end``, which each function checks.
"""

from __future__ import annotations

from portkin_training.core.unaligned import be16, kernel, le16, u8
from portkin_training.ingest.captures.link_types import ATM_RFC1483, ETHERNET, PPP_HDLC
from portkin_training.ingest.captures.reasons import CUT, ENCRYPTED, MALFORMED, NOT_IP

ETHERTYPE = 1 << 17
"""Added to an EtherType (or an 802.3 length), it is a layer of its own beside the link types."""
LLC = ATM_RFC1483
IP = -1
"""The layer that is looked for."""
MPLS = 0x8847
"""EtherType."""


@kernel
def behind_ppp(p, end):
    """(address of the IP header or minus the reason, layer) of a PPP frame, with or without HDLC's two bytes."""
    if p + 2 <= end and u8(p + 1) == 0x03 and u8(p) in (0xFF, 0, 1):
        p += 2
    if p + 2 > end:
        return -CUT, IP
    if u8(p) & 1:  # compressed to one byte (RFC 1661, 6.5)
        kind, p = u8(p), p + 1
    else:
        kind, p = be16(p), p + 2
    if kind in (0x0021, 0x0057):
        return p, IP
    return (p, ETHERTYPE + MPLS) if kind in (0x0281, 0x0283) else (-NOT_IP, IP)


@kernel
def behind_llc(p, end):
    """The same of an 802.2 LLC header: SNAP (RFC 1042), or the SAP of IP."""
    if p + 3 > end:
        return -CUT, IP
    sap, size = be16(p), 3 if u8(p + 2) & 3 == 3 else 4
    if sap == 0x0606:
        return p + size, IP
    if sap != 0xAAAA:
        return -NOT_IP, IP
    if p + size + 5 > end:
        return -CUT, IP
    organisation = (be16(p + size) << 8) | u8(p + size + 2)
    if organisation not in (0, 0xF8):  # RFC 1042 and bridge tunnels: an EtherType follows
        return -NOT_IP, IP
    kind = be16(p + size + 3)
    return (p + size + 5, ETHERTYPE + kind) if kind > 1500 else (-NOT_IP, IP)


@kernel
def behind_802_11(p, end):
    """The same of an 802.11 frame; of an aggregate (A-MSDU) the first frame counts."""
    if p + 24 > end:
        return -CUT, IP
    control, flags, size = u8(p), u8(p + 1), 24
    if (control >> 2) & 3 != 2 or control & 0x40:  # no data frame, or one without data
        return -NOT_IP, IP
    if flags & 0x40:
        return -ENCRYPTED, IP
    if flags & 3 == 3:
        size += 6
    if control & 0x80:
        if p + size + 2 > end:
            return -CUT, IP
        aggregate = u8(p + size) & 0x80
        size += 6 if flags & 0x80 else 2  # HT control
        if aggregate:
            size += 14
    return p + size, LLC


@kernel
def behind_nflog(p, end, big):
    """(address, end, layer) of the packet in a netfilter log: attributes of length, type and value, padded to four."""
    if p + 4 > end:
        return -CUT, end, IP
    if u8(p + 1) != 0:
        return -MALFORMED, end, IP
    family, kind = u8(p), 0
    p += 4
    while p + 4 <= end:
        size, name = (be16(p), be16(p + 2)) if big else (le16(p), le16(p + 2))
        if size < 4:
            return -MALFORMED, end, IP
        name &= 0x3FFF  # flags above
        if name == 9:  # the packet
            if family in (2, 10):
                return p + 4, min(end, p + size), IP
            return (p + 4, min(end, p + size), ETHERTYPE + kind) if kind else (-NOT_IP, end, IP)
        if name == 1 and p + 6 <= end:  # begins with the EtherType, in network order
            kind = be16(p + 4)
        p += (size + 3) & ~3
    return -CUT, end, IP


@kernel
def behind_erf(p, end):
    """(address, layer) of an ERF record of 16 bytes and extension headers of eight."""
    if p + 16 > end:
        return -CUT, IP
    kind, more = u8(p + 8) & 0x7F, u8(p + 8) & 0x80
    p += 16
    while more:
        if p + 8 > end:
            return -CUT, IP
        more = u8(p) & 0x80
        p += 8
    if kind in (2, 11, 16, 20):  # Ethernet, behind two bytes of padding
        return p + 2, ETHERNET
    if kind in (1, 10, 15, 19):
        return p, PPP_HDLC
    return (p, IP) if kind in (22, 23) else (-NOT_IP, IP)
