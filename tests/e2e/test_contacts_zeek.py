"""Contacts from packets and the connections of a real Zeek are the same, event by event."""

from __future__ import annotations

import gzip
import ipaddress
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import Contacts, contacts_from_packets
from support import captures as by_hand
from support.captures import BEGIN, ipv4, port_unreachable, tcp, udp

pytestmark = pytest.mark.zeek
TESTS = Path(__file__).resolve().parents[1]
SCRIPT = TESTS / "support" / "contacts.zeek"
KINDS = ("CONTACT", "ANSWERED", "REFUSED")
A, B = "198.51.100.1", "192.0.2.1"


def address(halves) -> str:
    value = ipaddress.IPv6Address(b"".join(int(half).to_bytes(8, "big", signed=True) for half in halves))
    return str(value.ipv4_mapped or value)


def ours(path: Path) -> Counter[str]:
    """Each contact event as the script prints it."""
    found = Contacts.concat(contacts_from_packets(read_capture(path)))
    proto = ["udp" if proto == 17 else "tcp" for proto in found.proto]
    return Counter(
        f"{found.ts[at] // 10**6}.{found.ts[at] % 10**6:06d} {KINDS[found.kind[at]]} {address(found.src[at])} "
        f"{address(found.dst[at])} {found.sport[at]}/{proto[at]} {found.dport[at]}/{proto[at]}"
        for at in range(len(found))
    )


def theirs(zeek: str, path: Path, folder: Path) -> Counter[str]:
    """Each contact event as Zeek sees it."""
    command = [zeek, "-C", "-r", path, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=True)
    return Counter(done.stdout.splitlines())


@pytest.mark.parametrize("name", sorted(path.name for path in (TESTS / "captures").glob("*.pcap")))
def test_captures_of_the_project(zeek, tmp_path, name):
    """On each capture of the project, both tell the same contacts, answers and refusals."""
    path = TESTS / "captures" / name
    assert theirs(zeek, path, tmp_path) == ours(path)


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["benign-echo-connections.pcap.gz", "masscan.pcapng", "nmap.pcapng", "synscan.pcap", "zmap.pcapng"]
)
def test_recordings(zeek, shared_data, tmp_path, name):
    """On each recording, both tell the same contacts, answers and refusals."""
    path = shared_data / "pcaps" / name
    plain = path
    if path.suffix == ".gz":
        plain = tmp_path / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
    assert theirs(zeek, plain, tmp_path) == ours(path)


def conversations(seed: int) -> list[tuple[int, bytes]]:
    """Hosts that open, answer, refuse, close, repeat and fall silent at random: (stamp, packet)."""
    rng = random.Random(seed)
    now, packets = BEGIN, []
    for flow in range(40):
        sport, isn = 40000 + flow, rng.randrange(1, 1 << 30)
        dport = rng.choice((22, 80, 4444))
        syn = (A, tcp(sport, dport, by_hand.SYN, seq=isn))
        answer = rng.choice(
            (
                [],
                [(B, tcp(dport, sport, by_hand.RST | by_hand.ACK, seq=0))],
                [(B, tcp(dport, sport, by_hand.SYN | by_hand.ACK, seq=9))],
                [(A, tcp(sport, dport, by_hand.ACK, seq=isn + 1))],
            )
        )
        end = rng.choice((by_hand.RST, by_hand.FIN | by_hand.ACK))
        ends = [(A, tcp(sport, dport, end, seq=isn + 1)), (B, tcp(dport, sport, end, seq=10))]
        if rng.random() < 0.5:  # slow: forgotten in between or not
            steps, gaps = [syn] * rng.randrange(1, 4) + answer, (3_000_000, 4_999_999, 5_000_000, 5_000_001)
        else:  # quick: ended and begun again
            steps = [syn, *answer, *rng.choices(ends, k=rng.randrange(3)), *[syn] * rng.randrange(3)]
            gaps = (1_000, 200_000)
        for sender, segment in steps:
            now += rng.choice(gaps)
            packets.append((now, ipv4(sender, B if sender == A else A, 6, segment)))
    for flow in range(40):
        sport, dport = 50000 + flow, rng.choice((123, 161, 9999))
        ask, reply = ipv4(A, B, 17, udp(sport, dport)), ipv4(B, A, 17, udp(dport, sport))
        refusal = ipv4(B, A, 1, port_unreachable(ask))
        for packet in rng.choices((ask, ask, reply, refusal), k=rng.randrange(1, 6)):
            now += rng.choice((1_000, 1_000_000, 59_999_999, 60_000_000, 61_000_000))
            packets.append((now, packet))
    return packets


@pytest.mark.parametrize("seed", range(8))
def test_conversations_at_random(zeek, tmp_path, seed):
    """At the very microseconds at which flows are forgotten too, both tell the same."""
    path = tmp_path / "capture.pcap"
    path.write_bytes(by_hand.pcap(conversations(seed)))
    assert theirs(zeek, path, tmp_path) == ours(path)
