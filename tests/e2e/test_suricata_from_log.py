"""`portkin rules from-log` on what a real Zeek logs, in each form that it can log."""

from __future__ import annotations

import gzip
import json
import subprocess

import pytest

from portkin.net.ports import Port
from portkin_rules.build import write_source_rules
from portkin_rules.from_log import Decision, read_decisions
from portkin_rules.rule import read_rules
from support.captures import BEGIN, ipv4, pcap, port_unreachable, tcp, udp
from support.zeek_process import SCRIPTS

pytestmark = pytest.mark.zeek

FORMS = {
    "TSV": "",
    "TSV, other separators": """
        redef LogAscii::separator = "|"; redef LogAscii::set_separator = ";";
        redef LogAscii::empty_field = "none"; redef LogAscii::unset_field = "?";
    """,
    "JSON": "redef LogAscii::use_json = T;",
    "JSON, ISO 8601": "redef LogAscii::use_json = T; redef LogAscii::json_timestamps = JSON::TS_ISO8601;",
    "JSON, milliseconds": "redef LogAscii::use_json = T; redef LogAscii::json_timestamps = JSON::TS_MILLIS;",
    "JSON, unset fields": "redef LogAscii::use_json = T; redef LogAscii::json_include_unset_fields = T;",
    "TSV, gzip": "redef LogAscii::gzip_level = 6;",
}
SCANNER, OTHER = "198.51.100.7", "198.51.100.8"


def scans() -> bytes:
    """Twenty UDP ports that refuse, and twenty silent TCP ports of a host, one a second, by a scanner each."""
    packets = []
    for at in range(20):
        begin, probe = BEGIN + 1_000_000 * at, ipv4(SCANNER, "192.0.2.10", 17, udp(40_000 + at, 53 + 7 * at))
        packets += [(begin, probe), (begin + 100, ipv4("192.0.2.10", SCANNER, 1, port_unreachable(probe)))]
        packets.append((begin + 500, ipv4(OTHER, "192.0.2.10", 6, tcp(40_000 + at, 21 + 7 * at))))
    return pcap(packets)


@pytest.mark.parametrize("form", FORMS)
def test_every_form(zeek, tmp_path, form):
    """The decisions about UDP become UDP rules, those about TCP TCP rules, whose ports and times are those of Zeek."""
    (tmp_path / "scans.pcap").write_bytes(scans())
    (tmp_path / "form.zeek").write_text(FORMS[form])
    command = [zeek, "-C", "-r", "scans.pcap", str(SCRIPTS), "form.zeek"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert 0 == run.returncode, run.stderr
    log = next(tmp_path.glob("portkin.log*"))
    found = list(read_decisions(log))
    # From the tenth failure at the latest, each port before and each later one is decided about.
    assert {SCANNER: "udp", OTHER: "tcp"} == {decision.src: port.proto for decision in found for port in decision.ports}
    assert {Port(53 + 7 * at, "udp") for at in range(13)} <= ports_of(found, SCANNER)
    assert {Port(21 + 7 * at, "tcp") for at in range(13)} <= ports_of(found, OTHER)
    begin = BEGIN / 1e6
    assert all(begin <= decision.ts <= begin + 30 for decision in found)
    write_source_rules([log], tmp_path / "s.rules", seconds=60, action="drop", now=begin + 30)
    assert ["drop tcp 198.51.100.8", "drop udp 198.51.100.7"] == sorted(
        f"{rule.action} {' '.join(rule.header.split(' ')[:2])}" for rule in read_rules(tmp_path / "s.rules")
    )
    write_source_rules([log], tmp_path / "old.rules", seconds=60, action="drop", now=begin + 86_400)
    assert [] == read_rules(tmp_path / "old.rules")


def ports_of(found: list[Decision], src: str) -> set[Port]:
    return {port for decision in found if decision.src == src for port in decision.ports}


def test_packed_by_others(tmp_path):
    """A log that was packed as a whole, as archives of logs are, is read like the log."""
    line = '{"ts": 1000.5, "kind": "Portkin::DECISION", "src": "198.51.100.7", "proto": "udp", "kept": [53]}\n'
    (tmp_path / "portkin.log.gz").write_bytes(gzip.compress(line.encode()))
    expected = [Decision(1000.5, "198.51.100.7", (Port(53, "udp"),))]
    assert expected == list(read_decisions(tmp_path / "portkin.log.gz"))


def test_cut_gzip(tmp_path):
    """Compressed data that breaks off is read as far as it goes, with a warning."""
    lines = [
        json.dumps({"ts": at, "kind": "Portkin::DECISION", "src": f"198.51.100.{at}", "proto": "udp", "kept": [53]})
        for at in range(1, 200)
    ]
    path, told = tmp_path / "portkin.log.gz", []
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode())[:-40])
    found = list(read_decisions(path, told.append))
    assert [Decision(at, f"198.51.100.{at}", (Port(53, "udp"),)) for at in range(1, 1 + len(found))] == found
    assert 100 < len(found) < 199
    assert any("the compressed data is incomplete" in text for text in told)
