"""Logs that real programs made of the same scans (tests/captures/make-logs.sh) say the same as Zeek's conn.log does."""

import re
from pathlib import Path

import pytest

from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading

LOGS = Path(__file__).parents[2] / "captures" / "logs"
TCP, UDP = 6, 17
Flow = tuple[int, int, int, int]


def flows(path: Path) -> tuple[dict[int, list[Flow]], Reading]:
    """Protocol -> (source, destination, source port, destination port) of each probe of a file, sorted."""
    reading, first = Reading(str(path)), FirstPackets()
    found: dict[int, list[Flow]] = {TCP: [], UDP: []}
    for chunk in read_input(path, reading):
        probes = first.of_packets(chunk, 0) if isinstance(chunk, Packets) else first.of_probes(chunk)
        ends = (probes.src[:, 1], probes.dst[:, 1], probes.sport, probes.dport)
        for proto, *flow in zip(probes.proto.tolist(), *(end.tolist() for end in ends), strict=True):
            found[proto].append(tuple(flow))
    return {proto: sorted(those) for proto, those in found.items()}, reading


@pytest.fixture(scope="module")
def by_zeek() -> dict[int, list[Flow]]:
    """What Zeek 8.0 logged of the scans."""
    found, _ = flows(LOGS / "conn.log.gz")
    assert (110, 11) == (len(found[TCP]), len(found[UDP]))
    return found


def test_argus(by_zeek):
    """argus' flows are probes where Zeek's connections are."""
    found, reading = flows(LOGS / "ra.csv.gz")
    assert (by_zeek, 0) == (found, reading.bad)


def test_argus_without_dates():
    """Times without a date are bad rows, and the remedy is named."""
    found, reading = flows(LOGS / "ra-times-without-date.csv.gz")
    assert ({TCP: [], UDP: []}, 121) == (found, reading.bad)
    assert "it has no date; have the program write one (argus: `ra -u`)" in reading.problems[0]


def test_suricata(by_zeek):
    """Suricata's TCP flows are probes where Zeek's connections are."""
    # Its UDP answers are no packets to it: the capture holds the first 96 bytes of each.
    found, reading = flows(LOGS / "eve.json.gz")
    assert (by_zeek[TCP], 0) == (found[TCP], reading.bad)


@pytest.mark.parametrize("path", sorted(LOGS.glob("nfdump*")), ids=lambda path: path.name)
def test_nfdump(by_zeek, path):
    """One-way flows of 1.6 and 1.7 give all but the half-open scans whose source acknowledged before it reset."""
    found, reading = flows(path)
    missing = {*by_zeek[TCP]} - {*found[TCP]}
    assert (1, 0) == (len(missing), reading.bad)
    assert {*found[TCP]} < {*by_zeek[TCP]}
    assert by_zeek[UDP] == found[UDP]
    assert any("name no zone" in note for note in reading.notes) != ("fast" in path.name)


@pytest.mark.parametrize("name", ["netflow-v5", "netflow-v9", "netflow-ipfix"])
def test_netflow(by_zeek, name):
    """Export packets give what nfdump makes of the same flows, at the times of the capture."""
    path = LOGS / f"{name}.json.gz"
    found, reading = flows(path)
    assert (1, 0, []) == (len({*by_zeek[TCP]} - {*found[TCP]}), reading.bad, reading.problems)
    assert {*found[TCP]} < {*by_zeek[TCP]}
    assert by_zeek[UDP] == found[UDP]
    ends = []
    for one in (path, LOGS.parent / "scans.pcap"):
        stamps = [int(stamp) for chunk in read_input(one) for stamp in chunk.ts]
        ends.append((min(stamps), max(stamps)))
    # softflowd counts from its own start, which it names to the millisecond.
    assert all(abs(ours - theirs) < 100_000 for ours, theirs in zip(*ends, strict=True))


def test_p0f(by_zeek):
    """p0f has every SYN, answered or not, and no UDP; nmap's and masscan's of other options are SYNs too."""
    found, reading = flows(LOGS / "p0f.log.gz")
    capture, _ = flows(LOGS.parent / "scans.pcap")
    assert ({*found[TCP]} <= {*capture[TCP]}, [], 0) == (True, found[UDP], reading.bad)
    assert 0.9 < len(found[TCP]) / len(capture[TCP])


@pytest.mark.parametrize("name", ["ulogd.json.gz", "ulogd-syslogemu.log.gz", "dmesg.log.gz"])
def test_packets_that_the_kernel_logged(name):
    """Three SYNs and one datagram by nmap come out of ulogd2 and of the kernel's log."""
    found, reading = flows(LOGS / name)
    src, dst = 0xFFFF_0000_0000 | 0xC6336407, 0xFFFF_0000_0000 | 0xC000020A
    assert [(src, dst, 40000, port) for port in (22, 80, 443)] == found[TCP]
    assert [(src, dst, 40000, 161)] == found[UDP]
    assert 0 == reading.bad


def test_one_address_in_two_vlans_is_two_hosts():
    """Zeek's connection keys with VLANs give the hosts that a capture read with VLANs gives."""
    found, reading = flows(LOGS / "conn-vlans.log.gz")
    options = InputOptions(captures=CaptureOptions(context="vlan"))
    first, hosts = FirstPackets(), set()
    for chunk in read_input(LOGS.parent / "vlans.pcap", Reading("vlans.pcap"), options):
        hosts |= {tuple(host) for host in first.of_packets(chunk, 0).src.tolist()}
    by_log = set()
    for chunk in read_input(LOGS / "conn-vlans.log.gz", reading):
        by_log |= {tuple(host) for host in chunk.src.tolist()}
    addresses = {low for _, low in by_log}
    assert by_log <= hosts
    assert len(addresses) < len(by_log)
    assert 0 == reading.bad
    assert found[TCP]


def test_recordings_hold_no_address_that_is_in_use():
    """Every IPv4 address of the recordings is one for documentation, or none of a host."""
    import gzip

    for path in LOGS.rglob("*.gz"):
        for address in {*re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", gzip.decompress(path.read_bytes()).decode())}:
            assert address.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "127.0.0.", "0.0.0.0")), path
