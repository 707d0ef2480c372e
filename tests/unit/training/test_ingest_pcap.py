"""Capture files: every format and link type gives the packets that are in it, and broken ones what is left."""

import gzip
import lzma
import re
import shutil
import struct
import subprocess
from functools import partial
from pathlib import Path

import dpkt
import numpy as np
import pytest
import zstandard

from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from support import captures as by_hand
from support.captures import BEGIN, SYN, ipv4, ipv6, tcp, udp
from support.decoded import EXPECTED, EXPECTED6, PROBE, PROBE6, read, rows

COMPRESS = [gzip.compress, partial(lzma.compress, preset=0), zstandard.compress]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_in_both_byte_orders_and_stamp_units(tmp_path, order, nano):
    """Micro- and nanosecond files of either byte order give the same packets and microseconds."""
    data = by_hand.pcap([(BEGIN + 5, PROBE), (BEGIN + 999_999, PROBE6)], order=order, nano=nano)
    packets, reading = read(tmp_path / "a", data)
    assert [EXPECTED, EXPECTED6] == rows(packets)
    assert [BEGIN + 5, BEGIN + 999_999] == packets.ts.tolist()
    assert ("pcap", 2, []) == (reading.kind, reading.read, reading.problems)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_with_several_interfaces_and_sections(tmp_path, order):
    """Each interface has its own link type and stamp unit; a new section may turn the byte order round."""
    other = ">" if order == "<" else "<"
    nano = by_hand.option(9, b"\x09", order)
    binary = by_hand.option(9, b"\x8a", order)  # 2**-10 s
    offset = by_hand.option(14, struct.pack(f"{order}q", 1_700_000_000), order)
    ethernet = b"\0" * 12 + b"\x08\x00" + PROBE
    data = (
        by_hand.section(order)
        + by_hand.interface(order=order)
        + by_hand.interface(1, options=nano, order=order)
        + by_hand.interface(options=binary + offset, order=order)
        + by_hand.enhanced(BEGIN, PROBE, order=order)
        + by_hand.block(5, b"\0" * 12, order)  # statistics: skipped
        + by_hand.enhanced(BEGIN * 1000 + 1999, ethernet, which=1, order=order)
        + by_hand.enhanced(1024 * 3 + 512, PROBE6, which=2, order=order)
        + by_hand.section(other)
        + by_hand.interface(order=other)
        + by_hand.enhanced(BEGIN + 9, PROBE, order=other)
    )
    packets, reading = read(tmp_path / "a", data)
    assert [EXPECTED, EXPECTED, EXPECTED6, EXPECTED] == rows(packets)
    # 1,999 ns after BEGIN; 3.5 s after the offset of 1,700,000,000 s
    assert [BEGIN, BEGIN + 1, BEGIN + 3_500_000, BEGIN + 9] == packets.ts.tolist()
    assert ("pcapng", 4, []) == (reading.kind, reading.read, reading.problems)


def test_pcapng_simple_and_obsolete_packet_blocks(tmp_path):
    """A simple packet block has no stamp and gets the last one; the obsolete packet block still counts."""
    old = by_hand.block(2, struct.pack("<HHIIII", 0, 0, BEGIN >> 32, BEGIN & 0xFFFF_FFFF, len(PROBE), 99) + PROBE)
    data = by_hand.section() + by_hand.interface(snap=40) + old + by_hand.simple(PROBE + b"beyond")
    packets, _ = read(tmp_path / "a", data)
    assert [EXPECTED, EXPECTED] == rows(packets)
    assert [BEGIN, BEGIN] == packets.ts.tolist()


def links() -> dict[str, tuple[int, bytes]]:
    """Link type and the link header before an IPv4 packet, as scapy writes it where it knows the type."""
    from scapy.layers.l2 import CookedLinux, Dot1AD, Dot1Q, Ether, Loopback

    mac = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
    return {
        "ethernet": (1, bytes(Ether(**mac, type=0x800))),
        "vlan": (1, bytes(Ether(**mac) / Dot1Q(vlan=7, type=0x800))),
        "qinq": (1, bytes(Ether(**mac, type=0x88A8) / Dot1AD(vlan=7) / Dot1Q(vlan=8, type=0x800))),
        "cooked": (113, bytes(CookedLinux(lladdrlen=6, src=b"\2\0\0\0\0\1\0\0", proto=0x800))),
        # LINKTYPE_LINUX_SLL2: protocol, reserved, interface, ARPHRD, packet type, address length, address
        "cooked2": (276, struct.pack(">HHIHBB8s", 0x800, 0, 2, 1, 0, 6, b"\2\0\0\0\0\1\0\0")),
        "cooked vlan": (113, bytes(CookedLinux(proto=0x8100) / Dot1Q(vlan=7, type=0x800))),
        "null": (0, bytes(Loopback(type=2))),
        "null big-endian": (0, struct.pack(">I", 2)),
        "loop": (108, struct.pack(">I", 2)),
        "raw": (101, b""),
        "raw 12": (12, b""),
        "ipv4": (228, b""),
    }


@pytest.mark.parametrize("name", sorted(links()))
def test_link_types(tmp_path, name):
    """A packet is found behind the header of every link type, and cut anywhere it is left out, not misread."""
    link, head = links()[name]
    packets, _ = read(tmp_path / "a", by_hand.pcap([(BEGIN, head + PROBE)], link=link))
    assert [EXPECTED] == rows(packets)
    for snap in range(len(head) + len(PROBE)):
        packets, reading = read(tmp_path / "a", by_hand.pcap([(BEGIN, head + PROBE)], link=link, snap=snap))
        # ports, sequence number and flags are whole after 14 of the 20 bytes of TCP
        assert (snap >= len(head) + 34) == bool(len(packets))
        assert 1 == reading.read


def test_frame_check_sequence_in_the_link_type(tmp_path):
    """The upper bits of the link type tell of a frame check sequence and are no part of it."""
    packets, _ = read(tmp_path / "a", by_hand.pcap([(BEGIN, PROBE)], link=by_hand.RAW | 0x1400_0000))
    assert [EXPECTED] == rows(packets)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"\0" * 12 + b"\x08\x06" + b"\0" * 28, "not IP"),
        (b"\0" * 14, "not IP"),
        (b"\0" * 12 + b"\x08\x00" + ipv4("1.2.3.4", "5.6.7.8", 47, b"\0" * 40), "neither TCP nor UDP"),
        (b"\0" * 12 + b"\x08\x00" + ipv4("1.2.3.4", "5.6.7.8", 6, tcp(1, 2), fragment=99), "later fragment"),
        (b"\0" * 12 + b"\x08\x00" + ipv4("1.2.3.4", "5.6.7.8", 6, tcp(1, 2)[:13]), "malformed headers"),
        (b"\0" * 12 + b"\x08\x00" + b"\x42" + PROBE[1:], "malformed headers"),
        (b"\0" * 12 + b"\x86\xdd" + b"\x52" + PROBE[1:], "malformed headers"),
        (b"\0" * 12 + b"\x08\x00" + PROBE[:-8], "cut before the ports or flags"),
        (b"\0" * 12 + b"\x08\x00" + ipv4("1.2.3.4", "5.6.7.8", 1, b"\x08\0" + b"\0" * 6), "neither TCP nor UDP"),
    ],
)
def test_what_is_no_probe_is_counted_by_reason(tmp_path, packet, reason):
    """A packet without ports gives no row, and the reason is counted."""
    packets, reading = read(tmp_path / "a", by_hand.pcap([(BEGIN, packet)], link=1))
    assert (0, {reason: 1}, 1) == (len(packets), dict(reading.skipped), reading.read)


def test_first_fragment_counts_and_padding_does_not(tmp_path):
    """The first fragment holds the ports; what Ethernet pads behind a short packet is no header."""
    first = ipv4("198.51.100.9", "192.0.2.1", 6, tcp(40000, 443, SYN, seq=7), fragment=0x2000)
    short = ipv4("198.51.100.9", "192.0.2.1", 6, b"\x9c\x40\x01\xbb") + b"\x07" * 30
    packets, reading = read(tmp_path / "a", by_hand.pcap([(BEGIN, first), (BEGIN, short)]))
    assert [EXPECTED] == rows(packets)
    assert {"malformed headers": 1} == dict(reading.skipped)


def test_ipv6_extension_headers(tmp_path):
    """Ports are found behind hop-by-hop, routing, destination, authentication and first-fragment headers."""
    segment = tcp(40000, 443, SYN, seq=7)
    chain = (
        struct.pack(">BB6x", 43, 0)  # hop-by-hop, 8 bytes
        + struct.pack(">BB14x", 60, 1)  # routing, 16 bytes
        + struct.pack(">BB6x", 51, 0)  # destination options
        + struct.pack(">BB10x", 44, 1)  # authentication: (1 + 2) * 4 bytes
        + struct.pack(">BBHI", 6, 0, 1, 9)  # fragment 0, more follow
        + segment
    )
    whole = ipv6("2001:db8::9", "2001:db8::1", 0, chain)
    later = ipv6("2001:db8::9", "2001:db8::1", 44, struct.pack(">BBHI", 6, 0, 8 << 3, 9) + segment)
    endless = ipv6("2001:db8::9", "2001:db8::1", 0, struct.pack(">BB6x", 0, 0) * 40)
    packets, reading = read(tmp_path / "a", by_hand.pcap([(BEGIN, whole), (BEGIN, later), (BEGIN, endless)]))
    assert [("2001:db8::9", "2001:db8::1", 40000, 443, 6, SYN, 7)] == rows(packets)
    assert {"later fragment": 1, "malformed headers": 1} == dict(reading.skipped)


def test_port_unreachable_names_the_flow_it_quotes(tmp_path):
    """An ICMP(v6) port unreachable becomes a row of the quoted datagram, with its protocol as flags."""
    asked = ipv4("198.51.100.9", "192.0.2.1", 17, udp(5000, 161))
    answer = ipv4("192.0.2.1", "198.51.100.9", 1, by_hand.port_unreachable(asked))
    asked6 = ipv6("2001:db8::9", "2001:db8::1", 17, udp(5000, 161))
    answer6 = ipv6("2001:db8::1", "2001:db8::9", 58, struct.pack(">BBHI", 1, 4, 0, 0) + asked6)
    host_unreachable = ipv4("192.0.2.1", "198.51.100.9", 1, struct.pack(">BBHI", 3, 1, 0, 0) + asked[:28])
    packets, reading = read(
        tmp_path / "a", by_hand.pcap([(BEGIN, answer), (BEGIN, answer6), (BEGIN, host_unreachable)])
    )
    assert [
        ("198.51.100.9", "192.0.2.1", 5000, 161, 1, 17, 0),
        ("2001:db8::9", "2001:db8::1", 5000, 161, 58, 17, 0),
    ] == rows(packets)
    assert {"neither TCP nor UDP": 1} == dict(reading.skipped)


@pytest.mark.parametrize("compress", COMPRESS, ids=["gz", "xz", "zst"])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_compressed_and_longer_than_the_window(tmp_path, compress, form):
    """Compressed files give what the plain ones do, in chunks, across the borders of the read window."""
    stamps = BEGIN + np.arange(70_000)
    filler = PROBE + b"\0" * 100  # 10 MB and more: several windows
    if form == "pcap":
        data = by_hand.pcap([(int(us), filler) for us in stamps])
    else:
        data = by_hand.section() + by_hand.interface() + b"".join(by_hand.enhanced(int(us), filler) for us in stamps)
    plain, _ = read(tmp_path / "plain", data)
    assert stamps.tolist() == plain.ts.tolist()
    packed, reading = read(tmp_path / "packed", compress(data))
    for one, other in zip(plain.columns(), packed.columns(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [] == reading.problems


def test_chunks_are_bounded(tmp_path):
    """No chunk has more rows than asked for, and together they are the file."""
    path = tmp_path / "a"
    path.write_bytes(by_hand.pcap([(BEGIN + at, PROBE) for at in range(25)]))
    chunks = [*read_capture(path, rows=10)]
    assert [10, 10, 5] == [len(chunk) for chunk in chunks]
    assert [*range(BEGIN, BEGIN + 25)] == Packets.concat(chunks).ts.tolist()


def dpkt_counts(path: Path) -> tuple[int, int]:
    """(TCP or UDP packets over IP, SYN without ACK) by dpkt."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as opened:
        reader = dpkt.pcapng.Reader(opened) if ".pcapng" in path.name else dpkt.pcap.Reader(opened)
        transport = syn = 0
        for _, frame in reader:
            upper = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
            transport += isinstance(upper, dpkt.tcp.TCP | dpkt.udp.UDP)
            syn += isinstance(upper, dpkt.tcp.TCP) and upper.flags & 0x12 == 2
    return transport, syn


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["benign-echo-connections.pcap.gz", "masscan.pcapng", "nmap.pcapng", "synscan.pcap", "zmap.pcapng"]
)
def test_recordings_count_as_dpkt_counts_them(shared_data, name):
    """On every recording, TCP and UDP packets and SYNs are as many as dpkt finds."""
    packets = Packets.concat(read_capture(shared_data / "pcaps" / name))
    transport = np.isin(packets.proto, (6, 17))
    syn = (packets.proto == 6) & (packets.flags & 0x12 == 2)
    assert dpkt_counts(shared_data / "pcaps" / name) == (transport.sum(), syn.sum())


@pytest.mark.data
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="no tcpdump on PATH")
def test_recordings_read_as_tcpdump_reads_them(shared_data):
    """Stamps, addresses and ports of the SYNs of a recording are those that tcpdump prints."""
    path = shared_data / "pcaps" / "synscan.pcap"
    text = subprocess.run(
        ["tcpdump", "-nn", "-tt", "-r", path, "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"^(\d+)\.(\d{6}) IP ([\d.]+)\.(\d+) > ([\d.]+)\.(\d+):", text, re.MULTILINE)
    packets = Packets.concat(read_capture(path))
    packets = packets[(packets.proto == 6) & (packets.flags & 0x12 == 2)]
    assert [(int(a + b), c, e, int(d), int(f)) for a, b, c, d, e, f in found] == [
        (int(ts), *row[:4]) for ts, row in zip(packets.ts, rows(packets), strict=True)
    ]
