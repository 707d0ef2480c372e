"""No byte of a capture, and no packet, makes the readers crash, hang or read what is not there."""

import ipaddress
import re
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from portkin.errors import InputError
from portkin_training.core.probes import Probes
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.layers import VLAN, VNI, decode
from portkin_training.ingest.captures.link_types import NAMES, NFLOG_BIG
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.captures.reasons import REASONS, STORED
from portkin_training.ingest.contacts import CONTACT, Contacts, contacts_from_packets
from portkin_training.ingest.reading import Reading
from support import captures as by_hand
from support.captures import BEGIN, ipv4, ipv6, port_unreachable, tcp, udp
from support.encapsulations import ALL, TUNNELS
from support.first_packets import probes_from_packets

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
A, B, A6, B6 = "198.51.100.1", "192.0.2.1", "2001:db8::9", "2001:db8::1"
ETHERNET = b"\0" * 12
TAG = b"\x81\x00\x00\x07"
PACKETS = [
    ETHERNET + b"\x08\x00" + ipv4(A, B, 6, tcp(40000, 80)),
    ETHERNET + TAG + b"\x08\x00" + ipv4(A, B, 17, udp(40000, 53)),
    ETHERNET + b"\x08\x00" + ipv4(B, A, 1, port_unreachable(ipv4(A, B, 17, udp(40000, 53)))),
    ETHERNET
    + b"\x86\xdd"
    + ipv6(A6, B6, 0, struct.pack(">BB6x", 44, 0) + struct.pack(">BBHI", 6, 0, 1, 9) + tcp(1, 2)),
    ETHERNET + b"\x86\xdd" + ipv6(B6, A6, 58, struct.pack(">BBHI", 1, 4, 0, 0) + ipv6(A6, B6, 17, udp(1, 2))),
]
INNER = PACKETS[0][14:], PACKETS[4][14:]
TIMED = [(BEGIN + at, packet) for at, packet in enumerate(PACKETS * 3)]
FILES = {
    "pcap": by_hand.pcap(TIMED, link=1),
    "pcapng": by_hand.section()
    + by_hand.interface(1, options=by_hand.option(9, b"\x06") + by_hand.option(14, b"\0" * 8))
    + b"".join(by_hand.enhanced(us, packet) for us, packet in TIMED)
    + by_hand.simple(PACKETS[0]),
}


def taken(path, data: bytes) -> tuple[Packets, Reading]:
    path.write_bytes(data)
    reading = Reading(str(path))
    return Packets.concat(read_capture(path, reading)), reading


@pytest.mark.parametrize("form", sorted(FILES))
@SETTINGS
@given(st.data())
def test_no_flipped_bytes_break_the_reading(tmp_path, form, data):
    """Whatever bytes behind the magic are changed, the reading ends, and everything it says adds up."""
    whole = bytearray(FILES[form])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        packets, reading = taken(tmp_path / "a", bytes(whole))
    except InputError as error:
        assert re.search(r"link type \d+ is not read", str(error))
        return
    assert reading.read == len(packets) + sum(reading.skipped.values())
    assert np.isin(packets.proto, (1, 6, 17, 58)).all()
    assert (packets.ts >= 0).all()
    Contacts.concat(contacts_from_packets(packets))
    Probes.concat(probes_from_packets(packets))


@pytest.mark.parametrize("form", sorted(FILES))
@SETTINGS
@given(cut=st.integers(4, min(map(len, FILES.values()))), junk=st.binary(max_size=64))
def test_no_cut_and_no_junk_break_the_reading(tmp_path, form, cut, junk):
    """A file cut anywhere, with anything behind the cut, keeps the packets of its whole records."""
    whole, _ = taken(tmp_path / "whole", FILES[form])
    if form == "pcap" and cut < 24:  # no header, or one of any link type
        return
    packets, reading = taken(tmp_path / "a", FILES[form][:cut] + junk)
    before = sum(1 for _ in records(form, cut))
    np.testing.assert_array_equal(whole.ts[:before], packets.ts[:before])
    assert reading.read >= before


def records(form: str, cut: int):
    """The packets whose records end before the cut."""
    at = (
        24
        if form == "pcap"
        else len(by_hand.section())
        + len(by_hand.interface(1, options=by_hand.option(9, b"\x06") + by_hand.option(14, b"\0" * 8)))
    )
    for us, packet in TIMED:
        at += 16 + len(packet) if form == "pcap" else len(by_hand.enhanced(us, packet))
        if at > cut:
            return
        yield packet


@kernel
def _decoded(buf, end, link, how):
    return decode(buf.ctypes.data, buf.ctypes.data + end, link, how)


WRAPPED = [(link, wrap(packet)) for packet in INNER for link, wrap in ALL.values()]
"""Whole frames of every link type and tunnel, with TCP in IPv4 and a quoted datagram in IPv6."""


@st.composite
def frames(draw) -> tuple[int, bytes]:
    """A link type and a frame: any bytes; or a good one, nested in tunnels, with bytes changed, and cut."""
    if draw(st.booleans()):
        return draw(st.sampled_from([*NAMES, NFLOG_BIG, 147])), draw(st.binary(max_size=160))
    link, frame = draw(st.sampled_from(WRAPPED))
    for name in draw(st.lists(st.sampled_from(sorted(TUNNELS)), max_size=5)) if link == 1 else ():
        frame = TUNNELS[name](frame[14:]) if frame[12:14] in (b"\x08\0", b"\x86\xdd") else frame
    changed = bytearray(frame)
    for _ in range(draw(st.integers(0, 3))):
        changed[draw(st.integers(0, min(len(changed), 96) - 1))] = draw(st.integers(0, 255))
    return link, bytes(changed[: draw(st.integers(0, len(changed)))])


@settings(SETTINGS, max_examples=400)
@given(found=frames(), how=st.integers(0, 7), behind=st_numpy.arrays(np.uint8, 512))
@example(found=(1, PACKETS[3]), how=0, behind=np.zeros(512, np.uint8))
@example(found=(239, b"\2\0\0\5" + b"\xff\xff\1\0"), how=0, behind=np.zeros(512, np.uint8))
@example(found=(192, b"\0\0\x08\0" + b"\xc0\0\0\0"), how=0, behind=np.zeros(512, np.uint8))
def test_nothing_behind_the_captured_bytes_is_looked_at(found, how, behind):
    """What lies behind the captured bytes changes nothing of what is decoded; lengths that lie reach no further."""
    link, packet = found
    buffer = np.concatenate((np.frombuffer(packet, np.uint8), behind))
    one = _decoded(buffer, len(packet), link, how)
    other = _decoded(np.concatenate((np.frombuffer(packet, np.uint8), ~behind)), len(packet), link, how)
    assert one == other
    assert 0 <= one[0] < len(REASONS)
    if one[0] == STORED:
        assert one[7] in (1, 6, 17, 58)
        assert one[10] == 0 or how & (VLAN | VNI)


@SETTINGS
@given(found=st.sampled_from(WRAPPED), flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3))
def test_every_packet_is_a_row_or_has_a_reason(tmp_path, found, flips):
    """However a frame of any link type is damaged, it is counted once: as a row, or by a reason."""
    link, frame = found
    changed = bytearray(frame)
    for at, value in flips:
        changed[at % len(changed)] = value
    data = by_hand.pcap([(BEGIN, frame), (BEGIN + 1, bytes(changed))], link=link)
    packets, reading = taken(tmp_path / "a", data)
    assert 2 == reading.read == len(packets) + sum(reading.skipped.values())


@SETTINGS
@given(
    src=st.ip_addresses(v=6), dst=st.ip_addresses(v=6), sport=st.integers(0, 65535), dport=st.integers(0, 65535),
    flags=st.integers(0, 255), seq=st.integers(0, (1 << 32) - 1), v4=st.booleans(), is_tcp=st.booleans(),
)  # fmt: skip
def test_every_field_is_decoded_as_it_was_encoded(src, dst, sport, dport, flags, seq, v4, is_tcp):
    """Addresses, ports, flags and sequence numbers of any value come back."""
    if v4:
        src, dst = (ipaddress.IPv4Address(int(end) & 0xFFFF_FFFF) for end in (src, dst))
    upper = tcp(sport, dport, flags, seq=seq) if is_tcp else udp(sport, dport)
    packet = (ipv4 if v4 else ipv6)(str(src), str(dst), 6 if is_tcp else 17, upper)
    code, *found, context = _decoded(np.frombuffer(packet, np.uint8), len(packet), 101, 0)
    wide = [ipaddress.IPv6Address(f"::ffff:{end}") if v4 else end for end in (src, dst)]
    halves = [int(half) for end in wide for half in np.frombuffer(end.packed, ">i8")]
    assert (STORED, 0) == (code, context)
    assert [*halves, sport, dport, *((6, flags, seq) if is_tcp else (17, 0, 0))] == found


@st.composite
def conversation(draw) -> Packets:
    """Packets between few ports of two hosts, close in time: flows meet, end and begin again."""
    n = draw(st.integers(0, 60))
    packets = Packets.empty(n)
    now = 0
    for row in range(n):
        now += draw(st.sampled_from([0, 1, 1_000_000, 5_000_000, 61_000_000]))
        ends = [(0, 1), (0, 2)]
        if draw(st.booleans()):
            ends.reverse()
        packets.ts[row] = now
        packets.src[row], packets.dst[row] = ends
        ports = draw(st.sampled_from([(1000, 80), (80, 1000), (1001, 80)]))
        packets.sport[row], packets.dport[row] = ports
        packets.proto[row] = draw(st.sampled_from([6, 6, 17, 1]))
        packets.flags[row] = draw(st.sampled_from([2, 18, 4, 20, 16, 17])) if packets.proto[row] == 6 else 17
        packets.seq[row] = draw(st.sampled_from([1, 2]))
    return packets


@SETTINGS
@given(packets=conversation(), rows=st.integers(1, 7))
def test_contacts_are_sound(packets, rows):
    """Every answer and refusal follows a contact of its flow, at most once each, however chunked."""
    whole = Contacts.concat(contacts_from_packets(packets))
    chunks = [packets[at : at + rows] for at in range(0, len(packets), rows)]
    pieces = Contacts.concat(contacts_from_packets(chunks))
    for one, other in zip(whole.columns(), pieces.columns(), strict=True):
        np.testing.assert_array_equal(one, other)
    opened = set()
    for row in range(len(whole)):
        flow = tuple(int(column[row]) for column in (whole.src[:, 1], whole.sport, whole.dport, whole.proto))
        if whole.kind[row] == CONTACT:
            opened.add(flow)
        else:
            assert flow in opened
            opened.remove(flow)
