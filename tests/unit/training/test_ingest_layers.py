"""The packet is found behind every link layer and in every tunnel, and nothing is misread where it is cut."""

import itertools
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from portkin.errors import InputError
from portkin_training.ingest.captures.link_types import NAMES
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.reading import Reading
from support import captures as by_hand
from support.captures import ACK, BEGIN, RST, SYN, ipv4, ipv6, port_unreachable, tcp, udp
from support.encapsulations import ALL, FRAMES, OUTER, TUNNELS, erf, frame, nflog, radiotap

SOURCE, TARGET = "198.51.100.7", "192.0.2.10"
PORTS = [22, 80, 443, 3389, 8080, 5900]
SYNS = [ipv4(SOURCE, TARGET, 6, tcp(40000 + n, port)) for n, port in enumerate(PORTS)]
SYNS6 = [ipv6("2001:db8::7", "2001:db8::10", 6, tcp(40000 + n, port)) for n, port in enumerate(PORTS)]
REFUSED = [
    packet
    for n, port in enumerate(PORTS)
    for packet in (SYNS[n], ipv4(TARGET, SOURCE, 6, tcp(port, 40000 + n, RST | ACK)))
]


def read(path: Path, data: bytes, **options) -> tuple[Packets, Reading]:
    path.write_bytes(data)
    reading = Reading(str(path))
    return Packets.concat(read_capture(path, reading, CaptureOptions(**options))), reading


def timed(packets: list[bytes]) -> list[tuple[int, bytes]]:
    return [(BEGIN + n * 10_000, packet) for n, packet in enumerate(packets)]


def v4(halves: np.ndarray) -> list[str]:
    return [".".join(str(int(low) >> shift & 255) for shift in (24, 16, 8, 0)) for low in halves[:, 1]]


@pytest.mark.parametrize("name", ALL)
def test_six_probes_behind_every_layer(tmp_path, name):
    """Six SYNs are six rows of the inner addresses and ports, in IPv4 and IPv6, whatever stands before them."""
    link, wrap = ALL[name]
    packets, reading = read(tmp_path / "a", by_hand.pcap(timed([wrap(packet) for packet in SYNS]), link=link))
    assert PORTS == packets.dport.tolist(), reading
    assert ({SOURCE}, {TARGET}) == (set(v4(packets.src)), set(v4(packets.dst)))
    assert [SYN] * 6 == packets.flags.tolist()
    packets, reading = read(tmp_path / "b", by_hand.pcap(timed([wrap(packet) for packet in SYNS6]), link=link))
    assert PORTS == packets.dport.tolist(), reading
    assert {(0x2001_0DB8 << 32, 7)} == {tuple(map(int, end)) for end in packets.src}


NOT_BY_TCPDUMP = {
    "raw 14", "cooked, qinq", "cooked 2, qinq", "erf", "erf, extended", "erf, hdlc", "ppp with direction",
    "mpls, pseudowire", "provider backbone", "vn tag", "erspan 1", "erspan 2", "erspan 3", "erspan 3, long", "gtp",
    "gtp, extended", "teredo", "teredo between peers",
}  # fmt: skip
"""What tcpdump 4.99 does not look into. tshark 4.0 reads these, but for the two of QinQ, whose tag the kernel moved,
the pseudowire without a control word, and Teredo on ports that are not its own."""


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("name", [one for one in ALL if one not in NOT_BY_TCPDUMP])
def test_tcpdump_finds_the_same_packet(tmp_path, name):
    """The frames of these tests are real ones: tcpdump reads the same addresses, ports and flags out of them."""
    link, wrap = ALL[name]
    path = tmp_path / "a.pcap"
    path.write_bytes(by_hand.pcap(timed([wrap(packet) for packet in SYNS]), link=link))
    lines = subprocess.run(["tcpdump", "-nnr", path], capture_output=True, text=True, check=True).stdout
    for n, port in enumerate(PORTS):
        assert f"{SOURCE}.{40000 + n} > {TARGET}.{port}: Flags [S]" in lines


@pytest.mark.parametrize("name", ALL)
def test_cut_anywhere_nothing_is_misread(tmp_path, name):
    """However much of a packet is captured, its row is the right one, the datagram that holds it, or none."""
    link, wrap = ALL[name]
    whole = wrap(SYNS[0])
    snaps = [(BEGIN, whole[:snap]) for snap in range(len(whole) + 1)]
    packets, reading = read(tmp_path / "a", by_hand.pcap(snaps, link=link))
    assert reading.read == len(snaps) == len(packets) + sum(reading.skipped.values())
    inner = packets.proto == 6
    assert ({SOURCE}, {22}) == (set(v4(packets.src[inner])), set(packets.dport[inner].tolist()))
    assert inner.sum() == 7  # ports, sequence number and flags are 14 of 20 bytes
    if name not in TUNNELS:
        assert inner.all()


@pytest.mark.parametrize("name", TUNNELS)
def test_outer_is_the_other_reading(tmp_path, name):
    """With `outer`, a tunnel over UDP is a datagram of its own ends, and other tunnels are none of TCP or UDP."""
    packets, reading = read(tmp_path / "a", by_hand.pcap([(BEGIN, TUNNELS[name](SYNS[0]))], link=1), outer=True)
    if name.startswith(("vxlan", "geneve", "gtp", "teredo")) and name != "vxlan in gre":
        assert ([OUTER["src"]], [OUTER["dst"]], [17]) == (v4(packets.src), v4(packets.dst), packets.proto.tolist())
    else:
        assert (0, {"neither TCP nor UDP": 1}) == (len(packets), dict(reading.skipped))


def nested(depth: int, wrap) -> bytes:
    """A SYN in that many tunnels, in an Ethernet frame."""
    packet = SYNS[0]
    for _ in range(depth - 1):
        packet = wrap(packet)[14:]
    return wrap(packet)


@pytest.mark.parametrize("name", ["gre", "ip in ip", "vxlan", "teredo"])
def test_tunnels_in_tunnels_are_opened_four_deep(tmp_path, name):
    """Four tunnels within each other are opened, as in Zeek; a packet in more is counted and left out."""
    most = 4 if name != "teredo" else 2  # each is two: IPv6 in UDP, IPv4 in IPv6
    frames = [(BEGIN, nested(depth, TUNNELS[name])) for depth in range(1, most + 3)]
    packets, reading = read(tmp_path / "a", by_hand.pcap(frames, link=1))
    assert [22] * most == packets.dport.tolist()
    assert {"tunnels nested too deep": 2} == dict(reading.skipped)


def test_other_data_on_a_tunnels_port_is_a_datagram(tmp_path):
    """What only goes to a tunnel's port, without being one, is an ordinary datagram: a UDP scan passes there too."""
    loose = b"\x08\0\0\0\0\0\x64\x01" + b"\xff" * 30  # VXLAN with a reserved byte set, and no frame in it
    datagrams = [udp(5000, port, data) for port, data in (
        (4789, b"?"), (4789, b"\0" * 40), (4789, loose), (6081, b"\xc0" * 40), (6081, b""),
        (2152, b"\x32\1\0\4" + b"\0" * 8), (2152, b"\x30\xff"), (3544, b"\0" * 60),
        (3544, b"\0\1\xff\xff" + b"\0" * 60), (4754, b"\0\0\x08\0abcd"), (5000, b"\x60" * 48),
    )]  # fmt: skip
    packets, reading = read(tmp_path / "a", by_hand.pcap(timed([ipv4(SOURCE, TARGET, 17, each) for each in datagrams])))
    assert len(datagrams) == len(packets), reading.skipped
    assert {17} == set(packets.proto.tolist())


def test_what_is_no_ip_in_a_tunnel_is_no_datagram(tmp_path):
    """A tunnel's ARP, or its snapped packet, is counted as that, and gives no probe of the tunnel's port."""
    arp = b"\0" * 12 + b"\x08\x06" + b"\0" * 28
    vxlan = b"\x08\0\0\0\0\0\x64\0"
    cut = vxlan + bytes(frame(SYNS[0]))[:30]
    payloads = (4789, vxlan + arp), (4789, cut), (6081, b"\0\0\x65\x58\0\0\x64\0" + arp)
    data = [ipv4(SOURCE, TARGET, 17, udp(5000, port, payload)) for port, payload in payloads]
    _, reading = read(tmp_path / "a", by_hand.pcap(timed(data)))
    assert {"not IP": 2, "cut before the ports or flags": 1} == dict(reading.skipped)


def test_errors_in_a_tunnel_name_the_inner_flow(tmp_path):
    """A port unreachable in a tunnel is that of the datagram it quotes."""
    error = ipv4(TARGET, SOURCE, 1, port_unreachable(ipv4(SOURCE, TARGET, 17, udp(5000, 161))))
    packets, _ = read(tmp_path / "a", by_hand.pcap([(BEGIN, TUNNELS["gre"](error))], link=1))
    assert ([SOURCE], [161], [1]) == (v4(packets.src), packets.dport.tolist(), packets.proto.tolist())


def test_802_11_frames_without_a_readable_packet(tmp_path):
    """Encrypted frames, management frames and those without data are counted, not read."""
    plain = radiotap(SYNS[0])
    at = 8
    encrypted = plain[: at + 1] + bytes((plain[at + 1] | 0x40,)) + plain[at + 2 :]
    beacon = plain[:at] + b"\x80" + plain[at + 1 :]
    empty = plain[:at] + b"\x48" + plain[at + 1 :]
    _, reading = read(tmp_path / "a", by_hand.pcap(timed([encrypted, beacon, empty]), link=127))
    assert {"encrypted 802.11 frame": 1, "not IP": 2} == dict(reading.skipped)


def test_cooked_capture_keeps_packets_that_the_capture_cut(tmp_path):
    """A snapped packet of 2,048 bytes in a cooked capture is no tag, though its length reads like a type."""
    packet = ipv4(SOURCE, TARGET, 6, tcp(40000, 443) + b"\0" * 2008)
    assert 0x0800 == int.from_bytes(packet[2:4], "big")
    packets, _ = read(tmp_path / "a", by_hand.pcap([(BEGIN, ALL["cooked"][1](packet))], link=113, snap=96))
    assert [443] == packets.dport.tolist()


@pytest.mark.parametrize("order", ["<", ">"])
def test_netfilter_logs_are_in_the_files_byte_order(tmp_path, order):
    """NFLOG's attributes are in the byte order of the file; a bridge's packet has its type beside it."""
    bridged = b"\x07" + nflog(SYNS[1], order)[1:]
    records = [nflog(SYNS[0], order), bridged]
    packets, _ = read(tmp_path / "a", by_hand.pcap(timed(records), link=239, order=order))
    assert [22, 80] == packets.dport.tolist()
    data = by_hand.section(order) + by_hand.interface(239, order=order)
    data += b"".join(by_hand.enhanced(BEGIN, record, order=order) for record in records)
    packets, _ = read(tmp_path / "b", data)
    assert [22, 80] == packets.dport.tolist()


def test_unknown_link_type_is_an_error(tmp_path):
    """A capture of a link type that is not read is an error that names it and the file, not an empty success."""
    for data in (
        by_hand.pcap([(BEGIN, SYNS[0])], link=147),
        by_hand.section() + by_hand.interface(147) + by_hand.enhanced(BEGIN, SYNS[0]),
    ):
        with pytest.raises(InputError, match=r"a: link type 147 is not read"):
            read(tmp_path / "a", data)


def test_unknown_link_type_beside_a_known_one_is_named(tmp_path):
    """A pcapng with an interface that is not read keeps what the others hold, and says so."""
    data = by_hand.section() + by_hand.interface(147) + by_hand.interface()
    data += by_hand.enhanced(BEGIN, SYNS[0]) + by_hand.enhanced(BEGIN, SYNS[1], which=1)
    packets, reading = read(tmp_path / "a", data)
    assert ([80], {"unknown link type": 1}) == (packets.dport.tolist(), dict(reading.skipped))
    assert "link type 147 is not read" in reading.problems[0]


def test_every_link_type_is_in_the_docs_and_tested():
    """The table of the docs and these tests hold every link type that is read."""
    table = (Path(__file__).parents[3] / "docs" / "captures.md").read_text()
    assert NAMES.keys() == {link for link, _ in ALL.values()} | {228, 229}
    for link, name in NAMES.items():
        assert f"| {link} | {name} |" in table


def records(size: int, magic: int, *, order: str = "<") -> bytes:
    """A pcap with record headers of ``size`` bytes."""
    out = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 101)]
    for us, packet in timed(REFUSED):
        head = struct.pack(f"{order}IIII", us // 1_000_000, us % 1_000_000, len(packet), len(packet))
        out += [head, b"\x03" * (size - 16), packet]
    return b"".join(out)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("size", "magic"),
    [(16, 0xA1B2C3D4), (20, 0xA1B2C3D4), (24, 0xA1B2C3D4), (24, 0xA1B2CD34), (28, 0xA1B2CD34)],
)
def test_forms_of_pcap_by_their_record_sizes(tmp_path, size, magic, order):
    """The standard form, Nokia's and the modified ones are recognised by which record size makes sense."""
    packets, reading = read(tmp_path / "a", records(size, magic, order=order))
    assert [us for us, _ in timed(REFUSED)] == packets.ts.tolist()
    assert ([], 12) == (reading.problems, reading.read)


def test_standard_pcap_that_breaks_stays_standard(tmp_path):
    """A standard file whose fourth record is nonsense keeps the three before it."""
    data = bytearray(records(16, 0xA1B2C3D4))
    at = 24 + 3 * (16 + len(REFUSED[0]))
    data[at + 8 : at + 12] = b"\xff" * 4
    packets, reading = read(tmp_path / "a", bytes(data))
    assert 3 == len(packets)
    assert "claims 4294967295 captured bytes" in reading.problems[0]


def test_erf_files(tmp_path):
    """A file of ERF records has no header; stamps are in 2**-32 s, other records than packets are left out."""
    stamps = [us for us, _ in timed(SYNS)]
    data = b"".join(erf(2, b"\0\0" + bytes(frame(packet)), us=us) for us, packet in timed(SYNS))
    packets, reading = read(tmp_path / "a", data + erf(27, b"\0" * 8, us=stamps[-1]))
    assert (stamps, PORTS) == (packets.ts.tolist(), packets.dport.tolist())
    assert ("erf", {"not IP": 1}) == (reading.kind, dict(reading.skipped))
    packets, reading = read(tmp_path / "b", data[:-5])
    assert (PORTS[:-1], 1) == (packets.dport.tolist(), len(reading.problems))


def test_vlans_are_contexts_where_asked(tmp_path):
    """With context "vlan" rows hold the tags of their frame, outer and inner; of a tunnel's inner frame, its own."""
    frames = [FRAMES["ethernet"], FRAMES["vlan"], FRAMES["qinq"], TUNNELS["vxlan"], TUNNELS["vxlan, vlan inside"]]
    data = by_hand.pcap(timed([wrap(SYNS[0]) for wrap in frames]), link=1)
    packets, _ = read(tmp_path / "a", data, context="vlan")
    # outer + 1, and inner + 1 from bit 13 on
    assert [0, 8, 6 | 7 << 13, 0, 5] == packets.context.tolist()
    packets, _ = read(tmp_path / "a", data, context="vni")
    assert [0, 0, 0, 101 << 26, 101 << 26] == packets.context.tolist()
    packets, _ = read(tmp_path / "a", data)
    assert [0] * 5 == packets.context.tolist()


def test_both_paths_decode_alike(tmp_path):
    """Plain packets, which have a shorter way, come to the same behind a header of no effect."""
    packets = [ipv4(SOURCE, TARGET, proto, upper) for proto, upper in itertools.chain(
        ((6, tcp(1, 2, flags, data=b"x" * more)) for flags in (SYN, SYN | ACK, 0) for more in (0, 9)),
        ((17, udp(port, other, b"x" * 20)) for port, other in itertools.product((53, 4789), repeat=2)),
    )]  # fmt: skip
    plain, _ = read(tmp_path / "a", by_hand.pcap(timed([bytes(frame(packet)) for packet in packets]), link=1))
    other, _ = read(tmp_path / "b", by_hand.pcap(timed([ALL["null"][1](packet) for packet in packets]), link=0))
    for one, two in zip(plain.columns(), other.columns(), strict=True):
        np.testing.assert_array_equal(one, two)
