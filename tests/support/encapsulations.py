"""The same IP packet behind every link layer and in every tunnel that is read; scapy writes those that it knows."""

from __future__ import annotations

import struct
from collections.abc import Callable

from scapy.contrib.erspan import ERSPAN_I, ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, LLC, SNAP, CookedLinux, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
OUTER = {"src": "203.0.113.1", "dst": "203.0.113.2"}
OUTER6 = {"src": "2001:db8:ffff::1", "dst": "2001:db8:ffff::2"}

Wrap = Callable[[bytes], bytes]


def version(packet: bytes) -> int:
    """4 or 6."""
    return packet[0] >> 4


def ethertype(packet: bytes) -> int:
    """What Ethernet calls the packet."""
    return 0x0800 if version(packet) == 4 else 0x86DD


def frame(packet: bytes) -> Packet:
    """The packet in an Ethernet frame."""
    return Ether(**MACS, type=ethertype(packet)) / Raw(packet)


def ppp(packet: bytes) -> bytes:
    """The packet behind PPP's protocol field."""
    return (b"\0\x21" if version(packet) == 4 else b"\0\x57") + packet


def two_tags(packet: bytes, kind: int) -> bytes:
    """An Ethernet frame with two VLAN tags, the outer one of the given EtherType."""
    return bytes(Ether(**MACS, type=kind) / Dot1Q(vlan=5) / Dot1Q(vlan=6, type=ethertype(packet)) / Raw(packet))


def on_ethernet(layers: Packet) -> bytes:
    """What an Ethernet frame carries, with its header."""
    return bytes(Ether(**MACS) / layers)


def by_udp(port: int, sport: int = 50000) -> Packet:
    """The outer headers of a tunnel over UDP."""
    return IP(**OUTER) / UDP(sport=sport, dport=port, chksum=0)


def tlv(kind: int, value: bytes, order: str) -> bytes:
    """A netfilter attribute, padded to four bytes."""
    return struct.pack(f"{order}HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nflog(packet: bytes, order: str = "<") -> bytes:
    """A netfilter log record: hook and EtherType, mark, prefix, the packet."""
    family = 2 if version(packet) == 4 else 10
    return (
        struct.pack(">BBH", family, 0, 5)
        + tlv(1, struct.pack(">HBB", ethertype(packet), 1, 0), order)
        + tlv(3, struct.pack(">I", 7), order)
        + tlv(10, b"in: \0", order)
        + tlv(9, packet, order)
    )


def sll2(protocol: int) -> bytes:
    """The header of LINKTYPE_LINUX_SLL2."""
    return struct.pack(">HHIHBB8s", protocol, 0, 2, 1, 0, 6, b"\2\0\0\0\0\1\0\0")


def erf(kind: int, payload: bytes, extensions: bytes = b"", *, us: int = 0) -> bytes:
    """An ERF record; the stamp counts in 2**-32 s."""
    stamp = (us // 1_000_000 << 32) | ((us % 1_000_000 << 32) // 1_000_000 + 1)
    size = 16 + len(extensions) + len(payload)
    kind |= 0x80 if extensions else 0
    return struct.pack("<Q", stamp) + struct.pack(">BBHHH", kind, 4, size, 0, len(payload)) + extensions + payload


def radiotap(packet: bytes, qos: bool = False) -> bytes:
    """An 802.11 data frame from a station, as a card in monitor mode gives it."""
    head = Dot11(type=2, subtype=8 if qos else 0, FCfield=1, addr1=MACS["dst"], addr2=MACS["src"])
    inner = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=ethertype(packet)) / Raw(packet)
    return bytes(RadioTap() / head / (Dot11QoS() / inner if qos else inner))


def erspan_1(packet: bytes) -> bytes:
    """ERSPAN I: the frame right behind a GRE header of four bytes."""
    return on_ethernet(IP(**OUTER) / GRE(proto=0x88BE) / ERSPAN_I() / frame(packet))


def erspan_3(packet: bytes, *, more: bool = False) -> bytes:
    """ERSPAN III, with or without its platform header of eight bytes."""
    head = bytes(ERSPAN_III(ver=2, vlan=1, o=int(more))) + (b"\x08" * 8 if more else b"")
    return on_ethernet(IP(**OUTER) / GRE(proto=0x22EB, seqnum_present=1, sequence_number=1) / Raw(head) / frame(packet))


def teredo(packet: bytes, *, port: int = 3544) -> bytes:
    """IPv4 in IPv6 in Teredo, with the origin header that a server puts in."""
    inner = IPv6(src="2001:0:c633:6407::1", dst="2001:0:c000:20a::1", nh=4 if version(packet) == 4 else 41)
    origin = b"\0\0" + struct.pack(">H4s", 0xFFFF ^ 50000, b"\x3c\x32\x9b\xf8") if port == 3544 else b""
    return on_ethernet(by_udp(port) / Raw(origin) / inner / Raw(packet))


def gtp(packet: bytes) -> bytes:
    """GTP-U with a sequence number and a PDU session container, as 5G has it."""
    container = struct.pack(">HBB", 7, 0, 0x85) + bytes((1, 0, 9, 0))
    head = struct.pack(">BBHI", 0x36, 255, len(container) + len(packet), 1)
    return on_ethernet(by_udp(2152, 2152) / Raw(head + container + packet))


TUNNELS: dict[str, Wrap] = {
    "gre": lambda p: on_ethernet(IP(**OUTER) / GRE(proto=ethertype(p)) / Raw(p)),
    "gre, key and sequence": lambda p: on_ethernet(
        IP(**OUTER)
        / GRE(proto=ethertype(p), chksum_present=1, key_present=1, key=7, seqnum_present=1, sequence_number=1)
        / Raw(p)
    ),
    "gre over ipv6": lambda p: on_ethernet(IPv6(**OUTER6) / GRE(proto=ethertype(p)) / Raw(p)),
    "gre, bridged": lambda p: on_ethernet(IP(**OUTER) / GRE(proto=0x6558) / frame(p)),
    "gre, pptp": lambda p: on_ethernet(
        IP(**OUTER, proto=47)
        / Raw(
            struct.pack(">HHHHI", 0x3001, 0x880B, 4 + len(p), 9, 1)
            + b"\xff\x03"
            + (b"\0\x21" if version(p) == 4 else b"\0\x57")
            + p
        )
    ),
    "erspan 1": erspan_1,
    "erspan 2": lambda p: on_ethernet(
        IP(**OUTER) / GRE(proto=0x88BE, seqnum_present=1, sequence_number=1) / ERSPAN_II(vlan=3) / frame(p)
    ),
    "erspan 3": erspan_3,
    "erspan 3, long": lambda p: erspan_3(p, more=True),
    "vxlan": lambda p: on_ethernet(by_udp(4789) / VXLAN(vni=100, flags="Instance") / frame(p)),
    "vxlan, vlan inside": lambda p: on_ethernet(
        by_udp(4789) / VXLAN(vni=100, flags="Instance") / Ether(**MACS) / Dot1Q(vlan=4, type=ethertype(p)) / Raw(p)
    ),
    "geneve": lambda p: on_ethernet(by_udp(6081) / GENEVE(vni=100, proto=0x6558) / frame(p)),
    "geneve, ip and options": lambda p: on_ethernet(
        by_udp(6081) / Raw(struct.pack(">BBHI", 2, 0, ethertype(p), 100 << 8) + b"\x01\x02\x03\x01" + b"\0" * 4 + p)
    ),
    "ip in ip": lambda p: on_ethernet(IP(**OUTER, proto=4 if version(p) == 4 else 41) / Raw(p)),
    "ip in ipv6": lambda p: on_ethernet(IPv6(**OUTER6, nh=4 if version(p) == 4 else 41) / Raw(p)),
    "gtp": lambda p: on_ethernet(by_udp(2152, 2152) / GTP_U_Header(teid=1, gtp_type=255, length=len(p), S=0) / Raw(p)),
    "gtp, extended": gtp,
    "teredo": teredo,
    "teredo between peers": lambda p: teredo(p, port=40001),
    "vxlan in gre": lambda p: on_ethernet(
        IP(**OUTER) / GRE(proto=0x0800) / by_udp(4789) / VXLAN(vni=100, flags="Instance") / frame(p)
    ),
}
"""Ethernet frames that hold a tunnel."""

FRAMES: dict[str, Wrap] = {
    "ethernet": lambda p: bytes(frame(p)),
    "vlan": lambda p: on_ethernet(Dot1Q(vlan=7, type=ethertype(p)) / Raw(p)),
    "qinq": lambda p: bytes(Ether(**MACS, type=0x88A8) / Dot1AD(vlan=5) / Dot1Q(vlan=6, type=ethertype(p)) / Raw(p)),
    "qinq 9100": lambda p: two_tags(p, 0x9100),
    "qinq 9200": lambda p: two_tags(p, 0x9200),
    "mpls": lambda p: bytes(
        Ether(**MACS, type=0x8847) / MPLS(label=16, s=0, ttl=64) / MPLS(label=17, s=1, ttl=64) / Raw(p)
    ),
    "mpls, pseudowire": lambda p: bytes(
        Ether(**MACS, type=0x8847) / MPLS(label=16, s=1, ttl=64) / Raw(b"\0" * 4) / frame(p)
    ),
    "pppoe": lambda p: on_ethernet(PPPoE(sessionid=1) / PPP(proto=0x0021 if version(p) == 4 else 0x0057) / Raw(p)),
    "llc and snap": lambda p: bytes(
        Dot3(**MACS, len=8 + len(p)) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=ethertype(p)) / Raw(p)
    ),
    "provider backbone": lambda p: bytes(Ether(**MACS, type=0x88E7) / Raw(b"\0\0\0\x09") / frame(p)),
    "vn tag": lambda p: bytes(
        Ether(**MACS, type=0x8926) / Raw(b"\0\0\0\0\x81\0" + struct.pack(">HH", 7, ethertype(p)) + p)
    ),
}
"""Ethernet frames of other kinds."""

LINKS: dict[str, tuple[int, Wrap]] = {
    "null": (0, lambda p: struct.pack("<I", 2 if version(p) == 4 else 30) + p),
    "null big-endian": (0, lambda p: struct.pack(">I", 2 if version(p) == 4 else 28) + p),
    "ppp": (9, lambda p: bytes(PPP(proto=0x0021 if version(p) == 4 else 0x0057) / Raw(p))),
    "ppp, compressed": (9, lambda p: (b"\x21" if version(p) == 4 else b"\x57") + p),
    "fddi": (10, lambda p: b"\x50" + b"\0" * 12 + b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", ethertype(p)) + p),
    "llc": (11, lambda p: b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", ethertype(p)) + p),
    "raw 12": (12, lambda p: p),
    "raw 14": (14, lambda p: p),
    "ppp hdlc": (50, lambda p: bytes(HDLC() / PPP(proto=0x0021 if version(p) == 4 else 0x0057) / Raw(p))),
    "pppoe session": (
        51,
        lambda p: struct.pack(">BBHH", 0x11, 0, 1, 2 + len(p)) + ppp(p),
    ),
    "raw": (101, lambda p: p),
    "cisco hdlc": (104, lambda p: b"\x0f\0" + struct.pack(">H", ethertype(p)) + p),
    "802.11": (105, lambda p: radiotap(p)[8:]),
    "loop": (108, lambda p: struct.pack(">I", 2 if version(p) == 4 else 24) + p),
    "cooked": (113, lambda p: bytes(CookedLinux(lladdrlen=6, src=b"\2\0\0\0\0\1\0\0", proto=ethertype(p)) / Raw(p))),
    # libpcap puts the tag that the kernel moved aside back in
    "cooked, vlan": (113, lambda p: bytes(CookedLinux(proto=0x8100) / Dot1Q(vlan=7, type=ethertype(p)) / Raw(p))),
    # Linux names the innermost type of frames with two tags, and leaves the second one in
    "cooked, qinq": (113, lambda p: bytes(CookedLinux(proto=ethertype(p))) + struct.pack(">HH", 6, ethertype(p)) + p),
    "pf log": (117, lambda p: bytes((61, 2 if version(p) == 4 else 24)) + b"\0" * 62 + p),
    "prism": (119, lambda p: struct.pack("<II", 0x44, 144) + b"\0" * 136 + radiotap(p)[8:]),
    "radiotap": (127, radiotap),
    "radiotap, qos": (127, lambda p: radiotap(p, qos=True)),
    "avs": (163, lambda p: struct.pack(">II", 0x80211001, 64) + b"\0" * 56 + radiotap(p)[8:]),
    "ppp of pppd": (166, lambda p: b"\0\x03" + ppp(p)),
    "ppi": (192, lambda p: struct.pack("<BBHI", 0, 0, 8, 105) + radiotap(p)[8:]),
    "erf": (197, lambda p: erf(2, b"\0\0" + bytes(frame(p)))),
    "erf, extended": (197, lambda p: erf(2, b"\0\0" + bytes(frame(p)), b"\x83" + b"\0" * 7 + b"\x03" + b"\0" * 7)),
    "erf, hdlc": (197, lambda p: erf(1, b"\x0f\0" + struct.pack(">H", ethertype(p)) + p)),
    "ppp with direction": (204, lambda p: b"\1\xff\x03" + ppp(p)),
    "nflog": (239, nflog),
    "pktap": (258, lambda p: struct.pack("<III", 108, 1, 1) + b"\0" * 96 + bytes(frame(p))),
    "cooked 2": (276, lambda p: sll2(ethertype(p)) + p),
    "cooked 2, vlan": (276, lambda p: sll2(0x8100) + struct.pack(">HH", 7, ethertype(p)) + p),
    "cooked 2, qinq": (276, lambda p: sll2(ethertype(p)) + struct.pack(">HHHH", 5, 0x8100, 6, ethertype(p)) + p),
}
"""Link type -> its frame; other than Ethernet."""

ALL: dict[str, tuple[int, Wrap]] = LINKS | {name: (1, wrap) for name, wrap in (FRAMES | TUNNELS).items()}
