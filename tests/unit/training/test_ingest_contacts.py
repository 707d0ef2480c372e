"""Contacts: which packets begin a flow, which answer or refuse it, and when a flow is forgotten."""

import ipaddress
import json
from pathlib import Path

import numpy as np
import pytest

from portkin_training.evaluation.inputs import read_contacts
from portkin_training.ingest.captures import flows
from portkin_training.ingest.captures.flows import DEADLINE, KEY, FlowTable
from portkin_training.ingest.captures.packets import IPV4_MAPPED, Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import ANSWERED, CONTACT, REFUSED, Contacts, contacts_from_packets
from portkin_training.ingest.reading import Reading
from support import captures as by_hand
from support.captures import ACK, BEGIN, FIN, RST, SYN, ipv4, ipv6, port_unreachable, tcp, udp

A, B = "198.51.100.1", "192.0.2.1"
SECOND = 1_000_000


def there(flags: int = SYN, *, seq: int = 1000, sport: int = 40000, dport: int = 80) -> bytes:
    return ipv4(A, B, 6, tcp(sport, dport, flags, seq=seq))


def back(flags: int, *, seq: int = 7000, sport: int = 40000, dport: int = 80) -> bytes:
    return ipv4(B, A, 6, tcp(dport, sport, flags, seq=seq))


def ask(sport: int = 5000, dport: int = 161) -> bytes:
    return ipv4(A, B, 17, udp(sport, dport))


def reply(sport: int = 5000, dport: int = 161) -> bytes:
    return ipv4(B, A, 17, udp(dport, sport))


def contacts(path: Path, *packets: tuple[float, bytes], **options) -> Contacts:
    """The contacts of packets (seconds, bytes)."""
    path = path / "capture"
    path.write_bytes(by_hand.pcap([(BEGIN + round(at * SECOND), packet) for at, packet in packets]))
    return Contacts.concat(contacts_from_packets(read_capture(path), **options))


def events(found: Contacts) -> list[tuple]:
    """(seconds, kind, originator's port, responder's port)."""
    return [
        ((int(ts) - BEGIN) / SECOND, int(kind), int(sport), int(dport))
        for ts, kind, sport, dport in zip(found.ts, found.kind, found.sport, found.dport, strict=True)
    ]


def test_src_is_always_the_originator(tmp_path):
    """Answers and refusals name the originator as src, whoever sent the packet."""
    found = contacts(
        tmp_path,
        (0, there()),
        (1, back(SYN | ACK)),
        (2, there(sport=40001)),
        (3, back(RST | ACK, sport=40001)),
        (4, ask()),
        (5, reply()),
        (6, ask(sport=5001)),
        (7, ipv4(B, A, 1, port_unreachable(ask(sport=5001)))),
    )
    assert [
        (0, CONTACT, 40000, 80),
        (1, ANSWERED, 40000, 80),
        (2, CONTACT, 40001, 80),
        (3, REFUSED, 40001, 80),
        (4, CONTACT, 5000, 161),
        (5, ANSWERED, 5000, 161),
        (6, CONTACT, 5001, 161),
        (7, REFUSED, 5001, 161),
    ] == events(found)
    assert [6] * 4 + [17] * 4 == found.proto.tolist()
    for column, name in ((found.src, A), (found.dst, B)):
        assert {(0, IPV4_MAPPED | int(ipaddress.IPv4Address(name)))} == {tuple(row) for row in column.tolist()}


def test_retransmitted_syn_is_the_same_contact(tmp_path):
    """The same SYN again within 5 s of the first is no contact; after 5 s the flow is forgotten."""
    found = contacts(tmp_path, (0, there()), (1, there()), (4.999999, there()), (5, there()), (6, there()))
    assert [(0, CONTACT, 40000, 80), (5, CONTACT, 40000, 80)] == events(found)


def test_syn_with_a_new_sequence_number_is_a_new_flow(tmp_path):
    """Another sequence number is another connection, also while the first is open."""
    found = contacts(tmp_path, (0, there(seq=1)), (1, back(SYN | ACK)), (2, there(seq=2)), (3, back(RST)))
    assert [(0, CONTACT), (1, ANSWERED), (2, CONTACT), (3, REFUSED)] == [row[:2] for row in events(found)]


@pytest.mark.parametrize("closing", [there(RST), there(FIN | ACK), back(RST | ACK), back(FIN | ACK)])
def test_syn_after_the_end_is_a_new_flow(tmp_path, closing):
    """After a FIN or RST of either side even the same SYN begins a new flow."""
    found = contacts(tmp_path, (0, there()), (0.1, back(SYN | ACK)), (0.2, closing), (0.3, there()))
    assert [(0, CONTACT), (0.1, ANSWERED), (0.3, CONTACT)] == [row[:2] for row in events(found)]


def test_only_the_first_answer_counts(tmp_path):
    """SYN-ACKs sent again, acknowledgements and a late RST add nothing to an answered flow."""
    found = contacts(
        tmp_path,
        (0, there()),
        (1, back(SYN | ACK)),
        (1.5, back(SYN | ACK)),
        (2, there(ACK)),
        (3, back(RST)),
        (3.1, back(RST)),
    )
    assert [(0, CONTACT), (1, ANSWERED)] == [row[:2] for row in events(found)]


def test_only_the_first_refusal_counts_and_no_answer_follows(tmp_path):
    """After a refusal neither another RST nor a SYN-ACK of the same flow counts."""
    found = contacts(tmp_path, (0, there()), (1, back(RST)), (1.1, back(RST)), (1.2, back(SYN | ACK)))
    assert [(0, CONTACT), (1, REFUSED)] == [row[:2] for row in events(found)]


def test_originator_only_direction_is_answered_by_its_first_ack(tmp_path):
    """Where only the originator is seen, its first ACK shows that the responder answered."""
    found = contacts(tmp_path, (0, there()), (0.1, there(ACK)), (0.2, there(ACK)), (0.3, there(FIN | ACK)))
    assert [(0, CONTACT), (0.1, ANSWERED)] == [row[:2] for row in events(found)]


def test_responder_only_direction_gives_nothing(tmp_path):
    """Where only the responder is seen there is no contact."""
    found = contacts(tmp_path, (0, back(SYN | ACK)), (0.1, back(ACK)), (0.2, back(FIN | ACK)))
    assert [] == events(found)


@pytest.mark.parametrize("flags", [SYN | ACK, RST, RST | ACK, ACK, FIN, FIN | ACK, 0, FIN | 8 | 32])
def test_backscatter_and_partial_connections_give_nothing(tmp_path, flags):
    """Anything but a SYN outside a live flow gives nothing, whoever sends it, and is not remembered."""
    found = contacts(tmp_path, (0, there(flags)), (0.1, back(flags)), (0.2, there(ACK)), (0.3, back(RST)))
    assert [] == events(found)


@pytest.mark.parametrize("flags", [SYN | FIN, SYN | RST])
def test_syn_with_fin_or_rst_is_no_contact(tmp_path, flags):
    """A SYN that also ends the connection begins none."""
    assert [] == events(contacts(tmp_path, (0, there(flags)), (1, back(RST))))


@pytest.mark.parametrize("flags", [SYN | 64, SYN | 64 | 128, SYN | 8])
def test_syn_with_ecn_or_push_is_a_contact(tmp_path, flags):
    """ECN set-up (RFC 3168) and PSH do not make a SYN anything else."""
    assert [(0, CONTACT, 40000, 80)] == events(contacts(tmp_path, (0, there(flags))))


def test_late_packets_find_no_flow(tmp_path):
    """An answer or refusal 5 s after the SYN comes too late: the flow is forgotten."""
    found = contacts(
        tmp_path,
        (0, there()),
        (0, there(sport=40001)),
        (4.999999, back(SYN | ACK)),
        (5, back(RST, sport=40001)),
    )
    assert [(0, CONTACT, 40000), (0, CONTACT, 40001), (4.999999, ANSWERED, 40000)] == [row[:3] for row in events(found)]


def test_established_flow_lives_five_minutes_without_a_packet(tmp_path):
    """The same SYN again is a retransmission while the flow lives, and a contact when it has been idle."""
    found = contacts(tmp_path, (0, there()), (1, back(SYN | ACK)), (300.9, there()), (600.8, there()), (901, there()))
    assert [(0, CONTACT), (1, ANSWERED), (901, CONTACT)] == [row[:2] for row in events(found)]


def test_udp_flow_lives_a_minute_without_a_packet(tmp_path):
    """Datagrams of a live flow are no contacts; after a minute of silence the next one is."""
    found = contacts(tmp_path, (0, ask()), (59.9, ask()), (119.8, ask()), (179.8, ask()))
    assert [(0, CONTACT), (179.8, CONTACT)] == [row[:2] for row in events(found)]


def test_udp_answer_whose_question_was_not_seen(tmp_path):
    """A first datagram from a server port to a client's is an answer, and so is the rest of its flow."""
    found = contacts(tmp_path, (0, reply()), (1, ask()), (2, reply()), (100, ask()))
    assert [(100, CONTACT, 5000, 161)] == events(found)
    found = contacts(tmp_path, (0, reply()), udp_server_ports=())
    assert [(0, CONTACT, 161, 5000)] == events(found)


def test_port_unreachable_refuses_only_what_was_asked_and_is_open(tmp_path):
    """An error that quotes no live flow, the wrong direction, an answered flow or TCP refuses nothing."""
    found = contacts(
        tmp_path,
        (0, ipv4(B, A, 1, port_unreachable(ask()))),
        (1, ask()),
        (2, ipv4(A, B, 1, port_unreachable(reply()))),
        (3, reply()),
        (4, ipv4(B, A, 1, port_unreachable(ask()))),
        (5, there()),
        (6, ipv4(B, A, 1, port_unreachable(there()))),
    )
    assert [(1, CONTACT), (3, ANSWERED), (5, CONTACT)] == [row[:2] for row in events(found)]


def test_ipv6(tmp_path):
    """IPv6 flows are followed as IPv4 ones."""
    a, b = "2001:db8::9", "2001:db8::1"
    found = contacts(tmp_path, (0, ipv6(a, b, 6, tcp(40000, 80))), (1, ipv6(b, a, 6, tcp(80, 40000, RST | ACK))))
    assert [(0, CONTACT, 40000, 80), (1, REFUSED, 40000, 80)] == events(found)
    assert [tuple(np.frombuffer(ipaddress.IPv6Address(a).packed, ">i8"))] * 2 == [*map(tuple, found.src)]


def test_chunks_make_no_difference(tmp_path):
    """Cutting the stream anywhere gives the same contacts."""
    packets = [(0, there()), (1, ask()), (2, back(SYN | ACK)), (2.5, there()), (3, reply()), (9, there(seq=5))]
    whole = contacts(tmp_path, *packets)
    pieces = Contacts.concat(contacts_from_packets(read_capture(tmp_path / "capture", rows=1)))
    for one, other in zip(whole.columns(), pieces.columns(), strict=True):
        np.testing.assert_array_equal(one, other)


def syns(n: int, *, gap: int) -> Packets:
    """n SYNs from different ports and addresses, ``gap`` us apart."""
    packets = Packets.empty(n)
    for column in packets.columns():
        column[:] = 0
    packets.ts[:] = BEGIN + np.arange(n) * gap
    packets.src[:, 1] = IPV4_MAPPED + np.arange(n) // 60000
    packets.sport[:] = np.arange(n) % 60000
    packets.proto[:] = 6
    packets.flags[:] = SYN
    return packets


def test_table_grows_and_forgets_what_is_over():
    """More flows than the table began with are all known; those that are over do not make it grow."""
    packets = syns(50_000, gap=1)
    found = Contacts.concat(contacts_from_packets([packets, packets]))
    assert 50_000 == len(found)  # the second time all are retransmissions
    table = FlowTable(2)
    table.slots[:100] = [[key + 1, BEGIN] for key in range(100)]
    table.make_room(BEGIN)
    assert 0 == table.used[0] == np.count_nonzero(table.slots[:, KEY])


@pytest.mark.parametrize("gap", [1, 1 << 12, 1 << 30, 1 << 52], ids=["us", "ms", "minutes", "centuries"])
def test_memory_is_bounded_and_forgetting_is_counted(gap):
    """A full table of the largest size forgets the flows that would end next, however far apart they do, and counts
    them."""
    table = FlowTable(2, memory=16 * 1024)
    assert 1024 == len(table.slots)
    keys = np.arange(1, 601)
    table.slots[:600, KEY], table.slots[:600, DEADLINE] = keys, BEGIN + keys * gap
    table.used[0] = 600
    table.make_room(BEGIN)
    assert (1024, 256, 600 - 256) == (len(table.slots), table.used[0], table.forgotten)
    assert [*range(345, 601)] == sorted(table.slots[table.slots[:, KEY] != 0, KEY].tolist())


def test_bounded_memory_of_a_stream():
    """Flows that fill the memory are contacts, each of them."""
    found = Contacts.concat(contacts_from_packets(syns(20_000, gap=1), memory=32 * 1024))
    assert 20_000 == len(found)


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("spread", [1 << 50, 1 << 16, 1 << 8], ids=["even", "uneven", "crowded"])
@pytest.mark.parametrize("slots", [16, 256, 4096])
def test_flows_move_within_the_table(slots, spread, width, monkeypatch):
    """Whatever its size, and also where keys crowd at one end, the table holds the living flows with all that is known
    of them; short of room, those that would end first go, as many as it says."""
    monkeypatch.setattr(flows, "SMALLEST", 16)
    rng = np.random.default_rng(slots)
    table, expected = FlowTable(width, memory=slots * 8 * width), {}

    def place(key: int) -> int:
        return int(flows.find(table.slots.ctypes.data, width, len(table.slots) - 1, key))

    def known() -> dict[int, tuple[int, ...]]:
        places = {key: place(key) for key in expected}
        return {key: tuple(table.slots[at, 1:].tolist()) for key, at in places.items() if table.slots[at, KEY] == key}

    for now in range(2000):
        if table.used[0] >= table.limit:
            living = {key: rest for key, rest in expected.items() if rest[0] > now}
            before = table.forgotten
            table.make_room(now)
            forgotten = table.forgotten - before
            kept = known()
            assert len(living) - forgotten == len(kept) == table.used[0] == np.count_nonzero(table.slots[:, KEY])
            assert kept.items() <= living.items()
            assert sorted(rest[0] for rest in living.values())[forgotten:] == sorted(rest[0] for rest in kept.values())
            expected = kept
        # low bits all set: the last slots, from which groups go on at the first
        key = int(rng.integers(1, spread)) << 12 | int(rng.choice([0, 1, 4095, rng.integers(4096)]))
        at = place(key)
        table.used[0] += table.slots[at, KEY] == 0
        table.slots[at, KEY], table.slots[at, 1:] = key, now + rng.integers(1, 500)
        expected[key] = tuple(table.slots[at, 1:].tolist())


def test_nothing_gives_nothing():
    """No packets, no contacts."""
    assert 0 == len(Contacts.concat(contacts_from_packets([])))
    assert 0 == len(Contacts.concat(contacts_from_packets(Packets.empty(0))))


@pytest.mark.data
def test_ordinary_connections_are_all_answered(shared_data):
    """Every connection of the benign recording is one contact with one answer and no refusal."""
    path = shared_data / "pcaps" / "benign-echo-connections.pcap.gz"
    found = Contacts.concat(contacts_from_packets(read_capture(path)))
    assert [500, 500] == np.bincount(found.kind).tolist()


def test_a_log_in_the_order_of_the_ends_of_flows_is_put_in_order_of_time(tmp_path):
    """nfdump writes a flow when it is over: a long one that began first comes last."""
    rows = [
        f"2026-01-01 00:00:0{at},x,0,198.51.100.7,192.0.2.10,40000,{port},TCP,......S."
        for at, port in ((5, 23), (1, 22))
    ]
    path = tmp_path / "flows.csv"
    path.write_text("\n".join(["ts,te,td,sa,da,sp,dp,pr,flg", *rows]) + "\n")
    contacts = read_contacts(path, Reading(str(path)))
    assert [22, 23] == contacts.dport.tolist()
    assert [4_000_000] == np.diff(contacts.ts).tolist()


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_flow_of_nfdump_begins_at_the_earlier_time_and_is_its_senders(tmp_path, kind):
    """Of IPFIX flows with sysUpTime nfdump exchanges both times; in softflowd's biflows a source may have sent nothing.

    As both wrote a flow of 198.51.100.7 from 2 s to 3 s, alone and as a biflow.
    """
    ends, other = ("198.51.100.7", "192.0.2.10", 40000, 22), ("192.0.2.10", "198.51.100.7", 23, 40001)
    rows = [(ends, 2), (other, 0)]
    path = tmp_path / "flows"
    if kind == "csv":
        lines = ["ts,te,td,sa,da,sp,dp,pr,flg,ipkt"]
        for (a, b, sport, dport), packets in rows:
            times = "2026-01-01 00:00:03,2026-01-01 00:00:02,1e16"
            lines.append(f"{times},{a},{b},{sport},{dport},TCP,......S.,{packets}")
        path.write_text("\n".join(lines) + "\n")
    else:
        records = [
            {"type": "FLOW", "export_sysid": 1, "first": "2026-01-01T00:00:03.000", "last": "2026-01-01T00:00:02.000",
             "in_packets": packets, "proto": 6, "tcp_flags": "......S.", "src_port": sport, "dst_port": dport,
             "src4_addr": a, "dst4_addr": b}
            for (a, b, sport, dport), packets in rows
        ]  # fmt: skip
        path.write_text(json.dumps(records, indent=1))
    found = read_contacts(path, Reading(str(path)))
    assert [(40000, 22), (40001, 23)] == list(zip(found.sport.tolist(), found.dport.tolist(), strict=True))
    assert (found.src[0] == found.src[1]).all()
    assert {1_767_225_602_000_000} == {*found.ts.tolist()}
