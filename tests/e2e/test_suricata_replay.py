"""The rules in a real Suricata, over recordings: it blocks what the twin and the replay say, packet by packet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.bundles.table import Rows, default_table, write_table
from portkin.net.addresses import text_of
from portkin.net.ports import Port, Proto
from portkin_rules import generate
from portkin_rules.build import write_port_rules
from portkin_rules.generate import blocked_by_probe
from portkin_rules.plan import Detector, Plan
from portkin_rules.protected_ports import select_ports
from portkin_training.commands.replay import replay as command
from portkin_training.core.port_codes import CODES, codes_of
from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import Contacts, addresses_of, contacts_from_packets
from portkin_training.replay import blocking
from portkin_training.replay.events import SCAN, Events
from portkin_training.twin.suricata_rules import RulesConfig, detect_by_rules, ports_of_table, watch
from support.suricata import openings, openings_and_answers, replay, unpacked, whole_seconds
from support.tables import small_table
from support.timed_packets import connection, write_packets, write_syns

pytestmark = pytest.mark.suricata

OWN = Path(__file__).resolve().parent.parent / "captures" / "scans.pcap"
SCANS = ["nmap.pcapng", "masscan.pcapng", "zmap.pcapng", "synscan.pcap"]
BENIGN = "benign-echo-connections.pcap.gz"


@pytest.fixture(scope="module")
def table():
    return default_table()


def made(folder: Path, table, plan: Plan, ports: str = "1000"):
    """The rules of a plan as a file, the ports, and what each probe blocks."""
    rules = folder / "portkin.rules"
    write_port_rules(plan, table, ports, rules)
    cut = plan.cut(table)
    protected = select_ports(ports, cut, plan.k)
    return rules, set(protected), blocked_by_probe(cut, protected, plan.k)


def config_of(plan: Plan, suricata: str) -> RulesConfig:
    """The plan as the replay takes it."""
    detector = plan.detector
    return RulesConfig(detector.count, detector.seconds, detector.memory, plan.seconds, whole_seconds(suricata))


def compare(suricata: str, folder: Path, capture: Path, table, plan: Plan, ports: str = "1000"):
    """Let Suricata and the twin see the capture; the pairs must be equal, in order. Returns what the twin saw."""
    rules, protected, kin = made(folder, table, plan, ports)
    got = replay(suricata, rules, capture, folder / "log", "--simulate-ips")
    seen = list(watch(openings_and_answers(capture), kin, config_of(plan, suricata)))
    expected = [(opening.src, opening.port) for opening, what in seen if what.blocked]
    assert expected == got.blocks(protected)
    assert [opening.src for opening, what in seen if what.new_scanner] == got.scanners()
    if plan.action == "drop":
        by_rule = [event for event in got.drops() if event["drop"]["reason"] == "rules"]
        assert len(expected) == len(by_rule)
    assert blocked_by_kernel(seen, plan, kin) == Counter(port for _, port in expected)
    return seen


def blocked_by_kernel(seen, plan: Plan, kin) -> Counter[Port]:
    """How many openings of each port the kernel of `portkin replay` finds blocked, given who is a scanner."""
    matrix = np.full((CODES, plan.k), -1, np.int32)
    for port, (_, *near) in kin.items():
        matrix[code(port), : len(near)] = [code(other) for other in near]
    groups: dict[str, int] = {}
    n = len(seen)
    events = Events(
        ts=np.array([opening.ts for opening, _ in seen], np.int64),
        group=np.array([groups.setdefault(opening.src, len(groups)) for opening, _ in seen], np.int64),
        code=np.array([code(opening.port) for opening, _ in seen], np.int32),
        act=np.array([what.scanner and opening.port in kin for opening, what in seen], bool),
        truth=np.full(n, SCAN, np.uint8),
        opens=np.ones(n, bool),
        unit=np.zeros(n, np.int32),
    )
    window = float(plan.seconds)
    counts = blocking.replay(events, matrix, blocking.Sweep((plan.k,), (window,), (plan.k, window)))
    blocked = counts.ports[:, blocking.BY_PORT.index("blocked")]
    return Counter(
        {Port(int(c) % 65536, "udp" if c >= 65536 else "tcp"): int(blocked[c]) for c in np.flatnonzero(blocked)}
    )


def ring_table(path: Path, ports: dict[Proto, list[int]], k: int):
    """A table in which the nearest ports of each are those that follow it in its list, around and around."""
    rows = {}
    for proto, numbers in ports.items():
        order = np.argsort(numbers)
        ring = np.array([[numbers[(at + step) % len(numbers)] for step in range(1, k + 1)] for at in order], np.uint16)
        distances = np.tile(np.arange(1, k + 1, dtype=np.float32), (len(numbers), 1))
        distances[:, len(numbers) - 1 :] = np.inf
        ring[np.isinf(distances)] = 0
        rows[proto] = Rows(np.sort(np.array(numbers, np.uint16)), ring, distances)
    return write_table(path, rows, method="ring")


def code(port: Port) -> int:
    return int(codes_of(np.array([port.number], np.uint16), np.array([TCP if port.proto == "tcp" else UDP]))[0])


@pytest.mark.parametrize("action", ["drop", "alert"])
def test_own_capture(suricata, table, tmp_path, action):
    """The shipped plan blocks on our capture the very packets that the twin and the replay block."""
    seen = compare(suricata, tmp_path, OWN, table, Plan(action=action))
    assert any(what.blocked for _, what in seen)


@pytest.mark.parametrize("min_chance", [0.0, 0.05])
def test_cutoff(suricata, table, tmp_path, min_chance):
    """A cut-off other than the recommended one blocks the same in Suricata and in the twin."""
    plan = Plan(k=8, action="drop", min_chance=min_chance)
    assert min_chance != table.cutoff
    compare(suricata, tmp_path, OWN, table, plan, "200")


def test_wide(suricata, table, tmp_path, monkeypatch):
    """Rules that tell their port by the header alone, as a large set has them, block the same."""
    monkeypatch.setattr(generate, "WIDE", 10)
    seen = compare(suricata, tmp_path, OWN, table, Plan(action="drop"))
    assert "HOME_NET 443 " not in (tmp_path / "portkin.rules").read_text()
    assert any(what.blocked for _, what in seen)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("wide", [10, 4096])
def test_udp(suricata, tmp_path, monkeypatch, k, wide):
    """UDP probes count and are blocked like TCP ones, in a small set of rules and in a large one."""
    monkeypatch.setattr(generate, "WIDE", wide)
    ports = [53, 69, 111, 123, 137, 161, 500, 1434, 1900, 5060, 5353, 11211]
    plan = Plan(k, action="drop", detector=Detector(count=5))
    table = ring_table(tmp_path / "table", {"tcp": [22, 23, 80, 443], "udp": ports}, k)
    probes = [(0.4 * at, CLIENT, SERVER, port, "nothing") for at, port in enumerate([*ports, *ports])]
    # As many datagrams to ports that are not protected, from a server that sends late: no contacts.
    probes += [(0.4 * at, "198.51.100.30", f"192.0.2.{at}", 40_000 + at, "nothing") for at in range(24)]
    packets = [packet for when, *ends, how in sorted(probes) for packet in connection(when, *ends, how, udp=True)]
    write_packets(tmp_path / "udp.pcap", packets)
    seen = compare(suricata, tmp_path, tmp_path / "udp.pcap", table, plan)
    assert {CLIENT} == {opening.src for opening, what in seen if what.scanner}
    assert any(opening.port.proto == "udp" and what.blocked for opening, what in seen)


@pytest.mark.data
@pytest.mark.parametrize("name", SCANS)
def test_recorded_scans(suricata, table, tmp_path, shared_data, name):
    """On the recordings of nmap, masscan, zmap and synscan every scanner is found, as early as ever, and the pairs are
    equal."""
    seen = compare(suricata, tmp_path, shared_data / "pcaps" / name, table, Plan(action="drop"))
    # SYNs of known scanners where contacts in flight count as evidence, the soonest that rules can know them.
    soonest = {"nmap.pcapng": 8795, "masscan.pcapng": 4980, "zmap.pcapng": 4991, "synscan.pcap": 1962}
    assert 0.95 * soonest[name] <= sum(what.scanner for _, what in seen)


@pytest.mark.data
def test_benign(suricata, table, tmp_path, shared_data):
    """Hundreds of ordinary connections in seconds, all addresses home and foreign at once: no alert, no drop."""
    capture = unpacked(shared_data / "pcaps" / BENIGN, tmp_path)
    rules, _, _ = made(tmp_path, table, Plan(action="drop"))
    got = replay(suricata, rules, capture, tmp_path / "log", "--simulate-ips")
    assert 741 == len(openings(capture))
    assert ([], []) == (got.alerts(), got.drops())


def test_replay_command_knows_the_same_scanners(suricata, tmp_path):
    """`portkin replay --detector suricata` takes for scanners whom Suricata alerts about, with every port protected."""
    numbers = [21, 22, 23, 25, 53, 80, 110, 143, 443, 445, 1433, 3306, 3389, 5900, 8080, 8443]
    table = ring_table(tmp_path / "table", {"tcp": numbers, "udp": [53, 123, 161]}, 3)
    rules, _, _ = made(tmp_path, table, Plan(), "1000")
    got = replay(suricata, rules, OWN, tmp_path / "log", "--simulate-ips").scanners()
    contacts = Contacts.concat(contacts_from_packets(read_capture(OWN)))
    detected = detect_by_rules(contacts, ports_of_table(table))
    assert got
    assert set(got) == {text_of(src) for src in addresses_of(contacts.src[detected.probe])}
    assert not np.any(detected.acted & ~detected.probe)
    done = CliRunner().invoke(command, [str(OWN), "--table", str(tmp_path / "table"), "--detector", "suricata"])
    assert 0 == done.exit_code, done.output


def test_hostbit_mode_alone(suricata, table, tmp_path):
    """Where bits come from outside and none was set, nothing alerts and nothing is dropped."""
    rules, _, _ = made(tmp_path, table, Plan(mode="hostbit", action="drop"))
    assert [] == replay(suricata, rules, OWN, tmp_path / "log", "--simulate-ips").alerts()


def test_pass_list(suricata, table, tmp_path):
    """A source on the pass list is never blocked; the others are blocked as before."""
    plan = Plan(action="drop")
    rules, protected, kin = made(tmp_path, table, plan)
    (tmp_path / "pass.txt").write_text("198.51.100.10  # the auditors\n2001:db8::/32\n")
    write_port_rules(plan, table, "1000", rules, pass_list=tmp_path / "pass.txt")
    got = replay(suricata, rules, OWN, tmp_path / "log", "--simulate-ips")
    expected = [
        (opening.src, opening.port)
        for opening, what in watch(openings_and_answers(OWN), kin, config_of(plan, suricata))
        if what.blocked and opening.src != "198.51.100.10"
    ]
    assert expected == got.blocks(protected)


def test_time_runs_out(suricata, tmp_path):
    """Windows, memory and blocks end on the same second in Suricata as in the twin, and a new probe extends."""
    table = small_table(tmp_path / "table")
    plan = Plan(k=3, seconds=30, action="drop", detector=Detector(count=3, seconds=10, memory=40))
    capture = tmp_path / "slow.pcap"
    # One host probes 22, 80, 53 and others, at stamps around every end: 10, 30 and 40 s after what came before.
    times = [0, 4, 9.9, 10.9, 11, 20.2, 30.1, 40.8, 41.1, 52, 62.4, 63.3, 93.2, 94.5, 140, 141, 142, 150.9, 151, 182.1]
    probes = [(when, (22, 80, 22, 23, 80, 22)[at % 6], f"192.0.2.{1 + at % 4}") for at, when in enumerate(times)]
    write_syns(capture, probes)
    seen = compare(suricata, tmp_path, capture, table, plan, "22,80")
    assert len(probes) == len(seen)
    assert {True, False} == {what.blocked for _, what in seen if what.scanner}
    assert 1 < sum(what.new_scanner for _, what in seen)


CLIENT, SERVER = "198.51.100.20", "192.0.2.21"


def test_passive_ftp(suricata, table, tmp_path):
    """A client that fetches many files by passive FTP, each over a port of its own, is never taken for a scanner."""
    data = [64_000 + 13 * at for at in range(60)]
    packets = [packet for at, port in enumerate([21, *data, 21]) for packet in connection(at, CLIENT, SERVER, port)]
    write_packets(tmp_path / "ftp.pcap", packets)
    seen = compare(suricata, tmp_path, tmp_path / "ftp.pcap", table, Plan(action="drop"))
    assert 62 == len(seen)
    assert not any(what.scanner or what.blocked for _, what in seen)


@pytest.mark.parametrize("answer", ["nothing", "reset"])
def test_scan_among_answers(suricata, table, tmp_path, answer):
    """A scan that finds an open port now and then is found all the same, where closed ports refuse or say nothing."""
    packets = []
    for at, port in enumerate([21, 22, 23, 25, 80, 110, 443, 445, 1434, 3306, 3389, 5900, 8080, 8443, 8888, 8443]):
        how = "accept" if port in (80, 443) else answer
        packets += connection(at, CLIENT, SERVER, port, how)
    write_packets(tmp_path / "scan.pcap", packets)
    seen = compare(suricata, tmp_path, tmp_path / "scan.pcap", table, Plan(action="drop"))
    # 80 and 443 are answered, and each forgives one that failed: the fourteenth is the tenth that counts.
    assert [13] == [at for at, (_, what) in enumerate(seen) if what.new_scanner]
    assert any(what.blocked for _, what in seen)


@pytest.mark.parametrize("seed", range(4))
def test_answers_of_any_kind(suricata, tmp_path, seed):
    """Answered, refused and ignored contacts in any order, TCP and UDP, late and repeated answers: Suricata and the
    twin agree on every block."""
    random = np.random.default_rng(seed)
    ports = [22, 23, 80, 443, 2222, 8080]
    table = ring_table(tmp_path / "table", {"tcp": ports, "udp": [53, 123, 161, 500, 1900]}, 2)
    plan = Plan(2, seconds=40, action="drop", detector=Detector(count=4, seconds=15, memory=60))
    packets = []
    for at, when in enumerate(np.cumsum(random.exponential(1.0, 400)).tolist()):
        udp = random.random() < 0.3
        host = f"192.0.2.{random.integers(1, 12)}"
        port = int(random.choice([53, 123, 161, 500, 1900] if udp else [*ports, 9000, 9001, 9002]))
        how = str(random.choice(["accept", "twice", "late", "reset", "reset", "nothing", "nothing", "nothing"]))
        client = f"198.51.100.{random.integers(1, 5)}"
        packets += connection(when, client, host, port, how, udp=udp, sport=20_000 + at)
    write_packets(tmp_path / "mixed.pcap", sorted(packets, key=lambda packet: packet[0]))
    seen = compare(suricata, tmp_path, tmp_path / "mixed.pcap", table, plan, "1000")
    assert 400 == len(seen)
    assert 1 < sum(what.new_scanner for _, what in seen)
    assert any(what.blocked for _, what in seen)
