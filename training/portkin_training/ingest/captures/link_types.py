"""Link types: which are read, by number and name (https://www.tcpdump.org/linktypes.html)."""

from __future__ import annotations

NULL, ETHERNET, PPP, FDDI, ATM_RFC1483, RAW_OLD, RAW_OPENBSD = 0, 1, 9, 10, 11, 12, 14
PPP_HDLC, PPP_ETHER, RAW, C_HDLC, IEEE802_11, LOOP, SLL, PFLOG = 50, 51, 101, 104, 105, 108, 113, 117
PRISM, RADIOTAP, AVS, PPP_PPPD, PPI, ERF, PPP_DIRECTION = 119, 127, 163, 166, 192, 197, 204
IPV4, IPV6, NFLOG, PKTAP, SLL2 = 228, 229, 239, 258, 276

NAMES = {
    NULL: "NULL, BSD loopback",
    ETHERNET: "Ethernet",
    PPP: "PPP",
    FDDI: "FDDI",
    ATM_RFC1483: "LLC, as over ATM",
    RAW_OLD: "raw IP (12)",
    RAW_OPENBSD: "raw IP (14)",
    PPP_HDLC: "PPP in HDLC framing",
    PPP_ETHER: "PPPoE session",
    RAW: "raw IP",
    C_HDLC: "Cisco HDLC",
    IEEE802_11: "802.11",
    LOOP: "OpenBSD loopback",
    SLL: "Linux cooked (SLL)",
    PFLOG: "OpenBSD pf log",
    PRISM: "802.11 with Prism header",
    RADIOTAP: "802.11 with radiotap",
    AVS: "802.11 with AVS header",
    PPP_PPPD: "PPP of pppd",
    PPI: "per-packet information",
    ERF: "Endace ERF",
    PPP_DIRECTION: "PPP with direction",
    IPV4: "raw IPv4",
    IPV6: "raw IPv6",
    NFLOG: "netfilter log (NFLOG)",
    PKTAP: "macOS PKTAP",
    SLL2: "Linux cooked (SLL2)",
}
"""The link types that are read."""

MOST = 0xFFFF
"""The highest number of a link type; `layers` numbers what lies above it."""

NFLOG_BIG = MOST + 1
"""NFLOG in a big-endian file: its attributes are in the file's byte order."""


def layer_of(link: int, *, big: bool) -> int:
    """What `layers.decode` calls the link type of a file of the given byte order."""
    return NFLOG_BIG if big and link == NFLOG else link


def unknown(link: int) -> str:
    """What to say about a link type that is not read."""
    return (
        f"link type {link} is not read (see https://www.tcpdump.org/linktypes.html for what it is); "
        f"capture again on an interface of Ethernet, IP or another kind that docs/captures.md lists"
    )
