"""Blocking for real: nmap, Zeek on a live interface, the sidecar with nftables, a victim with services; as root."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from support.namespaces import ATTACKER, DARKNET, VICTIM, Network, guarded_site
from support.sidecar_process import SidecarProcess, until
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess

pytestmark = [pytest.mark.root, pytest.mark.zeek]
INTERVAL = 8.0
SERVICES = ("80", "23", "2222", "8443")


@pytest.fixture
def net(root):
    for program in ("ip", "nmap", "tcpdump", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")
    with Network() as network:
        guarded_site(network)
        yield network


class Site:
    """Zeek and the sidecar on the sensor, services on the victim, and who listens there."""

    def __init__(self, net: Network, zeek: str, folder: Path, extra: str = "", **enforce) -> None:
        self.net, self.folder = net, folder
        small_table(folder / "table")
        local = folder / "local.zeek"
        local.write_text(
            f"@load {SCRIPTS}/websocket.zeek\n@load {SCRIPTS}/block.zeek\n"
            f"redef Portkin::darknets += {{ {DARKNET} }};\n"
            f"redef Portkin::protected_nets += {{ 192.0.2.0/24 }};\n"
            f"redef Portkin::block_interval = {INTERVAL}sec;\nredef Portkin::block_open_services = T;\n{extra}"
        )
        self.zeek = ZeekProcess(zeek, folder / "zeek", "-i", "af_packet::outside", local)
        settings = {
            "zeek": {"backoff": {"first": 0.1, "cap": 0.5}},
            "table": {"path": str(folder / "table")},
            "enforce": {"backend": "nftables", "books": str(folder / "books.sqlite"), "count": 1.0, **enforce},
        }
        self.sidecar = SidecarProcess(folder / "sidecar", settings)
        self.zeek.prefix = self.sidecar.prefix = net.inside("sensor")
        self._pages = folder / "www"
        self._pages.mkdir()
        (self._pages / "index.html").write_text("hello")
        self._dump = folder / "victim.txt"

    def __enter__(self) -> Site:
        for port in SERVICES:
            self.net.start("victim", sys.executable, "-m", "http.server", port, "-d", str(self._pages))
        # What reaches the victim from the attacker: the ports of its SYNs.
        tcp = "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn"
        self.net.start("victim", "tcpdump", "-nlq", "-i", "eth0", f"src {ATTACKER} and {tcp}", out=self._dump)
        until(lambda: "listening" in self._dump.read_text(), lambda: "tcpdump did not start")
        for port in SERVICES:
            until(lambda port=port: self.fetches("client", port), lambda: "a service did not start")
        self.zeek.start()
        self.sidecar.start()
        self.sidecar.wait_for("Zeek answered", timeout=60)
        self.sidecar.wait_for("blocking")
        return self

    def __exit__(self, *_: object) -> None:
        self.zeek.end()
        self.sidecar.__exit__()

    def fetches(self, machine: str, port: str) -> bool:
        """Whether a page can be had from the victim."""
        url = f"http://{VICTIM}:{port}/"
        return self.net.succeeds(machine, "curl", "-s", "-o", "/dev/null", "--max-time", "2", url)

    def nmap(self, *arguments: str) -> str:
        """What the attacker's nmap finds."""
        quick = ("-n", "-Pn", "--disable-arp-ping", "--max-retries", "0", "-T5")
        return self.net.run("attacker", "nmap", *quick, *arguments)

    def reached(self) -> list[int]:
        """The ports of the attacker's SYNs that have come to the victim so far."""
        time.sleep(0.3)
        return [int(port) for port in re.findall(rf"> {re.escape(VICTIM)}\.(\d+):", self._dump.read_text())]

    def portkin(self, *arguments: str) -> str:
        """What our command line prints on the sensor."""
        return self.net.run("sensor", sys.executable, "-m", "portkin.cli", *arguments)

    def held(self) -> dict[str, float]:
        """What the kernel blocks, by port."""
        _, *rows = self.portkin("nft", "show", "--json").splitlines()
        return {row["port"]: row["seconds"] for row in map(json.loads, rows)}

    def metrics(self) -> dict[str, float]:
        page = self.net.run("sensor", "curl", "-s", "http://127.0.0.1:9477/metrics").splitlines()
        return {name: float(number) for name, number in (re.split(r" (?=\S+$)", x) for x in page if x[0] != "#")}

    def zeek_log(self, name: str) -> str:
        """What one of Zeek's logs holds."""
        path = self.folder / "zeek" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def provoke(self) -> None:
        """Make the attacker a scanner that probed 22: blocked are 22 and its kin 23, 2222 and 80."""
        self.nmap("-sS", "-p", "22", "203.0.113.1-4")
        wanted = {"22/tcp", "23/tcp", "2222/tcp", "80/tcp"}
        until(lambda: wanted == self.held().keys(), lambda: f"held: {self.held()}\n{self.sidecar.text}")


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
        # Every block was extended by the probes it met; 8 s after the last nothing is held, and the way is free.
        until(lambda: site.held() == {}, lambda: f"held: {site.held()}", timeout=3 * INTERVAL)
        assert time.monotonic() - stopped_at > INTERVAL
        assert site.fetches("attacker", "2222")
        rows = [json.loads(line) for line in site.portkin(*site_list(tmp_path)).splitlines()]
        assert {"expired"} == {row["outcome"] for row in rows if row["port"] in ("23/tcp", "22/tcp", "80/tcp")}
        assert "expired" in site.zeek_log("portkin_block")


def site_list(folder: Path) -> tuple[str, ...]:
    return ("blocks", "list", "--all", "--json", "-c", str(folder / "sidecar" / "portkin.yaml"))


def test_an_operator_wins(net, zeek, tmp_path):
    """Thin evidence blocks nobody; what is removed by hand stays away; a grown never-list ends the rest at once."""
    with Site(net, zeek, tmp_path) as site:
        # Two addresses without a host may be a forger's doing; four are a scan.
        site.nmap("-sS", "-p", "22", "203.0.113.1-2")
        until(lambda: "unproven" in site.zeek_log("portkin_block"), lambda: site.zeek_log("portkin_block"))
        assert {} == site.held()
        site.provoke()
        config = str(tmp_path / "sidecar" / "portkin.yaml")
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
        until(lambda: site.held() == {}, lambda: f"held: {site.held()}", timeout=2 * INTERVAL)
        assert "23/tcp open" in site.nmap("-sS", "-p", "23", VICTIM)
        assert site.fetches("client", "80")
