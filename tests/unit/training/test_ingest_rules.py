"""The rules by which packets and flows are probes."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.probe_definition import WINDOW, FirstPackets, flow_reasons
from support import captures as by_hand
from support.captures import ACK, BEGIN, FIN, RST, SYN, ipv4, port_unreachable, tcp, udp
from support.first_packets import probes_from_packets

A, B = "198.51.100.1", "192.0.2.1"
SECOND = 1_000_000


def there(flags: int = SYN, *, seq: int = 1000, sport: int = 40000) -> bytes:
    return ipv4(A, B, 6, tcp(sport, 80, flags, seq=seq))


def back(flags: int) -> bytes:
    return ipv4(B, A, 6, tcp(80, 40000, flags, seq=7000))


def packets(path, *timed: tuple[float, bytes]) -> Packets:
    (path / "capture").write_bytes(by_hand.pcap([(BEGIN + round(at * SECOND), packet) for at, packet in timed]))
    return Packets.concat(read_capture(path / "capture"))


def seconds(probes: Probes) -> list[float]:
    return [(ts - BEGIN) / SECOND for ts in probes.ts.tolist()]


def test_first_syn_is_the_probe_and_retransmissions_are_it_too(tmp_path):
    """SYNs of one flow less than 60 s apart are one probe, whatever was answered and however they are numbered."""
    found = packets(
        tmp_path,
        (0, there()),
        (1, there()),
        (33, there()),
        (33.1, back(RST | ACK)),
        (92, there(seq=5)),
        (152, there()),
    )
    first = FirstPackets()
    probes = first.of_packets(found, 7)
    # 92 s is 59 s after the SYN before it, 152 s is 60 s after the one before it
    assert [0, 152] == seconds(probes)
    assert [7, 8] == probes.seq.tolist()
    assert [SYN, SYN] == probes.flags.tolist()
    assert {
        "retransmission or further datagram of a probe": 3,
        "TCP but no first SYN (answers, data, backscatter)": 1,
    } == dict(first.skipped)


def test_window_is_an_option(tmp_path):
    """A window of zero makes every SYN a probe."""
    found = packets(tmp_path, (0, there()), (0.1, there()), (0.2, there()))
    assert 3 == len(Probes.concat(probes_from_packets(found, window=0)))
    assert 60 * SECOND == WINDOW


@pytest.mark.parametrize("flags", [SYN | ACK, RST, RST | ACK, ACK, FIN | ACK, FIN, 0, SYN | FIN, SYN | RST])
def test_backscatter_and_stealth_packets_are_no_probes(tmp_path, flags):
    """Only a SYN without ACK, FIN or RST is a probe."""
    assert 0 == len(Probes.concat(probes_from_packets(packets(tmp_path, (0, there(flags)), (1, back(flags))))))


def test_a_syn_the_other_way_is_another_probe(tmp_path):
    """Two hosts that open to each other between the same ports are two probes."""
    found = packets(tmp_path, (0, there()), (1, back(SYN)))
    assert [0, 1] == seconds(Probes.concat(probes_from_packets(found)))


def test_udp_first_datagram_of_a_flow(tmp_path):
    """The first datagram between two endpoints is the probe; replies and further ones are not."""
    ask, reply = ipv4(A, B, 17, udp(5000, 1434)), ipv4(B, A, 17, udp(1434, 5000))
    found = packets(tmp_path, (0, ask), (1, reply), (50, ask), (100, reply), (159, ask), (219, ask))
    probes = Probes.concat(probes_from_packets(found))
    assert [0, 219] == seconds(probes)
    assert [(5000, 1434)] * 2 == [*zip(probes.sport.tolist(), probes.dport.tolist(), strict=True)]
    assert [0, 0] == probes.flags.tolist()


def test_udp_answer_without_its_question_is_none(tmp_path):
    """A datagram from port 53 to a port that is no server's is an answer; between server ports it is a probe."""
    found = packets(
        tmp_path,
        (0, ipv4(B, A, 17, udp(53, 40000))),
        (1, ipv4(B, A, 17, udp(53, 123))),
        (2, ipv4(B, A, 1, port_unreachable(ipv4(A, B, 17, udp(9, 9))))),
    )
    first = FirstPackets()
    assert [1] == seconds(first.of_packets(found, 0))
    assert {"UDP answer without its question": 1, "ICMP error": 1} == dict(first.skipped)


def test_memory_goes_from_chunk_to_chunk(tmp_path):
    """A flow of one chunk, or file, is known in the next."""
    found = packets(tmp_path, (0, there()))
    assert [1, 0] == [len(probes) for probes in probes_from_packets([found, found])]


def test_repetitions_among_given_probes(tmp_path):
    """For rows that are probes already, only the same row again within the window is left out."""
    rows = packets(tmp_path, (0, there()), (1, there()), (2, back(SYN)), (3, ipv4(B, A, 17, udp(53, 9))), (62, there()))
    probes = Probes(**{name: getattr(rows, name) for name in ("ts", "src", "dst", "sport", "dport", "proto", "flags")},
                    seq=np.arange(len(rows)))  # fmt: skip
    assert [0, 2, 3, 62] == seconds(FirstPackets().of_probes(probes))


def test_more_flows_than_the_table_began_with():
    """Every one of many flows is known when it comes again, also after the table has grown."""
    rows = Packets.empty(100_000)
    for column in rows.columns():
        column[:] = 0
    rows.ts[:] = BEGIN + np.arange(100_000)
    rows.src[:, 1] = np.arange(100_000)
    rows.proto[:], rows.flags[:] = 6, SYN
    first = FirstPackets()
    assert (100_000, 0, 0) == (len(first.of_packets(rows, 0)), len(first.of_packets(rows, 0)), first.forgotten)


def reason(proto: str, state: str | None, history: str | None, **options) -> str:
    columns = (pa.array([value], pa.string()) for value in (proto, state, history))
    return flow_reasons(*columns, **options).tolist()[0]


@pytest.mark.parametrize(
    ("proto", "state", "history"),
    [
        ("tcp", "S0", "S"),
        ("tcp", "S0", "ST"),
        ("tcp", "S0", "SD"),  # data with the SYN, but no acknowledgement
        ("tcp", "REJ", "Sr"),
        ("tcp", "REJ", "SrR"),
        ("tcp", "RSTOS0", "SR"),
        ("tcp", "SH", "SF"),
        ("tcp", "S0", None),
        ("tcp", "REJ", ""),
        ("tcp", "RSTO", "ShR"),  # half-open scan of an open port
        ("tcp", "RSTO", "ShAR"),  # connect scan of an open port, closed by a reset
        ("tcp", "RSTR", "Shr"),
        ("tcp", "S1", "Sh"),
        ("udp", "S0", "D"),
        ("udp", "S0", None),
    ],
)
def test_flows_that_are_probes(proto, state, history):
    """What a source opened and nothing came of is a probe."""
    assert "" == reason(proto, state, history)


@pytest.mark.parametrize(
    ("proto", "state", "history", "why"),
    [
        ("tcp", "SF", "ShADadFf", "answered or used"),
        ("tcp", "S1", "ShA", "answered or used"),
        ("tcp", "RSTO", "ShADaR", "answered or used"),
        ("tcp", "RSTR", "ShrA", "answered or used"),
        ("tcp", "RSTO", None, "answered or used"),  # half-open or used: only the history tells
        ("tcp", "S0", "SAD", "answered or used"),  # its originator acknowledges: one direction of a connection
        ("tcp", "SH", "SADF", "answered or used"),
        ("udp", "SF", "Dd", "answered or used"),
        ("tcp", "SH", "F", "backscatter or begun before"),
        ("tcp", "OTH", "^h", "backscatter or begun before"),
        ("tcp", "OTH", None, "backscatter or begun before"),
        ("tcp", "SHR", "^hf", "backscatter or begun before"),
        ("tcp", "RSTRH", "^hr", "backscatter or begun before"),
        ("tcp", "S0", "H", "backscatter or begun before"),
        ("udp", "SHR", "^d", "backscatter or begun before"),
        ("udp", "S0", "^D", "backscatter or begun before"),
        ("tcp", None, "S", "no conn_state"),
        ("icmp", "OTH", None, "neither TCP nor UDP"),
    ],
)
def test_flows_that_are_none(proto, state, history, why):
    """Used connections, backscatter, and what began before the log are none."""
    assert why == reason(proto, state, history)


@pytest.mark.parametrize(
    ("proto", "state", "history", "why"),
    [
        ("tcp", "SF", "ShADadFf", ""),
        ("tcp", None, "S", ""),
        ("udp", "SF", "Dd", ""),
        ("tcp", "OTH", "^h", "backscatter or begun before"),
        ("icmp", "OTH", None, "neither TCP nor UDP"),
    ],
)
def test_any_state_counts_every_right_beginning(proto, state, history, why):
    """For the log of a honeypot, an answered connection is a probe too; backscatter stays none."""
    assert why == reason(proto, state, history, any_state=True)


@pytest.mark.data
def test_probes_of_the_recordings(shared_data):
    """The scans of the recordings are all found: as many probes as different flows of SYNs."""
    for name, window in (("zmap.pcapng", WINDOW), ("masscan.pcapng", WINDOW), ("synscan.pcap", WINDOW)):
        found = Packets.concat(read_capture(shared_data / "pcaps" / name))
        syn = (found.proto == 6) & (found.flags & 0x17 == SYN)
        flows = Counter(
            zip(
                *(getattr(found, end)[syn][:, 1] for end in ("src", "dst")),
                found.sport[syn],
                found.dport[syn],
                strict=True,
            )
        )
        assert len(flows) == len(Probes.concat(probes_from_packets(found, window=window)))
