"""An attacker, a client, a server, and a Suricata between them through which every frame goes, as root.

attacker, client (198.51.100.0/24) --- bridge --- outside | Suricata, copy-mode ips | inside --- server 198.51.100.80
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.suricata import write_config
from support.suricata_socket import listens

ATTACKER, CLIENT, SERVER = "198.51.100.7", "198.51.100.20", "198.51.100.80"

# Frames that Suricata copies must have their checksums in them, so the senders compute them (SIOCETHTOOL,
# ETHTOOL_STXCSUM, ETHTOOL_STSO and ETHTOOL_SGSO of linux/ethtool.h).
_NO_OFFLOAD = """
import array, fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for command in (0x17, 0x1f, 0x24):
    value = array.array("B", struct.pack("II", command, 0))
    try:
        fcntl.ioctl(s, 0x8946, struct.pack("16sP", b"eth0", value.buffer_info()[0]))
    except OSError:
        pass
"""

AF_PACKET = """af-packet:
  - {interface: outside, copy-iface: inside, copy-mode: ips, threads: 1, cluster-id: 97,
     cluster-type: cluster_flow, defrag: no, use-mmap: yes, tpacket-v3: no}
  - {interface: inside, copy-iface: outside, copy-mode: ips, threads: 1, cluster-id: 98,
     cluster-type: cluster_flow, defrag: no, use-mmap: yes, tpacket-v3: no}
stream:
  inline: auto
  midstream: true
exception-policy: ignore
"""


@dataclass(frozen=True)
class Line:
    """The network; names of hosts are ``attacker``, ``client``, ``server``, ``sensor``."""

    prefix: str
    folder: Path
    socket: Path

    def run(self, host: str, *command: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command there and return what it said."""
        return subprocess.run(self.command(host, *command), capture_output=True, text=True, timeout=timeout)

    def command(self, host: str, *command: str | Path) -> list[str]:
        """The command line that runs a command there."""
        return ["ip", "netns", "exec", f"{self.prefix}{host}", *map(str, command)]

    def reaches(self, host: str, port: int) -> bool:
        """Whether a client there gets the page that the server has on that port."""
        done = self.run(host, "curl", "-s", "--max-time", "2", f"http://{SERVER}:{port}/", timeout=10)
        return done.stdout == "hello\n"


@contextmanager
def inline(suricata: str, rules: Path, folder: Path, *, ports: Sequence[int]) -> Iterator[Line]:
    """The network with pages on these ports of the server, and Suricata ready; all of it is taken down at the end."""
    line = Line(f"pk{os.getpid()}-", folder, folder / "command.socket")
    with ExitStack() as stack:
        for host in ("sensor", "attacker", "client", "server"):
            _ip("netns", "add", f"{line.prefix}{host}")
            stack.callback(_ip, "netns", "del", f"{line.prefix}{host}")
            line.run(host, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
            line.run(host, "ip", "link", "set", "lo", "up")
        _wire(line, "server", SERVER, "inside")
        line.run("sensor", "ip", "link", "add", "bridge", "type", "bridge")
        line.run("sensor", "ip", "link", "set", "bridge", "up")
        for host, address in (("attacker", ATTACKER), ("client", CLIENT)):
            _wire(line, host, address, host)
            line.run("sensor", "ip", "link", "set", host, "master", "bridge")
        line.run("sensor", "ip", "link", "add", "outside", "type", "veth", "peer", "name", "tobridge")
        line.run("sensor", "ip", "link", "set", "tobridge", "master", "bridge", "up")
        line.run("sensor", "ip", "link", "set", "outside", "up", "promisc", "on")
        line.run("sensor", "ip", "link", "set", "inside", "promisc", "on")
        (folder / "page").mkdir(parents=True)
        (folder / "page" / "index.html").write_text("hello\n")
        for port in ports:
            server = [sys.executable, "-m", "http.server", str(port), "--directory", str(folder / "page")]
            stack.enter_context(started(line.command("server", *server)))
        config = write_config(folder, home=f"[{SERVER}]", external="!$HOME_NET", socket="yes", more=AF_PACKET)
        command = [suricata, "-c", config, "-S", rules, "-l", folder, "-k", "none", "--af-packet", "--runmode=workers"]
        command += ["--set", f"unix-command.filename={line.socket}"]
        stack.enter_context(started(line.command("sensor", *command)))
        deadline = time.monotonic() + 60
        while not (listens(line.socket) and all(line.reaches("client", port) for port in ports)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the network is not up; see {folder}/suricata.log")
            time.sleep(0.2)
        yield line


@contextmanager
def started(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended when the context is left."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wire(line: Line, host: str, address: str, name: str) -> None:
    """A cable from ``eth0`` of the host to ``name`` at the sensor."""
    _ip("link", "add", name, "netns", f"{line.prefix}sensor", "type", "veth", "peer", "name", "eth0", "netns",
        f"{line.prefix}{host}")  # fmt: skip
    line.run("sensor", "ip", "link", "set", name, "up")
    line.run(host, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
    line.run(host, "ip", "link", "set", "eth0", "up")
    line.run(host, sys.executable, "-c", _NO_OFFLOAD)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
