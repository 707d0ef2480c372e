"""Blocking with Suricata inline between two wires, by host bits that the sidecar sets; with nmap and Zeek; as root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.live_site import INTERVAL, SERVICES, Site
from support.namespaces import VICTIM, Network, guarded_wire
from support.sidecar_process import until

pytestmark = [pytest.mark.root, pytest.mark.zeek, pytest.mark.suricata, pytest.mark.timeout(300)]

YAML = """%YAML 1.1
---
vars:
  address-groups: {{HOME_NET: "any", EXTERNAL_NET: "any"}}
unix-command: {{enabled: yes, filename: {folder}/command.socket}}
default-rule-path: {folder}
rule-files: [kin.rules]
outputs: []
af-packet:
  - {{interface: outside, threads: 1, cluster-id: 97, cluster-type: cluster_flow, defrag: no,
      copy-mode: ips, copy-iface: inside}}
  - {{interface: inside, threads: 1, cluster-id: 98, cluster-type: cluster_flow, defrag: no,
      copy-mode: ips, copy-iface: outside}}
"""
PORTS = (22, 23, 80, 2222)


class Inline:
    """Suricata between the sensor's two wires, with one static rule per port."""

    def __init__(self, net: Network, suricata: str, folder: Path) -> None:
        self._net, self._suricata, self.folder = net, suricata, folder
        folder.mkdir()
        (folder / "suricata.yaml").write_text(YAML.format(folder=folder))
        rule = 'drop tcp any any -> any {0} (msg:"kin {0}"; xbits:isset,pk{0},track ip_src; sid:{0};)\n'
        (folder / "kin.rules").write_text("".join(rule.format(port) for port in PORTS))
        self.socket = folder / "command.socket"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        out = self.folder / "out.txt"
        command = [self._suricata, "-c", f"{self.folder}/suricata.yaml", "-l", str(self.folder)]
        self.process = self._net.start("sensor", *command, "--af-packet", "--runmode=workers", "-k", "none", out=out)
        until(self.socket.exists, out.read_text, timeout=60)


@pytest.fixture
def net(root):
    for program in ("ip", "nmap", "tcpdump", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")
    with Network() as network:
        guarded_wire(network)
        yield network


def test_suricata_drops_what_was_predicted(net, zeek, suricata, tmp_path):
    """Kin of the probed port are dropped for the scanner alone; after kill -9 of Suricata the bits are set again."""
    inline = Inline(net, suricata, tmp_path / "suricata")
    inline.start()
    with Site(net, zeek, tmp_path, "suricata", suricata={"socket": str(inline.socket)}, check=0.5) as site:
        site.provoke()
        assert "open" not in site.nmap("-sS", "-p", "22,23,2222,80", VICTIM)
        assert "open" not in site.nmap("-sT", "-p", "23,2222,80", VICTIM)
        assert [] == site.reached()
        assert all(site.fetches("client", port) for port in SERVICES)
        assert "8443/tcp open" in site.nmap("-sS", "-p", "8443", VICTIM)
        assert {8443} == set(site.reached())

        inline.process.kill()
        inline.process.wait()
        inline.start()
        # The blocks may have run out while Suricata started: probed again, they hold again.
        site.nmap("-sS", "-p", "22", "203.0.113.1-4")
        until(lambda: "23/tcp" in site.live(), lambda: f"{site.live()}\n{site.sidecar.text}")
        until(lambda: "open" not in site.nmap("-sS", "-p", "23", VICTIM), lambda: site.sidecar.text)
        before = len(site.reached())
        assert "open" not in site.nmap("-sT", "-p", "23", VICTIM)
        assert before == len(site.reached())
        until(lambda: site.live() == set(), lambda: f"{site.live()}", timeout=6 * INTERVAL)
        assert "23/tcp open" in site.nmap("-sS", "-p", "23", VICTIM)
