"""A real Suricata on loopback that knows a bit for each of some ports, and is asked over its unix socket."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from support.sidecar_process import until

YAML = """%YAML 1.1
---
vars: {{address-groups: {{HOME_NET: "any", EXTERNAL_NET: "any"}}}}
unix-command: {{enabled: yes, filename: {folder}/command.socket}}
outputs: []
"""
RULE = 'alert {proto} any any -> any {port} (msg:"kin"; xbits:isset,{bit},track ip_src; sid:{sid};)\n'


def bits(path: Path, src: str) -> dict[str, int]:
    """The bits of a source in the Suricata with this socket, and the whole seconds that each still has.

    One that is over stays, with 0, until Suricata discards the source.
    """
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(path))
        for message in ({"version": "0.2"}, {"command": "list-hostbit", "arguments": {"ipaddress": src}}):
            opened.sendall(json.dumps(message).encode() + b"\n")
            reply = json.loads(opened.recv(65_536))
    if reply["return"] != "OK":
        return {}
    return {bit["name"]: bit["expire"] for bit in reply["message"]["hostbits"]}


class Inside:
    """The process; ``ports`` are those of TCP that it has a rule for, besides UDP port 53."""

    def __init__(self, program: str, folder: Path, *, ports: Iterable[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._program = folder, program
        (folder / "suricata.yaml").write_text(YAML.format(folder=folder))
        rules = [RULE.format(proto="tcp", port=port, bit=f"pk{port}", sid=port) for port in ports]
        rules.append(RULE.format(proto="udp", port=53, bit="pk53u", sid=100_053))
        (folder / "kin.rules").write_text("".join(rules))
        self.socket = folder / "command.socket"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting."""
        self.socket.unlink(missing_ok=True)
        command = [self._program, "-c", "suricata.yaml", "-S", "kin.rules", "-l", ".", "--af-packet=lo"]
        with (self._folder / "out.txt").open("w") as out:
            self.process = subprocess.Popen([*command, "--runmode=single"], cwd=self._folder, stdout=out, stderr=out)

    def wait(self) -> None:
        """Until it listens on its socket, which is there a moment before."""
        until(lambda: listens(self.socket), (self._folder / "out.txt").read_text, timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def bits(self, src: str) -> dict[str, int]:
        """The bits of a source and the seconds that each still has."""
        return {name: seconds for name, seconds in bits(self.socket, src).items() if seconds > 0}


def listens(address: Path) -> bool:
    """Whether something takes connections at a unix socket."""
    with socket.socket(socket.AF_UNIX) as opened:
        return opened.connect_ex(str(address)) == 0
