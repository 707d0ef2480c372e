"""NetControl's rules, by a real Zeek, carried out by a sidecar whose backend only records."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess, free_port

pytestmark = [pytest.mark.zeek, pytest.mark.timeout(300)]
RULING = Path(__file__).resolve().parents[1] / "support" / "ruling.zeek"


@pytest.fixture
def running(zeek, tmp_path):
    """A Zeek with rules for NetControl and the sidecar it gives them to."""
    small_table(tmp_path / "table")
    port = free_port()
    settings = {
        "zeek": {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "backoff": {"first": 0.05, "cap": 0.2}},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"enabled": False},
        "enforce": {"database": str(tmp_path / "blocks.sqlite")},
    }
    scripts = (SCRIPTS / "netcontrol.zeek", SCRIPTS / "websocket.zeek", RULING)
    with (
        ZeekProcess(zeek, tmp_path / "zeek", *scripts, WEBSOCKET_PORT=port) as asking,
        SidecarProcess(tmp_path / "sidecar", settings) as sidecar,
    ):
        yield asking, sidecar


def blocks(tmp_path, *arguments):
    """What ``portkin blocks`` prints as JSON."""
    config = str(tmp_path / "sidecar" / "portkin.yaml")
    command = [sys.executable, "-m", "portkin.cli", "blocks", *arguments, "--json", "-c", config]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_rules_on_a_source_and_a_port_are_carried_out_and_others_declined(running, tmp_path):
    """Taken rules are added, time out, are removed; a veto is an error; what this backend cannot do is declined."""
    zeek, _ = running
    zeek.wait_for("address ")
    taken = {line.split()[0] for line in zeek.out.splitlines() if line.endswith(" taken")}
    declined = {line.split()[0] for line in zeek.out.splitlines() if line.endswith(" declined")}
    assert {"short", "long", "udp6", "ours"} == taken
    assert {"whole_net", "both_hosts", "for_ever", "no_port", "icmp", "address"} == declined
    for line in ("added short 80/tcp", "added long 443/tcp", "added udp6 53/udp", "timeout short", "removed long"):
        zeek.wait_for(line)
    zeek.wait_for("error ours 80/tcp vetoed: special-address")
    rows = {(row["src"], row["port"]): row["outcome"] for row in blocks(tmp_path, "list", "--all")}
    assert {
        ("203.0.113.5", "80/tcp"): "expired",
        ("203.0.113.5", "443/tcp"): "removed",
        ("2001:db8::5", "53/udp"): None,
    } == rows
    assert "error" not in zeek.out.replace("error ours", "")


def test_what_an_operator_removes_is_reported_to_netcontrol(running, tmp_path):
    """A block removed by hand ends NetControl's rule too."""
    zeek, _ = running
    zeek.wait_for("added udp6")
    removed = {"src": "2001:db8::5", "port": "53/udp", "outcome": "removed", "detail": ""}
    assert [removed] == blocks(tmp_path, "remove", "2001:db8::5", "53/udp")
    zeek.wait_for("removed udp6 53/udp")


def test_without_an_answer_the_rule_is_an_error(zeek, tmp_path):
    """A sidecar that hears but does not answer any more is an error for NetControl's rule, not silence."""
    small_table(tmp_path / "table")
    port = free_port()
    slow = tmp_path / "slow.zeek"
    slow.write_text(
        "redef table_expire_interval = 1sec;\n"
        'event later() { drop_flow("late", NetControl::Flow($src_h=203.0.113.9/32, $dst_p=99/tcp), 1hr); }\n'
        "event Portkin::sidecar_arrived(s: string, t: string) { schedule 3sec { later() }; }\n"
    )
    settings = {
        "zeek": {"url": f"ws://127.0.0.1:{port}/v1/messages/json"},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"enabled": False},
        "enforce": {"database": str(tmp_path / "blocks.sqlite")},
    }
    scripts = (SCRIPTS / "netcontrol.zeek", SCRIPTS / "websocket.zeek", RULING, slow)
    with (
        ZeekProcess(zeek, tmp_path / "zeek", *scripts, WEBSOCKET_PORT=port) as asking,
        SidecarProcess(tmp_path / "sidecar", settings) as sidecar,
    ):
        asking.wait_for("added udp6")
        sidecar.signal(signal.SIGSTOP)
        asking.wait_for("late taken")
        asking.wait_for("error late 99/tcp the sidecar did not answer")
