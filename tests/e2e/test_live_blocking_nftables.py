"""Blocking for real: nmap, Zeek on a live interface, the sidecar with nftables, a victim with services; as root."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from support.live_site import INTERVAL, SERVICES, Site
from support.namespaces import ATTACKER, V6, VICTIM, Network, guarded_site
from support.sidecar_process import until

pytestmark = [pytest.mark.root, pytest.mark.zeek, pytest.mark.timeout(300)]


@pytest.fixture
def programs(root):
    for program in ("ip", "nmap", "tcpdump", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")


@pytest.fixture
def net(programs):
    with Network() as network:
        guarded_site(network)
        yield network


@pytest.fixture
def net6(programs):
    with Network() as network:
        guarded_site(network, V6)
        yield network


def test_predicted_ports_are_closed_to_the_scanner_alone(net, zeek, tmp_path):
    """After one probed port its kin do not reach the victim, by SYN or by connect; others and the client do."""
    with Site(net, zeek, tmp_path) as site:
        assert site.fetches("attacker", "23")
        assert [23] == site.reached()
        site.provoke()
        stopped_at = time.monotonic()
        assert "open" not in site.nmap("-sS", "-p", "22,23,2222,80", VICTIM)
        assert "open" not in site.nmap("-sT", "-p", "23,2222,80", VICTIM)
        assert [23] == site.reached()
        assert all(site.fetches("client", port) for port in SERVICES)
        # Not kin of anything yet: it is let through, and probed thereby.
        assert "8443/tcp open" in site.nmap("-sS", "-p", "8443", VICTIM)
        assert {23, 8443} == set(site.reached())
        metrics = until(
            lambda: (found := site.metrics())["portkin_dropped_packets_total"] >= 7 and found,
            lambda: f"{site.metrics()}",
        )
        assert metrics['portkin_usefulness{mode="nftables"}'] > 0
        # Every block was extended by the probes it met; an interval after the last of them nothing is held.
        until(lambda: site.held() == {}, lambda: f"held: {site.held()}", timeout=6 * INTERVAL)
        assert time.monotonic() - stopped_at > INTERVAL
        # A first packet comes through; it is a probe, and the next ones may not.
        assert "2222/tcp open" in site.nmap("-sS", "-p", "2222", VICTIM)
        listing = ("blocks", "list", "--all", "--json", "-c")
        rows = [json.loads(line) for line in site.portkin(*listing, str(site.config)).splitlines()]
        assert {"expired"} == {row["outcome"] for row in rows if row["port"] in ("23/tcp", "22/tcp", "80/tcp")}
        assert "expired" in site.zeek_log("portkin_block")


def test_the_same_over_ipv6(net6, zeek, tmp_path):
    """A scanner's IPv6 address is kept from the predicted ports, by the set for that family; the client is not."""
    with Site(net6, zeek, tmp_path, at=V6) as site:
        assert site.fetches("attacker", "23")
        site.provoke()
        assert "open" not in site.nmap("-sS", "-p", "22,23,2222,80", V6.victim)
        assert [23] == site.reached()
        assert "8443/tcp open" in site.nmap("-sS", "-p", "8443", V6.victim)
        assert all(site.fetches("client", port) for port in SERVICES)
        rows = [json.loads(line) for line in site.portkin("nft", "show", "--json").splitlines()[1:]]
        assert {V6.attacker} == {row["src"] for row in rows}


def test_an_operator_wins(net, zeek, tmp_path):
    """Thin evidence blocks nobody; what is removed by hand stays away; a grown never-list ends the rest at once."""
    with Site(net, zeek, tmp_path) as site:
        # Two addresses without a host may be a forger's doing; four are a scan.
        site.nmap("-sS", "-p", "22", "203.0.113.1-2")
        until(lambda: "unproven" in site.zeek_log("portkin_block"), lambda: site.zeek_log("portkin_block"))
        assert {} == site.held()
        site.provoke()
        config = str(site.config)
        assert f"{ATTACKER} 23/tcp removed" in site.portkin("blocks", "remove", ATTACKER, "23", "-c", config)
        assert site.fetches("attacker", "23")
        site.nmap("-sS", "-p", "22", "203.0.113.1-4")
        until(lambda: "grace" in site.zeek_log("portkin_block"), lambda: site.sidecar.text)
        assert {"22/tcp", "2222/tcp", "80/tcp"} == site.held().keys()
        settings = json.loads(Path(config).read_text())
        settings["enforce"]["limits"] = {"never_nets": ["198.51.100.0/24"]}
        Path(config).write_text(json.dumps(settings))
        until(lambda: site.held() == {}, lambda: f"held: {site.held()}")
        site.nmap("-sS", "-p", "22", "203.0.113.1-4")
        until(lambda: "never-net" in site.zeek_log("portkin_block"), lambda: site.sidecar.text)
        assert {} == site.held()


def test_when_all_die_the_blocks_end_by_themselves(net, zeek, tmp_path):
    """With sidecar and Zeek killed, blocks hold until their time, then end, and nothing else is changed."""
    with Site(net, zeek, tmp_path) as site:
        site.provoke()
        site.sidecar.process.kill()
        site.zeek.process.kill()
        assert "open" not in site.nmap("-sS", "-p", "23", VICTIM)
        assert 4 == len(site.held())
        until(lambda: site.held() == {}, lambda: f"held: {site.held()}", timeout=4 * INTERVAL)
        assert "23/tcp open" in site.nmap("-sS", "-p", "23", VICTIM)
        assert site.fetches("client", "80")


UNIT = Path(__file__).resolve().parents[2] / "sidecar" / "portkin.service"


def test_the_capabilities_of_the_service_unit_suffice(net, zeek, tmp_path):
    """With nothing but the capabilities that the unit for systemd leaves to it, the sidecar blocks, and answers."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv on PATH")
    (kept,) = re.findall(r"^CapabilityBoundingSet=CAP_(.*)$", UNIT.read_text(), re.MULTILINE)
    only = f"-all,+{kept.lower()}"
    with Site(net, zeek, tmp_path, prefix=("setpriv", f"--bounding-set={only}", f"--inh-caps={only}")) as site:
        status = Path(f"/proc/{site.sidecar.process.pid}/status").read_text()
        assert "CapEff:\t0000000000001000" in status  # 1 << 12: CAP_NET_ADMIN
        site.provoke()
        assert 4 == len(site.held())
