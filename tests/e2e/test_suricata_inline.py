"""Suricata inline between namespaces: what nmap sends to a predicted port does not arrive."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from portkin.bundles.table import default_table
from portkin_rules.build import write_port_rules
from portkin_rules.plan import Detector, Plan
from support.inline import ATTACKER, CLIENT, SERVER, Line, inline
from support.sidecar_process import until
from support.suricata_socket import bits
from support.tables import small_table

pytestmark = [pytest.mark.suricata, pytest.mark.root]


@pytest.fixture
def nmap():
    for program in ("nmap", "tcpdump", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")


@contextmanager
def arriving(line: Line):
    """What arrives at the server: a function that gives the SYNs so far, as (source, port)."""
    capture = line.folder / "arrived.pcap"
    command = [
        "tcpdump",
        "--immediate-mode",
        "-U",
        "-n",
        "-i",
        "eth0",
        "-w",
        str(capture),
        "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
    ]
    process = subprocess.Popen(line.command("server", *command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert b"listening" in process.stderr.readline()

    def syns() -> list[tuple[str, int]]:
        time.sleep(0.3)
        text = subprocess.run(["tcpdump", "-n", "-r", str(capture)], capture_output=True, text=True).stdout
        return [(src, int(port)) for src, port in re.findall(rf"IP (\S+)\.\d+ > {SERVER}\.(\d+):", text)]

    try:
        yield syns
    finally:
        process.terminate()
        process.wait(10)


def scan(line: Line, *ports: int) -> dict[int, str]:
    """What nmap finds on these ports, probed one after the other: open, closed, filtered."""
    command = ["nmap", "-n", "-Pn", "-sS", "-r", "--max-retries", "0", "--disable-arp-ping", "-oG", "-"]
    done = line.run("attacker", *command, "-p", ",".join(map(str, ports)), SERVER)
    assert done.returncode == 0, done.stderr
    return {int(port): state for port, state in re.findall(r"(\d+)/([a-z|]+)/tcp", done.stdout)}


def set_bit(line: Line, bit: str, seconds: int) -> None:
    """Set a bit on the attacker, as the sidecar does."""
    arguments = {"ipaddress": ATTACKER, "hostbit": bit, "expire": seconds}
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
        connection.connect(str(line.socket))
        for message in ({"version": "0.2"}, {"command": "add-hostbit", "arguments": arguments}):
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()
            assert "OK" == json.loads(stream.readline())["return"]


def test_autopilot(suricata, root, nmap, tmp_path):
    """nmap's predicted ports get nothing, a client is never cut off, and the block ends on time."""
    # 22 -> 23, 2222, 80 are nearest; three new contacts without an answer make a scanner: 8081, 8080 and 22, since 443
    # is open.
    rules = tmp_path / "portkin.rules"
    plan = Plan(seconds=10, action="drop", mode="autopilot", detector=Detector(count=3, memory=10))
    write_port_rules(plan, small_table(tmp_path / "table"), "22,23,80,443,2222,8080", rules)
    with inline(suricata, rules, tmp_path / "run", ports=[80, 443]) as line, arriving(line) as syns:
        for port in (443, 8081, 8080, 22):
            scan(line, port)
            assert (ATTACKER, port) in syns()
        assert dict.fromkeys((22, 23, 80, 2222), "filtered") == scan(line, 22, 23, 80, 2222)
        assert line.reaches("client", 80)
        assert [] == [port for src, port in syns() if src == ATTACKER and port in (23, 80, 2222)]
        assert [22] == [port for src, port in syns() if src == ATTACKER and port == 22]
        assert (CLIENT, 80) in syns()
        # Each probe of a scanner extends; nothing is probed now, so the latest of these ends all.
        until(lambda: not bits(line.socket, ATTACKER), lambda: f"{bits(line.socket, ATTACKER)} are left", 30)
        assert line.reaches("attacker", 80)
        drops = [json.loads(text) for text in (line.folder / "eve.json").read_text().splitlines()]
        by_rule = [event for event in drops if event["event_type"] == "drop" and event["drop"]["reason"] == "rules"]
        assert {ATTACKER} == {event["src_ip"] for event in by_rule}
        assert {22, 23, 80, 2222} == {event["dest_port"] for event in by_rule}


def test_host_bits(suricata, root, nmap, tmp_path):
    """A bit that is set from outside blocks its port for its source, and for no other, until it ends."""
    rules = tmp_path / "portkin.rules"
    write_port_rules(Plan(mode="hostbit", action="drop"), small_table(tmp_path / "table"), "80,443", rules)
    with inline(suricata, rules, tmp_path / "run", ports=[80, 443]) as line, arriving(line) as syns:
        assert line.reaches("attacker", 80)
        before = len(syns())
        set_bit(line, "pk80", 10)
        assert {80: "filtered", 443: "open"} == scan(line, 80, 443)
        assert [(ATTACKER, 443)] == syns()[before:]
        assert line.reaches("client", 80)
        until(lambda: line.reaches("attacker", 80), lambda: f"{bits(line.socket, ATTACKER)} are left", 20)


def test_shipped_rules(suricata, root, nmap, tmp_path):
    """With the default table and the default detector, nmap's default-like scan is stopped on predicted ports."""
    rules = tmp_path / "portkin.rules"
    write_port_rules(Plan(action="drop"), default_table(), "1000", rules)
    protected = {int(text) for text in re.findall(r"PORTKIN blocked .*portkin_port (\d+)/tcp", Path(rules).read_text())}
    scanned = [21, 22, 23, 25, 80, 110, 443, 445, 1433, 3306, 3389, 5900, 8080, 8443, 8888, 81, 8000]
    with inline(suricata, rules, tmp_path / "run", ports=[80]) as line, arriving(line) as syns:
        for port in scanned:
            scan(line, port)
        first = [port for src, port in syns() if src == ATTACKER]
        scan(line, *scanned)
        second = [port for src, port in syns() if src == ATTACKER][len(first) :]
        assert line.reaches("client", 80)
    # The first nine contacts of the first pass arrive, whatever follows.
    assert scanned[:9] == first[:9]
    missed = [port for port in scanned if port not in first]
    assert missed, "no probe of the first pass was predicted"
    assert set(missed) <= protected
    assert not set(second) & set(missed)
