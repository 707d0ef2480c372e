"""Machines of a test: network namespaces joined by veths. Root; needs iproute2."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_numbers = itertools.count()


class Network:
    """Namespaces, their cables and the programs in them; all of it is gone when the block ends."""

    def __init__(self) -> None:
        self._name = f"pk{os.getpid()}n{next(_numbers)}"
        self._machines: list[str] = []
        self._programs: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            self.end(program)
        for machine in self._machines:
            subprocess.run(["ip", "netns", "del", f"{self._name}-{machine}"], check=False)

    def machine(self, name: str, *, ipv6: bool = False) -> None:
        """A new machine, quiet: no IPv6 of its own accord, and no waiting whether an address is taken."""
        subprocess.run(["ip", "netns", "add", f"{self._name}-{name}"], check=True)
        self._machines.append(name)
        for setting in ("accept_dad=0", "accept_ra=0") if ipv6 else ("disable_ipv6=1",):
            for which in ("all", "default"):
                self.run(name, "sysctl", "-qw", f"net.ipv6.conf.{which}.{setting}")
        self.run(name, "ip", "link", "set", "lo", "up")

    def cable(self, one: str, device: str, other: str, peer: str) -> None:
        """Join two machines; the devices are up."""
        place = ["netns", f"{self._name}-{one}", "type", "veth", "peer", "name", peer]
        subprocess.run(
            ["ip", "link", "add", device, *place, "netns", f"{self._name}-{other}"],
            check=True,
        )
        self.run(one, "ip", "link", "set", device, "up")
        self.run(other, "ip", "link", "set", peer, "up")

    def send_whole(self, machine: str, device: str) -> None:
        """Let a device send packets as they are on a wire: with checksums, and no larger than its MTU."""
        self.run(machine, sys.executable, "-c", _PLAIN, device)

    def inside(self, machine: str) -> list[str]:
        """What a command is put after to run there; ``ip netns exec`` becomes the program."""
        return ["ip", "netns", "exec", f"{self._name}-{machine}"]

    def run(self, machine: str, *command: str, check: bool = True, timeout: float = 60.0) -> str:
        """What the command prints there."""
        ended = subprocess.run(
            [*self.inside(machine), *command], text=True, capture_output=True, timeout=timeout, check=False
        )
        assert not check or ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def succeeds(self, machine: str, *command: str, timeout: float = 60.0) -> bool:
        """Whether the command ends with status 0 there."""
        command_ = [*self.inside(machine), *command]
        return subprocess.run(command_, capture_output=True, timeout=timeout, check=False).returncode == 0

    def start(self, machine: str, *command: str, out: Path | None = None) -> subprocess.Popen[Any]:
        """Start a program there."""
        if out is None:
            program = subprocess.Popen(
                [*self.inside(machine), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        else:
            with out.open("ab") as opened:
                program = subprocess.Popen([*self.inside(machine), *command], stdout=opened, stderr=opened)
        self._programs.append(program)
        return program

    def end(self, program: subprocess.Popen[Any]) -> None:
        """End a program that was started here."""
        if program.poll() is None:
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
        program.wait()


# SIOCETHTOOL: veths leave checksums to the receiver, who cannot know that when a program copied the packet.
_PLAIN = """
import array, fcntl, socket, struct, sys
for command in (0x17, 0x1F, 0x24):  # ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO: off
    value = array.array("I", [command, 0])
    request = struct.pack("16sQ", sys.argv[1].encode(), value.buffer_info()[0])
    fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
"""


@dataclass(frozen=True)
class Addresses:
    """Who is who at a guarded site; the nets of its two sides, and the sensor's address in each."""

    attacker: str
    client: str
    victim: str
    outside: str
    inside: str
    darknet: str
    gateway: str
    inner_gateway: str
    length: int

    @property
    def swept(self) -> tuple[str, ...]:
        """Four addresses of the darknet, for a scanner to try."""
        return tuple(self.darknet.partition("/")[0].removesuffix("0") + str(host) for host in range(1, 5))


V4 = Addresses(
    attacker="198.51.100.10",
    client="198.51.100.100",
    victim="192.0.2.10",
    outside="198.51.100.0/24",
    inside="192.0.2.0/24",
    darknet="203.0.113.0/24",
    gateway="198.51.100.1",
    inner_gateway="192.0.2.1",
    length=24,
)
V6 = Addresses(
    attacker="2001:db8:a::10",
    client="2001:db8:a::100",
    victim="2001:db8:b::10",
    outside="2001:db8:a::/64",
    inside="2001:db8:b::/64",
    darknet="2001:db8:d::/64",
    gateway="2001:db8:a::1",
    inner_gateway="2001:db8:b::1",
    length=64,
)
ATTACKER, CLIENT, VICTIM, DARKNET = V4.attacker, V4.client, V4.victim, V4.darknet


@contextmanager
def attacked_sensor() -> Iterator[Network]:
    """A sensor that has the victim's address itself, and an attacker; the device between them is ``outside``."""
    with Network() as network:
        network.machine("sensor")
        network.machine("attacker")
        network.cable("sensor", "outside", "attacker", "eth0")
        network.run("sensor", "ip", "addr", "add", f"{V4.gateway}/24", "dev", "outside")
        network.run("sensor", "ip", "addr", "add", f"{VICTIM}/32", "dev", "lo")
        network.run("attacker", "ip", "addr", "add", f"{ATTACKER}/24", "dev", "eth0")
        network.run("attacker", "ip", "route", "add", "default", "via", V4.gateway)
        yield network


def guarded_site(net: Network, at: Addresses = V4) -> None:
    """An attacker and a client before a sensor that routes, a victim and a net without hosts behind it.

    attacker, client -- sensor (``outside``) -- victim; darknet
    """
    ipv6 = at is V6
    ip = ("ip", "-6") if ipv6 else ("ip",)
    for name in ("sensor", "attacker", "client", "victim"):
        net.machine(name, ipv6=ipv6)
    net.run("sensor", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1" if ipv6 else "net.ipv4.ip_forward=1")
    net.run("sensor", "ip", "link", "add", "outside", "type", "bridge")
    net.run("sensor", "ip", "addr", "add", f"{at.gateway}/{at.length}", "dev", "outside")
    net.run("sensor", "ip", "link", "set", "outside", "up")
    for name, address in (("attacker", at.attacker), ("client", at.client)):
        net.cable("sensor", name, name, "eth0")
        net.run("sensor", "ip", "link", "set", name, "master", "outside")
        net.run(name, "ip", "addr", "add", f"{address}/{at.length}", "dev", "eth0")
        net.run(name, *ip, "route", "add", "default", "via", at.gateway)
    net.cable("sensor", "inside", "victim", "eth0")
    net.run("sensor", "ip", "addr", "add", f"{at.inner_gateway}/{at.length}", "dev", "inside")
    net.run("victim", "ip", "addr", "add", f"{at.victim}/{at.length}", "dev", "eth0")
    net.run("victim", *ip, "route", "add", "default", "via", at.inner_gateway)
    net.run("sensor", *ip, "route", "add", "blackhole", at.darknet)


def guarded_wire(net: Network) -> None:
    """The same machines, but the sensor joins two wires only where a program on it copies packets across.

    attacker, client -- switch -- ``outside`` sensor ``inside`` -- victim; the victim drops what is for the darknet.
    """
    for name in ("switch", "sensor", "attacker", "client", "victim"):
        net.machine(name)
    net.run("switch", "ip", "link", "add", "wire", "type", "bridge")
    net.run("switch", "ip", "link", "set", "wire", "up")
    net.cable("switch", "sensor", "sensor", "outside")
    net.cable("sensor", "inside", "victim", "eth0")
    net.run("switch", "ip", "link", "set", "sensor", "master", "wire")
    for name, address in (("attacker", ATTACKER), ("client", CLIENT)):
        net.cable("switch", name, name, "eth0")
        net.run("switch", "ip", "link", "set", name, "master", "wire")
        net.run(name, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
        net.run(name, "ip", "route", "add", "192.0.2.0/24", "dev", "eth0")
        net.run(name, "ip", "route", "add", DARKNET, "via", VICTIM)
    net.run("victim", "ip", "addr", "add", f"{VICTIM}/24", "dev", "eth0")
    net.run("victim", "ip", "route", "add", "198.51.100.0/24", "dev", "eth0")
    net.run("victim", "ip", "route", "add", "blackhole", DARKNET)
    for name in ("attacker", "client", "victim"):
        net.send_whole(name, "eth0")
