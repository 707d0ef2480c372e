"""The rules under settings of Suricata that matter to them: full tables, and the firewall mode of 8."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portkin.bundles.table import default_table
from portkin_rules.build import write_port_rules
from portkin_rules.plan import Plan
from support.captures import BEGIN, ipv4, pcap, tcp
from support.suricata import dropped, replay, scanners_by_address, whole_seconds
from support.traffic import Traffic, host

pytestmark = pytest.mark.suricata

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "captures" / "scans.pcap"


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "portkin.rules"
    write_port_rules(Plan(action="drop"), default_table(), "1000", path)
    return path


def test_flood_of_spoofed_sources(suricata, rules, tmp_path):
    """While spoofed SYNs evict pairs and sources from full tables, busy clients are no scanners."""
    packets = []
    for number in range(20):
        client = Traffic(100 + number)
        for at in range(120):
            # One of twelve sites is down; all else is answered.
            client.tcp(0.5 * at, host(at % 12), 443, "silent" if at % 12 == 5 else "open")
        packets += client.packets
    # Tables of some hundred entries, and a hundred spoofed sources for each of them.
    for at in range(30_000):
        source = f"{1 + at % 9}.{at // 9 % 256}.{at // 2304}.7"
        packets.append((BEGIN + 2000 * at, ipv4(source, host(at % 50), 6, tcp(1024 + at, 443))))
    (tmp_path / "flood.pcap").write_bytes(pcap(sorted(packets, key=lambda packet: packet[0])))
    tables = "host: {hash-size: 64, prealloc: 0, memcap: 64kb}\nippair: {hash-size: 64, prealloc: 0, memcap: 64kb}\n"
    got = replay(suricata, rules, tmp_path / "flood.pcap", tmp_path / "log", "--simulate-ips", more=tables)
    assert ([], []) == (scanners_by_address(got), dropped(got))


def readme_firewall() -> str:
    """The firewall rules of rules/README.md."""
    text = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## Suricata 8 in firewall mode.*?```\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("accept", ["hook", "packet"])
def test_firewall_mode(suricata, rules, tmp_path, accept):
    """With the firewall rules of the README, ours drop what they drop without a firewall; they drop nothing where the
    firewall accepts SYNs as packets. Suricata 7 has no firewall."""
    firewall = readme_firewall()
    if accept == "packet":
        firewall = firewall.replace("accept:hook", "accept:packet")
    (tmp_path / "firewall.rules").write_text(firewall)
    more = f"firewall:\n  enabled: yes\n  rule-path: {tmp_path}\n  rule-files:\n    - firewall.rules\n"
    plain = replay(suricata, rules, OWN, tmp_path / "plain", "--simulate-ips")
    got = replay(suricata, rules, OWN, tmp_path / "log", "--simulate-ips", more=more)
    assert dropped(plain)
    assert dropped(got) == (dropped(plain) if accept == "hook" or whole_seconds(suricata) else [])
    blocked = [event for event in got.alerts() if "PORTKIN blocked" in event["alert"]["signature"]]
    assert len(dropped(plain)) == len(blocked)
    assert {"blocked"} == {event["alert"]["action"] for event in blocked}
    assert "firewall default app policy" not in {event["drop"]["reason"] for event in got.drops()}
