"""A guarded site, live: Zeek on an interface, the sidecar, services on a victim, and who listens there."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support.namespaces import V4, V6, Addresses, Network
from support.sidecar_process import SidecarProcess, until
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess

INTERVAL = 15.0
"""Seconds that a block lasts: long enough to be looked at on a busy machine, short enough to be waited for."""
SERVICES = ("80", "23", "2222", "8443")


class Site:
    """Zeek and the sidecar on the sensor, services on the victim, and who listens there."""

    def __init__(
        self,
        net: Network,
        zeek: str,
        folder: Path,
        backend: str = "nftables",
        *,
        at: Addresses = V4,
        prefix: Sequence[str] = (),
        **enforce,
    ) -> None:
        """``prefix`` is what becomes the sidecar; ``enforce`` are settings of that name."""
        self.net, self.folder, self.at = net, folder, at
        self.config = folder / "sidecar" / "portkin.yaml"
        small_table(folder / "table")
        local = folder / "local.zeek"
        local.write_text(
            f"redef Portkin::darknets += {{ {in_zeek(at.darknet)} }};\n"
            f"redef Portkin::protected_nets += {{ {in_zeek(at.inside)} }};\n"
            f"redef Portkin::block_interval = {INTERVAL}sec;\nredef Portkin::block_open_services = T;\n"
        )
        # Not by @load, which takes no path with a space in it.
        scripts = (SCRIPTS / "websocket.zeek", SCRIPTS / "block.zeek", local)
        self.zeek = ZeekProcess(zeek, folder / "zeek", "-i", "af_packet::outside", *scripts)
        settings = {
            "zeek": {"backoff": {"first": 0.1, "cap": 0.5}},
            "table": {"path": str(folder / "table")},
            "enforce": {"backend": backend, "database": str(folder / "blocks.sqlite"), "count": 1.0, **enforce},
        }
        self.sidecar = SidecarProcess(folder / "sidecar", settings)
        self.zeek.prefix = net.inside("sensor")
        self.sidecar.prefix = [*net.inside("sensor"), *prefix]
        self._pages = folder / "www"
        self._pages.mkdir()
        (self._pages / "index.html").write_text("hello")
        self._dump = folder / "victim.txt"

    def __enter__(self) -> Site:
        where = ("-b", self.at.victim, "-d", str(self._pages))
        for port in SERVICES:
            self.net.start("victim", sys.executable, "-m", "http.server", port, *where)
        # What reaches the victim from the attacker: the ports of its SYNs.
        # libpcap knows no tcp[...] over IPv6; without extension headers its flags are octet 53.
        flags = "ip6[6] == 6 and ip6[53]" if self.at is V6 else "tcp[13]"
        syns = f"src {self.at.attacker} and {flags} & 18 == 2"
        self.net.start("victim", "tcpdump", "-nlq", "-i", "eth0", syns, out=self._dump)
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
        url = f"http://{f'[{self.at.victim}]' if self.at is V6 else self.at.victim}:{port}/"
        return self.net.succeeds(machine, "curl", "-s", "-o", "/dev/null", "--max-time", "2", url)

    def nmap(self, *arguments: str) -> str:
        """What the attacker's nmap finds."""
        quick = ("-n", "-Pn", "--disable-arp-ping", "--max-retries", "0", "-T5", *(("-6",) if self.at is V6 else ()))
        return self.net.run("attacker", "nmap", *quick, *arguments)

    def reached(self) -> list[int]:
        """The ports of the attacker's SYNs that have come to the victim so far."""
        time.sleep(0.3)
        return [int(port) for port in re.findall(rf"> {re.escape(self.at.victim)}\.(\d+):", self._dump.read_text())]

    def portkin(self, *arguments: str) -> str:
        """What our command line prints on the sensor."""
        return self.net.run("sensor", sys.executable, "-m", "portkin.cli", *arguments)

    def live(self) -> set[str]:
        """The ports that the block database has as active."""
        lines = self.portkin("blocks", "list", "--json", "-c", str(self.config)).splitlines()
        return {json.loads(line)["port"] for line in lines}

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
        self.nmap("-sS", "-p", "22", *self.at.swept)
        wanted = {"22/tcp", "23/tcp", "2222/tcp", "80/tcp"}
        until(lambda: wanted == self.live(), self._state)

    def _state(self) -> str:
        """What each part has seen, for the message of a failed test."""
        logs = "\n".join(self.zeek_log(name) for name in ("portkin", "portkin_block", "conn", "reporter", "broker"))
        return f"live: {self.live()}\n{self.sidecar.text}\n{logs}\n{self.metrics()}"


def in_zeek(net: str) -> str:
    """A net as Zeek's language writes it."""
    address, _, length = net.partition("/")
    return f"[{address}]/{length}" if ":" in address else net
